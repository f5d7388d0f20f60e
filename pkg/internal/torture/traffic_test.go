package torture_test

import (
	"path/filepath"
	"testing"
	"time"

	"trench/pkg/app"
	"trench/pkg/flow"
	"trench/pkg/internal/torture"
)

func TestEveryFileHasAsManyFlowsAndNoneOfAnother(t *testing.T) {
	t.Parallel()
	const copies = 3
	traffic, err := torture.ReadTraffic("../../../testdata/pcap/demo.pcap", copies)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := t.TempDir()
	seen := map[flow.ID]bool{}
	var counts []int
	for n, jumping := range []bool{false, false, true} {
		path := filepath.Join(dir, string(rune('a'+n)))
		if err := traffic.File(path, start.Add(time.Duration(n)*time.Second), jumping); err != nil {
			t.Fatal(err)
		}
		before := len(seen)
		c := app.Capture{Config: app.DefaultConfig(), Emit: func(_ int, f *flow.Flow) error {
			seen[f.ID] = true
			return nil
		}}
		sum, err := c.Run(t.Context(), []string{path})
		if err != nil {
			t.Fatal(err)
		}
		if sum.Packets == 0 || len(sum.Faults) > 0 {
			t.Errorf("%d packets, faults %v", sum.Packets, sum.Faults)
		}
		counts = append(counts, len(seen)-before)
	}
	if counts[0] == 0 || counts[0]%copies != 0 || counts[1] != counts[0] {
		t.Errorf("the files have %v flows, want as many in the first two and a multiple of %d", counts, copies)
	}
	if counts[2] == counts[0] {
		t.Errorf("a clock that jumps leaves the number of flows at %d: it does not jump far enough", counts[2])
	}
}

func TestTrafficNamesWhatItCanNotUse(t *testing.T) {
	t.Parallel()
	if _, err := torture.ReadTraffic("../../../testdata/pcap/demo.pcap", 0); err == nil {
		t.Error("no copies are taken")
	}
	if _, err := torture.ReadTraffic("traffic_test.go", 1); err == nil {
		t.Error("a file that is no capture is taken")
	}
}
