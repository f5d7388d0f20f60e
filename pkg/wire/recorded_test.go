package wire_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/wire"
)

// recordAs names a version whose messages are written anew: at a release,
//
//	go test ./pkg/wire -run Recorded -record 1.2
var recordAs = flag.String("record", "", "write testdata/recorded/VERSION with today's code, from the values of version 0.0")

const recorded = "testdata/recorded"

// What any version has put on the bus, today's code reads as it was meant. A folder
// is a version: NAME.flow, NAME.features and NAME.verdict are messages as it wrote
// them, and each has beside it, as .txt, what it says. The flows are those of
// testdata/pcap/demo.pcap; in full every field is set that the version knew.
func TestRecordedMessagesOfEveryVersionAreRead(t *testing.T) {
	t.Parallel()
	if *recordAs != "" {
		writeRecorded(t, filepath.Join(recorded, *recordAs))
	}
	messages, err := filepath.Glob(recorded + "/*/*.*")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]int{}
	for _, path := range messages {
		if filepath.Ext(path) == ".txt" {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := said(filepath.Ext(path), b)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		want, err := os.ReadFile(path + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s is read otherwise (-recorded +today):\n%s", path, d)
		}
		read[filepath.Dir(path)]++
	}
	if len(read) < 2 {
		t.Errorf("messages of %d versions, want 0.0 and 0.1 at least", len(read))
	}
	for version, n := range read {
		if n < 15 {
			t.Errorf("%s: %d messages, want 15 at least", version, n)
		}
	}
}

// said lists what a message says, a line a field.
func said(kind string, b []byte) (string, error) {
	var v any
	var err error
	switch kind {
	case ".flow":
		f := new(flow.Flow)
		v, err = f, wire.UnmarshalFlow(b, f)
	case ".features":
		r := new(record.Record)
		v, err = r, wire.UnmarshalFeatures(b, r)
	case ".verdict":
		r := new(record.Record)
		v, err = r, wire.UnmarshalVerdict(b, r)
	default:
		err = fmt.Errorf("no message is called %s", kind)
	}
	var text strings.Builder
	if err == nil {
		list(&text, reflect.ValueOf(v).Elem(), "")
	}
	return text.String(), err
}

// list writes a line for every field that has a value.
func list(w *strings.Builder, v reflect.Value, path string) {
	switch x := v.Interface().(type) {
	case flow.ID:
		fmt.Fprintf(w, "%s %v\n", path, x)
		return
	case netip.Addr, netip.AddrPort:
		fmt.Fprintf(w, "%s %v\n", path, x)
		return
	case []byte:
		if len(x) > 0 {
			fmt.Fprintf(w, "%s %s\n", path, hex.EncodeToString(x))
		}
		return
	case [256]uint16:
		if x != [256]uint16{} {
			fmt.Fprintf(w, "%s %d\n", path, x)
		}
		return
	case []float32:
		for i, f := range x {
			if math.IsNaN(float64(f)) {
				fmt.Fprintf(w, "%s[%d] NaN %x\n", path, i, math.Float32bits(f))
			} else if f != 0 {
				fmt.Fprintf(w, "%s[%d] %v\n", path, i, f)
			}
		}
		fmt.Fprintf(w, "%s# %d\n", path, len(x))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fmt.Fprintf(w, "%s is set\n", path)
			list(w, v.Elem(), path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			list(w, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			list(w, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.String:
		if v.Len() > 0 {
			fmt.Fprintf(w, "%s %q\n", path, v.String())
		}
	case reflect.Float64:
		if math.Float64bits(v.Float()) != 0 {
			fmt.Fprintf(w, "%s %v\n", path, v.Float())
		}
	case reflect.Uint8: // names that a later version may give are not recorded
		if v.Uint() != 0 {
			fmt.Fprintf(w, "%s %d\n", path, v.Uint())
		}
	default:
		if !v.IsZero() {
			fmt.Fprintf(w, "%s %v\n", path, v.Interface())
		}
	}
}

// writeRecorded makes the messages of a version with today's code.
func writeRecorded(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string, b []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text, err := said(filepath.Ext(name), b)
		if err != nil {
			t.Fatal(err)
		}
		for file, data := range map[string][]byte{name: b, name + ".txt": []byte(text)} {
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, err := filepath.Glob(recorded + "/0.0/*.flow")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range first {
		name := strings.TrimSuffix(filepath.Base(path), ".flow")
		var f flow.Flow
		var r, v record.Record
		if name == "full" {
			full(reflect.ValueOf(&f).Elem(), new(int))
			full(reflect.ValueOf(&v).Elem(), new(int))
			r = v
		} else {
			load(t, path, &f, wire.UnmarshalFlow)
			load(t, strings.TrimSuffix(path, ".flow")+".features", &r, wire.UnmarshalFeatures)
			load(t, strings.TrimSuffix(path, ".flow")+".verdict", &v, wire.UnmarshalVerdict)
		}
		b, err := wire.MarshalFlow(nil, &f)
		put(name+".flow", b, err)
		b, err = wire.MarshalFeatures(nil, &r)
		put(name+".features", b, err)
		b, err = wire.MarshalScored(nil, b, &v)
		put(name+".verdict", b, err)
	}
}

func load[T any](t *testing.T, path string, v *T, read func([]byte, *T) error) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := read(b, v); err != nil {
		t.Fatal(err)
	}
}

// full sets every field to a value of its own.
func full(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case []record.Hop: // travels in a header
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(netip.MustParseAddr("2001:db8::7"), uint16(*n))))
		return
	case record.Verdict, flow.Direction:
		v.SetUint(1)
		return
	case []float32:
		values := []float32{0, 1, 127, 128, 70000, -1, 0.1, float32(math.NaN()), math.Float32frombits(0x80000000), math.Float32frombits(0xffc12345), math.MaxFloat32}
		v.Set(reflect.ValueOf(append(values, make([]float32, 361)...)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d \xff", *n))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(*n) + 0.25)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 200))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		full(v.Elem(), n)
	case reflect.Slice:
		size := 2
		if v.Type() == reflect.TypeFor[[]uint32]() { // byte_dist has 256, and lists of numbers may
			size = 256
		}
		v.Set(reflect.MakeSlice(v.Type(), size, size))
		for i := range size {
			full(v.Index(i), n)
		}
	case reflect.Array:
		for i := range min(v.Len(), 16) {
			full(v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			full(v.Field(i), n)
		}
	default:
		panic("no rule for " + v.Type().String())
	}
}
