package features

import (
	"fmt"
	"math"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/record"
)

const ms = 1_000_000

// vector extracts f and returns its vector by name.
func vector(t testing.TB, f *flow.Flow) map[string]float64 {
	t.Helper()
	var r record.Record
	NewExtractor(Config{CertificateCache: 8}).Extract(&r, f)
	if len(r.Vector) != 372 {
		t.Fatalf("vector of %d columns, want 372", len(r.Vector))
	}
	m := map[string]float64{}
	for i, n := range Default().Names() {
		m[n] = float64(r.Vector[i])
	}
	return m
}

// check compares columns with values computed by hand, as float32.
func check(t testing.TB, got, want map[string]float64) {
	t.Helper()
	for n, w := range want {
		g, ok := got[n]
		switch {
		case !ok:
			t.Errorf("there is no column %s", n)
		case math.IsNaN(w) != math.IsNaN(g), math.Abs(g-w) > 1e-6*max(1, math.Abs(w)):
			t.Errorf("%s = %v, want %v", n, g, w)
		}
	}
}

// checkGroup is check, and says which columns of the group want does not name.
func checkGroup(t testing.TB, group string, got, want map[string]float64) {
	t.Helper()
	check(t, got, want)
	for _, c := range Default().Columns() {
		if _, named := want[c.Name]; c.Group == group && !named {
			t.Errorf("the test says nothing about %s", c.Name)
		}
	}
}

// addPackets lists data packets and counts them as capture does.
func addPackets(f *flow.Flow, packets ...flow.Packet) {
	for _, p := range packets {
		f.Packets = append(f.Packets, p)
		n, d := uint64(p.Length), flow.ClientToServer
		if p.Length < 0 {
			n, d = uint64(-p.Length), flow.ServerToClient
		}
		h := &f.Half[d]
		h.DataPackets++
		h.LengthSum += n
		h.LengthSquares += n * n
		h.LengthMax = max(h.LengthMax, uint32(n))
		size := 0
		for size < 7 && n >= 16<<size {
			size++
		}
		h.Sizes[size]++
	}
}

// shaped is a flow with the packet lengths of Joy's example.
func shaped() *flow.Flow {
	f := &flow.Flow{App: flow.AppTLS, Protocol: 6, First: 1_700_000_000_000 * ms, Last: 1_700_000_000_999 * ms, RTT: 10 * ms, End: flow.EndRST}
	addPackets(f, flow.Packet{Length: 517, Offset: 20 * ms}, flow.Packet{Length: -1460, Offset: 30 * ms}, flow.Packet{Length: -1460, Offset: 30.5 * ms},
		flow.Packet{Length: -1140, Offset: 31 * ms}, flow.Packet{Length: 93, Offset: 41 * ms}, flow.Packet{Length: -51, Offset: 52 * ms},
		flow.Packet{Length: 300, Offset: 60 * ms}, flow.Packet{Length: -1460, Offset: 100 * ms})
	c, s := &f.Half[0], &f.Half[1]
	c.Packets, c.Bytes, c.Retransmitted = 9, 1999, 1
	s.Packets, s.Bytes, s.Retransmitted = 19, 5999, 1
	return f
}

func TestFlowColumns(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	f := shaped()
	checkGroup(t, "fl", vector(t, f), map[string]float64{
		"fl_dur_log": math.Log(1000), "fl_pk_c": 9, "fl_pk_s": 19, "fl_by_c": 1999, "fl_by_s": 5999, "fl_dpk_c": 3, "fl_dpk_s": 5,
		"fl_by_ratio": math.Log(1. / 3), "fl_pk_ratio": math.Log(.5), "fl_bps_log": math.Log(1 + 7998*8/.999),
		"fl_len_mean_c": 910. / 3, "fl_len_mean_s": 5571. / 5, // 517+93+300; 3*1460+1140+51
		"fl_len_std_c": math.Sqrt((365938 - 910.*910/3) / 3), "fl_len_std_s": math.Sqrt((7697001 - 5571.*5571/5) / 5),
		"fl_len_max_c": 517, "fl_len_max_s": 1460,
		"fl_iat_rtt_p50": 1, "fl_iat_rtt_p90": 2.26, // gaps .5 .5 8 10 10 11 40 ms
		"fl_retrans_ratio": .2, "fl_end_class": 1,
	})
	f.RTT = 1 // below the floor of 0.1 ms
	check(t, vector(t, f), map[string]float64{"fl_iat_rtt_p50": 100, "bu_gap_rtt_p50": 100})
	f.RTT, f.Protocol, f.Last = 0, 17, f.First
	check(t, vector(t, f), map[string]float64{"fl_iat_rtt_p50": nan, "fl_iat_rtt_p90": nan, "bu_gap_rtt_p50": nan, "fl_retrans_ratio": nan, "fl_bps_log": nan, "fl_dur_log": 0})
	for end, want := range map[flow.EndReason]float64{flow.EndNone: nan, flow.EndFIN: 0, flow.EndRST: 1, flow.EndIdle: 2, flow.EndEvicted: 3,
		flow.EndReuse: nan, flow.EndDone: nan, flow.EndEOF: nan, flow.EndActive: nan} {
		f.End = end
		check(t, vector(t, f), map[string]float64{"fl_end_class": want})
	}
}

