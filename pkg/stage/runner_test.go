package stage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"trench/pkg/bus"
	"trench/pkg/bus/memory"
	"trench/pkg/fault"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// handler is a Handler made of a function.
type handler func(ctx context.Context, batch []int) ([]stage.Reject, error)

func (h handler) Handle(ctx context.Context, batch stage.Batch[int]) ([]stage.Reject, error) {
	return h(ctx, batch.Values)
}

// rig is a runner that reads numbers from the topic "in".
type rig struct {
	broker *memory.Broker
	runner *stage.Runner[int]
}

func newRig(h handler) *rig {
	r := &rig{broker: memory.NewBroker(3)}
	cfg := stage.DefaultConfig()
	cfg.BatchRecords, cfg.BatchAge, cfg.RetryMin, cfg.RetryMax = 10, 20*time.Millisecond, time.Millisecond, 10*time.Millisecond
	r.runner = &stage.Runner[int]{
		Name: "double", Config: cfg,
		NewConsumer: func() bus.Consumer { return r.broker.NewConsumer("in", "g") },
		NewHandler:  func() stage.Handler[int] { return h },
		Decode: func(rec *bus.Record, n *int) (err error) {
			*n, err = strconv.Atoi(string(rec.Value))
			return err
		},
		DeadLetters: r.broker.NewProducer(), Log: slog.New(slog.DiscardHandler),
	}
	return r
}

// pipe makes the rig double its numbers into the topic "out".
func (r *rig) pipe() *rig {
	r.runner.NewHandler = func() stage.Handler[int] {
		return &stage.Pipe[int, int]{
			Process: func(in, out []int) {
				for i := range in {
					out[i] = 2 * in[i]
				}
			},
			Stage: "double",
			Encode: func(n *int, _ *bus.Record) (bus.Record, error) {
				if *n == 26 {
					return bus.Record{}, errors.New("unlucky")
				}
				return bus.Record{Topic: "out", Value: fmt.Append(nil, *n)}, nil
			},
			Producer: r.broker.NewProducer(),
		}
	}
	return r
}

func (r *rig) send(t *testing.T, values ...string) {
	t.Helper()
	var records []bus.Record
	for _, v := range values {
		records = append(records, bus.Record{Topic: "in", Key: []byte(v), Value: []byte(v), Headers: []bus.Header{{Key: "h", Value: []byte("x")}}})
	}
	if err := r.broker.NewProducer().Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) sendNumbers(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		r.send(t, strconv.Itoa(i))
	}
}

func (r *rig) committed() (n int64) {
	for _, o := range r.broker.Committed("in", "g") {
		n += o
	}
	return n
}

func (r *rig) values(topic string) map[string]int {
	out := map[string]int{}
	for _, rec := range r.broker.Records(topic) {
		out[string(rec.Value)]++
	}
	return out
}

func (r *rig) letters(t *testing.T) (out []wire.DeadLetter) {
	t.Helper()
	for _, rec := range r.broker.Records(wire.TopicDeadLetter) {
		var d wire.DeadLetter
		if err := stage.DecodeDeadLetter(&rec, &d); err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// run runs the rig until n records are committed, inside a bubble of fake time.
func (r *rig) run(t *testing.T, n int64) error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- r.runner.Run(ctx) }()
	for start := time.Now(); r.committed() < n; {
		select {
		case err := <-done:
			return err
		case <-time.After(time.Millisecond):
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("%d records committed in a minute, want %d", r.committed(), n)
		}
	}
	stop()
	return <-done
}

