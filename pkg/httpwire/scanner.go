package httpwire

import "bytes"

// Part says what the bytes are that a Scanner consumed.
type Part uint8

// The parts of a side.
const (
	End     Part = iota // none were consumed: what follows is no message, or cannot be told apart
	Head                // of a head that goes on
	HeadEnd             // of a head up to its end: Begin has to be called with all of it
	Body                // of a body, or of what may stand between messages
)

// Scanner walks one side of a connection from message to message, in pieces of
// any size. The zero value is ready.
//
//	start -> first line -> fields -> (Begin) -+-> start                no body
//	                                          +-> counted -> start     Content-Length
//	                                          +-> size -> chunk -> chunk end -> size
//	                                          |    +-> trailer -> start
//	                                          +-> ended                up to the close, a tunnel, or wrong
type Scanner struct {
	remain uint64 // of the body or the chunk; while its line is read, the chunk's size
	state  state
	kind   kind
	at     uint8 // bytes read of the method or version that the first line begins with; digits of a chunk's size
	line   lineState
}

type state uint8

const (
	stateStart state = iota
	stateFirstLine
	stateFields
	stateHead // whole, Begin has not been called
	stateCounted
	stateSize
	stateSizeEnd // past the digits of the line
	stateChunk
	stateChunkEnd
	stateTrailer
	stateEnded
)

// kind is what a side sends, by its first message.
type kind uint8

const (
	kindUnknown kind = iota
	kindRequest
	kindResponse
)

// lineState is where in a line a head or trailer stands.
type lineState uint8

const (
	lineStart lineState = iota
	lineCR              // begun by CR
	lineInside
)

const statusLine = "HTTP/1."

// inMethod marks in Scanner.at that the bytes were not those of a status line.
const inMethod = 0x80

// maxChunkDigits bounds the size of a chunk to what a stream can hold.
const maxChunkDigits = 14

// Next consumes bytes from the front of data, at least one unless data is empty or
// the part is End, and says what they are. It is called again with the rest.
func (s *Scanner) Next(data []byte) (n int, part Part) {
	if len(data) == 0 {
		return 0, Body
	}
	switch s.state {
	case stateStart:
		for n < len(data) && (data[n] == '\r' || data[n] == '\n') {
			n++
		}
		if n == 0 {
			s.state, s.at = stateFirstLine, 0
			return s.firstLine(data)
		}
		return n, Body
	case stateFirstLine:
		return s.firstLine(data)
	case stateFields:
		return s.fields(data)
	case stateCounted:
		return s.skip(data, stateStart), Body
	case stateSize, stateSizeEnd, stateChunk, stateChunkEnd, stateTrailer:
		return s.chunked(data)
	}
	return 0, End
}

// firstLine checks that a message begins, a byte at a time up to the end of the
// method or of the version of a status line.
func (s *Scanner) firstLine(data []byte) (int, Part) {
	for i, c := range data {
		switch at := s.at &^ inMethod; {
		case s.at&inMethod == 0 && c == statusLine[at] && s.kind != kindRequest:
			if s.at++; int(s.at) == len(statusLine) {
				s.kind = kindResponse
				return s.rest(data, i+1)
			}
		case s.kind == kindResponse, s.at == at && int(at) >= len("HTTP/"):
			return s.end(i)
		case c == ' ' && at > 0:
			s.kind = kindRequest
			return s.rest(data, i+1)
		case !tokenByte(c) || at >= maxMethodLen:
			return s.end(i)
		default:
			s.at = at + 1 | inMethod
		}
	}
	return len(data), Head
}

// rest goes on with the rest of the first line.
func (s *Scanner) rest(data []byte, n int) (int, Part) {
	s.state, s.line = stateFields, lineInside
	m, part := s.fields(data[n:])
	return n + m, part
}

// end ends the walk; the n bytes before are of a head that is none.
func (s *Scanner) end(n int) (int, Part) {
	s.state = stateEnded
	if n == 0 {
		return 0, End
	}
	return n, Head
}

// fields looks for the blank line.
func (s *Scanner) fields(data []byte) (int, Part) {
	if n := s.blankLine(data); n >= 0 {
		s.state = stateHead
		return n, HeadEnd
	}
	return len(data), Head
}

// blankLine returns the offset past the blank line, or -1 when data has none.
func (s *Scanner) blankLine(data []byte) int {
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '\n' && s.line != lineInside:
			return i + 1
		case c == '\r' && s.line == lineStart:
			s.line = lineCR
		default:
			n := bytes.IndexByte(data[i:], '\n')
			if n < 0 {
				s.line = lineInside
				return -1
			}
			i += n
			s.line = lineStart
		}
	}
	return -1
}

