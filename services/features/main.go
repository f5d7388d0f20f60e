// Features turns flow records into rows with feature vectors: it reads the topic
// trench.flows.v1 and writes trench.features.v1.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/config"
	"trench/pkg/features"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/service"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

const (
	name = "features"
	port = 9101 // health and metrics
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

type settings struct {
	service.Config `yaml:",inline"`
	Stage          stage.Config    `yaml:"stage"`
	Features       features.Config `yaml:"features"`
}

// Validate reports all faults at once.
func (s *settings) Validate() error {
	return errors.Join(s.Config.Validate(), s.ValidateStage(s.Stage), config.Section("features", s.Features.Validate()))
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	s := &settings{Config: service.DefaultConfig(port), Stage: stage.DefaultConfig(), Features: features.DefaultConfig()}
	// One batch can be worked on while another waits for its acknowledgement.
	s.Stage.InFlight = 2
	return service.Main(ctx, service.Program{
		Name: name, Config: s, Common: &s.Config,
		Topics: []string{wire.TopicFlows, wire.TopicFeatures, wire.TopicDeadLetter},
		Run:    s.run,
	}, args, stderr)
}

func (s *settings) run(ctx context.Context, env *service.Env) error {
	if err := s.Features.Open(); err != nil {
		return err
	}
	producer := kafka.NewProducer(s.Kafka, env.Log, env.Metrics)
	defer producer.Close()
	runner := &stage.Runner[flow.Flow]{
		Name: name, Config: s.Stage, Log: env.Log, Registry: env.Registry,
		NewConsumer: func() bus.Consumer {
			return kafka.NewConsumer(s.Kafka, wire.TopicFlows, wire.GroupFeatures, env.Log, env.Metrics)
		},
		Decode:      stage.DecodeFlow,
		NewHandler:  func() stage.Handler[flow.Flow] { return s.handler(producer) },
		DeadLetters: producer,
	}
	env.SetReady(runner.Ready)
	env.SetLive(runner.Live)
	return runner.Run(ctx)
}

func (s *settings) handler(producer bus.Producer) stage.Handler[flow.Flow] {
	extractor := features.NewExtractor(s.Features)
	return &stage.Pipe[flow.Flow, record.Record]{
		Process: func(in []flow.Flow, out []record.Record) {
			for i := range in {
				extractor.Extract(&out[i], &in[i])
			}
		},
		Encode:   stage.EncodeFeatures,
		Stage:    name,
		Producer: producer,
	}
}
