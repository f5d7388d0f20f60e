package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"trench/pkg/internal/bench/proc"
	"trench/pkg/internal/e2e"
)

// Whole is a capture file on its way to rows, everything on the same two cores.
type Whole struct {
	Records int64  // flow records of a round
	Rate    Spread // flow records a second, from the start of capture to the last row
	Shares  []Share
	// Others and Idle are the parts of the two cores that other processes had, and
	// that nobody had.
	Others, Idle float64
}

// Share is what one process had of the two cores.
type Share struct {
	Name string
	CPU  time.Duration // a record
	Part float64       // of the time of both cores
	// Done is when the process was done with a round, in seconds since its start; of
	// broker and engine it is not known.
	Done Spread
}

// cores is how many cores everything shares.
const cores = 2

func (r *rig) whole(ctx context.Context) (w Whole, err error) {
	flows, err := r.flows()
	if err != nil {
		return w, err
	}
	each := flows / int64(r.sensors) // every sensor sees the same
	var stages []*process
	defer func() {
		for _, p := range stages {
			err = errors.Join(err, p.stop())
		}
	}()
	for _, step := range steps {
		p, err := r.launch(step.name)
		if err != nil {
			return w, err
		}
		stages = append(stages, p)
		if err := p.waitReady(ctx); err != nil {
			return w, err
		}
	}
	var runs []run
	for n := range r.cfg.Rounds + 1 {
		r.cfg.Log.Info("measuring", "end to end, round", n)
		one, err := r.once(ctx, stages)
		if err != nil {
			return w, err
		}
		if got, err := r.flows(); err != nil || got != each*int64(r.sensors) {
			return w, errors.Join(err, fmt.Errorf("%d flows of %d sensors are in the table, want %d of each", got, r.sensors, each))
		}
		if n > 0 { // the first warms up
			runs = append(runs, one)
		}
	}
	return summary(runs), nil
}

// run is one end-to-end run.
type run struct {
	records int64
	done    []time.Duration          // since its start, of capture and the stages after it
	spent   map[string]time.Duration // CPU time by process
	idle    time.Duration            // of both cores
}

// once runs capture and waits until all that it sent is in the table.
func (r *rig) once(ctx context.Context, stages []*process) (one run, err error) {
	pids := map[string]int{"broker": r.broker, "engine": r.engine}
	base := make([]int64, len(steps))
	for i, step := range steps {
		pids[step.name] = stages[i].cmd.Process.Pid
		if base[i], err = r.ends(ctx, step.topic); err != nil {
			return one, err
		}
	}
	before, err := cpuTimes(pids)
	if err != nil {
		return one, err
	}
	idle, err := proc.IdleTime(r.own)
	if err != nil {
		return one, err
	}
	start := time.Now()
	capture, sent, err := r.capture(ctx, 0)
	if err != nil {
		return one, fmt.Errorf("capture: %w", err)
	}
	one.done, one.records = append(one.done, time.Since(start)), sent
	// The stages are done in their order, and what the sink has committed is in the
	// table.
	for i, step := range steps {
		err = stages[i].await(ctx, func() error {
			n, err := r.committed(ctx, step.group, step.topic)
			if err == nil && n < base[i]+sent {
				err = fmt.Errorf("%d of %d records are committed", n-base[i], sent)
			}
			return err
		})
		if err != nil {
			return one, err
		}
		one.done = append(one.done, time.Since(start))
	}
	if one.idle, err = proc.IdleTime(r.own); err != nil {
		return one, err
	}
	one.idle -= idle
	if one.spent, err = cpuTimes(pids); err != nil {
		return one, err
	}
	for name := range pids {
		one.spent[name] -= before[name]
	}
	state := capture.cmd.ProcessState
	one.spent["capture"] = state.UserTime() + state.SystemTime()
	return one, nil
}

// summary puts runs together.
func summary(runs []run) (w Whole) {
	var rates []float64
	var elapsed, idle time.Duration
	spent, done := map[string]time.Duration{}, map[string][]float64{}
	names := []string{"capture", steps[0].name, steps[1].name, steps[2].name, "broker", "engine"}
	records := int64(0)
	for _, one := range runs {
		last := one.done[len(one.done)-1]
		rates = append(rates, float64(one.records)/last.Seconds())
		elapsed, idle, records, w.Records = elapsed+last, idle+one.idle, records+one.records, one.records
		for i, t := range one.done {
			done[names[i]] = append(done[names[i]], t.Seconds())
		}
		for name, t := range one.spent {
			spent[name] += t
		}
	}
	both := (cores * elapsed).Seconds()
	w.Rate, w.Idle = spread(rates), idle.Seconds()/both
	w.Others = 1 - w.Idle
	for _, name := range names {
		s := Share{Name: name, CPU: spent[name] / time.Duration(records), Part: spent[name].Seconds() / both}
		if len(done[name]) > 0 {
			s.Done = spread(done[name])
		}
		w.Shares, w.Others = append(w.Shares, s), w.Others-s.Part
	}
	return w
}

func cpuTimes(pids map[string]int) (map[string]time.Duration, error) {
	all := map[string]time.Duration{}
	for name, pid := range pids {
		var err error
		if all[name], err = proc.CPUTime(pid); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// flows counts the flows in the table.
func (r *rig) flows() (int64, error) {
	rows, err := e2e.Query(r.parts.ClickHouseHTTP, database, "SELECT uniqExact(flow_id) AS n FROM flows")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(fmt.Sprint(rows[0]["n"]), 10, 64)
}
