//go:build e2e

package kafka_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/internal/local"
)

// BenchmarkHotPath measures what a record of 1.2 KB costs this process on its way
// to the real broker and back, in CPU time (user and system), and how many bytes it
// takes in the broker's log.
func BenchmarkHotPath(b *testing.B) {
	brokers := local.Kafka(b)
	for _, compression := range []string{"none", "lz4", "zstd", "snappy", "gzip"} {
		cfg := kafka.DefaultConfig()
		cfg.Brokers, cfg.Compression = brokers, compression
		topic := kafka.Topic{Name: fmt.Sprintf("bench-%s-%d", compression, time.Now().UnixNano()), Partitions: 4, Replication: 1, Retention: time.Hour, MaxMessage: 1 << 20}
		if _, err := kafka.EnsureTopics(b.Context(), cfg, []kafka.Topic{topic}); err != nil {
			b.Fatal(err)
		}
		written := 0
		b.Run("write/"+compression, func(b *testing.B) {
			p := kafka.NewProducer(cfg, slog.New(slog.DiscardHandler), nil)
			defer p.Close()
			batch := flowLike(topic.Name, 1000)
			if err := p.Write(b.Context(), batch); err != nil { // connections and metadata
				b.Fatal(err)
			}
			written += len(batch)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu(b)
			for n := 0; n < b.N; n += len(batch) {
				if err := p.Write(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				written += len(batch)
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(logBytes(b, brokers, topic.Name))/float64(written), "log-bytes/op")
		})
		b.Run("read/"+compression, func(b *testing.B) {
			c := kafka.NewConsumer(cfg, topic.Name, fmt.Sprintf("g-%d", time.Now().UnixNano()), slog.New(slog.DiscardHandler), nil)
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			defer cancel()
			b.ReportAllocs()
			err := c.Run(ctx, func(ctx context.Context, cl bus.Claim) error {
				defer cancel()
				records, err := cl.Fetch(ctx, nil, 1)
				b.ResetTimer()
				before, n := cpu(b), 0
				for err == nil && n < min(b.N, written-1) {
					records, err = cl.Fetch(ctx, records[:0], 1000)
					n += len(records)
				}
				b.StopTimer()
				b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(n), "cpu-µs/op")
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

// flowLike returns records that compress about as well as encoded flows do: the
// same fields in the same places, and a third of the bytes differs.
func flowLike(topic string, n int) []bus.Record {
	random := rand.New(rand.NewPCG(1, 2))
	frame := make([]byte, 1200)
	for i := range frame {
		frame[i] = byte(random.Uint32())
	}
	out := make([]bus.Record, n)
	for i := range out {
		value := append([]byte(nil), frame...)
		for at := 0; at+12 <= len(value); at += 36 {
			binary.LittleEndian.PutUint64(value[at:], random.Uint64())
			value[at+8] = byte(random.Uint32() & 15)
		}
		out[i] = bus.Record{Topic: topic, Key: binary.BigEndian.AppendUint64(nil, random.Uint64()), Value: value,
			Headers: []bus.Header{{Key: "message", Value: []byte("trench.v1.Flow")}, {Key: "trace", Value: []byte("capture 1732455123123456789")}}}
	}
	return out
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// logBytes is the size of the topic's partitions on the broker's disk.
func logBytes(b *testing.B, brokers []string, topic string) (sum int64) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	resp, err := kmsg.NewPtrDescribeLogDirsRequest().RequestWith(b.Context(), cl)
	if err != nil {
		b.Fatal(err)
	}
	for _, d := range resp.Dirs {
		for _, t := range d.Topics {
			if t.Topic == topic {
				for _, p := range t.Partitions {
					sum += p.Size
				}
			}
		}
	}
	return sum
}
