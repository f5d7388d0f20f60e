package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"trench/pkg/internal/e2e"
	"trench/pkg/wire"
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
	names := []string{"capture", steps[0].name, steps[1].name, steps[2].name, "broker", "engine"}
	running := map[string]int{"broker": r.broker, "engine": r.engine}
	var started []*process
	for _, step := range steps {
		p, err := r.launch(step.name)
		if err != nil {
			return w, err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		if err := p.waitReady(ctx); err != nil {
			return w, err
		}
		running[step.name], started = p.cmd.Process.Pid, append(started, p)
	}
	var rates []float64
	done := map[string][]float64{}
	spent, elapsed, idle, records := map[string]time.Duration{}, time.Duration(0), time.Duration(0), int64(0)
	for round := range r.cfg.Rounds + 1 {
		r.cfg.Log.Info("measuring", "end to end, round", round)
		base, err := r.ends(ctx, wire.TopicVerdicts)
		if err != nil {
			return w, err
		}
		before, err := cpuTimes(running)
		if err != nil {
			return w, err
		}
		idleBefore, err := idleTime(r.own)
		if err != nil {
			return w, err
		}
		start := time.Now()
		capture, sent, err := r.capture(ctx, 0)
		if err != nil {
			return w, fmt.Errorf("capture: %w", err)
		}
		took := []time.Duration{time.Since(start)}
		// The stages are done in their order, and what the sink has committed is in
		// the table.
		for i, step := range steps {
			err = started[i].await(ctx, func() error {
				n, err := r.committed(ctx, step.group, step.topic)
				if err == nil && n < base+sent {
					err = fmt.Errorf("%d of %d records are committed", n-base, sent)
				}
				return err
			})
			if err != nil {
				return w, err
			}
			took = append(took, time.Since(start))
		}
		idleAfter, err := idleTime(r.own)
		if err != nil {
			return w, err
		}
		after, err := cpuTimes(running)
		if err != nil {
			return w, err
		}
		if got, err := r.flows(); err != nil || got != each*int64(r.sensors) {
			return w, errors.Join(err, fmt.Errorf("%d flows of %d sensors are in the table, want %d of each", got, r.sensors, each))
		}
		if round == 0 { // warms up
			continue
		}
		last := took[len(took)-1]
		idle += idleAfter - idleBefore
		rates = append(rates, float64(sent)/last.Seconds())
		elapsed, records, w.Records = elapsed+last, records+sent, sent
		for i, t := range took {
			done[names[i]] = append(done[names[i]], t.Seconds())
		}
		state := capture.cmd.ProcessState
		spent["capture"] += state.UserTime() + state.SystemTime()
		for name := range running {
			spent[name] += after[name] - before[name]
		}
	}
	w.Rate, w.Idle = spread(rates), idle.Seconds()/elapsed.Seconds()/cores
	w.Others = 1 - w.Idle
	for _, name := range names {
		s := Share{Name: name, CPU: spent[name] / time.Duration(records), Part: spent[name].Seconds() / elapsed.Seconds() / cores}
		if len(done[name]) > 0 {
			s.Done = spread(done[name])
		}
		w.Shares, w.Others = append(w.Shares, s), w.Others-s.Part
	}
	return w, nil
}

func cpuTimes(pids map[string]int) (map[string]time.Duration, error) {
	all := map[string]time.Duration{}
	for name, pid := range pids {
		var err error
		if all[name], err = cpuTime(pid); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// idleTime is how long some cores have had nothing to do, since the machine started.
func idleTime(cores []int) (total time.Duration, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		// cpuN user nice system idle iowait …
		fields := strings.Fields(line)
		if len(fields) < 6 || !slices.ContainsFunc(cores, func(c int) bool { return fields[0] == fmt.Sprintf("cpu%d", c) }) {
			continue
		}
		idle, err := strconv.ParseInt(fields[4], 10, 64)
		wait, err2 := strconv.ParseInt(fields[5], 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		total += time.Duration(idle+wait) * time.Second / ticksPerSecond
	}
	return total, nil
}

// flows counts the flows in the table.
func (r *rig) flows() (int64, error) {
	rows, err := e2e.Query(r.parts.ClickHouseHTTP, database, "SELECT uniqExact(flow_id) AS n FROM flows")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(fmt.Sprint(rows[0]["n"]), 10, 64)
}
