package model

import (
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// loadOwn loads a bundle of this repository's trainer, whatever its feature version.
func loadOwn(tb testing.TB, dir string) *Bundle {
	tb.Helper()
	s, err := newOwnSchema(newSchema(tb), dir)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := Load(os.DirFS(dir), s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// hardVectors returns a function that fills a vector: values at thresholds and beside them, what is missing, zeros,
// denormals, infinities and extremes, values between thresholds, and whole stretches of real rows.
func hardVectors(b *Bundle, real [][]float32, seed uint64) func(vector []float32) {
	r := rand.New(rand.NewPCG(seed, 11))
	turns := b.trees.turns()
	return func(vector []float32) {
		shape, row := r.IntN(4), real[r.IntN(len(real))]
		for i, c := range b.columns {
			t := turns[i]
			switch kind := r.Uint32N(16); {
			case shape == 0 || shape == 1 && kind < 12:
				vector[c] = row[c] // all of a real row, or most of it
			case kind < 11:
				vector[c] = t[r.IntN(len(t))]
			case kind < 14:
				u := r.Float32()
				vector[c] = t[r.IntN(len(t))]*u + t[r.IntN(len(t))]*(1-u)
			default:
				vector[c] = math.Float32frombits(r.Uint32())
			}
		}
	}
}

// The claim that scoring may rest on the forest: 100,000 rows, most of them of the default model, bit for bit.
func TestForestEqualsLeaves(t *testing.T) {
	t.Parallel()
	type subject struct {
		bundle *Bundle
		golden string
		rows   int
	}
	subjects := map[string]subject{"fixture": {load(t), "testdata/bundle/golden.tsv", 10_000}}
	if _, err := os.Stat("default/" + sumsFile); err == nil {
		subjects["default"] = subject{loadOwn(t, "default"), "default/" + goldenFile, 40_000}
	}
	for name, sub := range subjects {
		for part := range uint64(2) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := sub.bundle
				reference, err := newEngine(b.trees)
				if err != nil {
					t.Fatal(err)
				}
				s, vector, fill := b.NewScorer(), make([]float32, b.width), hardVectors(b, tsvVectors(t, b, sub.golden), part)
				margins := map[float64]bool{}
				for i := range sub.rows {
					fill(vector)
					got, want := s.margin(vector), reference.margin(b.columns, vector)
					if math.Float64bits(got) != math.Float64bits(want) {
						t.Fatalf("row %d: %.17g, leaves gives %.17g", i, got, want)
					}
					margins[got] = true
				}
				if len(margins) < sub.rows/2 {
					t.Errorf("only %d margins differ in %d rows: they are too tame", len(margins), sub.rows)
				}
			})
		}
	}
}

// Trees that no training run gives: thresholds that no float32 has, all kinds of missing values, trees of one leaf
// and deep ones, and numbers of trees that fill no pack.
func TestForestEqualsLeavesOnOddTrees(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 1))
	odd := []float64{math.Inf(1), math.MaxFloat64, -math.MaxFloat64, math.MaxFloat32, 3.5e38, -3.5e38, 0, math.Copysign(0, -1), 5e-324, -5e-324,
		1e-45, -1e-45, 7e-46, -7e-46, 1e-40, 1.0000000180025095e-35, -1.0000000180025095e-35, 1e-35, 0.1, -0.1, 1 + 1e-12, 1 - 1e-12, 16777217}
	for range 300 {
		e := &ensemble{names: []string{"a", "b", "c", "d"}}
		for range 1 + r.IntN(20) {
			tr := randomTree(r, 1+r.IntN(90), len(e.names))
			for i := range tr.threshold {
				if r.IntN(2) == 0 {
					tr.threshold[i] = odd[r.IntN(len(odd))]
				}
			}
			if err := tr.verify(); err != nil {
				t.Fatal(err)
			}
			e.trees = append(e.trees, tr)
		}
		reference, err := newEngine(e)
		if err != nil {
			t.Fatal(err)
		}
		b := &Bundle{trees: e, forest: newForest(e), columns: []int{2, 0, 3, 1}, width: 4}
		if err := b.checkTurns(reference); err != nil {
			t.Fatal(err)
		}
		s, vector := b.NewScorer(), make([]float32, 4)
		fill := hardVectors(b, [][]float32{{1, 2, 3, 4}}, r.Uint64())
		for range 100 {
			fill(vector)
			if got, want := s.margin(vector), reference.margin(b.columns, vector); math.Float64bits(got) != math.Float64bits(want) {
				t.Fatalf("%v: %.17g, leaves gives %.17g", vector, got, want)
			}
		}
	}
}

// A forest that is wrong at the root of a tree is found at load, before it serves.
func TestCheckTurnsFindsWrongDecisions(t *testing.T) {
	t.Parallel()
	b := load(t)
	reference, err := newEngine(b.trees)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*node){
		"sides swapped":      func(n *node) { n.kids[0], n.kids[1] = n.kids[1], n.kids[0] },
		"missing goes wrong": func(n *node) { n.at ^= 1 },
		"another column":     func(n *node) { n.at ^= 2 },
	} {
		for _, p := range b.forest.packs {
			for _, root := range p.root {
				n := &b.forest.nodes[root]
				good := *n
				spoil(n)
				if err := b.checkTurns(reference); err == nil || !strings.Contains(err.Error(), "leaves gives") {
					t.Errorf("node %d, %s: %v", root, name, err)
				}
				*n = good
			}
		}
	}
	if err := b.checkTurns(reference); err != nil {
		t.Error(err)
	}
}

func TestNarrowedThresholdsDecideAlike(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 4))
	for range 200_000 {
		v, threshold := math.Float32frombits(r.Uint32()), math.Float64frombits(r.Uint64())
		switch r.IntN(3) {
		case 0: // beside the value
			threshold = math.Nextafter(float64(v), []float64{math.Inf(1), math.Inf(-1), float64(v)}[r.IntN(3)])
		case 1:
			threshold = float64(math.Float32frombits(r.Uint32()))
		}
		if v != v || v == 0 || math.IsNaN(threshold) || math.IsInf(threshold, -1) {
			continue
		}
		if got, want := key(v) <= key(narrow(threshold)), float64(v) <= threshold; got != want {
			t.Fatalf("%v <= %v is %v, by keys %v", v, threshold, want, got)
		}
	}
}
