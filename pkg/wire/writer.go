package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// writer appends fields to a message, in the order of the calls. A field that has
// its zero value is left out. The bytes are those that protobuf's own code gives
// when fields come in the order of their numbers.
type writer struct {
	b   []byte
	err error
}

func (w *writer) key(num, typ uint64) {
	if k := num<<3 | typ; k < 0x80 {
		w.b = append(w.b, byte(k))
	} else {
		w.b = append(w.b, byte(k)|0x80, byte(k>>7)) // numbers end at 2047
	}
}

func (w *writer) uint(num, v uint64) {
	if v != 0 {
		w.key(num, varint)
		w.b = protowire.AppendVarint(w.b, v)
	}
}

func (w *writer) sint(num uint64, v int64) { w.uint(num, protowire.EncodeZigZag(v)) }

func (w *writer) bool(num uint64, v bool) {
	if v {
		w.key(num, varint)
		w.b = append(w.b, 1)
	}
}

func (w *writer) fixed64(num, v uint64) {
	if v != 0 {
		w.key(num, fixed64)
		w.b = binary.LittleEndian.AppendUint64(w.b, v)
	}
}

func (w *writer) double(num uint64, v float64) { w.fixed64(num, math.Float64bits(v)) }

func (w *writer) string(num uint64, v string) {
	if v != "" {
		w.always(num, v)
	}
}

// always writes a text even if it is empty, as entries of a list are.
func (w *writer) always(num uint64, v string) {
	w.key(num, length)
	w.b = append(protowire.AppendVarint(w.b, uint64(len(v))), v...)
}

func (w *writer) bytes(num uint64, v []byte) {
	if len(v) > 0 {
		w.key(num, length)
		w.b = append(protowire.AppendVarint(w.b, uint64(len(v))), v...)
	}
}

func (w *writer) addr(num uint64, a netip.Addr) {
	switch {
	case a.Is4():
		v := a.As4()
		w.bytes(num, v[:])
	case a.IsValid():
		v := a.As16()
		w.bytes(num, v[:])
	}
}

// guess is how many bytes open keeps for a length: most are of 128 bytes and more.
const guess = 2

// open begins a value with a length before it; close ends it.
func (w *writer) open(num uint64) (at int) {
	w.key(num, length)
	w.b = append(w.b, 0, 0)
	return len(w.b)
}

// close writes the length of the value that begins at.
func (w *writer) close(at int) {
	n := len(w.b) - at
	size := protowire.SizeVarint(uint64(n))
	if more := size - guess; more != 0 {
		w.b = slices.Grow(w.b, size)[:len(w.b)+more]
		copy(w.b[at+more:], w.b[at:at+n])
	}
	binary.PutUvarint(w.b[at-guess:], uint64(n))
}

// fits refuses what the reader would refuse, so that the fault shows where it was
// made.
func (w *writer) fits(field string, n, limit int) bool {
	if n > limit && w.err == nil {
		w.err = fmt.Errorf("%w: %s: %d entries, the limit is %d", ErrTooLarge, field, n, limit)
	}
	return n <= limit
}

// numbers writes a packed list.
func numbers[T uint16 | uint32 | uint64](w *writer, num uint64, field string, v []T) {
	if len(v) == 0 || !w.fits(field, len(v), MaxList) {
		return
	}
	at := w.open(num)
	b := w.b
	for _, n := range v {
		b = protowire.AppendVarint(b, uint64(n))
	}
	w.b = b
	w.close(at)
}

func (w *writer) strings(num uint64, field string, v []string) {
	if w.fits(field, len(v), MaxList) {
		for _, s := range v {
			w.always(num, s)
		}
	}
}

// finish returns dst with the message, or, with an error, dst as it was.
func (w *writer) finish(dst []byte, name string) ([]byte, error) {
	n := len(w.b) - len(dst)
	if w.err == nil && n > MaxMessage {
		w.err = fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, MaxMessage)
	}
	if w.err != nil {
		return dst, fmt.Errorf("%s: %w", name, w.err)
	}
	return w.b, nil
}
