package model

import (
	"math"
	"math/bits"
	"math/rand/v2"
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
	expected := 0.0
	for i := range b.trees.trees {
		expected += b.trees.trees[i].expectation(0, nil, 0)
	}
	several := 0
	for i, v := range goldenVectors(t, b) {
		all := s.Explain(v, 1000)
		want, total := map[string]float64{}, expected
		for j, phi := range s.phi {
			_, _, code := s.words(j, v)
			want[code] += phi
		}
		for _, c := range s.sums(v) {
			total += c.total
		}
		if m := s.margin(v); math.Abs(total-m) > 1e-9 {
			t.Fatalf("row %d: the sums of all codes and the expectation are %v, the margin is %v", i, total, m)
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
			at, ok := b.vectors.Index(r.Feature)
			if !ok || !same(r.Value, float64(v[at])) {
				t.Fatalf("row %d: %s is %v, the vector has %v", i, r.Feature, r.Value, v[at])
			}
			if r.Usual == nil || r.Usual.Low > r.Usual.High {
				t.Fatalf("row %d: %s is usually %v", i, r.Feature, r.Usual)
			}
			if r.Text == "" || r.Attack != "" && (r.Attack != codes()[r.Code].id || math.IsNaN(r.Value)) {
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

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
