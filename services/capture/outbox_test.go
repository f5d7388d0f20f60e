package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"trench/pkg/bus"
	"trench/pkg/bus/memory"
	"trench/pkg/flow"
	"trench/pkg/spool"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// childEnv makes the test binary the service itself.
const childEnv = "TRENCH_TEST_CAPTURE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// line is the way to a bus: it can be down, and it can be told what to do first.
type line struct {
	*memory.Producer
	up   atomic.Bool
	fail func(records []bus.Record) error // nil: nothing
}

func (l *line) Write(ctx context.Context, records []bus.Record) error {
	for !l.up.Load() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.fail != nil {
		if err := l.fail(records); err != nil {
			return err
		}
	}
	return l.Producer.Write(ctx, records)
}

// rig is an outbox between a collector and a bus.
type rig struct {
	*collector
	broker *memory.Broker
	line   *line
	stop   context.Context
	end    context.CancelFunc
	hard   context.CancelFunc
	done   chan error
	made   int
}

// kind is what a source allows.
type kind int

const (
	files kind = iota
	live
	spoolingFiles
)

// rigOf starts an outbox whose queue has four places; a spool is used if dir is given.
func rigOf(t *testing.T, k kind, c *spool.Config) *rig {
	t.Helper()
	b := memory.NewBroker(1)
	r := &rig{broker: b, line: &line{Producer: b.NewProducer()}, done: make(chan error, 1)}
	r.line.up.Store(true)
	m := newMetrics(nil)
	o := &outbox{
		producer: r.line, await: func(context.Context) error { return nil }, log: slog.New(slog.DiscardHandler), metrics: m,
		spools: c != nil && k != files, waits: k != live, sync: 10 * time.Millisecond, patience: 100 * time.Millisecond,
		queue: make(chan item, 4), pressed: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if c != nil {
		var err error
		if o.spool, err = spool.Open(*c, o.log); err != nil {
			t.Fatal(err)
		}
	}
	r.collector = &collector{out: o, metrics: m}
	r.stop, r.end = context.WithCancel(t.Context())
	hard, cut := context.WithCancel(context.WithoutCancel(t.Context()))
	r.hard = cut
	go func() { r.done <- o.run(r.stop, hard) }() // ends in finish
	t.Cleanup(func() { r.end(); r.hard() })
	return r
}

func spoolIn(dir string) *spool.Config {
	c := spool.DefaultConfig()
	c.Dir, c.SegmentBytes, c.MaxBytes = dir, 64<<10, 16<<20
	return &c
}

// batches gives n full batches to the collector.
func (r *rig) batches(t *testing.T, n int) {
	t.Helper()
	for range n * batchRecords {
		if err := r.add(r.stop, &flow.Flow{ID: idOf(r.made)}); err != nil {
			t.Fatal(err)
		}
		r.made++
	}
}

func idOf(i int) flow.ID { return flow.ID{byte(i), byte(i >> 8), byte(i >> 16)} }

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

// finish ends the input and returns the outbox's error.
func (r *rig) finish(t *testing.T) error {
	t.Helper()
	putErr := r.put(r.stop)
	close(r.out.queue)
	err := errors.Join(putErr, <-r.done)
	if r.out.spool != nil {
		if err := r.out.spool.Close(); err != nil {
			t.Error(err)
		}
	}
	return err
}

// sent returns the numbers of the flows on the bus, in order.
func (r *rig) sent(t *testing.T) (got []int) {
	t.Helper()
	for _, rec := range r.broker.Records(wire.TopicFlows) {
		got = append(got, int(rec.Key[0])|int(rec.Key[1])<<8|int(rec.Key[2])<<16)
	}
	return got
}

// inOrder checks that the flows from..to are on the bus, each first seen after the
// one before.
func inOrder(t *testing.T, got []int, from, to int) {
	t.Helper()
	next := from
	for _, n := range got {
		if n > next {
			t.Fatalf("flow %d before flow %d", n, next)
		}
		if n == next {
			next++
		}
	}
	if next != to {
		t.Errorf("flows up to %d are there, want %d", next, to)
	}
}

func (r *rig) dropped(reason string) int {
	return int(testutil.ToFloat64(r.metrics.dropped.WithLabelValues(reason)))
}

func (r *rig) noDrops(t *testing.T) {
	t.Helper()
	for _, reason := range []string{dropQueueFull, dropSpoolFull, dropDiskFull, dropSpoolError, dropRefused, dropStopped} {
		if n := r.dropped(reason); n != 0 {
			t.Errorf("%d dropped: %s", n, reason)
		}
	}
}

func TestEveryFlowIsSentOrBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	r := rigOf(t, files, nil)
	const n = 2*batchRecords + 7
	for i := range n {
		f := &flow.Flow{ID: idOf(i)}
		if i == 3 {
			f.Resolution = make([]byte, wire.MaxMessage)
		}
		if err := r.add(r.stop, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.settle(r.stop); err != nil {
		t.Fatal(err)
	}
	got := r.sent(t)
	if len(got) != n-1 || got[3] != 4 {
		t.Errorf("%d flows sent, want %d", len(got), n-1)
	}
	letters := r.broker.Records(wire.TopicDeadLetter)
	var d wire.DeadLetter
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	if err := stage.DecodeDeadLetter(&letters[0], &d); err != nil || d.Stage != name || d.Key[0] != 3 || d.Error == "" {
		t.Errorf("dead letter %+v, err = %v", d, err)
	}
	if err := r.finish(t); err != nil {
		t.Error(err)
	}
	if r.metrics.total() != n {
		t.Errorf("%d records counted as sent, want %d", r.metrics.total(), n)
	}
}

func TestWhatTheBusRefusesBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	for _, both := range []bool{false, true} {
		r := rigOf(t, files, nil)
		first := true
		r.line.fail = func(records []bus.Record) error {
			if !first && !both || len(records) == 0 {
				return nil
			}
			if first {
				if err := r.line.Producer.Write(t.Context(), records[1:]); err != nil {
					return err
				}
			}
			first = false
			return &bus.RefusedError{Refused: []bus.Refusal{{Index: 0, Err: errors.New("too large for the broker")}}}
		}
		for i := range 3 {
			if err := r.add(r.stop, &flow.Flow{ID: idOf(i), Source: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.finish(t); err != nil {
			t.Fatal(err)
		}
		letters := 1
		if both {
			letters = 0
		}
		if n, dead := len(r.sent(t)), len(r.broker.Records(wire.TopicDeadLetter)); n != 2 || dead != letters || r.dropped(dropRefused) != 1-letters {
			t.Errorf("%d flows, %d dead letters, %d dropped; want 2, %d, %d", n, dead, r.dropped(dropRefused), letters, 1-letters)
		}
	}
}

func TestALiveInterfaceWithoutSpoolDropsWhatTheQueueDoesNotHold(t *testing.T) {
	t.Parallel()
	r := rigOf(t, live, nil)
	r.line.up.Store(false)
	r.batches(t, 20)
	lost := r.dropped(dropQueueFull)
	if lost == 0 || lost%batchRecords != 0 || lost > 16*batchRecords {
		t.Errorf("%d dropped of %d", lost, r.made)
	}
	if err := r.metrics.ready(r.out); err == nil || !strings.Contains(err.Error(), "flows were dropped") {
		t.Errorf("ready: %v", err)
	}
	r.line.up.Store(true)
	if err := r.finish(t); err != nil {
		t.Fatal(err)
	}
	if n := len(r.sent(t)); n+lost != r.made {
		t.Errorf("%d sent and %d dropped of %d", n, lost, r.made)
	}
}

func TestALiveInterfaceDropsAndCountsWhatIsUnsentAtTheEnd(t *testing.T) {
	t.Parallel()
	r := rigOf(t, live, nil)
	r.line.up.Store(false)
	r.batches(t, 3)
	r.end()
	r.hard()
	if err := r.finish(t); err == nil {
		t.Error("no error")
	}
	for it := range r.out.queue {
		r.metrics.drop(dropStopped, len(it.records))
	}
	if n := r.dropped(dropStopped); n != r.made {
		t.Errorf("%d dropped of %d", n, r.made)
	}
}

func TestFilesWaitForKafka(t *testing.T) {
	t.Parallel()
	r := rigOf(t, files, nil)
	r.readsOnlyWhileThereIsRoom(t, 20, func() bool { return true })
}

// readsOnlyWhileThereIsRoom adds batches while the bus is away: reading stands still
// once the queue, and what full reports on, is full, and nothing is lost.
func (r *rig) readsOnlyWhileThereIsRoom(t *testing.T, batches int, full func() bool) {
	t.Helper()
	r.line.up.Store(false)
	read := make(chan struct{})
	go func() { // ends when everything is put
		defer close(read)
		for i := range batches * batchRecords {
			if err := r.add(r.stop, &flow.Flow{ID: idOf(i)}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	until(t, "the queue is full", func() bool { return len(r.out.queue) == cap(r.out.queue) && full() })
	select {
	case <-read:
		t.Error("reading went on")
	case <-time.After(50 * time.Millisecond):
	}
	r.line.up.Store(true)
	<-read
	if err := r.finish(t); err != nil {
		t.Fatal(err)
	}
	inOrder(t, r.sent(t), 0, batches*batchRecords)
	r.noDrops(t)
}

func TestAnOutageGoesThroughTheSpoolInOrder(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{live, spoolingFiles} {
		dir := t.TempDir()
		r := rigOf(t, k, spoolIn(dir))
		r.batches(t, 2)
		until(t, "sent", func() bool { return len(r.sent(t)) == r.made })
		for range 3 { // outages
			r.line.up.Store(false)
			for range 40 {
				r.batches(t, 1)
				until(t, "there is room", func() bool { return len(r.out.queue) < cap(r.out.queue) })
			}
			until(t, "spooled", func() bool { return r.out.spool.Stats().Records >= 30*batchRecords })
			if err := r.metrics.ready(r.out); err != nil {
				t.Errorf("ready: %v", err)
			}
			r.line.up.Store(true)
			for range 10 { // while the spool is sent
				r.batches(t, 1)
				until(t, "there is room", func() bool { return len(r.out.queue) < cap(r.out.queue) })
			}
		}
		if err := r.finish(t); err != nil {
			t.Fatal(err)
		}
		inOrder(t, r.sent(t), 0, r.made)
		r.noDrops(t)
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
			t.Errorf("%d files in the spool's folder, want the lock and the cursor; err = %v", len(entries), err)
		}
	}
}

func TestASlowWriteSendsAQuietSourceToTheSpool(t *testing.T) {
	t.Parallel()
	r := rigOf(t, spoolingFiles, spoolIn(t.TempDir()))
	r.line.up.Store(false)
	if err := r.add(r.stop, &flow.Flow{ID: idOf(0)}); err != nil {
		t.Fatal(err)
	}
	// Whoever waits until a file's flows are safe is not kept by the outage.
	if err := r.settle(r.stop); err != nil {
		t.Fatal(err)
	}
	if st := r.out.spool.Stats(); st.Records != 1 {
		t.Errorf("%d records in the spool", st.Records)
	}
	r.line.up.Store(true)
	if err := r.finish(t); err != nil {
		t.Fatal(err)
	}
	inOrder(t, r.sent(t), 0, 1)
}

func TestWhatIsUnsentAtTheEndIsSentAtTheNextStart(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{live, spoolingFiles} {
		c := spoolIn(t.TempDir())
		r := rigOf(t, k, c)
		r.line.up.Store(false)
		r.batches(t, 2)
		r.end()
		time.AfterFunc(20*time.Millisecond, r.hard)
		r.batches(t, 10) // the flow table ends all flows
		if err := r.finish(t); err != nil {
			t.Fatal(err)
		}
		r.noDrops(t)
		next := rigOf(t, files, c) // even if it would not use a spool now
		next.made = r.made
		next.batches(t, 1)
		if err := next.finish(t); err != nil {
			t.Fatal(err)
		}
		inOrder(t, next.sent(t), 0, next.made)
	}
}

func TestAFullSpoolDropsTheOldestOfALiveInterface(t *testing.T) {
	t.Parallel()
	c := spoolIn(t.TempDir())
	c.MaxBytes = 400 << 10
	r := rigOf(t, live, c)
	r.line.up.Store(false)
	for range 40 {
		r.batches(t, 1)
		until(t, "there is room", func() bool { return len(r.out.queue) < 2 })
	}
	until(t, "dropped", func() bool { return r.dropped(dropSpoolFull) > 0 })
	if err := r.metrics.ready(r.out); err == nil {
		t.Error("ready while it drops")
	}
	r.line.up.Store(true)
	if err := r.finish(t); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, n := range r.sent(t) {
		seen[n] = true
	}
	if lost := r.dropped(dropSpoolFull); len(seen)+lost != r.made || !seen[r.made-1] {
		t.Errorf("%d sent and %d dropped of %d", len(seen), lost, r.made)
	}
}

func TestAFullSpoolStopsFilesThatWait(t *testing.T) {
	t.Parallel()
	c := spoolIn(t.TempDir())
	c.MaxBytes, c.Full = 400<<10, spool.Wait
	r := rigOf(t, spoolingFiles, c)
	r.readsOnlyWhileThereIsRoom(t, 40, func() bool { return r.out.spool.Stats().Bytes > 350<<10 })
}

func TestAWrongConfigurationEndsCaptureOnlyWithoutSpool(t *testing.T) {
	t.Parallel()
	wrong := fmt.Errorf("topic authorization failed: %w", bus.ErrConfiguration)
	r := rigOf(t, files, nil)
	r.line.fail = func([]bus.Record) error { return wrong }
	if err := r.add(r.stop, &flow.Flow{}); err != nil {
		t.Fatal(err)
	}
	if err := r.settle(r.stop); !errors.Is(err, bus.ErrConfiguration) {
		t.Errorf("err = %v", err)
	}
	if err := r.finish(t); !errors.Is(err, bus.ErrConfiguration) {
		t.Errorf("err = %v", err)
	}
	r = rigOf(t, live, spoolIn(t.TempDir()))
	var mended atomic.Bool
	r.line.fail = func([]bus.Record) error {
		if mended.Load() {
			return nil
		}
		return wrong
	}
	r.batches(t, 2)
	until(t, "spooled", func() bool { return r.out.spool.Stats().Records > 0 })
	mended.Store(true)
	if err := r.finish(t); err != nil {
		t.Fatal(err)
	}
	inOrder(t, r.sent(t), 0, r.made)
}

func TestASourceThatWaitsForKafkaIsNotReady(t *testing.T) {
	t.Parallel()
	m := newMetrics(nil)
	o := &outbox{waits: true}
	if err := m.ready(o); err != nil {
		t.Error(err)
	}
	m.start = m.start.Add(-time.Hour)
	m.writing.Store(m.now() - int64(2*patience))
	if err := m.ready(o); err == nil || !strings.Contains(err.Error(), "kafka has not acknowledged for 30s") {
		t.Errorf("ready: %v", err)
	}
	o.spools = true
	if err := m.ready(o); err != nil {
		t.Error(err)
	}
}

func TestTheConfigurationOfTheSpoolIsChecked(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"input: {interface: {name: eth0}}\nspool: {dir: /x, full: wait}\n": "spool.full: a live interface can not wait",
		"input: {paths: [x]}\nspool: {files: true}\n":                      "spool.files: goes with spool.dir",
		"input: {paths: [x]}\nspool: {dir: /x, segment_bytes: 1}\n":        "spool.segment_bytes: 1 is not between",
	} {
		path := t.TempDir() + "/c.yaml"
		if err := os.WriteFile(path, []byte(args), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		if code := run(t.Context(), []string{"-c", path, "--check"}, &log); code != 2 || !strings.Contains(log.String(), want) {
			t.Errorf("exit code %d, want %q:\n%s", code, want, &log)
		}
	}
}
