package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/wire"
	"trench/pkg/wire/trenchv1"
)

// codec is one message both ways, by this package and by the generated code.
type codec[T any] struct {
	message                  protoreflect.MessageDescriptor
	marshal, oracleMarshal   func([]byte, *T) ([]byte, error)
	unmarshal, oracleReading func([]byte, *T) error
}

var (
	flowCodec = codec[flow.Flow]{
		(*trenchv1.Flow)(nil).ProtoReflect().Descriptor(),
		wire.MarshalFlow, oracleMarshalFlow, wire.UnmarshalFlow, oracleUnmarshalFlow,
	}
	featuresCodec = codec[record.Record]{
		(*trenchv1.Features)(nil).ProtoReflect().Descriptor(),
		wire.MarshalFeatures, oracleMarshalFeatures, wire.UnmarshalFeatures, oracleUnmarshalFeatures,
	}
	verdictCodec = codec[record.Record]{
		(*trenchv1.Verdict)(nil).ProtoReflect().Descriptor(),
		wire.MarshalVerdict, oracleMarshalVerdict, wire.UnmarshalVerdict, oracleUnmarshalVerdict,
	}
)

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// writes checks that in becomes the bytes that the generated code gives.
func (c *codec[T]) writes(t failer, in *T) []byte {
	t.Helper()
	got, err := c.marshal(nil, in)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	want, err := c.oracleMarshal(nil, in)
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s is written as\n%x\nthe generated code writes\n%x", c.message.Name(), got, want)
	}
	return got
}

// reads checks that b is read, or refused, as the generated code does it; into is
// overwritten.
func (c *codec[T]) reads(t failer, b []byte, into *T) {
	t.Helper()
	var want T
	err, oracle := c.unmarshal(bytes.Clone(b), into), c.oracleReading(b, &want)
	if (err == nil) != (oracle == nil) {
		t.Fatalf("%s %x: err = %v, by the generated code %v", c.message.Name(), b, err, oracle)
	}
	if err != nil {
		if !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("%s: err = %v, want ErrMalformed", c.message.Name(), err)
		}
		return
	}
	if d := cmp.Diff(&want, into, same); d != "" {
		t.Fatalf("%s %x is read otherwise (-generated code +wire):\n%s", c.message.Name(), b, d)
	}
}

// check writes a random value and reads it as it is and in other words.
func (c *codec[T]) check(t *rapid.T, last *T) {
	var in T
	filler{t: t}.fill(reflect.ValueOf(&in).Elem(), "")
	b := c.writes(t, &in)
	c.reads(t, b, last)
	c.reads(t, reworded(t, b, c.message), last)
	b = slices.Clone(b)
	b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	c.reads(t, b[:rapid.IntRange(len(b)/2, len(b)).Draw(t, "cut")], last)
}

// Whatever is written is written byte for byte as the code writes that is generated
// of the schema; whatever is read means the same to both, whether whole, broken, or
// said otherwise. What was read before leaves no trace.
func TestTheGeneratedCodeAgrees(t *testing.T) {
	t.Parallel()
	t.Run("flow", func(t *testing.T) {
		t.Parallel()
		var last flow.Flow
		rapid.Check(t, func(t *rapid.T) { flowCodec.check(t, &last) })
	})
	t.Run("features", func(t *testing.T) {
		t.Parallel()
		var last record.Record
		rapid.Check(t, func(t *rapid.T) { featuresCodec.check(t, &last) })
	})
	t.Run("verdict", func(t *testing.T) {
		t.Parallel()
		var last record.Record
		rapid.Check(t, func(t *rapid.T) { verdictCodec.check(t, &last) })
	})
}