func TestLengthDeviationIsExactForHugeFlows(t *testing.T) {
	t.Parallel()
	// 2^40 packets of 1000 and as many of 1002 bytes: the deviation is 1.
	const n = uint64(1) << 40
	h := &flow.Half{DataPackets: 2 * n, LengthSum: n * 2002}
	// The sum of squares, n*(1000^2+1002^2), fits 64 bits.
	h.LengthSquares = n * (1000*1000 + 1002*1002)
	if got := lengthStd(h); got != 1 {
		t.Errorf("deviation %v, want 1", got)
	}
}

func TestSequenceColumns(t *testing.T) {
	t.Parallel()
	want := map[string]float64{}
	for i, l := range []float64{517, -1460, -1460, -1140, 93, -51, 300, -1460} {
		want[fmt.Sprintf("sq_len_%02d", i)] = l
	}
	for i, gap := range []float64{20, 10, .5, .5, 10, 11, 8, 40} {
		want[fmt.Sprintf("sq_iat_%02d", i)] = math.Log(1 + gap)
	}
	for i := 8; i < 16; i++ {
		want[fmt.Sprintf("sq_len_%02d", i)], want[fmt.Sprintf("sq_iat_%02d", i)] = math.NaN(), math.NaN()
	}
	checkGroup(t, "sq", vector(t, shaped()), want)
}

func TestMarkovColumnsAreJoys(t *testing.T) {
	t.Parallel()
	want := map[string]float64{}
	for i := range 10 {
		for j := range 10 {
			want[fmt.Sprintf("ml_%d_%d", i, j)] = 0
		}
	}
	for n, v := range map[string]float64{"3_9": 1, "9_9": .5, "9_7": .5, "7_0": 1, "0_0": .5, "0_2": .5, "2_9": 1} {
		want["ml_"+n] = v
	}
	checkGroup(t, "ml", vector(t, shaped()), want)

	var m [100]float64
	markov(&m, []int64{0, 23, 0, 1, 12, 40, 55, 700}, 50)
	times := [100]float64{0: 5. / 6, 1: 1. / 6, 19: 1}
	if m != times {
		t.Errorf("time matrix %v, want %v", m, times)
	}
	markov(&m, []float64{449.9}, 50)
	if m != [100]float64{88: 1} {
		t.Errorf("a single value gives %v, want a transition to its own bin 8", m)
	}
	markov(&m, []int32{}, 150)
	if m != [100]float64{} {
		t.Errorf("no value gives %v", m)
	}
	markov(&m, []int32{math.MaxInt32, 1350, 1349}, 150)
	if m != [100]float64{99: .5, 98: .5} {
		t.Errorf("the last bin begins at 1350: %v", m)
	}
}

func TestSizeColumns(t *testing.T) {
	t.Parallel()
	f := &flow.Flow{App: flow.AppQUIC}
	for _, n := range []int32{1, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1023, 1024, 65535} {
		addPackets(f, flow.Packet{Length: n})
	}
	want := map[string]float64{}
	for i := range 8 {
		want[fmt.Sprintf("hz_c_%d", i)] = .125
		want[fmt.Sprintf("hz_s_%d", i)] = math.NaN()
	}
	checkGroup(t, "hz", vector(t, f), want)
	addPackets(f, flow.Packet{Length: -100}, flow.Packet{Length: -100}, flow.Packet{Length: -100}, flow.Packet{Length: -2000})
	check(t, vector(t, f), map[string]float64{"hz_s_3": .75, "hz_s_7": .25, "hz_s_0": 0})
}

func TestBurstColumns(t *testing.T) {
	t.Parallel()
	checkGroup(t, "bu", vector(t, shaped()), map[string]float64{
		"bu_n": 6, "bu_turns": 5, "bu_by_mean_c": 910. / 3, "bu_by_mean_s": 5571. / 3, "bu_by_max_c": 517, "bu_by_max_s": 4060,
		"bu_pk_mean_c": 1, "bu_pk_mean_s": 5. / 3, "bu_gap_rtt_p50": 1, "bu_first_c_bytes": 517, // gaps 10 10 11 8 40
	})
	nan := math.NaN()
	f := &flow.Flow{App: flow.AppTLS, RTT: ms}
	addPackets(f, flow.Packet{Length: -10}, flow.Packet{Length: -20})
	checkGroup(t, "bu", vector(t, f), map[string]float64{
		"bu_n": 1, "bu_turns": 0, "bu_by_mean_c": nan, "bu_by_mean_s": 30, "bu_by_max_c": nan, "bu_by_max_s": 30,
		"bu_pk_mean_c": nan, "bu_pk_mean_s": 2, "bu_gap_rtt_p50": nan, "bu_first_c_bytes": nan,
	})
}

func TestByteColumns(t *testing.T) {
	t.Parallel()
	f := &flow.Flow{App: flow.AppTLS}
	f.Half[0].AppByteCounts[0] = 4
	f.Half[1].AppByteCounts[255] = 4
	want := map[string]float64{"bd_mean": 127.5, "bd_std": 127.5, "bd_entropy": 1, "bd_chi2": 1016} // 2*(4-1/32)^2*32 + 254/32
	for i := range 16 {
		want[fmt.Sprintf("bd_%02d", i)] = 0
	}
	want["bd_00"], want["bd_15"] = .5, .5
	checkGroup(t, "bd", vector(t, f), want)
	for i := range 256 {
		f.Half[0].AppByteCounts[i], f.Half[1].AppByteCounts[i] = 10, 5
	}
	check(t, vector(t, f), map[string]float64{"bd_07": .0625, "bd_mean": 127.5, "bd_std": math.Sqrt((256*256 - 1) / 12.), "bd_entropy": 8, "bd_chi2": 0})
}
