package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/wire"
	"trench/pkg/wire/trenchv1"
)

// What scoring writes over a Features message means what a whole Verdict would.
func TestScoredSaysWhatAVerdictSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var before, want, got record.Record
		filler{t: t}.fill(reflect.ValueOf(&before).Elem(), "")
		filler{t: t}.fill(reflect.ValueOf(&want).Elem(), "")
		features, err := wire.MarshalFeatures(nil, &before)
		if err != nil {
			t.Fatal(err)
		}
		b, err := wire.MarshalScored([]byte("kept"), features, &want)
		if err != nil || !bytes.HasPrefix(b, []byte("kept")) {
			t.Fatalf("%.8q, err = %v", b, err)
		}
		verdictCodec.reads(t, b[4:], &got)
		scored := before
		scored.Score, scored.Margin, scored.Verdict, scored.ModelID = want.Score, want.Margin, want.Verdict, want.ModelID
		scored.VerdictNote, scored.SchemaHash, scored.Reasons, scored.Shadow = want.VerdictNote, want.SchemaHash, want.Reasons, want.Shadow
		if d := cmp.Diff(&scored, &got, same); d != "" {
			t.Fatalf("(-row and verdict +read):\n%s", d)
		}
	})
}

// A features service that is newer than scoring loses nothing of what it wrote.
func TestScoredKeepsWhatANewerFeaturesWrote(t *testing.T) {
	t.Parallel()
	m := &trenchv1.Features{
		Row:    &trenchv1.Row{FlowId: make([]byte, 16), Source: "s", Tls: &trenchv1.Tls{Group: "x25519"}},
		Vector: []float32{1, float32(math.NaN())}, VectorSchema: "hash", // as version 0.0 wrote it
	}
	unknown := func(text string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, 1500, protowire.BytesType), text)
	}
	m.ProtoReflect().SetUnknown(unknown("of features"))
	m.Row.ProtoReflect().SetUnknown(unknown("of the row"))
	m.Row.Tls.ProtoReflect().SetUnknown(unknown("of tls"))
	features, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	// What has no business in Features must not pass for what scoring says.
	features = protowire.AppendVarint(protowire.AppendTag(features, 5, protowire.VarintType), uint64(record.Malicious))
	features = protowire.AppendString(protowire.AppendTag(features, 6, protowire.BytesType), "forged")

	r := &record.Record{Verdict: record.Benign, Score: 0.25, ModelID: "m", VerdictNote: "note"}
	b, err := wire.MarshalScored(nil, features, r)
	if err != nil {
		t.Fatal(err)
	}
	var v trenchv1.Verdict
	if err := proto.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	want := &trenchv1.Verdict{Row: m.Row, Vector: m.Vector, VectorSchema: "hash", Score: 0.25, Level: trenchv1.Level_LEVEL_BENIGN, ModelId: "m"}
	want.ProtoReflect().SetUnknown(unknown("of features"))
	want.Row.VerdictNote = "note"
	for _, m := range []*trenchv1.Verdict{want, &v} { // NaN is not equal to itself
		if math.IsNaN(float64(m.Vector[1])) {
			m.Vector = m.Vector[:1]
		}
	}
	if !proto.Equal(want, &v) {
		t.Errorf("got %v\nwant %v", &v, want)
	}
}

func TestScoredRefusesWhatIsBroken(t *testing.T) {
	t.Parallel()
	for _, b := range []string{"\xff", "\x0a\x05a", "\x00", "\x0c"} {
		if got, err := wire.MarshalScored([]byte("x"), []byte(b), &record.Record{}); !errors.Is(err, wire.ErrMalformed) || string(got) != "x" {
			t.Errorf("%q: %q, err = %v, want ErrMalformed", b, got, err)
		}
	}
	big := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), make([]byte, wire.MaxMessage))
	if _, err := wire.MarshalScored(nil, big, &record.Record{}); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("err = %v, want ErrTooLarge", err)
	}
}

// Scoring hands on fields by their number, so it must mean the same in both.
func TestFeaturesAndVerdictShareTheirNumbers(t *testing.T) {
	t.Parallel()
	features, verdict := (*trenchv1.Features)(nil).ProtoReflect().Descriptor(), (*trenchv1.Verdict)(nil).ProtoReflect().Descriptor()
	reserved := features.ReservedRanges()
	for i := range verdict.Fields().Len() {
		v := verdict.Fields().Get(i)
		f := features.Fields().ByNumber(v.Number())
		switch {
		case v.Number() == 3: // score, and vector_schema in Features: the one exception
		case f == nil && !reserved.Has(v.Number()):
			t.Errorf("number %d is %s in Verdict, and not reserved in Features", v.Number(), v.Name())
		case f != nil && (f.Name() != v.Name() || f.Kind() != v.Kind() || f.Cardinality() != v.Cardinality()):
			t.Errorf("number %d is %s in Features and %s in Verdict", v.Number(), f.Name(), v.Name())
		}
	}
	for i := range features.Fields().Len() {
		if f := features.Fields().Get(i); verdict.Fields().ByNumber(f.Number()) == nil {
			t.Errorf("%s of Features is missing in Verdict", f.Name())
		}
	}
	if reserved.Has(10) || !reserved.Has(protoreflect.FieldNumber(9)) {
		t.Error("Features reserves other numbers than 4 to 9, which the codec leaves out")
	}
}

