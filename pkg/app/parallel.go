package app

import (
	"context"
	"errors"
	"math/bits"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"trench/pkg/assemble"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// job is what the reader tells all workers, in order: a block of packets, or the
// end of something.
type job struct {
	block *pcap.Block // nil: no packets
	refs  [][]ref     // by worker: its packets of the block
	views []packet.View
	bytes []byte // payloads of views that do not alias the block
	busy  atomic.Int32
	now   int64 // packet time, to expire by

	begin *assemble.Source // a new input begins
	end   bool             // all flows end
	flush chan<- error     // what was emitted leaves the process; one answer from each worker
}

// ref is one packet for one worker.
type ref struct {
	index uint32 // in the block's packets, else in views
	kind  refKind
}

type refKind uint8

const (
	refPacket refKind = iota // not decoded yet
	refView
	refLearn // accounted for by another worker, and worth knowing for all
)

// jobsInFlight bounds the blocks between reader and workers.
const jobsInFlight = 32

// parallel is a reader and workers, each with a queue.
//
// The reader hashes the endpoints of each packet out of its raw headers, and leaves
// decoding to the worker that the hash names. What the hash can not be read from
// that simply (fragments, tunnels, DNS answers, rare links) it decodes itself; with http_context, everything. Both directions of
// a flow, whatever carries them, go to the same worker in the capture's order, so it
// builds the same flows as a single worker would.
type parallel struct {
	c      *Capture
	front  front
	free   chan *job
	queues []chan *job
	cur    *job
	clock  clock
}

func (c *Capture) runParallel(ctx context.Context, q Queue, sum *Summary) error {
	n := c.Workers
	p := &parallel{c: c, front: c.front(), free: make(chan *job, jobsInFlight), queues: make([]chan *job, n)}
	for range jobsInFlight {
		p.free <- &job{block: new(pcap.Block), refs: make([][]ref, n)}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var g errgroup.Group
	for id := range p.queues {
		p.queues[id] = make(chan *job, jobsInFlight)
		g.Go(func() error { return p.work(c.worker(id, n), p.queues[id], stop) }) // ends when its queue is closed
	}
	g.Go(func() error { // the reader; ends with the inputs, and closes the queues
		defer func() {
			for _, q := range p.queues {
				close(q)
			}
		}()
		return c.each(ctx, q, sum, p)
	})
	return g.Wait()
}

func (p *parallel) work(w *worker, queue <-chan *job, stop func(error)) error {
	for j := range queue {
		if w.err == nil {
			if w.do(j); w.err != nil {
				stop(w.err) // and keep the reader from blocking on us until it stops
			}
		}
		if j.flush != nil {
			j.flush <- w.err
		}
		if j.busy.Add(-1) == 0 && j.block != nil {
			p.free <- j
		}
	}
	w.post()
	return w.flush()
}

func (p *parallel) send(j *job) {
	j.busy.Store(int32(len(p.queues)))
	for _, q := range p.queues {
		q <- j
	}
}

func (p *parallel) begin(s *assemble.Source) { p.send(&job{begin: s}) }

func (p *parallel) block() *pcap.Block {
	if p.cur == nil {
		p.cur = <-p.free
	}
	return p.cur.block
}

func (p *parallel) take(b *pcap.Block) error {
	j := p.cur
	p.cur = nil
	for i := range j.refs {
		j.refs[i] = j.refs[i][:0]
	}
	j.views, j.bytes = j.views[:0], j.bytes[:0]
	for i := range b.Packets {
		if spread, ok := packet.Steer(&b.Packets[i]); ok && !p.c.Config.HTTPContext {
			to := p.worker(spread)
			j.refs[to] = append(j.refs[to], ref{index: uint32(i)})
			continue
		}
		p.decode(j, &b.Packets[i])
	}
	p.clock.tick(b)
	j.now = p.clock.now
	p.front.dec.Expire(j.now)
	p.front.post()
	p.send(j)
	return nil
}

func (p *parallel) worker(spread uint64) int {
	hi, _ := bits.Mul64(spread, uint64(len(p.queues)))
	return int(hi)
}

// decode decodes a packet for the worker that its flow belongs to.
func (p *parallel) decode(j *job, pkt *pcap.Packet) {
	j.views = append(j.views, packet.View{})
	index := uint32(len(j.views) - 1)
	v := &j.views[index]
	if !p.front.decode(v, pkt) {
		j.views = j.views[:index]
		return
	}
	if v.Packets > 1 { // the bytes are the decoder's
		v.Payload, v.IP = j.keep(v.Payload), j.keep(v.IP)
	}
	to := p.worker(v.Key.Spread())
	j.refs[to] = append(j.refs[to], ref{index, refView})
	if p.c.Config.Teaches(v) {
		for other := range j.refs {
			if other != to {
				j.refs[other] = append(j.refs[other], ref{index, refLearn})
			}
		}
	}
}

// keep returns a copy of b that lives as long as the block.
func (j *job) keep(b []byte) []byte {
	at := len(j.bytes)
	j.bytes = append(j.bytes, b...)
	return j.bytes[at:len(j.bytes):len(j.bytes)]
}

func (p *parallel) end() error {
	p.front.dec.Flush()
	p.front.post()
	p.send(&job{end: true, now: p.clock.last})
	p.clock = clock{}
	return nil
}

// flush waits until all workers have handed over what they have.
func (p *parallel) flush() (err error) {
	done := make(chan error, len(p.queues))
	p.send(&job{flush: done})
	for range p.queues {
		err = errors.Join(err, <-done)
	}
	return err
}

func (w *worker) do(j *job) {
	switch {
	case j.begin != nil:
		w.table.Begin(j.begin)
	case j.end:
		w.end(j.now)
	case j.flush != nil:
		_ = w.flush() // kept in w.err
	default:
		var v packet.View
		refs := j.refs[w.id]
		for i, r := range refs {
			if i%ahead == 0 {
				w.touch(j, refs[i:min(i+ahead, len(refs))])
			}
			switch r.kind {
			case refPacket:
				if w.decode(&v, &j.block.Packets[r.index]) {
					w.take(&v)
				}
			case refView:
				w.take(&j.views[r.index])
			case refLearn:
				w.table.Learn(&j.views[r.index])
			}
		}
		w.expire(j.now)
	}
}

// ahead is how many packets are fetched at a time.
const ahead = 16

// touch reads a byte of each packet. They are in the cache of the reader's core, and
// this one gets several at once faster than one after the other.
func (w *worker) touch(j *job, refs []ref) {
	for _, r := range refs {
		if r.kind == refPacket {
			if b := j.block.Packets[r.index].Data; len(b) > 40 {
				w.touched += b[40]
			}
		}
	}
}
