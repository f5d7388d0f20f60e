package main

import (
	"context"

	"trench/pkg/bus"
	"trench/pkg/flow"
	"trench/pkg/stage"
)

// A batch of flows is put into the outbox when it has so many records or bytes.
const (
	batchRecords = 500
	batchBytes   = 4 << 20
)

// collector makes batches of the flows of one worker. If the queue is full, it waits, which
// slows the reading down; for a live interface, which can't be slowed down, it drops
// the batch and counts it.
type collector struct {
	out     *outbox
	metrics *metrics
	batch   []bus.Record
	bytes   int
}

func (c *collector) full() bool { return len(c.batch) >= batchRecords || c.bytes >= batchBytes }

// add takes a flow.
func (c *collector) add(stop context.Context, f *flow.Flow) error {
	r, err := stage.EncodeFlow(f, name)
	if err != nil {
		r = bury(f.ID[:], nil, err)
		c.metrics.dead.Inc()
	}
	c.batch, c.bytes = append(c.batch, r), c.bytes+r.Size()
	if !c.full() {
		return nil
	}
	return c.put(stop)
}

// put leaves what was collected to the outbox, or keeps it while it is no full batch.
func (c *collector) put(stop context.Context) error {
	if len(c.batch) == 0 {
		return nil
	}
	ok, err := c.out.put(stop, item{records: c.batch})
	if !ok {
		if err == nil && !c.full() {
			return nil
		}
		if !c.out.waits {
			reason := dropQueueFull
			if err != nil {
				reason = dropStopped
			}
			c.metrics.drop(reason, len(c.batch))
		}
	}
	c.renew()
	return err
}

// settle returns once everything collected is safe.
func (c *collector) settle(stop context.Context) error {
	err := c.out.settled(stop, c.batch)
	c.renew()
	return err
}

// renew begins a batch in new memory: who got the last one may keep it.
func (c *collector) renew() { c.batch, c.bytes = make([]bus.Record, 0, batchRecords), 0 }
