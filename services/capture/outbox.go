package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"trench/pkg/bus"
	"trench/pkg/fault"
	"trench/pkg/spool"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// So much is on its way to Kafka at once.
const (
	flightRecords = 2000
	flightBytes   = 4 << 20
)

// spoolAfter is how long a write may take before what is in memory goes to the
// spool though the queue has room: it would be lost with the process.
const spoolAfter = 5 * time.Second

// outbox lies between capture and Kafka. Everything leaves it in the order in
// which it came:
//
//	put ─► queue ─► Kafka                     as long as Kafka keeps up
//	put ─► queue ─► spool ─► Kafka            from when the queue is nearly full, or a write
//	                                          takes long, until the spool is empty
//
// What was on its way then goes to the spool first, so that memory holds nothing but
// the queue.
type outbox struct {
	producer bus.Producer
	await    func(context.Context) error // until Kafka is there
	log      *slog.Logger
	metrics  *metrics
	spool    *spool.Spool  // nil: none
	sync     time.Duration // how often the spool is forced to the disk
	spools   bool          // what finds no room in the queue goes to the spool
	waits    bool          // the source can wait
	patience time.Duration // how long a write may take before what is in memory goes to the spool

	queue   chan item
	pressed chan struct{} // the queue is nearly full; used with spools only
	ended   chan struct{} // closed when run has returned

	reached bool   // Kafka was there once
	unsafe  error  // of the spool's disk
	held    flight // what the spool had no room for, of a source that can wait
}

// item is a batch of records, and who waits for it to be safe.
type item struct {
	records []bus.Record
	safe    chan<- error // nil: nobody; else it has room for the answer
}

// flight is what is sent or spooled at once.
type flight struct {
	records []bus.Record
	safe    []chan<- error
}

func (f *flight) add(it item) {
	if f.records == nil {
		f.records = it.records
	} else {
		f.records = append(f.records, it.records...)
	}
	if it.safe != nil {
		f.safe = append(f.safe, it.safe)
	}
}

func (f *flight) settle(err error) {
	for _, c := range f.safe {
		c <- err
	}
	f.safe = nil
}

func (f *flight) empty() bool { return len(f.records) == 0 && len(f.safe) == 0 }

// errEnded says that nobody sends any more; run's error says why.
var errEnded = errors.New("flows are not sent any more")

// put leaves an item to the outbox. A source that can not wait learns that there is
// no room, until stop ends: then it waits too.
func (o *outbox) put(stop context.Context, it item) (ok bool, err error) {
	if o.waits || stop.Err() != nil {
		select {
		case o.queue <- it:
		case <-o.ended:
			return false, errEnded
		}
	} else {
		select {
		case o.queue <- it:
		default:
			return false, nil
		}
	}
	if o.spools && o.pressing() {
		select {
		case o.pressed <- struct{}{}:
		default:
		}
	}
	return true, nil
}

// pressing reports whether the queue is nearly full.
func (o *outbox) pressing() bool { return len(o.queue) >= max(1, cap(o.queue)*3/4) }

// settled waits until everything put before is on Kafka or, forced to the disk, in
// the spool.
func (o *outbox) settled(stop context.Context, records []bus.Record) error {
	safe := make(chan error, 1)
	if _, err := o.put(stop, item{records, safe}); err != nil {
		return err
	}
	select {
	case err := <-safe:
		return err
	case <-o.ended:
	}
	select {
	case err := <-safe:
		return err
	default:
		return errEnded
	}
}

// run sends what is put until the queue is closed and everything is sent or, once
// stop has ended, in the spool. After hard it tries to send nothing more.
func (o *outbox) run(stop, hard context.Context) error {
	defer close(o.ended)
	for {
		if o.spool != nil && !o.spool.Empty() {
			if over := o.throughSpool(stop); over {
				return o.held.leave(nil)
			}
			continue
		}
		f, ok := o.take()
		if !ok {
			return nil
		}
		if err := o.direct(hard, f); err != nil {
			return err
		}
	}
}

// leave says what is not sent.
func (f *flight) leave(err error) error {
	if f.empty() {
		return nil
	}
	err = errors.Join(errEnded, err)
	f.settle(err)
	return fmt.Errorf("%d flows are left unsent: %w", len(f.records), err)
}

// take waits for the next flight; false: there will be none.
func (o *outbox) take() (f flight, ok bool) {
	if !o.held.empty() {
		f, o.held = o.held, f
		return f, true
	}
	it, ok := <-o.queue
	if !ok {
		return f, false
	}
	f.add(it)
	for size := sizeOf(it.records); len(f.records) < flightRecords && size < flightBytes; size += sizeOf(it.records) {
		select {
		case it, ok = <-o.queue:
			if !ok {
				return f, true
			}
			f.add(it)
		default:
			return f, true
		}
	}
	return f, true
}

func sizeOf(records []bus.Record) (n int) {
	for i := range records {
		n += records[i].Size()
	}
	return n
}

// direct sends a flight, or spools it when the queue fills up meanwhile.
func (o *outbox) direct(hard context.Context, f flight) error {
	ctx, cancel := context.WithCancel(hard)
	defer cancel()
	done := make(chan error, 1)
	left := f.records
	go func() { // ends with ctx at the latest
		var err error
		left, err = o.send(ctx, f.records)
		done <- err
	}()
	long := time.NewTimer(o.patience)
	defer long.Stop()
	var err error
	for sending := true; sending; {
		select {
		case err = <-done:
			sending = false
		case <-o.pressed:
			if o.pressing() {
				cancel()
			}
		case <-long.C:
			if o.spools {
				cancel()
			}
		}
	}
	f.records = left
	switch {
	case err == nil:
		f.settle(nil)
		return nil
	case !o.spools:
		if !o.waits {
			o.metrics.drop(dropStopped, len(left))
		}
		return f.leave(err)
	}
	o.log.Warn("kafka does not keep up, flows go to the spool", "records", len(left), "err", err)
	o.store(f)
	return nil
}

