package dnswire

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
)

// maxRaw bounds the bytes shown of data without a text form of its own.
const maxRaw = 64

// dataText returns the data of a record, msg[start:end], as text. Data that
// does not fit its type is shown as RFC 3597 shows unknown types.
func dataText(typ uint16, msg []byte, start, end int) string {
	var room [512]byte
	d := data{msg: msg[:end], off: start, out: room[:0]}
	switch typ {
	case TypeA:
		if end-start == 4 {
			return netip.AddrFrom4([4]byte(msg[start:end])).String()
		}
		d.bad = true
	case TypeAAAA:
		if end-start == 16 {
			return netip.AddrFrom16([16]byte(msg[start:end])).String()
		}
		d.bad = true
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
		return raw(msg[start:end])
	}
	return string(d.out)
}

func raw(b []byte) string {
	text := `\# ` + strconv.Itoa(len(b))
	if len(b) == 0 {
		return text
	}
	shown := b[:min(len(b), maxRaw)]
	text += " " + hex.EncodeToString(shown)
	if len(shown) < len(b) {
		text += "…"
	}
	return text
}

// data reads the fields of one record and writes them as text, separated by
// spaces. Names may point anywhere before the end of the record.
type data struct {
	msg []byte
	off int
	out []byte
	bad bool
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
	if len(d.out) > 0 {
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

// parameter writes one SvcParam (RFC 9460 sections 2.2 and 7).
func (d *data) parameter() {
	key := d.u16()
	end := d.u16()
	if d.bad || end > len(d.msg)-d.off {
		d.bad = true
		return
	}
	end += d.off
	d.space()
	switch key {
	case 0:
		d.out = append(d.out, "mandatory"...)
		d.list(end, func() { d.out = strconv.AppendInt(append(d.out, "key"...), int64(d.u16()), 10) })
	case 1:
		d.out = append(d.out, "alpn"...)
		d.list(end, func() { d.out = appendText(d.out, d.take(int(d.byte()))) })
	case 2:
		d.out = append(d.out, "no-default-alpn"...)
	case 3:
		d.out = append(d.out, "port"...)
		d.list(end, func() { d.out = strconv.AppendInt(d.out, int64(d.u16()), 10) })
	case 4:
		d.out = append(d.out, "ipv4hint"...)
		d.list(end, func() { d.addr(4) })
	case 5:
		d.out = append(d.out, "ech"...)
		d.out = append(d.out, '=')
		d.out = hex.AppendEncode(d.out, d.take(min(end-d.off, maxRaw)))
		d.off = end
	case 6:
		d.out = append(d.out, "ipv6hint"...)
		d.list(end, func() { d.addr(16) })
	default:
		d.out = append(d.out, "key"...)
		d.out = strconv.AppendInt(d.out, int64(key), 10)
		d.out = append(d.out, '=')
		d.out = hex.AppendEncode(d.out, d.take(min(end-d.off, maxRaw)))
		d.off = end
	}
	if d.off != end {
		d.bad = true
	}
}

func (d *data) list(end int, item func()) {
	sep := byte('=')
	for d.off < end && !d.bad {
		d.out = append(d.out, sep)
		item()
		sep = ','
	}
}

func (d *data) addr(n int) {
	if a, ok := netip.AddrFromSlice(d.take(n)); ok {
		d.out = a.AppendTo(d.out)
	}
}
