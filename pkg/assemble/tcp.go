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
	synTime    int64     // of the last SYN before the SYN-ACK
	rtt        int64     // ns, 0 until the handshake is complete
	isn        [2]seqNum // valid with syn
	next       [2]seqNum // after the last that a side sent, valid with sent
	ack        [2]seqNum // what a side acknowledged last, valid with acks
	sent, acks [2]bool
	syn, fin   [2]bool
	synAck     bool
	acked      bool // the handshake is complete, or was never whole
	rst        bool
}

// control follows flags and sequence numbers of a packet.
func (c *conn) control(t *Table, v *packet.View, side int) {
	s := &c.tcp
	if v.Flags&packet.RST != 0 {
		if !s.resets(v, side) {
			return
		}
		s.rst = true
	}
	s.follow(v, side)
	switch {
	case v.Flags&packet.SYN != 0:
		s.syn[side], s.isn[side] = true, seqNum(v.Seq)
		if t.cfg.Openings {
			c.keepOpening(v, side)
		}
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
	switch {
	case c.class == classClosing:
	case s.rst || s.fin[sideA] && s.fin[sideB]:
		t.move(c, classClosing)
	case c.class.halfOpen() && c.side[1-side].packets > 0 &&
		(s.acked || !s.opened() || c.side[sideA].payload > 0 && c.side[sideB].payload > 0):
		t.move(c, c.class.established())
	}
}

// follow notes how far a side has sent and acknowledged.
func (s *tcpState) follow(v *packet.View, side int) {
	end := seqNum(v.Seq + v.Length)
	if v.Flags&(packet.SYN|packet.FIN) != 0 {
		end++
	}
	if ahead := s.next[side].to(end); !s.sent[side] || ahead > 0 && ahead <= maxAhead {
		s.sent[side], s.next[side] = true, end
	}
	if v.Flags&packet.ACK != 0 {
		if ahead := s.ack[side].to(seqNum(v.Ack)); !s.acks[side] || ahead > 0 && ahead <= maxAhead {
			s.acks[side], s.ack[side] = true, seqNum(v.Ack)
		}
	}
}

const (
	// resetBack is how far a RST may be behind what its sender has sent: it repeats
	// the acknowledgement of the segment that it answers, which may be a window old.
	resetBack = 1 << 16
	// resetAhead is how far it may be ahead: a segment may have been lost before it.
	resetAhead = 1 << 11
)

// resets reports whether a RST ends the connection. Its sequence number must be
// near what its sender has come to, or was acknowledged not long ago; a host
// ignores any other, which may be forged (RFC 5961, section 3). A RST of a side
// that sent nothing so far answers the other side, and must acknowledge what that
// sent.
func (s *tcpState) resets(v *packet.View, side int) bool {
	at, other := seqNum(v.Seq), 1-side
	if s.sent[side] {
		top := s.next[side]
		if s.acks[other] && top.before(s.ack[other]) {
			top = s.ack[other] // its last segments were not captured
		}
		return within(at.to(top), resetAhead, resetBack)
	}
	if v.Flags&packet.ACK != 0 && s.sent[other] {
		return within(seqNum(v.Ack).to(s.next[other]), resetAhead, resetBack)
	}
	if s.acks[other] {
		return within(at.to(s.ack[other]), resetAhead, resetBack)
	}
	return true
}

// within reports whether a number that is so far behind, ahead if negative, is
// near enough.
func within(behind, ahead, back int) bool { return behind >= -ahead && behind <= back }

// nearby is how far apart the numbers of two packets of one connection may be that
// the clock says are far apart.
const nearby = 1 << 20

// continues reports whether a packet's numbers go on where its sender, or what the
// other side knows of it, has come to.
func (s *tcpState) continues(v *packet.View, side int) bool {
	other := 1 - side
	if v.Flags&(packet.SYN|packet.ACK) == packet.SYN {
		return s.syn[side] && s.isn[side] == seqNum(v.Seq)
	}
	near := false
	if s.sent[side] {
		if near = within(seqNum(v.Seq).to(s.next[side]), nearby, nearby); !near {
			return false
		}
	}
	if s.sent[other] && v.Flags&packet.ACK != 0 {
		return within(seqNum(v.Ack).to(s.next[other]), nearby, nearby)
	}
	return near
}

// firstByte returns the number of the first byte of a side, of whose segments one is
// at a number, when it is known: it follows the SYN. Where a server has answered
// with several SYNs it is what the other side has acknowledged.
func (s *tcpState) firstByte(side int, at seqNum) (first seqNum, known bool) {
	if !s.syn[side] {
		return 0, false
	}
	first = s.isn[side] + 1
	if ack := s.ack[1-side]; s.acks[1-side] && !within(at.to(first), nearby, nearby) && within(at.to(ack), nearby, nearby) {
		return ack, true
	}
	return first, true
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

// keepAlive reports whether a segment only asks whether the peer is there: one
// byte before the next one (RFC 9293, section 3.8.4).
func (s *sequence) keepAlive(seq uint32, length uint32) bool {
	return length == 1 && s.known && seqNum(seq+1) == s.next
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
