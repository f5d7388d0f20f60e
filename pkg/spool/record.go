package spool

import (
	"encoding/binary"
	"errors"
	"fmt"

	"trench/pkg/bus"
)

// maxHeaders is how many headers a record may have.
const maxHeaders = 64

// appendRecord appends what the payload of a frame holds: topic, key, value and
// headers. What the bus sets itself is left out.
func appendRecord(dst []byte, r *bus.Record) []byte {
	dst = appendBytes(dst, r.Topic)
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendUvarint(dst, uint64(len(r.Headers)))
	for i := range r.Headers {
		dst = appendBytes(dst, r.Headers[i].Key)
		dst = appendBytes(dst, r.Headers[i].Value)
	}
	return dst
}

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// check says why r can not be spooled, nil if it can.
func check(r *bus.Record) error {
	if n := r.Size() + len(r.Topic); n > MaxRecord {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, MaxRecord)
	}
	if n := len(r.Headers); n > maxHeaders {
		return fmt.Errorf("%w: %d headers, the limit is %d", ErrTooLarge, n, maxHeaders)
	}
	return nil
}

// errRecord says that a frame is whole and still holds no record.
var errRecord = errors.New("no record in a whole frame")

// decoder reads records. What they hold aliases the payloads.
type decoder struct {
	names   bus.Names    // topics and header names
	headers []bus.Header // of the batch, cut into the records' own
}

func (d *decoder) record(payload []byte, r *bus.Record) error {
	c := cursor{b: payload}
	*r = bus.Record{Topic: d.names.Of(c.bytes()), Key: c.bytes(), Value: c.bytes()}
	n := c.uvarint()
	if n > maxHeaders {
		return errRecord
	}
	from := len(d.headers)
	for range n {
		d.headers = append(d.headers, bus.Header{Key: d.names.Of(c.bytes()), Value: c.bytes()})
	}
	if c.bad || len(c.b) > 0 {
		return errRecord
	}
	if n > 0 {
		r.Headers = d.headers[from:len(d.headers):len(d.headers)]
	}
	return nil
}

// cursor reads what appendRecord wrote; bad says that it could not.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes() []byte {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}
