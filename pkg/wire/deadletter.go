package wire

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"trench/pkg/wire/trenchv1"
)

// DeadLetter is one record that a stage gave up, and why.
type DeadLetter struct {
	Stage, Error string
	Topic        string
	Partition    int
	Offset       int64
	Time, Failed time.Time // of the record, and of giving up
	Key, Value   []byte    // Value holds at most MaxOriginal bytes
	ValueBytes   uint64    // length of the whole value
	Headers      []DeadLetterHeader
}

// DeadLetterHeader is one header of the original record.
type DeadLetterHeader struct {
	Key   string
	Value []byte
}

// Limits of a dead letter's smaller parts; what is longer is cut.
const (
	maxHeaderKey   = 256
	maxHeaderValue = 4 << 10
	maxError       = 8 << 10
	maxHeaders     = 64
)

// Cut reports whether a part of the record may have been cut: the value is shorter than
// it was, or another part has as many bytes, or headers, as a letter holds.
func (d *DeadLetter) Cut() bool {
	if d.ValueBytes > uint64(len(d.Value)) || len(d.Key) == MaxKey || len(d.Headers) == maxHeaders {
		return true
	}
	return slices.ContainsFunc(d.Headers, func(h DeadLetterHeader) bool { return len(h.Key) == maxHeaderKey || len(h.Value) == maxHeaderValue })
}

// MarshalDeadLetter appends d's message to dst, cut to the limits: the error
// text, the key, the value and the headers are shortened, so that it always fits
// on the bus.
func MarshalDeadLetter(dst []byte, d *DeadLetter) ([]byte, error) {
	m := &trenchv1.DeadLetter{
		Stage: head(d.Stage, 256), Error: head(d.Error, maxError), Topic: head(d.Topic, 256),
		Partition: int32(d.Partition), Offset: d.Offset,
		TimeNs: nanos(d.Time), FailedNs: nanos(d.Failed),
		Key: head(d.Key, MaxKey), Value: head(d.Value, MaxOriginal), ValueBytes: max(d.ValueBytes, uint64(len(d.Value))),
	}
	for i, h := range d.Headers {
		if i == maxHeaders {
			break
		}
		m.Headers = append(m.Headers, &trenchv1.DeadLetterHeader{Key: head(h.Key, maxHeaderKey), Value: head(h.Value, maxHeaderValue)})
	}
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, m)
	if err != nil {
		return dst, fmt.Errorf("dead letter: %w", err)
	}
	return out, nil
}

// UnmarshalDeadLetter replaces d by what b says. Nothing in d aliases b.
func UnmarshalDeadLetter(b []byte, d *DeadLetter) error {
	if err := checkSize(b, "dead letter"); err != nil {
		return err
	}
	var m trenchv1.DeadLetter
	if err := proto.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("dead letter: %w: %w", ErrMalformed, err)
	}
	var c check
	if m.Stage == "" || m.Error == "" {
		c.fail("stage and error", "must not be empty")
	}
	if n := len(m.Headers); n > maxHeaders {
		c.fail("headers", "%d entries, the limit is %d", n, maxHeaders)
	}
	*d = DeadLetter{
		Stage: m.Stage, Error: m.Error, Topic: m.Topic, Partition: int(m.Partition), Offset: m.Offset,
		Time: fromNanos(m.TimeNs), Failed: fromNanos(m.FailedNs), Key: m.Key, Value: m.Value, ValueBytes: m.ValueBytes,
	}
	for _, h := range m.Headers {
		d.Headers = append(d.Headers, DeadLetterHeader{Key: h.Key, Value: h.Value})
	}
	return c.wrap("dead letter")
}

func head[T string | []byte](s T, limit int) T {
	if len(s) > limit {
		return s[:limit]
	}
	return s
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
