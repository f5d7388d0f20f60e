package app

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"trench/pkg/assemble"
	"trench/pkg/flow"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// Capture reads captures and hands over their flows.
type Capture struct {
	Config  assemble.Config
	Workers int
	Stdin   io.Reader
	// Emit is called for every flow, by one goroutine a worker; the flow is
	// valid until it returns. An error ends the run.
	Emit func(worker int, f *flow.Flow) error
	// Done is called by each worker's goroutine after its last flow.
	Done func(worker int) error

	read  atomic.Int64 // bytes of the inputs
	total atomic.Int64 // bytes that are known to come
	seen  atomic.Uint64
}

// Progress says how far a run has come: bytes read, bytes in all (0 when not
// known) and packets.
func (c *Capture) Progress() (read, total int64, packets uint64) {
	return c.read.Load(), c.total.Load(), c.seen.Load()
}

// Run reads all paths. What could not be read is in the summary's Faults; an
// error is something else that ended the run.
func (c *Capture) Run(ctx context.Context, paths []string) (*Summary, error) {
	sum := &Summary{}
	inputs, faults := expand(paths)
	sum.Faults = faults
	for _, in := range inputs {
		c.total.Add(in.size)
	}
	var err error
	if c.Workers <= 1 {
		err = c.runInline(ctx, inputs, sum)
	} else {
		err = c.runParallel(ctx, inputs, sum)
	}
	return sum, err
}

// worker owns a flow table.
type worker struct {
	id    int
	table *assemble.Table
	err   error // of Emit
}

func (c *Capture) worker(id int) *worker {
	w := &worker{id: id}
	w.table = assemble.New(c.Config, "", func(f *flow.Flow) {
		if w.err == nil {
			w.err = c.Emit(id, f)
		}
	})
	return w
}

func (w *worker) finish(c *Capture) error {
	if w.err == nil && c.Done != nil {
		w.err = c.Done(w.id)
	}
	return w.err
}

// each opens every input and gives its blocks to take; end is called after the
// last block of each.
func (c *Capture) each(ctx context.Context, inputs []input, sum *Summary, begin func(source string), block func() *pcap.Block, take func(*pcap.Block) error, end func() error) error {
	for i := range inputs {
		in := &inputs[i]
		r, closeInput, err := in.open(c.Stdin, &c.read)
		if err != nil {
			if in.skippable(err) {
				sum.Skipped++
			} else {
				sum.Faults = append(sum.Faults, Fault{in.path, err})
			}
			continue
		}
		sum.Files++
		begin(in.path)
		for err == nil {
			if err = ctx.Err(); err != nil {
				break
			}
			b := block()
			if rerr := r.ReadBlock(b); rerr != nil {
				if !errors.Is(rerr, io.EOF) {
					sum.Faults = append(sum.Faults, Fault{in.path, rerr})
				}
				break
			}
			c.seen.Add(uint64(len(b.Packets)))
			err = take(b)
		}
		closeInput()
		if err == nil {
			err = end()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// clock is the packet time after a block. Flow tables are told it once a block,
// the same for any number of workers.
func clock(b *pcap.Block) int64 { return b.Packets[len(b.Packets)-1].Time }

func (c *Capture) runInline(ctx context.Context, inputs []input, sum *Summary) error {
	w := c.worker(0)
	var (
		b pcap.Block
		v packet.View
	)
	err := c.each(ctx, inputs, sum, w.table.Reset,
		func() *pcap.Block { return &b },
		func(b *pcap.Block) error {
			for i := range b.Packets {
				p := &b.Packets[i]
				o := packet.Decode(&v, p)
				sum.count(o, p, &v)
				if o == packet.OK {
					w.table.Add(&v)
				}
			}
			w.table.Expire(clock(b))
			return w.err
		},
		func() error { w.table.Flush(); return w.err })
	if err == nil {
		err = w.finish(c)
	}
	sum.Table = w.table.Stats()
	return err
}

// job is a block on its way to the workers, or the end of an input.
type job struct {
	block  *pcap.Block
	views  [][]item // by worker
	refs   atomic.Int32
	now    int64  // packet time at the end of the block
	source string // set: a new input begins
	end    bool   // the input has ended
}

// item is a packet for one worker.
type item struct {
	view  packet.View
	learn bool // accounted for by another worker: only its DNS answers count
}

// jobsInFlight bounds the blocks between reader and workers.
const jobsInFlight = 4

// runParallel decodes in one goroutine, which sends every packet to the worker
// that its flow's hash names. Each worker sees its packets in the capture's
// order, so it builds the same flows as a single one would.
func (c *Capture) runParallel(ctx context.Context, inputs []input, sum *Summary) error {
	n := c.Workers
	free := make(chan *job, jobsInFlight)
	for range jobsInFlight {
		free <- &job{block: new(pcap.Block), views: make([][]item, n)}
	}
	queues := make([]chan *job, n)
	var mu sync.Mutex // guards sum.Table
	g, ctx := errgroup.WithContext(ctx)
	for id := range queues {
		queues[id] = make(chan *job, jobsInFlight)
		g.Go(func() error { // ends when its queue is closed
			w := c.worker(id)
			for j := range queues[id] {
				w.do(j)
				if j.refs.Add(-1) == 0 && j.block != nil {
					free <- j
				}
				if w.err != nil {
					for j := range queues[id] { // the reader must not block on us
						if j.refs.Add(-1) == 0 && j.block != nil {
							free <- j
						}
					}
				}
			}
			err := w.finish(c)
			mu.Lock()
			sum.Table.Add(w.table.Stats())
			mu.Unlock()
			return err
		})
	}
	send := func(j *job) {
		j.refs.Store(int32(n))
		for _, q := range queues {
			q <- j
		}
	}
	var cur *job
	g.Go(func() error { // the reader; ends with the inputs, and closes the queues
		defer func() {
			for _, q := range queues {
				close(q)
			}
		}()
		return c.each(ctx, inputs, sum,
			func(source string) { send(&job{source: source}) },
			func() *pcap.Block {
				if cur == nil {
					cur = <-free
				}
				return cur.block
			},
			func(b *pcap.Block) error {
				dispatch(cur, b, sum)
				cur.now = clock(b)
				send(cur)
				cur = nil
				return nil
			},
			func() error { send(&job{end: true}); return nil })
	})
	return g.Wait()
}

func dispatch(j *job, b *pcap.Block, sum *Summary) {
	for i := range j.views {
		j.views[i] = j.views[i][:0]
	}
	var it item
	for i := range b.Packets {
		p := &b.Packets[i]
		o := packet.Decode(&it.view, p)
		sum.count(o, p, &it.view)
		if o != packet.OK {
			continue
		}
		to := int(it.view.Key.Hash() % uint64(len(j.views)))
		it.learn = false
		j.views[to] = append(j.views[to], it)
		if assemble.IsDNSResponse(&it.view) {
			it.learn = true
			for other := range j.views {
				if other != to {
					j.views[other] = append(j.views[other], it)
				}
			}
		}
	}
}

func (w *worker) do(j *job) {
	switch {
	case j.source != "":
		w.table.Reset(j.source)
	case j.end:
		w.table.Flush()
	default:
		items := j.views[w.id]
		for i := range items {
			if items[i].learn {
				w.table.Learn(&items[i].view)
			} else {
				w.table.Add(&items[i].view)
			}
		}
		w.table.Expire(j.now)
	}
}
