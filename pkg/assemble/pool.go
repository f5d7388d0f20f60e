package assemble

import "math/bits"

// pool keeps the memory of closed flows for new ones. It belongs to one Table,
// and holds at most what that table once needed at the same time.
type pool struct {
	conns    []*conn
	payloads []*payload
	states   []*tlsState
	segments *segment
	buffers  [12][][]byte // by capacity: 256 << index
}

func (p *pool) conn() *conn {
	if n := len(p.conns); n > 0 {
		c := p.conns[n-1]
		p.conns = p.conns[:n-1]
		*c = conn{}
		return c
	}
	return new(conn)
}

func (p *pool) payload() *payload {
	if n := len(p.payloads); n > 0 {
		d := p.payloads[n-1]
		p.payloads = p.payloads[:n-1]
		return d
	}
	return new(payload)
}

func (p *pool) tls() *tlsState {
	if n := len(p.states); n > 0 {
		s := p.states[n-1]
		p.states = p.states[:n-1]
		return s
	}
	return new(tlsState)
}

// release takes back a flow and all that it holds.
func (p *pool) release(c *conn) {
	if d := c.data; d != nil {
		for side := range d.side {
			p.releaseBytes(d.side[side].head.kept)
		}
		if s := d.tls; s != nil {
			s.reset()
			p.states = append(p.states, s)
		}
		d.reset()
		p.payloads = append(p.payloads, d)
	}
	c.data, c.resolution = nil, nil
	p.conns = append(p.conns, c)
}

// reset clears what was used; lists are valid up to their length only.
func (d *payload) reset() {
	d.n, d.listed, d.side, d.tls = 0, [2]uint8{}, [2]half{}, nil
}

func (s *tlsState) reset() { s.n, s.listed, s.side = 0, [2]uint8{}, [2]tlsHalf{} }

func (p *pool) segment() *segment {
	if s := p.segments; s != nil {
		p.segments = s.next
		return s
	}
	return new(segment)
}

func (p *pool) releaseSegment(s *segment) {
	s.next = p.segments
	p.segments = s
}

// appendBytes appends to a buffer of the pool.
func (p *pool) appendBytes(dst, b []byte) []byte {
	if n := len(dst) + len(b); n > cap(dst) {
		grown := p.bytes(n)
		grown = append(grown, dst...)
		p.releaseBytes(dst)
		dst = grown
	}
	return append(dst, b...)
}

func (p *pool) bytes(n int) []byte {
	i := bufferClass(n)
	if i >= len(p.buffers) {
		return make([]byte, 0, n)
	}
	if list := p.buffers[i]; len(list) > 0 {
		b := list[len(list)-1]
		p.buffers[i] = list[:len(list)-1]
		return b
	}
	return make([]byte, 0, 256<<i)
}

func (p *pool) releaseBytes(b []byte) {
	if cap(b) == 0 {
		return
	}
	if i := bufferClass(cap(b)); i < len(p.buffers) && cap(b) == 256<<i {
		p.buffers[i] = append(p.buffers[i], b[:0])
	}
}

// bufferClass returns the smallest i with 256<<i at least n.
func bufferClass(n int) int { return bits.Len(uint((n - 1) >> 8)) }
