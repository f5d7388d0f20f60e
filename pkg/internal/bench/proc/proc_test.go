package proc_test

import (
	"os"
	"testing"
	"time"

	"trench/pkg/internal/bench/proc"
)

func TestTimesOfTheKernelAreRead(t *testing.T) {
	t.Parallel()
	// Enough to be seen in its units.
	for start := time.Now(); time.Since(start) < 60*time.Millisecond; {
	}
	if cpu, err := proc.CPUTime(os.Getpid()); err != nil || cpu < 10*time.Millisecond || cpu > time.Hour {
		t.Errorf("CPU time %v, err = %v", cpu, err)
	}
	if rss, err := proc.RSS(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("RSS %d, err = %v", rss, err)
	}
	if rss, err := proc.PeakRSS(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("peak RSS %d, err = %v", rss, err)
	}
	one, err := proc.IdleTime([]int{0})
	if err != nil || one <= 0 {
		t.Errorf("idle time %v, err = %v", one, err)
	}
	if all, err := proc.IdleTime([]int{0, 1}); err != nil || all < one {
		t.Errorf("idle time %v of two cores, %v of one, err = %v", all, one, err)
	}
	if spent, err := proc.Spend(func() error { return nil }); err != nil || spent > time.Second {
		t.Errorf("spent %v, err = %v", spent, err)
	}
	for _, pid := range []int{-1, 1 << 30} {
		if _, err := proc.CPUTime(pid); err == nil {
			t.Errorf("process %d has a CPU time", pid)
		}
	}
}
