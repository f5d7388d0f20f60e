package pipeline

import (
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestARunIsDividedIntoRoundsByWhatWasCommitted(t *testing.T) {
	t.Parallel()
	// 1,000 records a second of CPU time, and half as many of wall time, but for the
	// second quarter, which takes twice the CPU time.
	start := time.Now()
	var samples []sample
	var cpu time.Duration
	for i := range 41 {
		if i > 0 {
			cpu += 100 * time.Millisecond
		}
		if i > 10 && i <= 20 {
			cpu += 100 * time.Millisecond
		}
		samples = append(samples, sample{
			at: start.Add(time.Duration(i) * 200 * time.Millisecond), records: int64(500 + 100*i), service: cpu,
			broker: time.Duration(i) * time.Millisecond, engine: time.Duration(i) * 10 * time.Millisecond,
		})
	}
	s, err := summarize(samples, 4)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Spread{1000, 500, 1000}); s.PerCPU != want {
		t.Errorf("records a second of CPU time: %+v, want %+v", s.PerCPU, want)
	}
	if want := (Spread{500, 500, 500}); s.Wall != want {
		t.Errorf("records a second: %+v, want %+v", s.Wall, want)
	}
	if s.Broker != 10*time.Microsecond || s.Engine != 100*time.Microsecond {
		t.Errorf("broker %v, engine %v a record", s.Broker, s.Engine)
	}
	if _, err := summarize(samples[:1], 4); err == nil {
		t.Error("a run of one sample gives a rate")
	}
}

func TestSharesOfTheCoresAddUp(t *testing.T) {
	t.Parallel()
	second := time.Second
	one := run{
		records: 1000, done: []time.Duration{second, 2 * second, 3 * second, 4 * second}, idle: 2 * second,
		spent: map[string]time.Duration{"capture": second, "features": second, "scoring": second, "sink": second, "broker": second / 2, "engine": second / 2},
	}
	w := summary([]run{one, one, one})
	if w.Rate.Median != 250 || w.Idle != 0.25 {
		t.Errorf("rate %+v, idle %v", w.Rate, w.Idle)
	}
	sum := w.Idle + w.Others
	for _, s := range w.Shares {
		sum += s.Part
	}
	if math.Abs(sum-1) > 1e-9 || math.Abs(w.Others-0.125) > 1e-9 {
		t.Errorf("the parts add up to %v, others have %v of them", sum, w.Others)
	}
	if s := w.Shares[3]; s.Name != "sink" || s.CPU != time.Millisecond || s.Done.Median != 4 {
		t.Errorf("share %+v", s)
	}
}

func TestFoldersOfPartitionsAreTold(t *testing.T) {
	t.Parallel()
	for folder, want := range map[string]bool{
		"trench.flows.v1-0": true, "trench.flows.v1-11": true, "trench.flows.v1": false, "trench.flows.v1-x": false,
		"bench.vectors.trench.flows.v1-0": false, "trench.flows.v11-0": false,
	} {
		if got := isPartition(folder, "trench.flows.v1"); got != want {
			t.Errorf("%s: %v", folder, got)
		}
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.pcap")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ok := Config{Input: file, Flows: 1, Rounds: 1, Partitions: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Input: filepath.Dir(file)}.Validate()
	for _, want := range []string{"input:", "flows: 0", "rounds: 0", "partitions: 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}
