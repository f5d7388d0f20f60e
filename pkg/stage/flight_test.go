package stage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/bus"
	"trench/pkg/bus/memory"
	"trench/pkg/fault"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// tap looks at what passes between a runner and its bus.
type tap struct {
	bus.Consumer
	fetched func([]bus.Record)
	commit  func(ctx context.Context, next map[int]int64, do func() error) error
	first   *atomic.Bool  // something was fetched
	gate    chan struct{} // if not nil, a Fetch after the first waits until it is closed, and hears no context
}

type tapClaim struct {
	bus.Claim
	tap *tap
}

func (x *tap) Run(ctx context.Context, serve func(context.Context, bus.Claim) error) error {
	return x.Consumer.Run(ctx, func(ctx context.Context, c bus.Claim) error { return serve(ctx, tapClaim{c, x}) })
}

func (c tapClaim) Fetch(ctx context.Context, dst []bus.Record, limit int) ([]bus.Record, error) {
	if c.tap.gate != nil && c.tap.first.Load() {
		<-c.tap.gate
	}
	n := len(dst)
	dst, err := c.Claim.Fetch(ctx, dst, limit)
	c.tap.first.Store(true)
	if c.tap.fetched != nil {
		c.tap.fetched(dst[n:])
	}
	return dst, err
}

func (c tapClaim) Commit(ctx context.Context, next map[int]int64) error {
	do := func() error { return c.Claim.Commit(ctx, next) }
	if c.tap.commit != nil {
		return c.tap.commit(ctx, next, do)
	}
	return do()
}

// tapped puts a tap between the rig and its broker.
func (r *rig) tapped(x tap) *rig {
	r.runner.NewConsumer = func() bus.Consumer {
		one := x
		one.Consumer, one.first = r.broker.NewConsumer("in", "g"), new(atomic.Bool)
		return &one
	}
	return r
}

// single makes the rig's topic one partition, so that its order is known.
func (r *rig) single() *rig {
	r.broker = memory.NewBroker(1)
	r.runner.DeadLetters = r.broker.NewProducer()
	return r
}

// start runs the rig until the end of the test, or until stop.
func (r *rig) start(t *testing.T) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.runner.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return stop
}

