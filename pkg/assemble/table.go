// Package assemble keeps the flow table: it turns decoded packets into flows.
// A flow leaves the table exactly once (reports of open flows apart):
//
//	new --> half open --> established --> closing --> emitted
//	          \-- idle, evicted, reuse, done, end of input --^
//
// A flow is established once both sides have sent, and the TCP handshake is
// complete as far as it was seen. It is closing after RST or FIN both ways, and
// emitted when it has been silent for Linger; a DNS flow ends with the answer to
// its last query.
//
// Time is that of the packets. A flow ends by idleness when its own next packet
// is farther away in time than the time-out, ahead or back, or when Expire is told
// that this much time has passed; both give the same flow, so the result does not
// depend on what else is in the table. A clock that jumps, by more than a day ahead
// or the time-out back, ends what is no TCP connection with sequence numbers that go
// on, and never joins two flows.
//
// When the table is full, room is made by ending the flow that has been silent for
// longest among the half-open ones, else among the closing ones, else of all: a
// flood of first packets pushes out itself, not the connections, nor their last
// packets.
//
// Each TCP direction is reassembled in order for as long as somebody listens:
// the first bytes are counted by value and searched for a protocol; a TLS
// stream is then walked from record header to record header to its end, and
// the records that are not application data are kept as handshake bytes. Where
// bytes are missing the walk goes on at the next segment that begins with a record.
//
// A Table is not safe for concurrent use. It allocates nothing per packet once
// its pools are filled.
package assemble

import (
	"sync/atomic"
	"time"

	"trench/pkg/flow"
	"trench/pkg/packet"
)

// Stats counts what a Table did.
type Stats struct {
	Flows           uint64 // emitted as final
	Reports         uint64 // of open flows
	Evicted         uint64 // flows that ended because of max_flows
	EvictedHalfOpen uint64 // of these: never established
	HandshakeDrops  uint64 // times that handshake bytes were not kept because of total_handshake
	PendingDrops    uint64 // out-of-order segments given up because of pending_bytes or total_pending
	DNSDrops        uint64 // remembered answers given up because of dns_answers
	HTTPDrops       uint64 // remembered messages given up because of http_messages
	Open            uint64 // flows in the table now
	HandshakeBytes  uint64 // memory for handshake bytes of open flows now
}

// Add sums the counters of tables that share a capture.
func (s *Stats) Add(o Stats) {
	s.Flows += o.Flows
	s.Reports += o.Reports
	s.Evicted += o.Evicted
	s.EvictedHalfOpen += o.EvictedHalfOpen
	s.HandshakeDrops += o.HandshakeDrops
	s.PendingDrops += o.PendingDrops
	s.DNSDrops = max(s.DNSDrops, o.DNSDrops) // every table learns every answer
	s.HTTPDrops = max(s.HTTPDrops, o.HTTPDrops)
	s.Open += o.Open
	s.HandshakeBytes += o.HandshakeBytes
}

// Source is where the packets of flows come from. Several tables may share one.
type Source struct {
	Name string // file as given, or sensor:interface
	open atomic.Int64
}

// Open returns how many flows that began in the source have not ended.
func (s *Source) Open() int64 { return s.open.Load() }

// Table is the flow table of one worker.
type Table struct {
	cfg    Config
	source *Source
	emit   func(*flow.Flow)

	index   index
	lists   [classes]list
	idle    [classes]int64 // ns
	pool    pool
	kept    int // handshake bytes, capacity of their buffers
	pending int // bytes out of order
	dns     resolutions
	answers recent[answerCounts]
	web     recent[exchange]
	stats   Stats
	out     flow.Flow // what emit sees
}

// New returns an empty table. emit is called for every flow; its argument is
// valid until it returns.
func New(cfg Config, emit func(*flow.Flow)) *Table {
	return &Table{
		cfg: cfg, source: new(Source), emit: emit, index: newIndex(), idle: idleTimes(cfg),
		dns: newResolutions(cfg.DNSAnswers, int64(cfg.DNSAge), cfg.LateAnswers), answers: newRecent[answerCounts](cfg.DNSAnswers, int64(cfg.DNSAge)),
		web: newRecent[exchange](cfg.HTTPMessages, httpAge),
	}
}

// Stats returns the counters so far.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Open, s.HandshakeBytes = uint64(t.index.n), uint64(t.kept)
	s.DNSDrops = max(t.dns.dropped, t.answers.dropped) // of the same responses
	s.HTTPDrops = t.web.dropped
	return s
}

// Begin names the source of the flows that open from now on.
func (t *Table) Begin(s *Source) { t.source = s }

// Add accounts for one packet.
func (t *Table) Add(v *packet.View) {
	hash := v.Key.Hash(t.index.seed)
	c, ordinal := t.index.get(hash, &v.Key), uint32(0)
	if c != nil {
		at := t.timeOf(c, v)
		if reason := t.endedBefore(c, v, at); reason != flow.EndNone {
			if c.first == v.Time {
				ordinal = c.ordinal + 1
			}
			t.close(c, reason)
			c = nil
		} else {
			if at-c.reported >= int64(t.cfg.Active) {
				t.report(c)
				c.reported = at
			}
			if l := &t.lists[c.class]; l.tail != c {
				l.remove(c)
				l.push(c)
			}
			if at-c.first < lateFor {
				t.resolveLate(c)
			}
			if at != v.Time {
				shifted := *v
				shifted.Time = at
				v = &shifted
			}
		}
	}
	if c == nil {
		c = t.open(v, hash, ordinal)
	}
	c.last = max(c.last, v.Time)
	if c.account(t, v) {
		t.close(c, flow.EndDone)
	}
}

