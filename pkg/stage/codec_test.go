package stage_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trench/pkg/bus"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// A verdict is the same whether its row is handed on or written anew.
func TestVerdictsAreEncodedWithAndWithoutTheRecordTheyCameFrom(t *testing.T) {
	t.Parallel()
	row := record.Record{
		FlowID: flow.ID{7}, Source: "s", AppProto: "tls", RTT: math.NaN(), SPLT: []record.Packet{{Length: 5, Delta: 0.25}},
		Vector: []float32{0, 1, 0.5}, VectorSchema: "v", VerdictNote: "of features", Score: math.NaN(), Margin: math.NaN(),
	}
	from, err := stage.EncodeFeatures(&row, nil)
	if err != nil {
		t.Fatal(err)
	}
	scored := row
	scored.Score, scored.Margin, scored.Verdict, scored.ModelID, scored.SchemaHash, scored.VerdictNote = 0.9, 2, record.Malicious, "m", "h", ""
	for name, from := range map[string]*bus.Record{"handed on": &from, "anew": nil} {
		rec, err := stage.EncodeVerdict(&scored, from)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Topic != wire.TopicVerdicts || string(rec.Key) != string(row.FlowID[:]) || string(rec.Header(wire.HeaderMessage)) != wire.MessageVerdict {
			t.Errorf("%s: topic %s, key %x, message %s", name, rec.Topic, rec.Key, rec.Header(wire.HeaderMessage))
		}
		var got record.Record
		if err := stage.DecodeVerdict(&rec, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(scored, got, cmpopts.EquateEmpty(), cmpopts.EquateNaNs(), cmpopts.EquateComparable(record.Record{}.ClientIP)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if _, err := stage.EncodeVerdict(&scored, &bus.Record{Value: []byte("\xff")}); err == nil {
		t.Error("a broken record was handed on")
	}
}