// reworded says the same, or what a merge makes of it, in another way that protobuf
// allows: fields in another order or twice, messages in parts, lists packed or not,
// fields that nobody knows, numbers longer than they must be.
func reworded(t *rapid.T, b []byte, m protoreflect.MessageDescriptor) []byte {
	var parts [][]byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeField(b)
		field := b[:n]
		b = b[n:]
		fd := m.Fields().ByNumber(num)
		_, _, head := protowire.ConsumeTag(field)
		switch how := rapid.IntRange(0, 9).Draw(t, "how"); {
		case how == 0: // twice
			parts = append(parts, field, field)
		case how == 1: // with one that nobody knows
			unknown := protowire.AppendTag(nil, 700, protowire.StartGroupType)
			unknown = protowire.AppendVarint(protowire.AppendTag(unknown, 3, protowire.VarintType), 1<<63)
			parts = append(parts, field, protowire.AppendTag(unknown, 700, protowire.EndGroupType))
		case how == 2: // of another type: as if unknown
			parts = append(parts, field, protowire.AppendFixed32(protowire.AppendTag(nil, num, protowire.Fixed32Type), 5))
		case how == 3 && typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(field[head:])
			parts = append(parts, longer(protowire.AppendTag(nil, num, typ), v))
		case fd == nil:
			parts = append(parts, field)
		case fd.Message() != nil:
			body, _ := protowire.ConsumeBytes(field[head:])
			body = reworded(t, body, fd.Message())
			if cut := 0; how < 6 && !fd.IsList() { // in parts
				for rest := body; len(rest) > 0 && cut < len(body)/2; rest = body[cut:] {
					_, _, n := protowire.ConsumeField(rest)
					cut += n
				}
				parts = append(parts, protowire.AppendBytes(protowire.AppendTag(nil, num, typ), body[:cut]))
				body = body[cut:]
			}
			parts = append(parts, protowire.AppendBytes(protowire.AppendTag(nil, num, typ), body))
		case fd.IsPacked() && how < 7 && typ == protowire.BytesType: // one by one
			body, _ := protowire.ConsumeBytes(field[head:])
			single := protowire.VarintType
			switch fd.Kind() {
			case protoreflect.FloatKind:
				single = protowire.Fixed32Type
			case protoreflect.DoubleKind:
				single = protowire.Fixed64Type
			}
			for len(body) > 0 {
				n := protowire.ConsumeFieldValue(num, single, body)
				parts = append(parts, append(protowire.AppendTag(nil, num, single), body[:n]...))
				body = body[n:]
			}
		default:
			parts = append(parts, field)
		}
	}
	if rapid.Bool().Draw(t, "turn") {
		slices.Reverse(parts)
	}
	return bytes.Join(parts, nil)
}

// longer appends v as a varint with needless bytes.
func longer(b []byte, v uint64) []byte {
	at := len(b)
	b = protowire.AppendVarint(b, v)
	if len(b)-at < 9 {
		b[len(b)-1] |= 0x80
		b = append(b, 0x80, 0)
	}
	return b
}

func FuzzFlow(f *testing.F) {
	b, err := wire.MarshalFlow(nil, typicalFlow())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) { again(t, &flowCodec, b) })
}

func FuzzFeatures(f *testing.F) {
	b, err := wire.MarshalFeatures(nil, typicalRecord())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, &featuresCodec, b)
		var r, scored record.Record
		scored.VerdictNote, scored.SchemaHash = "left over", "left over"
		if wire.UnmarshalFeatures(b, &r) != nil {
			return
		}
		v, err := wire.MarshalScored(nil, b, &r)
		if err != nil {
			t.Fatal(err)
		}
		verdictCodec.reads(t, v, &scored)
		if d := cmp.Diff(&r, &scored, same); d != "" {
			t.Fatalf("scored is not what was read (-read +scored):\n%s", d)
		}
	})
}

func FuzzVerdict(f *testing.F) {
	b, err := wire.MarshalVerdict(nil, typicalRecord())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { again(t, &verdictCodec, b) })
}

// again reads b as the generated code does, and what it says once more.
func again[T any](t *testing.T, c *codec[T], b []byte) {
	var in, out T
	c.reads(t, b, &in)
	if c.unmarshal(b, &in) != nil {
		return
	}
	c.reads(t, c.writes(t, &in), &out)
	if d := cmp.Diff(&in, &out, same); d != "" {
		t.Fatalf("what was read does not survive (-read +again):\n%s", d)
	}
}
