package model

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"trench/pkg/record"
)

// vectorOf places a row of the model's columns in a whole vector.
func vectorOf(b *Bundle, row []float64) []float32 {
	v := make([]float32, 372)
	for i := range v {
		v[i] = float32(math.NaN())
	}
	for i, c := range b.columns {
		v[c] = float32(row[i])
	}
	return v
}

func TestMarginsEqualLightGBM(t *testing.T) {
	t.Parallel()
	b := load(t)
	s := b.NewScorer()
	reference, err := newEngine(b.trees)
	if err != nil {
		t.Fatal(err)
	}
	rows, narrow := edges(t, len(b.columns)), 0
	for i, e := range rows {
		exact := true
		for j, v := range e.row {
			s.row[j] = clean(v)
			exact = exact && (math.IsNaN(v) || float64(float32(v)) == v)
		}
		if got := reference.predict(s.row); got != e.margin {
			t.Errorf("row %d: leaves gives %.17g, LightGBM %.17g", i+1, got, e.margin)
		}
		if got := b.trees.margin(s.row); got != e.margin {
			t.Errorf("row %d: own trees give %.17g, LightGBM %.17g", i+1, got, e.margin)
		}
		if !exact {
			continue
		}
		narrow++
		if got := s.Score(nil, [][]float32{vectorOf(b, e.row)})[0].Margin; got != e.margin {
			t.Errorf("row %d: Score gives %.17g, LightGBM %.17g", i+1, got, e.margin)
		}
	}
	t.Logf("%d rows equal, %d of them as float32 vectors", len(rows), narrow)
	if len(rows) < 500 || narrow < 200 {
		t.Errorf("only %d rows, %d as vectors", len(rows), narrow)
	}
}

// margin walks the parsed trees, as a second opinion beside leaves.
func (e *ensemble) margin(row []float64) float64 {
	sum := 0.0
	for i := range e.trees {
		t := &e.trees[i]
		c := int32(0)
		if len(t.feature) == 0 {
			c = -1
		}
		for c >= 0 {
			if t.goesLeft(c, row[t.feature[c]]) {
				c = t.left[c]
			} else {
				c = t.right[c]
			}
		}
		sum += t.leaf[^c]
	}
	return sum
}

func TestScoreGivesVerdictsByThreshold(t *testing.T) {
	t.Parallel()
	b := load(t)
	mal, sus := b.thresholds[0].Margin, b.thresholds[1].Margin
	for _, c := range []struct {
		margin float64
		want   record.Verdict
	}{
		{mal, record.Malicious}, {mal + 9, record.Malicious}, {math.Nextafter(mal, -99), record.Suspicious},
		{sus, record.Suspicious}, {math.Nextafter(sus, -99), record.Benign}, {-9, record.Benign},
	} {
		if got := b.verdict(c.margin); got != c.want {
			t.Errorf("verdict(%v) = %v, want %v", c.margin, got, c.want)
		}
	}
	verdicts := map[record.Verdict]int{}
	s := b.NewScorer()
	for _, e := range edges(t, len(b.columns)) {
		sc := s.Score(nil, [][]float32{vectorOf(b, e.row)})[0]
		verdicts[sc.Verdict]++
		if want := 1 / (1 + math.Exp(-(1.1*sc.Margin - 0.2))); sc.Probability != want {
			t.Fatalf("probability %v of margin %v, want %v", sc.Probability, sc.Margin, want)
		}
		if sc.Verdict != b.verdict(sc.Margin) {
			t.Fatalf("verdict %v of margin %v", sc.Verdict, sc.Margin)
		}
	}
	if verdicts[record.Malicious] == 0 || verdicts[record.Benign] == 0 {
		t.Errorf("verdicts %v: rows of one kind only", verdicts)
	}
}

func TestShortVectorsAreUnscored(t *testing.T) {
	t.Parallel()
	b := load(t)
	s := b.NewScorer()
	long := vectorOf(b, edges(t, len(b.columns))[0].row)
	got := s.Score(nil, [][]float32{nil, long[:b.width-1], long[:b.width]})
	for i, sc := range got[:2] {
		if sc.Verdict != record.Unscored || !math.IsNaN(sc.Margin) || !math.IsNaN(sc.Probability) {
			t.Errorf("vector %d: %+v, want unscored", i, sc)
		}
	}
	if got[2].Verdict == record.Unscored || math.IsNaN(got[2].Margin) {
		t.Errorf("a vector of the least width: %+v", got[2])
	}
	if r := s.Explain(long[:b.width-1], 5); r != nil {
		t.Errorf("a short vector has reasons %v", r)
	}
}

