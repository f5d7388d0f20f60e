package scoring_test

import (
	"math"
	"strings"
	"testing"

	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// vector returns a vector in which nothing is observed but the columns given.
func vector(t *testing.T, set map[string]float32) []float32 {
	t.Helper()
	s := features.Default()
	v := make([]float32, len(s.Names()))
	for i := range v {
		v[i] = float32(math.NaN())
	}
	for name, x := range set {
		i, ok := s.Index(name)
		if !ok {
			t.Fatalf("no column %s", name)
		}
		v[i] = x
	}
	return v
}

func TestRowsThatCannotBeScoredSayWhy(t *testing.T) {
	t.Parallel()
	bundle, err := model.Default(features.Default())
	if err != nil {
		t.Fatal(err)
	}
	hello := vector(t, map[string]float32{"ch_len": 200})
	for _, c := range []struct {
		bundle *model.Bundle
		vector []float32
		note   string
	}{
		{bundle, nil, scoring.NoteNotTLS},
		{bundle, hello[:100], scoring.NoteWidth},
		{bundle, vector(t, map[string]float32{"rc_n_c": 5}), scoring.NoteNoHello},
		{nil, hello, scoring.NoteNoModel},
		{bundle, hello, ""},
	} {
		r := &record.Record{Vector: c.vector, PayloadC2S: 1, PayloadS2C: 1, Verdict: record.Malicious, Reasons: []record.Reason{{Code: "left over"}}}
		scoring.New(c.bundle, features.Default()).Process([]*record.Record{r})
		scored := r.Verdict != record.Unscored
		if r.VerdictNote != c.note || scored != (c.note == "") || math.IsNaN(r.Score) == scored || math.IsNaN(r.Margin) == scored || (r.ModelID == "") == scored {
			t.Errorf("want %q: %v, note %q, score %v, margin %v, model %q", c.note, r.Verdict, r.VerdictNote, r.Score, r.Margin, r.ModelID)
		}
		if r.Verdict < record.Suspicious && len(r.Reasons) != 0 {
			t.Errorf("reasons %v without an alert", r.Reasons)
		}
	}
}

func TestBatchesScoreAsSingleRows(t *testing.T) {
	t.Parallel()
	bundle, err := model.Default(features.Default())
	if err != nil {
		t.Fatal(err)
	}
	st := scoring.New(bundle, features.Default())
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

func TestEvaluationCountsAndRanks(t *testing.T) {
	t.Parallel()
	var e scoring.Evaluation
	for _, p := range []struct {
		label  string
		margin float64
		v      record.Verdict
	}{
		{"benign", -1, record.Benign}, {"benign", 0, record.Benign}, {"benign", 2, record.Suspicious}, {"ambiguous", 9, record.Malicious},
		{"malicious", 0, record.Benign}, {"malicious", 3, record.Malicious},
	} {
		e.Add(p.label, "fam", model.Score{Margin: p.margin, Verdict: p.v})
	}
	// pairs: 0 against -1, 0, 2 gives 1, ½, 0; 3 beats all three
	if got := e.AUC(); math.Abs(got-4.5/6) > 1e-12 || e.Left != 1 {
		t.Errorf("AUC %v, %d left out", got, e.Left)
	}
	var out strings.Builder
	if err := e.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"flows 5, left out 1", "ROC-AUC 0.7500", "benign                              3        33.3%         0.0%", "fam                                 2        50.0%        50.0%"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	var none scoring.Evaluation
	none.Add("benign", "", model.Score{})
	if !math.IsNaN(none.AUC()) {
		t.Error("AUC of one class")
	}
}
