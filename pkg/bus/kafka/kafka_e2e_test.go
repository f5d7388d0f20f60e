//go:build e2e

package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"trench/pkg/bus"
	"trench/pkg/bus/bustest"
	"trench/pkg/bus/kafka"
	"trench/pkg/internal/local"
)

func TestRealKafkaKeepsTheRules(t *testing.T) {
	t.Parallel()
	bustest.Run(t, system(quick(local.Kafka(t)...)))
}

func TestThroughputOfTheRealBroker(t *testing.T) {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = local.Kafka(t)
	s := system(cfg)
	topic, p := s.NewTopic(t), s.NewProducer(t)
	const n, batch = 40_000, 1000
	value := make([]byte, 1200)
	for i := range value {
		value[i] = "abcdefghijklmnop"[(i*i*7+i)&15]
	}
	start := time.Now()
	for i := 0; i < n; i += batch {
		records := make([]bus.Record, batch)
		for j := range records {
			records[j] = bus.Record{Topic: topic, Key: fmt.Append(nil, i+j), Value: value}
		}
		if err := p.Write(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
	written := time.Since(start)
	got := 0
	one(t, kafka.NewConsumer(cfg, topic, "g-"+topic, slog.New(slog.DiscardHandler), nil), func(ctx context.Context, cl bus.Claim) error {
		start = time.Now()
		for got < n {
			batch, err := cl.Fetch(ctx, nil, 1000)
			if err != nil {
				return err
			}
			got += len(batch)
		}
		return nil
	})
	t.Logf("%d records of %d bytes: written %.0f/s, read %.0f/s", n, len(value), n/written.Seconds(), float64(got)/time.Since(start).Seconds())
	if got != n {
		t.Errorf("read %d records, want %d", got, n)
	}
}
