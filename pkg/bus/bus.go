// Package bus says what a message bus is to Trench: partitioned topics, producers
// that return when everything is acknowledged, and consumer groups whose members
// commit inside the generation that gave them their partitions. bus/kafka is the
// real one, bus/memory serves tests, and bustest holds both to the same rules.
//
//	Run joins the group ─► claim (a share of the partitions) ─► Fetch, Commit, Fetch, … ─► claim ends ─► next claim
//
// Delivery is at least once: what was fetched and not committed when a claim ends
// is delivered again, to this member or another.
package bus

import (
	"context"
	"fmt"
	"time"

	"trench/pkg/fault"
)

// Record is one record of a topic. Partition, Offset and Time are set by the bus
// on reading and ignored on writing.
type Record struct {
	Topic     string
	Partition int
	Offset    int64
	Time      time.Time
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Header returns the value of the first header of that name, nil if there is none.
func (r *Record) Header(key string) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value
		}
	}
	return nil
}

// Size is how many bytes of memory the record's contents take.
func (r *Record) Size() int {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// Producer writes records. It is safe for use by several goroutines.
type Producer interface {
	// Write returns nil when every record is acknowledged. What is transient it
	// tries again until ctx ends. A *RefusedError lists the records that the bus
	// will never take; all others are acknowledged then. An error that wraps
	// ErrConfiguration will not go away by itself. After any other error some
	// records may have been written; writing them again is harmless. The producer
	// may keep the records' bytes after an error, so they must not be reused.
	Write(ctx context.Context, records []Record) error
	// Close frees what the producer holds.
	Close() error
}

// Consumer is one member of a consumer group that reads one topic.
type Consumer interface {
	// Run joins the group and calls serve with each claim it is given, until ctx
	// ends, which is no error, or serve returns an error, which Run returns.
	// serve's context ends when the claim does or ctx does; serve then has a
	// short while to finish and commit what it has in hand, and must return.
	Run(ctx context.Context, serve func(ctx context.Context, claim Claim) error) error
}

// Claim is a member's share of the partitions for the time of one generation. It
// is used by one goroutine at a time.
type Claim interface {
	// Fetch appends at least one and at most limit records to dst, waiting for
	// the first until ctx ends or the claim does. Records of one partition come in
	// their order. The records belong to the caller.
	Fetch(ctx context.Context, dst []Record, limit int) ([]Record, error)
	// Commit stores, for each partition, the offset of the next record to read.
	// ErrClaimLost means that the claim is over and that others will read the
	// records again.
	Commit(ctx context.Context, next map[int]int64) error
}

// ErrClaimLost is wrapped by errors of a claim that is over.
var ErrClaimLost = fault.ErrClaimLost

// ErrConfiguration is wrapped by errors that only an operator can end.
var ErrConfiguration = fault.ErrConfiguration

// Refusal is a record that the bus will never take.
type Refusal struct {
	Index int // in the records written
	Err   error
}

// RefusedError lists the refused records of a write; all others are acknowledged.
type RefusedError struct{ Refused []Refusal }

// Error implements error.
func (e *RefusedError) Error() string {
	if len(e.Refused) == 0 {
		return "no record refused"
	}
	return fmt.Sprintf("%d records refused, the first: %v", len(e.Refused), e.Refused[0].Err)
}
