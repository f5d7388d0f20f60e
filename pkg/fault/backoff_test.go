package fault_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"trench/pkg/fault"
)

func TestPausesDoubleUpToTheirLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := fault.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
		check := func(about time.Duration) {
			t.Helper()
			start := time.Now()
			if err := b.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < about/2 || took > about*3/2 {
				t.Errorf("paused for %v, want about %v", took, about)
			}
		}
		for _, ms := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			check(ms * time.Millisecond)
		}
		b.Reset()
		check(100 * time.Millisecond)
	})
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := fault.Backoff{Min: time.Hour, Max: time.Hour}
	if err := b.Wait(ctx); err != context.Canceled {
		t.Errorf("err = %v", err)
	}
}
