package scoring_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"trench/pkg/model"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

func near(got *float64, want float64) bool { return got != nil && math.Abs(*got-want) < 1e-12 }

func TestEvaluationCountsAndRanks(t *testing.T) {
	t.Parallel()
	var e scoring.Evaluation
	for _, p := range []struct {
		label, family, source string
		margin                float64
		v                     record.Verdict
	}{
		{"benign", "", "home", -1, record.Benign}, {"benign", "", "home", 0, record.Benign}, {"benign", "", "lab", 2, record.Suspicious},
		{"ambiguous", "fam", "", 9, record.Malicious},
		{"malicious", "fam", "", 0, record.Benign}, {"malicious", "fam", "", 3, record.Malicious}, {"malicious", "other", "", 1, record.Suspicious},
	} {
		e.Add(p.label, p.family, p.source, model.Score{Margin: p.margin, Verdict: p.v})
	}
	r := e.Report(defaultBundle(t))
	if r.Malicious != 3 || r.Benign != 3 || r.Left != 1 || len(r.Families) != 2 || len(r.Sources) != 2 {
		t.Fatalf("%+v", r)
	}
	// Against -1, 0, 2: the margin 0 wins 1 and a half, 3 wins 3, 1 wins 2.
	if !near(r.AUC, 6.5/9) || !near(r.Families[0].AUC, 4.5/6) || !near(r.Families[1].AUC, 2./3) || !near(r.FamilyAUC, (4.5/6+2./3)/2) {
		t.Errorf("AUC %v, of families %v and %v, mean %v", *r.AUC, *r.Families[0].AUC, *r.Families[1].AUC, *r.FamilyAUC)
	}
	malicious, suspicious := r.Thresholds[0], r.Thresholds[1]
	if malicious.Recall.Flagged != 1 || suspicious.Recall.Flagged != 2 || !near(malicious.FamilyRecall, 0.25) || !near(suspicious.FamilyRecall, 0.75) {
		t.Errorf("malicious %+v, suspicious %+v", malicious, suspicious)
	}
	if malicious.FalsePositives.Flagged != 0 || suspicious.FalsePositives.Flagged != 1 || r.Sources[1].Name != "lab" || r.Sources[1].Suspicious.Rate != 1 {
		t.Errorf("malicious %+v, suspicious %+v, sources %+v", malicious, suspicious, r.Sources)
	}
	// None of three: the bound is 1 - 0.025^(1/3).
	if h := malicious.FalsePositives.High; math.Abs(h-0.70759822) > 1e-7 || malicious.FalsePositives.Low != 0 {
		t.Errorf("interval of 0 in 3 is %v to %v", malicious.FalsePositives.Low, h)
	}
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"flows 6: 3 malicious of 2 families, 3 benign of 2 sources; left out 1", "ROC-AUC 0.7222, mean over families 0.7083",
		"0.7500         33.33% (0.84-90.57)", "fam                                 2  0.7500  50.00% (1.26-98.74)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestEvaluationOfOneKindHasNoAUC(t *testing.T) {
	t.Parallel()
	var e scoring.Evaluation
	e.Add("benign", "", "", model.Score{Verdict: record.Benign})
	r := e.Report(defaultBundle(t))
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.AUC != nil || r.Thresholds[0].FamilyRecall != nil || !strings.Contains(string(text), `"auc":null`) || r.Sources[0].Name != "(no source)" {
		t.Errorf("%s", text)
	}
}

// Values solved by hand, and of SciPy's beta.ppf.
func TestIntervalsAreExact(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k, n          int64
		lo, hi, bound float64
	}{
		{0, 10, 0, 1 - math.Pow(0.025, 0.1), 1 - math.Pow(0.05, 0.1)},
		{10, 10, math.Pow(0.025, 0.1), 1, 1},
		{1, 2, 1 - math.Sqrt(0.975), math.Sqrt(0.975), math.Sqrt(0.95)},
		{5, 10, 0.187086, 0.812914, 0.777559},
		{35, 3417, 0.007145, 0.014217, 0.013557681534093011},
		{4, 3417, 0.000319, 0.002995, 0.002676797796068589},
		{0, 3_000_000, 0, -math.Expm1(math.Log(0.025) / 3e6), -math.Expm1(math.Log(0.05) / 3e6)},
	} {
		lo, hi := scoring.Interval(c.k, c.n)
		if bound := scoring.UpperBound(c.k, c.n); math.Abs(lo-c.lo) > 1e-6 || math.Abs(hi-c.hi) > 1e-6 || math.Abs(bound-c.bound) > 1e-6 {
			t.Errorf("%d of %d: %v to %v, bound %v; want %v", c.k, c.n, lo, hi, bound, c)
		}
	}
}
