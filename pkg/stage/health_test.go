package stage_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"trench/pkg/bus"
	"trench/pkg/fault"
	"trench/pkg/obs"
	"trench/pkg/stage"
)

// asked returns what a server with the rig's checks answers.
func (r *rig) asked(path string) (int, string) {
	s := &obs.Server{
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		Ready: []obs.Check{r.runner.Ready}, Live: []obs.Check{r.runner.Live},
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func (r *rig) want(t *testing.T, path string, code int, text string) {
	t.Helper()
	if c, body := r.asked(path); c != code || !strings.Contains(body, text) {
		t.Errorf("%s: %d %q, want %d with %q", path, c, body, code, text)
	}
}

func TestReadyFollowsTheProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) {
			if away.Load() {
				return nil, &fault.Error{Code: fault.Lookup(fault.ClickHouse, 252), Err: errors.New("too many parts")}
			}
			return nil, nil
		})
		r.want(t, "/readyz", 503, "stage double: has not joined its consumer group")
		stop := r.start(t)
		synctest.Wait()
		r.want(t, "/readyz", 200, "ready")
		away.Store(true)
		r.sendNumbers(t, 0, 5)
		time.Sleep(time.Minute)
		r.want(t, "/readyz", 503, "stage double: a batch fails since 1m0s and is tried again: too many parts")
		r.want(t, "/healthz", 200, "ok")
		away.Store(false)
		time.Sleep(time.Second)
		r.want(t, "/readyz", 200, "ready")
		if err := stop(); err != nil {
			t.Error(err)
		}
		r.want(t, "/readyz", 503, "has not joined")
		r.want(t, "/healthz", 200, "ok")
	})
}

func TestACommitThatFailsIsNotReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) { return nil, nil })
		r.tapped(tap{commit: func(_ context.Context, _ map[int]int64, do func() error) error {
			if away.Load() {
				return errors.New("no coordinator")
			}
			return do()
		}})
		r.runner.Config.InFlight = 2
		r.sendNumbers(t, 0, 25)
		r.start(t)
		for range 20 { // much longer than a stall takes
			time.Sleep(time.Minute)
			r.want(t, "/readyz", 503, "no coordinator")
			r.want(t, "/healthz", 200, "ok")
		}
		away.Store(false)
		time.Sleep(time.Minute)
		r.want(t, "/readyz", 200, "ready")
	})
}

