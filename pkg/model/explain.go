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
// reason code, and only codes whose sum is positive are returned. The text states up to three
// of the code's columns, those that contribute most; feature, value and usual range are those
// of the first. A vector that is too short has no reasons.
func (s *Scorer) Explain(vector []float32, most int) []record.Reason {
	if len(vector) < s.b.width || most < 1 {
		return nil
	}
	s.gather(vector)
	s.contributions()
	sums := s.sums(vector)
	slices.SortFunc(sums, func(a, b sum) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.code, b.code))
	})
	positive := len(sums)
	for positive > 0 && sums[positive-1].total <= 0 {
		positive--
	}
	o := observer{s.b.vectors, vector}
	reasons := make([]record.Reason, min(positive, most))
	for k := range reasons {
		reasons[k] = s.b.reason(&sums[k], o)
	}
	return reasons
}

// sums adds the contributions up by code. What it returns is valid until the next call.
func (s *Scorer) sums(vector []float32) []sum {
	if s.codes == nil {
		s.codes = map[string]int{}
	}
	clear(s.codes)
	sums := s.reasons[:0]
	for i, phi := range s.phi {
		if phi == 0 {
			continue
		}
		t, value, code := s.words(i, vector)
		k, known := s.codes[code]
		if !known {
			k = len(sums)
			s.codes[code] = k
			sums = slices.Grow(sums, 1)[:k+1]
			sums[k] = sum{code: code, parts: sums[k].parts[:0]}
		}
		sums[k].add(t, value, phi)
	}
	s.reasons = sums
	return sums
}

func (b *Bundle) reason(c *sum, o observer) record.Reason {
	c.sort()
	first := &c.parts[0]
	r := record.Reason{Code: c.code, Text: c.sentence(o), Feature: first.told.name, Value: first.value, Contribution: c.total}
	if lo, hi, known := first.told.reference.usual(); known {
		r.Usual = &record.Range{Low: lo, High: hi}
	}
	if math.IsNaN(first.value) {
		return r // what is missing is no evidence of a technique
	}
	t := b.techniques[c.code]
	if t.fits == nil || t.fits(&evidence{feature: r.Feature, value: r.Value, reference: first.told.reference, observed: o.value}) {
		r.Attack = t.id
	}
	return r
}
