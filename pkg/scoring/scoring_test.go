package scoring_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// vector returns the first row of the built-in bundle's golden.tsv, a flow of its
// training, with the columns given set to other values.
func vector(t *testing.T, set map[string]float32) []float32 {
	t.Helper()
	s := features.Default()
	v := make([]float32, len(s.Names()))
	for i := range v {
		v[i] = float32(math.NaN())
	}
	put := func(name string, x float32) {
		i, ok := s.Index(name)
		if !ok {
			t.Fatalf("no column %s", name)
		}
		v[i] = x
	}
	text, err := os.ReadFile("../model/default/golden.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(string(text), "\n", 3)
	names, values := strings.Split(lines[0], "\t"), strings.Split(lines[1], "\t")
	for i, name := range names[:len(names)-1] { // the last is the margin
		x, err := strconv.ParseFloat(values[i], 32)
		if err != nil {
			t.Fatal(err)
		}
		put(name, float32(x))
	}
	for name, x := range set {
		put(name, x)
	}
	return v
}

// defaultBundle is the built-in bundle.
func defaultBundle(tb testing.TB) *model.Bundle {
	tb.Helper()
	b, err := model.Default(features.Default())
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// stageOf is a stage with one bundle and nothing else.
func stageOf(b *model.Bundle) *scoring.Stage {
	return scoring.Fixed(b, nil, nil).NewStage(features.Default())
}

// changed is the built-in bundle with some of its JSON changed, and SHA256SUMS that fit.
func changed(tb testing.TB, changes map[string]func(map[string]any)) fstest.MapFS {
	tb.Helper()
	source, files := os.DirFS("../model/default"), fstest.MapFS{}
	names, err := fs.Glob(source, "*.*") // all but SHA256SUMS
	if err != nil {
		tb.Fatal(err)
	}
	var sums strings.Builder
	for _, name := range names { // sorted
		data, err := fs.ReadFile(source, name)
		if err != nil {
			tb.Fatal(err)
		}
		if change := changes[name]; change != nil {
			var m map[string]any
			if err := json.Unmarshal(data, &m); err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			change(m)
			if data, err = json.Marshal(m); err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
		}
		files[name] = &fstest.MapFile{Data: data}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	files["SHA256SUMS"] = &fstest.MapFile{Data: []byte(sums.String())}
	return files
}

func TestRowsThatCannotBeScoredSayWhy(t *testing.T) {
	t.Parallel()
	bundle := defaultBundle(t)
	hello := vector(t, map[string]float32{"ch_len": 200})
	for _, c := range []struct {
		bundle *model.Bundle
		vector []float32
		note   string
	}{
		{bundle, nil, scoring.NoteNotTLS},
		{bundle, hello[:100], scoring.NoteWidth},
		{bundle, vector(t, map[string]float32{"ch_len": float32(math.NaN())}), scoring.NoteNoHello},
		{nil, hello, scoring.NoteNoModel},
		{bundle, hello, ""},
	} {
		r := &record.Record{Vector: c.vector, PayloadC2S: 1, PayloadS2C: 1, Verdict: record.Malicious, Reasons: []record.Reason{{Code: "left over"}}}
		stageOf(c.bundle).Process([]*record.Record{r})
		scored := r.Verdict != record.Unscored
		if r.VerdictNote != c.note || scored != (c.note == "") || math.IsNaN(r.Score) == scored || math.IsNaN(r.Margin) == scored || (r.ModelID == "") == scored {
			t.Errorf("want %q: %v, note %q, score %v, margin %v, model %q", c.note, r.Verdict, r.VerdictNote, r.Score, r.Margin, r.ModelID)
		}
		if r.Verdict < record.Suspicious && len(r.Reasons) != 0 {
			t.Errorf("reasons %v without an alert", r.Reasons)
		}
	}
}

// ranged is the default bundle with the range from -1e6 to 1e6 for all its
// columns, of which a row may leave so many.
func ranged(t *testing.T, limit int) *model.Bundle {
	t.Helper()
	b, err := model.Load(changed(t, map[string]func(map[string]any){"reference.json": func(m map[string]any) {
		for _, f := range m["features"].(map[string]any) {
			f.(map[string]any)["train"] = map[string]any{"min": -1e6, "max": 1e6, "nan": true}
		}
		m["extrapolation"] = map[string]any{"limit": limit}
	}}), features.Default())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRowsUnlikeTrainingAreScoredWithANote(t *testing.T) {
	t.Parallel()
	st := stageOf(ranged(t, 1))
	within := &record.Record{PayloadC2S: 1, PayloadS2C: 1, Vector: vector(t, map[string]float32{"ch_len": 200, "fl_by_c": 2e6})}
	beyond := &record.Record{PayloadC2S: 1, PayloadS2C: 1, Vector: vector(t, map[string]float32{"ch_len": 3e6, "fl_by_c": 2e6})}
	st.Process([]*record.Record{beyond, within})
	if within.VerdictNote != "" || math.IsNaN(within.Score) {
		t.Errorf("one column outside: note %q, score %v", within.VerdictNote, within.Score)
	}
	if beyond.VerdictNote != "extrapolation: 2 columns outside the training range (ch_len 3,000,000, fl_by_c 2,000,000)" ||
		math.IsNaN(beyond.Score) || beyond.Verdict == record.Unscored {
		t.Errorf("two columns outside: note %q, score %v, verdict %v", beyond.VerdictNote, beyond.Score, beyond.Verdict)
	}
}

func TestBatchesScoreAsSingleRows(t *testing.T) {
	t.Parallel()
	bundle := defaultBundle(t)
	st := stageOf(bundle)
	var batch []*record.Record
	for i := range 50 {
		r := &record.Record{PayloadC2S: 1, PayloadS2C: 1}
		if i%3 != 0 {
			r.Vector = vector(t, map[string]float32{"ch_len": float32(100 + i*7), "sn_present": float32(i % 2), "fl_by_s": float32(i * 1000)})
		}
		batch = append(batch, r)
	}
	st.Process(batch)
	for i, r := range batch {
		one := &record.Record{PayloadC2S: 1, PayloadS2C: 1, Vector: r.Vector}
		st.Process([]*record.Record{one})
		if one.Verdict != r.Verdict || math.Float64bits(one.Margin) != math.Float64bits(r.Margin) || len(one.Reasons) != len(r.Reasons) {
			t.Errorf("row %d: %v %v alone, %v %v in a batch", i, one.Verdict, one.Margin, r.Verdict, r.Margin)
		}
	}
}

// goldenRows are the golden rows of the built-in model that are no alert.
func goldenRows(tb testing.TB, st *scoring.Stage) []*record.Record {
	tb.Helper()
	text, err := os.ReadFile("../model/default/golden.tsv")
	if err != nil {
		tb.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	names := strings.Split(lines[0], "\t")
	var rows []*record.Record
	for _, line := range lines[1:] {
		v := make([]float32, len(features.Default().Names()))
		for i, cell := range strings.Split(line, "\t")[:len(names)-1] {
			at, ok := features.Default().Index(names[i])
			x, err := strconv.ParseFloat(cell, 32)
			if !ok || err != nil {
				tb.Fatalf("%s: %q", names[i], cell)
			}
			v[at] = float32(x)
		}
		r := &record.Record{PayloadC2S: 1, PayloadS2C: 1, Vector: v}
		if st.Process([]*record.Record{r}); r.Verdict == record.Benign {
			rows = append(rows, r)
		}
	}
	return rows
}

// BenchmarkProcess is what a row costs in this stage when there is no alert to explain.
func BenchmarkProcess(b *testing.B) {
	st := stageOf(defaultBundle(b))
	golden := goldenRows(b, st)
	var rows []*record.Record
	for len(rows) < 64 {
		rows = append(rows, golden[len(rows)%len(golden)])
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		st.Process(rows)
		n += len(rows)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
