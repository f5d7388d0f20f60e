package torture_test

import (
	"testing"

	"trench/pkg/bus"
	"trench/pkg/flow"
	"trench/pkg/internal/torture"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

func TestPoisonIsOfAllKindsAndNobodyCanReadIt(t *testing.T) {
	t.Parallel()
	real, err := stage.EncodeFlow(&flow.Flow{ID: flow.ID{1}, Source: "a"}, "capture")
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.DecodeFlow(&real, new(flow.Flow)); err != nil {
		t.Fatal(err)
	}
	p := torture.NewPoison("poison-", map[string][]bus.Record{wire.TopicFlows: {real}})
	keys := map[string]bool{}
	var empty, whole, cut, huge, other int
	for range 200 {
		r, err := p.Record(wire.TopicFlows)
		if err != nil {
			t.Fatal(err)
		}
		if stage.DecodeFlow(&r, new(flow.Flow)) == nil {
			t.Fatalf("%x can be read", r.Value)
		}
		if r.Size() > wire.MaxMessage {
			t.Errorf("%d bytes do not fit on the bus", r.Size())
		}
		keys[string(r.Key)] = true
		switch n := len(r.Value); {
		case n == 0:
			empty++
		case n > 1<<19:
			huge++
		case string(r.Value) == string(real.Value):
			whole++
		case n < len(real.Value) && string(r.Value) == string(real.Value[:n]):
			cut++
		default:
			other++
		}
	}
	if len(keys) != 200 || empty == 0 || whole == 0 || cut == 0 || huge == 0 || other == 0 {
		t.Errorf("%d keys; %d empty, %d whole, %d cut, %d huge, %d others", len(keys), empty, whole, cut, huge, other)
	}
}
