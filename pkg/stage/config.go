package stage

import (
	"errors"
	"fmt"
	"time"
)

// Config shapes a runner's batches and its patience.
type Config struct {
	// BatchRecords, BatchBytes and BatchAge end a batch, whichever comes first.
	BatchRecords int           `yaml:"batch_records"`
	BatchBytes   int           `yaml:"batch_bytes"`
	BatchAge     time.Duration `yaml:"batch_age"`
	// Workers is how many members of the consumer group run in this process.
	Workers int `yaml:"workers"`
	// InFlight is how many batches a worker handles at the same time, while it
	// collects one more. They are committed in their order.
	InFlight int `yaml:"in_flight"`
	// Grace is how long the batch in hand may take once the stage has to stop or
	// give up its partitions.
	Grace time.Duration `yaml:"grace"`
	// RetryMin and RetryMax bound the pause before a batch is tried again.
	RetryMin time.Duration `yaml:"retry_min"`
	RetryMax time.Duration `yaml:"retry_max"`
	// Stall is after how long without a move a worker counts as stuck, so that
	// /healthz fails. An attempt at a batch is cancelled after half of it.
	Stall time.Duration `yaml:"stall"`
}

// DefaultConfig returns batches of up to 1,000 records or 8 MiB, no older than 100 ms,
// one after the other.
func DefaultConfig() Config {
	return Config{
		BatchRecords: 1000, BatchBytes: 8 << 20, BatchAge: 100 * time.Millisecond, Workers: 1, InFlight: 1,
		Grace: 10 * time.Second, RetryMin: 100 * time.Millisecond, RetryMax: 10 * time.Second, Stall: 5 * time.Minute,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	for _, n := range []struct {
		name        string
		v, min, max int
	}{
		{"batch_records", c.BatchRecords, 1, 1_000_000},
		{"batch_bytes", c.BatchBytes, 1, 1 << 30},
		{"workers", c.Workers, 1, 256},
		{"in_flight", c.InFlight, 1, 64},
	} {
		if n.v < n.min || n.v > n.max {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", n.name, n.v, n.min, n.max))
		}
	}
	for _, d := range []struct {
		name        string
		v, min, max time.Duration
	}{
		{"batch_age", c.BatchAge, time.Millisecond, time.Minute},
		{"grace", c.Grace, time.Millisecond, 10 * time.Minute},
		{"retry_min", c.RetryMin, time.Millisecond, time.Minute},
		{"retry_max", c.RetryMax, time.Millisecond, 10 * time.Minute},
		{"stall", c.Stall, time.Second, 24 * time.Hour},
	} {
		if d.v < d.min || d.v > d.max {
			errs = append(errs, fmt.Errorf("%s: %v is not between %v and %v", d.name, d.v, d.min, d.max))
		}
	}
	if c.RetryMin > c.RetryMax {
		errs = append(errs, fmt.Errorf("retry_min: %v is above retry_max, %v", c.RetryMin, c.RetryMax))
	}
	if c.Stall < 4*c.RetryMax {
		errs = append(errs, fmt.Errorf("stall: %v is not at least four times retry_max, %v: a pause would count as a stall", c.Stall, c.RetryMax))
	}
	return errors.Join(errs...)
}
