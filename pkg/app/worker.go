package app

import (
	"trench/pkg/assemble"
	"trench/pkg/dedup"
	"trench/pkg/filter"
	"trench/pkg/flow"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// front is what every packet passes before it reaches a flow table: filter and
// decoder. Each goroutine that decodes has its own.
type front struct {
	filter *filter.Set // nil: every packet
	dec    *packet.Decoder
	counts Counts
	board  *board
}

func (c *Capture) front() front {
	return front{filter: c.filter, dec: packet.NewDecoder(c.Config.Decode), board: &c.board}
}

// decode fills v, and reports whether it is for the flow table. Every packet is
// counted here, but for what becomes of one that passes.
func (f *front) decode(v *packet.View, p *pcap.Packet) bool {
	f.counts.Packets++
	f.counts.Bytes += uint64(p.WireLen)
	if f.filter != nil && !f.filter.Match(p) {
		f.counts.Filtered++
		return false
	}
	switch f.dec.Decode(v, p) {
	case packet.OK:
		return true
	case packet.NotIP:
		f.counts.NotIP++
	case packet.Malformed:
		f.counts.Malformed++
	case packet.Refused:
		f.counts.Refused++
		f.counts.refuse(p.Link, 1)
	case packet.Held: // counted once it is known whether the datagram is whole
	}
	return false
}

// post makes the counts visible.
func (f *front) post() {
	f.counts.Decode = f.dec.Stats()
	dropped := &f.counts.Decode.Dropped
	f.counts.FragmentDropped = dropped.Expired + dropped.Incomplete + dropped.Malformed
	f.counts.DroppedFragmentBytes, f.counts.DroppedFragmentDatagrams = dropped.Bytes, dropped.Datagrams
	f.board.post(f, &f.counts)
}

// worker owns a flow table.
type worker struct {
	front
	id      int
	c       *Capture
	dup     *dedup.Window // nil: nothing is a duplicate
	table   *assemble.Table
	err     error // of Emit or Flush
	touched byte  // by touch, for no use
}

func (c *Capture) worker(id, of int) *worker {
	w := &worker{front: c.front(), id: id, c: c}
	if c.Config.Dedup.Window > 0 {
		w.dup = dedup.New(c.Config.Dedup)
	}
	w.table = assemble.New(c.Config.Share(of), func(f *flow.Flow) {
		if w.err == nil {
			w.err = c.Emit(id, f)
		}
	})
	return w
}

// take enters a decoded packet into the table.
func (w *worker) take(v *packet.View) {
	if w.dup != nil && w.dup.Seen(v.IP, v.Time) {
		w.counts.Duplicate += uint64(v.Packets)
		return
	}
	w.counts.InFlows += uint64(v.Packets)
	w.counts.BytesInFlows += uint64(v.Bytes)
	if v.Truncated {
		w.counts.Truncated++
	}
	w.table.Add(v)
}

// expire runs the time-outs.
func (w *worker) expire(now int64) {
	w.dec.Expire(now)
	w.table.Expire(now)
	w.post()
}

// end ends all flows, at the time of the last packet.
func (w *worker) end(now int64) {
	w.dec.Flush()
	w.table.Flush(now)
	w.post()
}

func (w *worker) post() {
	w.counts.Table = w.table.Stats()
	w.front.post()
}

// flush makes what was emitted leave the process.
func (w *worker) flush() error {
	if w.err == nil && w.c.Flush != nil {
		w.err = w.c.Flush(w.id)
	}
	return w.err
}
