package pipeline

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"trench/pkg/internal/bench/proc"
)

// sample is how far a run was at one time.
type sample struct {
	at                      time.Time
	records                 int64 // committed
	service, broker, engine time.Duration
}

func (r *rig) sample(pid int, records int64) (s sample, err error) {
	s.at, s.records = time.Now(), records
	if s.service, err = proc.CPUTime(pid); err != nil {
		return s, err
	}
	if s.broker, err = proc.CPUTime(r.broker); err != nil {
		return s, err
	}
	s.engine, err = proc.CPUTime(r.engine)
	return s, err
}

// stage runs one stage over all of its topic.
func (r *rig) stage(ctx context.Context, name, topic, group string) (Stage, error) {
	total, err := r.ends(ctx, topic)
	if err != nil {
		return Stage{}, err
	}
	r.cfg.Log.Info("measuring", "stage", name, "records", total)
	p, err := r.launch(name)
	if err != nil {
		return Stage{}, err
	}
	profiled := make(chan error, 1)
	var samples []sample
	err = p.await(ctx, func() error {
		n, err := r.committed(ctx, group, topic)
		if err != nil || n == 0 {
			return errors.Join(err, errors.New("nothing is committed yet"))
		}
		s, err := r.sample(p.cmd.Process.Pid, n)
		if err != nil {
			return err
		}
		if len(samples) == 0 && r.cfg.Profile != "" {
			go func() { profiled <- r.profile(ctx, p, 5*time.Second) }() // ends with the profile or the process
		}
		samples = append(samples, s)
		if n < total {
			return fmt.Errorf("%d of %d records are committed", n, total)
		}
		return nil
	})
	if err != nil {
		return Stage{}, errors.Join(err, p.cmd.Process.Kill())
	}
	if r.cfg.Profile != "" {
		if err := <-profiled; err != nil {
			return Stage{}, errors.Join(err, p.cmd.Process.Kill())
		}
	}
	rss, err := proc.PeakRSS(p.cmd.Process.Pid)
	if err := errors.Join(err, p.stop()); err != nil {
		return Stage{}, err
	}
	s, err := summarize(samples, r.cfg.Rounds)
	s.Name, s.Records, s.PeakRSS = name, total, rss
	return s, err
}

// summarize divides a run, from the first commit that was seen to the last, into
// rounds of about as many records. In the first rounds as in the last some records
// are under way that an earlier or later one commits; that is why the median counts.
func summarize(samples []sample, rounds int) (Stage, error) {
	first, last := samples[0], samples[len(samples)-1]
	var s Stage
	var perCPU, wall []float64
	from := first
	for _, to := range samples[1:] {
		due := first.records + int64(len(perCPU)+1)*(last.records-first.records)/int64(rounds)
		if to.records < due || to.service == from.service {
			continue
		}
		n := float64(to.records - from.records)
		perCPU, wall = append(perCPU, n/(to.service-from.service).Seconds()), append(wall, n/to.at.Sub(from.at).Seconds())
		from = to
	}
	if len(perCPU) == 0 {
		return s, fmt.Errorf("all %d records were committed at once: give it more flows", last.records)
	}
	n := time.Duration(last.records - first.records)
	s.PerCPU, s.Wall = spread(perCPU), spread(wall)
	s.Broker, s.Engine = (last.broker-first.broker)/n, (last.engine-first.engine)/n
	return s, nil
}

var sentFlows = regexp.MustCompile(`everything is read and sent.* flows=(\d+)`)

// capture runs the capture service over the input as one more sensor, and returns
// how many flow records it sent. The process has ended then.
func (r *rig) capture(ctx context.Context, profile time.Duration) (p *process, sent int64, err error) {
	r.sensors++
	if p, err = r.launch("capture", "TRENCH_SENSOR="+r.sensor()); err != nil {
		return nil, 0, err
	}
	profiled := make(chan error, 1)
	if profile > 0 {
		go func() { profiled <- r.profile(ctx, p, profile) }() // ends with the profile or the process
	} else {
		profiled <- nil
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, 0, errors.Join(ctx.Err(), p.cmd.Process.Kill())
	}
	if err := <-profiled; err != nil {
		return nil, 0, err
	}
	m := sentFlows.FindStringSubmatch(p.log.String())
	if m == nil || p.cmd.ProcessState.ExitCode() != 0 {
		return nil, 0, fmt.Errorf("ended with %v\n%s", p.cmd.ProcessState, p.log.String())
	}
	sent, err = strconv.ParseInt(m[1], 10, 64)
	return p, sent, err
}

// sensor names the sensor of the last run of capture: its flows have ids of their own.
func (r *rig) sensor() string { return fmt.Sprintf("sensor-%d", r.sensors) }

// fill runs capture again and again until the topic of flows has enough records.
func (r *rig) fill(ctx context.Context) (Stage, error) {
	s := Stage{Name: "capture"}
	r.cfg.Log.Info("measuring", "stage", s.Name)
	var perCPU, wall []float64
	var broker, engine time.Duration
	for s.Records < int64(r.cfg.Flows) {
		before, err := r.sample(r.broker, 0)
		if err != nil {
			return s, err
		}
		profile := time.Duration(0)
		if r.cfg.Profile != "" && s.Records == 0 {
			profile = time.Second
		}
		p, sent, err := r.capture(ctx, profile)
		if err != nil {
			return s, err
		}
		after, err := r.sample(r.broker, 0)
		if err != nil {
			return s, err
		}
		state := p.cmd.ProcessState
		s.Records += sent
		perCPU = append(perCPU, float64(sent)/(state.UserTime()+state.SystemTime()).Seconds())
		wall = append(wall, float64(sent)/after.at.Sub(before.at).Seconds())
		broker, engine = broker+after.broker-before.broker, engine+after.engine-before.engine
		s.PeakRSS = max(s.PeakRSS, proc.MaxRSS(state))
	}
	s.PerCPU, s.Wall = spread(perCPU), spread(wall)
	s.Broker, s.Engine = broker/time.Duration(s.Records), engine/time.Duration(s.Records)
	return s, nil
}
