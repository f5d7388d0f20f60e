package app

import (
	"time"

	"trench/pkg/pcap"
)

const (
	// clockStep is how far a packet's time may be from the clock to be believed at
	// once.
	clockStep = int64(time.Minute)
	// clockAgree is how many packets in a row must be farther away, all ahead or
	// all back, to set the clock.
	clockAgree = 16
)

// clock is the time that packets tell. A few packets with a wrong time do not move
// it, so they end no flow but their own.
type clock struct {
	now  int64 // to expire by, ns since the Unix epoch
	last int64 // of the last packet
	set  bool
	far  int // packets in a row ahead (positive) or back (negative)
}

// tick takes the times of a block.
func (c *clock) tick(b *pcap.Block) {
	for i := range b.Packets {
		c.advance(b.Packets[i].Time)
	}
}

func (c *clock) advance(t int64) {
	c.last = t
	switch {
	case !c.set:
		c.now, c.set = t, true
	case t > c.now && uint64(t)-uint64(c.now) > uint64(clockStep):
		c.far = max(c.far, 0) + 1
	case t < c.now && uint64(c.now)-uint64(t) > uint64(clockStep):
		c.far = min(c.far, 0) - 1
	default:
		c.now, c.far = max(c.now, t), 0
	}
	if c.far >= clockAgree || c.far <= -clockAgree {
		c.now, c.far = t, 0
	}
}
