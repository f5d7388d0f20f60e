// Package stage runs one stage of the pipeline between two topics, or between a
// topic and a store. What a stage does is a function over batches of values and
// knows nothing of the bus; the Runner around it fetches, decodes, hands over,
// and commits when everything is acknowledged:
//
//	fetch ─► decode ─► Handle (process, write, wait for the acknowledgement) ─► commit
//	           │          │  ▲
//	           │          │  └── transient fault: back off, again
//	           └──────────┴───── can't be decoded, processed or delivered: dead letter
//
// Delivery is at least once. When the stage has to stop, or loses its partitions,
// the batch in hand still gets Config.Grace to reach its end; if that fails it is
// dropped uncommitted and delivered again.
package stage

import (
	"context"
	"errors"

	"trench/pkg/bus"
)

// Handler takes the batches of a stage to their end. It is used by one goroutine.
type Handler[T any] interface {
	// Handle returns when everything that became of the batch is acknowledged.
	// Values that can not be handled are returned as rejects; they need not be in
	// order. With an error nothing is taken as done, and the whole batch comes
	// again, unless the error wraps ErrPermanent. Handle must not keep batch or
	// anything in it after returning.
	Handle(ctx context.Context, batch Batch[T]) ([]Reject, error)
}

// Batch is what a stage works on at once.
type Batch[T any] struct {
	Values  []T
	Records []*bus.Record // Values[i] is what Records[i] says
}

// Reject is one value of a batch that can not be handled.
type Reject struct {
	Index int
	Err   error
}

// ErrPermanent is wrapped by errors that trying again will not end.
var ErrPermanent = errors.New("permanent fault")

// Pipe is a Handler that processes values and writes what comes out to the bus.
type Pipe[In, Out any] struct {
	// Process fills out[i] from in[i]; out's elements are those of an earlier
	// batch, so that their memory can be used again.
	Process func(in []In, out []Out)
	// Encode makes the record to write, from what the record says that was read. Its
	// bytes must be new: the bus may keep them.
	Encode func(out *Out, from *bus.Record) (bus.Record, error)
	// Stage names the hop that the record's trace gets.
	Stage    string
	Producer bus.Producer

	out     []Out
	records []bus.Record
	index   []int // of records in the batch
}

// Handle implements Handler.
func (p *Pipe[In, Out]) Handle(ctx context.Context, batch Batch[In]) ([]Reject, error) {
	if n := len(batch.Values) - len(p.out); n > 0 {
		p.out = append(p.out, make([]Out, n)...)
	}
	out := p.out[:len(batch.Values)]
	p.Process(batch.Values, out)
	p.records, p.index = make([]bus.Record, 0, len(out)), p.index[:0]
	var rejects []Reject
	for i := range out {
		from := batch.Records[i]
		r, err := p.Encode(&out[i], from)
		if err != nil {
			rejects = append(rejects, Reject{i, err})
			continue
		}
		addHop(&r, p.Stage, from)
		p.records, p.index = append(p.records, r), append(p.index, i)
	}
	err := p.Producer.Write(ctx, p.records)
	p.records = nil
	var refused *bus.RefusedError
	switch {
	case errors.As(err, &refused):
		for _, r := range refused.Refused {
			rejects = append(rejects, Reject{p.index[r.Index], r.Err})
		}
	case errors.Is(err, bus.ErrConfiguration):
		return nil, errors.Join(ErrPermanent, err)
	case err != nil:
		return nil, err
	}
	return rejects, nil
}
