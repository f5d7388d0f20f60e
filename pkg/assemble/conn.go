package assemble

import (
	"encoding/binary"
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
	hash       uint64
	prev, next *conn
	first      int64 // ns since the Unix epoch
	last       int64
	shift      int64 // what is added to packet times since the clock jumped
	reported   int64 // last report, or the start
	side       [2]counters
	data       *payload // nil until a packet carries payload
	tcp        tcpState
	source     *Source
	resolution *resolution
	answers    flow.DNSContext
	http       *flow.HTTPContext // when asked for
	opening    *[2][]byte        // window and options of the segments with SYN, when asked for
	ordinal    uint32
	part       uint32
	queries    uint32 // of DNS, not answered yet
	class      class
	client     uint8 // side
	opener     uint8 // side that sent the first packet
	app        flow.App
	before     flow.App // that TLS or DTLS came after
	ttl        [2]uint8 // of each side's first packet
	truncated  bool
	tunnel     bool // an HTTP client has asked for one, or the server switches to another protocol
}

// counters is what is kept of a side that sent no payload.
type counters struct {
	packets, bytes, payload uint64
}

// payload is what is kept of a flow that carries payload.
type payload struct {
	side     [2]half
	sequence entries   // lengths positive from side A
	tls      *tlsState // nil until a side speaks TLS
	web      *webState // nil until a side speaks HTTP/1
	listed   [2]uint8  // entries of each side
	written  bool      // by the pool, for no other use
}

// half is what is kept of one side's payload.
type half struct {
	packets, lengthSum, lengthSquares uint64
	retransmitted, gaps               uint64
	short                             uint64 // QUIC: packets with a short header
	sizes                             [8]uint64
	lengthMax                         uint32
	datagrams                         uint16 // kept
	seq                               sequence
	stream                            stream
	head                              head
	bytes                             byteCounter // of the payload
}

// account adds a packet to its flow, and reports whether that was its last one.
func (c *conn) account(t *Table, v *packet.View) (done bool) {
	side := sideOf(v)
	s := &c.side[side]
	if s.packets == 0 {
		c.ttl[side] = v.TTL()
	}
	s.packets += uint64(v.Packets)
	s.bytes += uint64(v.Bytes)
	s.payload += uint64(v.Length)
	c.truncated = c.truncated || v.Truncated
	tcp := v.Key.Protocol == packet.ProtocolTCP
	if tcp {
		c.control(t, v, side)
	} else if c.class.halfOpen() && c.side[1-side].packets > 0 {
		t.move(c, c.class.established())
	}
	if v.Length == 0 {
		return false
	}
	if tcp && t.cfg.HTTPContext && isHTTPMessage(v) {
		t.Learn(v)
	}
	if c.data == nil {
		c.data = t.pool.payload()
	}
	h := &c.data.side[side]
	if tcp {
		seq := v.Seq
		if v.Flags&packet.SYN != 0 {
			seq++ // data with the SYN (TCP Fast Open)
		}
		if !h.seq.known {
			h.seq.next, h.seq.known = c.tcp.firstByte(side, seqNum(seq))
		}
		if h.seq.keepAlive(seq, v.Length) {
			return false
		}
		if h.seq.retransmission(seq, v.Length) {
			h.retransmitted++
		} else {
			c.list(t, h, side, v)
		}
		// What overlaps may still hold bytes that fill a gap of the stream.
		h.stream.add(c, t, side, seq, v)
		return false
	}
	c.list(t, h, side, v)
	h.bytes.add(v.Payload)
	return c.datagram(t, h, side, v)
}

// list enters a data packet into the counters and the packet sequence.
func (c *conn) list(t *Table, h *half, side int, v *packet.View) {
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
	d.listed[side]++
	length := int64(min(v.Length, packetLengthMax))
	if side == sideB {
		length = -length
	}
	d.sequence.add(&t.pool, v.Time-c.first, packetBits, uint64(length))
}

// keepOpening keeps what a side's segment with SYN says of its TCP stack.
func (c *conn) keepOpening(v *packet.View, side int) {
	if c.opening == nil {
		c.opening = new([2][]byte)
	}
	if c.opening[side] == nil {
		c.opening[side] = append(binary.BigEndian.AppendUint16(nil, v.Window), v.TCPOptions()...)
	}
}

// sizeBin returns the bin of flow.Half.Sizes.
func sizeBin(n uint32) int { return min(max(bits.Len32(n)-4, 0), 7) }

// drain hands over what waits for a gap that will not be filled any more.
func (c *conn) drain(t *Table) {
	if c.data == nil {
		return
	}
	for side := range c.data.side {
		c.data.side[side].stream.flush(c, t, side)
	}
}
