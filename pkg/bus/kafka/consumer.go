// Package kafka is the bus on Kafka, by way of kafka-go. It uses that library's
// consumer groups and partition readers, not its group reader: so a commit belongs
// to the generation that gave the partition, and nothing is skipped in silence
// when an offset is out of range.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"trench/pkg/bus"
)

// Consumer is a member of a Kafka consumer group.
type Consumer struct {
	cfg          Config
	topic, group string
	log          *slog.Logger
	metrics      *metrics
}

var _ bus.Consumer = (*Consumer)(nil)

// NewConsumer prepares a member of group that reads topic; nothing is reached
// before Run.
func NewConsumer(cfg Config, topic, group string, log *slog.Logger, m *Metrics) *Consumer {
	return &Consumer{cfg: cfg, topic: topic, group: group, log: log.With("topic", topic, "group", group), metrics: m.orNone()}
}

// Run implements bus.Consumer.
func (c *Consumer) Run(ctx context.Context, serve func(context.Context, bus.Claim) error) error {
	group, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: c.group, Brokers: c.cfg.Brokers, Topics: []string{c.topic}, Dialer: c.dialer(),
		StartOffset: kafkago.FirstOffset, SessionTimeout: c.cfg.SessionTimeout, RebalanceTimeout: c.cfg.RebalanceTimeout,
		HeartbeatInterval: c.cfg.SessionTimeout / 5, JoinGroupBackoff: 500 * time.Millisecond,
		WatchPartitionChanges: true, PartitionWatchInterval: 5 * time.Second,
		ErrorLogger: quietly(c.log),
	})
	if err != nil {
		return fmt.Errorf("consumer group %s: %w: %w", c.group, bus.ErrConfiguration, err)
	}
	defer group.Close() // leaves the group
	wait := newBackoff()
	for fails := 0; ; {
		gen, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, kafkago.ErrGroupClosed):
			return nil
		case err != nil && classify(err) == configuration:
			return fmt.Errorf("join group %s: %w", c.group, lasting(err))
		case err != nil:
			c.metrics.readError()
			if fails%10 == 0 {
				c.log.Warn("can not join the group, trying again", "err", err)
			}
			fails++
			if wait.sleep(ctx) != nil {
				return nil
			}
			continue
		}
		wait, fails = newBackoff(), 0
		c.metrics.generation()
		done := make(chan error, 1)
		gen.Start(func(genCtx context.Context) { done <- c.serve(ctx, genCtx, gen, serve) })
		if err := <-done; err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (c *Consumer) dialer() *kafkago.Dialer {
	return &kafkago.Dialer{ClientID: c.cfg.ClientID, Timeout: 5 * time.Second, DualStack: true}
}

// serve reads this generation's partitions into one queue and lets serve take from it.
func (c *Consumer) serve(stop, genCtx context.Context, gen *kafkago.Generation, serve func(context.Context, bus.Claim) error) error {
	ctx, cancel := context.WithCancel(genCtx)
	defer cancel()
	defer context.AfterFunc(stop, cancel)()
	parts := gen.Assignments[c.topic]
	c.log.Info("partitions assigned", "generation", gen.ID, "partitions", len(parts))
	claim := &claim{ended: ctx.Done(), queue: make(chan bus.Record, max(1, c.cfg.Prefetch)), gen: gen, topic: c.topic}
	// The readers end with ctx, which serve's return ends at the latest.
	var readers errgroup.Group
	for _, p := range parts {
		readers.Go(func() error { return c.read(ctx, p, claim.queue) })
	}
	err := serve(ctx, claim)
	cancel()
	return errors.Join(err, readers.Wait())
}

// read passes the records of one partition on until ctx ends.
func (c *Consumer) read(ctx context.Context, p kafkago.PartitionAssignment, queue chan<- bus.Record) error {
	part := strconv.Itoa(p.ID)
	defer c.metrics.forget(c.topic, part)
	next, ok := c.start(ctx, p)
	if !ok {
		return nil
	}
	r := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: c.cfg.Brokers, Topic: c.topic, Partition: p.ID, Dialer: c.dialer(),
		MinBytes: 1, MaxBytes: c.cfg.FetchBytes, MaxWait: 250 * time.Millisecond,
		QueueCapacity: c.cfg.Prefetch, ReadBackoffMin: 50 * time.Millisecond, ReadBackoffMax: time.Second,
		ReadLagInterval: -1, ErrorLogger: quietly(c.log),
	})
	defer r.Close()
	if err := r.SetOffset(next); err != nil {
		return fmt.Errorf("partition %d: offset %d: %w", p.ID, next, err)
	}
	wait, fails := newBackoff(), 0
	for {
		m, err := r.FetchMessage(ctx)
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if classify(err) == configuration {
				return fmt.Errorf("read partition %d: %w", p.ID, lasting(err))
			}
			c.metrics.readError()
			if fails%10 == 0 {
				c.log.Warn("can not read, trying again", "partition", p.ID, "err", err)
			}
			fails++
			if wait.sleep(ctx) != nil {
				return nil
			}
			continue
		}
		if fails > 0 {
			wait, fails = newBackoff(), 0
		}
		if m.Offset > next { // the reader jumps over what retention deleted
			c.skipped(p.ID, next, m.Offset)
		}
		next = m.Offset + 1
		c.metrics.fetch()
		c.metrics.behind(c.topic, part, max(0, m.HighWaterMark-next))
		rec := bus.Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Time: m.Time, Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			rec.Headers = append(rec.Headers, bus.Header{Key: h.Key, Value: h.Value})
		}
		select {
		case queue <- rec:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Consumer) skipped(partition int, from, to int64) {
	c.metrics.skip(c.topic, to-from)
	c.log.Error("records were deleted before they were read: raise the topic's retention, or add consumers",
		"partition", partition, "from", from, "to", to, "records", to-from)
}

