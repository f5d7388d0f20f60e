// Package pipeline measures the four services between a real Kafka and a real
// ClickHouse, as released binaries:
//
//	a stage alone   its topic is filled first; it has one core, broker and engine have the other
//	end to end      a capture file to rows, everything on the same two cores
//	topics          bytes a flow, as sent and as the broker's log has them, and what the codec costs
//
// Filling a topic is the run of the stage before it, so every stage sees what it
// would see in service. CPU time is user and system time of the process out of
// /proc; what the broker and the engine spend in the same time is told apart.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"trench/pkg/wire"
)

// Config says what is measured.
type Config struct {
	Input      string // capture file
	Flows      int    // flow records that each stage gets, at least
	Rounds     int    // that a stage's run is divided into, and of the end-to-end run
	Partitions int    // of each topic
	Profile    string // folder for a CPU profile of each service; empty for none
	Log        *slog.Logger
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if info, err := os.Stat(c.Input); err != nil || !info.Mode().IsRegular() {
		errs = append(errs, fmt.Errorf("input: %q is no file", c.Input))
	}
	for _, n := range []struct {
		name        string
		v, min, max int
	}{{"flows", c.Flows, 1, 100_000_000}, {"rounds", c.Rounds, 1, 1000}, {"partitions", c.Partitions, 1, 1000}} {
		if n.v < n.min || n.v > n.max {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", n.name, n.v, n.min, n.max))
		}
	}
	return errors.Join(errs...)
}

// Report is what was measured.
type Report struct {
	Stages []Stage
	Whole  Whole
	Topics []Topic
}

// Stage is the cost of one stage that has a core of its own.
type Stage struct {
	Name    string
	Records int64
	PerCPU  Spread // records a second of its CPU time
	Wall    Spread // records a second
	// Broker and Engine are the CPU time that a record cost them meanwhile.
	Broker, Engine time.Duration
	PeakRSS        uint64 // bytes
}

// Spread is the median of several rounds, and the lowest and highest of them.
type Spread struct{ Median, Low, High float64 }

func spread(v []float64) Spread {
	v = slices.Sorted(slices.Values(v))
	return Spread{v[len(v)/2], v[0], v[len(v)-1]}
}

// Measure runs everything on parts of its own, which it stops.
func Measure(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	input, err := filepath.Abs(cfg.Input)
	if err != nil {
		return nil, err
	}
	cfg.Input = input
	r, err := newRig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	report, err := r.measure(ctx)
	return report, errors.Join(err, r.close())
}

// steps are the stages after capture, by what they read and as whom.
var steps = []struct{ name, topic, group string }{
	{"features", wire.TopicFlows, wire.GroupFeatures},
	{"scoring", wire.TopicFeatures, wire.GroupScoring},
	{"sink", wire.TopicVerdicts, wire.GroupSink},
}

func (r *rig) measure(ctx context.Context) (*Report, error) {
	report := &Report{}
	if err := r.separate(); err != nil {
		return nil, err
	}
	s, err := r.fill(ctx)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	report.Stages = append(report.Stages, s)
	for _, step := range steps {
		if s, err = r.stage(ctx, step.name, step.topic, step.group); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		report.Stages = append(report.Stages, s)
	}
	if report.Topics, err = r.topics(ctx); err != nil {
		return nil, fmt.Errorf("topics: %w", err)
	}
	if err := r.together(); err != nil {
		return nil, err
	}
	if report.Whole, err = r.whole(ctx); err != nil {
		return nil, fmt.Errorf("end to end: %w", err)
	}
	return report, nil
}
