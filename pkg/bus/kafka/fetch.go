package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// fetchVersion is the first that gives zstd (Kafka 2.1) and is given by all since.
const fetchVersion = 10

// fetchWait is how long a broker may wait for the first new record.
const fetchWait = 250 * time.Millisecond

// fetched is what a fetch of one partition brought.
type fetched struct {
	end     int64  // the high-water mark: the offset after the last record to be had
	batches []byte // record batches, the last maybe cut off; the first may begin before the offset asked for
}

// fetch asks for the records of a partition from an offset on: about limit bytes,
// but one batch at least. It uses the memory of x.answer, which the batches are in.
//
//	replica (−1), wait in ms, least bytes, most bytes, isolation (0), session 0 and epoch −1 (none),
//	1 topic: name, 1 partition: number, leader epoch (−1), offset, log start (−1), most bytes; 0 forgotten
func (c *client) fetch(ctx context.Context, x *exchange, offset int64, limit int) (fetched, error) {
	be := binary.BigEndian
	x.key, x.version, x.correlation = protocol.Fetch, fetchVersion, c.correlation.Add(1)
	buf := c.begin(x.request[:0], x.key, x.version, x.correlation)
	buf = be.AppendUint32(buf, 1<<32-1)
	buf = be.AppendUint32(buf, uint32(fetchWait.Milliseconds()))
	buf = be.AppendUint32(buf, 1)
	buf = be.AppendUint32(buf, uint32(limit))
	buf = append(buf, 0)
	buf = be.AppendUint32(buf, 0)
	buf = be.AppendUint32(buf, 1<<32-1)
	buf = be.AppendUint32(buf, 1)
	buf = appendString(buf, x.topic)
	buf = be.AppendUint32(buf, 1)
	buf = be.AppendUint32(buf, uint32(x.partitions[0]))
	buf = be.AppendUint32(buf, 1<<32-1)
	buf = be.AppendUint64(buf, uint64(offset))
	buf = be.AppendUint64(buf, 1<<64-1)
	buf = be.AppendUint32(buf, uint32(limit))
	buf = be.AppendUint32(buf, 0)
	end(buf)
	x.request = buf
	x.maxAnswer = limit + maxBatch
	if err := c.roundTrip(ctx, x); err != nil {
		return fetched{}, err
	}
	return parseFetched(x.answer, x.topic, x.partitions[0])
}

// maxBatch is how many bytes a batch may have that is larger than what was asked
// for: brokers give the first one whole.
const maxBatch = 64 << 20

// parseFetched reads the answer:
//
//	throttled ms, error, session, topics: name, partitions: number, error, high-water mark, last stable
//	offset, log start, aborted transactions: producer, first offset; bytes, batches
func parseFetched(raw []byte, topic string, partition int32) (fetched, error) {
	a := answer{raw, true}
	a.int32()
	if err := coded(a.int16()); err != nil {
		return fetched{}, err
	}
	a.int32()
	for range a.int32() {
		name := a.string()
		for range a.int32() {
			id, code := a.int32(), a.int16()
			f := fetched{end: a.int64()}
			a.take(2 * 8)
			if n := a.int32(); n > 0 {
				a.take(int(n) * 16)
			}
			if n := a.int32(); n > 0 {
				f.batches = a.take(int(n))
			}
			switch {
			case !a.ok:
				return fetched{}, fmt.Errorf("fetch: %w", errAnswer)
			case name == topic && id == partition:
				return f, coded(code)
			}
		}
		if !a.ok {
			break
		}
	}
	return fetched{}, fmt.Errorf("fetch: no answer for partition %d: %w", partition, errAnswer)
}
