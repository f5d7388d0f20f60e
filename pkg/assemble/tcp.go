package assemble

import (
	"trench/pkg/flow"
	"trench/pkg/packet"
)

// seqNum is a TCP sequence number; its order wraps.
type seqNum uint32

func (a seqNum) before(b seqNum) bool { return int32(a-b) < 0 }
func (a seqNum) to(b seqNum) int      { return int(int32(b - a)) }

// tcpState follows opening and end of a TCP connection.
type tcpState struct {
	synTime  int64 // of the last SYN before the SYN-ACK
	rtt      int64 // ns, 0 until the handshake is complete
	syn, fin [2]bool
	isn      [2]seqNum // valid with syn
	synAck   bool
	acked    bool // the handshake is complete, or was never whole
	rst      bool
}

// control follows the flags of a packet.
func (c *conn) control(t *Table, v *packet.View, side int) {
	s := &c.tcp
	switch {
	case v.Flags&packet.SYN != 0:
		s.syn[side], s.isn[side] = true, seqNum(v.Seq)
		switch {
		case v.Flags&packet.ACK != 0:
			s.synAck = true
			c.client = uint8(1 - side)
		case !s.syn[1-side]: // else a simultaneous open: the first SYN stands
			s.synTime = v.Time
			c.client = uint8(side)
		}
	case !s.acked && s.synAck && side == int(c.client) && v.Flags&packet.ACK != 0:
		s.acked = true
		if s.synTime != 0 && v.Time >= s.synTime {
			s.rtt = max(v.Time-s.synTime, 1)
		}
	}
	if v.Flags&packet.FIN != 0 {
		s.fin[side] = true
	}
	if v.Flags&packet.RST != 0 {
		s.rst = true
	}
	if c.class != classClosing && (s.rst || s.fin[sideA] && s.fin[sideB]) {
		t.lists[c.class].remove(c)
		c.class = classClosing
		t.lists[c.class].push(c)
	}
}

// opened reports whether the start of the connection was seen.
func (s *tcpState) opened() bool { return s.syn[sideA] || s.syn[sideB] }

// reusedBy reports whether v opens a new connection on the ports of c: a SYN
// after the end of c, or with another sequence number than the one that opened c.
func (c *conn) reusedBy(v *packet.View) bool {
	if v.Flags&(packet.SYN|packet.ACK|packet.RST) != packet.SYN {
		return false
	}
	if c.class == classClosing {
		return true
	}
	side, s := sideOf(v), &c.tcp
	if s.syn[side] {
		return s.isn[side] != seqNum(v.Seq)
	}
	// The first SYN of this side. Alone with the other side's SYN it is a
	// simultaneous open, anything else is a new connection.
	return !(s.syn[1-side] && !s.synAck && c.data == nil)
}

// endReason says why a flow ended: by FIN or RST, else as told.
func (c *conn) endReason(open flow.EndReason) flow.EndReason {
	switch {
	case c.class != classClosing:
		return open
	case c.tcp.rst:
		return flow.EndRST
	}
	return flow.EndFIN
}

// sequence tells new data of one side from data seen before. It knows the
// highest sequence number and the last few holes below it.
type sequence struct {
	next  seqNum
	known bool
	n     uint8
	holes [4]struct{ from, to seqNum }
}

// retransmission enters length bytes at seq and reports whether all of them
// had been seen.
func (s *sequence) retransmission(seq uint32, length uint32) bool {
	from, to := seqNum(seq), seqNum(seq+length)
	if !s.known {
		s.known, s.next = true, to
		return false
	}
	if !from.before(s.next) {
		if from != s.next {
			if int(s.n) == len(s.holes) { // the oldest is given up
				copy(s.holes[:], s.holes[1:])
				s.n--
			}
			s.holes[s.n].from, s.holes[s.n].to = s.next, from
			s.n++
		}
		s.next = to
		return false
	}
	fresh := s.next.before(to)
	if fresh {
		s.next = to
	}
	for i := 0; i < int(s.n); i++ {
		h := &s.holes[i]
		if !from.before(h.to) || !h.from.before(to) {
			continue
		}
		fresh = true
		switch left, right := h.from.before(from), to.before(h.to); {
		case left && right: // split; without room for the rest it counts as seen
			rest := h.to
			h.to = from
			if int(s.n) < len(s.holes) {
				s.holes[s.n].from, s.holes[s.n].to = to, rest
				s.n++
			}
		case left:
			h.to = from
		case right:
			h.from = to
		default:
			s.n--
			*h = s.holes[s.n]
			i--
		}
	}
	return !fresh
}
