package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// rounding is what a limit in reference.json may have lost, relative to its
// size: seven digits are written.
const rounding = 1e-6

// bound is the range of one column of the model over all training rows.
type bound struct {
	column  int32 // in the vector
	lo, hi  float32
	missing bool // it is within the range not to be observed
}

// bounds returns the limits by column, and nothing when the bundle does not
// have them for every column.
func bounds(names []string, columns []int, ref *references) []bound {
	if ref.Extrapolation == nil {
		return nil
	}
	out := make([]bound, len(names))
	for i, name := range names {
		t := ref.Features[name].Train
		if t == nil {
			return nil
		}
		// Without an end, no value is within.
		out[i] = bound{column: int32(columns[i]), lo: float32(math.Inf(1)), hi: float32(math.Inf(-1)), missing: t.NaN}
		if t.Min != nil {
			out[i].lo = float32(*t.Min - rounding*math.Abs(*t.Min))
			out[i].hi = float32(*t.Max + rounding*math.Abs(*t.Max))
		}
	}
	return out
}

func (b *bound) outside(v float32) bool {
	if v >= b.lo && v <= b.hi {
		return false
	}
	return v == v || !b.missing
}

// Outside counts the model's columns in which vector lies outside of what all
// training rows had, or lacks a value that none of them lacked. It is 0 for a
// bundle that doesn't say, and for a vector that is too short.
func (b *Bundle) Outside(vector []float32) int {
	if len(vector) < b.width {
		return 0
	}
	n := 0
	for i := range b.bounds {
		if c := &b.bounds[i]; c.outside(vector[c.column]) {
			n++
		}
	}
	return n
}

// Extrapolation says of a vector with more columns outside of training than
// the bundle allows how many they are, and names those three that are farthest
// off, with their values; of any other it says nothing.
func (b *Bundle) Extrapolation(vector []float32) string {
	n := b.Outside(vector)
	if n <= b.limit {
		return ""
	}
	type far struct {
		i   int
		off float64 // distance in widths of the range
	}
	var all []far
	for i := range b.bounds {
		c := &b.bounds[i]
		v := vector[c.column]
		if !c.outside(v) {
			continue
		}
		f := far{i: i}
		if lo, hi, v := float64(c.lo), float64(c.hi), float64(v); lo <= hi && v == v {
			f.off = max(lo-v, v-hi) / max(hi-lo, rounding)
		}
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b far) int { return cmp.Compare(b.off, a.off) })
	const named = 3
	var parts []string
	for _, f := range all[:min(len(all), named)] {
		value := "missing"
		if v := float64(vector[b.bounds[f.i].column]); v == v {
			value = number(v)
		}
		parts = append(parts, b.schema.Features[f.i].Name+" "+value)
	}
	if len(all) > named {
		parts = append(parts, "…")
	}
	columns := "columns"
	if n == 1 {
		columns = "column"
	}
	return fmt.Sprintf("extrapolation: %d %s outside the training range (%s)", n, columns, strings.Join(parts, ", "))
}
