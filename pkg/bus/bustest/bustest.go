// Package bustest holds the rules that every bus must keep, as one test suite.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/bus"
)

// System is a bus under test.
type System struct {
	// NewTopic makes an empty topic with several partitions and returns its name.
	NewTopic func(t *testing.T) string
	// NewProducer and NewConsumer make clients that the test closes.
	NewProducer func(t *testing.T) bus.Producer
	NewConsumer func(t *testing.T, topic, group string) bus.Consumer
}

// patience is how long anything may take before a test fails.
const patience = 60 * time.Second

// Run holds a bus to the rules.
func Run(t *testing.T, s System) {
	for _, c := range []struct {
		name string
		test func(*testing.T, System)
	}{
		{"records arrive whole and in order of their key", testOrder},
		{"what is committed is not delivered again, what is not is", testCommit},
		{"groups do not disturb each other", testGroups},
		{"members share the partitions as they come and go", testMembers},
		{"a batch in hand can be committed when stopping", testStop},
		{"a claim that is over takes no commits", testLost},
		{"an error of the reader ends the run", testError},
		{"fetch waits no longer than its context", testFetchDeadline},
		{"a huge record is refused, the others are taken", testRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, s)
		})
	}
}

func write(t *testing.T, p bus.Producer, records ...bus.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Write(ctx, records); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func numbered(topic string, from, to int) (out []bus.Record) {
	for i := from; i < to; i++ {
		out = append(out, bus.Record{Topic: topic, Key: fmt.Append(nil, "key-", i%7), Value: fmt.Append(nil, i)})
	}
	return out
}

// commitAll commits everything up to and including records.
func commitAll(ctx context.Context, c bus.Claim, records []bus.Record) error {
	next := map[int]int64{}
	for _, r := range records {
		next[r.Partition] = r.Offset + 1
	}
	return c.Commit(ctx, next)
}

// read returns what a new member of the group gets, until n records came.
func read(t *testing.T, c bus.Consumer, n int, commit bool) []bus.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []bus.Record
	stop, stopped := context.WithCancel(ctx)
	defer stopped()
	err := c.Run(stop, func(ctx context.Context, cl bus.Claim) error {
		for len(got) < n {
			batch, err := cl.Fetch(ctx, nil, 50)
			if err != nil {
				return nil
			}
			got = append(got, batch...)
			if commit {
				if err := commitAll(ctx, cl, batch); err != nil {
					return err
				}
			}
		}
		stopped()
		return nil
	})
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	if len(got) < n {
		t.Fatalf("%d records came in %v, want %d", len(got), patience, n)
	}
	return got
}

func values(records []bus.Record) map[string]int {
	out := map[string]int{}
	for _, r := range records {
		out[string(r.Value)]++
	}
	return out
}

func testOrder(t *testing.T, s System) {
	topic, p := s.NewTopic(t), s.NewProducer(t)
	records := numbered(topic, 0, 200)
	for i := range records {
		records[i].Headers = []bus.Header{{Key: "n", Value: fmt.Append(nil, i)}, {Key: "empty"}}
	}
	before := time.Now().Add(-time.Minute)
	write(t, p, records[:120]...)
	write(t, p, records[120:]...)
	for i := range records { // the bus keeps its own copy
		records[i].Value = slices.Clone(records[i].Value)
	}
	got := read(t, s.NewConsumer(t, topic, "g-"+topic), 200, true)
	last, partition, offset := map[string]int{}, map[string]int{}, map[int]int64{}
	for _, r := range got {
		var n int
		fmt.Sscan(string(r.Value), &n)
		want := records[n]
		if string(r.Key) != string(want.Key) || r.Topic != topic || string(r.Header("n")) != string(r.Value) || len(r.Headers) != 2 {
			t.Fatalf("record %d came as %+v", n, r)
		}
		if r.Time.Before(before) || r.Time.After(time.Now().Add(time.Minute)) {
			t.Fatalf("record %d has the time %v", n, r.Time)
		}
		if prev, seen := last[string(r.Key)]; seen && n <= prev {
			t.Errorf("key %s: %d came after %d", r.Key, n, prev)
		}
		if prev, seen := partition[string(r.Key)]; seen && prev != r.Partition {
			t.Errorf("key %s is in partitions %d and %d", r.Key, prev, r.Partition)
		}
		if prev, seen := offset[r.Partition]; seen && r.Offset != prev+1 {
			t.Errorf("partition %d: offset %d came after %d", r.Partition, r.Offset, prev)
		}
		last[string(r.Key)], partition[string(r.Key)], offset[r.Partition] = n, r.Partition, r.Offset
	}
	if len(offset) < 2 {
		t.Errorf("everything is in %d partition", len(offset))
	}
}

