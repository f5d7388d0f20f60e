package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"trench/pkg/bus"
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

	metrics   *metrics
	workers   atomic.Pointer[[]*worker[T]] // nil before Run
	failing   limiter
	burying   limiter
	panicking limiter
}

// Run works until ctx ends, which is no error, or something fails for good.
func (r *Runner[T]) Run(ctx context.Context) error {
	r.metrics = newMetrics(r.Registry, r.Name, r.oldest)
	var workers []*worker[T]
	for range r.Config.Workers {
		workers = append(workers, newWorker(r))
	}
	r.workers.Store(&workers)
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range workers {
		g.Go(func() error { return r.NewConsumer().Run(ctx, w.serve) }) // ends with ctx
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("stage %s: %w", r.Name, err)
	}
	return nil
}

// Ready returns nil when the stage holds partitions, or at least its place in the
// group, and makes progress.
func (r *Runner[T]) Ready(context.Context) error {
	claims := 0
	for _, w := range r.list() {
		if w.claimed.Load() {
			claims++
		}
		for _, p := range w.progress() {
			if f := p.failure.Load(); f != nil {
				return fmt.Errorf("stage %s: a batch fails since %v and is tried again: %w", r.Name, time.Since(f.since).Round(time.Second), f.err)
			}
		}
	}
	if claims == 0 {
		return fmt.Errorf("stage %s: has not joined its consumer group", r.Name)
	}
	return nil
}

// Live returns an error when a worker is stuck, so that only a new process would help:
// a handler, decoder, fetch or commit that has not returned for Config.Stall though its
// time was over long before, or a batch that is done and not seen. A fault that is tried
// again is no such thing.
func (r *Runner[T]) Live(context.Context) error {
	var errs []error
	for i, w := range r.list() {
		for _, p := range append(w.progress(), &w.unheard, &w.fetching) {
			if err := p.stalled(r.Config.Stall); err != nil {
				errs = append(errs, fmt.Errorf("stage %s: worker %d: %w", r.Name, i+1, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (r *Runner[T]) list() []*worker[T] {
	if l := r.workers.Load(); l != nil {
		return *l
	}
	return nil
}

// progress returns what the worker and its lanes do.
func (w *worker[T]) progress() []*progress {
	all := []*progress{&w.committing}
	for _, l := range w.lanes {
		all = append(all, &l.progress)
	}
	return all
}

// oldest returns the time of the oldest record that was fetched and not committed,
// zero when there is none.
func (r *Runner[T]) oldest() (oldest time.Time) {
	for _, w := range r.list() {
		if n := w.oldest.Load(); n != 0 {
			if at := time.Unix(0, n); oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
		}
	}
	return oldest
}
