package app

import (
	"context"
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"trench/pkg/features"
	"trench/pkg/internal/corpus"
	"trench/pkg/record"
)

// TestWorkersMakeTheSameRows compares rows and vectors, bit for bit, with everything
// switched on that needs to know of other flows.
func TestWorkersMakeTheSameRows(t *testing.T) {
	t.Parallel()
	paths := []string{filepath.Join(corpus.Dir(t), "protocol-tests"), filepath.Join(corpus.Dir(t), "malware", "zeek")}
	rows := func(workers int) map[string]string {
		got := map[string]string{}
		cfg := features.DefaultConfig()
		cfg.Profile, cfg.FoxIO, cfg.Bytes = features.SchemaName+"+mt+ht+xs", true, true
		a := &Analysis{Capture: DefaultConfig(), Features: cfg, Workers: workers, Last: StageFeatures, Rows: func(batch []*record.Record) error {
			for _, r := range batch {
				b := r.AppendJSON(nil)
				for _, v := range r.Vector {
					b = binary.BigEndian.AppendUint32(b, math.Float32bits(v))
				}
				got[r.Source+" "+r.FlowID.String()] = string(b)
			}
			return nil
		}}
		if _, err := a.Run(context.Background(), paths); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := rows(1)
	if len(want) < 5000 {
		t.Fatalf("%d rows", len(want))
	}
	for _, workers := range []int{1, 2, 3} {
		got, differ := rows(workers), 0
		for id, row := range want {
			if got[id] != row {
				if differ++; differ <= 3 {
					t.Errorf("%d workers: %s is\n%.2000s\nwant\n%.2000s", workers, id, got[id], row)
				}
			}
		}
		if len(got) != len(want) || differ > 0 {
			t.Errorf("%d workers: %d rows, %d of them others than the %d of one worker", workers, len(got), differ, len(want))
		}
	}
}
