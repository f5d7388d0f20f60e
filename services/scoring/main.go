// Scoring turns rows with feature vectors into verdicts with reasons: it reads the
// topic trench.features.v1 and writes trench.verdicts.v1.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/features"
	"trench/pkg/record"
	"trench/pkg/scoring"
	"trench/pkg/service"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

const (
	name = "scoring"
	port = 9102 // health and metrics
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

type settings struct {
	service.Config `yaml:",inline"`
	Stage          stage.Config `yaml:"stage"`
	Model          struct {
		// Dir is a bundle's directory; empty is the built-in one, none scores nothing.
		Dir string `yaml:"dir"`
		// Profile names the schema of the vectors, as the features service makes them.
		Profile string `yaml:"profile"`
	} `yaml:"model"`
	Scoring scoring.Config `yaml:",inline"` // lists, shadow, reload
}

// Validate reports all faults at once.
func (s *settings) Validate() error {
	errs := []error{s.Config.Validate(), s.ValidateStage(s.Stage), s.Scoring.Validate()}
	if s.Model.Dir != "" && s.Model.Dir != scoring.NoModel {
		if info, err := os.Stat(s.Model.Dir); err != nil {
			errs = append(errs, fmt.Errorf("model.dir: %w", err))
		} else if !info.IsDir() {
			errs = append(errs, fmt.Errorf("model.dir: %s is no directory", s.Model.Dir))
		}
	}
	if _, err := features.Profile(s.Model.Profile); err != nil {
		errs = append(errs, fmt.Errorf("model.profile: %w", err))
	}
	return errors.Join(errs...)
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	s := &settings{Config: service.DefaultConfig(port), Stage: stage.DefaultConfig(), Scoring: scoring.DefaultConfig()}
	// One batch can be worked on while another waits for its acknowledgement.
	s.Stage.InFlight = 2
	return service.Main(ctx, service.Program{
		Name: name, Config: s, Common: &s.Config,
		Topics: []string{wire.TopicFeatures, wire.TopicVerdicts, wire.TopicDeadLetter},
		Run:    s.run,
	}, args, stderr)
}

func (s *settings) run(ctx context.Context, env *service.Env) error {
	schema, err := features.Profile(s.Model.Profile)
	if err != nil {
		return err
	}
	source, err := scoring.Open(s.Model.Dir, s.Scoring, schema, env.Log, env.Registry)
	if err != nil {
		return err
	}
	producer := kafka.NewProducer(s.Kafka, env.Log, env.Metrics)
	defer producer.Close()
	runner := &stage.Runner[record.Record]{
		Name: name, Config: s.Stage, Log: env.Log, Registry: env.Registry,
		NewConsumer: func() bus.Consumer {
			return kafka.NewConsumer(s.Kafka, wire.TopicFeatures, wire.GroupScoring, env.Log, env.Metrics)
		},
		Decode:      stage.DecodeFeatures,
		NewHandler:  func() stage.Handler[record.Record] { return handler(source, schema, producer) },
		DeadLetters: producer,
	}
	env.SetReady(runner.Ready)
	env.SetLive(runner.Live)
	return source.Beside(ctx, s.Scoring.Reload, runner.Run)
}

func handler(source *scoring.Source, schema *features.Schema, producer bus.Producer) stage.Handler[record.Record] {
	scorer := source.NewStage(schema)
	var rows []*record.Record
	return &stage.Pipe[record.Record, record.Record]{
		Process: func(in, out []record.Record) {
			rows = rows[:0]
			for i := range in {
				out[i] = in[i]
				rows = append(rows, &out[i])
			}
			scorer.Process(rows)
		},
		Encode:   stage.EncodeVerdict,
		Stage:    name,
		Producer: producer,
	}
}