// start finds the offset to begin at. What is committed may lie before the log's
// start (retention was faster) or beyond its end (the topic was made anew).
func (c *Consumer) start(ctx context.Context, p kafkago.PartitionAssignment) (int64, bool) {
	transport := &kafkago.Transport{ClientID: c.cfg.ClientID, DialTimeout: 5 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(c.cfg.Brokers...), Transport: transport, Timeout: 10 * time.Second}
	wait := newBackoff()
	for fails := 0; ; fails++ {
		first, last, err := bounds(ctx, client, c.topic, p.ID)
		if err == nil {
			switch {
			case p.Offset < 0: // never committed
				return first, true
			case p.Offset < first:
				c.skipped(p.ID, p.Offset, first)
				return first, true
			case p.Offset > last:
				c.metrics.reset(c.topic)
				c.log.Error("the committed offset is beyond the end of the partition, which was probably made anew: reading it from its start",
					"partition", p.ID, "committed", p.Offset, "end", last)
				return first, true
			}
			return p.Offset, true
		}
		if ctx.Err() != nil {
			return 0, false
		}
		c.metrics.readError()
		if fails%10 == 9 {
			c.log.Warn("can not learn where the partition starts, trying again", "partition", p.ID, "err", err)
		}
		if wait.sleep(ctx) != nil {
			return 0, false
		}
	}
}

// bounds returns a partition's first offset and the one after its last. The call
// can succeed with an error inside, and then both are −1, which elsewhere means
// "the end": read so, records would be skipped.
func bounds(ctx context.Context, client *kafkago.Client, topic string, partition int) (first, last int64, err error) {
	resp, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{
		topic: {kafkago.FirstOffsetOf(partition), kafkago.LastOffsetOf(partition)},
	}})
	if err != nil {
		return 0, 0, fmt.Errorf("list offsets: %w", err)
	}
	for _, o := range resp.Topics[topic] {
		if o.Partition != partition {
			continue
		}
		if o.Error != nil {
			return 0, 0, fmt.Errorf("list offsets: %w", o.Error)
		}
		if o.FirstOffset < 0 || o.LastOffset < o.FirstOffset {
			return 0, 0, fmt.Errorf("list offsets: first %d, last %d make no sense", o.FirstOffset, o.LastOffset)
		}
		return o.FirstOffset, o.LastOffset, nil
	}
	return 0, 0, fmt.Errorf("list offsets: no answer for partition %d", partition)
}

// claim is one generation's share of the topic.
type claim struct {
	ended <-chan struct{}
	queue chan bus.Record
	gen   *kafkago.Generation
	topic string
}

// Fetch implements bus.Claim.
func (c *claim) Fetch(ctx context.Context, dst []bus.Record, limit int) ([]bus.Record, error) {
	select {
	case <-c.ended:
		return dst, bus.ErrClaimLost
	default:
	}
	select {
	case r := <-c.queue:
		dst = append(dst, r)
	case <-ctx.Done():
		return dst, ctx.Err()
	case <-c.ended:
		return dst, bus.ErrClaimLost
	}
	for n := 1; n < limit; n++ {
		select {
		case r := <-c.queue:
			dst = append(dst, r)
		default:
			return dst, nil
		}
	}
	return dst, nil
}

// Commit implements bus.Claim.
func (c *claim) Commit(ctx context.Context, next map[int]int64) error {
	wait := newBackoff()
	for {
		err := c.gen.CommitOffsets(map[string]map[int]int64{c.topic: next})
		if err == nil {
			return nil
		}
		// Without its connection a generation is over, too: the group makes a new one.
		if k := classify(err); k != transient || !temporary(err) {
			return fmt.Errorf("commit: %w: %w", bus.ErrClaimLost, err)
		}
		if wait.sleep(ctx) != nil {
			return fmt.Errorf("commit: %w: %w", context.Cause(ctx), err)
		}
	}
}

func temporary(err error) bool {
	var code kafkago.Error
	return errors.As(err, &code) && code.Temporary()
}
