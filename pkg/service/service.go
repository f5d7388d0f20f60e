// Package service is what the four services have in common: flags, configuration,
// logs, health, waiting for what they need, and exit codes.
//
//	flags ─► configuration ─► log, metrics, HTTP ─► wait for Kafka (and more) ─► run until done or told to stop
//
// Services start in any order: each waits for what it needs, and says so. Only a
// wrong configuration, which waiting does not end, ends the process.
package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"trench/pkg/bus/kafka"
	"trench/pkg/config"
	"trench/pkg/obs"
	"trench/pkg/stage"
)

// Exit codes besides 0, as documented.
const (
	ExitFailed = 1
	ExitUsage  = 2
	ExitInput  = 3
)

// ErrInput is wrapped by the error for an input that is missing, unreadable or
// damaged, after everything else was processed.
var ErrInput = errors.New("input")

// Config is the part of the configuration that every service has.
type Config struct {
	Kafka kafka.Config `yaml:"kafka"`
	// Topics are what the topics are compared with at the start.
	Topics TopicsConfig   `yaml:"topics"`
	HTTP   obs.HTTPConfig `yaml:"http"`
	Log    obs.LogConfig  `yaml:"log"`
}

// DefaultConfig returns a broker on this machine, and health on a port of it,
// one for each service so that all of them can run here.
func DefaultConfig(port uint16) Config {
	return Config{
		Kafka: kafka.DefaultConfig(), Topics: DefaultTopicsConfig(),
		HTTP: obs.HTTPConfig{Listen: fmt.Sprintf("127.0.0.1:%d", port)}, Log: obs.DefaultLogConfig(),
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	return errors.Join(config.Section("kafka", c.Kafka.Validate()), config.Section("topics", c.Topics.Validate()), config.Section("http", c.HTTP.Validate()), config.Section("log", c.Log.Validate()))
}

// ValidateStage reports the faults of a service's stage, also where it does not go
// with the rest.
func (c Config) ValidateStage(s stage.Config) error {
	err := config.Section("stage", s.Validate())
	if s.Grace >= c.Kafka.RebalanceTimeout {
		err = errors.Join(err, fmt.Errorf("stage.grace: %v is not below kafka.rebalance_timeout, %v: the partitions would be gone before the batch is done",
			s.Grace, c.Kafka.RebalanceTimeout))
	}
	return err
}

// Program is one service.
type Program struct {
	Name   string
	Config interface{ Validate() error } // a pointer to the configuration, holding the defaults
	Common *Config                       // the part of it that every service has
	// Topics must exist before Run is called.
	Topics []string
	// Early, if given, reports that Run has work to do before Kafka is there and
	// awaits it itself, with Env.AwaitKafka. The configuration is loaded by then.
	Early func() bool
	// Needs are further things to wait for, by name; an error of the class Configuration
	// (see package fault) ends the service, any other is logged and tried again. The
	// configuration is loaded when they are called.
	Needs map[string]obs.Check
	// Run does the work until it is done or ctx ends. It tells env the conditions of
	// being ready and healthy as soon as it knows them.
	Run func(ctx context.Context, env *Env) error
}

// Env is what a service works with.
type Env struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	Metrics  *kafka.Metrics
	// AwaitKafka returns when Kafka answers and has the topics, or ctx ends.
	AwaitKafka func(ctx context.Context) error
	ready      atomic.Pointer[obs.Check]
	live       atomic.Pointer[obs.Check]
}

// SetReady says what being ready means from now on.
func (e *Env) SetReady(c obs.Check) { e.ready.Store(&c) }

// SetLive says what being healthy means from now on; before, answering is enough. An
// error of it must mean that only a restart helps.
func (e *Env) SetLive(c obs.Check) { e.live.Store(&c) }

// Main runs a program with its arguments and returns its exit code.
func Main(ctx context.Context, p Program, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("c", "", "configuration `file` (YAML); every key is also TRENCH_… in the environment")
	check := flags.Bool("check", false, "validate the configuration and exit")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: %s -c FILE [--check]\n", p.Name)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return ExitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", p.Name, flags.Arg(0))
		return ExitUsage
	}
	if err := config.Load(*path, p.Config); err != nil {
		fmt.Fprintf(stderr, "%s: configuration:\n%v\n", p.Name, err)
		return ExitUsage
	}
	if *check {
		fmt.Fprintf(stderr, "%s: the configuration is valid\n", p.Name)
		return 0
	}
	err := p.run(ctx, obs.NewLogger(p.Common.Log, stderr).With("service", p.Name))
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
	if errors.Is(err, ErrInput) {
		return ExitInput
	}
	return ExitFailed
}

func (p Program) run(ctx context.Context, log *slog.Logger) error {
	env := &Env{Log: log, Registry: obs.NewRegistry()}
	env.Metrics = kafka.NewMetrics(env.Registry)
	w := &waiting{log: log}
	env.AwaitKafka = func(ctx context.Context) error { return p.awaitKafka(ctx, log) }
	env.SetReady(w.ready)
	env.SetLive(func(context.Context) error { return nil })
	server := &obs.Server{
		Config: p.Common.HTTP, Registry: env.Registry, Log: log,
		Ready: []obs.Check{func(ctx context.Context) error { return (*env.ready.Load())(ctx) }},
		Live:  []obs.Check{func(ctx context.Context) error { return (*env.live.Load())(ctx) }},
	}
	// The server outlives the work: health is visible while it drains.
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { // ends with serve
		defer cancel()
		return server.Run(serve)
	})
	g.Go(func() error { // ends when done, or with work
		defer stop()
		if err := w.all(work, p.needs()); err != nil || work.Err() != nil {
			return err
		}
		if !p.early() {
			p.compareTopics(work, log)
		}
		return p.Run(work, env)
	})
	err := g.Wait()
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// needs are what the program waits for.
func (p Program) needs() map[string]obs.Check {
	needs := map[string]obs.Check{}
	maps.Copy(needs, p.Needs)
	if !p.early() {
		needs["kafka"] = p.ping
	}
	return needs
}

func (p Program) early() bool { return p.Early != nil && p.Early() }

// ping returns nil when Kafka is there with the topics of the program.
func (p Program) ping(ctx context.Context) error {
	return kafka.Ping(ctx, p.Common.Kafka, p.Topics...)
}

// awaitKafka waits for Kafka, and says where topics are not as they should be.
func (p Program) awaitKafka(ctx context.Context, log *slog.Logger) error {
	w := &waiting{log: log}
	if err := w.all(ctx, map[string]obs.Check{"kafka": p.ping}); err != nil || ctx.Err() != nil {
		return err
	}
	p.compareTopics(ctx, log)
	return nil
}
