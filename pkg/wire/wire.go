// Package wire turns records into the protobuf messages of schemas/proto and
// back, and names the topics they travel on. Nothing else in Trench knows how a
// record looks on the bus.
//
//	trench.flows.v1       Flow        flow.Flow
//	trench.features.v1    Features    record.Record, the parts known before scoring
//	trench.verdicts.v1    Verdict     record.Record, all of it
//	trench.deadletter.v1  DeadLetter  what a stage could not handle
//
// The key of the first three is the flow_id (16 bytes). Every record carries the
// header HeaderMessage with the full name of its message. What comes off the bus
// is not trusted: sizes and ranges are checked, and a message that breaks them is
// an error that wraps ErrMalformed.
package wire

import (
	"errors"
	"fmt"
	"net/netip"

	"google.golang.org/protobuf/proto"

	"trench/pkg/flow"
)

// The topics. A change that old readers can not follow gets a new version.
const (
	TopicFlows      = "trench.flows.v1"
	TopicFeatures   = "trench.features.v1"
	TopicVerdicts   = "trench.verdicts.v1"
	TopicDeadLetter = "trench.deadletter.v1"
)

// The consumer groups that read them.
const (
	GroupFeatures    = "trench-features"         // reads TopicFlows
	GroupScoring     = "trench-scoring"          // reads TopicFeatures
	GroupSink        = "trench-sink"             // reads TopicVerdicts
	GroupDeadLetters = "trench-sink-deadletters" // reads TopicDeadLetter
)

// HeaderReplayed is the header that names the dead letter a record was made from.
const HeaderReplayed = "trench-replayed"

// HeaderMessage is the header that names a record's message.
const HeaderMessage = "trench-message"

// The full names of the messages, as HeaderMessage carries them.
const (
	MessageFlow       = "trench.v1.Flow"
	MessageFeatures   = "trench.v1.Features"
	MessageVerdict    = "trench.v1.Verdict"
	MessageDeadLetter = "trench.v1.DeadLetter"
)

// Limits of what is written and read.
const (
	// MaxMessage is how many bytes a message may have: what a broker takes with
	// its default settings (1 MiB), less room for key, headers and the batch.
	MaxMessage = 1<<20 - 16<<10
	// MaxVector is how many features a vector may have.
	MaxVector = 1 << 14
	// MaxList is how many entries any other list may have.
	MaxList = 1 << 14
	// MaxOriginal is how many bytes of a refused record a dead letter keeps.
	MaxOriginal = 256 << 10
)

// ErrMalformed is wrapped by the error for a message that is not what the
// schema and the limits of this package allow.
var ErrMalformed = errors.New("malformed message")

// ErrTooLarge is wrapped by the error for a record whose message would exceed
// MaxMessage or one of its lists MaxList.
var ErrTooLarge = errors.New("record too large")

var deterministic = proto.MarshalOptions{Deterministic: true}

func marshal(dst []byte, name string, m proto.Message) ([]byte, error) {
	if n := proto.Size(m); n > MaxMessage {
		return dst, fmt.Errorf("%s: %w: %d bytes, the limit is %d", name, ErrTooLarge, n, MaxMessage)
	}
	out, err := deterministic.MarshalAppend(dst, m)
	if err != nil {
		return dst, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

func unmarshal(b []byte, name string, m proto.Message) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("%s: %w: %d bytes, the limit is %d", name, ErrMalformed, len(b), MaxMessage)
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%s: %w: %w", name, ErrMalformed, err)
	}
	return nil
}

// check collects the first violation, so that conversions read as plain lists.
type check struct{ err error }

func (c *check) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s: %s", ErrMalformed, field, fmt.Sprintf(format, args...))
	}
}

func (c *check) wrap(name string) error {
	if c.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, c.err)
}

func (c *check) id(b []byte) (id flow.ID) {
	if len(b) != len(id) {
		c.fail("flow_id", "%d bytes, want %d", len(b), len(id))
		return id
	}
	return flow.ID(b)
}

func (c *check) addr(field string, b []byte) netip.Addr {
	if len(b) == 0 {
		return netip.Addr{}
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		c.fail(field, "%d bytes, want 4 or 16", len(b))
	}
	return a
}

func (c *check) list(field string, n, limit int) int {
	if n > limit {
		c.fail(field, "%d entries, the limit is %d", n, limit)
		return 0
	}
	return n
}

func (c *check) u8(field string, v uint32) uint8 {
	if v > 0xff {
		c.fail(field, "%d does not fit 8 bits", v)
	}
	return uint8(v)
}

func (c *check) u16(field string, v uint32) uint16 {
	if v > 0xffff {
		c.fail(field, "%d does not fit 16 bits", v)
	}
	return uint16(v)
}

func (c *check) u16s(field string, v []uint32) []uint16 {
	if c.list(field, len(v), MaxList) == 0 {
		return nil
	}
	out := make([]uint16, len(v))
	for i, n := range v {
		out[i] = c.u16(field, n)
	}
	return out
}

func widen(v []uint16) []uint32 {
	if len(v) == 0 {
		return nil
	}
	out := make([]uint32, len(v))
	for i, n := range v {
		out[i] = uint32(n)
	}
	return out
}

func addrBytes(a netip.Addr) []byte {
	if !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}
