package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/obs"
	"trench/pkg/store"
	"trench/pkg/terminal"
	"trench/pkg/wire"
)

func newDeadLetterReplayCommand() *cobra.Command {
	var f letterFlags
	var all, dry bool
	cmd := &cobra.Command{
		Use:   "replay [ID…]",
		Short: "Put the records of dead letters back on their topics",
		Long: `Put the records of dead letters back on the topics they came from, from where they go the normal way. Name them by id, choose
them by flags, or take --all. A record that fails again becomes a new dead letter. Letters that were replayed before are left out unless
they are named or --replayed is given; a flow replayed twice is still one flow.`,
		Example: "  trench deadletter replay -c trench.yaml 0f3a5c7e9b1d2f40\n  trench deadletter replay --stage sink --since 6h --dry-run",
		RunE: func(cmd *cobra.Command, ids []string) error {
			chosen := len(ids) > 0 || f.stage != "" || f.topic != "" || f.error != "" || f.flow != "" || f.since != "" || f.until != ""
			if chosen == all {
				return usage(errors.New("name dead letters by id, choose them by flags, or take --all; see trench deadletter replay --help"))
			}
			return f.letters(cmd.Context(), ids, func(ctx context.Context, b *backends, r *store.Reader, filter store.LetterFilter) error {
				return replayLetters(ctx, b, r, filter, dry, cmd.ErrOrStderr())
			})
		},
	}
	f.bind(cmd, 0)
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be replayed")
	return cmd
}

// A batch of a replay has at most so many records and bytes.
const (
	replayRecords = 500
	replayBytes   = 8 << 20
)

// replayer puts records back on their topics, a batch at a time.
type replayer struct {
	producer                 bus.Producer
	reader                   *store.Reader
	records                  []bus.Record
	ids                      []string
	bytes, replayed, refused int
	stderr                   io.Writer
}

func replayLetters(ctx context.Context, b *backends, r *store.Reader, filter store.LetterFilter, dry bool, stderr io.Writer) error {
	producer := kafka.NewProducer(b.Kafka, obs.NewLogger(b.Log, stderr), nil)
	defer producer.Close()
	p := &replayer{producer: producer, reader: r, stderr: stderr}
	found, broken, would := map[string]bool{}, 0, map[string]int{}
	err := r.Letters(ctx, filter, func(l *store.Letter) error {
		found[l.ID] = true
		if err := l.Whole(); err != nil {
			broken++
			fmt.Fprintln(stderr, "trench:", err)
			return nil
		}
		if dry {
			would[l.Topic]++
			return nil
		}
		return p.add(ctx, l)
	})
	if err == nil {
		err = p.flush(ctx)
	}
	if dry {
		n := 0
		for topic, k := range would {
			n += k
			fmt.Fprintf(stderr, "%s: %d records\n", terminal.Printable(topic), k)
		}
		fmt.Fprintf(stderr, "%d records would be replayed, %d can not be\n", n, broken)
		return errors.Join(err, missing(filter.IDs, found))
	}
	fmt.Fprintf(stderr, "%d records replayed, %d can not be\n", p.replayed, broken+p.refused)
	err = errors.Join(err, missing(filter.IDs, found))
	if err == nil && broken+p.refused > 0 {
		return &exitError{1, nil}
	}
	return err
}

func (p *replayer) add(ctx context.Context, l *store.Letter) error {
	rec := letterRecord(l)
	rec.Headers = append(rec.Headers, bus.Header{Key: wire.HeaderReplayed, Value: []byte(l.ID)})
	p.records, p.ids, p.bytes = append(p.records, rec), append(p.ids, l.ID), p.bytes+rec.Size()
	if len(p.records) < replayRecords && p.bytes < replayBytes {
		return nil
	}
	return p.flush(ctx)
}

// flush writes what was collected and notes it as replayed when it is acknowledged.
func (p *replayer) flush(ctx context.Context) error {
	if len(p.records) == 0 {
		return nil
	}
	err := p.producer.Write(ctx, p.records)
	var refused *bus.RefusedError
	if errors.As(err, &refused) {
		no := map[int]bool{}
		for _, x := range refused.Refused {
			no[x.Index] = true
			fmt.Fprintf(p.stderr, "trench: %s: %v\n", p.ids[x.Index], x.Err)
		}
		var kept []string
		for i, id := range p.ids {
			if !no[i] {
				kept = append(kept, id)
			}
		}
		p.refused += len(no)
		p.ids, err = kept, nil
	}
	if err != nil {
		return err
	}
	if err := p.reader.MarkReplayed(ctx, p.ids, time.Now()); err != nil {
		return err
	}
	p.replayed += len(p.ids)
	p.records, p.ids, p.bytes = nil, nil, 0
	return nil
}
