package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"trench/pkg/bus/kafka"
	"trench/pkg/internal/bench/pipeline"
	"trench/pkg/wire"
)

// Goals of the pipeline: flows a second of one core by stage, flows a second end to
// end on two cores, and bytes of a flow on the topic of verdicts.
var (
	stageGoals = map[string]string{"features": "≥ 50,000", "scoring": "≥ 60,000", "sink": "≥ 20,000"}
	topicGoals = map[string]string{wire.TopicVerdicts: "≤ 900"}
)

const wholeGoal = "≥ 8,000"

// bus prints what the services cost between a real Kafka and a real ClickHouse.
func (b *bench) bus() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stages := [][]string{{"input", "stage", "records", "records/s of its CPU", "lowest – highest", "goal", "records/s", "broker µs", "engine µs", "peak RSS MiB"}}
	whole := [][]string{{"input", "records", "records/s", "lowest – highest", "goal"}}
	shares := [][]string{{"input", "process", "CPU µs a record", "% of two cores", "done after s", "lowest – highest"}}
	topics := [][]string{{"input", "topic", "records", "bytes", "in the log", "goal", "with a vector", "bytes", "in the log", "goal"}}
	codec := [][]string{{"input", "message on", "marshal µs", "lowest – highest", "unmarshal µs", "lowest – highest"}}
	for _, in := range b.inputs {
		r, err := pipeline.Measure(ctx, pipeline.Config{
			Input: in.path, Flows: b.busFlows, Rounds: b.rounds, Partitions: b.partitions, Profile: b.profile, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		})
		if err != nil {
			return err
		}
		for _, s := range r.Stages {
			stages = append(stages, []string{in.name, s.Name, fmt.Sprint(s.Records), thousands(s.PerCPU.Median), thousandsRange(s.PerCPU), stageGoals[s.Name],
				thousands(s.Wall.Median), inMicros(s.Broker), inMicros(s.Engine), mib(s.PeakRSS)})
		}
		whole = append(whole, []string{in.name, fmt.Sprint(r.Whole.Records), thousands(r.Whole.Rate.Median), thousandsRange(r.Whole.Rate), wholeGoal})
		for _, s := range r.Whole.Shares {
			done, between := "", ""
			if s.Done.Median > 0 {
				done, between = hundredths(s.Done.Median), hundredths(s.Done.Low)+" – "+hundredths(s.Done.High)
			}
			shares = append(shares, []string{in.name, s.Name, inMicros(s.CPU), percent(s.Part), done, between})
		}
		shares = append(shares, []string{in.name, "anything else", "", percent(r.Whole.Others), "", ""}, []string{in.name, "idle", "", percent(r.Whole.Idle), "", ""})
		for _, t := range r.Topics {
			topics = append(topics, []string{in.name, t.Name, fmt.Sprint(t.All.Records), ones(t.All.Raw), ones(t.All.Disk), topicGoals[t.Name],
				fmt.Sprint(t.WithVector.Records), ones(t.WithVector.Raw), ones(t.WithVector.Disk), topicGoals[t.Name]})
			codec = append(codec, []string{in.name, t.Name, tenths(t.Marshal.Median), tenthsRange(t.Marshal), tenths(t.Unmarshal.Median), tenthsRange(t.Unmarshal)})
		}
	}
	for _, t := range []struct {
		title string
		rows  [][]string
	}{
		{fmt.Sprintf("bus, stages: each service alone on one core, broker and engine on the other, %d partitions; median of %d parts of the run", b.partitions, b.rounds), stages},
		{fmt.Sprintf("bus, end to end: from the start of capture to the last row, everything on the same two cores; median of %d runs", b.rounds), whole},
		{"bus, shares: CPU time during those runs, and when all records of a run were committed", shares},
		{fmt.Sprintf("bus, topics: bytes a record with key and headers, and in the broker's log, compressed with %s in batches", kafka.DefaultConfig().Compression), topics},
		{fmt.Sprintf("bus, codec: CPU time a record in this process, garbage collection included, median of %d", b.rounds), codec},
	} {
		if err := b.table(t.title, t.rows); err != nil {
			return err
		}
	}
	return nil
}

// thousands writes a number with a comma between thousands.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func thousandsRange(s pipeline.Spread) string { return thousands(s.Low) + " – " + thousands(s.High) }
func hundredths(v float64) string             { return fmt.Sprintf("%.2f", v) }
func tenths(v float64) string                 { return fmt.Sprintf("%.1f", v) }
func tenthsRange(s pipeline.Spread) string    { return tenths(s.Low) + " – " + tenths(s.High) }
func ones(v float64) string                   { return fmt.Sprintf("%.0f", v) }
func inMicros(d time.Duration) string         { return tenths(float64(d.Nanoseconds()) / 1e3) }
func percent(v float64) string                { return fmt.Sprintf("%.0f", 100*v) }
