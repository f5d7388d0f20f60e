// Package recordbatch encodes and decodes Kafka's record batches, version 2 of the
// message format (Kafka 0.11 and later), one batch at a time.
//
//	offset  bytes
//	     0      8  base offset               the broker sets it
//	     8      4  length                    of what follows
//	    12      4  partition leader epoch    the broker sets it
//	    16      1  magic                     2
//	    17      4  CRC-32C                   of what follows
//	    21      2  attributes                bits 0–2 codec, 3 log append time, 4 transactional, 5 control
//	    23      4  last offset delta
//	    27      8  first timestamp           Unix milliseconds
//	    35      8  largest timestamp         Unix milliseconds
//	    43     14  producer id, epoch and sequence, all −1 without idempotence
//	    57      4  number of records
//	    61         the records, compressed together if a codec is named
//
// A record is its length and then, all numbers zigzag varints but the first: one
// byte of attributes, timestamp delta, offset delta, key, value, the number of
// headers, and each header's key and value. A length of −1 means null.
package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Codec is how the records of a batch are compressed, numbered as in the batch.
type Codec uint8

// The codecs that Kafka knows.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// HeaderSize is how many bytes of a batch come before its records.
const HeaderSize = 61

const (
	codecMask     = 7
	logAppendTime = 1 << 3
	control       = 1 << 5
)

// ErrTruncated says that the bytes end before the batch does: a broker cuts the
// last batch of an answer where the limit of bytes lies.
var ErrTruncated = errors.New("batch is cut off")

// ErrFormat says that the batch has an older format than version 2.
var ErrFormat = errors.New("message format older than 2")

// Header is what a batch says of itself.
type Header struct {
	Size       int   // of the whole batch in bytes
	BaseOffset int64 // of its first record
	LastOffset int64 // of its last record, which compaction may have removed
	FirstTime  time.Time
	LastTime   time.Time // the largest of its records' times, or when the broker appended it
	Records    int
	Codec      Codec
	// Control batches mark the end of transactions and hold nothing for readers.
	Control bool

	appendTime bool // LastTime is the time of all records
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ParseHeader reads the header of the batch that raw begins with, and checks that
// the batch is whole.
func ParseHeader(raw []byte) (Header, error) {
	if len(raw) < HeaderSize {
		return Header{}, ErrTruncated
	}
	be := binary.BigEndian
	if magic := raw[16]; magic != 2 {
		if magic < 2 {
			return Header{}, fmt.Errorf("batch at offset %d: %w: %d", be.Uint64(raw), ErrFormat, magic)
		}
		return Header{}, fmt.Errorf("batch at offset %d: unknown message format %d", be.Uint64(raw), magic)
	}
	attributes := be.Uint16(raw[21:])
	h := Header{
		Size:       int(int32(be.Uint32(raw[8:]))) + 12,
		BaseOffset: int64(be.Uint64(raw)),
		FirstTime:  time.UnixMilli(int64(be.Uint64(raw[27:]))),
		LastTime:   time.UnixMilli(int64(be.Uint64(raw[35:]))),
		Records:    int(int32(be.Uint32(raw[57:]))),
		Codec:      Codec(attributes & codecMask),
		Control:    attributes&control != 0,
		appendTime: attributes&logAppendTime != 0,
	}
	delta := int32(be.Uint32(raw[23:]))
	h.LastOffset = h.BaseOffset + int64(delta)
	switch {
	case h.Size < HeaderSize:
		return Header{}, fmt.Errorf("batch at offset %d: %d bytes are fewer than its header", h.BaseOffset, h.Size)
	case h.Size > len(raw):
		return Header{}, ErrTruncated
	case delta < 0 || h.BaseOffset < 0 || h.LastOffset < h.BaseOffset || h.Records < 0:
		return Header{}, fmt.Errorf("batch at offset %d: %d records and last offset %d make no sense", h.BaseOffset, h.Records, h.LastOffset)
	}
	return h, nil
}
