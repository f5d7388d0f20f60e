package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/flow"
	"trench/pkg/internal/bench/proc"
	"trench/pkg/record"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// Topic is the size of a topic's records and what they cost to write and read.
type Topic struct {
	Name            string
	All, WithVector Size
	// Marshal and Unmarshal are the CPU time of the codec for one record, in µs.
	Marshal, Unmarshal Spread
}

// Size is the mean size of some records, in bytes.
type Size struct {
	Records int64
	Raw     float64 // key, value and headers
	Disk    float64 // in the broker's log: compressed in batches, with their framing
}

// topics measures the three topics as the stages left them.
func (r *rig) topics(ctx context.Context) ([]Topic, error) {
	var topics []Topic
	vectors := map[string]bool{} // keys of flows with a vector
	for _, t := range []struct {
		name  string
		codec func([]bus.Record, int) (marshal, unmarshal Spread, err error)
	}{
		// Verdicts come first: they say which flows have a vector.
		{wire.TopicVerdicts, codec(stage.DecodeVerdict, func(v *record.Record) (bus.Record, error) { return stage.EncodeVerdict(v, nil) })},
		{wire.TopicFeatures, codec(stage.DecodeFeatures, func(v *record.Record) (bus.Record, error) { return stage.EncodeFeatures(v, nil) })},
		{wire.TopicFlows, codec(stage.DecodeFlow, func(f *flow.Flow) (bus.Record, error) { return stage.EncodeFlow(f, "capture") })},
	} {
		r.cfg.Log.Info("measuring", "topic", t.name)
		records, err := r.read(ctx, t.name)
		if err != nil {
			return nil, err
		}
		if t.name == wire.TopicVerdicts {
			if err := withVector(records, vectors); err != nil {
				return nil, err
			}
		}
		one, err := r.sizes(ctx, t.name, records, vectors)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		if one.Marshal, one.Unmarshal, err = t.codec(records, r.cfg.Rounds); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		topics = append([]Topic{one}, topics...)
	}
	return topics, nil
}

// readRecords is how many records of a topic are looked at.
const readRecords = 40_000

// read returns the first records of every partition.
func (r *rig) read(ctx context.Context, topic string) ([]bus.Record, error) {
	total, err := r.ends(ctx, topic)
	if err != nil {
		return nil, err
	}
	var records []bus.Record
	for p := range r.cfg.Partitions {
		// Partitions are as good as equal; so no more is asked than each surely has.
		n := min(readRecords, int(total)*9/10) / r.cfg.Partitions
		reader := kafkago.NewReader(kafkago.ReaderConfig{Brokers: r.parts.KafkaBrokers, Topic: topic, Partition: p, MaxBytes: 4 << 20, MaxWait: time.Second})
		for range n {
			m, err := reader.ReadMessage(ctx)
			if err != nil {
				return nil, errors.Join(err, reader.Close())
			}
			one := bus.Record{Topic: topic, Partition: p, Offset: m.Offset, Time: m.Time, Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				one.Headers = append(one.Headers, bus.Header{Key: h.Key, Value: h.Value})
			}
			records = append(records, one)
		}
		if err := reader.Close(); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// withVector adds the keys of verdicts that have a vector.
func withVector(verdicts []bus.Record, keys map[string]bool) error {
	var v record.Record
	for i := range verdicts {
		if err := stage.DecodeVerdict(&verdicts[i], &v); err != nil {
			return err
		}
		if len(v.Vector) > 0 {
			keys[string(verdicts[i].Key)] = true
		}
	}
	return nil
}

// sizes measures the topic itself, and a copy of those records that have a vector.
func (r *rig) sizes(ctx context.Context, topic string, records []bus.Record, vectors map[string]bool) (Topic, error) {
	t := Topic{Name: topic}
	total, err := r.ends(ctx, topic)
	if err != nil {
		return t, err
	}
	t.All = Size{Records: total, Raw: meanSize(records)}
	if t.All.Disk, err = r.logSize(topic, total); err != nil {
		return t, err
	}
	scratch := "bench.vectors." + topic
	var some []bus.Record
	for _, rec := range records {
		if vectors[string(rec.Key)] {
			rec.Topic = scratch
			some = append(some, rec)
		}
	}
	if len(some) == 0 {
		return t, nil
	}
	cfg := kafka.DefaultConfig()
	cfg.Brokers = r.parts.KafkaBrokers
	if _, err := kafka.EnsureTopics(ctx, cfg, []kafka.Topic{{Name: scratch, Partitions: r.cfg.Partitions, Replication: 1, Retention: time.Hour, MaxMessage: 1 << 20}}); err != nil {
		return t, err
	}
	producer := kafka.NewProducer(cfg, slog.New(slog.DiscardHandler), nil)
	defer producer.Close()
	for rest := some; len(rest) > 0; {
		n := min(stage.DefaultConfig().BatchRecords, len(rest))
		if err := producer.Write(ctx, rest[:n]); err != nil {
			return t, err
		}
		rest = rest[n:]
	}
	t.WithVector = Size{Records: int64(len(some)), Raw: meanSize(some)}
	t.WithVector.Disk, err = r.logSize(scratch, int64(len(some)))
	return t, err
}

func meanSize(records []bus.Record) float64 {
	total := 0
	for i := range records {
		total += records[i].Size()
	}
	return float64(total) / float64(len(records))
}

// logSize is how many bytes of the broker's log a record takes.
func (r *rig) logSize(topic string, records int64) (float64, error) {
	total := int64(0)
	err := filepath.WalkDir(filepath.Join(r.parts.Dir, "kafka", "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".log" || !isPartition(filepath.Base(filepath.Dir(path)), topic) {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err == nil && total == 0 {
		err = errors.New("the broker's folder has no log of it")
	}
	return float64(total) / float64(records), err
}

// isPartition says whether a folder of the broker holds a partition of a topic.
func isPartition(folder, topic string) bool {
	number, ok := strings.CutPrefix(folder, topic+"-")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// batch is how many records the codec is measured with: those of a stage's batch.
const batch = 1000

// codec returns a function that measures what decoding and encoding cost, with the
// values of a batch used again and again as a stage does.
func codec[T any](decode func(*bus.Record, *T) error, encode func(*T) (bus.Record, error)) func([]bus.Record, int) (Spread, Spread, error) {
	return func(records []bus.Record, rounds int) (marshal, unmarshal Spread, err error) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		var in, out []float64
		values := make([]T, min(batch, len(records)))
		for round := range rounds + 1 {
			var decoding, encoding time.Duration
			n := 0
			for rest := records; len(rest) >= len(values); rest = rest[len(values):] {
				spent, err := proc.Spend(func() error {
					for i := range values {
						if err := decode(&rest[i], &values[i]); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return marshal, unmarshal, err
				}
				decoding += spent
				spent, err = proc.Spend(func() error {
					for i := range values {
						if _, err := encode(&values[i]); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return marshal, unmarshal, err
				}
				encoding, n = encoding+spent, n+len(values)
			}
			if round > 0 { // the first warms up
				in, out = append(in, float64(decoding.Nanoseconds())/float64(n)/1e3), append(out, float64(encoding.Nanoseconds())/float64(n)/1e3)
			}
		}
		return spread(out), spread(in), nil
	}
}
