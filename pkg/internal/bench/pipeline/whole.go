package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"trench/pkg/internal/e2e"
	"trench/pkg/wire"
)

// Whole is a capture file on its way to rows, everything on the same two cores.
type Whole struct {
	Records int64  // flow records of a round
	Rate    Spread // flow records a second, from the start of capture to the last row
	Shares  []Share
	Idle    float64 // part of the two cores that none of the shares had
}

// Share is what one process had of the two cores.
type Share struct {
	Name string
	CPU  time.Duration // a record
	Part float64       // of the time of both cores
}

// cores is how many cores everything shares.
const cores = 2

func (r *rig) whole(ctx context.Context) (w Whole, err error) {
	flows, err := r.flows()
	if err != nil {
		return w, err
	}
	each := flows / int64(r.sensors) // every sensor sees the same
	names := []string{"capture", "features", "scoring", "sink", "broker", "engine"}
	running := map[string]int{"broker": r.broker, "engine": r.engine}
	var sink *process
	for _, step := range steps {
		p, err := r.launch(step.name)
		if err != nil {
			return w, err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		if err := p.waitReady(ctx); err != nil {
			return w, err
		}
		running[step.name], sink = p.cmd.Process.Pid, p
	}
	var rates []float64
	spent, elapsed, records := map[string]time.Duration{}, time.Duration(0), int64(0)
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
		start := time.Now()
		capture, sent, err := r.capture(ctx, 0)
		if err != nil {
			return w, fmt.Errorf("capture: %w", err)
		}
		// What is committed is in the table.
		err = sink.await(ctx, func() error {
			n, err := r.committed(ctx, "trench-sink", wire.TopicVerdicts)
			if err == nil && n < base+sent {
				err = fmt.Errorf("%d of %d records are committed", n-base, sent)
			}
			return err
		})
		if err != nil {
			return w, err
		}
		took := time.Since(start)
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
		rates = append(rates, float64(sent)/took.Seconds())
		elapsed, records, w.Records = elapsed+took, records+sent, sent
		state := capture.cmd.ProcessState
		spent["capture"] += state.UserTime() + state.SystemTime()
		for name := range running {
			spent[name] += after[name] - before[name]
		}
	}
	w.Rate, w.Idle = spread(rates), 1
	for _, name := range names {
		s := Share{name, spent[name] / time.Duration(records), spent[name].Seconds() / elapsed.Seconds() / cores}
		w.Shares, w.Idle = append(w.Shares, s), w.Idle-s.Part
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

// flows counts the flows in the table.
func (r *rig) flows() (int64, error) {
	rows, err := e2e.Query(r.parts.ClickHouseHTTP, database, "SELECT uniqExact(flow_id) AS n FROM flows")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(fmt.Sprint(rows[0]["n"]), 10, 64)
}
