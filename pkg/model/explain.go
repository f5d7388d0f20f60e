package model

import (
	"cmp"
	"math"
	"slices"

	"trench/pkg/record"
)

// Explain returns what speaks for an alert on vector, no more than most reasons, the
// largest contribution first. The contributions of the columns are exact Shapley values of
// the margin (path-dependent TreeSHAP), in log-odds before calibration. They are summed by
// reason code, and only codes whose sum is positive are returned; value and text are those
// of the code's column that contributes most. A vector that is too short has no reasons.
func (s *Scorer) Explain(vector []float32, most int) []record.Reason {
	if len(vector) < s.b.width || most < 1 {
		return nil
	}
	s.gather(vector)
	s.contributions()
	type sum struct {
		code  string
		total float64
		top   int // column with the largest contribution
	}
	var sums []sum
	at := map[string]int{}
	for i, phi := range s.phi {
		if phi == 0 {
			continue
		}
		w := s.words(i, vector)
		code := w.column.codeFor(w.value)
		k, known := at[code]
		if !known {
			k = len(sums)
			at[code] = k
			sums = append(sums, sum{code: code, top: i})
		}
		sums[k].total += phi
		if phi > s.phi[sums[k].top] {
			sums[k].top = i
		}
	}
	sums = slices.DeleteFunc(sums, func(c sum) bool { return c.total <= 0 })
	slices.SortFunc(sums, func(a, b sum) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.code, b.code))
	})
	if len(sums) > most {
		sums = sums[:most]
	}
	reasons := make([]record.Reason, len(sums))
	for k, c := range sums {
		w := s.words(c.top, vector)
		reasons[k] = record.Reason{Code: c.code, Text: w.column.text(w.value, w.reference), Value: w.value, Contribution: c.total}
		if !math.IsNaN(w.value) { // what is missing is no evidence of a technique
			reasons[k].Attack = s.b.attack[c.code]
		}
	}
	return reasons
}

// words is what a reason says of the model's column i: the value observed (not
// the one cleaned for the trees), or, where a whole group is missing for one
// cause, that cause.
func (s *Scorer) words(i int, vector []float32) told {
	t := &s.b.told[i]
	if t.gate >= 0 && t.gate < len(vector) && vector[t.gate] == 0 {
		return told{column: t.closed, reference: t.closedReference}
	}
	return told{column: t.column, reference: t.reference, value: float64(vector[s.b.columns[i]])}
}
