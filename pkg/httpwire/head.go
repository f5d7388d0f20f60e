package httpwire

import (
	"bytes"
	"strings"
)

// Bounds of what is kept.
const (
	MaxHeaders  = 64      // fields of one head
	MaxHeadLen  = 8 << 10 // bytes of names and values of one head
	MaxMessages = 64      // heads of one direction
)

// Header is one field as sent.
type Header struct {
	Name, Value string
}

// Request is the head of a request.
type Request struct {
	Method, Target, Version string // Version as sent: "HTTP/1.1"
	Host, UserAgent         string // of the first field of that name
	Headers                 []Header
	Incomplete              bool // cut, over a bound, or with a line that is no field
}

// Response is the head of a response.
type Response struct {
	Status     uint16
	Version    string
	Server     string // of the first field of that name
	Headers    []Header
	Incomplete bool // cut, over a bound, or with a line that is no field
}

// HeaderEnd returns the offset just past the first blank line of b, where the
// body begins, or -1 when there is none yet.
func HeaderEnd(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		switch {
		case i < len(b) && b[i] == '\n':
			return i + 1
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i + 2
		}
	}
}

// ParseRequests reads a row of request heads.
func ParseRequests(b []byte) []Request {
	var out []Request
	for len(out) < MaxMessages {
		b = skipBlank(b)
		if !LooksLikeRequest(b) {
			return out
		}
		line, rest, whole := cutLine(b)
		r := Request{Incomplete: !whole}
		method, line, _ := bytes.Cut(line, []byte(" "))
		r.Method = bounded(method)
		if i := bytes.LastIndexByte(line, ' '); i >= 0 {
			r.Target, r.Version = bounded(bytes.TrimSpace(line[:i])), bounded(line[i+1:])
		} else {
			r.Target = bounded(line)
		}
		var bad bool
		r.Headers, rest, bad = fields(rest)
		r.Incomplete = r.Incomplete || bad
		r.Host = first(r.Headers, "host")
		r.UserAgent = first(r.Headers, "user-agent")
		out = append(out, r)
		b = rest
	}
	return out
}

// ParseResponses reads a row of response heads.
func ParseResponses(b []byte) []Response {
	var out []Response
	for len(out) < MaxMessages {
		b = skipBlank(b)
		if !LooksLikeResponse(b) {
			return out
		}
		line, rest, whole := cutLine(b)
		r := Response{Status: uint16(Status(line)), Version: string(line[:len("HTTP/1.1")]), Incomplete: !whole}
		var bad bool
		r.Headers, rest, bad = fields(rest)
		r.Incomplete = r.Incomplete || bad
		r.Server = first(r.Headers, "server")
		out = append(out, r)
		b = rest
	}
	return out
}

// LooksLikeRequest reports whether b begins like a request: a method, a space,
// and, as far as the line was captured, a target and an HTTP/1 version. A line
// that is cut counts only with a registered method.
func LooksLikeRequest(b []byte) bool {
	line, _, whole := cutLine(b)
	sp := bytes.IndexByte(line, ' ')
	if sp < 1 || sp > maxMethodLen || sp+1 >= len(line) || line[sp+1] <= ' ' || line[sp+1] == 0x7f {
		return false
	}
	method := line[:sp]
	if whole {
		i := bytes.LastIndexByte(line, ' ')
		return i > sp && token(method) && isVersion(line[i+1:])
	}
	return knownMethod(method) && !foreignTarget(line[sp+1:])
}

// foreignTarget reports whether the target of a line that is cut, or what there is
// of it, may be of a protocol with a request line like HTTP's: RTSP, SIP or ICAP.
func foreignTarget(rest []byte) bool {
	if version, ok := bytes.CutPrefix(rest, []byte("* ")); ok {
		return len(version) > 0 && version[0] != 'H'
	}
	for _, scheme := range []string{"rtsp:", "rtspu:", "sip:", "sips:", "icap:"} {
		if n := min(len(rest), len(scheme)); string(rest[:n]) == scheme[:n] {
			return true
		}
	}
	return false
}

// IsHTTP2Preface reports whether b begins like a client's side of HTTP/2 (RFC
// 9113, section 3.4): at once, or after Upgrade: h2c was accepted.
func IsHTTP2Preface(b []byte) bool {
	return bytes.HasPrefix(b, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
}

// LooksLikeResponse reports whether b begins with a status line of HTTP/1:
// version, space and three digits.
func LooksLikeResponse(b []byte) bool {
	const n = len("HTTP/1.1")
	return len(b) >= n+4 && isVersion(b[:n]) && b[n] == ' ' &&
		b[n+1] >= '1' && b[n+1] <= '9' && digit(b[n+2]) && digit(b[n+3]) &&
		(len(b) == n+4 || b[n+4] == ' ' || b[n+4] == '\r' || b[n+4] == '\n')
}

// Status returns the status of a response's head, 0 when it is none.
func Status(head []byte) int {
	const n = len("HTTP/1.1 ")
	if !LooksLikeResponse(head) {
		return 0
	}
	return int(head[n]-'0')*100 + int(head[n+1]-'0')*10 + int(head[n+2]-'0')
}

func isVersion(b []byte) bool {
	const n = len("HTTP/1.1")
	return len(b) == n && string(b[:n-1]) == "HTTP/1." && digit(b[n-1])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

const maxMethodLen = 20

// token reports whether b could be a method: letters, digits and "-" or "_".
func token(b []byte) bool {
	for _, c := range b {
		if !tokenByte(c) {
			return false
		}
	}
	return true
}

func tokenByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || digit(c) || c == '-' || c == '_'
}

func knownMethod(b []byte) bool {
	switch string(b) {
	case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH",
		"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "REPORT",
		"M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "CCM_POST", "BITS_POST", "RPC_IN_DATA", "RPC_OUT_DATA":
		return true
	}
	return false
}

func skipBlank(b []byte) []byte {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// cutLine returns the first line without its end, what follows, and whether
// the line was whole.
func cutLine(b []byte) (line, rest []byte, whole bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return b, nil, false
	}
	line, rest = b[:i], b[i+1:]
	if i > 0 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	return line, rest, true
}

// fields reads up to the blank line. bad says that the head was cut, went over
// a bound, or held a line that is no field.
func fields(b []byte) (list []Header, rest []byte, bad bool) {
	kept := 0
	for {
		line, rest, whole := cutLine(b)
		if whole && len(line) == 0 {
			return list, rest, bad
		}
		if !whole {
			bad = true
			if len(line) == 0 {
				return list, nil, bad
			}
		}
		b = rest
		name, value, found := bytes.Cut(line, []byte(":"))
		value = bytes.Trim(value, " \t\r")
		switch {
		case line[0] == ' ' || line[0] == '\t':
			more := bytes.Trim(line, " \t\r")
			if kept+len(more)+1 > MaxHeadLen || len(list) == 0 {
				bad = true
				break
			}
			list[len(list)-1].Value += " " + string(more)
			kept += len(more) + 1
		case !found:
			bad = true
		case len(list) == MaxHeaders || kept+len(name)+len(value) > MaxHeadLen:
			bad = true
		default:
			list = append(list, Header{Name: string(name), Value: string(value)})
			kept += len(name) + len(value)
		}
		if !whole {
			return list, nil, bad
		}
	}
}

func bounded(b []byte) string { return string(b[:min(len(b), MaxHeadLen)]) }

// first returns the value of the first field of that name, given in lower case.
func first(list []Header, name string) string {
	for _, h := range list {
		if len(h.Name) == len(name) && strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}
