package fault

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff makes the pauses between attempts at what fails for a transient fault: the
// first is about Min long, each further one twice as long as the one before, up to
// about Max. Each is half to one and a half times as long by chance, so that those who
// failed together do not come back together.
type Backoff struct {
	Min, Max time.Duration

	next time.Duration
}

// Wait pauses. It returns ctx's error, at once, when ctx ends.
func (b *Backoff) Wait(ctx context.Context) error {
	pause := max(b.next, b.Min)
	b.next = min(2*pause, b.Max)
	t := time.NewTimer(pause/2 + rand.N(pause))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Reset makes the next pause the first again.
func (b *Backoff) Reset() { b.next = 0 }
