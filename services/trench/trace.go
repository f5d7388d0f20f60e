package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trench/pkg/bus/kafka"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/store"
	"trench/pkg/terminal"
	"trench/pkg/wire"
)

func newTraceCommand() *cobra.Command {
	var path, since string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "trace FLOW_ID",
		Short: "Say where the records of a flow have been and when",
		Long: `Look for a flow in ClickHouse, among the dead letters and on Kafka's topics, and print which stages its records passed and
when. Times are those of the machines that the stages ran on.`,
		Example: "  trench trace -c trench.yaml 5b0f63f0d7c9a0e1b1c4a7de6e5a9f37",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := flow.ParseID(args[0])
			if err != nil {
				return usage(err)
			}
			from, err := moment(since, time.Now())
			if err != nil {
				return usage(fmt.Errorf("--since: %w", err))
			}
			b, err := loadBackends(path)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return traceFlow(ctx, b, id, from, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "YAML `file` with the sections clickhouse and kafka; every key is also TRENCH_… in the environment")
	cmd.Flags().StringVar(&since, "since", "1h", "look on the topics from this `time` on: RFC 3339, a date, or an age")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "give up after this time")
	return cmd
}

// traceFlow prints what each place knows of a flow; a place that can not be asked
// does not keep the others from answering.
func traceFlow(ctx context.Context, b *backends, id flow.ID, since time.Time, w io.Writer) error {
	found := 0
	var errs []error
	for _, ask := range []func() (int, error){
		func() (int, error) { return traceStore(ctx, b, id, w) },
		func() (int, error) { return traceTopics(ctx, b, id, since, w) },
	} {
		n, err := ask()
		found += n
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if err == nil && found == 0 {
		err = fmt.Errorf("flow %s: no record of it since %s: it may be older (--since), not ended and not reported yet, or another sensor's", id, since.UTC().Format(time.RFC3339))
	}
	return err
}

func traceStore(ctx context.Context, b *backends, id flow.ID, w io.Writer) (int, error) {
	r, err := store.NewReader(b.ClickHouse)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	reports, err := r.Reports(ctx, id)
	if err != nil {
		return 0, err
	}
	found := len(reports)
	for i, x := range reports {
		state := "still open"
		if x.Final {
			state = "final"
		}
		counts := ""
		if i > 0 {
			counts = ", replaced by the first"
		}
		fmt.Fprintf(w, "in ClickHouse since %s: part %d, %s, %s%s\n", x.Inserted.UTC().Format(time.DateTime), x.Part, state, x.Verdict, counts)
		printHops(w, x.Trace)
	}
	err = r.Letters(ctx, store.LetterFilter{Key: id[:], Replayed: true}, func(l *store.Letter) error {
		found++
		fmt.Fprintf(w, "dead letter %s: given up by %s at %s, %s: %s\n", l.ID, terminal.Printable(l.Stage), l.Failed.UTC().Format(time.RFC3339),
			terminal.Printable(origin(l)), terminal.Printable(l.Error))
		if !l.Replayed.IsZero() {
			fmt.Fprintf(w, "  replayed %s\n", l.Replayed.UTC().Format(time.RFC3339))
		}
		for _, h := range l.Headers {
			if h.Key == wire.HeaderTrace {
				printHops(w, wire.ParseTrace(h.Value))
			}
		}
		return nil
	})
	return found, err
}

func traceTopics(ctx context.Context, b *backends, id flow.ID, since time.Time, w io.Writer) (found int, err error) {
	for _, t := range []struct{ topic, group, next string }{
		{wire.TopicFlows, wire.GroupFeatures, "features"}, {wire.TopicFeatures, wire.GroupScoring, "scoring"},
		{wire.TopicVerdicts, wire.GroupSink, "sink"}, {wire.TopicDeadLetter, wire.GroupDeadLetters, "sink"},
	} {
		sightings, err := kafka.Find(ctx, b.Kafka, t.topic, t.group, id[:], since)
		if err != nil {
			return found, err
		}
		for _, s := range sightings {
			found++
			state := "waits for " + t.next
			if s.Done {
				state = "done by " + t.next
			}
			fmt.Fprintf(w, "on %s %d:%d since %s, %d bytes, %s\n", s.Topic, s.Partition, s.Offset, s.Time.UTC().Format(time.RFC3339), len(s.Value), state)
			if !s.Done {
				printHops(w, wire.ParseTrace(s.Header(wire.HeaderTrace)))
			}
		}
	}
	return found, nil
}

func printHops(w io.Writer, hops []record.Hop) {
	for i, h := range hops {
		var before int64
		if i > 0 {
			before = hops[i-1].Micros
		}
		fmt.Fprintf(w, "  %s\n", terminal.Printable(hopLine(h, before)))
	}
}

// hopLine is a hop in words; before is when the last one was, 0 if there was none.
func hopLine(h record.Hop, before int64) string {
	s := fmt.Sprintf("%-10s %s", h.Stage, time.UnixMicro(h.Micros).UTC().Format("2006-01-02 15:04:05.000000"))
	if before != 0 {
		s += fmt.Sprintf("  %+.3f s", float64(h.Micros-before)/1e6)
	}
	if h.Partition >= 0 {
		s += fmt.Sprintf("  read from partition %d offset %d", h.Partition, h.Offset)
	}
	return s
}
