package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"trench/pkg/bus"
)

// worker is one member of the group. What it holds is used again for every batch and
// every claim.
type worker[T any] struct {
	r     *Runner[T]
	lanes []*lane[T] // all of them

	next   pending
	free   []*lane[T]
	queue  []*lane[T] // in flight, in the order of their batches
	broken error      // the first fault that ends this claim

	bell bell // rung by a lane that is done

	// Seen by others:
	claimed    atomic.Bool
	oldest     atomic.Int64 // Unix nanoseconds of the oldest record in hand, 0 without one
	unheard    progress     // begins when a lane is done and ends when that is seen
	fetching   progress     // of more records for a batch, as long as that may take
	committing progress
}

func newWorker[T any](r *Runner[T]) *worker[T] {
	w := &worker[T]{r: r}
	for range r.Config.InFlight {
		w.lanes = append(w.lanes, &lane[T]{w: w, handler: r.NewHandler()})
	}
	w.free = slices.Clone(w.lanes)
	return w
}

// serve works on one claim until it or ctx ends. When it returns no lane is busy.
func (w *worker[T]) serve(ctx context.Context, claim bus.Claim) error {
	w.claimed.Store(true)
	defer w.claimed.Store(false)
	// Whatever ends the claim, the batches in flight get their grace.
	claimed, end := context.WithCancel(ctx)
	defer end()
	late, cancel := withGrace(claimed, w.r.Config.Grace)
	defer cancel()

	w.broken = nil
	err := w.work(claimed, late, claim)
	end()
	for w.settle(late, claim); len(w.queue) > 0; w.settle(late, claim) {
		heard, stop := w.bell.listen(context.WithoutCancel(ctx))
		<-heard.Done()
		stop()
	}
	w.unheard.idle()
	w.next = pending{records: w.next.records[:0]} // nothing of it was begun
	clear(w.next.records[:cap(w.next.records)])
	w.observe()
	switch {
	case err != nil:
		return err
	case errors.Is(w.broken, bus.ErrClaimLost) || ctx.Err() != nil:
		return nil // the records are delivered again
	}
	return w.broken
}

// work fetches, hands over and commits until the claim is over, which is no error, or
// something is broken.
func (w *worker[T]) work(ctx, late context.Context, claim bus.Claim) error {
	for {
		heard, stop := w.bell.listen(ctx)
		w.settle(late, claim)
		var err error
		if w.broken == nil && ctx.Err() == nil {
			err = w.advance(heard, late, claim)
		}
		stop()
		switch {
		case w.broken != nil || ctx.Err() != nil || errors.Is(err, bus.ErrClaimLost):
			return nil
		case err != nil:
			return err
		}
	}
}

// fetchChunk bounds what one fetch can bring too much.
const fetchChunk = 64

// advance hands the next batch over if it is due and a lane is free, or fetches more
// of it if it is not full, or waits until heard ends.
func (w *worker[T]) advance(heard, late context.Context, claim bus.Claim) error {
	cfg := &w.r.Config
	begun, idle, full := len(w.next.records) > 0, len(w.free) > 0, w.next.full(cfg)
	due := w.next.since.Add(cfg.BatchAge)
	switch {
	case idle && (full || begun && !time.Now().Before(due)):
		w.dispatch(late)
		return nil
	case full:
		<-heard.Done()
		return nil
	}
	ctx := heard
	if idle && begun {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(heard, due)
		defer cancel()
		w.fetching.begin("fetch more records for a batch that is due")
		defer w.fetching.idle()
	}
	var err error
	w.next.records, err = claim.Fetch(ctx, w.next.records, min(fetchChunk, cfg.BatchRecords-len(w.next.records)))
	w.next.count(cfg.BatchBytes)
	w.observe()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("fetch: %w", err)
	}
	return nil
}

