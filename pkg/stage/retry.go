package stage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"trench/pkg/fault"
)

// retry calls do until it succeeds, fails in a way that trying again does not end, or
// ctx ends. Each attempt has half of Config.Stall, so that a call that waits in vain
// is told from one that hangs.
func (r *Runner[T]) retry(ctx context.Context, p *progress, what string, do func(context.Context) error) error {
	defer p.idle()
	for wait := (fault.Backoff{Min: r.Config.RetryMin, Max: r.Config.RetryMax}); ; {
		p.begin(what)
		attempt, cancel := context.WithTimeout(ctx, r.Config.Stall/2)
		err := do(attempt)
		cancel()
		if err != nil {
			r.metrics.failed(err)
		}
		if err == nil || fault.Of(err) != fault.Transient || ctx.Err() != nil {
			if since := p.healed(); err == nil && !since.IsZero() && time.Since(since) >= time.Second {
				r.Log.Info("the batch goes through", "stage", r.Name, "doing", what, "after", time.Since(since).Round(time.Millisecond))
			}
			if err != nil && ctx.Err() != nil {
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return err
		}
		since := p.failed(err)
		r.metrics.retry()
		if n, say := r.failing.allow(); say {
			r.Log.Warn("batch failed, trying again", "stage", r.Name, "doing", what, "since", time.Since(since).Round(time.Second), "times", n, "err", err)
		}
		p.begin("pause before the next attempt")
		_ = wait.Wait(ctx) // a last attempt says why ctx has ended
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
