//go:build e2e && linux

package torture_test

import (
	"testing"
	"time"

	"trench/pkg/internal/local"
	"trench/pkg/internal/torture"
)

// phases are those of the long form, or shorter ones with fewer faults.
func phases(long bool) []phase {
	choose := func(short, full int) int {
		if long {
			return full
		}
		return short
	}
	seconds := func(short, full int) time.Duration { return time.Duration(choose(short, full)) * time.Second }
	return []phase{
		{name: "nothing happens", harm: wait(seconds(6, 60))},
		{name: "services are killed", harm: killServices(choose(8, 64))},
		{name: "the broker is killed", harm: crash(local.KafkaPart, choose(1, 5))},
		{name: "the store is killed", harm: crash(local.ClickHousePart, choose(1, 5))},
		{name: "the spool's disk is full", spool: true, harm: away(seconds(8, 45))},
		{name: "both are frozen", harm: freeze(seconds(6, 30))},
		{name: "workers come and go", harm: comeAndGo(choose(2, 10))},
		{name: "connections are cut and slow", harm: cut(choose(3, 20))},
		{name: "one record of a hundred is poison", poison: true, harm: wait(seconds(6, 60))},
		{name: "the sensor's clock jumps", jumping: true, harm: wait(seconds(4, 20))},
		{name: "nothing happens any more", harm: wait(seconds(4, 75))},
	}
}

func wait(d time.Duration) func(*testing.T, *run) int {
	return func(*testing.T, *run) int {
		time.Sleep(d)
		return 0
	}
}

// again kills a service and starts it anew at once.
func (r *run) again(t *testing.T, s *torture.Service) {
	t.Helper()
	s.Kill()
	r.start(t, s)
}

// killServices kills each service in turn, then any of them.
func killServices(n int) func(*testing.T, *run) int {
	return func(t *testing.T, r *run) int {
		for i := range n {
			time.Sleep(time.Second + time.Duration(r.rng.Int64N(int64(time.Second))))
			s := r.services[i%len(r.services)]
			if i >= len(r.services) {
				s = r.services[r.rng.IntN(len(r.services))]
			}
			r.again(t, s)
		}
		return n
	}
}

// crash kills a part and starts it again, n times.
func crash(part string, n int) func(*testing.T, *run) int {
	return func(t *testing.T, r *run) int {
		for range n {
			time.Sleep(2*time.Second + time.Duration(r.rng.Int64N(int64(2*time.Second))))
			if err := r.parts.Kill(part); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if err := r.parts.Up(part); err != nil {
				t.Fatal(err)
			}
			r.retarget()
		}
		time.Sleep(2 * time.Second)
		return n
	}
}

// freeze stops the broker, then the store, for d each, as a machine does that
// hangs: connections stay open and nobody answers.
func freeze(d time.Duration) func(*testing.T, *run) int {
	return func(t *testing.T, r *run) int {
		for _, part := range []string{local.KafkaPart, local.ClickHousePart} {
			time.Sleep(2 * time.Second)
			if err := r.parts.Freeze(part); err != nil {
				t.Fatal(err)
			}
			time.Sleep(d)
			if err := r.parts.Thaw(part); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		return 2
	}
}

// comeAndGo lets second workers of all stages come and go: each makes its group deal
// the partitions anew, twice.
func comeAndGo(n int) func(*testing.T, *run) int {
	return func(t *testing.T, r *run) int {
		for i := range n {
			s := r.spare[i%len(r.spare)]
			r.start(t, s)
			r.eventually(t, "a second "+s.Name+" is ready", time.Minute, func() error { _, err := s.Get("/readyz"); return err })
			time.Sleep(time.Second)
			if i%2 == 1 {
				s.Kill()
			} else if err := s.Stop(30 * time.Second); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		return 2 * n
	}
}

// cut resets the connections to broker and store, n times, refuses new ones for
// a moment, and slows them down in between.
func cut(n int) func(*testing.T, *run) int {
	return func(t *testing.T, r *run) int {
		proxies := []*torture.Proxy{r.broker, r.store}
		for i := range n {
			for _, p := range proxies {
				p.SetDelay(time.Duration(r.rng.IntN(3)) * 50 * time.Millisecond)
			}
			time.Sleep(time.Second + time.Duration(r.rng.Int64N(int64(time.Second))))
			p := proxies[i%2]
			p.Refuse(i%3 == 2)
			p.Cut()
			time.Sleep(300 * time.Millisecond)
			p.Refuse(false)
		}
		for _, p := range proxies {
			p.SetDelay(0)
		}
		return n
	}
}

// away makes the broker unreachable for d.
func away(d time.Duration) func(*testing.T, *run) int {
	return func(_ *testing.T, r *run) int {
		time.Sleep(time.Second)
		r.broker.Refuse(true)
		r.broker.Cut()
		time.Sleep(d)
		r.broker.Refuse(false)
		time.Sleep(time.Second)
		return 1
	}
}
