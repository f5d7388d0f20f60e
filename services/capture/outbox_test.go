package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"trench/pkg/bus"
	"trench/pkg/bus/memory"
	"trench/pkg/flow"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

func TestEveryFlowIsSentOrBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	b := memory.NewBroker(2)
	m := newMetrics(prometheus.NewRegistry())
	s := &sender{producer: b.NewProducer(), metrics: m}
	const n = 2*batchRecords + 7
	for i := range n {
		f := &flow.Flow{ID: flow.ID{byte(i), byte(i >> 8)}}
		if i == 3 {
			f.Resolution = make([]byte, wire.MaxMessage)
		}
		if err := s.add(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(b.Records(wire.TopicFlows)); got >= n || got < batchRecords {
		t.Errorf("%d flows sent before the flush", got)
	}
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[flow.ID]bool{}
	for _, r := range b.Records(wire.TopicFlows) {
		var f flow.Flow
		if err := stage.DecodeFlow(&r, &f); err != nil {
			t.Fatal(err)
		}
		if string(r.Key) != string(f.ID[:]) {
			t.Fatalf("key %x of flow %s", r.Key, f.ID)
		}
		seen[f.ID] = true
	}
	if len(seen) != n-1 {
		t.Errorf("%d flows sent, want %d", len(seen), n-1)
	}
	letters := b.Records(wire.TopicDeadLetter)
	var d wire.DeadLetter
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	if err := stage.DecodeDeadLetter(&letters[0], &d); err != nil || d.Stage != name || d.Key[0] != 3 || d.Error == "" {
		t.Errorf("dead letter %+v, err = %v", d, err)
	}
}

// refusing refuses the first record of the topic of flows, once.
type refusing struct {
	*memory.Producer
	done bool
}

func (r *refusing) Write(ctx context.Context, records []bus.Record) error {
	if r.done {
		return r.Producer.Write(ctx, records)
	}
	r.done = true
	if err := r.Producer.Write(ctx, records[1:]); err != nil {
		return err
	}
	return &bus.RefusedError{Refused: []bus.Refusal{{Index: 0, Err: errors.New("too large for the broker")}}}
}

func TestWhatTheBusRefusesBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	b := memory.NewBroker(1)
	s := &sender{producer: &refusing{Producer: b.NewProducer()}, metrics: newMetrics(nil)}
	for i := range 3 {
		if err := s.add(t.Context(), &flow.Flow{ID: flow.ID{byte(i)}, Source: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, dead := len(b.Records(wire.TopicFlows)), len(b.Records(wire.TopicDeadLetter)); n != 2 || dead != 1 {
		t.Errorf("%d flows and %d dead letters, want 2 and 1", n, dead)
	}
}

func TestAFullQueueDropsFlowsAndCountsThem(t *testing.T) {
	t.Parallel()
	b := memory.NewBroker(1)
	reg := prometheus.NewRegistry()
	s := &sender{producer: b.NewProducer(), metrics: newMetrics(reg), queue: make(chan []bus.Record, 2)}
	const n = 5*batchRecords + 7
	for i := range n {
		if err := s.add(t.Context(), &flow.Flow{ID: flow.ID{byte(i), byte(i >> 8)}}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 { // as every second: what fits waits
			if err := s.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	waiting := len(s.batch)
	for range s.queue {
		if len(s.queue) == 0 {
			break
		}
	}
	dropped := 0.0
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "trench_capture_flows_dropped_total" {
			dropped = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	if dropped == 0 || int(dropped)+waiting >= n || int(dropped)%batchRecords != 0 {
		t.Errorf("%.0f dropped, %d waiting, of %d", dropped, waiting, n)
	}
}

func TestAQueueIsDrainedAfterCapture(t *testing.T) {
	t.Parallel()
	b := memory.NewBroker(1)
	s := &sender{producer: b.NewProducer(), metrics: newMetrics(nil), queue: make(chan []bus.Record, 2)}
	done := make(chan error, 1)
	go func() { done <- s.drain(t.Context()) }()
	const n = batchRecords + 7
	for i := range n {
		if err := s.add(t.Context(), &flow.Flow{ID: flow.ID{byte(i), byte(i >> 8)}}); err != nil {
			t.Fatal(err)
		}
	}
	s.flushLast()
	close(s.queue)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := len(b.Records(wire.TopicFlows)); got != n {
		t.Errorf("%d flows sent, want %d", got, n)
	}
}
