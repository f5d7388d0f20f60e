package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/errgroup"

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
	env.Registry.MustRegister(c.Collector())
	senders := make([]*sender, s.Input.Workers(s.Workers))
	var queued errgroup.Group
	// Sending outlives capture: what was captured is sent if that is quick.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	capturing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for i := range senders {
		senders[i] = &sender{producer: producer, metrics: m}
		if s.Input.Live() {
			senders[i].queue = make(chan []bus.Record, s.Queue)
			queued.Go(func() error { // ends when the queue is closed
				err := senders[i].drain(sending)
				stop(err)
				return err
			})
		}
	}
	c.Emit = func(worker int, f *flow.Flow) error { return senders[worker].add(ctx, f) }
	c.Flush = func(worker int) error { return senders[worker].flush(ctx) }
	env.SetReady(func(context.Context) error { return nil })

	sum, err := c.RunOrigin(capturing, s.Input, env.Log)
	stopped := ctx.Err() != nil
	time.AfterFunc(grace, cancel)
	for _, one := range senders {
		if one.queue == nil {
			continue
		}
		one.flushLast()
		close(one.queue)
	}
	err = errors.Join(err, queued.Wait())
	if stopped && !s.Input.Live() {
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

// sender collects the flows of one worker and sends them in batches. While a batch
// is on its way the worker waits: so a slow bus slows the reading down. A live
// interface can't be slowed down: there a queue lies between, and what does not fit
// into it is dropped and counted.
type sender struct {
	producer bus.Producer
	metrics  *metrics
	batch    []bus.Record
	bytes    int
	queue    chan []bus.Record // nil: the worker sends itself
}

func (s *sender) add(ctx context.Context, f *flow.Flow) error {
	r, err := stage.EncodeFlow(f, name)
	if err != nil {
		r = bury(f.ID[:], nil, err)
		s.metrics.dead.Inc()
	}
	s.batch, s.bytes = append(s.batch, r), s.bytes+r.Size()
	if len(s.batch) < batchRecords && s.bytes < batchBytes {
		return nil
	}
	return s.flush(ctx)
}

// flush sends what was collected, or leaves it to the queue.
func (s *sender) flush(ctx context.Context) error {
	if len(s.batch) == 0 {
		return nil
	}
	if s.queue == nil {
		if err := s.send(ctx, s.batch); err != nil {
			return err
		}
	} else {
		select {
		case s.queue <- s.batch:
		default:
			if len(s.batch) < batchRecords && s.bytes < batchBytes {
				return nil // there is room to wait
			}
			s.metrics.dropped.Add(float64(len(s.batch)))
		}
	}
	// Who got the batch may keep it, so the next one gets new memory.
	s.batch, s.bytes = make([]bus.Record, 0, batchRecords), 0
	return nil
}

// flushLast leaves what was collected to the queue, and waits for room.
func (s *sender) flushLast() {
	if len(s.batch) > 0 {
		s.queue <- s.batch
		s.batch = nil
	}
}

// drain sends what is queued until the queue is closed.
func (s *sender) drain(ctx context.Context) error {
	for batch := range s.queue {
		if err := s.send(ctx, batch); err != nil {
			for range s.queue { // nobody may wait for room
			}
			return err
		}
	}
	return nil
}

// send writes a batch; what the bus refuses becomes dead letters.
func (s *sender) send(ctx context.Context, batch []bus.Record) error {
	for len(batch) > 0 {
		err := s.producer.Write(ctx, batch)
		var refused *bus.RefusedError
		if err != nil && !errors.As(err, &refused) {
			return fmt.Errorf("send %d flows: %w", len(batch), err)
		}
		var letters []bus.Record
		if refused != nil {
			for _, x := range refused.Refused {
				r := batch[x.Index]
				if r.Topic != wire.TopicFlows {
					return fmt.Errorf("send a dead letter: %w", x.Err)
				}
				letters = append(letters, bury(r.Key, r.Value, x.Err))
				s.metrics.dead.Inc()
			}
		}
		s.metrics.send(len(batch))
		batch = letters
	}
	return nil
}

// bury makes the dead letter of a flow that does not fit on the bus.
func bury(key, value []byte, why error) bus.Record {
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
	sent, dead, dropped prometheus.Counter
	flows               atomic.Uint64
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		sent:    f.NewCounter(prometheus.CounterOpts{Name: "trench_capture_flows_sent_total", Help: "Flow records that Kafka acknowledged."}),
		dead:    f.NewCounter(prometheus.CounterOpts{Name: "trench_capture_dead_letters_total", Help: "Flows that did not fit on the bus."}),
		dropped: f.NewCounter(prometheus.CounterOpts{Name: "trench_capture_flows_dropped_total", Help: "Flow records of a live interface that found the queue to Kafka full."}),
	}
}

func (m *metrics) send(n int)    { m.sent.Add(float64(n)); m.flows.Add(uint64(n)) }
func (m *metrics) total() uint64 { return m.flows.Load() }