// skip consumes what remains, and goes on to the next state past it.
func (s *Scanner) skip(data []byte, next state) int {
	n := int(min(uint64(len(data)), s.remain))
	if s.remain -= uint64(n); s.remain == 0 {
		s.state = next
	}
	return n
}

// chunked consumes one part of the chunked coding (RFC 9112, section 7.1):
//
//	size in hexadecimal digits [; extensions] CRLF, size bytes, CRLF; … 0 CRLF, trailer fields, CRLF
func (s *Scanner) chunked(data []byte) (int, Part) {
	switch s.state {
	case stateSize:
		for i, c := range data {
			d := hexDigit(c)
			if d < 0 {
				if s.at == 0 || c != ';' && c != '\r' && c != '\n' && c != ' ' && c != '\t' {
					s.state = stateEnded
					return i, endedAfter(i)
				}
				s.state = stateSizeEnd
				if i == 0 {
					return s.chunked(data)
				}
				return i, Body
			}
			if s.at++; s.at > maxChunkDigits {
				s.state = stateEnded
				return i, endedAfter(i)
			}
			s.remain = s.remain<<4 | uint64(d)
		}
		return len(data), Body
	case stateSizeEnd:
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return len(data), Body
		}
		s.state, s.line = stateChunk, lineStart
		if s.remain == 0 {
			s.state = stateTrailer
		}
		return i + 1, Body
	case stateChunk:
		return s.skip(data, stateChunkEnd), Body
	case stateChunkEnd:
		switch c := data[0]; {
		case c == '\n':
			s.state, s.at = stateSize, 0
		case c == '\r' && s.line == lineStart:
			s.line = lineCR
		default:
			s.state = stateEnded
			return 0, End
		}
		return 1, Body
	}
	if n := s.blankLine(data); n >= 0 {
		s.state = stateStart
		return n, Body
	}
	return len(data), Body
}

// endedAfter is the part of n bytes after which the walk ends.
func endedAfter(n int) Part {
	if n == 0 {
		return End
	}
	return Body
}

func hexDigit(c byte) int {
	switch {
	case digit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// Begin tells the body by the head that has just ended (RFC 9112, section 6.3).
// toHEAD says of a response that its request was HEAD, so that it has none;
// where that is not known, false costs the rest of the walk. After CONNECT and
// Upgrade a side may go on with messages, which is when they were refused: the
// walk ends at the first byte that begins none.
func (s *Scanner) Begin(head []byte, toHEAD bool) {
	if s.state != stateHead {
		return
	}
	s.state = stateEnded
	s.remain, s.at = 0, 0
	status := 0
	if s.kind == kindResponse {
		if status = Status(head); status == 0 {
			return
		}
	} else if !LooksLikeRequest(head) { // HTTP/2 in clear, too
		return
	}
	switch {
	case status == 101:
		return
	case toHEAD && status != 0, status/100 == 1, status == 204, status == 304, status == 0 && bytes.HasPrefix(head, []byte("CONNECT ")):
		s.state = stateStart
		return
	}
	switch f := framingOf(head); {
	case f.broken:
	case f.coded && f.chunked:
		s.state = stateSize
	case f.coded:
	case f.length > 0:
		s.state, s.remain = stateCounted, f.length
	case f.counted || status == 0:
		s.state = stateStart
	}
}

// framing is what the fields of a head say about the length of the body.
type framing struct {
	length  uint64
	counted bool // there is a Content-Length
	coded   bool // there is a Transfer-Encoding
	chunked bool // which ends with chunked
	broken  bool // several lengths, or one that is no number
}

func framingOf(head []byte) framing {
	var f framing
	_, rest, _ := cutLine(head)
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = cutLine(rest)
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch name = bytes.TrimRight(name, " \t"); {
		case equalFold(name, "content-length"):
			for found := true; found; {
				var item []byte
				item, value, found = bytes.Cut(value, []byte(","))
				n, ok := number(bytes.Trim(item, " \t\r"))
				f.broken = f.broken || !ok || f.counted && n != f.length
				f.length, f.counted = n, true
			}
		case equalFold(name, "transfer-encoding"):
			coding := value[bytes.LastIndexByte(value, ',')+1:]
			f.coded, f.chunked = true, equalFold(bytes.Trim(coding, " \t\r"), "chunked")
		}
	}
	if f.coded { // which overrides the length
		f.broken = false
	}
	return f
}

// number reads a decimal number without sign.
func number(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if !digit(c) {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// equalFold compares with a name in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
