package wire_test

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"trench/pkg/flow"
	"trench/pkg/record"
)

// same compares bit for bit; nil and empty lists are the same.
var same = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

// filler fills any value by reflection. It knows the few lists that have a
// length of their own.
type filler struct {
	t *rapid.T
}

func (f filler) fill(v reflect.Value, path string) {
	switch v.Interface().(type) {
	case []record.Hop: // travels in a header
		return
	case flow.ID:
		v.Set(reflect.ValueOf(flow.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(f.t, path))))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(f.addr(path)))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(f.addr(path), rapid.Uint16().Draw(f.t, path))))
		return
	case record.Verdict:
		v.SetUint(uint64(rapid.IntRange(0, int(record.Malicious)).Draw(f.t, path)))
		return
	case flow.Direction:
		v.SetUint(uint64(rapid.IntRange(0, 1).Draw(f.t, path)))
		return
	case []float32:
		v.Set(reflect.ValueOf(f.vector(path)))
		return
	case record.Packet: // deltas are whole nanoseconds or not
		d := float64(rapid.IntRange(0, 1<<40).Draw(f.t, path)) / 1e9
		v.Set(reflect.ValueOf(record.Packet{Length: rapid.Int32().Draw(f.t, path), Delta: d}))
		if rapid.IntRange(0, 9).Draw(f.t, path+"?") > 0 {
			return
		}
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(f.t, path))
	case reflect.String:
		v.SetString(string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(f.t, path))) // need not be UTF-8
	case reflect.Float32:
		v.SetFloat(float64(math.Float32frombits(quiet(rapid.Uint32().Draw(f.t, path)))))
	case reflect.Float64:
		v.SetFloat(math.Float64frombits(rapid.Uint64().Draw(f.t, path)))
	case reflect.Int32, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(f.t, path) >> (64 - v.Type().Bits()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(f.t, path) >> (64 - v.Type().Bits()))
	case reflect.Pointer:
		if rapid.Bool().Draw(f.t, path+"?") {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), path)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(f.t, path+"#")
		if path == ".ByteDist" {
			n = min(n, 1) * 256
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i), fmt.Sprint(path, "[", i, "]"))
		}
	case reflect.Array:
		if v.Len() == 256 { // byte counts: mostly a few, sometimes all
			for range rapid.SampledFrom([]int{0, 1, 7, 400}).Draw(f.t, path+"#") {
				v.Index(rapid.IntRange(0, 255).Draw(f.t, path+"i")).SetUint(uint64(rapid.IntRange(0, 4000).Draw(f.t, path)))
			}
			return
		}
		for i := range v.Len() {
			f.fill(v.Index(i), fmt.Sprint(path, "[", i, "]"))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	default:
		panic("no rule for " + path)
	}
}

// vector draws columns of every kind, of which most vectors have all.
func (f filler) vector(path string) []float32 {
	v := make([]float32, rapid.SampledFrom([]int{0, 1, 7, 8, 9, 64, 372}).Draw(f.t, path+"#"))
	for i := range v {
		v[i] = math.Float32frombits(rapid.SampledFrom([]uint32{
			0, 0, 0, 0x7fc00000, 0x7fc00000, 0xffc00000, 0x7f800001, 0x80000000, 1, 0x7f800000, 0xff800000, // NaNs, −0, the smallest, ∞
			math.Float32bits(float32(rapid.IntRange(-5, 300).Draw(f.t, path))), math.Float32bits(float32(rapid.IntRange(1<<21-2, 1<<21+2).Draw(f.t, path))),
			math.Float32bits(1 << 24), math.Float32bits(1 << 31), math.Float32bits(0.1), rapid.Uint32().Draw(f.t, path),
		}).Draw(f.t, path))
	}
	return v
}

// quiet sets the quiet bit of a NaN: the conversion of float32 to float64 that
// reflection makes would set it anyway.
func quiet(b uint32) uint32 {
	if b&0x7f800000 == 0x7f800000 && b&0x7fffff != 0 {
		return b | 0x400000
	}
	return b
}

func (f filler) addr(path string) netip.Addr {
	n := rapid.SampledFrom([]int{0, 4, 16}).Draw(f.t, path+"#")
	a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(f.t, path))
	return a
}

// eachField calls visit with values of type T in which only one leaf field,
// named by path, is set: no field can hide behind another.
func eachField[T any](t *testing.T, visit func(t *testing.T, path string, v *T)) {
	var root T
	typ := reflect.TypeOf(root)
	var walk func(typ reflect.Type, path string, at func(*T) reflect.Value)
	walk = func(typ reflect.Type, path string, at func(*T) reflect.Value) {
		leaf := func(set func(reflect.Value)) {
			v := new(T)
			set(at(v))
			visit(t, path, v)
		}
		switch reflect.Zero(typ).Interface().(type) {
		case []record.Hop: // travels in a header
			return
		case flow.ID:
			leaf(func(v reflect.Value) { v.Index(3).SetUint(7) })
			return
		case netip.Addr:
			leaf(func(v reflect.Value) { v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.7"))) })
			return
		case netip.AddrPort:
			leaf(func(v reflect.Value) { v.Set(reflect.ValueOf(netip.MustParseAddrPort("[2001:db8::7]:443"))) })
			return
		}
		switch typ.Kind() {
		case reflect.Bool:
			leaf(func(v reflect.Value) { v.SetBool(true) })
		case reflect.String:
			leaf(func(v reflect.Value) { v.SetString("x\xff") })
		case reflect.Float32, reflect.Float64:
			leaf(func(v reflect.Value) { v.SetFloat(-1.5) })
		case reflect.Int32, reflect.Int64:
			leaf(func(v reflect.Value) { v.SetInt(-5) })
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			leaf(func(v reflect.Value) { v.SetUint(1) })
		case reflect.Pointer:
			walk(typ.Elem(), path, func(r *T) reflect.Value {
				p := at(r)
				p.Set(reflect.New(typ.Elem()))
				return p.Elem()
			})
		case reflect.Slice:
			n := 2
			if path == ".ByteDist" {
				n = 256
			}
			walk(typ.Elem(), path+"[]", func(r *T) reflect.Value {
				s := at(r)
				s.Set(reflect.MakeSlice(typ, n, n))
				return s.Index(1)
			})
		case reflect.Array:
			for i := range 2 {
				walk(typ.Elem(), fmt.Sprint(path, "[", i, "]"), func(r *T) reflect.Value { return at(r).Index(i) })
			}
		case reflect.Struct:
			for i := range typ.NumField() {
				walk(typ.Field(i).Type, path+"."+typ.Field(i).Name, func(r *T) reflect.Value { return at(r).Field(i) })
			}
		default:
			t.Fatalf("no rule for %s", path)
		}
	}
	walk(typ, "", func(r *T) reflect.Value { return reflect.ValueOf(r).Elem() })
}
