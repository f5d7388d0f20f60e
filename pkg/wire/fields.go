package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Wire types, as they stand in the lower three bits of a tag. A case of
// 13<<3|length is field 13, written with its length before it.
const (
	varint  = 0
	fixed64 = 1
	length  = 2
	endMark = 4
	fixed32 = 5
)

// fields walks the fields of one message in the order in which they came. What it
// hands out aliases the message.
type fields struct {
	b   []byte // what is left
	tag uint64 // of the field that next found: number and wire type
	*check
}

var errTag = errors.New("invalid field number or wire type")

// next reads the next tag. It returns false at the end and after any error.
func (f *fields) next() bool {
	if len(f.b) == 0 || f.err != nil {
		return false
	}
	f.tag = f.varint()
	if f.tag>>3 < uint64(protowire.MinValidNumber) || f.tag>>3 > uint64(protowire.MaxValidNumber) || f.tag&7 == endMark {
		f.broken(errTag)
	}
	return f.err == nil
}

// skip passes over the value of a field that is not known, or not of this type.
func (f *fields) skip() {
	n := protowire.ConsumeFieldValue(protowire.Number(f.tag>>3), protowire.Type(f.tag&7), f.b)
	if n < 0 {
		f.broken(protowire.ParseError(n))
		return
	}
	f.b = f.b[n:]
}

// broken ends the walk.
func (f *fields) broken(why error) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: at byte %d: %w", ErrMalformed, f.size-cap(f.b), why)
	}
	f.b = nil
}

func (f *fields) varint() uint64 {
	if len(f.b) > 0 && f.b[0] < 0x80 {
		v := f.b[0]
		f.b = f.b[1:]
		return uint64(v)
	}
	return f.longVarint()
}

func (f *fields) longVarint() uint64 {
	v, n := protowire.ConsumeVarint(f.b)
	if n < 0 {
		f.broken(protowire.ParseError(n))
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) uint32() uint32 { return uint32(f.varint()) }
func (f *fields) bool() bool     { return f.varint() != 0 }
func (f *fields) sint32() int32  { return int32(protowire.DecodeZigZag(f.varint() & math.MaxUint32)) }
func (f *fields) sint64() int64  { return protowire.DecodeZigZag(f.varint()) }

func (f *fields) fixed64() uint64 {
	if len(f.b) < 8 {
		f.broken(io.ErrUnexpectedEOF)
		return 0
	}
	v := binary.LittleEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

func (f *fields) fixed32() uint32 {
	if len(f.b) < 4 {
		f.broken(io.ErrUnexpectedEOF)
		return 0
	}
	v := binary.LittleEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) double() float64 { return math.Float64frombits(f.fixed64()) }
func (f *fields) float() float32  { return math.Float32frombits(f.fixed32()) }

// bytes returns a value with a length before it, nil for an empty one.
func (f *fields) bytes() []byte {
	n := f.varint()
	if n > uint64(len(f.b)) {
		f.broken(io.ErrUnexpectedEOF)
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

// own returns bytes that an append can not reach beyond, nil for none.
func (f *fields) own() []byte {
	v := f.bytes()
	if len(v) == 0 {
		return nil
	}
	return slices.Clip(v)
}

// string returns a text without copying it: nobody writes to a message after it was
// read, as the functions of this package demand.
func (f *fields) string() string {
	v := f.bytes()
	return unsafe.String(unsafe.SliceData(v), len(v))
}

// message returns the fields of the message that is this field's value.
func (f *fields) message() fields { return fields{b: f.bytes(), check: f.check} }

// list returns the entries of a repeated number: all of them when they came packed,
// and otherwise the one at hand. A reader takes them until done.
func (f *fields) list() fields {
	if f.tag&7 == length {
		return f.message()
	}
	at := f.b
	f.skip()
	return fields{b: at[:len(at)-len(f.b)], check: f.check}
}

func (f *fields) done() bool { return len(f.b) == 0 || f.err != nil }

// room makes a slice that holds dst and what a list of varints adds, if allowed.
func room[T any](dst []T, l *fields, limit int) []T {
	n := 0
	for _, b := range l.b {
		if b < 0x80 {
			n++
		}
	}
	return slices.Grow(dst, min(n, limit-len(dst)))
}

func (f *fields) u16s(field string, dst []uint16) []uint16 {
	l := f.list()
	for dst = room(dst, &l, MaxList); !l.done() && f.fits(field, len(dst), MaxList); {
		dst = append(dst, f.u16(field, l.uint32()))
	}
	return dst
}

func (f *fields) u32s(field string, dst []uint32, limit int) []uint32 {
	l := f.list()
	for dst = room(dst, &l, limit); !l.done() && f.fits(field, len(dst), limit); {
		dst = append(dst, l.uint32())
	}
	return dst
}

func (f *fields) u64s(field string, dst []uint64) []uint64 {
	l := f.list()
	for dst = room(dst, &l, MaxList); !l.done() && f.fits(field, len(dst), MaxList); {
		dst = append(dst, l.varint())
	}
	return dst
}

func (f *fields) strings(field string, dst []string) []string {
	if s := f.string(); f.fits(field, len(dst), MaxList) {
		dst = append(dst, s)
	}
	return dst
}

// entry makes room for the i-th entry of a list that several fields fill, or, with
// i the length of s, for one more. It returns nil when limit is reached.
func entry[T any](f *fields, field string, s *[]T, i, limit int) *T {
	if i == len(*s) {
		if !f.fits(field, i, limit) {
			return nil
		}
		var zero T
		*s = append(*s, zero)
	}
	return &(*s)[i]
}
