// Capture turns packets into flow records: it reads captures, a directory in which
// they appear, or a network interface, and writes the topic trench.flows.v1.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"trench/pkg/app"
	"trench/pkg/config"
	"trench/pkg/service"
	"trench/pkg/wire"
)

const (
	name = "capture"
	port = 9100 // health and metrics
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

type settings struct {
	service.Config `yaml:",inline"`
	// Sensor is part of every flow_id: two sensors that see the same flow report
	// two flows.
	Sensor  string     `yaml:"sensor"`
	Input   app.Origin `yaml:"input"`
	Capture app.Config `yaml:"capture"`
	Workers int        `yaml:"workers"` // goroutines that build flows from files; a live interface has one for each ring
	// Queue is how many batches of flows of a live interface may wait for Kafka.
	Queue int `yaml:"queue"`
}

// Validate reports all faults at once.
func (s *settings) Validate() error {
	errs := []error{s.Config.Validate(), config.Section("input", s.Input.Validate()), config.Section("capture", s.Capture.Validate())}
	if s.Workers < 1 || s.Workers > 256 {
		errs = append(errs, fmt.Errorf("workers: %d is not between 1 and 256", s.Workers))
	}
	if s.Queue < 1 || s.Queue > 1<<16 {
		errs = append(errs, fmt.Errorf("queue: %d is not between 1 and %d", s.Queue, 1<<16))
	}
	if len(s.Sensor) > 255 {
		errs = append(errs, fmt.Errorf("sensor: %d bytes are too many", len(s.Sensor)))
	}
	return errors.Join(errs...)
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	s := &settings{Config: service.DefaultConfig(port), Input: app.DefaultOrigin(), Capture: app.DefaultConfig(), Workers: runtime.GOMAXPROCS(0), Queue: 64}
	return service.Main(ctx, service.Program{
		Name: name, Config: s, Common: &s.Config, Topics: []string{wire.TopicFlows, wire.TopicDeadLetter}, Run: s.run,
	}, args, stderr)
}
