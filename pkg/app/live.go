package app

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"trench/pkg/assemble"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// Ring is a source of packets as they come.
type Ring interface {
	// ReadBlock replaces the contents of b. It waits for a short time only, and
	// leaves b empty when nothing came. What b holds is valid until the next call.
	ReadBlock(ctx context.Context, b *pcap.Block) error
	// Lost is how many packets the kernel dropped so far because the ring was full.
	Lost() uint64
}

// flushEvery is how long flows of a live interface may wait to be handed over.
const flushEvery = time.Second

// RunLive takes packets of rings, a worker each, until ctx ends; then all flows
// end. Both directions of a flow must come from the same ring. Time-outs run by the
// clock, also when no packet comes.
func (c *Capture) RunLive(ctx context.Context, source string, rings []Ring) (*Summary, error) {
	sum := &Summary{}
	if err := c.prepare(); err != nil {
		return sum, err
	}
	c.Config.LateAnswers = len(rings) > 1
	s := &assemble.Source{Name: source}
	lost := make([]atomic.Uint64, len(rings))
	inboxes := make([]inbox, len(rings))
	g, ctx := errgroup.WithContext(ctx)
	for id, ring := range rings {
		w := c.worker(id, len(rings))
		w.table.Begin(s)
		l := &live{worker: w, inboxes: inboxes, teaches: c.Config.Teaches}
		g.Go(func() error { // ends with ctx
			return l.run(ctx, ring, func() {
				lost[id].Store(ring.Lost())
				var sum uint64
				for i := range lost {
					sum += lost[i].Load()
				}
				c.lost.Store(sum)
			})
		})
	}
	err := g.Wait()
	sum.Counts, sum.Lost = c.Counts(), c.Lost()
	for i := range inboxes {
		sum.Table.DNSDrops += inboxes[i].dropped
	}
	return sum, err
}

// live is a worker with a ring.
type live struct {
	*worker
	inboxes []inbox // of all workers
	teaches func(*packet.View) bool
}

func (l *live) run(ctx context.Context, ring Ring, note func()) error {
	var (
		b       pcap.Block
		v       packet.View
		flushed = time.Now()
	)
	for ctx.Err() == nil {
		if err := ring.ReadBlock(ctx, &b); err != nil {
			if ctx.Err() != nil {
				break
			}
			return err
		}
		for _, answer := range l.inboxes[l.id].take() {
			l.table.Learn(answer)
		}
		for i := range b.Packets {
			if !l.decode(&v, &b.Packets[i]) {
				continue
			}
			if len(l.inboxes) > 1 && l.teaches(&v) {
				l.tell(&v)
			}
			l.worker.take(&v)
		}
		now := time.Now()
		l.expire(now.UnixNano())
		note()
		if l.err == nil && now.Sub(flushed) >= flushEvery {
			flushed = now
			l.err = l.flush()
		}
		if l.err != nil {
			return l.err
		}
	}
	l.end(time.Now().UnixNano())
	note()
	return l.flush()
}

// tell passes a DNS response on to the other workers.
func (l *live) tell(v *packet.View) {
	answer := *v
	answer.Payload = bytes.Clone(v.Payload)
	answer.IP = nil
	for id := range l.inboxes {
		if id != l.id {
			l.inboxes[id].put(&answer)
		}
	}
}

// inbox holds the DNS responses that other workers saw.
type inbox struct {
	mu      sync.Mutex
	answers []*packet.View
	dropped uint64
}

// inboxSize bounds the responses that wait for a worker.
const inboxSize = 4096

func (i *inbox) put(v *packet.View) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.answers) >= inboxSize {
		i.dropped++
		return
	}
	i.answers = append(i.answers, v)
}

func (i *inbox) take() []*packet.View {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.answers) == 0 {
		return nil
	}
	taken := slices.Clone(i.answers)
	clear(i.answers)
	i.answers = i.answers[:0]
	return taken
}
