package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// modelText is a whole text of small trees, for tests that need no LightGBM.
func modelText(names int, trees ...string) string {
	var sizes []string
	for _, t := range trees {
		sizes = append(sizes, fmt.Sprint(len(t)))
	}
	cols := make([]string, names)
	for i := range cols {
		cols[i] = fmt.Sprintf("c%d", i)
	}
	return fmt.Sprintf("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=%d\nobjective=binary sigmoid:1\n"+
		"feature_names=%s\nfeature_infos=none\ntree_sizes=%s\n\n%send of trees\n", names-1, strings.Join(cols, " "), strings.Join(sizes, " "), strings.Join(trees, ""))
}

func leafTree(i int, v string) string {
	return fmt.Sprintf("Tree=%d\nnum_leaves=1\nnum_cat=0\nsplit_feature=\nsplit_gain=\nthreshold=\ndecision_type=\nleft_child=\nright_child=\n"+
		"leaf_value=%s\nleaf_weight=\nleaf_count=9\ninternal_value=\ninternal_weight=\ninternal_count=\nis_linear=0\nshrinkage=1\n\n\n", i, v)
}

func stump(i, column int, threshold string) string {
	return fmt.Sprintf("Tree=%d\nnum_leaves=2\nnum_cat=0\nsplit_feature=%d\nsplit_gain=1\nthreshold=%s\ndecision_type=8\nleft_child=-1\nright_child=-2\n"+
		"leaf_value=-1.5 0.25\nleaf_weight=1 1\nleaf_count=3 5\ninternal_value=0\ninternal_weight=1\ninternal_count=8\nis_linear=0\nshrinkage=1\n\n\n", i, column, threshold)
}

func TestTreesOfOneLeafAndModelsOfOneColumn(t *testing.T) {
	t.Parallel()
	e, err := parse([]byte(modelText(1, leafTree(0, "0.125"), stump(1, 0, "2"))))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := newEngine(e)
	if err != nil {
		t.Fatal(err)
	}
	b := &Bundle{trees: e, forest: newForest(e), columns: []int{0}, width: 1}
	for v, want := range map[float32]float64{2: -1.375, 2.5: 0.375, float32(math.Inf(-1)): -1.375} {
		if got := engine.margin(b.columns, []float32{v}); got != want {
			t.Errorf("leaves gives %v for %v, want %v", got, v, want)
		}
		if got := b.NewScorer().margin([]float32{v}); got != want {
			t.Errorf("margin of %v is %v, want %v", v, got, want)
		}
	}
}

func TestParseBoundsDepth(t *testing.T) {
	t.Parallel()
	chain := func(n int) string {
		var f, th, d, l, r, lv, lc, ic, z []string
		for i := range n {
			f, th, d, z = append(f, "0"), append(th, fmt.Sprint(i)), append(d, "10"), append(z, "0")
			r = append(r, fmt.Sprint(-(i + 1)))
			if i+1 < n {
				l = append(l, fmt.Sprint(i+1))
			} else {
				l = append(l, fmt.Sprint(-(n + 1)))
			}
			ic = append(ic, fmt.Sprint(n-i+1))
		}
		for range n + 1 {
			lv, lc = append(lv, "0.5"), append(lc, "1")
		}
		j := func(s []string) string { return strings.Join(s, " ") }
		return fmt.Sprintf("Tree=0\nnum_leaves=%d\nnum_cat=0\nsplit_feature=%s\nsplit_gain=%s\nthreshold=%s\ndecision_type=%s\nleft_child=%s\nright_child=%s\n"+
			"leaf_value=%s\nleaf_weight=%s\nleaf_count=%s\ninternal_value=%s\ninternal_weight=%s\ninternal_count=%s\nis_linear=0\nshrinkage=1\n\n\n",
			n+1, j(f), j(z), j(th), j(d), j(l), j(r), j(lv), j(lv), j(lc), j(z), j(z), j(ic))
	}
	if e, err := parse([]byte(modelText(1, chain(maxDepth)))); err != nil || e.depth != maxDepth {
		t.Errorf("a chain of %d: %v", maxDepth, err)
	}
	if _, err := parse([]byte(modelText(1, chain(maxDepth+1)))); err == nil || !strings.Contains(err.Error(), "deeper than") {
		t.Errorf("a chain of %d: %v", maxDepth+1, err)
	}
}

// FuzzParse asks that no text makes the parser panic, and that leaves loads
// every text it accepts and scores as the parsed trees do.
func FuzzParse(f *testing.F) {
	f.Add([]byte(modelText(1, leafTree(0, "0.125"))))
	f.Add([]byte(modelText(3, stump(0, 2, "1.0000000180025095e-35"), leafTree(1, "-3"), stump(2, 0, "-7.5"))))
	whole := fixture(f)[modelFile].Data
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("tree\nversion=v4\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parse(data)
		if err != nil {
			return
		}
		reference, err := newEngine(e)
		if err != nil {
			t.Fatalf("accepted, but leaves says: %v", err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		b := &Bundle{trees: e, forest: newForest(e), width: len(e.names)}
		for i := range e.names {
			b.columns = append(b.columns, i)
		}
		s, row, vector := b.NewScorer(), make([]float64, len(e.names)), make([]float32, len(e.names))
		for range 4 {
			for i := range row {
				vector[i] = []float32{float32(math.NaN()), 0, float32(math.Inf(1)), -7.5, float32(r.NormFloat64())}[r.IntN(5)]
				row[i] = float64(vector[i])
			}
			want := e.margin(row)
			if got := reference.predict(row); got != want {
				t.Fatalf("leaves gives %v, the trees %v", got, want)
			}
			if got := s.margin(vector); got != want {
				t.Fatalf("the forest gives %v, the trees %v", got, want)
			}
		}
	})
}
