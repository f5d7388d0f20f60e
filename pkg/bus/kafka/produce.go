package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"trench/pkg/bus"
)

// produceVersion is the first that takes zstd (Kafka 2.1) and is taken by all since.
const produceVersion = 7

// beginProduce starts a produce request for partitions of one topic, to each of
// which appendProduce adds a batch.
//
//	transactional id (null), acks (−1: all replicas in sync), time-out in ms,
//	1 topic: name, number of partitions, for each: number, bytes, the batch
func (c *client) beginProduce(buf []byte, correlation int32, topic string) (b []byte, count int) {
	be := binary.BigEndian
	buf = c.begin(buf, protocol.Produce, produceVersion, correlation)
	buf = be.AppendUint16(buf, 1<<16-1)
	buf = be.AppendUint16(buf, 1<<16-1)
	buf = be.AppendUint32(buf, uint32(c.Timeout.Milliseconds()*2/3))
	buf = be.AppendUint32(buf, 1)
	buf = appendString(buf, topic)
	return append(buf, 0, 0, 0, 0), len(buf)
}

// appendBatch adds the batch of a share to a produce request.
func (p *Producer) appendBatch(buf []byte, records []bus.Record, s *share, now time.Time) ([]byte, error) {
	be := binary.BigEndian
	buf = be.AppendUint32(buf, uint32(s.partition))
	size := len(buf)
	buf, err := p.encoder.Append(append(buf, 0, 0, 0, 0), records, s.left[:s.sent], now)
	if err != nil {
		return buf, err
	}
	s.bytes = len(buf) - size - 4
	be.PutUint32(buf[size:], uint32(s.bytes))
	return buf, nil
}

func putCount(b []byte, n int) { binary.BigEndian.PutUint32(b, uint32(n)) }

// produce sends a request and tells ack for each of its partitions what became of
// the batch.
func (c *client) produce(ctx context.Context, x *exchange, ack func(partition int32, err error)) error {
	if err := c.roundTrip(ctx, x); err != nil {
		return err
	}
	return parseProduced(x.answer, x.topic, ack)
}

// parseProduced reads the answer:
//
//	topics: name, partitions: number, error, base offset, append time, log start; throttled ms
func parseProduced(raw []byte, topic string, ack func(partition int32, err error)) error {
	a := answer{raw, true}
	for range a.int32() {
		name := a.string()
		for range a.int32() {
			partition, code := a.int32(), a.int16()
			a.take(3 * 8)
			if !a.ok {
				return fmt.Errorf("produce: %w", errAnswer)
			}
			if name == topic {
				ack(partition, coded(code))
			}
		}
		if !a.ok {
			return fmt.Errorf("produce: %w", errAnswer)
		}
	}
	if a.int32(); !a.ok {
		return fmt.Errorf("produce: %w", errAnswer)
	}
	return nil
}
