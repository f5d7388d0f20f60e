// Package stage runs one stage of the pipeline between two topics, or between a
// topic and a store. What a stage does is a function over batches of values and
// knows nothing of the bus; the Runner around it fetches, decodes, hands over,
// and commits when everything is acknowledged:
//
//	fetch ─► collect ─┬► decode ─► Handle (process, write, wait for the acknowledgement) ─┬► commit, in order
//	                  ├► decode ─► Handle …       │  ▲                                    │
//	                  └► … Config.InFlight of them│  └── transient fault: back off, again │
//	                                              └── can't be decoded, processed or ─────┘
//	                                                  delivered: dead letter
//
// A worker is one member of the consumer group. It owns the claim, collects batches
// and commits them; its lanes, each with a Handler of its own, take one batch each
// to its end at the same time. While all are busy one more batch is collected, and
// when that is full nothing is fetched any more: so a worker holds at most
// InFlight+1 batches of BatchRecords and BatchBytes, and the few records that the
// last fetch brought too much.
//
// Delivery is at least once, and a commit covers whole batches only. When the stage
// has to stop, or loses its partitions, the batches in flight still get
// Config.Grace to reach their end; what does not reach it is dropped uncommitted
// and delivered again, and so is everything after a batch that failed for good.
//
// What an error means is its class in package fault. A transient one is tried again
// for as long as the claim lasts. A handler that knows which values are to blame says
// so itself. Of a batch that it refuses as a whole, or that makes it panic, the halves are
// handled one after the other, and halves of these, until the record that does it is
// alone: that one becomes a dead letter.
package stage

import (
	"context"
	"errors"

	"trench/pkg/bus"
)

// Handler takes the batches of a stage to their end. It is used by one goroutine at
// a time.
type Handler[T any] interface {
	// Handle returns when everything that became of the batch is acknowledged.
	// Values that can not be handled are returned as rejects; they need not be in
	// order. With an error nothing is taken as done, and what comes next is up to the
	// error's class: transient, the whole batch comes again; refused, it comes again
	// in parts; configuration, the stage ends. ctx ends when the time for the attempt
	// is over. Handle must not keep batch or anything in it after returning.
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

// Pipe is a Handler that processes values and writes what comes out to the bus.
type Pipe[In, Out any] struct {
	// Process fills out[i] from in[i]; out's elements are those of an earlier
	// batch, reset, so that their memory can be used again.
	Process func(in []In, out []Out)
	// Encode makes the record to write, from what the record says that was read. Its
	// bytes must be new: the bus may keep them.
	Encode func(out *Out, from *bus.Record) (bus.Record, error)
	// Stage names the hop that the record's trace gets.
	Stage    string
	Producer bus.Producer

	out     slots[Out]
	records []bus.Record
	index   []int // of records in the batch
}

// Handle implements Handler.
func (p *Pipe[In, Out]) Handle(ctx context.Context, batch Batch[In]) ([]Reject, error) {
	out := p.out.take(len(batch.Values))
	defer func() {
		for i := range out {
			forget(&out[i])
		}
	}()
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
	case err != nil:
		return nil, err
	}
	return rejects, nil
}

// slots are values that are used again for one batch after another.
type slots[T any] struct {
	values []T
	spare  int // batches in a row that have needed less than half of them
}

// patience is how many small batches in a row end the memory of large ones: so a
// backlog leaves nothing behind, and batches of changing size cost no memory anew.
const patience = 8

// take returns the first n values, emptied.
func (s *slots[T]) take(n int) []T {
	if s.spare++; 2*n >= len(s.values) {
		s.spare = 0
	}
	if s.spare == patience {
		s.values, s.spare = make([]T, n), 0
	}
	if more := n - len(s.values); more > 0 {
		s.values = append(s.values, make([]T, more)...)
	}
	return s.values[:n]
}

// forget empties a value between batches. A decoded value may alias the record it was
// read from, and with that the whole batch that Kafka sent: kept here, thousands of
// them would be kept alive. A value with a Reset method keeps what memory is its own.
func forget[T any](v *T) {
	if r, ok := any(v).(interface{ Reset() }); ok {
		r.Reset()
		return
	}
	var zero T
	*v = zero
}
