package wire

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"
	"slices"
)

// The values of a vector as schemas/proto/trench/v1/features.proto draws them. Of
// the 372 columns of a TLS flow most are zero, not known or a small whole number, so
// that they take 430 bytes instead of 1,488.

const (
	unknown = 0x7fc00000 // the NaN that arithmetic gives
	// whole numbers below it are written as varints: they take 3 bytes at most
	smallWhole = 1 << 21
	// whole numbers above it are not all float32
	exactWhole = 1 << 24
)

// values writes a vector. The bits of every float32 come back as they are.
func (w *writer) values(num uint64, v []float32) {
	if len(v) == 0 || !w.fits("vector", len(v), MaxVector) {
		return
	}
	var stack [2048]byte // enough for what the default schema has
	size := (len(v) + 7) / 8
	b := binary.AppendUvarint(slices.Grow(stack[:0], 3+2*size+4*len(v)), uint64(len(v)))
	maps := len(b)
	b = b[:maps+2*size]
	some, kind := b[maps:maps+size:maps+size], b[maps+size:]
	for base := 0; base < len(v); base += 8 {
		var s, k byte
		for i, f := range v[base:min(base+8, len(v))] {
			x := math.Float32bits(f)
			switch n := int32(f); {
			case x == 0:
			case x == unknown:
				k |= 1 << i
			case n > 0 && n < smallWhole && float32(n) == f:
				s |= 1 << i
				b = appendWhole(b, uint32(n))
			default:
				s |= 1 << i
				k |= 1 << i
			}
		}
		some[base/8], kind[base/8] = s, k
	}
	for base := range some {
		for m := some[base] & kind[base]; m != 0; m &= m - 1 {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v[base*8+bits.TrailingZeros8(m)]))
		}
	}
	w.bytes(num, b)
}

func appendWhole(b []byte, n uint32) []byte {
	if n < 0x80 {
		return append(b, byte(n))
	}
	return binary.AppendUvarint(b, uint64(n))
}

// values reads a vector into dst's memory.
func (c *check) values(b []byte, dst []float32) []float32 {
	f := fields{b: b, check: c}
	n := f.varint()
	if n > MaxVector {
		c.fail("values", "%d columns, the limit is %d", n, MaxVector)
		return dst[:0]
	}
	size := (int(n) + 7) / 8
	if len(f.b) < 2*size {
		c.fail("values", "%d columns in %d bytes", n, len(b))
		return dst[:0]
	}
	some, kind := f.b[:size], f.b[size:2*size]
	f.b = f.b[2*size:]
	if n&7 != 0 && (some[size-1]|kind[size-1])>>(n&7) != 0 {
		c.fail("values", "more than the %d columns it names", n)
		return dst[:0]
	}
	dst = slices.Grow(dst[:0], int(n))[:n]
	clear(dst)
	for i := range some {
		for m := kind[i] &^ some[i]; m != 0; m &= m - 1 {
			dst[i*8+bits.TrailingZeros8(m)] = math.Float32frombits(unknown)
		}
		for m := some[i] &^ kind[i]; m != 0; m &= m - 1 {
			whole := f.varint()
			if whole > exactWhole {
				c.fail("values", "the whole number %d is above %d", whole, exactWhole)
			}
			dst[i*8+bits.TrailingZeros8(m)] = float32(whole)
		}
	}
	for i := range some {
		for m := some[i] & kind[i]; m != 0; m &= m - 1 {
			if len(f.b) < 4 {
				f.broken(io.ErrUnexpectedEOF)
				return dst
			}
			dst[i*8+bits.TrailingZeros8(m)] = math.Float32frombits(binary.LittleEndian.Uint32(f.b))
			f.b = f.b[4:]
		}
	}
	if len(f.b) > 0 {
		c.fail("values", "%d bytes are left", len(f.b))
	}
	return dst
}
