// Package app joins the stages: capture, features and scoring in one process,
// as `trench analyze` runs them. The distributed services wrap the same stages
// between topics.
package app

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trench/pkg/features"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// Stage names the last stage of a run.
type Stage uint8

// The stages, in their order.
const (
	StageCapture Stage = iota
	StageFeatures
	StageScoring
)

// batchRows is how many flows pass from stage to stage at a time, unless told.
const batchRows = 64

// Analysis reads captures and hands over rows.
type Analysis struct {
	Capture  Config
	Features features.Config
	Workers  int
	Last     Stage
	Scoring  *scoring.Source // nil: nothing is scored
	Stdin    io.Reader
	// BatchRows is how many rows Rows gets at once, at most.
	BatchRows int
	// Rows takes finished rows, one call at a time; it keeps nothing of them.
	Rows func([]*record.Record) error

	capture Capture
	mu      sync.Mutex // one call of Rows at a time; guards counted
	counted Rows
}

// Progress says how far the run has come.
func (a *Analysis) Progress() (read, total int64, packets uint64) { return a.capture.Progress() }

// Collector returns the counters of the capture for Prometheus.
func (a *Analysis) Collector() prometheus.Collector { return a.capture.Collector() }

// Run reads all paths. What could not be read is in the summary's Faults; an
// error is something else that ended the run.
func (a *Analysis) Run(ctx context.Context, paths []string) (*Summary, error) {
	return a.run(func(c *Capture) (*Summary, error) { return c.Run(ctx, paths) })
}

// RunOrigin takes packets from where o says, as Capture.RunOrigin does.
func (a *Analysis) RunOrigin(ctx context.Context, o Origin, log *slog.Logger) (*Summary, error) {
	return a.run(func(c *Capture) (*Summary, error) { return c.RunOrigin(ctx, o, log) })
}

func (a *Analysis) run(capture func(*Capture) (*Summary, error)) (*Summary, error) {
	start := time.Now()
	lines := make([]*line, max(a.Workers, 1))
	for i := range lines {
		lines[i] = a.line()
	}
	c := &a.capture
	c.Config, c.Workers, c.Stdin = a.Capture, a.Workers, a.Stdin
	c.Config.HTTPContext = c.Config.HTTPContext || a.Features.WatchesHTTP()
	c.Config.Openings = c.Config.Openings || a.Features.FoxIO
	c.Emit = func(worker int, f *flow.Flow) error { return lines[worker].add(f) }
	c.Flush = func(worker int) error { return lines[worker].flush() }
	sum, err := capture(c)
	a.mu.Lock()
	defer a.mu.Unlock()
	sum.Rows, sum.Elapsed = a.counted, time.Since(start)
	return sum, err
}

// line is the stages after capture, for one worker.
type line struct {
	a         *Analysis
	extractor *features.Extractor
	scorer    *scoring.Stage
	rows      []record.Record
	batch     []*record.Record
}

func (a *Analysis) line() *line {
	l := &line{a: a, rows: make([]record.Record, max(a.BatchRows, batchRows))}
	if a.Last >= StageFeatures {
		l.extractor = features.NewExtractor(a.Features)
	}
	if a.Last >= StageScoring {
		source := a.Scoring
		if source == nil {
			source = scoring.Fixed(nil, nil, nil)
		}
		l.scorer = source.NewStage(a.Features.Schema())
	}
	return l
}

func (l *line) add(f *flow.Flow) error {
	r := &l.rows[len(l.batch)]
	if l.extractor == nil {
		r.SetFlow(f)
	} else {
		l.extractor.Extract(r, f)
	}
	l.batch = append(l.batch, r)
	if len(l.batch) == len(l.rows) {
		return l.flush()
	}
	return nil
}

func (l *line) flush() error {
	if len(l.batch) == 0 {
		return nil
	}
	var allowed, denied uint64
	if l.scorer != nil {
		allowed, denied = l.scorer.Process(l.batch)
	}
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	l.a.counted.add(l.batch)
	l.a.counted.Allowed += allowed
	l.a.counted.Denied += denied
	err := l.a.Rows(l.batch)
	l.batch = l.batch[:0]
	return err
}
