package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka/recordbatch"
)

// partition reads one partition for the time of a claim.
type partition struct {
	client  *client
	topic   string
	id      int
	limit   int // bytes asked for at once
	queue   chan<- []bus.Record
	lag     *lag
	metrics *metrics
	log     *slog.Logger
}

// run passes the records on, from the committed offset, until ctx ends. An error
// is one that only an operator can end.
func (p *partition) run(ctx context.Context, committed int64) error {
	decoder, err := recordbatch.NewDecoder(p.topic, p.id)
	if err != nil {
		return err
	}
	defer decoder.Close()
	x := p.exchange()
	wait, fails := newBackoff(), 0
	next, known := committed, false
	for ctx.Err() == nil {
		err := error(nil)
		if !known {
			if next, err = p.start(ctx, next); err == nil {
				known = true
			}
		}
		if err == nil {
			next, err = p.pass(ctx, decoder, x, next)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			fails = 0
			wait.Reset()
			continue
		case errors.Is(err, kafkago.OffsetOutOfRange): // no fault: start says what it means
			known = false
		case errors.Is(err, recordbatch.ErrFormat):
			return fmt.Errorf("read partition %d: %w: %w", p.id, bus.ErrConfiguration, err)
		case classify(err) == configuration:
			return fmt.Errorf("read partition %d: %w", p.id, explain(err))
		}
		x = p.exchange() // the connection may still be writing into the old one
		p.metrics.fail(opRead, err)
		if fails%10 == 1 {
			p.log.Warn("can not read, trying again", "partition", p.id, "err", err)
		}
		fails++
		if wait.Wait(ctx) != nil {
			return nil
		}
	}
	return nil
}

func (p *partition) exchange() *exchange {
	return &exchange{topic: p.topic, partitions: []int32{int32(p.id)}}
}

// pass fetches once and hands over what came. It returns the offset to go on from,
// also with an error.
func (p *partition) pass(ctx context.Context, decoder *recordbatch.Decoder, x *exchange, next int64) (int64, error) {
	got, err := p.client.fetch(ctx, x, next, p.limit)
	if err != nil {
		return next, err
	}
	p.lag.reach(got.end)
	p.metrics.read(p.topic, len(got.batches))
	for raw := got.batches; len(raw) > 0; {
		h, err := recordbatch.ParseHeader(raw)
		if errors.Is(err, recordbatch.ErrTruncated) && len(raw) < len(got.batches) {
			return next, nil // it comes whole with the next fetch
		}
		if err != nil {
			return next, err
		}
		if h.LastOffset < next {
			raw = raw[h.Size:]
			continue
		}
		records, err := decoder.Decode(raw, h, next)
		if err != nil {
			return next, err
		}
		raw = raw[h.Size:]
		if h.Control {
			p.metrics.skip(p.topic, skipControl, h.LastOffset+1-next)
		}
		if len(records) > 0 {
			p.lag.wait(next, records[0].Time)
			select {
			case p.queue <- records:
			case <-ctx.Done():
				return next, nil
			}
			p.metrics.fetched(p.topic, len(records))
		}
		next = h.LastOffset + 1
		p.lag.wait(next, h.LastTime) // what follows is about as old
	}
	return next, nil
}

// start finds the offset to begin at, given the one that was committed or reached.
// It may lie before the log's start (retention was faster) or beyond its end (the
// topic was made anew).
func (p *partition) start(ctx context.Context, committed int64) (int64, error) {
	bounds, err := p.client.bounds(ctx, p.topic, p.id)
	if err != nil {
		return committed, err
	}
	first, end := bounds[p.id].first, bounds[p.id].end
	next := committed
	switch {
	case committed < 0: // never committed
		next = first
	case committed < first:
		p.metrics.skip(p.topic, skipDeleted, first-committed)
		p.log.Error("records were deleted before they were read: raise the topic's retention, or add consumers",
			"partition", p.id, "from", committed, "to", first, "records", first-committed)
		next = first
	case committed > end:
		p.metrics.reset(p.topic)
		p.log.Error("the committed offset is beyond the end of the partition, which was probably made anew: reading it from its start",
			"partition", p.id, "committed", committed, "end", end)
		next = first
	}
	p.lag.wait(next, time.Time{})
	p.lag.reach(end)
	return next, nil
}

// partitions returns those of a topic, at least one.
func (c *client) partitions(ctx context.Context, topic string) ([]kafkago.Partition, error) {
	meta, err := c.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	for _, t := range meta.Topics {
		if t.Name == topic && (t.Error != nil || len(t.Partitions) > 0) {
			return t.Partitions, t.Error
		}
	}
	return nil, kafkago.UnknownTopicOrPartition
}

// partitionOf maps a key to one of n partitions as kafka-go's and Sarama's hash
// balancers do, so that keys stay where earlier releases put them.
func partitionOf(key []byte, n int) int {
	const offset, prime = 2166136261, 16777619 // FNV-1a, 32 bits
	h := uint32(offset)
	for _, b := range key {
		h = (h ^ uint32(b)) * prime
	}
	i := int32(h) % int32(n)
	if i < 0 {
		i = -i
	}
	return int(i)
}

// span is what a partition holds: its first offset and the one after its last.
type span struct{ first, end int64 }

// bounds returns what each of the partitions holds. The call can succeed with an
// error inside, and then both offsets are −1, which elsewhere means "the end": read
// so, records would be skipped.
func (c *client) bounds(ctx context.Context, topic string, partitions ...int) (map[int]span, error) {
	var ask []kafkago.OffsetRequest
	for _, p := range partitions {
		ask = append(ask, kafkago.FirstOffsetOf(p), kafkago.LastOffsetOf(p))
	}
	resp, err := c.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{topic: ask}})
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	spans := map[int]span{}
	for _, o := range resp.Topics[topic] {
		if o.Error != nil {
			return nil, fmt.Errorf("list offsets: partition %d: %w", o.Partition, o.Error)
		}
		if o.FirstOffset < 0 || o.LastOffset < o.FirstOffset {
			return nil, fmt.Errorf("list offsets: partition %d: first %d, last %d make no sense", o.Partition, o.FirstOffset, o.LastOffset)
		}
		spans[o.Partition] = span{o.FirstOffset, o.LastOffset}
	}
	for _, p := range partitions {
		if _, ok := spans[p]; !ok {
			return nil, fmt.Errorf("list offsets: no answer for partition %d", p)
		}
	}
	return spans, nil
}