func TestEveryRecordIsProcessedWrittenAndCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil).pipe()
		r.sendNumbers(t, 100, 200)
		if err := r.run(t, 100); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		for i := 100; i < 200; i++ {
			want[strconv.Itoa(2*i)] = 1
		}
		if d := cmp.Diff(want, r.values("out")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestWhatCannotBeHandledBecomesADeadLetterAndBlocksNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil).pipe()
		reg := prometheus.NewRegistry()
		r.runner.Registry = reg
		r.send(t, "12", "poison", "13", strings.Repeat("9", 400<<10), "14")
		if err := r.run(t, 5); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[string]int{"24": 1, "28": 1}, r.values("out")); d != "" {
			t.Errorf("out (-want +got):\n%s", d)
		}
		got := map[string]wire.DeadLetter{}
		for _, d := range r.letters(t) {
			got[string(d.Key[:2])] = d
		}
		if len(got) != 3 {
			t.Fatalf("%d dead letters, want 3", len(got))
		}
		if d := got["po"]; d.Stage != "double" || d.Topic != "in" || string(d.Value) != "poison" || !strings.Contains(d.Error, "invalid syntax") ||
			d.ValueBytes != 6 || len(d.Headers) != 1 || d.Headers[0].Key != "h" || d.Time.IsZero() || d.Failed.Before(d.Time) {
			t.Errorf("poison: %+v", d)
		}
		if d := got["13"]; d.Error != "unlucky" {
			t.Errorf("13: %+v", d)
		}
		if d := got["99"]; len(d.Value) != wire.MaxOriginal || d.ValueBytes != 400<<10 {
			t.Errorf("huge: kept %d of %d bytes", len(d.Value), d.ValueBytes)
		}
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`# HELP trench_stage_dead_letters_total Records given up, by what could not be done with them.
# TYPE trench_stage_dead_letters_total counter
trench_stage_dead_letters_total{reason="decode",stage="double"} 2
trench_stage_dead_letters_total{reason="handle",stage="double"} 1
# HELP trench_stage_records_total Records taken to their end: delivered or dead-lettered, and committed.
# TYPE trench_stage_records_total counter
trench_stage_records_total{stage="double"} 5
`), "trench_stage_dead_letters_total", "trench_stage_records_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestARejectNamesItsOwnRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(_ context.Context, batch []int) (out []stage.Reject, _ error) {
			for i, n := range batch {
				if n%5 == 0 {
					out = append(out, stage.Reject{Index: i, Err: fmt.Errorf("refused %d", n)})
				}
			}
			return out, nil
		})
		r.send(t, "a", "10", "b", "11", "15", "c", "20")
		if err := r.run(t, 7); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, d := range r.letters(t) {
			got[string(d.Value)], _, _ = strings.Cut(d.Error, ":")
		}
		want := map[string]string{"a": "strconv.Atoi", "b": "strconv.Atoi", "c": "strconv.Atoi", "10": "refused 10", "15": "refused 15", "20": "refused 20"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestATransientFaultIsTriedAgainAndNothingIsCommittedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		tries := 0
		r = newRig(func(context.Context, []int) ([]stage.Reject, error) {
			if tries++; tries <= 4 {
				if n := r.committed(); n != 0 {
					t.Errorf("%d records committed before the batch was delivered", n)
				}
				if tries > 1 && r.runner.Ready(t.Context()) == nil {
					t.Error("ready while the batch fails")
				}
				return nil, errors.New("the store is away")
			}
			return nil, nil
		})
		r.sendNumbers(t, 0, 5)
		if err := r.run(t, 5); err != nil || tries < 5 {
			t.Errorf("err = %v after %d tries", err, tries)
		}
	})
}

func TestAPermanentFaultEndsTheStage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) {
			return nil, fmt.Errorf("no such table: %w", fault.ErrConfiguration)
		})
		r.sendNumbers(t, 0, 5)
		err := r.run(t, 5)
		if !errors.Is(err, fault.ErrConfiguration) || !strings.Contains(err.Error(), "stage double: handle: no such table") {
			t.Errorf("err = %v", err)
		}
		if r.committed() != 0 {
			t.Error("something was committed")
		}
	})
}

func TestABatchInHandIsFinishedWhenStopping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		r := newRig(func(ctx context.Context, _ []int) ([]stage.Reject, error) {
			stop()
			select {
			case <-time.After(5 * time.Second):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		r.sendNumbers(t, 0, 4)
		if err := r.runner.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := r.committed(); n != 4 {
			t.Errorf("%d records committed, want 4", n)
		}
	})
}