func TestIsotonicIsLinearBetweenKnots(t *testing.T) {
	t.Parallel()
	c, err := loadCalibration([]byte(`{"method":"isotonic","knots":[[-1,0.1],[1,0.5],[3,0.5],[4,1]]}`))
	if err != nil {
		t.Fatal(err)
	}
	for margin, want := range map[float64]float64{-9: 0.1, -1: 0.1, 0: 0.3, 1: 0.5, 2: 0.5, 3.5: 0.75, 4: 1, 99: 1} {
		if got := c.probability(margin); math.Abs(got-want) > 1e-15 {
			t.Errorf("probability(%v) = %v, want %v", margin, got, want)
		}
	}
}

func TestScoreDoesNotAllocate(t *testing.T) {
	b := load(t)
	s := b.NewScorer()
	vectors := goldenVectors(t, b)
	dst := make([]Score, 0, len(vectors))
	if n := testing.AllocsPerRun(20, func() { dst = s.Score(dst[:0], vectors) }); n != 0 {
		t.Errorf("Score allocates %v times, want 0", n)
	}
}

func TestScorersShareABundle(t *testing.T) {
	t.Parallel()
	b := load(t)
	vectors := goldenVectors(t, b)
	want := b.NewScorer().Score(nil, vectors)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s := b.NewScorer()
			for range 20 {
				for i, sc := range s.Score(nil, vectors) {
					if sc != want[i] {
						t.Errorf("row %d: %+v, want %+v", i, sc, want[i])
						return
					}
				}
				s.Explain(vectors[0], 5)
			}
		})
	}
	wg.Wait()
}

func goldenVectors(tb testing.TB, b *Bundle) [][]float32 {
	tb.Helper()
	return tsvVectors(tb, b, "testdata/bundle/golden.tsv")
}

func tsvVectors(tb testing.TB, b *Bundle, path string) [][]float32 {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]float32
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n")[1:] {
		row := make([]float64, len(b.columns))
		for i, c := range strings.Split(line, "\t")[:len(row)] {
			if row[i], err = strconv.ParseFloat(c, 32); err != nil {
				tb.Fatal(err)
			}
		}
		out = append(out, vectorOf(b, row))
	}
	return out
}

// benchBundle is the default bundle, or the bundle of the trainer that TRENCH_BENCH_BUNDLE names, with rows that
// each mix the columns of a few golden rows, so that no branch is learned by heart.
func benchBundle(b *testing.B) (*Bundle, [][]float32) {
	b.Helper()
	dir := cmp.Or(os.Getenv("TRENCH_BENCH_BUNDLE"), "default")
	m := loadOwn(b, dir)
	golden := tsvVectors(b, m, filepath.Join(dir, goldenFile))
	r := rand.New(rand.NewPCG(6, 4))
	rows := make([][]float32, 4096)
	for i := range rows {
		rows[i] = slices.Clone(golden[r.IntN(len(golden))])
		other := golden[r.IntN(len(golden))]
		for c := range rows[i] {
			if r.IntN(8) == 0 {
				rows[i][c] = other[c]
			}
		}
	}
	return m, rows
}

// BenchmarkLeaves is what BenchmarkScore is measured against.
func BenchmarkLeaves(b *testing.B) {
	m, vectors := benchBundle(b)
	reference, err := newEngine(m.trees)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		reference.margin(m.columns, vectors[n%len(vectors)])
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkScore(b *testing.B) {
	m, vectors := benchBundle(b)
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s := m.NewScorer()
			dst := make([]Score, 0, batch)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				at := n % len(vectors)
				dst = s.Score(dst[:0], vectors[at:at+batch])
				n += batch
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkExplain(b *testing.B) {
	m, vectors := benchBundle(b)
	s := m.NewScorer()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s.Explain(vectors[n%len(vectors)], 5)
		n++
	}
}
