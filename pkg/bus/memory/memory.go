// Package memory is the bus within one process, for tests: partitions, offsets,
// consumer groups with eager rebalancing and commits bound to a generation, as on
// Kafka, and nothing on disk.
package memory

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"trench/pkg/bus"
)

// Limits of a broker.
const (
	// MaxRecord is how many bytes a record may have.
	MaxRecord = 1 << 20
	// MaxRecords is how many records a partition holds; a write beyond it fails.
	MaxRecords = 1 << 20
)

// Broker holds topics and groups. Topics come into being when they are named.
type Broker struct {
	partitions int

	mu     sync.Mutex
	topics map[string][][]bus.Record
	groups map[[2]string]*group // by topic and group
	change chan struct{}        // closed and replaced when something happened
}

// group is the members that share a topic and what they committed.
type group struct {
	committed  map[int]int64
	members    []*Consumer
	generation int
	serving    map[int]int   // members inside a claim, by its generation
	rebalance  chan struct{} // closed when the generation ends
}

// NewBroker returns an empty broker whose topics have that many partitions.
func NewBroker(partitions int) *Broker {
	return &Broker{
		partitions: partitions, topics: map[string][][]bus.Record{}, groups: map[[2]string]*group{}, change: make(chan struct{}),
	}
}

// changed wakes everybody who waits. The caller holds mu.
func (b *Broker) changed() {
	close(b.change)
	b.change = make(chan struct{})
}

// topic returns the partitions of a topic. The caller holds mu.
func (b *Broker) topic(name string) [][]bus.Record {
	if b.topics[name] == nil {
		b.topics[name] = make([][]bus.Record, b.partitions)
	}
	return b.topics[name]
}

// Records returns everything in a topic, partition after partition.
func (b *Broker) Records(topic string) []bus.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Concat(b.topic(topic)...)
}

// Committed returns the committed offsets of a group by partition.
func (b *Broker) Committed(topic, name string) map[int]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g := b.groups[[2]string{topic, name}]; g != nil {
		return maps.Clone(g.committed)
	}
	return nil
}

// Producer writes to a Broker.
type Producer struct{ b *Broker }

var _ bus.Producer = (*Producer)(nil)

// NewProducer returns a producer.
func (b *Broker) NewProducer() *Producer { return &Producer{b} }

// Write implements bus.Producer.
func (p *Producer) Write(ctx context.Context, records []bus.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	var refusals []bus.Refusal
	for i := range records {
		r := records[i]
		if r.Size() > MaxRecord {
			refusals = append(refusals, bus.Refusal{Index: i, Err: fmt.Errorf("record of %d bytes, the limit is %d", r.Size(), MaxRecord)})
			continue
		}
		h := fnv.New32a()
		h.Write(r.Key)
		parts := p.b.topic(r.Topic)
		r.Partition = int(h.Sum32() % uint32(len(parts)))
		if len(parts[r.Partition]) >= MaxRecords {
			return fmt.Errorf("topic %s: partition %d is full", r.Topic, r.Partition)
		}
		r.Offset, r.Time = int64(len(parts[r.Partition])), time.Now()
		r.Key, r.Value, r.Headers = slices.Clone(r.Key), slices.Clone(r.Value), slices.Clone(r.Headers)
		for j := range r.Headers {
			r.Headers[j].Value = slices.Clone(r.Headers[j].Value)
		}
		parts[r.Partition] = append(parts[r.Partition], r)
	}
	p.b.changed()
	if len(refusals) > 0 {
		return &bus.RefusedError{Refused: refusals}
	}
	return nil
}

// Close does nothing.
func (p *Producer) Close() error { return nil }

// Consumer is a member of a group.
type Consumer struct {
	b     *Broker
	topic string
	name  string
}

var _ bus.Consumer = (*Consumer)(nil)

// NewConsumer returns a member of a group that reads topic.
func (b *Broker) NewConsumer(topic, group string) *Consumer {
	return &Consumer{b: b, topic: topic, name: group}
}