func TestABatchThatCannotFinishInItsGraceIsDroppedUncommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		r := newRig(func(ctx context.Context, _ []int) ([]stage.Reject, error) {
			stop()
			<-ctx.Done()
			return nil, ctx.Err()
		})
		r.sendNumbers(t, 0, 4)
		start := time.Now()
		if err := r.runner.Run(ctx); err != nil {
			t.Errorf("err = %v, want none: the records come again", err)
		}
		if took := time.Since(start); took < r.runner.Config.Grace || took > r.runner.Config.Grace+time.Second {
			t.Errorf("stopped after %v, want %v", took, r.runner.Config.Grace)
		}
		if n := r.committed(); n != 0 {
			t.Errorf("%d records committed, want none", n)
		}
	})
}

func TestBatchesEndByCountBytesAndAge(t *testing.T) {
	t.Parallel()
	sizes := func(t *testing.T, change func(*stage.Config), records int) (out []int) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(func(_ context.Context, batch []int) ([]stage.Reject, error) {
				out = append(out, len(batch))
				return nil, nil
			})
			change(&r.runner.Config)
			r.sendNumbers(t, 100, 100+records)
			if err := r.run(t, int64(records)); err != nil {
				t.Fatal(err)
			}
		})
		return out
	}
	if d := cmp.Diff([]int{10, 10, 5}, sizes(t, func(c *stage.Config) { c.BatchRecords = 10 }, 25)); d != "" {
		t.Errorf("by count (-want +got):\n%s", d)
	}
	// A record has 3 bytes of key, 3 of value and 2 of header; 64 are fetched at once,
	// and what is too much is the next batch's.
	if d := cmp.Diff([]int{50, 50}, sizes(t, func(c *stage.Config) { c.BatchRecords, c.BatchBytes = 1000, 400 }, 100)); d != "" {
		t.Errorf("by bytes (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]int{1, 1, 1}, sizes(t, func(c *stage.Config) { c.BatchRecords, c.BatchBytes = 1000, 7 }, 3)); d != "" {
		t.Errorf("records larger than a batch (-want +got):\n%s", d)
	}
	synctest.Test(t, func(t *testing.T) {
		var ages []time.Duration
		start := time.Now()
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) {
			ages = append(ages, time.Since(start))
			return nil, nil
		})
		r.runner.Config.BatchAge = 3 * time.Second
		r.sendNumbers(t, 0, 2)
		if err := r.run(t, 2); err != nil {
			t.Fatal(err)
		}
		if len(ages) != 1 || ages[0] < 3*time.Second || ages[0] > 4*time.Second {
			t.Errorf("batches at %v, want one after 3s", ages)
		}
	})
}

func TestWorkersComeAndGoWithoutALoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil).pipe()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var wg sync.WaitGroup
		member := func(ctx context.Context) {
			one := newRig(nil)
			one.broker = r.broker
			one.pipe()
			one.runner.Config.Workers = 2
			wg.Go(func() {
				if err := one.runner.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		member(ctx)
		sent := 1000
		for range 8 {
			short, cancel := context.WithCancel(ctx)
			member(short)
			r.sendNumbers(t, sent, sent+60)
			sent += 60
			time.Sleep(15 * time.Millisecond)
			cancel()
		}
		for r.committed() < int64(sent-1000) {
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		wg.Wait()
		got := r.values("out")
		for i := 1000; i < sent; i++ {
			if got[strconv.Itoa(2*i)] < 1 {
				t.Errorf("%d is lost", i)
			}
		}
	})
}

func TestReadyOnlyWithAPlaceInTheGroup(t *testing.T) {
	t.Parallel()
	r := newRig(nil)
	if err := r.runner.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "consumer group") {
		t.Errorf("err = %v before the run", err)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	if err := stage.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	err := stage.Config{RetryMin: 2}.Validate()
	for _, want := range []string{"batch_records:", "batch_bytes:", "batch_age:", "workers:", "grace:", "retry_min:", "retry_max:", "above retry_max", "in_flight:", "stall:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}
