package spool

import (
	"errors"
	"fmt"
	"time"
)

// What a full spool does.
const (
	// DropOldest deletes the oldest segment, so that the newest records are kept.
	DropOldest = "drop_oldest"
	// Wait refuses new records, for a source that can wait.
	Wait = "wait"
)

// Config says where a spool is and how large it may become.
type Config struct {
	// Dir is the folder. Empty is no spool, which is for the caller to judge.
	Dir string `yaml:"dir"`
	// MaxBytes is how many bytes all segments may have together.
	MaxBytes int64 `yaml:"max_bytes"`
	// SegmentBytes is from which size on a segment is sealed.
	SegmentBytes int64 `yaml:"segment_bytes"`
	// Sync is how often what was written is forced to the disk; 0 does it with
	// every Append.
	Sync time.Duration `yaml:"sync"`
	// Full says what happens when the folder or the disk is full: DropOldest or Wait.
	Full string `yaml:"full"`
}

// DefaultConfig holds 4 GiB in segments of 64 MiB, forced to the disk every
// second. Dir has no default.
func DefaultConfig() Config {
	return Config{MaxBytes: 4 << 30, SegmentBytes: 64 << 20, Sync: time.Second, Full: DropOldest}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if c.SegmentBytes < 4<<10 || c.SegmentBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("segment_bytes: %d is not between %d and %d", c.SegmentBytes, 4<<10, 1<<30))
	}
	if c.MaxBytes < 2*c.SegmentBytes || c.MaxBytes > 1<<50 {
		errs = append(errs, fmt.Errorf("max_bytes: %d is not between twice segment_bytes, %d, and %d", c.MaxBytes, 2*c.SegmentBytes, int64(1)<<50))
	}
	if c.Sync < 0 || c.Sync > time.Hour {
		errs = append(errs, fmt.Errorf("sync: %v is not between 0s and 1h", c.Sync))
	}
	if c.Full != DropOldest && c.Full != Wait {
		errs = append(errs, fmt.Errorf("full: %q is neither %s nor %s", c.Full, DropOldest, Wait))
	}
	return errors.Join(errs...)
}
