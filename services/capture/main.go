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
	"time"

	"golang.org/x/sync/errgroup"

	"trench/pkg/app"
	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/config"
	"trench/pkg/flow"
	"trench/pkg/service"
	"trench/pkg/spool"
	"trench/pkg/wire"
)

const (
	name = "capture"
	port = 9100 // health and metrics
)

// grace is how long what was read may take to be sent once capture has to stop.
const grace = 10 * time.Second

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
	// Queue is how many batches of flows may wait in memory for Kafka.
	Queue int           `yaml:"queue"`
	Spool spoolSettings `yaml:"spool"`
}

// spoolSettings say whether and where flows wait on disk when Kafka is away for
// longer than the queue holds.
type spoolSettings struct {
	spool.Config `yaml:",inline"`
	// Files lets the flows of files go to the spool too; else files are not read on
	// while Kafka is away.
	Files bool `yaml:"files"`
}

// Validate reports all faults at once.
func (s *settings) Validate() error {
	errs := []error{
		s.Config.Validate(), config.Section("input", s.Input.Validate()), config.Section("capture", s.Capture.Validate()),
		config.Section("spool", s.Spool.Validate()),
	}
	if s.Workers < 1 || s.Workers > 256 {
		errs = append(errs, fmt.Errorf("workers: %d is not between 1 and 256", s.Workers))
	}
	if s.Queue < 1 || s.Queue > 1<<16 {
		errs = append(errs, fmt.Errorf("queue: %d is not between 1 and %d", s.Queue, 1<<16))
	}
	if len(s.Sensor) > 255 {
		errs = append(errs, fmt.Errorf("sensor: %d bytes are too many", len(s.Sensor)))
	}
	if s.Spool.Files && s.Spool.Dir == "" {
		errs = append(errs, errors.New("spool.files: goes with spool.dir"))
	}
	if s.Spool.Full == spool.Wait && s.Input.Live() {
		errs = append(errs, fmt.Errorf("spool.full: a live interface can not %s", spool.Wait))
	}
	return errors.Join(errs...)
}

// spools reports whether flows that find no room in the queue go to the spool.
func (s *settings) spools() bool { return s.Spool.Dir != "" && (s.Input.Live() || s.Spool.Files) }

func run(ctx context.Context, args []string, stderr io.Writer) int {
	s := &settings{
		Config: service.DefaultConfig(port), Input: app.DefaultOrigin(), Capture: app.DefaultConfig(),
		Workers: runtime.GOMAXPROCS(0), Queue: 64, Spool: spoolSettings{Config: spool.DefaultConfig()},
	}
	return service.Main(ctx, service.Program{
		Name: name, Config: s, Common: &s.Config, Topics: []string{wire.TopicFlows, wire.TopicDeadLetter}, Early: s.spools, Run: s.run,
	}, args, stderr)
}

func (s *settings) run(ctx context.Context, env *service.Env) (err error) {
	producer := kafka.NewProducer(s.Kafka, env.Log, env.Metrics)
	defer producer.Close()
	m := newMetrics(env.Registry)
	o, err := s.outbox(env, producer, m)
	if err != nil {
		return err
	}
	if o.spool != nil {
		defer func() { err = errors.Join(err, o.spool.Close()) }()
	}
	m.watch(env.Registry, o)
	env.SetReady(func(context.Context) error { return m.ready(o) })

	c := &app.Capture{Config: s.Capture, Workers: s.Workers}
	c.Config.Sensor, c.Config.Reports = s.Sensor, true
	env.Registry.MustRegister(c.Collector())

	// Sending outlives capture: what was captured is sent if that is quick.
	stop, end := context.WithCancel(ctx)
	defer end()
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(stop, func() { time.AfterFunc(grace, cut) })()
	capturing, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var sending errgroup.Group
	sending.Go(func() error { // ends when the queue is closed and its contents are safe
		err := o.run(stop, hard)
		if err != nil {
			fail(err)
		}
		return err
	})
	collectors := make([]*collector, s.Input.Workers(s.Workers))
	for i := range collectors {
		collectors[i] = &collector{out: o, metrics: m}
	}
	c.Emit = func(worker int, f *flow.Flow) error { return collectors[worker].add(ctx, f) }
	c.Flush = func(worker int) error { return collectors[worker].settle(ctx) }
	if s.Input.Live() {
		c.Flush = func(worker int) error { return collectors[worker].put(ctx) }
	}

	sum, err := c.RunOrigin(capturing, s.Input, env.Log)
	stopped := ctx.Err() != nil
	if err != nil || s.Input.Live() {
		end()
	}
	for _, one := range collectors {
		err = errors.Join(err, one.put(stop))
	}
	close(o.queue)
	unsent := sending.Wait()
	for it := range o.queue { // nobody sends any more
		if !o.waits {
			m.drop(dropStopped, len(it.records))
		}
	}
	switch {
	case stopped && !s.Input.Live():
		// A file that was not read to its end is read again, and its flows keep
		// their ids, so what is unsent is not lost.
		if unsent != nil {
			env.Log.Warn("flows left unsent, their files are read again", "err", unsent)
		}
		return nil
	case err != nil || unsent != nil:
		return errors.Join(err, unsent)
	}
	env.Log.Info("everything is read and sent", "packets", sum.Packets, "lost", sum.Lost, "flows", m.total(), "files", sum.Files, "faults", len(sum.Faults))
	if s.Input.Stay && !stopped {
		<-ctx.Done()
		return nil
	}
	if len(sum.Faults) > 0 {
		return fmt.Errorf("%w: %d paths could not be read to their end, the first: %s: %w", service.ErrInput, len(sum.Faults), sum.Faults[0].Path, sum.Faults[0].Err)
	}
	return nil
}

// outbox prepares what lies between capture and Kafka.
func (s *settings) outbox(env *service.Env, producer bus.Producer, m *metrics) (*outbox, error) {
	o := &outbox{
		producer: producer, await: env.AwaitKafka, log: env.Log, metrics: m,
		spools: s.spools(), waits: !s.Input.Live(), sync: s.Spool.Sync, patience: spoolAfter,
		queue: make(chan item, s.Queue), pressed: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if s.Spool.Dir == "" {
		return o, nil
	}
	var err error
	if o.spool, err = spool.Open(s.Spool.Config, env.Log); err != nil {
		return nil, err
	}
	if st := o.spool.Stats(); st.Records > 0 {
		env.Log.Info("the spool holds flows from before, they are sent first", "records", st.Records, "bytes", st.Bytes)
	}
	return o, nil
}