func TestOnlyWhatARestartWouldHelpIsUnhealthy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hang func(r *rig, gate chan struct{})
		want string
	}{
		"a handler": {func(r *rig, gate chan struct{}) {
			r.runner.NewHandler = func() stage.Handler[int] {
				return handler(func(context.Context, []int) ([]stage.Reject, error) { <-gate; return nil, nil })
			}
		}, "stage double: worker 1: stuck for 5m0s: handle"},
		"a decoder": {func(r *rig, gate chan struct{}) {
			r.runner.Decode = func(*bus.Record, *int) error { <-gate; return nil }
		}, "stage double: worker 1: stuck for 5m0s: decode"},
		"a commit": {func(r *rig, gate chan struct{}) {
			r.tapped(tap{commit: func(_ context.Context, _ map[int]int64, do func() error) error { <-gate; return do() }})
		}, "stage double: worker 1: stuck for 5m0s: commit"},
		"the dead letters": {func(r *rig, gate chan struct{}) {
			r.runner.Decode = func(*bus.Record, *int) error { return errors.New("poison") }
			r.runner.DeadLetters = waiter{r.broker.NewProducer(), gate}
		}, "stage double: worker 1: stuck for 5m0s: write dead letters"},
		"a fetch": {func(r *rig, gate chan struct{}) {
			r.tapped(tap{gate: gate})
		}, "stage double: worker 1: stuck for 5m0s: fetch more records for a batch that is due"},
		"a worker": {func(r *rig, gate chan struct{}) {
			r.runner.Config.BatchRecords = 1
			r.tapped(tap{gate: gate})
		}, "stage double: worker 1: stuck for 5m0s: a batch is done, but its worker does not see it"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(func(context.Context, []int) ([]stage.Reject, error) { return nil, nil })
			gate := make(chan struct{})
			c.hang(r, gate)
			stop := r.start(t)
			time.Sleep(time.Hour) // without records there is nothing to do
			if code, body := r.asked("/healthz"); code != 200 {
				t.Errorf("%s: unhealthy while idle: %s", name, body)
			}
			r.sendNumbers(t, 0, 1)
			time.Sleep(4*time.Minute + 50*time.Second)
			if code, body := r.asked("/healthz"); code != 200 {
				t.Errorf("%s: unhealthy too early: %s", name, body)
			}
			time.Sleep(10*time.Second + 50*time.Millisecond)
			if code, body := r.asked("/healthz"); code != 503 || !strings.Contains(body, c.want) {
				t.Errorf("%s: %d %q, want %q", name, code, body, c.want)
			}
			close(gate)
			time.Sleep(10 * time.Second)
			if code, body := r.asked("/healthz"); code != 200 || r.committed() != 1 {
				t.Errorf("%s: %d %q after it has moved, %d committed", name, code, body, r.committed())
			}
			if err := stop(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// waiter is a producer that waits before its first write and hears no context.
type waiter struct {
	bus.Producer
	gate chan struct{}
}

func (w waiter) Write(ctx context.Context, records []bus.Record) error {
	<-w.gate
	return w.Producer.Write(context.WithoutCancel(ctx), records)
}

func TestMetricsSayWhatIsInHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var failed atomic.Bool
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) {
			if !failed.Swap(true) {
				return nil, &fault.Error{Code: fault.Lookup(fault.ClickHouse, 252), Err: io.EOF}
			}
			<-gate
			return nil, nil
		}).single()
		reg := prometheus.NewRegistry()
		r.runner.Registry, r.runner.Config.InFlight = reg, 2
		r.sendNumbers(t, 100, 110)
		stop := r.start(t)
		time.Sleep(time.Minute)
		r.sendNumbers(t, 110, 120)
		time.Sleep(time.Minute)
		names := []string{
			"trench_stage_oldest_uncommitted_seconds", "trench_stage_in_flight_batches", "trench_stage_errors_total", "trench_stage_retries_total",
			"trench_stage_last_commit_timestamp_seconds",
		}
		want := func(oldest, flying, moved string) {
			t.Helper()
			if err := testutil.GatherAndCompare(reg, strings.NewReader(`# HELP trench_stage_errors_total Failed attempts at a batch, by class and name of the error.
# TYPE trench_stage_errors_total counter
trench_stage_errors_total{class="transient",code="TOO_MANY_PARTS",stage="double"} 1
# HELP trench_stage_in_flight_batches Batches that are handled or wait for their turn to be committed.
# TYPE trench_stage_in_flight_batches gauge
trench_stage_in_flight_batches{stage="double"} `+flying+`
# HELP trench_stage_last_commit_timestamp_seconds When the stage last committed a batch, in Unix seconds; 0 before.
# TYPE trench_stage_last_commit_timestamp_seconds gauge
trench_stage_last_commit_timestamp_seconds{stage="double"} `+moved+`
# HELP trench_stage_oldest_uncommitted_seconds Age of the oldest record that was fetched and is not committed, since it was written to the bus; 0 without one.
# TYPE trench_stage_oldest_uncommitted_seconds gauge
trench_stage_oldest_uncommitted_seconds{stage="double"} `+oldest+`
# HELP trench_stage_retries_total Times that a batch was tried again.
# TYPE trench_stage_retries_total counter
trench_stage_retries_total{stage="double"} 1
`), names...); err != nil {
				t.Error(err)
			}
		}
		want("120", "2", "0")
		close(gate)
		time.Sleep(time.Second)
		want("0", "0", "9.4668492e+08") // the clock of a bubble starts at 946684800
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(context.Context, []int) ([]stage.Reject, error) { return nil, nil })
		reg := prometheus.NewRegistry()
		r.runner.Registry = reg
		r.send(t, "1", "poison")
		if err := r.run(t, 2); err != nil {
			t.Fatal(err)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if row := "| `" + f.GetName() + "` |"; !strings.Contains(string(doc), row) {
				t.Errorf("docs/operations.md has no row %s: %s", row, f.GetHelp())
			}
		}
		if len(families) < 10 {
			t.Errorf("%d metrics", len(families))
		}
	})
}
