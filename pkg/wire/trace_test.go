package wire_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"trench/pkg/record"
	"trench/pkg/wire"
)

func TestATraceHoldsItsHops(t *testing.T) {
	t.Parallel()
	var trace []byte
	hops := []record.Hop{
		{Stage: "capture", Micros: 1764003680123456, Partition: -1, Offset: -1},
		{Stage: "features", Micros: 1764003680128666, Partition: 3, Offset: 18822},
		{Stage: "scoring", Micros: 1764003680128600, Partition: 0, Offset: 0}, // another machine's clock is behind
	}
	for _, h := range hops {
		trace = wire.AppendHop(trace, h)
	}
	if want := "capture=1764003680123456 features=+5210,3:18822 scoring=-66,0:0"; string(trace) != want {
		t.Errorf("trace is %q, want %q", trace, want)
	}
	if d := cmp.Diff(hops, wire.ParseTrace(trace)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestATraceIsBoundedAndNonsenseIsBegunAnew(t *testing.T) {
	t.Parallel()
	h := record.Hop{Stage: "s", Micros: 7, Partition: -1}
	trace := []byte("no=sense, at all")
	for range 40 {
		trace = wire.AppendHop(trace, h)
	}
	if n := len(wire.ParseTrace(trace)); n != 16 {
		t.Errorf("%d hops, want 16", n)
	}
	for _, bad := range []string{"x", "=1", "a=b", "a=1,2", "a=1,x:2", "a=1,2:x", "a=1  b=2", strings.Repeat("a=1 ", 17)} {
		if hops := wire.ParseTrace([]byte(bad)); hops != nil {
			t.Errorf("%q is read as %v", bad, hops)
		}
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add([]byte("capture=1764003680123456 features=+5210,3:18822"))
	f.Fuzz(func(t *testing.T, b []byte) {
		hops := wire.ParseTrace(b)
		if len(hops) == 0 {
			return
		}
		var again []byte
		for _, h := range hops {
			again = wire.AppendHop(again, h)
		}
		if d := cmp.Diff(hops, wire.ParseTrace(again)); d != "" {
			t.Errorf("%q (-want +got):\n%s", b, d)
		}
	})
}

func TestAnyTraceIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var trace []byte
		var hops []record.Hop
		for range rapid.IntRange(1, 16).Draw(t, "hops") {
			h := record.Hop{
				Stage: rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "stage"), Micros: rapid.Int64Range(0, 1<<55).Draw(t, "at"),
				Partition: rapid.IntRange(0, 1<<20).Draw(t, "partition"), Offset: rapid.Int64Range(0, 1<<60).Draw(t, "offset"),
			}
			hops, trace = append(hops, h), wire.AppendHop(trace, h)
		}
		if d := cmp.Diff(hops, wire.ParseTrace(trace)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func BenchmarkAppendHop(b *testing.B) {
	trace := []byte("capture=1764003680123456 features=+5210,3:18822")
	h := record.Hop{Stage: "scoring", Micros: 1764003680138666, Partition: 0, Offset: 1212}
	b.ReportAllocs()
	for b.Loop() {
		wire.AppendHop(trace, h)
	}
}
