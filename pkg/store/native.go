package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// codec writes rows as one column of ClickHouse's Native format, in which a column
// is all its values one after the other:
//
//	numbers         little endian, a Bool is one byte
//	String          length as a varint, bytes
//	Nullable(T)     a byte for each row, 1 where it is NULL; then T's column, with any value there
//	Array(T)        for each row the end of its elements as UInt64; then T's column of all elements
//	Tuple(a, b)     a's column, b's column
//	LowCardinality  flags and width of the keys, number of different values, these, number of rows, a key for each row
//
// Codecs are put together as types are, so what is written and the name of its type
// can not come apart, and values are taken from where they are.
type codec[R any] struct {
	typ    string
	append func(dst []byte, rows []*R) []byte
}

// column is one column that is written, by its name in the table.
type column[R any] struct {
	name string
	codec[R]
}

type whole interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int8 | ~int16 | ~int32 | ~int64
}

// intType returns ClickHouse's name of N and how many bytes it has.
func intType[N whole]() (name string, size int) {
	var zero N
	size = binary.Size(zero)
	if name = "Int"; zero-1 > 0 {
		name = "UInt"
	}
	return fmt.Sprintf("%s%d", name, 8*size), size
}

// appendInt appends the size low bytes of n.
func appendInt[N whole](dst []byte, n N, size int) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(n))[:len(dst)+size]
}

func integer[R any, N whole](get func(*R) N) codec[R] {
	typ, size := intType[N]()
	return codec[R]{typ, func(dst []byte, rows []*R) []byte {
		for _, r := range rows {
			dst = appendInt(dst, get(r), size)
		}
		return dst
	}}
}

// as gives a codec the name of another type that is written in the same way.
func as[R any](typ string, c codec[R]) codec[R] { return codec[R]{typ, c.append} }

func boolean[R any](get func(*R) bool) codec[R] {
	return as("Bool", integer(func(r *R) uint8 {
		if get(r) {
			return 1
		}
		return 0
	}))
}

// instant is a time in ns since the Unix epoch.
func instant[R any](get func(*R) int64) codec[R] { return as("DateTime64(9, 'UTC')", integer(get)) }

func real[R any](get func(*R) float64) codec[R] {
	return as("Float64", integer(func(r *R) uint64 { return math.Float64bits(get(r)) }))
}

// maybe is a number that is NULL when it was not observed.
func maybe[R any](get func(*R) float64) codec[R] {
	observed := func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
	return codec[R]{"Nullable(Float64)", func(dst []byte, rows []*R) []byte {
		for _, r := range rows {
			null := byte(1)
			if observed(get(r)) {
				null = 0
			}
			dst = append(dst, null)
		}
		for _, r := range rows {
			f := get(r)
			if !observed(f) {
				f = 0
			}
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
		}
		return dst
	}}
}

func appendString[S string | []byte](dst []byte, s S) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// valid puts U+FFFD in place of every byte that is not UTF-8, as the row's other
// forms (NDJSON, CSV) do.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func text[R any](get func(*R) string) codec[R] {
	return codec[R]{"String", func(dst []byte, rows []*R) []byte {
		for _, r := range rows {
			dst = appendString(dst, valid(get(r)))
		}
		return dst
	}}
}

// octets is a String of bytes as they are.
func octets[R any](get func(*R) []byte) codec[R] {
	return codec[R]{"String", func(dst []byte, rows []*R) []byte {
		for _, r := range rows {
			dst = appendString(dst, get(r))
		}
		return dst
	}}
}

// printed is text that is made on the way.
func printed[R any](print func([]byte, *R) []byte) codec[R] {
	return codec[R]{"String", func(dst []byte, rows []*R) []byte {
		var scratch [128]byte
		for _, r := range rows {
			dst = appendString(dst, print(scratch[:0], r))
		}
		return dst
	}}
}

// The flags of a LowCardinality column that brings its own dictionary; the lowest
// byte is the width of the keys.
const (
	ownDictionary = 1<<9 | 1<<10
	keys8         = 0
	keys16        = 1
	keys32        = 2
)

