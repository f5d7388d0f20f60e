package app

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/flow"
	"trench/pkg/internal/corpus"
)

// labelled is what flow_labels.csv says of a flow: the counters of the whole
// 5-tuple in its file.
type labelled struct {
	packets, payload [2]uint64
}

func TestCountersEqualTheCorpus(t *testing.T) {
	t.Parallel()
	dir := corpus.Dir(t)
	want := readLabels(t, filepath.Join(corpus.Shared(t), "flow_labels.csv"))
	cfg := DefaultConfig()
	cfg.TCPIdle, cfg.UDPIdle, cfg.OtherIdle, cfg.Linger, cfg.Active = math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64
	var (
		compared, equal, missing int
		differences              []string
	)
	for path, rows := range want {
		got := make(map[string][]labelled)
		c := Capture{Config: cfg, Emit: func(_ int, f *flow.Flow) error {
			key := f.Client.String() + " " + f.Server.String()
			got[key] = append(got[key], labelled{
				packets: [2]uint64{f.Half[0].Packets, f.Half[1].Packets},
				payload: [2]uint64{f.Half[0].Payload, f.Half[1].Payload},
			})
			return nil
		}}
		if _, err := c.Run(context.Background(), []string{filepath.Join(dir, path)}); err != nil {
			t.Fatal(err)
		}
		for key, w := range rows {
			compared++
			switch sum := total(got[key]); {
			case len(got[key]) == 0:
				missing++
			case sum == w:
				equal++
			default:
				differences = append(differences, fmt.Sprintf("%s %s: %+v, labels %+v", path, key, sum, w))
			}
		}
	}
	slices.Sort(differences)
	t.Logf("flow counters: %d of %d equal to flow_labels.csv, %d flows not found", equal, compared, missing)
	for _, d := range differences[:min(len(differences), 20)] {
		t.Log(d)
	}
	if float64(equal) < .995*float64(compared) {
		t.Errorf("%d of %d flows have the counters of flow_labels.csv, want 99.5 %%", equal, compared)
	}
}

func total(flows []labelled) (sum labelled) {
	for _, f := range flows { // ports used again make several flows of one 5-tuple
		for d := range f.packets {
			sum.packets[d] += f.packets[d]
			sum.payload[d] += f.payload[d]
		}
	}
	return sum
}

// readLabels returns the train rows by capture and endpoints.
func readLabels(t *testing.T, path string) map[string]map[string]labelled {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := make(map[string]int)
	for i, n := range rows[0] {
		column[n] = i
	}
	out := make(map[string]map[string]labelled)
	for _, r := range rows[1:] {
		if r[column["split"]] != "train" {
			continue
		}
		number := func(name string) uint64 {
			n, err := strconv.ParseUint(r[column[name]], 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return n
		}
		end := func(side string) string {
			if ip := r[column[side+"_ip"]]; strings.Contains(ip, ":") {
				return "[" + ip + "]:" + r[column[side+"_port"]]
			}
			return r[column[side+"_ip"]] + ":" + r[column[side+"_port"]]
		}
		p := r[column["path"]]
		if out[p] == nil {
			out[p] = make(map[string]labelled)
		}
		out[p][end("client")+" "+end("server")] = labelled{
			packets: [2]uint64{number("packets_c2s"), number("packets_s2c")},
			payload: [2]uint64{number("payload_c2s"), number("payload_s2c")},
		}
	}
	return out
}

func TestEveryPacketIsCountedOnce(t *testing.T) {
	t.Parallel()
	dir := corpus.Dir(t)
	var packets, bytes uint64
	c := Capture{Config: DefaultConfig(), Emit: func(_ int, f *flow.Flow) error {
		packets += f.Half[0].Packets + f.Half[1].Packets
		bytes += f.Half[0].Bytes + f.Half[1].Bytes
		return nil
	}}
	s, err := c.Run(context.Background(), []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if sum := s.InFlows + s.NotIP + s.Malformed + s.Refused + s.Filtered + s.Duplicate + s.FragmentDropped + s.DroppedFragmentBytes + s.DroppedFragmentDatagrams; sum != s.Packets {
		t.Errorf("outcomes add up to %d of %d packets", sum, s.Packets)
	}
	if packets != s.InFlows || bytes != s.BytesInFlows {
		t.Errorf("flows hold %d packets and %d bytes, the summary says %d and %d", packets, bytes, s.InFlows, s.BytesInFlows)
	}
	t.Logf("%d files, %d packets: %d in %d flows, %d not IP, %d malformed, %d refused, %d fragments; %d faults",
		s.Files, s.Packets, s.InFlows, s.Table.Flows, s.NotIP, s.Malformed, s.Refused, s.FragmentDropped, len(s.Faults))
	for _, f := range s.Faults[:min(len(s.Faults), 3)] {
		t.Log(f)
	}
}

func TestWorkersBuildTheSameFlows(t *testing.T) {
	t.Parallel()
	dir := corpus.Dir(t)
	flows := func(workers int) map[string]string {
		out := make(map[string]string)
		var mu sync.Mutex
		c := Capture{Config: DefaultConfig(), Workers: workers, Emit: func(_ int, f *flow.Flow) error {
			mu.Lock()
			defer mu.Unlock()
			out[f.Source+f.ID.String()] += fmt.Sprintf("%+v", *f)
			return nil
		}}
		if _, err := c.Run(context.Background(), []string{filepath.Join(dir, "protocol-tests")}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	one := flows(1)
	for _, n := range []int{2, 3} {
		if d := cmp.Diff(one, flows(n)); d != "" {
			t.Errorf("%d workers (-one +more):\n%.4000s", n, d)
		}
	}
	if len(one) < 1000 {
		t.Errorf("%d flows only", len(one))
	}
}