func testCommit(t *testing.T, s System) {
	topic, p := s.NewTopic(t), s.NewProducer(t)
	group := "g-" + topic
	write(t, p, numbered(topic, 0, 100)...)
	read(t, s.NewConsumer(t, topic, group), 100, true)
	write(t, p, numbered(topic, 100, 140)...)
	for range 2 { // not committed: delivered to the next as well
		got := read(t, s.NewConsumer(t, topic, group), 40, false)
		if d := cmp.Diff(values(numbered(topic, 100, 140)), values(got)); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
	}
	read(t, s.NewConsumer(t, topic, group), 40, true)
	write(t, p, numbered(topic, 140, 141)...)
	if got := read(t, s.NewConsumer(t, topic, group), 1, true); string(got[0].Value) != "140" {
		t.Errorf("got %s, want 140", got[0].Value)
	}
}

func testGroups(t *testing.T, s System) {
	topic, p := s.NewTopic(t), s.NewProducer(t)
	write(t, p, numbered(topic, 0, 50)...)
	for _, g := range []string{"a-", "b-"} {
		if d := cmp.Diff(values(numbered(topic, 0, 50)), values(read(t, s.NewConsumer(t, topic, g+topic), 50, true))); d != "" {
			t.Errorf("group %s (-want +got):\n%s", g, d)
		}
	}
}

