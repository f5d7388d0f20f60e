// Package report says what a model flags of the lab's flows.
package report

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// all is the row of everything.
const all = "all"

// tally counts flows and what was flagged of them.
type tally struct {
	margins               []float64
	suspicious, malicious int64
}

func (t *tally) add(margin float64, v record.Verdict) {
	t.margins = append(t.margins, margin)
	if v >= record.Suspicious {
		t.suspicious++
	}
	if v >= record.Malicious {
		t.malicious++
	}
}

// Print scores a file of vectors with the built-in model and prints what is
// flagged by each of the named columns.
func Print(w io.Writer, file string, columns []string) error {
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
		for _, column := range append([]string{all, "app_proto", "tls_version"}, columns...) {
			if by[column] == nil {
				by[column] = make(map[string]*tally)
			}
			value := all
			if column != all {
				value = get(column)
			}
			t := by[column][value]
			if t == nil {
				t = new(tally)
				by[column][value] = t
			}
			t.add(scores[0].Margin, scores[0].Verdict)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	p := &printer{w: w}
	p.printf("%s, scored by %s; in brackets 95 %% Clopper-Pearson intervals, which take flows for independent (those of a cell are not)\n\n", file, b.ID())
	p.printf("%-28s %6s  %-24s %-24s %16s\n", "", "FLOWS", "SUSPICIOUS AND ABOVE", "MALICIOUS", "MARGIN 50 %, MAX")
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
	n := len(t.margins)
	share := func(k int64) string {
		low, high := scoring.Interval(k, int64(n))
		return fmt.Sprintf("%5.1f%% [%.1f, %.1f]", 100*float64(k)/float64(n), 100*low, 100*high)
	}
	slices.Sort(t.margins)
	p.printf("%-28s %6d  %-24s %-24s %8.2f %7.2f\n", name, n, share(t.suspicious), share(t.malicious), t.margins[n/2], t.margins[n-1])
}
