package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/record"
)

// tally counts flows and what was flagged of them.
type tally struct{ flows, suspicious, malicious int }

func (t *tally) add(v record.Verdict) {
	t.flows++
	if v >= record.Suspicious {
		t.suspicious++
	}
	if v >= record.Malicious {
		t.malicious++
	}
}

// report scores a file of the lab with the built-in model and prints what is
// flagged by each of the cells' columns.
func report(w io.Writer, file string) error {
	schema, err := features.Profile(features.SchemaName)
	if err != nil {
		return err
	}
	b, err := model.Default(schema)
	if err != nil {
		return err
	}
	in, err := export.OpenVectors(file, append(slices.Clone(columns), b.Features()...))
	if err != nil {
		return err
	}
	defer in.Close()
	by := make(map[string]map[string]*tally)
	scorer := b.NewScorer()
	var scores []model.Score
	err = in.Each(schema.Names(), func(get func(string) string, vector []float32) error {
		scores = scorer.Score(scores[:0], [][]float32{vector})
		for _, column := range append([]string{"app_proto", "tls_version"}, columns...) {
			if by[column] == nil {
				by[column] = make(map[string]*tally)
			}
			t := by[column][get(column)]
			if t == nil {
				t = new(tally)
				by[column][get(column)] = t
			}
			t.add(scores[0].Verdict)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	all := new(tally)
	for _, t := range by["app_proto"] {
		all.flows, all.suspicious, all.malicious = all.flows+t.flows, all.suspicious+t.suspicious, all.malicious+t.malicious
	}
	p := &printer{w: w}
	p.printf("%s, scored by %s; in brackets 95 %% Clopper-Pearson intervals, which take flows for independent (those of a cell are not)\n\n", file, b.ID())
	p.printf("%-28s %6s  %-24s %-24s\n", "", "FLOWS", "SUSPICIOUS AND ABOVE", "MALICIOUS")
	p.row("all", all)
	for _, column := range slices.Sorted(maps.Keys(by)) {
		p.printf("\n%s\n", column)
		for _, v := range slices.Sorted(maps.Keys(by[column])) {
			p.row("  "+v, by[column][v])
		}
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) row(name string, t *tally) {
	share := func(k int) string {
		low, high := interval(k, t.flows)
		return fmt.Sprintf("%5.1f%% [%.1f, %.1f]", 100*float64(k)/float64(t.flows), 100*low, 100*high)
	}
	p.printf("%-28s %6d  %-24s %-24s\n", name, t.flows, share(t.suspicious), share(t.malicious))
}

// interval is the 95 % Clopper-Pearson interval of k of n: the shares that a
// binomial test of 2.5 % on either side does not refuse, found by halving.
func interval(k, n int) (low, high float64) {
	const tail = .025
	find := func(refused func(p float64) bool) float64 {
		a, b := 0., 1.
		for range 60 {
			if m := (a + b) / 2; refused(m) {
				a = m
			} else {
				b = m
			}
		}
		return a
	}
	low, high = 0, 1
	if k > 0 { // P(X ≥ k) at the lower end
		low = find(func(p float64) bool { return 1-below(k, n, p) < tail })
	}
	if k < n { // P(X ≤ k) at the upper end
		high = find(func(p float64) bool { return below(k+1, n, p) > tail })
	}
	return low, high
}

// below is the probability of less than k successes of n, each with p.
func below(k, n int, p float64) (sum float64) {
	choose := func(n, k int) float64 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		return a - b - c
	}
	for i := range k {
		sum += math.Exp(choose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return sum
}
