package stage_test

import (
	"bytes"
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

func TestDeadLettersOfAnyRecordFitOnTheBus(t *testing.T) {
	t.Parallel()
	huge := bytes.Repeat([]byte{0xee}, 1<<20)
	d := wire.DeadLetter{Stage: "features", Error: "no message", Topic: wire.TopicFlows, Key: huge, Value: huge, ValueBytes: 1 << 20}
	for range 100 {
		d.Headers = append(d.Headers, wire.DeadLetterHeader{Key: "h", Value: huge})
	}
	rec := stage.EncodeDeadLetter(&d)
	if n := rec.Size(); n > wire.MaxMessage {
		t.Errorf("%d bytes, the limit is %d", n, wire.MaxMessage)
	}
	var got wire.DeadLetter
	if err := stage.DecodeDeadLetter(&rec, &got); err != nil || !bytes.Equal(got.Key, rec.Key) || len(got.Key) != wire.MaxKey {
		t.Errorf("a key of %d bytes, in the letter of %d, err = %v", len(rec.Key), len(got.Key), err)
	}
}
