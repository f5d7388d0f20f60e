package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka/recordbatch"
)

const (
	// batchBytes is how many bytes the records of a batch may have before they are
	// compressed: with the header it stays below what a broker takes by default (1 MiB),
	// even if they do not compress.
	batchBytes = 1<<20 - 6<<10
	// maxRecord is how many bytes key, value and headers of a record may have.
	maxRecord = 1<<20 - 8<<10
	// requestBytes is from what size on a request takes no more batches: far below
	// the 100 MB that brokers take by default.
	requestBytes = 8 << 20
)

// Producer writes to Kafka: acknowledged by all replicas in sync, spread by key,
// and tried again for as long as the caller's context lasts.
//
//	Write ─► partition of each record (FNV-1a of its key) ─► rounds, until nothing is left:
//	           the next batch of each partition ─► one request for each leader ─► acknowledged: next batch
//	                                                                          ─► too large:    half of it, down to the record
//	                                                                          ─► anything else: the same again, after a pause
//
// A partition has one batch under way at a time, so its records stay in their order.
type Producer struct {
	client  *client
	encoder *recordbatch.Encoder
	records int           // of a batch at most
	buffers sync.Pool     // of *[]byte, for requests
	robin   atomic.Uint32 // spreads records without a key
	log     *slog.Logger
	metrics *metrics
}

var _ bus.Producer = (*Producer)(nil)

