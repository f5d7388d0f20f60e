package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"

	"trench/pkg/bus"
)

// MaxPlain is how many bytes the records of a batch may have once decompressed. What
// this module writes has at most 1 MiB; few bytes must not become all memory.
const MaxPlain = 32 << 20

// Decoder reads batches of one partition. It is used by one goroutine.
type Decoder struct {
	topic     string
	partition int
	zstd      *zstd.Decoder
	names     bus.Names // header keys
}

// NewDecoder returns a decoder whose records name this topic and partition.
func NewDecoder(topic string, partition int) (*Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxPlain))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &Decoder{topic: topic, partition: partition, zstd: z}, nil
}

// Close frees what the decoder holds.
func (d *Decoder) Close() { d.zstd.Close() }

// Decode returns the records of the batch that raw begins with and h describes,
// from the given offset on. They share new memory, which belongs to the caller;
// raw is not kept.
func (d *Decoder) Decode(raw []byte, h Header, from int64) ([]bus.Record, error) {
	records, err := d.decode(raw[:h.Size], h, from)
	if err != nil {
		return nil, fmt.Errorf("batch at offset %d: %w", h.BaseOffset, err)
	}
	return records, nil
}

func (d *Decoder) decode(raw []byte, h Header, from int64) ([]bus.Record, error) {
	if got, want := crc32.Checksum(raw[21:], castagnoli), binary.BigEndian.Uint32(raw[17:]); got != want {
		return nil, fmt.Errorf("checksum is %08x, not %08x", got, want)
	}
	if h.Control {
		return nil, nil
	}
	plain, err := d.decompress(raw[HeaderSize:], h.Codec)
	if err != nil {
		return nil, err
	}
	if least := 7; h.Records > len(plain)/least { // bytes of a record with nothing in it
		return nil, fmt.Errorf("%d records do not fit into %d bytes", h.Records, len(plain))
	}
	records := make([]bus.Record, 0, h.Records)
	var headers []bus.Header
	c := cursor{plain}
	for i := range h.Records {
		n, ok := c.varint()
		if !ok || n < 0 || n > int64(len(c.b)) {
			return nil, fmt.Errorf("record %d of %d is cut off", i, h.Records)
		}
		body := cursor{c.b[:n]}
		c.b = c.b[n:]
		r := bus.Record{Topic: d.topic, Partition: d.partition}
		if headers, ok = d.record(&body, &r, h, headers); !ok {
			return nil, fmt.Errorf("record %d of %d is broken", i, h.Records)
		}
		if r.Offset < from {
			continue
		}
		records = append(records, r)
	}
	if len(c.b) > 0 {
		return nil, fmt.Errorf("%d bytes follow the last record", len(c.b))
	}
	return records, nil
}

// record reads one record. Its headers are cut out of those of the batch, which
// it returns with them appended.
func (d *Decoder) record(c *cursor, r *bus.Record, h Header, headers []bus.Header) ([]bus.Header, bool) {
	if len(c.b) == 0 {
		return headers, false
	}
	c.b = c.b[1:] // attributes, of which none is in use
	ms, ok1 := c.varint()
	offset, ok2 := c.varint()
	key, ok3 := c.bytes()
	value, ok4 := c.bytes()
	count, ok5 := c.varint()
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || offset < 0 || count < 0 || count > int64(len(c.b)) {
		return headers, false
	}
	r.Key, r.Value, r.Offset = key, value, h.BaseOffset+offset
	if r.Offset > h.LastOffset {
		return headers, false
	}
	r.Time = h.FirstTime.Add(time.Duration(ms) * time.Millisecond)
	if h.appendTime {
		r.Time = h.LastTime
	}
	if count == 0 {
		return headers, len(c.b) == 0
	}
	if need := len(headers) + int(count); need > cap(headers) {
		// A new block; those cut out before keep the old one.
		headers = make([]bus.Header, 0, max(int(count), min(h.Records, 4096)*int(min(count, 4))))
	}
	first := len(headers)
	for range count {
		name, ok := c.bytes()
		value, more := c.bytes()
		if !ok || !more {
			return headers, false
		}
		headers = append(headers, bus.Header{Key: d.names.Of(name), Value: value})
	}
	r.Headers = headers[first:len(headers):len(headers)]
	return headers, len(c.b) == 0
}

var errTooLarge = errors.New("the decompressed records are larger than any batch may be")

// decompress returns the records in memory of their own.
func (d *Decoder) decompress(src []byte, codec Codec) ([]byte, error) {
	switch codec {
	case None:
		return bytes.Clone(src), nil
	case Zstd:
		plain, err := d.zstd.DecodeAll(src, nil)
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return plain, nil
	case Snappy:
		if !bytes.HasPrefix(src, []byte(xerial)) {
			if n, err := s2.DecodedLen(src); err != nil {
				return nil, fmt.Errorf("snappy: %w", err)
			} else if n > MaxPlain || n > 64*len(src) { // snappy can't do better than 64 to 3
				return nil, errTooLarge
			}
			plain, err := s2.Decode(nil, src)
			if err != nil {
				return nil, fmt.Errorf("snappy: %w", err)
			}
			return plain, nil
		}
		return readAll(src, codec)
	case Gzip, LZ4:
		return readAll(src, codec)
	}
	return nil, fmt.Errorf("codec %d is unknown", codec)
}

// xerial begins the frame that Java clients put around snappy's blocks.
const xerial = "\x82SNAPPY\x00"

func readAll(src []byte, codec Codec) ([]byte, error) {
	r := compress.Compression(codec).Codec().NewReader(bytes.NewReader(src))
	defer r.Close()
	plain := bytes.NewBuffer(make([]byte, 0, 4*len(src)+bytes.MinRead))
	if _, err := plain.ReadFrom(io.LimitReader(r, MaxPlain+1)); err != nil {
		return nil, fmt.Errorf("codec %d: %w", codec, err)
	}
	if plain.Len() > MaxPlain {
		return nil, errTooLarge
	}
	return plain.Bytes(), nil
}

// cursor reads from the front of a slice.
type cursor struct{ b []byte }

func (c *cursor) varint() (int64, bool) {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		return 0, false
	}
	c.b = c.b[n:]
	return v, true
}

// bytes reads a length and so many bytes; nil for the length −1.
func (c *cursor) bytes() ([]byte, bool) {
	n, ok := c.varint()
	switch {
	case !ok || n < -1 || n > int64(len(c.b)):
		return nil, false
	case n == -1:
		return nil, true
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b, true
}