func TestBatchesAreHandledAtTheSameTimeAndCommittedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gates := map[int]chan struct{}{0: make(chan struct{}), 10: make(chan struct{}), 20: make(chan struct{})}
		r := newRig(func(_ context.Context, batch []int) ([]stage.Reject, error) {
			<-gates[batch[0]]
			return nil, nil
		}).single()
		r.runner.Config.InFlight = 3
		r.sendNumbers(t, 0, 30)
		stop := r.start(t)
		for _, step := range []struct {
			open int
			want int64
		}{{20, 0}, {10, 0}, {0, 30}} {
			close(gates[step.open])
			synctest.Wait()
			if n := r.committed(); n != step.want {
				t.Errorf("%d records committed after the batch at %d is done, want %d", n, step.open, step.want)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsFetchedWhileEverythingIsBusy(t *testing.T) {
	t.Parallel()
	for _, flights := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			var fetched, most atomic.Int64
			r := newRig(func(context.Context, []int) ([]stage.Reject, error) { <-gate; return nil, nil }).single()
			r.tapped(tap{fetched: func(got []bus.Record) {
				fetched.Add(int64(len(got)))
				for i := range got {
					most.Store(max(most.Load(), int64(got[i].Size())))
				}
			}})
			r.runner.Config.InFlight, r.runner.Config.BatchRecords = flights, 7
			r.sendNumbers(t, 0, 100)
			stop := r.start(t)
			time.Sleep(time.Hour)
			if got, want := fetched.Load(), int64(7*(flights+1)); got != want {
				t.Errorf("%d in flight: %d records fetched, want %d", flights, got, want)
			}
			close(gate)
			for r.committed() < 100 {
				time.Sleep(time.Second)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABatchThatFailsForGoodTakesThoseAfterItAlongAndNotThoseBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cancelled atomic.Bool
		r := newRig(func(ctx context.Context, batch []int) ([]stage.Reject, error) {
			switch batch[0] {
			case 0: // ends within the grace
				time.Sleep(5 * time.Second)
			case 10:
				time.Sleep(time.Second)
				return nil, fmt.Errorf("no table: %w", fault.ErrConfiguration)
			case 20:
				<-ctx.Done()
				cancelled.Store(true)
				return nil, ctx.Err()
			}
			return nil, nil
		}).single()
		r.runner.Config.InFlight = 4
		r.sendNumbers(t, 0, 40)
		start := time.Now()
		err := r.run(t, 40)
		if !errors.Is(err, fault.ErrConfiguration) || !strings.Contains(err.Error(), "handle: no table") {
			t.Errorf("err = %v", err)
		}
		if n := r.committed(); n != 10 {
			t.Errorf("%d records committed, want the 10 before those that failed", n)
		}
		if took := time.Since(start); took > 6*time.Second || !cancelled.Load() {
			t.Errorf("it took %v; the one after was cancelled: %v", took, cancelled.Load())
		}
	})
}

func TestAnOutageOfHoursIsSurvived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(9 * time.Hour)
		var last, longest atomic.Int64
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) {
			now := time.Now().UnixNano()
			if before := last.Swap(now); before != 0 {
				longest.Store(max(longest.Load(), now-before))
			}
			if time.Now().Before(back) {
				return nil, errors.New("the store is away")
			}
			return nil, nil
		}).single()
		r.runner.Config.RetryMax = 10 * time.Second
		r.sendNumbers(t, 0, 20)
		stop := r.start(t)
		for time.Now().Before(back) {
			time.Sleep(10 * time.Minute)
			if err := r.runner.Live(t.Context()); err != nil {
				t.Fatalf("an outage is no reason to restart: %v", err)
			}
			if err := r.runner.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "the store is away") {
				t.Fatalf("ready: %v", err)
			}
		}
		time.Sleep(time.Minute)
		if n := r.committed(); n != 20 {
			t.Errorf("%d records committed, want 20", n)
		}
		if d := time.Duration(longest.Load()); d > 15*time.Second || d < 5*time.Second {
			t.Errorf("the longest pause is %v, want between 5s and 15s", d)
		}
		if err := r.runner.Ready(t.Context()); err != nil {
			t.Errorf("not ready again: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnAttemptThatWaitsInVainIsMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		r := newRig(func(ctx context.Context, _ []int) ([]stage.Reject, error) {
			if tries.Add(1) < 4 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, nil
		})
		r.sendNumbers(t, 0, 1)
		stop := r.start(t)
		for r.committed() == 0 {
			time.Sleep(time.Second)
			if err := r.runner.Live(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := stop(); err != nil || tries.Load() != 4 {
			t.Errorf("err = %v after %d tries", err, tries.Load())
		}
	})
}

func TestARevokedClaimKeepsWhatIsDoneInItsGraceOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var first atomic.Bool
		first.Store(true)
		r := newRig(func(ctx context.Context, batch []int) ([]stage.Reject, error) {
			if !first.Load() || batch[0] == 20 {
				return nil, nil // the third is done, but may not be committed before the second
			}
			wait := 3 * time.Second
			if batch[0] == 10 {
				wait = time.Minute // beyond the grace
			}
			select {
			case <-time.After(wait):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}).single()
		r.runner.Config.InFlight = 3
		r.sendNumbers(t, 0, 30)
		r.start(t)
		time.Sleep(time.Second)
		if n := r.committed(); n != 0 {
			t.Errorf("%d records committed at once", n)
		}
		// A second member comes and the partition is dealt anew.
		gone, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			left <- r.broker.NewConsumer("in", "g").Run(gone, func(ctx context.Context, _ bus.Claim) error { <-ctx.Done(); return nil })
		}()
		time.Sleep(r.runner.Config.Grace + time.Second)
		if n := r.committed(); n != 10 {
			t.Errorf("%d records committed after the grace, want the 10 that were done", n)
		}
		first.Store(false)
		leave()
		if err := <-left; err != nil {
			t.Error(err)
		}
		for r.committed() < 30 {
			time.Sleep(time.Second)
		}
	})
}

func TestALostClaimIsNoFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var commits atomic.Int32
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) { return nil, nil })
		r.tapped(tap{commit: func(_ context.Context, _ map[int]int64, do func() error) error {
			switch commits.Add(1) {
			case 1:
				return fmt.Errorf("commit: %w", bus.ErrClaimLost)
			case 2:
				return errors.New("connection reset")
			}
			return do()
		}})
		r.sendNumbers(t, 0, 25)
		if err := r.run(t, 25); err != nil {
			t.Error(err)
		}
	})
}

func TestTheRecordThatPanicsIsFoundAndBuried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var handlers atomic.Int32
		r := newRig(nil)
		var mu sync.Mutex
		seen := map[int]bool{}
		r.runner.NewHandler = func() stage.Handler[int] {
			handlers.Add(1)
			return handler(func(_ context.Context, batch []int) ([]stage.Reject, error) {
				if slices.Contains(batch, 113) || slices.Contains(batch, 117) {
					panic("index out of range")
				}
				mu.Lock()
				defer mu.Unlock()
				for _, n := range batch {
					seen[n] = true
				}
				return nil, nil
			})
		}
		decode := r.runner.Decode
		r.runner.Decode = func(rec *bus.Record, n *int) error {
			if string(rec.Value) == "105" {
				panic("nil pointer")
			}
			return decode(rec, n)
		}
		r.sendNumbers(t, 100, 120)
		if err := r.run(t, 20); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, d := range r.letters(t) {
			got[string(d.Value)] = d.Error
		}
		want := map[string]string{
			"105": "refused: panic: nil pointer", "113": "refused: panic: index out of range", "117": "refused: panic: index out of range",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("dead letters (-want +got):\n%s", d)
		}
		if len(seen) != 17 {
			t.Errorf("%d records handled, want 17", len(seen))
		}
		if handlers.Load() < 3 {
			t.Error("a handler that panicked was used again")
		}
	})
}

func TestAStageThatAlwaysPanicsEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) { panic("nil map") }).single()
		r.sendNumbers(t, 0, 10)
		err := r.run(t, 10)
		if !errors.Is(err, fault.ErrConfiguration) || !strings.Contains(err.Error(), "each of 10 records makes the stage panic") || !strings.Contains(err.Error(), "nil map") {
			t.Errorf("err = %v", err)
		}
		if n := len(r.letters(t)); n != 0 || r.committed() != 0 {
			t.Errorf("%d dead letters, %d committed", n, r.committed())
		}
	})
}

func TestTheRecordThatIsRefusedIsFoundAndBuried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		r := newRig(func(_ context.Context, batch []int) ([]stage.Reject, error) {
			tries++
			if slices.Contains(batch, 3) {
				return nil, &fault.Error{Code: fault.Lookup(fault.ClickHouse, 131), Err: errors.New("string too large")}
			}
			return nil, nil
		}).single()
		r.sendNumbers(t, 0, 10)
		if err := r.run(t, 10); err != nil {
			t.Fatal(err)
		}
		letters := r.letters(t)
		if len(letters) != 1 || string(letters[0].Value) != "3" || letters[0].Error != "refused: string too large" {
			t.Errorf("dead letters: %+v", letters)
		}
		if tries > 9 {
			t.Errorf("%d tries to find one of ten", tries)
		}
	})
}

func TestDeadLettersThatAreRefusedEndTheStage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) { return nil, nil })
		r.runner.DeadLetters = refuser{}
		r.send(t, "poison")
		err := r.run(t, 1)
		if !errors.Is(err, fault.ErrConfiguration) || !strings.Contains(err.Error(), wire.TopicDeadLetter+" takes no dead letters") {
			t.Errorf("err = %v", err)
		}
	})
}

type refuser struct{}

func (refuser) Write(context.Context, []bus.Record) error {
	return &bus.RefusedError{Refused: []bus.Refusal{{Index: 0, Err: errors.New("too large")}}}
}
func (refuser) Close() error { return nil }