// throughSpool puts everything behind what is in the spool while that is sent. It
// returns when the spool is empty, and when all is over: the queue is closed and
// its contents are sent or, after stop, in the spool.
func (o *outbox) throughSpool(stop context.Context) (over bool) {
	ctx, cancel := context.WithCancel(stop)
	replayed := make(chan struct{}, 1)
	replay := func() { // ends when the spool is empty, or with ctx
		o.replay(ctx)
		replayed <- struct{}{}
	}
	running := true
	go replay()
	defer func() {
		cancel()
		if running {
			<-replayed
		}
		o.force()
	}()
	tick := time.NewTicker(max(o.sync, 10*time.Millisecond))
	defer tick.Stop()
	stopped, closed := stop.Done(), false
	for {
		in := o.queue
		if closed || !o.spools || !o.held.empty() {
			in = nil
		}
		if stop.Err() != nil && in == nil {
			return true
		}
		select {
		case it, ok := <-in:
			if !ok {
				closed = true
				continue
			}
			var f flight
			f.add(it)
			o.store(f)
		case <-tick.C:
			o.force()
			if f := o.held; !f.empty() {
				o.held = flight{}
				o.store(f)
			}
		case <-stopped:
			stopped = nil
		case <-replayed:
			running = false
			switch {
			case o.spool.Empty():
				o.log.Info("the spool is empty, flows go to kafka again")
				return closed && o.held.empty()
			case stop.Err() == nil:
				running = true
				go replay()
			}
		}
	}
}

// store puts a flight into the spool. What finds no room is held, if the source can
// wait, else dropped and counted.
func (o *outbox) store(f flight) {
	n, err := o.spool.Append(f.records)
	o.metrics.spooled.Add(float64(n))
	o.metrics.look(o.spool)
	f.records = f.records[n:]
	switch {
	case err == nil:
		if len(f.safe) > 0 {
			o.force()
			f.settle(o.unsafe)
		}
		return
	case o.waits && !errors.Is(err, spool.ErrTooLarge):
		if !errors.Is(err, spool.ErrFull) {
			o.log.Error("flows not spooled, trying again", "records", len(f.records), "err", err)
		}
		o.held = f
		return
	}
	reason := dropSpoolError
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		reason = dropDiskFull
	} else if errors.Is(err, spool.ErrFull) {
		reason = dropSpoolFull
	}
	o.metrics.drop(reason, len(f.records))
	o.log.Error("flows dropped", "records", len(f.records), "err", err)
	f.settle(err)
}

// force forces the spool to the disk. If that fails, nobody is told any more that his
// records are safe: what was lost of them can not be known.
func (o *outbox) force() {
	if err := o.spool.Sync(); err != nil {
		o.log.Error("spool not forced to the disk", "err", err)
		o.unsafe = errors.Join(o.unsafe, err)
	}
}

// replay sends what is in the spool, until it is empty or ctx ends.
func (o *outbox) replay(ctx context.Context) {
	wait := fault.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
	var out []bus.Record // of the spool, and not sent
	for ctx.Err() == nil {
		var err error
		if len(out) == 0 {
			if out, err = o.spool.Next(nil, flightRecords, flightBytes/2); err == nil && len(out) == 0 {
				return
			}
		}
		if err == nil {
			out, err = o.send(ctx, out)
		}
		if err == nil {
			if err := o.spool.Ack(); err != nil { // at worst, some are sent again
				o.log.Error("acknowledged flows not noted", "err", err)
			}
			wait.Reset()
			continue
		}
		if ctx.Err() == nil {
			o.log.Error("flows of the spool are not sent, trying again", "records", len(out), "err", err)
		}
		_ = wait.Wait(ctx)
	}
	if len(out) > 0 {
		o.spool.Release()
	}
}

// send writes records and returns those that are not written if it fails. What the
// bus refuses becomes dead letters; if it refuses those too, they are dropped and counted.
func (o *outbox) send(ctx context.Context, records []bus.Record) (left []bus.Record, err error) {
	o.metrics.begin()
	defer o.metrics.end()
	if !o.reached {
		if err := errors.Join(o.await(ctx), ctx.Err()); err != nil {
			return records, err
		}
		o.reached = true
	}
	for len(records) > 0 {
		err := o.producer.Write(ctx, records)
		var refused *bus.RefusedError
		if err != nil && !errors.As(err, &refused) {
			return records, fmt.Errorf("send %d flows: %w", len(records), err)
		}
		sent := len(records)
		var letters []bus.Record
		if refused != nil {
			sent -= len(refused.Refused)
			for _, x := range refused.Refused {
				r := &records[x.Index]
				if r.Topic == wire.TopicFlows {
					o.metrics.dead.Inc()
					letters = append(letters, bury(r.Key, r.Value, x.Err))
					continue
				}
				o.metrics.drop(dropRefused, 1)
				o.log.Error("dead letter refused", "bytes", len(r.Value), "err", x.Err)
			}
		}
		o.metrics.send(sent)
		records = letters
	}
	return nil, nil
}

// bury makes the dead letter of a flow that does not fit on the bus.
func bury(key, value []byte, why error) bus.Record {
	now := time.Now()
	return stage.EncodeDeadLetter(&wire.DeadLetter{
		Stage: name, Error: why.Error(), Topic: wire.TopicFlows, Partition: -1, Offset: -1, Time: now, Failed: now, Key: key, Value: value,
	})
}
