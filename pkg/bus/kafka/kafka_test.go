package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"trench/pkg/bus"
	"trench/pkg/bus/bustest"
	"trench/pkg/bus/kafka"
)

func fake(t *testing.T) kafka.Config {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return quick(c.ListenAddrs()...)
}

func quick(brokers ...string) kafka.Config {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = brokers
	cfg.SessionTimeout, cfg.RebalanceTimeout = time.Second, 5*time.Second
	return cfg
}

// system makes topics through EnsureTopics, so that it is held to its word, too.
func system(cfg kafka.Config) bustest.System {
	var n atomic.Int32
	return bustest.System{
		NewTopic: func(t *testing.T) string {
			name := fmt.Sprintf("topic-%d-%d", time.Now().UnixNano(), n.Add(1))
			topic := kafka.Topic{Name: name, Partitions: 4, Replication: 1, Retention: time.Hour, MaxMessage: 1 << 20}
			states, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{topic})
			if err != nil || len(states) != 1 || !states[0].Created {
				t.Fatalf("states = %+v, err = %v", states, err)
			}
			return name
		},
		NewProducer: func(t *testing.T) bus.Producer {
			p := kafka.NewProducer(cfg, slog.New(slog.DiscardHandler), nil)
			t.Cleanup(func() { p.Close() })
			return p
		},
		NewConsumer: func(_ *testing.T, topic, group string) bus.Consumer {
			return kafka.NewConsumer(cfg, topic, group, slog.New(slog.DiscardHandler), nil)
		},
	}
}

func TestKafkaKeepsTheRules(t *testing.T) {
	t.Parallel()
	bustest.Run(t, system(fake(t)))
}

func one(t *testing.T, c bus.Consumer, serve func(context.Context, bus.Claim) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.Run(ctx, func(ctx context.Context, cl bus.Claim) error {
		defer cancel()
		return serve(ctx, cl)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestDeletedRecordsAreCountedAndReadingGoesOn(t *testing.T) {
	t.Parallel()
	cfg := fake(t)
	s := system(cfg)
	topic := s.NewTopic(t)
	p := s.NewProducer(t)
	var records []bus.Record
	for i := range 20 {
		records = append(records, bus.Record{Topic: topic, Key: []byte("k"), Value: fmt.Append(nil, i)})
	}
	if err := p.Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	var partition int
	one(t, s.NewConsumer(t, topic, "g"), func(ctx context.Context, cl bus.Claim) error {
		got, err := cl.Fetch(ctx, nil, 1)
		if err != nil {
			return err
		}
		partition = got[0].Partition
		return cl.Commit(ctx, map[int]int64{partition: 3})
	})
	truncate(t, cfg, topic, partition, 15)

	reg := prometheus.NewRegistry()
	log := &strings.Builder{}
	c := kafka.NewConsumer(cfg, topic, "g", slog.New(slog.NewTextHandler(log, nil)), kafka.NewMetrics(reg))
	one(t, c, func(ctx context.Context, cl bus.Claim) error {
		got, err := cl.Fetch(ctx, nil, 1)
		if err == nil && string(got[0].Value) != "15" {
			t.Errorf("got record %s, want 15", got[0].Value)
		}
		return err
	})
	if got := metric(t, reg, "trench_bus_skipped_records_total", "topic", topic, "reason", "deleted"); got != 12 {
		t.Errorf("%v records are counted as skipped, want 12", got)
	}
	if !strings.Contains(log.String(), "from=3 to=15") {
		t.Errorf("the log does not say what was skipped:\n%s", log)
	}
}

// metric returns the sum of the series of that name that have these labels.
func metric(t *testing.T, reg *prometheus.Registry, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := map[string]string{}
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			match := true
			for i := 0; i < len(labels); i += 2 {
				match = match && has[labels[i]] == labels[i+1]
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func truncate(t *testing.T, cfg kafka.Config, topic string, partition int, before int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	rt, rp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	rt.Topic, rp.Partition, rp.Offset = topic, int32(partition), before
	rt.Partitions, req.TimeoutMillis = append(rt.Partitions, rp), 5000
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("delete records: %+v, %v", resp, err)
	}
}

func TestAnOffsetBeyondTheEndStartsOver(t *testing.T) {
	t.Parallel()
	cfg := fake(t)
	s := system(cfg)
	topic := s.NewTopic(t)
	if err := s.NewProducer(t).Write(t.Context(), []bus.Record{{Topic: topic, Key: []byte("k"), Value: []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	one(t, s.NewConsumer(t, topic, "g"), func(ctx context.Context, cl bus.Claim) error {
		got, err := cl.Fetch(ctx, nil, 1)
		if err != nil {
			return err
		}
		return cl.Commit(ctx, map[int]int64{got[0].Partition: 4000})
	})
	one(t, s.NewConsumer(t, topic, "g"), func(ctx context.Context, cl bus.Claim) error {
		got, err := cl.Fetch(ctx, nil, 1)
		if err == nil && string(got[0].Value) != "v" {
			t.Errorf("got %q", got[0].Value)
		}
		return err
	})
}

func TestTopicsThatDifferAreReported(t *testing.T) {
	t.Parallel()
	cfg := fake(t)
	topic := kafka.Topic{Name: "t", Partitions: 2, Replication: 1, Retention: time.Hour, MaxMessage: 1 << 20}
	if _, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{topic}); err != nil {
		t.Fatal(err)
	}
	same, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{topic})
	if err != nil || same[0].Created || len(same[0].Differs) != 0 {
		t.Errorf("second run: %+v, %v", same, err)
	}
	topic.Partitions, topic.Retention = 6, 2*time.Hour
	other, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{topic})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(other[0].Differs, "; ")
	if want := "has 2 partitions, not 6; keeps records 1h0m0s, not 2h0m0s"; got != want {
		t.Errorf("differs: %q, want %q", got, want)
	}
}

func TestPingNamesTheMissingTopic(t *testing.T) {
	t.Parallel()
	cfg := fake(t)
	topic := system(cfg).NewTopic(t)
	if err := kafka.Ping(t.Context(), cfg, topic); err != nil {
		t.Error(err)
	}
	if err := kafka.Ping(t.Context(), cfg, topic, "absent"); err == nil || !strings.Contains(err.Error(), "topic absent is missing") {
		t.Errorf("err = %v, want it to name the topic", err)
	}
}

func TestWriteGivesUpWithItsContextWhenNoBrokerIsThere(t *testing.T) {
	t.Parallel()
	p := kafka.NewProducer(quick("127.0.0.1:1"), slog.New(slog.DiscardHandler), nil)
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := p.Write(ctx, []bus.Record{{Topic: "t", Value: []byte("v")}})
	if err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("err = %v after %v", err, time.Since(start))
	}
}

func TestWriteWaitsForATopicThatIsMadeLater(t *testing.T) {
	t.Parallel()
	cfg := fake(t)
	p := kafka.NewProducer(cfg, slog.New(slog.DiscardHandler), nil)
	defer p.Close()
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		done <- p.Write(ctx, []bus.Record{{Topic: "late", Value: []byte("v")}})
	}()
	time.Sleep(300 * time.Millisecond)
	if _, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{{Name: "late", Partitions: 1, Replication: 1, Retention: time.Hour, MaxMessage: 1 << 20}}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	if err := kafka.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	err := kafka.Config{Brokers: []string{"nowhere"}, Compression: "lzma"}.Validate()
	for _, want := range []string{"brokers:", "compression:", "batch_records:", "request_timeout:", "session_timeout:", "rebalance_timeout:", "prefetch_bytes:", "fetch_bytes:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}
