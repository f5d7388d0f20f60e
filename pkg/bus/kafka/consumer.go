// Package kafka is the bus on Kafka. Connections, metadata, topics and consumer
// groups are kafka-go's; the records go another way, for its Writer and Reader take
// more time than the work on a flow does: recordbatch encodes and decodes them whole
// batches at a time, and this package writes the two requests that carry them,
// produce and fetch, onto kafka-go's connections.
//
//	Producer.Write ─► shares (one a partition) ─► recordbatch.Encoder ─► produce ─► leader
//	Claim.Fetch ◄─ batches ◄─ partition (one a partition) ◄─ recordbatch.Decoder ◄─ fetch ◄─ leader
//
// A commit belongs to the generation that gave the partition, and nothing is
// skipped in silence when an offset is out of range.
//
// Every request has a time-out, after which its connection is closed and the request
// made again on another: so a frozen broker or a half-open connection holds nothing
// up for longer. A request that the broker did get, but whose answer was lost, is
// then done twice: its records are there twice, maybe after later ones.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"trench/pkg/bus"
)

// Consumer is a member of a Kafka consumer group.
type Consumer struct {
	cfg          Config
	topic, group string
	refresh      time.Duration // between two looks at where partitions end
	log          *slog.Logger
	metrics      *metrics
}

var _ bus.Consumer = (*Consumer)(nil)

// NewConsumer prepares a member of group that reads topic; nothing is reached
// before Run.
func NewConsumer(cfg Config, topic, group string, log *slog.Logger, m *Metrics) *Consumer {
	return &Consumer{cfg: cfg, topic: topic, group: group, refresh: lagInterval, log: log.With("topic", topic, "group", group), metrics: m.orNone()}
}

// groupTimeout bounds each request to the group's coordinator, joining apart. Several
// may have to fail one after the other before a member of a frozen broker has stopped.
const groupTimeout = 5 * time.Second

// Run implements bus.Consumer.
func (c *Consumer) Run(ctx context.Context, serve func(context.Context, bus.Claim) error) error {
	group, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: c.group, Brokers: c.cfg.Brokers, Topics: []string{c.topic},
		Dialer:      &kafkago.Dialer{ClientID: c.cfg.ClientID, Timeout: dialTimeout, DualStack: true},
		StartOffset: kafkago.FirstOffset, SessionTimeout: c.cfg.SessionTimeout, RebalanceTimeout: c.cfg.RebalanceTimeout,
		HeartbeatInterval: c.cfg.SessionTimeout / 5, JoinGroupBackoff: 500 * time.Millisecond,
		Timeout: min(c.cfg.RequestTimeout, groupTimeout), WatchPartitionChanges: true, PartitionWatchInterval: 5 * time.Second,
		ErrorLogger: quietly(c.log),
	})
	if err != nil {
		return fmt.Errorf("consumer group %s: %w: %w", c.group, bus.ErrConfiguration, err)
	}
	defer group.Close() // leaves the group
	client := newClient(c.cfg, c.cfg.RequestTimeout)
	defer client.close()
	wait := newBackoff()
	for fails := 0; ; {
		gen, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, kafkago.ErrGroupClosed):
			return nil
		case err != nil && classify(err) == configuration:
			return fmt.Errorf("join group %s: %w", c.group, explain(err))
		case err != nil:
			c.metrics.fail(opJoin, err)
			if fails%10 == 0 {
				c.log.Warn("can not join the group, trying again", "err", err)
			}
			fails++
			if wait.Wait(ctx) != nil {
				return nil
			}
			continue
		}
		fails = 0
		wait.Reset()
		c.metrics.generation()
		done := make(chan error, 1)
		gen.Start(func(genCtx context.Context) { done <- c.serve(ctx, genCtx, client, gen, serve) })
		if err := <-done; err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// serve reads this generation's partitions into one queue and lets serve take from it.
func (c *Consumer) serve(stop, genCtx context.Context, client *client, gen *kafkago.Generation, serve func(context.Context, bus.Claim) error) error {
	ctx, cancel := context.WithCancel(genCtx)
	defer cancel()
	defer context.AfterFunc(stop, cancel)()
	parts := gen.Assignments[c.topic]
	c.log.Info("partitions assigned", "generation", gen.ID, "partitions", len(parts))
	// The readers end with ctx, which serve's return ends at the latest, or a reader that
	// gives up.
	readers, ctx := errgroup.WithContext(ctx)
	claim := &claim{ended: ctx.Done(), queue: make(chan []bus.Record), gen: gen, topic: c.topic, metrics: c.metrics}
	lags := map[int]*lag{}
	for _, a := range parts {
		lags[a.ID] = c.metrics.follow(c.topic, c.group, a.ID)
		defer c.metrics.forget(lags[a.ID])
		p := &partition{
			client: client, topic: c.topic, id: a.ID, limit: c.cfg.fetchBytes(len(parts)),
			queue: claim.queue, lag: lags[a.ID], metrics: c.metrics, log: c.log,
		}
		readers.Go(func() error { return p.run(ctx, a.Offset) })
	}
	readers.Go(func() error { c.watch(ctx, client, lags); return nil })
	err := serve(ctx, claim)
	cancel()
	return errors.Join(err, readers.Wait())
}

// lagInterval is how often the end of every partition is looked up, for those that
// wait to hand over what they have do not hear of it.
const lagInterval = 5 * time.Second

// watch keeps the lag of partitions that stand still up to date, until ctx ends.
func (c *Consumer) watch(ctx context.Context, client *client, lags map[int]*lag) {
	var ids []int
	for id := range lags {
		ids = append(ids, id)
	}
	tick := time.NewTicker(c.refresh)
	defer tick.Stop()
	for len(ids) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		spans, err := client.bounds(ctx, c.topic, ids...)
		if err != nil {
			if ctx.Err() == nil {
				c.metrics.fail(opLag, err)
			}
			continue
		}
		for id, s := range spans {
			lags[id].reach(s.end)
		}
	}
}

// quietly passes what the client library has to say to the debug level: what
// matters comes back as an error.
func quietly(log *slog.Logger) kafkago.Logger {
	return kafkago.LoggerFunc(func(format string, args ...any) {
		log.Debug("kafka client", "message", fmt.Sprintf(format, args...))
	})
}
