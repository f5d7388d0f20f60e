package scoring

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"trench/pkg/model"
	"trench/pkg/record"
)

// Evaluation compares scores with labels. It says how a model does on these
// flows, weighted by nothing: a family or capture with many flows dominates what
// is not averaged over families.
type Evaluation struct {
	benign    []float64            // margins
	malicious map[string][]float64 // margins by family
	families  map[string]*tally
	sources   map[string]*tally // of benign flows
	Left      int64             // rows with another label than malicious or benign, or without a ClientHello
}

// tally counts flows with at least a verdict, by verdict.
type tally [record.Malicious + 1]int64

func (t *tally) add(v record.Verdict) {
	for i := range t {
		if record.Verdict(i) <= v {
			t[i]++
		}
	}
}

func (t *tally) flows() int64 { return t[record.Unscored] }

func (t *tally) rate(v record.Verdict) Rate { return newRate(t[v], t.flows()) }

// Add enters one scored flow; source is where a benign one is from.
func (e *Evaluation) Add(label, family, source string, s model.Score) {
	if e.malicious == nil {
		e.malicious, e.families, e.sources = make(map[string][]float64), make(map[string]*tally), make(map[string]*tally)
	}
	enter := func(m map[string]*tally, name string) {
		if m[name] == nil {
			m[name] = new(tally)
		}
		m[name].add(s.Verdict)
	}
	switch label {
	case "malicious":
		family = cmp.Or(family, "(no family)")
		e.malicious[family] = append(e.malicious[family], s.Margin)
		enter(e.families, family)
	case "benign":
		e.benign = append(e.benign, s.Margin)
		enter(e.sources, cmp.Or(source, "(no source)"))
	default:
		e.Left++
	}
}

