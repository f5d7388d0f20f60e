package model

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func TestContributionsEqualLightGBM(t *testing.T) {
	t.Parallel()
	b := load(t)
	s := b.NewScorer()
	worst := 0.0
	for i, e := range edges(t, len(b.columns)) {
		for j, v := range e.row {
			s.row[j] = clean(v)
		}
		s.contributions()
		sum := e.phi[len(b.columns)]
		for j := range s.phi {
			sum += s.phi[j]
			if d := math.Abs(s.phi[j] - e.phi[j]); d > worst {
				worst = d
			}
			if math.Abs(s.phi[j]-e.phi[j]) > 1e-9 {
				t.Fatalf("row %d, %s: %v, LightGBM says %v", i+1, b.schema.Features[j].Name, s.phi[j], e.phi[j])
			}
		}
		if math.Abs(sum-e.margin) > 1e-9 {
			t.Fatalf("row %d: contributions and expectation add up to %v, the margin is %v", i+1, sum, e.margin)
		}
	}
	t.Logf("largest difference %g", worst)
}

// randomTree grows a tree of n leaves over few columns, so that columns repeat
// on a path.
func randomTree(r *rand.Rand, n, columns int) tree {
	t := tree{leaf: []float64{r.NormFloat64()}, leafCount: []int32{int32(n * 10)}}
	parent := []int32{-1} // of each leaf; the sign of the side is in isLeft
	isLeft := []bool{false}
	for len(t.leaf) < n {
		l := r.IntN(len(t.leaf))
		if t.leafCount[l] < 2 {
			continue
		}
		node, fresh := int32(len(t.feature)), int32(len(t.leaf))
		t.feature = append(t.feature, int32(r.IntN(columns)))
		t.threshold = append(t.threshold, math.Round(r.NormFloat64()*2)/2)
		t.decision = append(t.decision, []int32{0, 2, 8, 10}[r.IntN(4)])
		t.left, t.right = append(t.left, ^int32(l)), append(t.right, ^fresh)
		t.innerCount = append(t.innerCount, t.leafCount[l])
		if p := parent[l]; p >= 0 && isLeft[l] {
			t.left[p] = node
		} else if p >= 0 {
			t.right[p] = node
		}
		moved := 1 + r.Int32N(t.leafCount[l]-1)
		t.leafCount[l] -= moved
		t.leafCount = append(t.leafCount, moved)
		t.leaf = append(t.leaf, r.NormFloat64())
		parent, isLeft = append(parent, node), append(isLeft, false)
		parent[l], isLeft[l] = node, true
	}
	return t
}

// expectation of the tree when only the columns in known are observed.
func (t *tree) expectation(c int32, row []float64, known uint) float64 {
	if c < 0 {
		return t.leaf[^c]
	}
	if known&(1<<t.feature[c]) != 0 {
		if t.goesLeft(c, row[t.feature[c]]) {
			return t.expectation(t.left[c], row, known)
		}
		return t.expectation(t.right[c], row, known)
	}
	l, r := float64(t.count(t.left[c])), float64(t.count(t.right[c]))
	return (l*t.expectation(t.left[c], row, known) + r*t.expectation(t.right[c], row, known)) / (l + r)
}

func TestContributionsEqualBruteForceShapley(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 13))
	const columns = 6
	factorial := []float64{1, 1, 2, 6, 24, 120, 720}
	for range 60 {
		e := &ensemble{}
		for range 3 {
			tr := randomTree(r, 2+r.IntN(14), columns)
			if err := tr.verify(); err != nil {
				t.Fatal(err)
			}
			e.trees = append(e.trees, tr)
			e.depth = max(e.depth, tr.depth)
		}
		s := &Scorer{b: &Bundle{trees: e}, row: make([]float64, columns)}
		for i := range s.row {
			s.row[i] = math.Round(r.NormFloat64()*2) / 2
			if r.IntN(4) == 0 {
				s.row[i] = math.NaN()
			}
		}
		s.contributions()
		for j := range columns {
			want := 0.0
			for set := uint(0); set < 1<<columns; set++ {
				if set&(1<<j) != 0 {
					continue
				}
				n := bits.OnesCount(set)
				weight := factorial[n] * factorial[columns-n-1] / factorial[columns]
				for i := range e.trees {
					tr := &e.trees[i]
					want += weight * (tr.expectation(0, s.row, set|1<<j) - tr.expectation(0, s.row, set))
				}
			}
			if math.Abs(s.phi[j]-want) > 1e-12 {
				t.Fatalf("column %d: %v, brute force %v", j, s.phi[j], want)
			}
		}
	}
}

