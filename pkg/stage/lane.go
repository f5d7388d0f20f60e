package stage

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"trench/pkg/bus"
	"trench/pkg/fault"
	"trench/pkg/wire"
)

// lane takes one batch at a time to its end, with a handler of its own. Its worker
// touches it only while it is not running.
type lane[T any] struct {
	w       *worker[T]
	handler Handler[T]

	records []bus.Record
	bytes   int
	oldest  time.Time // of the records' times
	started time.Time
	cancel  context.CancelCauseFunc
	doomed  bool // by its worker: not to be committed

	slots  slots[T]
	values []T      // one for each record, from slots
	batch  Batch[T] // what could be decoded; its values lie in values
	losses []loss

	err      error // why the batch did not reach its end; read when finished
	finished atomic.Bool
	progress progress
}

// loss is a record that is given up.
type loss struct {
	record *bus.Record
	reason string
	err    error
}

// Reasons to give a record up, as the metrics name them.
const (
	reasonDecode  = "decode"  // its bytes say nothing
	reasonReject  = "handle"  // the handler rejected it
	reasonRefused = "refused" // it was refused when it was alone
	reasonPanic   = "panic"   // it makes the stage panic
)

// take makes the lane's batch of what was collected, and leaves the lane's old memory
// for the next.
func (l *lane[T]) take(p *pending) {
	batch, rest := p.records[:p.cut], p.records[p.cut:]
	next := append(l.records[:0], rest...)
	clear(rest)
	l.records, l.bytes, l.oldest, l.started = batch, p.bytes, p.oldest, time.Now()
	*p = pending{records: next}
}

// reset lets go of the batch's memory, but for that which the next one uses again.
func (l *lane[T]) reset() {
	clear(l.records)
	clear(l.batch.Records)
	clear(l.losses)
	for i := range l.values {
		forget(&l.values[i])
	}
	l.values, l.records, l.batch.Records, l.losses = nil, l.records[:0], l.batch.Records[:0], l.losses[:0]
	l.err, l.doomed = nil, false
	l.finished.Store(false)
}

func (l *lane[T]) run(ctx context.Context) {
	l.err = l.deliver(ctx)
	l.progress.idle()
	l.w.unheard.beginOnce("a batch is done, but its worker does not see it")
	l.finished.Store(true)
	l.w.bell.ring()
}

func (l *lane[T]) deliver(ctx context.Context) error {
	l.progress.begin("decode")
	l.decode()
	if n := len(l.batch.Records); n > 0 {
		if err := l.handle(ctx, 0, n); err != nil {
			return fmt.Errorf("handle: %w", err)
		}
	}
	panics := 0
	for i := range l.losses {
		if l.losses[i].reason == reasonPanic {
			panics++
		}
	}
	if n := len(l.records); n >= blameStage && panics == n {
		return fmt.Errorf("%w: each of %d records makes the stage panic, so it is not the records: %w", fault.ErrConfiguration, n, l.losses[0].err)
	}
	return l.bury(ctx)
}

// blameStage is how many records, and nothing but such, have to make a stage panic
// for the fault to be the stage's.
const blameStage = 10

func (l *lane[T]) decode() {
	l.values = l.slots.take(len(l.records))
	for i := range l.records {
		rec := &l.records[i]
		if err := l.decodeOne(rec, &l.values[len(l.batch.Records)]); err != nil {
			l.lose(rec, reasonDecode, err)
			continue
		}
		l.batch.Records = append(l.batch.Records, rec)
	}
	l.batch.Values = l.values[:len(l.batch.Records)]
}

func (l *lane[T]) decodeOne(rec *bus.Record, v *T) (err error) {
	defer l.recovered(&err)
	return l.w.r.Decode(rec, v)
}

