package quicwire

import "encoding/binary"

// reader takes values off the front of a packet. A read past the end gives
// what is left, sets bad, and leaves the reader empty, so that a chain of reads
// needs no checks in between.
type reader struct {
	b      []byte
	bad    bool
	little bool // uint reads little endian
}

func (r *reader) empty() bool { return len(r.b) == 0 }

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad = true
		n = uint64(len(r.b))
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8 {
	if len(r.b) < 1 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u16() uint16 {
	if len(r.b) < 2 {
		r.bad, r.b = true, nil
		return 0
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

func (r *reader) u32() uint32 {
	if len(r.b) < 4 {
		r.bad, r.b = true, nil
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// uint reads a number of n bytes, at most 8.
func (r *reader) uint(n int) uint64 {
	var v uint64
	for i, b := range r.bytes(uint64(n)) {
		if r.little {
			v |= uint64(b) << (8 * i)
		} else {
			v = v<<8 | uint64(b)
		}
	}
	return v
}

// varint reads a variable-length integer (RFC 9000 section 16): the two high
// bits of the first byte are the logarithm of the length.
func (r *reader) varint() uint64 {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	n := 1 << (r.b[0] >> 6)
	v := uint64(r.b[0] & 0x3f)
	if len(r.b) < n {
		r.bad, r.b = true, nil
		return 0
	}
	for _, b := range r.b[1:n] {
		v = v<<8 | uint64(b)
	}
	r.b = r.b[n:]
	return v
}

// zeros passes over bytes of zero. Padding is most of many packets.
func (r *reader) zeros() {
	n := 0
	for n < len(r.b) && r.b[n] == 0 {
		n++
	}
	r.b = r.b[n:]
}
