package foxio

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"trench/pkg/fingerprint/internal/ja4text"
)

// scratchCookies is how many cookies are sorted without memory of their own;
// there cannot be more than half as many as the head has bytes.
const scratchCookies = 64

// JA4H returns the JA4H of an HTTP/1 request from its head as sent, up to and
// with or without the blank line; bytes after that line are not looked at. Of a
// head that was cut it is the fingerprint of what is there. Lines that are no
// field do not count.
func JA4H(head []byte) string {
	line, rest := cutLine(head)
	var names [scratchLen]byte
	var cookies [scratchCookies]cookie
	r := request{names: names[:0], cookies: cookies[:0]}.with(rest)
	slices.SortFunc(r.cookies, cookie.compare)

	var buf [64]byte
	out := appendMethod(buf[:0], line)
	out = appendHTTPVersion(out, line)
	out = append(out, flag(r.hasCookie, 'c'), flag(r.hasReferer, 'r'))
	out = ja4text.AppendCount(out, r.count)
	out = appendLanguage(out, r.language)
	out = append(out, '_')
	out = ja4text.AppendHash(out, r.names)
	out = append(out, '_')
	out = appendCookies(out, r.cookies, false)
	out = append(out, '_')
	return string(appendCookies(out, r.cookies, true))
}

// request is what JA4H takes from the fields of a head.
type request struct {
	names                 []byte // joined, without Cookie and Referer
	count                 int    // of those names
	language              []byte // value of the first Accept-Language
	cookies               []cookie
	hasCookie, hasReferer bool
}

// with adds the lines after the request line up to the blank one. It works on
// values, so that the memory behind them may be the caller's stack.
func (r request) with(b []byte) request {
	for len(b) > 0 {
		var line []byte
		if line, b = cutLine(b); len(line) == 0 {
			break
		}
		n := bytes.IndexByte(line, ':')
		if n <= 0 || line[0] == ' ' || line[0] == '\t' {
			continue // no field, or a line that goes on with the value before it
		}
		name, value := line[:n], line[n+1:]
		switch {
		case isName(name, "cookie"):
			r.hasCookie = true
			r.cookies = splitCookies(r.cookies, value)
			continue
		case isName(name, "referer"):
			r.hasReferer = true
			continue
		case isName(name, "accept-language") && r.language == nil:
			r.language = value
		}
		r.names = append(appendComma(r.names), name...)
		r.count++
	}
	return r
}

func isName(name []byte, want string) bool {
	return len(name) == len(want) && strings.EqualFold(string(name), want)
}

// cookie is one cookie of a request: the pair as sent, and where its name ends.
type cookie struct {
	pair []byte
	name int
}

// splitCookies appends the cookies of one field to cookies.
func splitCookies(cookies []cookie, value []byte) []cookie {
	for len(value) > 0 {
		var pair []byte
		pair, value = cut(value, ';')
		if pair = bytes.TrimSpace(pair); len(pair) == 0 {
			continue
		}
		name, _ := cut(pair, '=')
		cookies = append(cookies, cookie{pair, len(name)})
	}
	return cookies
}

// compare orders by name, then by value, which differs from the order of the
// pairs where a name goes on with a byte below "=".
func (c cookie) compare(d cookie) int {
	return cmp.Or(
		bytes.Compare(c.pair[:c.name], d.pair[:d.name]),
		bytes.Compare(c.pair[c.name:], d.pair[d.name:]),
	)
}

// appendCookies appends the hash of the names of cookies, or of the whole pairs.
// Those are often longer than any scratch, so they are not joined in memory.
func appendCookies(b []byte, cookies []cookie, pairs bool) []byte {
	if len(cookies) == 0 {
		return append(b, ja4text.EmptyHash...)
	}
	h := sha256.New()
	for i, c := range cookies {
		if i > 0 {
			h.Write([]byte{','})
		}
		if pairs {
			h.Write(c.pair)
		} else {
			h.Write(c.pair[:c.name])
		}
	}
	var sum [sha256.Size]byte
	return hex.AppendEncode(b, h.Sum(sum[:0])[:len(ja4text.EmptyHash)/2])
}

// appendMethod appends the first two letters of the method that a request line
// begins with, filled up with zeros: M-SEARCH is "ms".
func appendMethod(b, line []byte) []byte {
	method, _ := cut(line, ' ')
	end := len(b) + 2
	for _, c := range method {
		if letter(c) && len(b) < end {
			b = append(b, c|0x20)
		}
	}
	return fill(b, end)
}

// appendHTTPVersion appends the digits of the version that a request line ends
// with, 00 when there is none.
func appendHTTPVersion(b, line []byte) []byte {
	v := line[bytes.LastIndexByte(line, ' ')+1:]
	if len(v) == len("HTTP/1.1") && string(v[:5]) == "HTTP/" && digit(v[5]) && v[6] == '.' && digit(v[7]) {
		return append(b, v[5], v[7])
	}
	return append(b, "00"...)
}

// appendLanguage appends the first four characters of the first language tag
// in lower case, without its hyphens and filled up with zeros: "da, en-gb" is
// "da00". What is not printable is left out.
func appendLanguage(b, value []byte) []byte {
	tag, _ := cut(value, ',')
	tag, _ = cut(tag, ';')
	end := len(b) + 4
	for _, c := range tag {
		if c > ' ' && c < 0x7f && c != '-' && len(b) < end {
			if letter(c) {
				c |= 0x20
			}
			b = append(b, c)
		}
	}
	return fill(b, end)
}

func fill(b []byte, end int) []byte {
	for len(b) < end {
		b = append(b, '0')
	}
	return b
}

func flag(set bool, name byte) byte {
	if set {
		return name
	}
	return 'n'
}

// cutLine cuts b after its first line, whose end (LF, or CR LF) it leaves out.
func cutLine(b []byte) (line, rest []byte) {
	line, rest = cut(b, '\n')
	return bytes.TrimSuffix(line, []byte{'\r'}), rest
}

// cut cuts b around the first sep.
func cut(b []byte, sep byte) (before, after []byte) {
	if i := bytes.IndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}