// short is text that repeats from row to row.
func short[R any](get func(*R) string) codec[R] {
	return codec[R]{"LowCardinality(String)", func(dst []byte, rows []*R) []byte {
		if len(rows) == 0 {
			return dst
		}
		dictionary := []string{""} // the first is the type's default
		var known map[string]uint32
		keys := make([]uint32, len(rows))
		last, lastKey := "", uint32(0)
		for i, r := range rows {
			s := valid(get(r))
			if s == "" {
				continue
			}
			if s != last {
				key, ok := known[s]
				if !ok {
					key = uint32(len(dictionary))
					dictionary = append(dictionary, s)
					if known == nil && len(rows) > 1 {
						known = map[string]uint32{}
					}
					if known != nil {
						known[s] = key
					}
				}
				last, lastKey = s, key
			}
			keys[i] = lastKey
		}
		width, size := uint64(keys8), 1
		switch n := len(dictionary); {
		case n > math.MaxUint16:
			width, size = keys32, 4
		case n > math.MaxUint8:
			width, size = keys16, 2
		}
		dst = binary.LittleEndian.AppendUint64(dst, ownDictionary|width)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(dictionary)))
		for _, s := range dictionary {
			dst = appendString(dst, s)
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(keys)))
		for _, k := range keys {
			dst = appendInt(dst, k, size)
		}
		return dst
	}}
}

// ends appends where the elements of each row end, and returns how many there are.
func ends[R, E any](dst []byte, rows []*R, get func(*R) []E) ([]byte, int) {
	n := 0
	for _, r := range rows {
		n += len(get(r))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
	}
	return dst, n
}

// list is an array of what element writes.
func list[R, E any](get func(*R) []E, element codec[E]) codec[R] {
	return codec[R]{"Array(" + element.typ + ")", func(dst []byte, rows []*R) []byte {
		dst, n := ends(dst, rows, get)
		if n == 0 {
			return dst
		}
		elements := make([]*E, 0, n)
		for _, r := range rows {
			of := get(r)
			for i := range of {
				elements = append(elements, &of[i])
			}
		}
		return element.append(dst, elements)
	}}
}

func integers[R any, N whole](get func(*R) []N) codec[R] {
	typ, size := intType[N]()
	return codec[R]{"Array(" + typ + ")", func(dst []byte, rows []*R) []byte {
		dst, _ = ends(dst, rows, get)
		for _, r := range rows {
			for _, n := range get(r) {
				dst = appendInt(dst, n, size)
			}
		}
		return dst
	}}
}

func reals[R any](get func(*R) []float32) codec[R] {
	return codec[R]{"Array(Float32)", func(dst []byte, rows []*R) []byte {
		dst, _ = ends(dst, rows, get)
		for _, r := range rows {
			for _, f := range get(r) {
				dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
			}
		}
		return dst
	}}
}

func texts[R any](get func(*R) []string) codec[R] {
	return codec[R]{"Array(String)", func(dst []byte, rows []*R) []byte {
		dst, _ = ends(dst, rows, get)
		for _, r := range rows {
			for _, s := range get(r) {
				dst = appendString(dst, valid(s))
			}
		}
		return dst
	}}
}

func tuple[R any](fields ...column[R]) codec[R] {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name + " " + f.typ
	}
	return codec[R]{"Tuple(" + strings.Join(names, ", ") + ")", func(dst []byte, rows []*R) []byte {
		for _, f := range fields {
			dst = f.append(dst, rows)
		}
		return dst
	}}
}

// within writes what a row points to; a row that points to nothing is written as
// absent.
func within[R, P any](get func(*R) *P, absent P, c codec[P]) codec[R] {
	return codec[R]{c.typ, func(dst []byte, rows []*R) []byte {
		inner := make([]*P, len(rows))
		for i, r := range rows {
			if inner[i] = get(r); inner[i] == nil {
				inner[i] = &absent
			}
		}
		return c.append(dst, inner)
	}}
}

// wide is an integer of 128 bits.
func wide[R any](get func(*R) version) codec[R] {
	return codec[R]{"UInt128", func(dst []byte, rows []*R) []byte {
		for _, r := range rows {
			v := get(r)
			dst = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, v.low), v.high)
		}
		return dst
	}}
}
