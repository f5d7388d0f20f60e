package assemble

import (
	"math/bits"

	"trench/pkg/flow"
	"trench/pkg/packet"
)

// The sides of a conn are those of its key; which one is the client is known
// for sure only later.
const (
	sideA = iota
	sideB
)

// sideOf returns the side that sent v.
func sideOf(v *packet.View) int {
	if v.Forward {
		return sideA
	}
	return sideB
}

// conn is a flow in the table.
type conn struct {
	key        flow.Key
	prev, next *conn
	first      int64 // ns since the Unix epoch
	last       int64
	reported   int64 // last report, or the start
	ordinal    uint32
	part       uint32
	class      class
	client     uint8 // side
	app        flow.App
	truncated  bool
	resolution *resolution
	tcp        tcpState
	side       [2]counters
	data       *payload // nil until a packet carries payload
}

// counters is what is kept of a side that sent no payload.
type counters struct {
	packets, bytes, payload uint64
}

// payload is what is kept of a flow that carries payload.
type payload struct {
	sequence [2 * flow.SPLTPackets]flow.Packet // length positive from side A
	n        uint8
	listed   [2]uint8 // entries of each side
	side     [2]half
	tls      *tlsState // nil until a side speaks TLS
}

// half is what is kept of one side's payload.
type half struct {
	packets, retransmitted, lengthSum, lengthSquares uint64
	gaps                                             uint64
	lengthMax                                        uint32
	sizes                                            [8]uint64
	bytes                                            byteCounter // of the payload
	seq                                              sequence
	stream                                           stream
	head                                             head
}

// account adds a packet to its flow.
func (c *conn) account(t *Table, v *packet.View) {
	side := sideOf(v)
	s := &c.side[side]
	s.packets++
	s.bytes += uint64(v.Bytes)
	s.payload += uint64(v.Length)
	c.truncated = c.truncated || v.Truncated
	if v.Key.Protocol == packet.ProtocolTCP {
		c.control(t, v, side)
	}
	if v.Length == 0 {
		return
	}
	if c.data == nil {
		c.data = t.pool.payload()
	}
	h := &c.data.side[side]
	if v.Key.Protocol == packet.ProtocolTCP {
		seq := v.Seq
		if v.Flags&packet.SYN != 0 {
			seq++ // data with the SYN (TCP Fast Open)
		}
		if !h.seq.known && c.tcp.syn[side] {
			h.seq.known, h.seq.next = true, c.tcp.isn[side]+1
		}
		if h.seq.retransmission(seq, v.Length) {
			h.retransmitted++
		} else {
			c.list(h, side, v)
		}
		// What overlaps may still hold bytes that fill a gap of the stream.
		h.stream.add(c, t, side, seq, v)
		return
	}
	c.list(h, side, v)
	h.bytes.add(v.Payload)
	c.datagram(t, h, v)
}

// list enters a data packet into the counters and the packet sequence.
func (c *conn) list(h *half, side int, v *packet.View) {
	n := uint64(v.Length)
	h.packets++
	h.lengthSum += n
	h.lengthSquares += n * n
	h.lengthMax = max(h.lengthMax, v.Length)
	h.sizes[sizeBin(v.Length)]++
	d := c.data
	if d.listed[side] == flow.SPLTPackets {
		return
	}
	length := int32(v.Length)
	if side == sideB {
		length = -length
	}
	d.sequence[d.n] = flow.Packet{Length: length, Offset: v.Time - c.first}
	d.n++
	d.listed[side]++
}

// sizeBin returns the bin of flow.Half.Sizes.
func sizeBin(n uint32) int { return min(max(bits.Len32(n)-4, 0), 7) }

// byteCounter counts the first flow.CountedBytes bytes by value.
type byteCounter struct {
	counted uint32
	counts  [256]uint16
}

func (c *byteCounter) full() bool { return c.counted >= flow.CountedBytes }

func (c *byteCounter) add(b []byte) {
	if c.full() {
		return
	}
	b = b[:min(len(b), flow.CountedBytes-int(c.counted))]
	c.counted += uint32(len(b))
	counts := &c.counts
	for len(b) >= 8 {
		counts[b[0]]++
		counts[b[1]]++
		counts[b[2]]++
		counts[b[3]]++
		counts[b[4]]++
		counts[b[5]]++
		counts[b[6]]++
		counts[b[7]]++
		b = b[8:]
	}
	for _, v := range b {
		counts[v]++
	}
}

// drain hands over what waits for a gap that will not be filled any more.
func (c *conn) drain(t *Table) {
	if c.data == nil {
		return
	}
	for side := range c.data.side {
		c.data.side[side].stream.flush(c, t, side)
	}
}
