package kafka

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
)

// claim is one generation's share of the topic. Its partitions hand over whole
// batches, of which Fetch gives out as many records as are asked for.
type claim struct {
	ended <-chan struct{}
	queue chan []bus.Record // unbuffered: what waits, waits with its partition
	rest  []bus.Record      // of the last batch
	gen   *kafkago.Generation
	topic string

	metrics *metrics
}

var _ bus.Claim = (*claim)(nil)

// Fetch implements bus.Claim.
func (c *claim) Fetch(ctx context.Context, dst []bus.Record, limit int) ([]bus.Record, error) {
	select {
	case <-c.ended:
		c.rest = nil
		return dst, bus.ErrClaimLost
	default:
	}
	if len(c.rest) == 0 {
		select {
		case c.rest = <-c.queue:
		case <-ctx.Done():
			return dst, ctx.Err()
		case <-c.ended:
			return dst, bus.ErrClaimLost
		}
	}
	for limit > 0 {
		n := min(limit, len(c.rest))
		dst = append(dst, c.rest[:n]...)
		clear(c.rest[:n]) // so that what is done with can be freed
		c.rest, limit = c.rest[n:], limit-n
		if limit == 0 {
			break
		}
		select {
		case c.rest = <-c.queue:
		default:
			return dst, nil
		}
	}
	return dst, nil
}

// Commit implements bus.Claim.
func (c *claim) Commit(ctx context.Context, next map[int]int64) error {
	wait := newBackoff()
	for {
		err := c.gen.CommitOffsets(map[string]map[int]int64{c.topic: next})
		if err == nil {
			return nil
		}
		c.metrics.fail(opCommit, err)
		// Without its connection a generation is over, too: the group makes a new one.
		if classify(err) != transient || !temporary(err) {
			return fmt.Errorf("commit: %w: %w", bus.ErrClaimLost, err)
		}
		if wait.Wait(ctx) != nil {
			return fmt.Errorf("commit: %w: %w", context.Cause(ctx), err)
		}
	}
}

func temporary(err error) bool {
	var code kafkago.Error
	return errors.As(err, &code) && code.Temporary()
}
