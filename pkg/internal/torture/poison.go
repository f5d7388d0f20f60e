package torture

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"trench/pkg/bus"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// Poison makes records that nobody can read, each with a key of its own.
type Poison struct {
	prefix  string // of the keys
	rng     *rand.Rand
	samples map[string][]bus.Record // real records by topic
	made    int
}

// hugeBytes is near the most a broker takes, and hugeEvery how many records come
// for one so large.
const (
	hugeBytes = 1_000_000
	hugeEvery = 50
)

// NewPoison returns poison made from real records of each topic, with keys that
// begin with prefix.
func NewPoison(prefix string, samples map[string][]bus.Record) *Poison {
	return &Poison{prefix: prefix, rng: rand.New(rand.NewPCG(1, 2)), samples: samples}
}

// Record makes the next record for a topic: random bytes, nothing at all, a real
// message that is cut, one that says it is another, or a huge one.
func (p *Poison) Record(topic string) (bus.Record, error) {
	p.made++
	r := bus.Record{Topic: topic, Key: fmt.Appendf(nil, "%s%06d", p.prefix, p.made)}
	list := p.samples[topic]
	for range 1000 { // what can be read by chance is no poison
		var real bus.Record
		if len(list) > 0 {
			real = list[p.rng.IntN(len(list))]
		}
		r.Headers = []bus.Header{{Key: wire.HeaderMessage, Value: real.Header(wire.HeaderMessage)}}
		switch {
		case p.made%hugeEvery == 0:
			r.Value = p.random(hugeBytes)
		case len(real.Value) == 0 || p.made%4 == 0:
			r.Value = p.random(p.rng.IntN(2000))
		case p.made%4 == 1:
			r.Value = bytes.Clone(real.Value[:p.rng.IntN(len(real.Value))])
		case p.made%4 == 2:
			r.Value, r.Headers[0].Value = bytes.Clone(real.Value), []byte("trench.v9.Unheard")
		default:
			r.Value = nil
		}
		if unreadable(&r) {
			return r, nil
		}
	}
	return r, fmt.Errorf("topic %s: no unreadable record comes of its samples", topic)
}

func (p *Poison) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.rng.Uint32())
	}
	return b
}

// unreadable reports whether the stage that reads the topic gives the record up.
func unreadable(r *bus.Record) bool {
	switch r.Topic {
	case wire.TopicFlows:
		return stage.DecodeFlow(r, new(flow.Flow)) != nil
	case wire.TopicFeatures:
		return stage.DecodeFeatures(r, new(record.Record)) != nil
	case wire.TopicVerdicts:
		return stage.DecodeVerdict(r, new(record.Record)) != nil
	}
	return stage.DecodeDeadLetter(r, new(wire.DeadLetter)) != nil
}
