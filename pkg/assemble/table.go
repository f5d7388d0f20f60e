// Package assemble keeps the flow table: it turns decoded packets into flows.
// A flow leaves the table exactly once (reports of open flows apart):
//
//	new --> open --> closing --> emitted
//	          \-- idle, evicted, reuse, end of input --^
//
// A flow is closing after RST or FIN both ways, and emitted when it has been
// silent for Linger. A flow ends by idleness when its own next packet comes too
// late, or when Expire is told that this much time has passed; both give the
// same flow, so the result does not depend on what else is in the table.
//
// Each TCP direction is reassembled in order for as long as somebody listens:
// the first bytes are counted by value and searched for a protocol; a TLS
// stream is then walked from record header to record header to its end, and
// the records that are not application data are kept as handshake bytes.
//
// A Table is not safe for concurrent use. It allocates nothing per packet once
// its pools are filled.
package assemble

import (
	"trench/pkg/flow"
	"trench/pkg/packet"
)

// Stats counts what a Table did.
type Stats struct {
	Flows        uint64 // emitted as final
	Reports      uint64 // of open flows
	Evicted      uint64 // flows that ended because of max_flows
	PendingDrops uint64 // out-of-order segments given up because of pending_bytes or total_pending
	DNSDrops     uint64 // remembered answers given up because of dns_answers
	Open         uint64 // flows in the table now
}

// Table is the flow table of one worker.
type Table struct {
	cfg    Config
	source string
	emit   func(*flow.Flow)

	conns   map[flow.Key]*conn
	lists   [classes]list
	idle    [classes]int64 // ns
	pool    pool
	pending int // bytes out of order
	dns     resolutions
	stats   Stats
	out     flow.Flow // what emit sees
}

// New returns an empty table. emit is called for every flow; its argument is
// valid until it returns.
func New(cfg Config, source string, emit func(*flow.Flow)) *Table {
	t := &Table{cfg: cfg, source: source, emit: emit, conns: make(map[flow.Key]*conn)}
	t.idle = [classes]int64{classTCP: int64(cfg.TCPIdle), classOther: int64(cfg.OtherIdle), classClosing: int64(cfg.Linger)}
	t.dns = newResolutions(cfg.DNSAnswers, int64(cfg.DNSAge))
	return t
}

// Stats returns the counters so far.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Open = uint64(len(t.conns))
	s.DNSDrops = t.dns.dropped
	return s
}

// Reset gives the table a new source. It must have been flushed; what it
// remembers of DNS is forgotten, counters go on.
func (t *Table) Reset(source string) {
	t.source = source
	t.dns.clear()
}

// Add accounts for one packet.
func (t *Table) Add(v *packet.View) {
	c, ordinal := t.conns[v.Key], uint32(0)
	if c != nil {
		if reason := t.endedBefore(c, v); reason != flow.EndNone {
			if c.first == v.Time {
				ordinal = c.ordinal + 1
			}
			t.close(c, reason)
			c = nil
		}
	}
	if c == nil {
		c = t.open(v, ordinal)
	} else {
		if v.Time-c.reported >= int64(t.cfg.Active) {
			t.report(c)
			c.reported = v.Time
		}
		if l := &t.lists[c.class]; l.tail != c {
			l.remove(c)
			l.push(c)
		}
	}
	c.last = max(c.last, v.Time)
	c.account(t, v)
}

// endedBefore says why a flow had ended before a packet with its key came,
// EndNone when it goes on.
func (t *Table) endedBefore(c *conn, v *packet.View) flow.EndReason {
	switch {
	case v.Time-c.last > t.idle[c.class]:
		return c.endReason(flow.EndIdle)
	case v.Key.Protocol == packet.ProtocolTCP && c.reusedBy(v):
		return c.endReason(flow.EndReuse)
	}
	return flow.EndNone
}

// Flush ends every open flow, oldest first, because the input has ended.
func (t *Table) Flush() {
	for {
		c := t.oldest()
		if c == nil {
			return
		}
		t.close(c, c.endReason(flow.EndEOF))
	}
}

// open makes a flow for its first packet. ordinal tells it from flows of the
// same key that began at the same time.
func (t *Table) open(v *packet.View, ordinal uint32) *conn {
	if len(t.conns) >= t.cfg.MaxFlows {
		t.stats.Evicted++
		t.close(t.oldest(), flow.EndEvicted)
	}
	c := t.pool.conn()
	c.key, c.first, c.last, c.reported, c.ordinal = v.Key, v.Time, v.Time, v.Time, ordinal
	c.class = classOther
	if v.Key.Protocol == packet.ProtocolTCP {
		c.class = classTCP
	}
	c.client = uint8(sideOf(v))
	c.resolution = t.dns.lookup(v)
	t.conns[v.Key] = c
	t.lists[c.class].push(c)
	return c
}

// Expire closes what has been silent for too long at time now (ns since the
// Unix epoch). It is called every now and then; a flow whose next packet comes
// too late ends without it.
func (t *Table) Expire(now int64) {
	for class := range t.lists {
		for {
			c := t.lists[class].head
			if c == nil || now-c.last <= t.idle[class] {
				break
			}
			t.close(c, c.endReason(flow.EndIdle))
		}
	}
}

// oldest returns the flow that has been silent for longest, closing ones first.
func (t *Table) oldest() *conn {
	if c := t.lists[classClosing].head; c != nil {
		return c
	}
	a, b := t.lists[classTCP].head, t.lists[classOther].head
	if a == nil || b != nil && b.last < a.last {
		return b
	}
	return a
}

// close emits a flow for the last time and forgets it.
func (t *Table) close(c *conn, reason flow.EndReason) {
	t.lists[c.class].remove(c)
	delete(t.conns, c.key)
	c.drain(t)
	t.fill(c, reason)
	t.out.Final = true
	t.stats.Flows++
	t.emit(&t.out)
	t.pool.release(c)
}

// report emits an open flow so far.
func (t *Table) report(c *conn) {
	if t.cfg.Reports {
		t.fill(c, flow.EndActive)
		t.stats.Reports++
		t.emit(&t.out)
	}
	c.part++
}

// class groups flows that share a time-out.
type class uint8

const (
	classTCP class = iota
	classOther
	classClosing
	classes
)

// list holds flows in the order of their last packet.
type list struct{ head, tail *conn }

func (l *list) push(c *conn) {
	c.prev, c.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = c
	} else {
		l.head = c
	}
	l.tail = c
}

func (l *list) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.tail = c.prev
	}
	c.prev, c.next = nil, nil
}

// Add sums the counters of tables that share a capture.
func (s *Stats) Add(o Stats) {
	s.Flows += o.Flows
	s.Reports += o.Reports
	s.Evicted += o.Evicted
	s.PendingDrops += o.PendingDrops
	s.DNSDrops = max(s.DNSDrops, o.DNSDrops) // every table learns every answer
	s.Open += o.Open
}
