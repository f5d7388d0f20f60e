package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"

	"trench/pkg/assemble"
	"trench/pkg/filter"
	"trench/pkg/flow"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// Capture reads captures and hands over their flows.
type Capture struct {
	Config  Config
	Workers int
	Stdin   io.Reader
	// Emit is called for every flow, by one goroutine a worker; the flow is
	// valid until it returns. An error ends the run.
	Emit func(worker int, f *flow.Flow) error
	// Flush is called by each worker's goroutine after its last flow, and after
	// each file of a queue: what was emitted must have arrived when it returns.
	Flush func(worker int) error

	log    *slog.Logger // of a sensor; nil: faults are in the summary only
	filter *filter.Set
	board  board
	read   atomic.Int64 // bytes of the inputs
	total  atomic.Int64 // bytes that are known to come
	lost   atomic.Uint64
}

// Progress says how far a run has come: bytes read, bytes in all (0 when not
// known) and packets.
func (c *Capture) Progress() (read, total int64, packets uint64) {
	return c.read.Load(), c.total.Load(), c.board.total().Packets
}

// Counts says what became of the packets so far. While a run goes on packets in
// hand may be missing in it.
func (c *Capture) Counts() Counts { return c.board.total() }

// Lost is how many packets the capturing system says it lost: the kernel on a live
// interface, or who wrote the files read so far.
func (c *Capture) Lost() uint64 { return c.lost.Load() }

// Run reads all paths. What could not be read is in the summary's Faults; an
// error is something else that ended the run.
func (c *Capture) Run(ctx context.Context, paths []string) (*Summary, error) {
	inputs, faults := expand(paths)
	for _, in := range inputs {
		c.total.Add(in.size)
	}
	sum := &Summary{}
	for _, f := range faults {
		c.fault(sum, f)
	}
	return sum, c.run(ctx, &listed{inputs: inputs}, sum)
}

// RunQueue reads the captures that a queue hands over, until it ends.
func (c *Capture) RunQueue(ctx context.Context, q Queue) (*Summary, error) {
	sum := &Summary{}
	return sum, c.run(ctx, q, sum)
}

func (c *Capture) run(ctx context.Context, q Queue, sum *Summary) error {
	err := c.prepare()
	switch {
	case err != nil:
	case c.Workers <= 1:
		err = c.runInline(ctx, q, sum)
	default:
		err = c.runParallel(ctx, q, sum)
	}
	sum.Counts, sum.Lost = c.Counts(), c.Lost()
	return err
}

func (c *Capture) prepare() (err error) {
	if c.Config.Filter != "" {
		c.filter, err = filter.Parse(c.Config.Filter)
	}
	return err
}

// pipeline takes what is read, in order.
type pipeline interface {
	begin(*assemble.Source)
	block() *pcap.Block
	take(*pcap.Block) error // of block
	end() error             // all flows end
	flush() error           // what was emitted leaves the process
}

// each opens every input and gives its blocks to p.
func (c *Capture) each(ctx context.Context, q Queue, sum *Summary, p pipeline) error {
	var reading backlog
	for {
		path, err := q.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			stopped := ctx.Err() != nil || errors.Is(err, io.EOF)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if stopped && c.Config.Continuous {
				err = errors.Join(err, p.end(), reading.finish(q, p, true))
			}
			return err
		}
		source := &assemble.Source{Name: path}
		if err := c.file(ctx, q, sum, p, source); err != nil {
			return err
		}
		reading = append(reading, source)
		if !c.Config.Continuous {
			if err := p.end(); err != nil {
				return err
			}
		}
		if err := reading.finish(q, p, false); err != nil {
			return err
		}
	}
}

// file reads one input to its end, or to where it can not be read any more.
func (c *Capture) file(ctx context.Context, q Queue, sum *Summary, p pipeline, source *assemble.Source) error {
	path := source.Name
	r, closeInput, err := open(path, c.Stdin, &c.read)
	if err != nil {
		if l, ok := q.(*listed); ok && l.skippable(err) {
			sum.Skipped++
		} else {
			c.fault(sum, Fault{path, err})
		}
		return nil
	}
	defer closeInput()
	sum.Files++
	p.begin(source)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b := p.block()
		if err := r.ReadBlock(b); err != nil {
			if !errors.Is(err, io.EOF) {
				c.fault(sum, Fault{path, err})
			}
			c.lost.Add(r.Dropped())
			return nil
		}
		if err := p.take(b); err != nil {
			return err
		}
	}
}

// maxFaults bounds what a sensor keeps of the faults it has logged: a directory may have new
// ones for years.
const maxFaults = 10_000

// fault notes a path that could not be read, or not to its end.
func (c *Capture) fault(sum *Summary, f Fault) {
	if c.log != nil {
		c.log.Error("input not read to its end", "path", f.Path, "err", f.Err)
	}
	if c.log == nil || len(sum.Faults) < maxFaults {
		sum.Faults = append(sum.Faults, f)
	}
}

// inline is one worker in the reader's goroutine.
type inline struct {
	*worker
	b     pcap.Block
	clock clock
}

func (c *Capture) runInline(ctx context.Context, q Queue, sum *Summary) error {
	p := &inline{worker: c.worker(0, 1)}
	if err := c.each(ctx, q, sum, p); err != nil {
		return err
	}
	return p.worker.flush()
}

func (p *inline) begin(s *assemble.Source) { p.table.Begin(s) }

func (p *inline) block() *pcap.Block { return &p.b }

func (p *inline) take(b *pcap.Block) error {
	var v packet.View
	for i := range b.Packets {
		if p.decode(&v, &b.Packets[i]) {
			p.worker.take(&v)
		}
	}
	p.clock.tick(b)
	p.expire(p.clock.now)
	return p.err
}

func (p *inline) end() error {
	p.worker.end(p.clock.last)
	p.clock = clock{}
	return p.err
}