// TestNothingIsCommittedThatIsNotDone lets batches take their time, fail, panic and
// lose their claims at random, and looks at every commit.
func TestNothingIsCommittedThatIsNotDone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const total = 600
			rng := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			draw := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
			done := map[[2]int64]bool{} // by partition and offset
			broker := memory.NewBroker(4)
			member := func() *rig {
				r := newRig(nil)
				r.broker = broker
				r.runner.DeadLetters = broker.NewProducer()
				r.runner.Config.InFlight, r.runner.Config.Workers = 1+draw(4), 1+draw(2)
				r.runner.Config.BatchRecords, r.runner.Config.BatchBytes = 1+draw(20), 1+draw(200)
				r.runner.NewHandler = func() stage.Handler[int] {
					return full(func(ctx context.Context, b stage.Batch[int]) ([]stage.Reject, error) {
						time.Sleep(time.Duration(draw(200)) * time.Millisecond)
						if ctx.Err() != nil {
							return nil, ctx.Err()
						}
						switch draw(5) {
						case 0:
							return nil, errors.New("away")
						case 1:
							if len(b.Values) > 1 {
								return nil, fault.ErrRefused
							}
						}
						mu.Lock()
						defer mu.Unlock()
						for _, rec := range b.Records {
							done[[2]int64{int64(rec.Partition), rec.Offset}] = true
						}
						return nil, nil
					})
				}
				return r.tapped(tap{commit: func(_ context.Context, next map[int]int64, do func() error) error {
					mu.Lock()
					for p, n := range next {
						for o := range n {
							if !done[[2]int64{int64(p), o}] {
								t.Errorf("seed %d: partition %d is committed up to %d, but %d is not done", seed, p, n, o)
								break
							}
						}
					}
					mu.Unlock()
					switch draw(10) {
					case 0:
						return bus.ErrClaimLost
					case 1:
						return errors.New("reset")
					}
					return do()
				}})
			}
			first := member()
			first.sendNumbers(t, 0, total)
			stops := []func() error{first.start(t)}
			for first.committed() < total {
				time.Sleep(time.Duration(draw(2000)) * time.Millisecond)
				if len(stops) < 3 && draw(2) == 0 {
					stops = append(stops, member().start(t))
				} else if len(stops) > 1 {
					if err := stops[1](); err != nil {
						t.Error(err)
					}
					stops = slices.Delete(stops, 1, 2)
				}
			}
			for _, stop := range stops {
				if err := stop(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// full is a Handler that sees the records, too.
type full func(context.Context, stage.Batch[int]) ([]stage.Reject, error)

func (f full) Handle(ctx context.Context, b stage.Batch[int]) ([]stage.Reject, error) {
	return f(ctx, b)
}

func TestHugeRecordsStayWithinTheBytesOfTheBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var most, inHand, worst atomic.Int64
		r := newRig(nil).single()
		r.runner.NewHandler = func() stage.Handler[int] {
			return full(func(_ context.Context, b stage.Batch[int]) ([]stage.Reject, error) {
				n := int64(0)
				for _, rec := range b.Records {
					n += int64(rec.Size())
				}
				most.Store(max(most.Load(), n))
				worst.Store(max(worst.Load(), inHand.Add(n)))
				time.Sleep(time.Second)
				inHand.Add(-n)
				return nil, nil
			})
		}
		r.runner.Config.InFlight, r.runner.Config.BatchRecords, r.runner.Config.BatchBytes = 2, 1000, 100<<10
		r.runner.Decode = func(*bus.Record, *int) error { return nil }
		for i := range 100 {
			r.send(t, strconv.Itoa(i)+strings.Repeat(" ", 30<<10))
		}
		if err := r.run(t, 100); err != nil {
			t.Fatal(err)
		}
		if most.Load() > 100<<10 || worst.Load() > 200<<10 {
			t.Errorf("a batch of %d bytes, %d in flight", most.Load(), worst.Load())
		}
	})
}