func TestExplainSumsByCode(t *testing.T) {
	t.Parallel()
	b := load(t)
	s := b.NewScorer()
	several := 0
	for i, v := range goldenVectors(t, b) {
		all := s.Explain(v, 1000)
		want := map[string]float64{}
		for j, phi := range s.phi {
			w := s.words(j, v)
			want[w.column.codeFor(w.value)] += phi
		}
		positive := 0
		for _, w := range want {
			if w > 0 {
				positive++
			}
		}
		if len(all) != positive {
			t.Fatalf("row %d: %d reasons, %d codes are positive", i, len(all), positive)
		}
		for k, r := range all {
			if math.Abs(r.Contribution-want[r.Code]) > 1e-12 || r.Contribution <= 0 {
				t.Fatalf("row %d: %s contributes %v, want %v", i, r.Code, r.Contribution, want[r.Code])
			}
			if k > 0 && r.Contribution > all[k-1].Contribution {
				t.Fatalf("row %d: %s comes after a smaller one", i, r.Code)
			}
			technique := codes()[r.Code]
			if math.IsNaN(r.Value) {
				technique = ""
			}
			if r.Text == "" || r.Attack != technique {
				t.Fatalf("row %d: %+v", i, r)
			}
		}
		if len(all) > 2 {
			several++
			if got := s.Explain(v, 2); len(got) != 2 || got[0].Code != all[0].Code || got[1].Code != all[1].Code {
				t.Fatalf("row %d: the two largest are %v", i, got)
			}
		}
		if s.Explain(v, 0) != nil {
			t.Fatal("reasons though none were asked for")
		}
	}
	if several == 0 {
		t.Error("no row with more than two reasons")
	}
}

// Without a name or a certificate, all of that group's columns tell one thing.
func TestExplainNamesTheCauseOfMissingGroups(t *testing.T) {
	t.Parallel()
	b := load(t)
	s := b.NewScorer()
	schema := newSchema(t)
	place := func(name string) int { i, _ := schema.Index(name); return i }
	absent := map[string]int{}
	for _, v := range goldenVectors(t, b) {
		for i, name := range schema.names {
			if strings.HasPrefix(name, "sn_") || strings.HasPrefix(name, "ct_") {
				v[i] = float32(math.NaN())
			}
		}
		v[place("sn_present")], v[place("ct_seen")] = 0, 0
		for _, r := range s.Explain(v, 1000) {
			switch {
			case r.Code == "sni-absent" && strings.HasPrefix(r.Text, "the client names no server (no SNI)"):
			case r.Code == "certificate-absent" && strings.HasPrefix(r.Text, "the full handshake showed no certificate"):
			case strings.HasPrefix(r.Code, "record-"):
			default:
				t.Fatalf("%+v", r)
			}
			absent[r.Code]++
		}
	}
	if absent["sni-absent"] == 0 || absent["certificate-absent"] == 0 {
		t.Errorf("reasons %v", absent)
	}
}

