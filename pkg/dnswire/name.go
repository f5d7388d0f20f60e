package dnswire

import (
	"unicode"
	"unicode/utf8"
)

const (
	maxNameLen  = 255
	maxPointers = 64
)

// appendName appends the name at off to dst. next is the offset just past the
// name where it stands; ok is false when the name is broken, and dst then holds
// the labels before the damage.
func appendName(dst, msg []byte, off int) (out []byte, next int, ok bool) {
	start := len(dst)
	next = -1
	pointers, length := 0, 0
	for {
		if off >= len(msg) {
			return dst, off, false
		}
		c := int(msg[off])
		switch {
		case c == 0:
			if next < 0 {
				next = off + 1
			}
			if len(dst) == start {
				dst = append(dst, '.')
			}
			return dst, next, true
		case c >= 0xc0:
			if off+1 >= len(msg) {
				return dst, off, false
			}
			if next < 0 {
				next = off + 2
			}
			if pointers++; pointers > maxPointers {
				return dst, off, false
			}
			off = (c&0x3f)<<8 | int(msg[off+1])
		case c >= 0x40: // extended labels are obsolete (RFC 6891 section 5)
			return dst, off, false
		default:
			length += 1 + c
			if off+1+c > len(msg) || length >= maxNameLen {
				return dst, off, false
			}
			if len(dst) > start {
				dst = append(dst, '.')
			}
			dst = appendLabel(dst, msg[off+1:off+1+c])
			off += 1 + c
		}
	}
}

// skipName returns the offset just past the name at off, without following
// pointers.
func skipName(msg []byte, off int) (next int, ok bool) {
	for off < len(msg) {
		c := int(msg[off])
		switch {
		case c == 0:
			return off + 1, true
		case c >= 0xc0:
			return off + 2, off+2 <= len(msg)
		case c >= 0x40:
			return off, false
		}
		off += 1 + c
	}
	return off, false
}

func appendLabel(dst, label []byte) []byte {
	for i := 0; i < len(label); {
		c := label[i]
		switch {
		case c == '.' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c > ' ' && c < 0x7f:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(label[i:])
			if c >= utf8.RuneSelf && (r != utf8.RuneError || n > 1) && unicode.IsPrint(r) {
				dst = append(dst, label[i:i+n]...)
				i += n
				continue
			}
			dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			i++
		}
	}
	return dst
}
