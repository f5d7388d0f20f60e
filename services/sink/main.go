// Sink keeps verdicts and dead letters: it reads the topics trench.verdicts.v1 and
// trench.deadletter.v1 and inserts into ClickHouse.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/config"
	"trench/pkg/fault"
	"trench/pkg/obs"
	"trench/pkg/record"
	"trench/pkg/service"
	"trench/pkg/stage"
	"trench/pkg/store"
	"trench/pkg/wire"
	"trench/schemas"
)

const (
	port        = 9103 // health and metrics
	name        = "sink"
	lettersName = "sink-deadletters"
	partsEvery  = 30 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

type settings struct {
	service.Config `yaml:",inline"`
	Stage          stage.Config `yaml:"stage"`
	ClickHouse     store.Config `yaml:"clickhouse"`
}

// Validate reports all faults at once.
func (s *settings) Validate() error {
	return errors.Join(s.Config.Validate(), s.ValidateStage(s.Stage), config.Section("clickhouse", s.ClickHouse.Validate()))
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	s := &settings{Config: service.DefaultConfig(port), Stage: stage.DefaultConfig(), ClickHouse: store.DefaultConfig()}
	// ClickHouse likes few and large inserts: every one makes parts that it has to merge.
	s.Stage.BatchRecords, s.Stage.BatchBytes, s.Stage.BatchAge, s.Stage.InFlight = 5000, 32<<20, time.Second, 2
	return service.Main(ctx, service.Program{
		Name: name, Config: s, Common: &s.Config,
		Topics: []string{wire.TopicVerdicts, wire.TopicDeadLetter},
		Needs:  map[string]obs.Check{"clickhouse": s.checkTables},
		Run:    s.run,
	}, args, stderr)
}

// checkTables returns nil when the server has the tables. It waits for a migration that
// is under way or still to come; tables that do not fit although all are done end the
// service.
func (s *settings) checkTables(ctx context.Context) error {
	w, err := store.NewWriter(s.ClickHouse)
	if err != nil {
		return fmt.Errorf("%w: %w", fault.ErrConfiguration, err)
	}
	defer w.Close()
	applied, unknown := w.Applied(ctx) // before the check: a migration may end in between
	err = w.Check(ctx)
	code, _ := fault.CodeOf(unknown)
	if fault.Of(err) == fault.Configuration && (unknown == nil && int(applied) < len(migrations()) || code.Name == "UNKNOWN_TABLE") {
		return fmt.Errorf("%w: database %s at %v is at migration %04d of %04d (run `trench migrate`)",
			store.ErrNotMigrated, s.ClickHouse.Database, s.ClickHouse.Addr, applied, len(migrations()))
	}
	return err
}

func (s *settings) run(ctx context.Context, env *service.Env) error {
	w, err := store.NewWriter(s.ClickHouse)
	if err != nil {
		return err
	}
	defer w.Close()
	w.Register(env.Registry)
	sayNewer(ctx, w, env.Log)
	producer := kafka.NewProducer(s.Kafka, env.Log, env.Metrics)
	defer producer.Close()
	verdicts := &stage.Runner[record.Record]{
		Name: name, Config: s.Stage, Log: env.Log, Registry: env.Registry,
		NewConsumer: func() bus.Consumer {
			return kafka.NewConsumer(s.Kafka, wire.TopicVerdicts, wire.GroupSink, env.Log, env.Metrics)
		},
		Decode: decodeVerdict, DeadLetters: producer,
		NewHandler: func() stage.Handler[record.Record] { return &inserter[record.Record]{insert: w.Write} },
	}
	letters := &stage.Runner[wire.DeadLetter]{
		Name: lettersName, Config: s.Stage, Log: env.Log, Registry: env.Registry,
		NewConsumer: func() bus.Consumer {
			return kafka.NewConsumer(s.Kafka, wire.TopicDeadLetter, wire.GroupDeadLetters, env.Log, env.Metrics)
		},
		Decode: stage.DecodeDeadLetter, DeadLetters: producer,
		NewHandler: func() stage.Handler[wire.DeadLetter] { return &inserter[wire.DeadLetter]{insert: w.WriteDeadLetters} },
	}
	letters.Config.Workers, letters.Config.InFlight = 1, 1
	// Without rows on their way only a question tells that ClickHouse is away.
	env.SetReady(func(ctx context.Context) error {
		return errors.Join(verdicts.Ready(ctx), letters.Ready(ctx), w.Ping(ctx))
	})
	env.SetLive(func(ctx context.Context) error { return errors.Join(verdicts.Live(ctx), letters.Live(ctx)) })
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return verdicts.Run(ctx) })
	g.Go(func() error { return letters.Run(ctx) })
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go w.Watch(watch, partsEvery, env.Log) // ends with watch
	return g.Wait()
}

// migrations are those that this program knows.
func migrations() []store.Migration {
	known, err := store.Migrations(schemas.ClickHouse, "clickhouse")
	if err != nil {
		panic(err) // they are part of this program
	}
	return known
}

// sayNewer logs that the database was migrated by a later version than this one.
func sayNewer(ctx context.Context, w *store.Writer, log *slog.Logger) {
	known := migrations()
	switch applied, err := w.Applied(ctx); {
	case err != nil:
		log.Warn("the schema's version is not known", "err", err)
	case int(applied) > len(known):
		log.Warn("the schema is newer than this program: columns that it does not know get their defaults", "schema", applied, "known", len(known))
	}
}

// decodeVerdict reads a verdict and adds the hop of this stage to its trace.
func decodeVerdict(rec *bus.Record, r *record.Record) error {
	if err := stage.DecodeVerdict(rec, r); err != nil {
		return err
	}
	r.Trace = append(r.Trace, record.Hop{Stage: store.StageSink, Micros: time.Now().UnixMicro(), Partition: rec.Partition, Offset: rec.Offset})
	return nil
}

// inserter hands batches to the store.
type inserter[T any] struct {
	insert func(context.Context, []*T) error
	rows   []*T
}

// Handle implements stage.Handler.
func (i *inserter[T]) Handle(ctx context.Context, batch stage.Batch[T]) ([]stage.Reject, error) {
	i.rows = i.rows[:0]
	for n := range batch.Values {
		i.rows = append(i.rows, &batch.Values[n])
	}
	err := i.insert(ctx, i.rows)
	var refused *store.RefusedError
	if errors.As(err, &refused) {
		rejects := make([]stage.Reject, len(refused.Rows))
		for n, r := range refused.Rows {
			rejects[n] = stage.Reject{Index: r.Index, Err: r.Err}
		}
		return rejects, nil
	}
	return nil, err
}
