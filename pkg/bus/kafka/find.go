package kafka

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
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
	client := newClient(cfg, cfg.RequestTimeout)
	defer client.close()
	found, err := find(ctx, cfg, client, topic, group, key, since)
	if err != nil {
		return nil, fmt.Errorf("kafka at %v: topic %s: %w", cfg.Brokers, topic, explain(err))
	}
	return found, nil
}

func find(ctx context.Context, cfg Config, client *client, topic, group string, key []byte, since time.Time) ([]Sighting, error) {
	partitions, err := client.partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	id := partitionOf(key, len(partitions))
	bounds, err := client.bounds(ctx, topic, id)
	if err != nil {
		return nil, err
	}
	end := bounds[id].end
	next, err := offsetAt(ctx, client, topic, id, since, end)
	if err != nil {
		return nil, err
	}
	next = max(next, bounds[id].first)
	done, err := committed(ctx, client, topic, group, id)
	if err != nil {
		return nil, err
	}
	if next >= end {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan []bus.Record, 1)
	p := &partition{
		client: client, topic: topic, id: id, limit: cfg.FetchBytes, queue: queue, lag: &lag{}, metrics: newMetrics(nil), log: slog.New(slog.DiscardHandler),
	}
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, next) }() // ends with ctx
	defer func() { cancel(); <-ended }()
	var out []Sighting
	for next < end {
		select {
		case records := <-queue:
			for _, r := range records {
				if bytes.Equal(r.Key, key) && r.Offset < end {
					out = append(out, Sighting{r, r.Offset < done})
				}
			}
			next = records[len(records)-1].Offset + 1
		case err := <-ended:
			ended <- nil
			return out, cmp.Or(err, ctx.Err())
		}
	}
	return out, nil
}

// offsetAt returns the offset of the first record written since, end if none is.
func offsetAt(ctx context.Context, client *client, topic string, partition int, since time.Time, end int64) (int64, error) {
	resp, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{
		topic: {kafkago.TimeOffsetOf(partition, since)},
	}})
	if err != nil {
		return 0, err
	}
	for _, o := range resp.Topics[topic] {
		if o.Partition != partition {
			continue
		}
		if o.Error != nil {
			return 0, o.Error
		}
		for at := range o.Offsets {
			if at >= 0 {
				return at, nil
			}
		}
	}
	return end, nil
}

// committed returns the offset that the group reads next, −1 if it has read nothing.
func committed(ctx context.Context, client *client, topic, group string, partition int) (int64, error) {
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