func testMembers(t *testing.T, s System) {
	topic, p := s.NewTopic(t), s.NewProducer(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var mu sync.Mutex
	got := map[string]int{}
	total := 0
	shares := map[int]bool{} // members that got something
	change := make(chan struct{}, 1)
	member := func(ctx context.Context, id int, wg *sync.WaitGroup) {
		defer wg.Done()
		err := s.NewConsumer(t, topic, "g-"+topic).Run(ctx, func(ctx context.Context, cl bus.Claim) error {
			for {
				batch, err := cl.Fetch(ctx, nil, 20)
				if err != nil {
					return nil
				}
				// The batch in hand is finished and committed even when the claim ends.
				grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				err = commitAll(grace, cl, batch)
				cancel()
				if errors.Is(err, bus.ErrClaimLost) {
					return nil
				} else if err != nil {
					return err
				}
				mu.Lock()
				for v, n := range values(batch) {
					got[v] += n
				}
				total += len(batch)
				shares[id] = true
				mu.Unlock()
				select {
				case change <- struct{}{}:
				default:
				}
			}
		})
		if err != nil {
			t.Errorf("member %d: %v", id, err)
		}
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for {
			mu.Lock()
			ok := done()
			mu.Unlock()
			if ok {
				return
			}
			select {
			case <-change:
			case <-ctx.Done():
				t.Fatalf("%s: not within %v: %d records, shares %v", what, patience, len(got), shares)
			}
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	first, leaves := context.WithCancel(ctx)
	defer leaves()
	wg.Add(1)
	go member(first, 1, &wg)
	sent := 0
	send := func() { write(t, p, numbered(topic, sent, sent+70)...); sent += 70 }
	send()
	until("the first member reads", func() bool { return len(got) == sent })
	wg.Add(1)
	go member(ctx, 2, &wg)
	for try := 0; ; try++ { // the second joins some time from now
		send()
		until("two members read", func() bool { return len(got) == sent })
		mu.Lock()
		joined := shares[2]
		mu.Unlock()
		if joined {
			break
		}
		if try == 600 {
			t.Fatal("the second member never got a share")
		}
		time.Sleep(20 * time.Millisecond)
	}
	leaves()
	send()
	until("the second member takes over", func() bool { return len(got) == sent })
	mu.Lock()
	defer mu.Unlock()
	if want := values(numbered(topic, 0, sent)); !maps.Equal(want, got) && total < sent {
		t.Errorf("%d of %d records came", len(got), sent)
	}
}

func testStop(t *testing.T, s System) {
	topic, p := s.NewTopic(t), s.NewProducer(t)
	write(t, p, numbered(topic, 0, 10)...)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var n int
	err := s.NewConsumer(t, topic, "g-"+topic).Run(ctx, func(ctx context.Context, cl bus.Claim) error {
		var got []bus.Record
		for len(got) < 10 {
			var err error
			if got, err = cl.Fetch(ctx, got, 10); err != nil {
				return nil
			}
		}
		stop()
		<-ctx.Done()
		n = len(got)
		return commitAll(context.WithoutCancel(ctx), cl, got)
	})
	if err != nil || n != 10 {
		t.Fatalf("%d records, err = %v", n, err)
	}
	write(t, p, numbered(topic, 10, 11)...)
	if got := read(t, s.NewConsumer(t, topic, "g-"+topic), 1, true); string(got[0].Value) != "10" {
		t.Errorf("got %s again, want 10: the commit is lost", got[0].Value)
	}
}

func testLost(t *testing.T, s System) {
	topic, p := s.NewTopic(t), s.NewProducer(t)
	write(t, p, numbered(topic, 0, 10)...)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var old bus.Claim
	var got []bus.Record
	if err := s.NewConsumer(t, topic, "g-"+topic).Run(ctx, func(ctx context.Context, cl bus.Claim) error {
		old = cl
		var err error
		got, err = cl.Fetch(ctx, nil, 10)
		stop()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := commitAll(t.Context(), old, got); !errors.Is(err, bus.ErrClaimLost) {
		t.Errorf("commit: err = %v, want ErrClaimLost", err)
	}
	if more, err := old.Fetch(t.Context(), nil, 10); !errors.Is(err, bus.ErrClaimLost) {
		t.Errorf("fetch: %d records, err = %v, want ErrClaimLost", len(more), err)
	}
}

func testError(t *testing.T, s System) {
	topic := s.NewTopic(t)
	broken := errors.New("broken")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := s.NewConsumer(t, topic, "g-"+topic).Run(ctx, func(context.Context, bus.Claim) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("err = %v, want %v", err, broken)
	}
}

func testFetchDeadline(t *testing.T, s System) {
	topic := s.NewTopic(t)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	err := s.NewConsumer(t, topic, "g-"+topic).Run(ctx, func(ctx context.Context, cl bus.Claim) error {
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		defer stop()
		if got, err := cl.Fetch(short, nil, 10); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%d records, err = %w, want a passed deadline", len(got), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func testRefused(t *testing.T, s System) {
	topic, p := s.NewTopic(t), s.NewProducer(t)
	records := numbered(topic, 0, 5)
	records[2].Value = make([]byte, 2<<20)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var refused *bus.RefusedError
	if err := p.Write(ctx, records); !errors.As(err, &refused) {
		t.Fatalf("err = %v, want a RefusedError", err)
	}
	if len(refused.Refused) != 1 || refused.Refused[0].Index != 2 {
		t.Errorf("refused %+v, want record 2", refused.Refused)
	}
	if d := cmp.Diff(map[string]int{"0": 1, "1": 1, "3": 1, "4": 1}, values(read(t, s.NewConsumer(t, topic, "g-"+topic), 4, true))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
