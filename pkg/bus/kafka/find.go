package kafka

import (
	"bytes"
	"context"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
)

// Sighting is a record of a key that is still on a topic.
type Sighting struct {
	bus.Record
	Done bool // the group that reads the topic has committed it
}

// Find returns the records of a key that a topic holds and that were written since,
// and whether group has read them. It reads the key's partition from there to its
// end; the topic must have had its number of partitions since then.
func Find(ctx context.Context, cfg Config, topic, group string, key []byte, since time.Time) ([]Sighting, error) {
	transport := &kafkago.Transport{ClientID: cfg.ClientID, DialTimeout: 5 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(cfg.Brokers...), Transport: transport, Timeout: 15 * time.Second}
	fail := func(err error) ([]Sighting, error) {
		return nil, fmt.Errorf("kafka at %v: topic %s: %w", cfg.Brokers, topic, lasting(err))
	}
	partition, err := partitionOf(ctx, client, topic, key)
	if err != nil {
		return fail(err)
	}
	first, last, err := span(ctx, client, topic, partition, since)
	if err != nil {
		return fail(err)
	}
	committed, err := committed(ctx, client, topic, group, partition)
	if err != nil {
		return fail(err)
	}
	if first >= last {
		return nil, nil
	}
	r := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: cfg.Brokers, Topic: topic, Partition: partition, MinBytes: 1, MaxBytes: 16 << 20, MaxWait: 250 * time.Millisecond, ReadLagInterval: -1,
		Dialer: &kafkago.Dialer{ClientID: cfg.ClientID, Timeout: 5 * time.Second, DualStack: true},
	})
	defer r.Close()
	if err := r.SetOffset(first); err != nil {
		return fail(err)
	}
	var out []Sighting
	for {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return fail(err)
		}
		if bytes.Equal(m.Key, key) {
			s := Sighting{Done: m.Offset < committed, Record: bus.Record{
				Topic: topic, Partition: partition, Offset: m.Offset, Time: m.Time, Key: m.Key, Value: m.Value,
			}}
			for _, h := range m.Headers {
				s.Headers = append(s.Headers, bus.Header{Key: h.Key, Value: h.Value})
			}
			out = append(out, s)
		}
		if m.Offset >= last-1 {
			return out, nil
		}
	}
}

// partitionOf returns where the producer puts a key.
func partitionOf(ctx context.Context, client *kafkago.Client, topic string, key []byte) (int, error) {
	meta, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return 0, err
	}
	for _, t := range meta.Topics {
		if t.Name != topic {
			continue
		}
		if t.Error != nil {
			return 0, t.Error
		}
		all := make([]int, len(t.Partitions))
		for i := range all {
			all[i] = i
		}
		if len(all) > 0 {
			return (&kafkago.Hash{}).Balance(kafkago.Message{Key: key}, all...), nil
		}
	}
	return 0, kafkago.UnknownTopicOrPartition
}

// span returns the offset of the first record written since, and the one after the
// last.
func span(ctx context.Context, client *kafkago.Client, topic string, partition int, since time.Time) (first, last int64, err error) {
	first, last, err = bounds(ctx, client, topic, partition)
	if err != nil {
		return 0, 0, err
	}
	resp, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{
		topic: {kafkago.TimeOffsetOf(partition, since)},
	}})
	if err != nil {
		return 0, 0, err
	}
	for _, o := range resp.Topics[topic] {
		if o.Partition != partition {
			continue
		}
		if o.Error != nil {
			return 0, 0, o.Error
		}
		if len(o.Offsets) == 0 { // nothing is as new
			return last, last, nil
		}
		for at := range o.Offsets {
			if at < 0 {
				return last, last, nil
			}
			first = max(first, at)
		}
	}
	return first, last, nil
}

// committed returns the offset that the group reads next, −1 if it has read nothing.
func committed(ctx context.Context, client *kafkago.Client, topic, group string, partition int) (int64, error) {
	resp, err := client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {partition}}})
	if err != nil {
		return 0, err
	}
	if resp.Error != nil {
		return 0, resp.Error
	}
	for _, p := range resp.Topics[topic] {
		if p.Partition == partition {
			return p.CommittedOffset, p.Error
		}
	}
	return -1, nil
}