// Names of a later version are no reason to lose a record.
func TestLaterNamesAreShownAsFarAsTheyCanBe(t *testing.T) {
	t.Parallel()
	marshal := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var f flow.Flow
	m := &trenchv1.Flow{FlowId: make([]byte, 16), Client: &trenchv1.Half{}, Server: &trenchv1.Half{}, App: 200, Before: 70000, EndReason: -1}
	if err := wire.UnmarshalFlow(marshal(m), &f); err != nil || f.App != 200 || f.App.String() != "" || f.Before != flow.AppUnknown || f.End != flow.EndNone {
		t.Errorf("app %d, before %d, end %d, err = %v", f.App, f.Before, f.End, err)
	}
	for level, want := range map[trenchv1.Level]string{
		4: "n; the verdict is level 4 of a later version", -1: "n; the verdict is level -1 of a later version", 3: "n",
	} {
		v := &trenchv1.Verdict{Row: &trenchv1.Row{FlowId: make([]byte, 16), VerdictNote: "n"}, Level: level, Score: 0.5, Shadow: []*trenchv1.Shadow{{Level: level}}}
		var r record.Record
		known := record.Unscored
		if level == 3 {
			known = record.Malicious
		}
		if err := wire.UnmarshalVerdict(marshal(v), &r); err != nil || r.Verdict != known || r.Shadow[0].Verdict != known || r.VerdictNote != want || r.Score != 0.5 {
			t.Errorf("level %d: %v, %q, err = %v", level, r.Verdict, r.VerdictNote, err)
		}
	}
}

func TestMalformedVectorsAreRefused(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{
		"\x80":                         "EOF",
		"\xff\xff\x7f":                 "2097151 columns, the limit is 16384",
		"\x09\xff\xff\x00":             "9 columns in 4 bytes",
		"\x01\x02\x00":                 "more than the 1 columns",
		"\x01\x01\x00":                 "EOF",
		"\x01\x01\x00\x81\x80\x80\x08": "whole number 16777217 is above 16777216",
		"\x01\x01\x01\x00\x00\x00":     "EOF",
		"\x01\x01\x00\x05\x05":         "1 bytes are left",
		"\x00\x00":                     "1 bytes are left",
	} {
		b, err := proto.Marshal(&trenchv1.Features{Row: &trenchv1.Row{FlowId: make([]byte, 16)}, Values: []byte(values)})
		if err != nil {
			t.Fatal(err)
		}
		var r record.Record
		if err := wire.UnmarshalFeatures(b, &r); !errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: err = %v, want %q", values, err, want)
		}
	}
}

func TestPlacesOfFaultsAreNamed(t *testing.T) {
	t.Parallel()
	b, err := wire.MarshalFeatures(nil, &record.Record{Source: "s", DNS: &record.DNS{Queries: []record.Query{{Name: "example.org"}}}})
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("example.org"))
	b[at-1]++ // longer than its message
	var r record.Record
	if err := wire.UnmarshalFeatures(slices.Clip(b), &r); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("features: malformed message: at byte %d: unexpected EOF", at)) {
		t.Errorf("err = %v, want it to name byte %d", err, at)
	}
}

// What is written takes no memory but its message. What is read into the same value
// again and again takes one small allocation for the state of the reading, and one for
// each object, and each list of texts or objects, that the message has.
func TestTheHotPathAllocatesLittle(t *testing.T) {
	typicalRow := typicalRecord()
	typicalRow.CertChain[0].SANs, typicalRow.HTTP = nil, nil // leaves the chain, DNS, its answers, and the reasons
	typical := typicalFlow()
	flowBytes, err := wire.MarshalFlow(nil, typical)
	if err != nil {
		t.Fatal(err)
	}
	features, err := wire.MarshalFeatures(nil, typicalRow)
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := wire.MarshalScored(nil, features, typicalRow)
	if err != nil {
		t.Fatal(err)
	}
	var f flow.Flow
	var r, v record.Record
	buf := make([]byte, 0, 64<<10)
	for name, c := range map[string]struct {
		most float64
		do   func() error
	}{
		"marshal flow":       {0, func() error { _, err := wire.MarshalFlow(buf, typical); return err }},
		"unmarshal flow":     {1, func() error { return wire.UnmarshalFlow(flowBytes, &f) }},
		"marshal features":   {0, func() error { _, err := wire.MarshalFeatures(buf, typicalRow); return err }},
		"unmarshal features": {4, func() error { return wire.UnmarshalFeatures(features, &r) }},
		"marshal scored":     {0, func() error { _, err := wire.MarshalScored(buf, features, typicalRow); return err }},
		"marshal verdict":    {0, func() error { _, err := wire.MarshalVerdict(buf, typicalRow); return err }},
		"unmarshal verdict":  {5, func() error { return wire.UnmarshalVerdict(verdict, &v) }},
	} {
		if n := testing.AllocsPerRun(50, func() {
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
		}); n > c.most {
			t.Errorf("%s allocates %v times, want %v at most", name, n, c.most)
		}
	}
}

// What was read can be appended to without harm to the message beside it.
func TestAppendingToWhatWasReadLeavesTheMessageAlone(t *testing.T) {
	t.Parallel()
	b, err := wire.MarshalFlow(nil, typicalFlow())
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(b)
	var f flow.Flow
	if err := wire.UnmarshalFlow(b, &f); err != nil {
		t.Fatal(err)
	}
	for i := range f.Half {
		_ = append(f.Half[i].Handshake, "more"...)
	}
	if !bytes.Equal(b, before) {
		t.Error("the message has changed")
	}
}
