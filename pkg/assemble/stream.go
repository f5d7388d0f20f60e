package assemble

import (
	"trench/pkg/packet"
)

// maxAhead is how far a segment may be ahead of its turn: the largest window
// that TCP can announce (RFC 7323, section 2.3). What is farther is no part of
// the connection, and would make the order of sequence numbers ambiguous.
const maxAhead = 1 << 30

// stream delivers the payload of one TCP direction in order. Segments that
// come early wait, sorted; where segments overlap the bytes that came first win.
// It rests once nobody listens any more.
type stream struct {
	next    seqNum // next byte to deliver
	started bool
	done    bool     // nobody listens any more
	wait    *segment // sorted by sequence number, not overlapping
	waiting int      // held by wait
}

// segment is payload that came before its turn.
type segment struct {
	seq    seqNum
	length int    // on the wire
	data   []byte // captured
	time   int64
	next   *segment
}

// segmentOverhead is what a waiting segment counts besides its bytes, so that
// many small ones are bounded too.
const segmentOverhead = 128

// held is what a segment counts against the limits.
func (s *segment) held() int { return len(s.data) + segmentOverhead }

// add takes the payload of one packet.
func (s *stream) add(c *conn, t *Table, side int, seq uint32, v *packet.View) {
	if s.done {
		return
	}
	at := seqNum(seq)
	if !s.started {
		s.started, s.next = true, at
		if first, ok := c.tcp.firstByte(side, at); ok {
			s.next = first
		}
	}
	data, length := v.Payload, int(v.Length)
	if skip := at.to(s.next); skip > 0 { // begins before what was delivered
		if skip >= length {
			return
		}
		at, length = s.next, length-skip
		data = data[min(skip, len(data)):]
	} else if -skip > maxAhead {
		t.stats.PendingDrops++
		return
	}
	if at == s.next && s.wait == nil {
		s.deliver(c, t, side, data, length, v.Time)
		return
	}
	s.insert(t, at, data, length, v.Time)
	s.advance(c, t, side)
	limit := t.cfg.PendingBytes
	for s.wait != nil && (s.waiting > limit || t.pending > t.cfg.TotalPending) {
		t.stats.PendingDrops++
		s.skipGap(c, t, side)
	}
}

// insert keeps the parts of a segment that no waiting segment covers.
func (s *stream) insert(t *Table, at seqNum, data []byte, length int, time int64) {
	link := &s.wait
	for length > 0 {
		w := *link
		for w != nil && !at.before(w.seq+seqNum(w.length)) {
			link = &w.next
			w = *link
		}
		n := length
		if w != nil {
			if d := at.to(w.seq); d <= 0 { // starts inside w: that part came before
				cut := min(at.to(w.seq+seqNum(w.length)), length)
				at, length, data = at+seqNum(cut), length-cut, data[min(cut, len(data)):]
				continue
			} else if d < n {
				n = d
			}
		}
		seg := t.pool.segment()
		seg.seq, seg.length, seg.time, seg.next = at, n, time, w
		seg.data = t.pool.appendBytes(nil, data[:min(n, len(data))])
		*link = seg
		link = &seg.next
		s.waiting += seg.held()
		t.pending += seg.held()
		at, length, data = at+seqNum(n), length-n, data[min(n, len(data)):]
	}
}

// advance delivers what is in order now.
func (s *stream) advance(c *conn, t *Table, side int) {
	for w := s.wait; w != nil && w.seq == s.next && !s.done; w = s.wait {
		s.wait = w.next
		s.waiting -= w.held()
		t.pending -= w.held()
		s.deliver(c, t, side, w.data, w.length, w.time)
		t.pool.releaseSegment(w)
	}
	if s.done {
		s.discard(t)
	}
}

// skipGap gives up the bytes before the first waiting segment.
func (s *stream) skipGap(c *conn, t *Table, side int) {
	if missing := s.next.to(s.wait.seq); missing > 0 {
		s.lose(t, &c.data.side[side], missing)
		s.next = s.wait.seq
	}
	s.advance(c, t, side)
}

// flush delivers everything that waits, over its gaps.
func (s *stream) flush(c *conn, t *Table, side int) {
	for s.wait != nil {
		s.skipGap(c, t, side)
	}
}

func (s *stream) discard(t *Table) {
	for w := s.wait; w != nil; {
		next := w.next
		s.waiting -= w.held()
		t.pending -= w.held()
		t.pool.releaseSegment(w)
		w = next
	}
	s.wait = nil
}

// deliver hands captured bytes to the listeners; what the snap length cut off
// is lost.
func (s *stream) deliver(c *conn, t *Table, side int, data []byte, length int, time int64) {
	h := &c.data.side[side]
	s.next += seqNum(length)
	h.bytes.add(data)
	h.head.add(c, t, side, data, time)
	if lost := length - len(data); lost > 0 {
		s.lose(t, h, lost)
	}
	s.done = h.bytes.full() && h.head.state == headClosed
}

// lose tells the listeners of a side that n bytes, more than none, are missing.
func (s *stream) lose(t *Table, h *half, n int) {
	h.gaps += uint64(n)
	h.head.skip(t, n)
}
