package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"trench/pkg/app"
	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/flow"
	"trench/pkg/service"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// A batch of flows is sent when it has so many records or bytes.
const (
	batchRecords = 500
	batchBytes   = 4 << 20
)

// grace is how long what was read may take to be sent once capture has to stop.
const grace = 10 * time.Second

func (s *settings) run(ctx context.Context, env *service.Env) error {
	producer := kafka.NewProducer(s.Kafka, env.Log, env.Metrics)
	defer producer.Close()
	m := newMetrics(env.Registry)
	c := &app.Capture{Config: s.Capture, Workers: s.Workers}
	c.Config.Sensor, c.Config.Reports = s.Sensor, true
	m.watch(env.Registry, c)
	senders := make([]*sender, s.Workers)
	for i := range senders {
		senders[i] = &sender{producer: producer, metrics: m}
	}
	c.Emit = func(worker int, f *flow.Flow) error { return senders[worker].add(ctx, f) }
	c.Done = func(worker int) error { return senders[worker].flush(ctx) }
	env.SetReady(func(context.Context) error { return nil })

	sum, err := c.Run(ctx, s.Input.Paths)
	if ctx.Err() != nil {
		// A file that was not read to its end is read again, and its flows keep
		// their ids, so what is unsent is not lost; but send it if that is quick.
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		for _, one := range senders {
			if err := one.flush(late); err != nil {
				env.Log.Warn("flows left unsent, their files are read again", "err", err)
				break
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range sum.Faults {
		env.Log.Error("input not read to its end", "path", f.Path, "err", f.Err)
	}
	env.Log.Info("everything is read and sent", "packets", sum.Packets, "flows", m.total(), "files", sum.Files, "faults", len(sum.Faults))
	if s.Input.Stay {
		<-ctx.Done()
		return nil
	}
	if len(sum.Faults) > 0 {
		return fmt.Errorf("%w: %d paths could not be read to their end, the first: %s: %w", service.ErrInput, len(sum.Faults), sum.Faults[0].Path, sum.Faults[0].Err)
	}
	return nil
}

// sender collects the flows of one worker and sends them in batches. While a batch
// is on its way the worker waits: so a slow bus slows the reading down.
type sender struct {
	producer bus.Producer
	metrics  *metrics
	batch    []bus.Record
	bytes    int
}

func (s *sender) add(ctx context.Context, f *flow.Flow) error {
	r, err := stage.EncodeFlow(f)
	if err != nil {
		r = s.bury(f.ID[:], nil, err)
	}
	s.batch, s.bytes = append(s.batch, r), s.bytes+r.Size()
	if len(s.batch) < batchRecords && s.bytes < batchBytes {
		return nil
	}
	return s.flush(ctx)
}

func (s *sender) flush(ctx context.Context) error {
	for len(s.batch) > 0 {
		batch := s.batch
		err := s.producer.Write(ctx, batch)
		var refused *bus.RefusedError
		if err != nil && !errors.As(err, &refused) {
			return fmt.Errorf("send %d flows: %w", len(batch), err)
		}
		// The bus may keep the records, so the next batch gets new memory.
		s.batch, s.bytes = make([]bus.Record, 0, batchRecords), 0
		if refused != nil {
			for _, x := range refused.Refused {
				r := batch[x.Index]
				if r.Topic != wire.TopicFlows {
					return fmt.Errorf("send a dead letter: %w", x.Err)
				}
				s.batch = append(s.batch, s.bury(r.Key, r.Value, x.Err))
			}
		}
		s.metrics.send(len(batch))
	}
	return nil
}

// bury makes the dead letter of a flow that does not fit on the bus.
func (s *sender) bury(key, value []byte, why error) bus.Record {
	s.metrics.bury()
	now := time.Now()
	letter, err := wire.MarshalDeadLetter(nil, &wire.DeadLetter{
		Stage: name, Error: why.Error(), Topic: wire.TopicFlows, Partition: -1, Offset: -1, Time: now, Failed: now, Key: key, Value: value,
	})
	if err != nil { // it is cut to fit, so this can only be a fault in wire
		panic(fmt.Sprintf("dead letter does not fit: %v", err))
	}
	return bus.Record{
		Topic: wire.TopicDeadLetter, Key: key, Value: letter,
		Headers: []bus.Header{{Key: wire.HeaderMessage, Value: []byte(wire.MessageDeadLetter)}},
	}
}

type metrics struct {
	sent, dead prometheus.Counter
	flows      atomic.Uint64
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		sent: f.NewCounter(prometheus.CounterOpts{Name: "trench_capture_flows_sent_total", Help: "Flow records that Kafka acknowledged."}),
		dead: f.NewCounter(prometheus.CounterOpts{Name: "trench_capture_dead_letters_total", Help: "Flows that did not fit on the bus."}),
	}
}

// watch shows how far a capture has come.
func (m *metrics) watch(reg prometheus.Registerer, c *app.Capture) {
	f := promauto.With(reg)
	f.NewCounterFunc(prometheus.CounterOpts{Name: "trench_capture_packets_total", Help: "Packets read."}, func() float64 {
		_, _, packets := c.Progress()
		return float64(packets)
	})
	f.NewCounterFunc(prometheus.CounterOpts{Name: "trench_capture_bytes_total", Help: "Bytes of the inputs read."}, func() float64 {
		read, _, _ := c.Progress()
		return float64(read)
	})
}

func (m *metrics) send(n int)    { m.sent.Add(float64(n)); m.flows.Add(uint64(n)) }
func (m *metrics) bury()         { m.dead.Inc() }
func (m *metrics) total() uint64 { return m.flows.Load() }
