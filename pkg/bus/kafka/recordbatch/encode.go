package recordbatch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"

	"trench/pkg/bus"
)

// Encoder makes batches. It may be used by several goroutines; its buffers and
// compressors are used again.
type Encoder struct {
	codec Codec
	zstd  *zstd.Encoder
	plain sync.Pool // of *[]byte
}

// NewEncoder returns an encoder that compresses with codec.
func NewEncoder(codec Codec) (*Encoder, error) {
	e := &Encoder{codec: codec, plain: sync.Pool{New: func() any { return new([]byte) }}}
	switch codec {
	case None, Gzip, Snappy, LZ4:
	case Zstd:
		var err error
		// The batch has a checksum of its own. The fastest level is worth its time,
		// see docs/adr/0014-kafka-client.md.
		if e.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20)); err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	default:
		return nil, fmt.Errorf("codec %d is unknown", codec)
	}
	return e, nil
}

// Size is at least as many bytes as a record takes in a batch before it is
// compressed.
func Size(r *bus.Record) int {
	const lengths = 5 + 1 + 1 + 5 + 5 + 5 + 5 // length, attributes, both deltas, key, value, headers
	return r.Size() + lengths + len(r.Headers)*10
}

// Append appends to dst one batch of those of records that index names, in that
// order and all with the time now.
func (e *Encoder) Append(dst []byte, records []bus.Record, index []int, now time.Time) ([]byte, error) {
	start, be := len(dst), binary.BigEndian
	dst = append(dst, make([]byte, HeaderSize)...)
	var err error
	if e.codec == None {
		dst = appendRecords(dst, records, index)
	} else {
		plain := e.plain.Get().(*[]byte)
		*plain = appendRecords((*plain)[:0], records, index)
		dst, err = e.compress(dst, *plain)
		e.plain.Put(plain)
		if err != nil {
			return dst[:start], err
		}
	}
	b := dst[start:]
	be.PutUint32(b[8:], uint32(len(b)-12))
	be.PutUint32(b[12:], 1<<32-1)
	b[16] = 2
	be.PutUint16(b[21:], uint16(e.codec))
	be.PutUint32(b[23:], uint32(len(index)-1))
	be.PutUint64(b[27:], uint64(now.UnixMilli()))
	be.PutUint64(b[35:], uint64(now.UnixMilli()))
	for i := 43; i < 57; i++ {
		b[i] = 0xff
	}
	be.PutUint32(b[57:], uint32(len(index)))
	be.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return dst, nil
}

func (e *Encoder) compress(dst, plain []byte) ([]byte, error) {
	switch e.codec {
	case Zstd:
		return e.zstd.EncodeAll(plain, dst), nil
	case Snappy: // one block without a frame, which all clients and brokers read
		most := s2.MaxEncodedLen(len(plain))
		dst = slices.Grow(dst, most)
		block := s2.EncodeSnappy(dst[len(dst):len(dst)+most], plain)
		return dst[:len(dst)+len(block)], nil
	}
	out := appender{dst}
	w := compress.Compression(e.codec).Codec().NewWriter(&out)
	_, err := w.Write(plain)
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return out.b, fmt.Errorf("compress %d bytes: %w", len(plain), err)
	}
	return out.b, nil
}

// appender is an io.Writer at the end of a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func appendRecords(dst []byte, records []bus.Record, index []int) []byte {
	for delta, i := range index {
		r := &records[i]
		n := 1 + 1 + varintSize(delta) + bytesSize(r.Key) + bytesSize(r.Value) + varintSize(len(r.Headers))
		for j := range r.Headers {
			h := &r.Headers[j]
			n += varintSize(len(h.Key)) + len(h.Key) + bytesSize(h.Value)
		}
		dst = binary.AppendVarint(dst, int64(n))
		dst = append(dst, 0, 0) // attributes and timestamp delta
		dst = binary.AppendVarint(dst, int64(delta))
		dst = appendBytes(dst, r.Key)
		dst = appendBytes(dst, r.Value)
		dst = binary.AppendVarint(dst, int64(len(r.Headers)))
		for j := range r.Headers {
			h := &r.Headers[j]
			dst = binary.AppendVarint(dst, int64(len(h.Key)))
			dst = append(dst, h.Key...)
			dst = appendBytes(dst, h.Value)
		}
	}
	return dst
}

// varintSize is how many bytes the zigzag varint of n, which is not negative, takes.
func varintSize(n int) int { return (bits.Len64(uint64(n)<<1|1) + 6) / 7 }

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(len(b)) + len(b)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // −1
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}
