package assemble

import (
	"math/bits"

	"trench/pkg/flow"
)

// pool keeps the memory of closed flows for new ones. It belongs to one Table,
// and holds at most what that table once needed at the same time.
type pool struct {
	conns    []*conn
	payloads []*payload
	states   []*tlsState
	webs     []*webState
	segments *segment
	entries  [len(entryCaps)][][]uint64
	buffers  [bufferClasses][][]byte // by capacity
}

// entryCaps are the capacities of lists of entries.
var entryCaps = [...]int{8, 32, 2 * flow.SPLTPackets}

func (p *pool) conn() *conn {
	if n := len(p.conns); n > 0 {
		c := p.conns[n-1]
		p.conns = p.conns[:n-1]
		*c = conn{}
		return c
	}
	return new(conn)
}

// These many are made at a time, which fills 32 KiB. The first access to memory that
// is fresh from the system must be a write: a read maps the page of zeros, which the
// write after it has to replace, on all cores. Counters are read first, so a byte of
// each is written beforehand; none is longer than a page.
const (
	payloadSlab = 30
	stateSlab   = 48
	webSlab     = 315
)

func (p *pool) payload() *payload {
	return take(&p.payloads, payloadSlab, func(d *payload) { d.written = true })
}

func (p *pool) tls() *tlsState {
	return take(&p.states, stateSlab, func(s *tlsState) { s.written = true })
}

func (p *pool) web() *webState {
	return take(&p.webs, webSlab, func(w *webState) { w.written = true })
}

// take returns one of those that are free; when there is none, slab are made and
// written to.
func take[T any](free *[]*T, slab int, write func(*T)) *T {
	if len(*free) == 0 {
		made := make([]T, slab)
		for i := range made {
			write(&made[i])
			*free = append(*free, &made[i])
		}
	}
	last := len(*free) - 1
	x := (*free)[last]
	*free = (*free)[:last]
	return x
}

// release takes back a flow and all that it holds.
func (t *Table) release(c *conn) {
	p := &t.pool
	if d := c.data; d != nil {
		for side := range d.side {
			t.forget(&d.side[side].head)
		}
		if w := d.web; w != nil {
			for side := range w.side {
				t.giveBack(w.side[side].heads)
			}
			*w = webState{}
			p.webs = append(p.webs, w)
		}
		if s := d.tls; s != nil {
			p.releaseEntries(s.records.list)
			*s = tlsState{}
			p.states = append(p.states, s)
		}
		p.releaseEntries(d.sequence.list)
		*d = payload{}
		p.payloads = append(p.payloads, d)
	}
	c.data, c.resolution, c.source, c.opening, c.http = nil, nil, nil, nil, nil
	p.conns = append(p.conns, c)
}

// growEntries moves a full list into a larger one.
func (p *pool) growEntries(old []uint64) []uint64 {
	i := 0
	for entryCaps[i] <= len(old) {
		i++
	}
	var list []uint64
	if free := p.entries[i]; len(free) > 0 {
		list = free[len(free)-1]
		p.entries[i] = free[:len(free)-1]
	} else {
		list = make([]uint64, 0, entryCaps[i])
	}
	list = append(list, old...)
	p.releaseEntries(old)
	return list
}

func (p *pool) releaseEntries(list []uint64) {
	for i, n := range entryCaps {
		if cap(list) == n {
			p.entries[i] = append(p.entries[i], list[:0])
		}
	}
}

func (p *pool) segment() *segment {
	if s := p.segments; s != nil {
		p.segments = s.next
		return s
	}
	return new(segment)
}

func (p *pool) releaseSegment(s *segment) {
	p.releaseBytes(s.data)
	s.data = nil
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
	return make([]byte, 0, bufferCap(i))
}

func (p *pool) releaseBytes(b []byte) {
	if cap(b) == 0 {
		return
	}
	if i := bufferClass(cap(b)); i < len(p.buffers) && cap(b) == bufferCap(i) {
		p.buffers[i] = append(p.buffers[i], b[:0])
	}
}

// Buffers have 4, 5, 6 or 7 times a power of two bytes, from 256 to 896 KiB, so that
// at most a fifth is in vain.
const bufferClasses = 48

func bufferCap(i int) int { return (4 + i&3) << (6 + i>>2) }

// bufferClass returns the smallest class that holds n bytes.
func bufferClass(n int) int {
	if n <= 256 {
		return 0
	}
	shift := bits.Len(uint(n-1)) - 3 // of the quarter steps
	return (shift-6)*4 + (n-1)>>shift - 4 + 1
}
