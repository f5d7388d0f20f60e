package app

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"trench/pkg/features"
	"trench/pkg/internal/corpus"
	"trench/pkg/record"
)

// TestDamagedCapturesAreReadToTheirEnd changes bytes of real captures at random:
// nothing may panic or hang, and every packet is still counted exactly once.
func TestDamagedCapturesAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t), "protocol-tests", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	done := 0
	for done < 1500 {
		file := files[r.IntN(len(files))]
		data, err := os.ReadFile(file)
		if err != nil || len(data) > 60_000 || len(data) < 64 {
			continue
		}
		for range 1 << r.IntN(8) {
			at := 24 + r.IntN(len(data)-24)
			switch r.IntN(3) {
			case 0:
				data[at] = byte(r.Uint32())
			case 1:
				data[at] ^= 1 << r.IntN(8)
			default:
				data[at] = byte(-r.IntN(2))
			}
		}
		if r.IntN(5) == 0 {
			data = data[:24+r.IntN(len(data)-24)]
		}
		var packets uint64
		a := &Analysis{Capture: DefaultConfig(), Features: features.DefaultConfig(), Last: StageFeatures, Stdin: bytes.NewReader(data),
			Rows: func(rows []*record.Record) error {
				for _, row := range rows {
					packets += row.PacketsC2S + row.PacketsS2C
				}
				return nil
			}}
		s, err := a.Run(context.Background(), []string{Stdin})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if sum := s.InFlows + s.NotIP + s.Malformed + s.Refused + s.FragmentDropped; packets != s.InFlows || sum != s.Packets {
			t.Errorf("%s: %d packets read, %d counted, %d of %d in flows", file, s.Packets, sum, packets, s.InFlows)
		}
		done++
	}
}
