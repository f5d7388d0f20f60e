package stage_test

import (
	"context"
	"testing"

	"trench/pkg/bus"
	"trench/pkg/stage"
)

// endless is a bus whose one partition holds n records that are there at once.
type endless struct {
	n, next, committed int
	value              []byte
	done               context.CancelFunc
}

func (e *endless) Run(ctx context.Context, serve func(context.Context, bus.Claim) error) error {
	return serve(ctx, e)
}

func (e *endless) Fetch(ctx context.Context, dst []bus.Record, limit int) ([]bus.Record, error) {
	if e.next == e.n {
		<-ctx.Done()
		return dst, ctx.Err()
	}
	for ; limit > 0 && e.next < e.n; limit-- {
		dst = append(dst, bus.Record{Offset: int64(e.next), Value: e.value})
		e.next++
	}
	return dst, nil
}

func (e *endless) Commit(_ context.Context, next map[int]int64) error {
	if e.committed = int(next[0]); e.committed == e.n {
		e.done()
	}
	return nil
}

// BenchmarkRunner is what the runner itself costs for a record.
func BenchmarkRunner(b *testing.B) {
	r := newRig(func(context.Context, []int) ([]stage.Reject, error) { return nil, nil })
	r.runner.Config = stage.DefaultConfig()
	ctx, cancel := context.WithCancel(b.Context())
	e := &endless{n: b.N, value: make([]byte, 1000), done: cancel}
	r.runner.NewConsumer = func() bus.Consumer { return e }
	r.runner.Decode = func(_ *bus.Record, n *int) error { *n++; return nil }
	b.ReportAllocs()
	b.ResetTimer()
	if err := r.runner.Run(ctx); err != nil {
		b.Fatal(err)
	}
	if e.committed != b.N {
		b.Fatalf("%d of %d committed", e.committed, b.N)
	}
}
