package dnswire

import (
	"encoding/base64"
	"net/netip"
	"strconv"
)

// The keys of service parameters with a form of their own (RFC 9460 section
// 14.3.2, RFC 9461, RFC 9848).
const (
	keyMandatory     = 0
	keyALPN          = 1
	keyNoDefaultALPN = 2
	keyPort          = 3
	keyIPv4Hint      = 4
	keyECH           = 5
	keyIPv6Hint      = 6
	keyDoHPath       = 7
)

func appendKey(dst []byte, key int) []byte {
	switch key {
	case keyMandatory:
		return append(dst, "mandatory"...)
	case keyALPN:
		return append(dst, "alpn"...)
	case keyNoDefaultALPN:
		return append(dst, "no-default-alpn"...)
	case keyPort:
		return append(dst, "port"...)
	case keyIPv4Hint:
		return append(dst, "ipv4hint"...)
	case keyECH:
		return append(dst, "ech"...)
	case keyIPv6Hint:
		return append(dst, "ipv6hint"...)
	case keyDoHPath:
		return append(dst, "dohpath"...)
	}
	return strconv.AppendInt(append(dst, "key"...), int64(key), 10)
}

// parameter writes one SvcParam as zone files have it (RFC 9460 sections 2.1, 2.2
// and 7): key 2 | value <2>.
func (d *data) parameter() {
	key := d.u16()
	n := d.u16()
	if d.bad || n > len(d.msg)-d.off {
		d.bad = true
		return
	}
	end := d.off + n
	d.space()
	d.out = appendKey(d.out, key)
	switch key {
	case keyMandatory:
		d.list(end, func() { d.out = appendKey(d.out, d.u16()) })
	case keyALPN:
		d.list(end, func() { d.out = appendItem(d.out, d.take(int(d.byte()))) })
	case keyNoDefaultALPN:
	case keyPort:
		d.list(end, func() { d.out = strconv.AppendInt(d.out, int64(d.u16()), 10) })
	case keyIPv4Hint:
		d.list(end, func() { d.addr(4) })
	case keyIPv6Hint:
		d.list(end, func() { d.addr(16) })
	case keyECH:
		d.out = append(d.out, '=')
		d.out = base64.StdEncoding.AppendEncode(d.out, d.take(n))
	default:
		if n > 0 {
			d.out = append(d.out, '=', '"')
			d.out = appendText(d.out, d.take(n))
			d.out = append(d.out, '"')
		}
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

// appendItem writes one item of a list: its commas and backslashes are escaped
// once for the list and once for the text (RFC 9460 appendix A.1).
func appendItem(dst, item []byte) []byte {
	for i, c := range item {
		switch {
		case c == ',':
			dst = append(dst, `\\,`...)
		case c == '\\':
			dst = append(dst, `\\\\`...)
		case c == '.':
			dst = append(dst, c)
		default:
			dst = appendLabel(dst, item[i:i+1])
		}
	}
	return dst
}

func (d *data) addr(n int) {
	if a, ok := netip.AddrFromSlice(d.take(n)); ok {
		d.out = a.AppendTo(d.out)
	}
}
