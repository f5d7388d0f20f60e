package dnswire

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// Bounds of the text of one record.
const (
	maxRaw  = 64      // bytes shown of data without a text form of its own
	maxText = 4 << 10 // bytes of text; only long TXT records have more
)

// appendData appends the data of a record, msg[start:end], as text. Data that
// does not fit its type is shown as RFC 3597 shows unknown types.
func appendData(dst []byte, typ uint16, msg []byte, start, end int) []byte {
	begin := len(dst)
	d := data{msg: msg[:end], off: start, out: dst, begin: begin}
	switch typ {
	case TypeA:
		d.addr(4)
	case TypeAAAA:
		d.addr(16)
	case TypeCNAME, TypeNS, TypePTR, TypeDNAME:
		d.name()
	case TypeMX:
		d.uint(2)
		d.name()
	case TypeSRV:
		d.uint(2)
		d.uint(2)
		d.uint(2)
		d.name()
	case TypeSOA:
		d.name()
		d.name()
		for range 5 {
			d.uint(4)
		}
	case TypeTXT:
		for d.off < end && !d.bad {
			d.quoted(d.take(int(d.byte())))
		}
	case TypeCAA:
		d.uint(1)
		d.space()
		d.out = appendLabel(d.out, d.take(int(d.byte())))
		d.quoted(d.take(end - d.off))
	case TypeSVCB, TypeHTTPS:
		d.uint(2)
		d.name()
		for d.off < end && !d.bad {
			d.parameter()
		}
	default:
		d.bad = true
	}
	if d.bad || d.off != end {
		return appendRaw(d.out[:begin], msg[start:end])
	}
	return appendBound(d.out, begin)
}

// appendBound cuts the text from begin on to maxText bytes and marks the cut.
func appendBound(text []byte, begin int) []byte {
	n := begin + maxText
	if len(text) <= n {
		return text
	}
	for n > begin && !utf8.RuneStart(text[n]) {
		n--
	}
	return append(text[:n], "…"...)
}

func appendRaw(dst, b []byte) []byte {
	dst = strconv.AppendInt(append(dst, `\# `...), int64(len(b)), 10)
	if len(b) == 0 {
		return dst
	}
	dst = hex.AppendEncode(append(dst, ' '), b[:min(len(b), maxRaw)])
	if len(b) > maxRaw {
		dst = append(dst, "…"...)
	}
	return dst
}

// data reads the fields of one record and writes them as text, separated by
// spaces. Names may point anywhere before the end of the record.
type data struct {
	msg   []byte
	off   int
	out   []byte
	begin int // of the record's text in out
	bad   bool
}

func (d *data) take(n int) []byte {
	if d.bad || n > len(d.msg)-d.off {
		d.bad = true
		return nil
	}
	b := d.msg[d.off : d.off+n]
	d.off += n
	return b
}

func (d *data) byte() uint8 {
	b := d.take(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (d *data) u16() int {
	b := d.take(2)
	if len(b) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(b))
}

func (d *data) space() {
	if len(d.out) > d.begin {
		d.out = append(d.out, ' ')
	}
}

func (d *data) uint(size int) {
	var v uint64
	for _, c := range d.take(size) {
		v = v<<8 | uint64(c)
	}
	d.space()
	d.out = strconv.AppendUint(d.out, v, 10)
}

func (d *data) name() {
	if d.bad {
		return
	}
	d.space()
	out, next, ok := appendName(d.out, d.msg, d.off)
	d.out, d.off, d.bad = out, next, !ok
}

func (d *data) quoted(b []byte) {
	d.space()
	d.out = append(d.out, '"')
	d.out = appendText(d.out, b)
	d.out = append(d.out, '"')
}

// appendText is appendLabel for text between quotes.
func appendText(dst, b []byte) []byte {
	for len(b) > 0 {
		i := 0
		for i < len(b) && b[i] != '"' && b[i] != '.' && b[i] != ' ' {
			i++
		}
		dst = appendLabel(dst, b[:i])
		if i == len(b) {
			break
		}
		if b[i] == '"' {
			dst = append(dst, '\\')
		}
		dst = append(dst, b[i])
		b = b[i+1:]
	}
	return dst
}
