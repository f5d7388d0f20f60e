package certificate

import (
	"encoding/hex"
	"unicode/utf16"
	"unicode/utf8"
)

// name is a distinguished name as text.
type name struct {
	text  string
	rdns  int
	cn    string
	hasCN bool
	oids  [][]byte // attribute types
}

// name reads an RDNSequence; it reports whether all of it was there.
func (p *parser) name(seq element, what string) (n name, whole bool) {
	whole = !seq.cut
	var rdns []string // in the order of the certificate
	var buf []byte
	size := 0
	for in := seq.body; len(in) > 0; {
		set, rest, ok := p.take(in, tagSet, what)
		if !ok {
			whole = false
			break
		}
		in = rest
		whole = whole && !set.cut
		buf = buf[:0]
		for in := set.body; len(in) > 0; {
			pair, rest, ok := p.take(in, tagSequence, what)
			if !ok {
				whole = false
				break
			}
			in = rest
			oid, rest, ok := p.take(pair.body, tagOID, what)
			if !ok || oid.cut {
				whole = false
				break
			}
			n.oids = p.appendOID(n.oids, oid.body)
			value, _, err := next(rest)
			if err != nil {
				p.fail(what, err)
				whole = false
				break
			}
			if value.cut {
				p.fail(what, ErrTruncated)
				whole = false
			}
			if len(buf) > 0 {
				buf = append(buf, '+')
			}
			label, known := attributes[string(oid.body)]
			if !known {
				label = oidText(oid.body)
			}
			buf = append(append(buf, label...), '=')
			text, isText := directoryString(value)
			switch {
			case known && isText:
				buf = appendEscaped(buf, text)
			default:
				buf = append(buf, '#')
				buf = hex.AppendEncode(buf, value.raw)
			}
			if label == "CN" && isText {
				n.cn, n.hasCN = escape(text), true
			}
		}
		rdns = append(rdns, string(buf))
		size += len(buf) + 1
	}
	n.rdns = len(rdns)
	out := make([]byte, 0, size)
	for i := len(rdns) - 1; i >= 0; i-- {
		out = append(out, rdns[i]...)
		if i > 0 {
			out = append(out, ',')
		}
	}
	n.text = string(out)
	return n, whole
}

// directoryString returns the bytes of a string type, UTF-16 and UTF-32 as
// UTF-8, and reports whether e is one.
func directoryString(e element) ([]byte, bool) {
	switch e.tag {
	case tagUTF8, tagPrintable, tagT61, tagIA5, tagNumeric, tagVisible:
		return e.body, true
	case tagBMP:
		units := make([]uint16, len(e.body)/2)
		for i := range units {
			units[i] = uint16(e.body[2*i])<<8 | uint16(e.body[2*i+1])
		}
		return []byte(string(utf16.Decode(units))), len(e.body)%2 == 0
	case tagUniversal:
		var out []byte
		for b := e.body; len(b) >= 4; b = b[4:] {
			out = utf8.AppendRune(out, rune(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3])))
		}
		return out, len(e.body)%4 == 0
	}
	return nil, false
}

// appendEscaped appends an attribute value as RFC 4514 section 2.4 has it.
func appendEscaped(out, value []byte) []byte {
	for i := 0; i < len(value); {
		r, n := utf8.DecodeRune(value[i:])
		switch b := value[i]; {
		case r == utf8.RuneError && n == 1, b < ' ', b == 0x7f:
			out = append(out, '\\')
			out = hex.AppendEncode(out, value[i:i+1])
		case b == ',', b == '+', b == '"', b == '\\', b == '<', b == '>', b == ';',
			b == '#' && i == 0, b == ' ' && (i == 0 || i == len(value)-1):
			out = append(out, '\\', b)
		default:
			out = append(out, value[i:i+n]...)
		}
		i += n
	}
	return out
}

// escape returns the bytes as text, those that are not valid UTF-8 or are
// control characters as \xNN.
func escape(value []byte) string {
	clean := utf8.Valid(value)
	for i := 0; clean && i < len(value); i++ {
		clean = value[i] >= ' ' && value[i] != 0x7f
	}
	if clean {
		return string(value)
	}
	var out []byte
	for i := 0; i < len(value); {
		r, n := utf8.DecodeRune(value[i:])
		if b := value[i]; (r == utf8.RuneError && n == 1) || b < ' ' || b == 0x7f {
			out = append(out, '\\', 'x')
			out = hex.AppendEncode(out, value[i:i+1])
		} else {
			out = append(out, value[i:i+n]...)
		}
		i += n
	}
	return string(out)
}
