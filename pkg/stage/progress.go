package stage

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// progress says what a goroutine does, for those who ask whether it moves.
type progress struct {
	step    atomic.Pointer[step]
	failure atomic.Pointer[failure]
}

// step is something that has to end.
type step struct {
	what  string
	since time.Time
}

// failure is a fault that was met again and again.
type failure struct {
	since time.Time
	err   error
}

func (p *progress) begin(what string) { p.step.Store(&step{what, time.Now()}) }

// beginOnce leaves a step that has begun already as it is.
func (p *progress) beginOnce(what string) { p.step.CompareAndSwap(nil, &step{what, time.Now()}) }

func (p *progress) idle() { p.step.Store(nil) }

// stalled returns an error when the step has lasted for limit.
func (p *progress) stalled(limit time.Duration) error {
	if s := p.step.Load(); s != nil && time.Since(s.since) >= limit {
		return fmt.Errorf("stuck for %v: %s", time.Since(s.since).Round(time.Second), s.what)
	}
	return nil
}

// failed notes a fault and returns since when it lasts.
func (p *progress) failed(err error) time.Time {
	since := time.Now()
	if f := p.failure.Load(); f != nil {
		since = f.since
	}
	p.failure.Store(&failure{since, err})
	return since
}

// healed notes that it goes on and returns since when it did not, zero if it did.
func (p *progress) healed() time.Time {
	if f := p.failure.Swap(nil); f != nil {
		return f.since
	}
	return time.Time{}
}

// bell ends a context when it rings. So who waits for records hears that a lane is
// done, and a ring that nobody heard is not lost.
type bell struct {
	mu   sync.Mutex
	rung bool
	stop context.CancelFunc // of who listens
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = true
	if b.stop != nil {
		b.stop()
	}
}

// listen returns a context that ends with ctx, at the next ring, or at once if it
// has rung since the last call.
func (b *bell) listen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung {
		cancel()
	}
	b.rung, b.stop = false, cancel
	return ctx, cancel
}
