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
	switch b := f.b; {
	case len(b) > 0 && b[0] < 0x80:
		f.b = b[1:]
		return uint64(b[0])
	case len(b) > 1 && b[1] < 0x80:
		f.b = b[2:]
		return uint64(b[0]&0x7f) | uint64(b[1])<<7
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

func (f *fields) double() float64 { return math.Float64frombits(f.fixed64()) }

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

// varints returns the entries of a repeated number, and how many they are: all of
// them when they came packed, and otherwise the one at hand. A reader takes them by pop.
func (f *fields) varints() (b []byte, n int) {
	if f.tag&7 != length {
		return f.single(), 1
	}
	b = f.bytes()
	for _, c := range b {
		if c < 0x80 {
			n++
		}
	}
	if len(b) > 0 && b[len(b)-1] >= 0x80 {
		f.broken(io.ErrUnexpectedEOF)
		return nil, 0
	}
	return b, n
}

// single returns the bytes of the value at hand, none when it is broken.
func (f *fields) single() []byte {
	b := f.b
	if f.skip(); f.err != nil {
		return nil
	}
	return b[:len(b)-len(f.b)]
}

// pop takes the first of several varints.
func (f *fields) pop(b []byte) (uint64, []byte) {
	if v := b[0]; v < 0x80 {
		return uint64(v), b[1:]
	}
	return f.popLong(b)
}

func (f *fields) popLong(b []byte) (uint64, []byte) {
	if b[1] < 0x80 { // varints returns none that is cut
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, b[2:]
	}
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		f.broken(protowire.ParseError(n))
		return 0, nil
	}
	return v, b[n:]
}

// fixed returns the entries of a repeated number of size bytes, as varints does.
func (f *fields) fixed(size int) []byte {
	if f.tag&7 != length {
		return f.single()
	}
	b := f.bytes()
	if len(b)%size != 0 {
		f.broken(io.ErrUnexpectedEOF)
		return nil
	}
	return b
}

// list reads numbers of a list. Of those too long for 32 or 64 bits the lower ones
// count, as protobuf wants it; the schema has no 16 bits, so these are checked.
func list[T uint16 | uint32 | uint64](f *fields, field string, dst []T, limit int) []T {
	b, n := f.varints()
	if !f.fits(field, len(dst)+n, limit) {
		return dst
	}
	dst = slices.Grow(dst, n)
	for len(b) > 0 {
		var v uint64
		v, b = f.pop(b)
		if ^T(0) == math.MaxUint16 {
			v = uint64(f.u16(field, uint32(v)))
		}
		dst = append(dst, T(v))
	}
	return dst
}

func (f *fields) strings(field string, dst []string) []string {
	if s := f.string(); f.fits(field, len(dst)+1, MaxList) {
		dst = append(dst, s)
	}
	return dst
}

// one appends an empty entry to a list of messages, which the caller fills. It
// returns nil when the list has all that it may have.
func one[T any](f *fields, field string, s *[]T) *T {
	if !f.fits(field, len(*s)+1, MaxList) {
		return nil
	}
	var zero T
	*s = append(*s, zero)
	return &(*s)[len(*s)-1]
}

// made returns what p points to, an empty value if it is nil: the fields of one object
// may come in parts.
func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

// reach makes s at least n entries long, if they are allowed: several fields fill
// one list of structs.
func reach[T any](f *fields, field string, s []T, n, limit int) []T {
	if had := len(s); n > had && f.fits(field, n, limit) {
		s = slices.Grow(s, n-had)[:n]
		clear(s[had:])
	}
	return s
}