// NewProducer prepares a producer; nothing is reached before the first write. The
// configuration must be valid.
func NewProducer(cfg Config, log *slog.Logger, m *Metrics) *Producer {
	encoder, err := recordbatch.NewEncoder(codecs[cfg.Compression])
	if err != nil {
		panic(fmt.Sprintf("kafka: %v", err)) // Validate knows the codecs
	}
	return &Producer{
		client: newClient(cfg, cfg.RequestTimeout), encoder: encoder, records: cfg.BatchRecords, log: log, metrics: m.orNone(),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
}

// Close frees the connections. Nothing is under way then, for every Write has waited.
func (p *Producer) Close() error {
	p.client.close()
	return nil
}

// share is what a write has left for one partition.
type share struct {
	topic     string
	partition int32
	left      []int // records, in order
	limit     int   // of records of the next batch; below Producer.records only after one was too large
	sent      int   // records under way
	bytes     int   // of them, as sent
	err       error // why they have to be sent again
}

// Write implements bus.Producer.
func (p *Producer) Write(ctx context.Context, records []bus.Record) error {
	start := time.Now()
	var refusals []bus.Refusal
	for i := range records {
		if n := records[i].Size(); n > maxRecord {
			refusals = append(refusals, bus.Refusal{Index: i, Err: fmt.Errorf("record of %d bytes, the limit is %d", n, maxRecord)})
		}
	}
	shares, err := p.deal(ctx, records, len(refusals) > 0)
	if err != nil {
		return err
	}
	wait := newBackoff()
	for round := 0; len(shares) > 0; round++ {
		fatal := p.send(ctx, records, shares)
		left, again, failed := shares[:0], 0, error(nil)
		for i := range shares {
			s := &shares[i]
			refused, err := p.settle(s)
			switch {
			case err != nil && classify(err) == configuration:
				fatal = fmt.Errorf("write to topic %s: %w", s.topic, explain(err))
			case err != nil:
				again, failed = again+max(1, s.sent), err
			case refused != nil:
				refusals = append(refusals, *refused)
			}
			if s.sent = 0; len(s.left) > 0 {
				left = append(left, *s)
			}
		}
		if shares = left; fatal != nil {
			return fatal
		}
		if failed == nil {
			wait.Reset()
			continue
		}
		p.metrics.retried(again)
		if round%10 == 0 && ctx.Err() == nil {
			p.log.Warn("kafka does not acknowledge, trying again", "records", again, "err", failed)
		}
		if wait.Wait(ctx) != nil {
			return fmt.Errorf("write %d records to kafka: %w: %w", remaining(shares), context.Cause(ctx), failed)
		}
	}
	p.metrics.wrote(time.Since(start))
	if len(refusals) > 0 {
		return &bus.RefusedError{Refused: refusals}
	}
	return nil
}

func remaining(shares []share) (n int) {
	for i := range shares {
		n += len(shares[i].left)
	}
	return n
}

// deal finds each record's partition. It waits for topics that are not there.
func (p *Producer) deal(ctx context.Context, records []bus.Record, huge bool) ([]share, error) {
	var shares []share
	type place struct{ first, count int } // of a topic's partitions in shares
	topics := map[string]place{}
	of := make([]int, len(records)) // the share of each record
	var counts []int                // of records, by share
	var last string
	var at place
	for i := range records {
		r := &records[i]
		if huge && r.Size() > maxRecord {
			of[i] = -1
			continue
		}
		if r.Topic != last || at.count == 0 {
			var known bool
			if at, known = topics[r.Topic]; !known {
				n, err := p.partitions(ctx, r.Topic)
				if err != nil {
					return nil, err
				}
				at = place{len(shares), n}
				topics[r.Topic] = at
				for id := range n {
					shares, counts = append(shares, share{topic: r.Topic, partition: int32(id), limit: p.records}), append(counts, 0)
				}
			}
			last = r.Topic
		}
		of[i] = at.first + p.partition(r.Key, at.count)
		counts[of[i]]++
	}
	// One block of memory for the numbers of all records.
	all := make([]int, 0, len(records))
	for i, n := range counts {
		shares[i].left = all[len(all) : len(all) : len(all)+n]
		all = all[:len(all)+n]
	}
	for i, to := range of {
		if to >= 0 {
			shares[to].left = append(shares[to].left, i)
		}
	}
	used := shares[:0]
	for i := range shares {
		if len(shares[i].left) > 0 {
			used = append(used, shares[i])
		}
	}
	return used, nil
}

// partitions returns how many partitions a topic has.
func (p *Producer) partitions(ctx context.Context, topic string) (int, error) {
	wait := newBackoff()
	for try := 0; ; try++ {
		all, err := p.client.partitions(ctx, topic)
		if err == nil {
			return len(all), nil
		}
		p.metrics.fail(opWrite, err)
		if classify(err) == configuration {
			return 0, fmt.Errorf("topic %s: %w", topic, explain(err))
		}
		if try%10 == 0 && ctx.Err() == nil {
			p.log.Warn("the topic is not known yet, trying again", "topic", topic, "err", err)
		}
		if wait.Wait(ctx) != nil {
			return 0, fmt.Errorf("topic %s: %w: %w", topic, context.Cause(ctx), err)
		}
	}
}

// partition returns one of n for a key; records without a key go round.
func (p *Producer) partition(key []byte, n int) int {
	if key == nil {
		return int(p.robin.Add(1)-1) % n
	}
	return partitionOf(key, n)
}

// send sends the next batch of every share and notes in each what became of it. An
// error concerns all.
func (p *Producer) send(ctx context.Context, records []bus.Record, shares []share) error {
	groups, err := p.byLeader(ctx, shares)
	if err != nil {
		return err
	}
	var others sync.WaitGroup // each ends with its request, which has a time-out
	for _, g := range groups[min(1, len(groups)):] {
		others.Go(func() { p.request(ctx, records, g) })
	}
	if len(groups) > 0 {
		p.request(ctx, records, groups[0])
	}
	others.Wait()
	return nil
}

// byLeader groups shares that one request can serve. Those without a leader get
// an error.
func (p *Producer) byLeader(ctx context.Context, shares []share) ([][]*share, error) {
	type place struct {
		topic  string
		leader int
	}
	at := map[place]int{}
	var groups [][]*share
	for first := 0; first < len(shares); {
		topic, last := shares[first].topic, first
		for last < len(shares) && shares[last].topic == topic {
			last++
		}
		all, err := p.client.partitions(ctx, topic)
		if err != nil && classify(err) == configuration {
			return nil, fmt.Errorf("topic %s: %w", topic, explain(err))
		}
		leaders := map[int32]int{}
		for _, part := range all {
			if part.Leader.Host != "" {
				leaders[int32(part.ID)] = part.Leader.ID
			}
		}
		for i := first; i < last; i++ {
			s := &shares[i]
			leader, ok := leaders[s.partition]
			if !ok {
				s.err = cmp.Or(err, error(kafkago.LeaderNotAvailable))
				continue
			}
			k := place{topic, leader}
			g, ok := at[k]
			if !ok {
				g = len(groups)
				at[k], groups = g, append(groups, nil)
			}
			groups[g] = append(groups[g], s)
		}
		first = last
	}
	return groups, nil
}

var errNoAnswer = errors.New("the broker did not answer for the partition")

// request sends a batch for each of the shares, all of one leader, as far as they
// fit into one request.
func (p *Producer) request(ctx context.Context, records []bus.Record, shares []*share) {
	buf := p.buffers.Get().(*[]byte)
	x := &exchange{
		key: protocol.Produce, version: produceVersion, correlation: p.client.correlation.Add(1),
		topic: shares[0].topic, maxAnswer: 1 << 20,
	}
	b, count := p.client.beginProduce((*buf)[:0], x.correlation, x.topic)
	now := time.Now()
	for _, s := range shares {
		if len(b) > requestBytes {
			break // the rest has its turn in the next round
		}
		s.sent = p.next(records, s)
		var err error
		start := len(b)
		if b, err = p.appendBatch(b, records, s, now); err != nil {
			b, s.err, s.sent = b[:start], err, 0
			continue
		}
		s.err, x.partitions = errNoAnswer, append(x.partitions, s.partition)
	}
	if len(x.partitions) == 0 {
		return
	}
	putCount(b[count:], len(x.partitions))
	end(b)
	x.request = b
	err := p.client.produce(ctx, x, func(partition int32, err error) {
		for _, s := range shares {
			if s.partition == partition && s.sent > 0 {
				s.err = err
			}
		}
	})
	if err != nil { // the connection may still be writing, so the memory is not used again
		for _, s := range shares {
			if s.sent > 0 && errors.Is(s.err, errNoAnswer) {
				s.err = err
			}
		}
		return
	}
	*buf = b
	p.buffers.Put(buf)
}

// next is how many records the next batch of a share takes.
func (p *Producer) next(records []bus.Record, s *share) int {
	n, bytes := 0, recordbatch.HeaderSize
	for ; n < min(len(s.left), s.limit); n++ {
		if bytes += recordbatch.Size(&records[s.left[n]]); bytes > batchBytes && n > 0 {
			break
		}
	}
	return n
}

// settle moves a share on by what was acknowledged. It returns a refusal when a
// record was found that the broker will never take, and an error when the same
// batch has to be sent again.
func (p *Producer) settle(s *share) (*bus.Refusal, error) {
	if s.err == nil {
		if s.sent > 0 {
			p.metrics.acknowledged(s.topic, s.sent, s.bytes)
			s.left = s.left[s.sent:]
			s.limit = min(2*s.limit, p.records)
		}
		return nil, nil
	}
	err := s.err
	s.err = nil
	p.metrics.fail(opWrite, err)
	switch {
	case classify(err) != refused || s.sent == 0:
		return nil, err
	case s.sent > 1: // look for it in the first half
		s.limit = s.sent / 2
		return nil, nil
	}
	found := &bus.Refusal{Index: s.left[0], Err: err}
	s.left = s.left[1:]
	s.limit = min(2*s.limit, p.records)
	return found, nil
}
