package tlswire

// reader takes values off the front of a message. A read past the end gives
// what is left, sets bad, and leaves the reader empty, so that a chain of reads
// needs no checks in between and a cut vector still yields its first entries.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) empty() bool { return len(r.b) == 0 }

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.bad = true
		n = len(r.b)
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
		r.bad = true
		r.b = nil
		return 0
	}
	v := uint16(r.b[0])<<8 | uint16(r.b[1])
	r.b = r.b[2:]
	return v
}

func (r *reader) u24() int {
	if len(r.b) < 3 {
		r.bad = true
		r.b = nil
		return 0
	}
	v := int(r.b[0])<<16 | int(r.b[1])<<8 | int(r.b[2])
	r.b = r.b[3:]
	return v
}

func (r *reader) u32() uint32 { return uint32(r.u16())<<16 | uint32(r.u16()) }

// vec8, vec16 and vec24 return the body of a vector behind a length of that
// many bits. The body ends with the reader if the vector does not fit.
func (r *reader) vec8() []byte  { return r.bytes(int(r.u8())) }
func (r *reader) vec16() []byte { return r.bytes(int(r.u16())) }
func (r *reader) vec24() []byte { return r.bytes(r.u24()) }

// maxEntries bounds every list that is read from a message.
const maxEntries = 1024

// appendUint16s appends the 16-bit numbers of body to list and reports whether
// all of body was read.
func appendUint16s(list []uint16, body []byte) ([]uint16, bool) {
	for len(body) >= 2 && len(list) < maxEntries {
		list = append(list, uint16(body[0])<<8|uint16(body[1]))
		body = body[2:]
	}
	return list, len(body) == 0
}