// handle takes the values from lo to hi to their end. If they are refused together,
// or make the handler panic, it handles the halves, down to single ones: this is for what a
// handler does not know of its own values.
func (l *lane[T]) handle(ctx context.Context, lo, hi int) error {
	part := Batch[T]{l.batch.Values[lo:hi], l.batch.Records[lo:hi]}
	err := l.w.r.retry(ctx, &l.progress, "handle", func(ctx context.Context) error {
		rejects, err := l.attempt(ctx, part)
		if err != nil {
			return err
		}
		for _, x := range rejects {
			l.lose(part.Records[x.Index], reasonReject, x.Err)
		}
		return nil
	})
	switch {
	case err == nil || fault.Of(err) != fault.Refused || ctx.Err() != nil:
		return err
	case hi-lo == 1:
		l.lose(part.Records[0], reasonRefused, err)
		return nil
	}
	middle := lo + (hi-lo)/2
	if err := l.handle(ctx, lo, middle); err != nil {
		return err
	}
	return l.handle(ctx, middle, hi)
}

// attempt lets the handler try once. One that panicked may hold anything, so it is
// replaced.
func (l *lane[T]) attempt(ctx context.Context, part Batch[T]) (rejects []Reject, err error) {
	defer func() {
		if errors.Is(err, errPanic) {
			l.handler = l.w.r.NewHandler()
		}
	}()
	defer l.recovered(&err)
	return l.handler.Handle(ctx, part)
}

// errPanic is wrapped by the error that a panic becomes.
var errPanic = errors.New("panic")

// recovered turns a panic into an error of the class Refused: whatever was handled
// is to blame.
func (l *lane[T]) recovered(err *error) {
	v := recover()
	if v == nil {
		return
	}
	*err = fmt.Errorf("%w: %w: %v", fault.ErrRefused, errPanic, v)
	if n, say := l.w.r.panicking.allow(); say {
		l.w.r.Log.Error("the stage panicked, looking for the record that makes it", "stage", l.w.r.Name, "times", n, "panic", v, "stack", string(debug.Stack()))
	}
}

func (l *lane[T]) lose(rec *bus.Record, reason string, err error) {
	if errors.Is(err, errPanic) {
		reason = reasonPanic
	}
	l.losses = append(l.losses, loss{rec, reason, err})
}

// bury writes the dead letters of what is given up.
func (l *lane[T]) bury(ctx context.Context) error {
	if len(l.losses) == 0 {
		return nil
	}
	r := l.w.r
	letters := make([]bus.Record, len(l.losses))
	for i, x := range l.losses {
		letters[i] = r.letter(x)
	}
	err := r.retry(ctx, &l.progress, "write dead letters", func(ctx context.Context) error {
		err := r.DeadLetters.Write(ctx, letters)
		var refused *bus.RefusedError
		if errors.As(err, &refused) { // they are cut to fit a topic as it should be
			return fmt.Errorf("%w: topic %s takes no dead letters of this size (raise its max.message.bytes): %w", fault.ErrConfiguration, wire.TopicDeadLetter, err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	for _, x := range l.losses {
		r.metrics.buried(x.reason)
		if n, say := r.burying.allow(); say {
			r.Log.Warn("record given up", "stage", r.Name, "topic", x.record.Topic, "partition", x.record.Partition, "offset", x.record.Offset,
				"bytes", len(x.record.Value), "times", n, "err", x.err)
		}
	}
	return nil
}

// letter makes the dead letter of a record.
func (r *Runner[T]) letter(x loss) bus.Record {
	rec := x.record
	d := wire.DeadLetter{
		Stage: r.Name, Error: x.err.Error(), Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset,
		Time: rec.Time, Failed: time.Now(), Key: rec.Key, Value: rec.Value, ValueBytes: uint64(len(rec.Value)),
	}
	for _, h := range rec.Headers {
		d.Headers = append(d.Headers, wire.DeadLetterHeader{Key: h.Key, Value: h.Value})
	}
	return EncodeDeadLetter(&d)
}