// dispatch gives the next batch to a free lane.
func (w *worker[T]) dispatch(late context.Context) {
	l := w.free[0] // in turns, so that each lane's memory follows the size of batches
	w.free, w.queue = slices.Delete(w.free, 0, 1), append(w.queue, l)
	l.take(&w.next)
	w.next.count(w.r.Config.BatchBytes)
	w.r.metrics.flying.Inc()
	ctx, cancel := context.WithCancelCause(late)
	l.cancel = cancel
	go l.run(ctx) // ends soon after ctx at the latest; serve waits for it
}

// settle commits the batches that are done, as far as all before them are, and drops
// those that can not be committed any more.
func (w *worker[T]) settle(late context.Context, claim bus.Claim) {
	w.unheard.idle()
	for i, l := range w.queue {
		if l.finished.Load() && l.err != nil && !l.doomed {
			w.doom(i, l.err)
			break
		}
	}
	done := 0
	next := map[int]int64{}
	for ; done < len(w.queue) && w.queue[done].finished.Load() && !w.queue[done].doomed && w.queue[done].err == nil; done++ {
		for i := range w.queue[done].records {
			rec := &w.queue[done].records[i]
			next[rec.Partition] = max(next[rec.Partition], rec.Offset+1)
		}
	}
	if done > 0 {
		err := w.r.retry(late, &w.committing, "commit", func(ctx context.Context) error {
			w.unheard.idle() // they are heard after this
			return claim.Commit(ctx, next)
		})
		if err != nil {
			w.doom(0, fmt.Errorf("commit: %w", err))
			done = 0
		}
	}
	for _, l := range w.queue[:done] {
		w.r.metrics.done(len(l.records), l.bytes, time.Since(l.started), l.oldest)
		w.release(l)
	}
	w.queue = slices.Delete(w.queue, 0, done)
	for len(w.queue) > 0 && w.queue[0].doomed && w.queue[0].finished.Load() {
		l := w.queue[0]
		w.r.metrics.uncommitted()
		w.r.Log.Warn("batch dropped uncommitted, it is delivered again", "stage", w.r.Name, "records", len(l.records), "err", w.broken)
		w.release(l)
		w.queue = slices.Delete(w.queue, 0, 1)
	}
	w.observe()
}

// doom ends the claim for the batch at i and all after it: what follows a batch that
// is not committed must not be committed either.
func (w *worker[T]) doom(i int, why error) {
	if w.broken == nil {
		w.broken = why
	}
	for _, l := range w.queue[i:] {
		l.doomed = true
		l.cancel(why)
	}
}

func (w *worker[T]) release(l *lane[T]) {
	l.cancel(nil)
	l.reset()
	w.free = append(w.free, l)
	w.r.metrics.flying.Dec()
}

// observe notes the oldest record in hand.
func (w *worker[T]) observe() {
	oldest := w.next.oldest
	for _, l := range w.queue {
		if oldest.IsZero() || l.oldest.Before(oldest) {
			oldest = l.oldest
		}
	}
	if oldest.IsZero() {
		w.oldest.Store(0)
	} else {
		w.oldest.Store(oldest.UnixNano())
	}
}

// pending is the batch that is collected.
type pending struct {
	records []bus.Record
	// records[:cut] are the batch, of so many bytes; what the last fetch brought
	// beyond the bytes of a batch belongs to the one after.
	cut, bytes int
	since      time.Time // its first record was fetched
	oldest     time.Time // of the records' times
}

// count looks at what was fetched. A batch has at least one record.
func (p *pending) count(limit int) {
	if len(p.records) > 0 && p.since.IsZero() {
		p.since = time.Now()
	}
	for p.cut < len(p.records) {
		rec := &p.records[p.cut]
		n := rec.Size()
		if p.cut > 0 && p.bytes+n > limit {
			return
		}
		p.bytes += n
		p.cut++
		if p.oldest.IsZero() || rec.Time.Before(p.oldest) {
			p.oldest = rec.Time
		}
	}
}

func (p *pending) full(c *Config) bool {
	return p.cut >= c.BatchRecords || p.bytes >= c.BatchBytes || p.cut < len(p.records)
}
