package model

import (
	"math"

	"trench/pkg/record"
)

// zeroThreshold is LightGBM's kZeroThreshold: dense rows reach its trees with
// smaller values replaced by 0.
const zeroThreshold float32 = 1e-35

// Score is what the model says of one vector.
type Score struct {
	Margin      float64 // raw sum of leaf values; NaN when unscored
	Probability float64 // calibrated, in [0, 1]; NaN when unscored
	Verdict     record.Verdict
}

// Scorer scores with buffers of its own: one per goroutine.
type Scorer struct {
	b    *Bundle
	keys []int32   // the model's columns, as the forest compares them
	row  []float64 // the model's columns, as they are explained
	phi  []float64 // contribution by column

	explain explanation
	reasons []sum
	codes   map[string]int // place in reasons
}

// NewScorer returns a Scorer over the bundle.
func (b *Bundle) NewScorer() *Scorer {
	return &Scorer{b: b, keys: make([]int32, 2*len(b.columns)), row: make([]float64, len(b.columns))}
}

// Score appends one Score per vector to dst. Vectors are in the order of the
// features schema; one that is too short for the model's columns is unscored.
func (s *Scorer) Score(dst []Score, vectors [][]float32) []Score {
	for _, v := range vectors {
		m := s.margin(v)
		if math.IsNaN(m) {
			dst = append(dst, Score{m, m, record.Unscored})
			continue
		}
		dst = append(dst, Score{m, s.b.calibrate.probability(m), s.b.verdict(m)})
	}
	return dst
}

// margin is NaN only for a vector that is too short: leaf values are finite
// and bounded.
func (s *Scorer) margin(vector []float32) float64 {
	if len(vector) < s.b.width {
		return math.NaN()
	}
	look(s.keys, s.b.columns, vector)
	return s.b.forest.margin(s.keys)
}

// gather fills s.row, which contributions need.
func (s *Scorer) gather(vector []float32) {
	for i, c := range s.b.columns {
		s.row[i] = clean(float64(vector[c]))
	}
}

// clean is what LightGBM does to the values of a dense row.
func clean(v float64) float64 {
	if math.Abs(v) <= float64(zeroThreshold) {
		return 0
	}
	return v
}

func (b *Bundle) verdict(margin float64) record.Verdict {
	for _, t := range b.thresholds {
		if margin >= t.Margin {
			return t.Verdict
		}
	}
	return record.Benign
}
