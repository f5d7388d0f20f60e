package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"trench/pkg/bus"
	"trench/pkg/wire"
)

// Runner runs one stage. Its fields are set before Run and not changed after.
type Runner[T any] struct {
	Name        string // of the stage, in dead letters, logs and metrics
	Config      Config
	NewConsumer func() bus.Consumer
	NewHandler  func() Handler[T]
	// Decode replaces a value by what a record says; it must not keep the record.
	Decode func(*bus.Record, *T) error
	// DeadLetters takes what is given up.
	DeadLetters bus.Producer
	Log         *slog.Logger
	Registry    prometheus.Registerer // may be nil

	metrics *metrics
	claims  atomic.Int32 // workers that hold a claim
	stuck   atomic.Int32 // workers whose batch failed last time it was tried
	failing limiter
	burying limiter
}

// Reasons of dead letters, as the metrics name them.
const (
	reasonDecode = "decode"
	reasonReject = "handle"
)

// Run works until ctx ends, which is no error, or something fails for good.
func (r *Runner[T]) Run(ctx context.Context) error {
	r.metrics = newMetrics(r.Registry, r.Name)
	g, ctx := errgroup.WithContext(ctx)
	for range r.Config.Workers {
		g.Go(func() error { // ends with ctx
			w := &worker[T]{Runner: r, handler: r.NewHandler()}
			return r.NewConsumer().Run(ctx, w.serve)
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("stage %s: %w", r.Name, err)
	}
	return nil
}

// Ready returns nil when the stage holds partitions, or at least its place in the
// group, and makes progress.
func (r *Runner[T]) Ready(context.Context) error {
	switch {
	case r.claims.Load() == 0:
		return fmt.Errorf("stage %s: has not joined its consumer group", r.Name)
	case r.stuck.Load() > 0:
		return fmt.Errorf("stage %s: its batch fails and is tried again", r.Name)
	}
	return nil
}

// worker is one member of the group. Its slices are used again for every batch.
type worker[T any] struct {
	*Runner[T]
	handler Handler[T]
	records []bus.Record
	batch   Batch[T]
}

// serve works on one claim until it or ctx ends.
func (w *worker[T]) serve(ctx context.Context, claim bus.Claim) error {
	w.claims.Add(1)
	defer w.claims.Add(-1)
	for {
		if err := w.collect(ctx, claim); err != nil {
			return err
		}
		if len(w.records) == 0 {
			return nil
		}
		if err := w.deliver(ctx, claim); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// over says whether err only means that there is nothing more to fetch.
func over(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, bus.ErrClaimLost)
}

// fetchChunk bounds how far a batch can overshoot its bytes.
const fetchChunk = 64

// collect fills w.records: empty only when the claim or ctx is over.
func (w *worker[T]) collect(ctx context.Context, claim bus.Claim) error {
	clear(w.records)
	var err error
	if w.records, err = claim.Fetch(ctx, w.records[:0], min(fetchChunk, w.Config.BatchRecords)); err != nil {
		if over(ctx, err) {
			return nil
		}
		return fmt.Errorf("fetch: %w", err)
	}
	full, cancel := context.WithTimeout(ctx, w.Config.BatchAge)
	defer cancel()
	bytes, seen := 0, 0
	for {
		for ; seen < len(w.records); seen++ {
			bytes += w.records[seen].Size()
		}
		room := w.Config.BatchRecords - len(w.records)
		if room <= 0 || bytes >= w.Config.BatchBytes {
			return nil
		}
		if w.records, err = claim.Fetch(full, w.records, min(fetchChunk, room)); err != nil {
			if over(full, err) {
				return nil
			}
			return fmt.Errorf("fetch: %w", err)
		}
	}
}

// deliver takes w.records to their end and commits them.
func (w *worker[T]) deliver(ctx context.Context, claim bus.Claim) error {
	start := time.Now()
	stop := ctx
	ctx, cancel := withGrace(ctx, w.Config.Grace)
	defer cancel()

	var dead []bus.Record
	clear(w.batch.Records)
	w.batch.Records = w.batch.Records[:0]
	if more := len(w.records) - len(w.batch.Values); more > 0 {
		w.batch.Values = append(w.batch.Values, make([]T, more)...)
	}
	for i := range w.records {
		if err := w.Decode(&w.records[i], &w.batch.Values[len(w.batch.Records)]); err != nil {
			dead = append(dead, w.bury(&w.records[i], reasonDecode, err))
			continue
		}
		w.batch.Records = append(w.batch.Records, &w.records[i])
	}
	if n := len(w.batch.Records); n > 0 {
		err := w.retry(ctx, func() error {
			rejects, err := w.handler.Handle(ctx, Batch[T]{w.batch.Values[:n], w.batch.Records})
			if err != nil {
				return err
			}
			for _, x := range rejects {
				dead = append(dead, w.bury(w.batch.Records[x.Index], reasonReject, x.Err))
			}
			return nil
		})
		if err != nil {
			return w.giveUp(stop, "handle", err)
		}
	}
	if len(dead) > 0 {
		err := w.retry(ctx, func() error { return w.DeadLetters.Write(ctx, dead) })
		if err != nil {
			return w.giveUp(stop, "write dead letters", err)
		}
	}
	next := map[int]int64{}
	oldest := w.records[0].Time
	for i := range w.records {
		rec := &w.records[i]
		next[rec.Partition] = max(next[rec.Partition], rec.Offset+1)
		if rec.Time.Before(oldest) {
			oldest = rec.Time
		}
	}
	if err := claim.Commit(ctx, next); err != nil {
		return w.giveUp(stop, "commit", err)
	}
	w.metrics.done(len(w.records), time.Since(start), oldest)
	return nil
}

// giveUp says what an unfinished batch means: nothing, when the claim is lost or
// the stage has to stop, for the records are delivered again.
func (w *worker[T]) giveUp(stop context.Context, doing string, err error) error {
	if errors.Is(err, bus.ErrClaimLost) || stop.Err() != nil {
		w.metrics.uncommitted()
		w.Log.Warn("batch dropped uncommitted, it is delivered again", "stage", w.Name, "records", len(w.records), "doing", doing, "err", err)
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// retry calls do until it succeeds, fails for good or ctx ends.
func (w *worker[T]) retry(ctx context.Context, do func() error) error {
	pause := w.Config.RetryMin
	failed := false
	for {
		err := do()
		if err == nil || errors.Is(err, ErrPermanent) || errors.Is(err, bus.ErrConfiguration) || ctx.Err() != nil {
			if failed {
				w.stuck.Add(-1)
			}
			if err != nil && ctx.Err() != nil {
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return err
		}
		if !failed {
			failed = true
			w.stuck.Add(1)
		}
		w.metrics.retry()
		if n, say := w.failing.allow(); say {
			w.Log.Warn("batch failed, trying again", "stage", w.Name, "records", len(w.records), "times", n, "err", err)
		}
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(pause*2, w.Config.RetryMax)
	}
}

// bury makes the dead letter of a record.
func (w *worker[T]) bury(rec *bus.Record, reason string, why error) bus.Record {
	w.metrics.buried(reason)
	if n, say := w.burying.allow(); say {
		w.Log.Warn("record given up", "stage", w.Name, "topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset,
			"bytes", len(rec.Value), "times", n, "err", why)
	}
	d := wire.DeadLetter{
		Stage: w.Name, Error: why.Error(), Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset,
		Time: rec.Time, Failed: time.Now(), Key: rec.Key, Value: rec.Value, ValueBytes: uint64(len(rec.Value)),
	}
	for _, h := range rec.Headers {
		d.Headers = append(d.Headers, wire.DeadLetterHeader{Key: h.Key, Value: h.Value})
	}
	value, err := wire.MarshalDeadLetter(nil, &d)
	if err != nil { // it is cut to fit, so this can only be a fault in wire
		panic(fmt.Sprintf("dead letter does not fit: %v", err))
	}
	return bus.Record{
		Topic: wire.TopicDeadLetter, Key: rec.Key, Value: value,
		Headers: []bus.Header{{Key: wire.HeaderMessage, Value: []byte(wire.MessageDeadLetter)}},
	}
}

// errGrace is the cause of a context whose grace is over.
var errGrace = errors.New("the time to finish the batch in hand is over")

// withGrace returns a context that ends d after parent does.
func withGrace(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		t := time.AfterFunc(d, func() { cancel(errGrace) })
		context.AfterFunc(ctx, func() { t.Stop() })
	})
	return ctx, func() { stop(); cancel(nil) }
}

// limiter lets a repeated message through once in an interval.
type limiter struct {
	last  atomic.Int64 // Unix seconds
	count atomic.Int64
}

const quietSeconds = 10

// allow reports whether to speak now, and of how many events.
func (l *limiter) allow() (events int64, say bool) {
	l.count.Add(1)
	now, last := time.Now().Unix(), l.last.Load()
	if now-last < quietSeconds || !l.last.CompareAndSwap(last, now) {
		return 0, false
	}
	return l.count.Swap(0), true
}