func TestEveryColumnHasWords(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/trench-v1.txt")
	if err != nil {
		t.Fatal(err)
	}
	table, known := reasonTable(), codes()
	names := strings.Fields(string(raw))
	if len(names) != 372 || len(table) != 372 {
		t.Errorf("%d names, %d rows in the table, want 372 of both", len(names), len(table))
	}
	used := map[string]bool{"other": true}
	for _, name := range names {
		c, ok := table[name]
		if !ok {
			t.Errorf("%s has no row", name)
			continue
		}
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 1, 2, 0.5, 7, 771, 1e9, 3e38} {
			lo, hi, nan := 0.25, 3.0, 0.5
			for _, ref := range []reference{{}, {P05: &lo, P95: &hi, NaN: &nan}} {
				text := c.text(v, ref)
				if text == "" || strings.Contains(text, "%!") || strings.Contains(text, "NaN") {
					t.Errorf("%s at %v: %q", name, v, text)
				}
				if math.IsNaN(v) && !strings.Contains(text, "not observed") {
					t.Errorf("%s when missing: %q", name, text)
				}
			}
			if _, ok := known[c.codeFor(v)]; !ok {
				t.Errorf("%s at %v has code %q, which is not listed", name, v, c.codeFor(v))
			}
			used[c.codeFor(v)] = true
		}
	}
	for code := range known {
		if !used[code] {
			t.Errorf("code %s is never used", code)
		}
	}
	if c := columnFor(table, "xs_dport"); c.code != "other" || !strings.Contains(c.text(443, reference{}), "xs_dport: 443") {
		t.Errorf("an unknown column: %+v", c)
	}
}

func TestTextsStateTheValue(t *testing.T) {
	t.Parallel()
	table := reasonTable()
	f := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		name string
		v    float64
		ref  reference
		code string
		want string
	}{
		{"sn_present", 0, reference{P05: f(1), P95: f(1)}, "sni-absent", "the client names no server (no SNI) (unusual in benign traffic)"},
		{"sn_present", 1, reference{P05: f(1), P95: f(1)}, "sni-shape", "the client names the server it wants (SNI) (usual in benign traffic too)"},
		{"sn_len", math.NaN(), reference{NaN: f(.034)}, "sni-shape", "length of the server name (SNI): not observed or not applicable (so in 3.4 % of benign flows)"},
		{"ct_self_signed", 1, reference{P05: f(0), P95: f(1)}, "certificate-self-signed", "the server's certificate is its own issuer (self-signed) (both are usual in benign traffic)"},
		{"ct_age_days", 1, reference{P05: f(3), P95: f(300.5)}, "certificate-age", "age of the server's certificate at the time of the flow: 1 day (usual in benign traffic: 3 days to 300 days)"},
		{"ch_n_cs", 12, reference{P05: f(17), P95: f(17)}, "client-suites", "the client lists 12 cipher suite values (usual in benign traffic: 17 cipher suite values)"},
		{"ch_cs_c02b", 0, reference{}, "client-suites", "the client does not offer TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{"ch_max_ver", 771, reference{P05: f(771), P95: f(772)}, "client-hello-shape", "highest version that the client offers: TLS 1.2 (usual in benign traffic: TLS 1.2 to TLS 1.3)"},
		{"sq_len_01", -1460, reference{}, "packet-lengths", "data packet 2: 1460 bytes from the server"},
		{"sq_iat_03", math.Log1p(1500), reference{}, "timing", "gap before data packet 4: 1.5s"},
		{"fl_bps_log", math.Log1p(2.5e6), reference{}, "volume", "data rate of the flow: 2.5 Mbit/s"},
		{"ch_padding_len", math.NaN(), reference{}, "client-extensions", "length of the client's padding extension: not observed or not applicable"},
		{"ct_expired", 1, reference{P05: f(0), P95: f(0)}, "certificate-age", "the server's certificate had expired at the time of the flow (unusual in benign traffic)"},
		{"sn_dyndns", 1, reference{}, "sni-dynamic-dns", "the server name lies under a dynamic-DNS service"},
		{"ml_9_0", .25, reference{}, "length-transitions", "payload length transitions from 1350 bytes or more that go to fewer than 150 bytes: 25 %"},
		{"hz_c_2", .5, reference{}, "packet-lengths", "share of the client's data packets with 32 to 63 bytes: 50 %"},
	} {
		col := table[c.name]
		if got := col.text(c.v, c.ref); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if got := col.codeFor(c.v); got != c.code {
			t.Errorf("%s: code %s, want %s", c.name, got, c.code)
		}
	}
}
