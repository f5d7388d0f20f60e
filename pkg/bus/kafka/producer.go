package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
)

// maxRecord is how many bytes key, value and headers of a record may have: with
// the batch around it, it stays below what a broker takes by default (1 MiB).
const maxRecord = 1<<20 - 8<<10

// Producer writes to Kafka: acknowledged by all replicas in sync, spread by key,
// and tried again for as long as the caller's context lasts.
type Producer struct {
	w         *kafkago.Writer
	transport *kafkago.Transport
	log       *slog.Logger
	metrics   *metrics
}

var _ bus.Producer = (*Producer)(nil)

// NewProducer prepares a producer; nothing is reached before the first write.
func NewProducer(cfg Config, log *slog.Logger, m *Metrics) *Producer {
	// The default transport would keep goroutines after Close.
	t := &kafkago.Transport{ClientID: cfg.ClientID, DialTimeout: 5 * time.Second, MetadataTTL: 5 * time.Second}
	return &Producer{
		transport: t, log: log, metrics: m.orNone(),
		w: &kafkago.Writer{
			Addr: kafkago.TCP(cfg.Brokers...), Transport: t, Balancer: &kafkago.Hash{},
			RequiredAcks: kafkago.RequireAll, Compression: codecs[cfg.Compression],
			BatchSize: cfg.BatchRecords, BatchTimeout: cfg.BatchTimeout, BatchBytes: 1<<20 - 6<<10,
			ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second,
			// A batch that the client retries itself keeps its place before later
			// ones, so let it try for about a minute before this package does.
			MaxAttempts: 60, WriteBackoffMin: 50 * time.Millisecond, WriteBackoffMax: time.Second,
			ErrorLogger: quietly(log),
		},
	}
}

// Write implements bus.Producer.
func (p *Producer) Write(ctx context.Context, records []bus.Record) error {
	pending := make([]kafkago.Message, 0, len(records))
	index := make([]int, 0, len(records)) // of pending in records
	var refusals []bus.Refusal
	for i := range records {
		r := &records[i]
		if n := r.Size(); n > maxRecord {
			refusals = append(refusals, bus.Refusal{Index: i, Err: fmt.Errorf("record of %d bytes, the limit is %d", n, maxRecord)})
			continue
		}
		m := kafkago.Message{Topic: r.Topic, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafkago.Header{Key: h.Key, Value: h.Value})
		}
		pending, index = append(pending, m), append(index, i)
	}
	wait := newBackoff()
	for attempt := 0; len(pending) > 0; attempt++ {
		start := time.Now()
		err := p.w.WriteMessages(ctx, pending...)
		if err == nil {
			p.metrics.acknowledged(len(pending), time.Since(start))
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("write %d records to kafka: %w: %w", len(pending), context.Cause(ctx), unwrap(err))
		}
		kept, n := pending[:0:0], index[:0:0]
		for i := range pending {
			one := errorOf(err, i)
			switch classify(one) {
			case configuration:
				return fmt.Errorf("write to topic %s: %w", pending[i].Topic, lasting(one))
			case refused:
				refusals = append(refusals, bus.Refusal{Index: index[i], Err: one})
			default:
				if one != nil {
					kept, n = append(kept, pending[i]), append(n, index[i])
				}
			}
		}
		p.metrics.acknowledged(len(pending)-len(kept), time.Since(start))
		pending, index = kept, n
		if len(pending) == 0 {
			break
		}
		p.metrics.retried(len(pending))
		if attempt%10 == 0 {
			p.log.Warn("kafka does not acknowledge, trying again", "records", len(pending), "err", unwrap(err))
		}
		if wait.sleep(ctx) != nil {
			return fmt.Errorf("write %d records to kafka: %w: %w", len(pending), context.Cause(ctx), unwrap(err))
		}
	}
	if len(refusals) > 0 {
		return &bus.RefusedError{Refused: refusals}
	}
	return nil
}

// errorOf returns what happened to message i: WriteErrors holds an entry for each
// message, nil for those acknowledged; any other error concerns all.
func errorOf(err error, i int) error {
	var each kafkago.WriteErrors
	if errors.As(err, &each) {
		return each[i]
	}
	return err
}

// unwrap returns the first of WriteErrors, which says more than their count.
func unwrap(err error) error {
	var each kafkago.WriteErrors
	if errors.As(err, &each) {
		for _, e := range each {
			if e != nil {
				return e
			}
		}
	}
	return err
}

// Close flushes nothing, for every Write has waited, and frees the connections.
func (p *Producer) Close() error {
	err := p.w.Close()
	p.transport.CloseIdleConnections()
	return err
}

// backoff waits longer and longer, up to 5 s, with jitter.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 100 * time.Millisecond} }

func (b *backoff) sleep(ctx context.Context) error {
	d := b.next/2 + rand.N(b.next)
	b.next = min(b.next*2, 5*time.Second)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// quietly passes what the client library has to say to the debug level: what
// matters comes back as an error.
func quietly(log *slog.Logger) kafkago.Logger {
	return kafkago.LoggerFunc(func(format string, args ...any) {
		log.Debug("kafka client", "message", fmt.Sprintf(format, args...))
	})
}
