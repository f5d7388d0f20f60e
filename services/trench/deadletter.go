package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"trench/pkg/bus"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/stage"
	"trench/pkg/store"
	"trench/pkg/terminal"
	"trench/pkg/wire"
)

func newDeadLetterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletter",
		Short: "List, show and replay records that a stage gave up",
		Long: `A record that a stage can not handle ends as a dead letter, with the error and, up to a limit, its bytes.
Once the cause is mended, replay puts it back on the topic it came from.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadLetterListCommand(), newDeadLetterShowCommand(), newDeadLetterReplayCommand())
	return cmd
}

// letterFlags are the flags that choose dead letters.
type letterFlags struct {
	path                      string
	stage, topic, error, flow string
	since, until              string
	replayed                  bool
	limit                     int
	timeout                   time.Duration
}

func (f *letterFlags) bind(cmd *cobra.Command, limit int) {
	flags := cmd.Flags()
	flags.StringVarP(&f.path, "config", "c", "", "YAML `file` with the sections clickhouse and kafka; every key is also TRENCH_… in the environment")
	flags.StringVar(&f.stage, "stage", "", "given up by this stage: capture, features, scoring, sink, sink-deadletters")
	flags.StringVar(&f.topic, "topic", "", "read from this topic")
	flags.StringVar(&f.error, "error", "", "with this `text` in the error")
	flags.StringVar(&f.flow, "flow", "", "of this `flow_id`")
	flags.StringVar(&f.since, "since", "", "given up since this `time`: RFC 3339, a date, or an age such as 2h")
	flags.StringVar(&f.until, "until", "", "given up before this `time`")
	flags.BoolVar(&f.replayed, "replayed", false, "also those that were replayed")
	flags.IntVar(&f.limit, "limit", limit, "at most so many, the latest first; 0 for all")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this time")
}

var letterID = regexp.MustCompile(`^[0-9a-f]{16}$`)

func (f *letterFlags) filter(ids []string, now time.Time) (store.LetterFilter, error) {
	out := store.LetterFilter{IDs: ids, Stage: f.stage, Topic: f.topic, Error: f.error, Replayed: f.replayed || len(ids) > 0, Limit: f.limit}
	for _, id := range ids {
		if !letterID.MatchString(id) {
			return out, fmt.Errorf("%q is no id of a dead letter: 16 hex digits, as list shows them", id)
		}
	}
	if f.limit < 0 {
		return out, fmt.Errorf("--limit: %d is negative", f.limit)
	}
	var err error
	if f.flow != "" {
		id, err := flow.ParseID(f.flow)
		if err != nil {
			return out, fmt.Errorf("--flow: %w", err)
		}
		out.Key = id[:]
	}
	if out.Since, err = moment(f.since, now); err != nil {
		return out, fmt.Errorf("--since: %w", err)
	}
	if out.Until, err = moment(f.until, now); err != nil {
		return out, fmt.Errorf("--until: %w", err)
	}
	return out, nil
}

// moment reads a time, or an age before now; zero when s is empty.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-01-31T12:00:00Z, nor a date, nor an age such as 90m", s)
}

// letters opens the store and calls do with the filter that flags and ids mean.
func (f *letterFlags) letters(ctx context.Context, ids []string, do func(context.Context, *backends, *store.Reader, store.LetterFilter) error) error {
	filter, err := f.filter(ids, time.Now())
	if err != nil {
		return usage(err)
	}
	b, err := loadBackends(f.path)
	if err != nil {
		return err
	}
	r, err := store.NewReader(b.ClickHouse)
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return do(ctx, b, r, filter)
}

func newDeadLetterListCommand() *cobra.Command {
	var f letterFlags
	var lines bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List dead letters, the latest first",
		Example: "  trench deadletter list -c trench.yaml --stage features --since 24h\n  trench deadletter list --json --limit 0 | jq -r .error | sort | uniq -c",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.letters(cmd.Context(), nil, func(ctx context.Context, _ *backends, r *store.Reader, filter store.LetterFilter) error {
				return listLetters(ctx, r, filter, lines, cmd.OutOrStdout(), cmd.ErrOrStderr())
			})
		},
	}
	f.bind(cmd, 50)
	cmd.Flags().BoolVar(&lines, "json", false, "one JSON object a line")
	return cmd
}

func listLetters(ctx context.Context, r *store.Reader, filter store.LetterFilter, lines bool, stdout, stderr io.Writer) error {
	total, err := r.CountLetters(ctx, filter)
	if err != nil {
		return err
	}
	shown := uint64(0)
	out := json.NewEncoder(stdout)
	err = r.Letters(ctx, filter, func(l *store.Letter) error {
		shown++
		if lines {
			return out.Encode(letterLine(l))
		}
		if shown == 1 {
			fmt.Fprintf(stdout, "%-16s  %-19s  %-16s  %-34s  %8s  %s\n", "ID", "GIVEN UP (UTC)", "STAGE", "FROM", "BYTES", "ERROR")
		}
		note := ""
		if !l.Replayed.IsZero() {
			note = " (replayed " + l.Replayed.UTC().Format(time.DateTime) + ")"
		}
		_, err := fmt.Fprintf(stdout, "%s  %s  %-16s  %-34s  %8d  %s%s\n", l.ID, l.Failed.UTC().Format(time.DateTime), terminal.Printable(l.Stage), terminal.Printable(origin(l)),
			l.ValueBytes, terminal.Printable(l.Error), note)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d of %d dead letters\n", shown, total)
	return nil
}

// origin says where the record was.
func origin(l *store.Letter) string {
	if l.Partition < 0 {
		return "for " + l.Topic
	}
	return fmt.Sprintf("%s %d:%d", l.Topic, l.Partition, l.Offset)
}

type letterJSON struct {
	ID         string            `json:"id"`
	Stage      string            `json:"stage"`
	Error      string            `json:"error"`
	Topic      string            `json:"topic"`
	Partition  int               `json:"partition"`
	Offset     int64             `json:"offset"`
	Time       time.Time         `json:"time"`
	Failed     time.Time         `json:"failed"`
	Replayed   *time.Time        `json:"replayed,omitempty"`
	FlowID     string            `json:"flow_id,omitempty"`
	Key        string            `json:"key"` // hex
	ValueBytes uint64            `json:"value_bytes"`
	Whole      bool              `json:"whole"`
	Headers    map[string]string `json:"headers,omitempty"`
}

func letterLine(l *store.Letter) letterJSON {
	out := letterJSON{
		ID: l.ID, Stage: l.Stage, Error: l.Error, Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Time: l.Time, Failed: l.Failed,
		FlowID: flowOf(l), Key: hex.EncodeToString(l.Key), ValueBytes: l.ValueBytes, Whole: l.Whole() == nil, Headers: map[string]string{},
	}
	if !l.Replayed.IsZero() {
		out.Replayed = &l.Replayed
	}
	for _, h := range l.Headers {
		out.Headers[h.Key] = string(h.Value)
	}
	return out
}

// flowOf returns the flow_id that a record's key is, empty if it is none.
func flowOf(l *store.Letter) string {
	if len(l.Key) != len(flow.ID{}) {
		return ""
	}
	return flow.ID(l.Key).String()
}

func newDeadLetterShowCommand() *cobra.Command {
	var f letterFlags
	cmd := &cobra.Command{
		Use:     "show ID…",
		Short:   "Show dead letters with headers, bytes, and whether this version can read them",
		Example: "  trench deadletter show -c trench.yaml 0f3a5c7e9b1d2f40",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return f.letters(cmd.Context(), ids, func(ctx context.Context, _ *backends, r *store.Reader, filter store.LetterFilter) error {
				found := map[string]bool{}
				err := r.Letters(ctx, filter, func(l *store.Letter) error {
					found[l.ID] = true
					return showLetter(cmd.OutOrStdout(), l)
				})
				return errors.Join(err, missing(ids, found))
			})
		},
	}
	cmd.Flags().StringVarP(&f.path, "config", "c", "", "YAML `file` with the section clickhouse; every key is also TRENCH_… in the environment")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "give up after this time")
	return cmd
}

func missing(ids []string, found map[string]bool) error {
	var errs []error
	for _, id := range ids {
		if !found[id] {
			errs = append(errs, fmt.Errorf("no dead letter has the id %s", id))
		}
	}
	return errors.Join(errs...)
}

// shownBytes is how much of a record show prints.
const shownBytes = 512

func showLetter(w io.Writer, l *store.Letter) error {
	fmt.Fprintf(w, "%s\n", l.ID)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s %s\n", name, terminal.Printable(fmt.Sprintf(format, args...)))
	}
	line("stage", "%s", l.Stage)
	line("error", "%s", l.Error)
	line("record", "%s, written %s", origin(l), l.Time.UTC().Format(time.RFC3339Nano))
	line("given up", "%s", l.Failed.UTC().Format(time.RFC3339Nano))
	if !l.Replayed.IsZero() {
		line("replayed", "%s", l.Replayed.UTC().Format(time.RFC3339Nano))
	}
	if id := flowOf(l); id != "" {
		line("flow_id", "%s", id)
	} else {
		line("key", "%x", l.Key)
	}
	for _, h := range l.Headers {
		if h.Key == wire.HeaderTrace {
			for i, hop := range wire.ParseTrace(h.Value) {
				line([]string{"trace", ""}[min(i, 1)], "%s", hopLine(hop, 0))
			}
			continue
		}
		line("header", "%s: %q", h.Key, h.Value)
	}
	if err := decodes(l); err != nil {
		line("today", "this version can not read it either: %v", err)
	} else {
		line("today", "this version can read it")
	}
	if err := l.Whole(); err != nil {
		line("replay", "%v", err)
	}
	line("value", "%d bytes", l.ValueBytes)
	_, err := io.WriteString(w, hex.Dump(l.Value[:min(len(l.Value), shownBytes)]))
	return err
}

// decodes returns why this version can not read a letter's record.
func decodes(l *store.Letter) error {
	rec := letterRecord(l)
	switch l.Topic {
	case wire.TopicFlows:
		return stage.DecodeFlow(&rec, new(flow.Flow))
	case wire.TopicFeatures:
		return stage.DecodeFeatures(&rec, new(record.Record))
	case wire.TopicVerdicts:
		return stage.DecodeVerdict(&rec, new(record.Record))
	case wire.TopicDeadLetter:
		return stage.DecodeDeadLetter(&rec, new(wire.DeadLetter))
	}
	return fmt.Errorf("topic %q is none of trench's", l.Topic)
}

// letterRecord makes the record again that was given up.
func letterRecord(l *store.Letter) bus.Record {
	r := bus.Record{Topic: l.Topic, Key: l.Key, Value: l.Value}
	for _, h := range l.Headers {
		r.Headers = append(r.Headers, bus.Header{Key: h.Key, Value: h.Value})
	}
	return r
}