// Rate is a share of flows with its exact 95 % interval, which takes flows as independent.
type Rate struct {
	Flagged int64   `json:"flagged"`
	Flows   int64   `json:"flows"`
	Rate    float64 `json:"rate"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
}

func newRate(k, n int64) Rate {
	if n == 0 {
		return Rate{High: 1}
	}
	lo, hi := Interval(k, n)
	return Rate{k, n, float64(k) / float64(n), lo, hi}
}

func (r Rate) String() string {
	if r.Flows == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f%% (%.2f-%.2f)", 100*r.Rate, 100*r.Low, 100*r.High)
}

// Report is what an Evaluation found. AUC is the area under the ROC curve, the probability
// that a malicious flow has a larger margin than a benign one, ties counting half;
// it is nil unless both kinds are there.
type Report struct {
	Model      string            `json:"model"`
	Malicious  int64             `json:"malicious"`
	Benign     int64             `json:"benign"`
	Left       int64             `json:"left_out"`
	AUC        *float64          `json:"auc"`
	FamilyAUC  *float64          `json:"family_auc"` // mean over families, each against all benign flows
	Thresholds []ThresholdReport `json:"thresholds"`
	Families   []GroupReport     `json:"families"`
	Sources    []GroupReport     `json:"sources"` // of benign flows
}

// ThresholdReport is what one threshold flags.
type ThresholdReport struct {
	Name           string   `json:"name"`
	Verdict        string   `json:"verdict"`
	Target         float64  `json:"target"`
	Margin         float64  `json:"margin"`
	Recall         Rate     `json:"recall"`
	FamilyRecall   *float64 `json:"family_recall"` // mean over families
	FalsePositives Rate     `json:"false_positives"`
}

// GroupReport is what is flagged of one family or source.
type GroupReport struct {
	Name       string   `json:"name"`
	AUC        *float64 `json:"auc,omitempty"`
	Suspicious Rate     `json:"suspicious"` // suspicious or malicious
	Malicious  Rate     `json:"malicious"`
}

// Report sums up what was added, at the thresholds of the bundle that scored it.
func (e *Evaluation) Report(b *model.Bundle) *Report {
	slices.Sort(e.benign)
	r := &Report{Model: b.ID(), Benign: int64(len(e.benign)), Left: e.Left}
	var all, benign tally
	var margins []float64
	var aucs []float64
	for _, name := range slices.Sorted(maps.Keys(e.families)) {
		t := e.families[name]
		g := GroupReport{name, auc(e.malicious[name], e.benign), t.rate(record.Suspicious), t.rate(record.Malicious)}
		r.Families = append(r.Families, g)
		margins = append(margins, e.malicious[name]...)
		if g.AUC != nil {
			aucs = append(aucs, *g.AUC)
		}
		all.sum(t)
	}
	for _, name := range slices.Sorted(maps.Keys(e.sources)) {
		t := e.sources[name]
		r.Sources = append(r.Sources, GroupReport{Name: name, Suspicious: t.rate(record.Suspicious), Malicious: t.rate(record.Malicious)})
		benign.sum(t)
	}
	r.Malicious, r.AUC, r.FamilyAUC = int64(len(margins)), auc(margins, e.benign), mean(aucs)
	for _, t := range b.Thresholds() {
		var recalls []float64
		for _, f := range e.families {
			recalls = append(recalls, f.rate(t.Verdict).Rate)
		}
		r.Thresholds = append(r.Thresholds, ThresholdReport{t.Name, t.Verdict.String(), t.Target, t.Margin,
			all.rate(t.Verdict), mean(recalls), benign.rate(t.Verdict)})
	}
	return r
}

func (t *tally) sum(o *tally) {
	for i := range t {
		t[i] += o[i]
	}
}

func mean(v []float64) *float64 {
	if len(v) == 0 {
		return nil
	}
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	sum /= float64(len(v))
	return &sum
}

// auc ranks malicious margins among benign ones, which are sorted.
func auc(malicious, benign []float64) *float64 {
	if len(benign) == 0 {
		return nil
	}
	ranks := make([]float64, len(malicious))
	for i, m := range malicious {
		below, _ := slices.BinarySearch(benign, m)
		within, _ := slices.BinarySearchFunc(benign, m, func(b, m float64) int {
			if b <= m {
				return -1
			}
			return 1
		})
		ranks[i] = float64(below+within) / 2 / float64(len(benign))
	}
	return mean(ranks)
}

// Print writes tables.
func (r *Report) Print(w io.Writer) error {
	p := &printer{w: w}
	p.line("model %s\nflows %d: %d malicious of %d families, %d benign of %d sources; left out %d", r.Model,
		r.Malicious+r.Benign, r.Malicious, len(r.Families), r.Benign, len(r.Sources), r.Left)
	p.line("ROC-AUC %s, mean over families %s", number(r.AUC), number(r.FamilyAUC))
	p.line("\n%-10s %-10s %8s  %-24s %-14s %s", "THRESHOLD", "VERDICT", "MARGIN", "RECALL (95 %)", "FAMILY RECALL", "FALSE POSITIVES (95 %)")
	for _, t := range r.Thresholds {
		p.line("%-10s %-10s %8.3f  %-24v %-14s %v", t.Name, t.Verdict, t.Margin, t.Recall, number(t.FamilyRecall), t.FalsePositives)
	}
	p.line("\n%-28s %8s %7s  %-24s %s", "FAMILY", "FLOWS", "AUC", "SUSPICIOUS+ (95 %)", "MALICIOUS (95 %)")
	for _, g := range r.Families {
		p.line("%-28s %8d %7s  %-24v %v", g.Name, g.Suspicious.Flows, number(g.AUC), g.Suspicious, g.Malicious)
	}
	p.line("\n%-50s %8s  %-24s %s", "BENIGN SOURCE", "FLOWS", "SUSPICIOUS+ (95 %)", "MALICIOUS (95 %)")
	for _, g := range r.Sources {
		p.line("%-50s %8d  %-24v %v", g.Name, g.Suspicious.Flows, g.Suspicious, g.Malicious)
	}
	return p.err
}

func number(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", *v)
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
