package model

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/dmitryikh/leaves"
)

// engine is github.com/dmitryikh/leaves over the verified trees: what the forest
// must equal.
type engine struct {
	ensemble *leaves.Ensemble
	row      []float64
	out      [1]float64
}

func newEngine(e *ensemble) (*engine, error) {
	var text bytes.Buffer
	e.writeV3(&text)
	l, err := leaves.LGEnsembleFromReader(bufio.NewReader(&text), false)
	if err != nil {
		return nil, fmt.Errorf("leaves: %w", err)
	}
	// leaves reports 0 columns for a model of one.
	if n := l.NFeatures(); l.NEstimators() != len(e.trees) || (n != len(e.names) && len(e.names) > 1) {
		return nil, fmt.Errorf("leaves read %d trees over %d columns, want %d over %d", l.NEstimators(), n, len(e.trees), len(e.names))
	}
	return &engine{ensemble: l, row: make([]float64, len(e.names))}, nil
}

// margin scores a vector, of which the model has the given columns.
func (g *engine) margin(columns []int, vector []float32) float64 {
	for i, c := range columns {
		g.row[i] = clean(float64(vector[c]))
	}
	return g.predict(g.row)
}

// predict scores a row of the model's columns.
func (g *engine) predict(row []float64) float64 {
	if err := g.ensemble.Predict(row, 0, g.out[:]); err != nil {
		return math.NaN() // a short row: never, it has the width of the model
	}
	return g.out[0]
}

// maxTurns bounds the rows that checkTurns scores.
const maxTurns = 1024

// checkTurns asks the forest and leaves for the same margins, bit for bit, of rows made of the
// values at which a decision turns: every threshold and the float32 values beside it, zeros,
// denormals, the extremes and what is missing. Row i has in column c turn i+c of that column:
// all turns of the roots are seen, of deeper nodes those that the rows come to.
func (b *Bundle) checkTurns(g *engine) error {
	turns, rows := b.trees.turns(), 0
	for _, t := range turns {
		rows = max(rows, len(t))
	}
	s, vector := b.NewScorer(), make([]float32, b.width)
	for i := range min(rows, maxTurns) {
		for c, t := range turns {
			vector[b.columns[c]] = t[(i+c)%len(t)]
		}
		if got, want := s.margin(vector), g.margin(b.columns, vector); math.Float64bits(got) != math.Float64bits(want) {
			return fmt.Errorf("margin of the values at thresholds, row %d, is %.17g, leaves gives %.17g", i, got, want)
		}
	}
	return nil
}

// turns lists by column the values at which a decision turns.
func (e *ensemble) turns() [][]float32 {
	inf, tiny := float32(math.Inf(1)), float32(math.SmallestNonzeroFloat32)
	odd := []float32{float32(math.NaN()), 0, float32(math.Copysign(0, -1)), tiny, -tiny, zeroThreshold, -zeroThreshold,
		math.MaxFloat32, -math.MaxFloat32, inf, -inf}
	at := make([]map[float32]bool, len(e.names))
	for i := range e.trees {
		t := &e.trees[i]
		for n, c := range t.feature {
			if at[c] == nil {
				at[c] = make(map[float32]bool)
			}
			at[c][narrow(t.threshold[n])] = true
		}
	}
	turns := make([][]float32, len(at))
	for c, thresholds := range at {
		turns[c] = slices.Clone(odd)
		for _, v := range slices.Sorted(maps.Keys(thresholds)) {
			turns[c] = append(turns[c], math.Nextafter32(v, -inf), v, math.Nextafter32(v, inf))
		}
	}
	return turns
}

// writeV3 writes what leaves reads of a model: the verified numbers and
// nothing else, under a header of version v3, which it accepts.
func (e *ensemble) writeV3(w *bytes.Buffer) {
	w.WriteString("version=v3\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=")
	w.WriteString(strconv.Itoa(len(e.names) - 1))
	w.WriteString("\ntree_sizes=0")
	for range len(e.trees) - 1 {
		w.WriteString(" 0") // leaves counts them and never looks
	}
	w.WriteString("\n\n")
	for i := range e.trees {
		t := &e.trees[i]
		w.WriteString("num_cat=0\nnum_leaves=" + strconv.Itoa(len(t.leaf)))
		writeFloats(w, "leaf_value", t.leaf)
		if len(t.feature) > 0 {
			writeInts(w, "left_child", t.left)
			writeInts(w, "right_child", t.right)
			writeInts(w, "decision_type", t.decision)
			writeInts(w, "split_feature", t.feature)
			writeFloats(w, "threshold", t.threshold)
		}
		w.WriteString("\n\n")
	}
}

func writeFloats(w *bytes.Buffer, key string, v []float64) {
	w.WriteString("\n" + key + "=")
	for i, f := range v {
		if i > 0 {
			w.WriteByte(' ')
		}
		w.Write(strconv.AppendFloat(w.AvailableBuffer(), f, 'g', -1, 64))
	}
}

func writeInts(w *bytes.Buffer, key string, v []int32) {
	w.WriteString("\n" + key + "=")
	for i, n := range v {
		if i > 0 {
			w.WriteByte(' ')
		}
		w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(n), 10))
	}
}