// farAhead is the longest step ahead that is silence; a longer one between two
// packets of one connection is the clock's.
const farAhead = 24 * int64(time.Hour)

// timeOf returns the time of a packet by the clock of its flow. Where the clock
// jumps in the middle of a TCP connection, and its sequence numbers go on, the
// connection goes on too: the jump takes no time.
func (t *Table) timeOf(c *conn, v *packet.View) int64 {
	at := v.Time + c.shift
	if v.Key.Protocol == packet.ProtocolTCP {
		if d := elapsed(c.last, at); (d < -t.idle[c.class] || d > farAhead) && c.tcp.continues(v, sideOf(v)) {
			c.shift = c.last - v.Time
			return c.last
		}
	}
	return at
}

// endedBefore says why a flow had ended before a packet with its key came at a
// time, EndNone when it goes on.
func (t *Table) endedBefore(c *conn, v *packet.View, at int64) flow.EndReason {
	idle := t.idle[c.class]
	switch d := elapsed(c.last, at); {
	case d > idle || d < -idle:
		return c.endReason(flow.EndIdle)
	case v.Flags&packet.SYN != 0 && v.Key.Protocol == packet.ProtocolTCP && c.reusedBy(v):
		return c.endReason(flow.EndReuse)
	}
	return flow.EndNone
}

// Flush ends every open flow because the input has ended at time now, and
// forgets the DNS answers of it.
func (t *Table) Flush(now int64) {
	for {
		c := t.oldest()
		if c == nil {
			break
		}
		reason := flow.EndEOF
		if elapsed(c.last-c.shift, now) > t.idle[c.class] {
			reason = flow.EndIdle
		}
		t.close(c, c.endReason(reason))
	}
	t.dns.clear()
	t.answers.clear()
	t.web.clear()
}

// open makes a flow for its first packet. ordinal tells it from flows of the
// same key that began at the same time.
func (t *Table) open(v *packet.View, hash uint64, ordinal uint32) *conn {
	if t.index.n >= t.cfg.MaxFlows {
		old := t.oldest()
		t.stats.Evicted++
		if old.class.halfOpen() {
			t.stats.EvictedHalfOpen++
		}
		t.close(old, old.endReason(flow.EndEvicted))
	}
	c := t.pool.conn()
	c.key, c.hash, c.source = v.Key, hash, t.source
	c.source.open.Add(1)
	c.first, c.last, c.reported, c.ordinal = v.Time, v.Time, v.Time, ordinal
	c.class = classOf(v.Key.Protocol)
	c.opener = uint8(sideOf(v))
	c.client = c.opener
	c.resolution = t.dns.lookup(&v.Key, v.Forward, v.Time)
	t.index.put(c)
	t.lists[c.class].push(c)
	return c
}

// slack is how much later than its time-out Expire ends a flow, so that packets
// which are a little out of order do not meet it gone.
const slack = int64(time.Second)

// Expire ends what has been silent for too long at time now (ns since the Unix
// epoch). It is called every now and then; a flow whose next packet comes too
// late ends without it.
func (t *Table) Expire(now int64) {
	t.dns.expire(now)
	t.answers.expire(now)
	t.web.expire(now)
	for class := range t.lists {
		l := &t.lists[class]
		var passed *conn // the first of those ahead of the clock
		for c := l.head; c != nil && c != passed; c = l.head {
			silent := elapsed(c.last-c.shift, now)
			if silent < -t.idle[class] { // the clock went back: it must not hide those behind it
				l.remove(c)
				l.push(c)
				if passed == nil {
					passed = c
				}
				continue
			}
			if silent-slack <= t.idle[class] {
				break
			}
			t.close(c, c.endReason(flow.EndIdle))
		}
	}
}

// oldest returns the flow that has been silent for longest: of the half-open ones,
// else of the closing ones, else of the established ones.
func (t *Table) oldest() *conn {
	if c := t.silent(0); c != nil {
		return c
	}
	if c := t.lists[classClosing].head; c != nil {
		return c
	}
	return t.silent(establishedBit)
}

// silent returns the flow of the half-open or the established classes that has
// been silent for longest.
func (t *Table) silent(rank class) (first *conn) {
	for class := rank; class < classClosing; class += 2 {
		if c := t.lists[class].head; c != nil && (first == nil || c.last < first.last) {
			first = c
		}
	}
	return first
}

// move puts a flow into another class, as the one with the latest packet.
func (t *Table) move(c *conn, to class) {
	t.lists[c.class].remove(c)
	c.class = to
	t.lists[to].push(c)
}

// close emits a flow for the last time and forgets it.
func (t *Table) close(c *conn, reason flow.EndReason) {
	t.lists[c.class].remove(c)
	t.index.remove(c)
	c.drain(t)
	t.fill(c, reason)
	t.out.Final = true
	t.stats.Flows++
	t.emit(&t.out)
	c.source.open.Add(-1)
	t.release(c)
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