// Run implements bus.Consumer.
func (c *Consumer) Run(ctx context.Context, serve func(context.Context, bus.Claim) error) error {
	g := c.join()
	defer c.leave(g)
	for {
		cl, ok := c.enter(ctx, g)
		if !ok {
			return nil
		}
		claimCtx, cancel := context.WithCancel(ctx)
		stop := make(chan struct{})
		go func() { // ends with the claim
			select {
			case <-cl.rebalance:
				cancel()
			case <-stop:
			}
		}()
		err := serve(claimCtx, cl)
		close(stop)
		cancel()
		c.exit(g, cl)
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (c *Consumer) join() *group {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	key := [2]string{c.topic, c.name}
	g := c.b.groups[key]
	if g == nil {
		g = &group{committed: map[int]int64{}, serving: map[int]int{}, rebalance: make(chan struct{})}
		c.b.groups[key] = g
	}
	g.members = append(g.members, c)
	c.b.renew(g)
	return g
}

func (c *Consumer) leave(g *group) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	g.members = slices.DeleteFunc(g.members, func(m *Consumer) bool { return m == c })
	c.b.renew(g)
}

// renew ends the generation. The caller holds mu.
func (b *Broker) renew(g *group) {
	close(g.rebalance)
	g.rebalance = make(chan struct{})
	g.generation++
	b.changed()
}

// enter waits until no member serves an older generation and takes its share.
func (c *Consumer) enter(ctx context.Context, g *group) (*claim, bool) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	for ctx.Err() == nil && g.olderServes() {
		change := c.b.change
		c.b.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
		}
		c.b.mu.Lock()
	}
	if ctx.Err() != nil {
		return nil, false
	}
	me := slices.Index(g.members, c)
	cl := &claim{c: c, g: g, generation: g.generation, rebalance: g.rebalance, next: map[int]int64{}}
	for p := range c.b.topic(c.topic) {
		if p%len(g.members) == me {
			cl.next[p] = g.committed[p]
		}
	}
	g.serving[g.generation]++
	return cl, true
}

func (g *group) olderServes() bool {
	for generation, n := range g.serving {
		if generation != g.generation && n > 0 {
			return true
		}
	}
	return false
}

func (c *Consumer) exit(g *group, cl *claim) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	cl.over = true
	if g.serving[cl.generation]--; g.serving[cl.generation] == 0 {
		delete(g.serving, cl.generation)
	}
	c.b.changed()
}

// claim is a share of the partitions.
type claim struct {
	c          *Consumer
	g          *group
	generation int
	rebalance  <-chan struct{}
	next       map[int]int64 // to fetch, by partition
	over       bool
}

var _ bus.Claim = (*claim)(nil)

// Fetch implements bus.Claim.
func (cl *claim) Fetch(ctx context.Context, dst []bus.Record, limit int) ([]bus.Record, error) {
	b := cl.c.b
	for {
		b.mu.Lock()
		change := b.change
		ended := cl.over || cl.generation != cl.g.generation
		n := len(dst)
		if !ended {
			for _, p := range slices.Sorted(maps.Keys(cl.next)) {
				log := b.topic(cl.c.topic)[p]
				for cl.next[p] < int64(len(log)) && len(dst) < n+limit {
					r := log[cl.next[p]]
					r.Key, r.Value, r.Headers = slices.Clone(r.Key), slices.Clone(r.Value), slices.Clone(r.Headers)
					dst = append(dst, r)
					cl.next[p]++
				}
			}
		}
		b.mu.Unlock()
		switch {
		case ended:
			return dst, bus.ErrClaimLost
		case len(dst) > n:
			return dst, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
}

// Commit implements bus.Claim. The others wait for this member to finish, so a
// generation that ended still takes commits until its claim is given back.
func (cl *claim) Commit(ctx context.Context, next map[int]int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cl.c.b.mu.Lock()
	defer cl.c.b.mu.Unlock()
	if cl.over {
		return fmt.Errorf("commit: %w", bus.ErrClaimLost)
	}
	for p, offset := range next {
		if _, mine := cl.next[p]; !mine {
			return fmt.Errorf("commit: partition %d: %w", p, bus.ErrClaimLost)
		}
		cl.g.committed[p] = offset
	}
	return nil
}
