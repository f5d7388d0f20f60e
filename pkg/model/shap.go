package model

import (
	"math"
	"slices"
)

// Contributions are exact path-dependent Shapley values, those of TreeSHAP
// (Lundberg et al., "Consistent individualized feature attribution for tree
// ensembles", 2018): what is expected of a tree when a column is unknown is the
// mean over its children, weighted by training rows.
//
// A tree is the sum of its leaves, and a leaf is a game of its own. With d
// distinct columns on its path, let z[i] be the share of training rows that go
// on at the splits of column i, O the columns that let the row go on and Z those
// that stop it. When the columns S are known, the leaf gives
//
//	v(S) = value · Π(i not in S) z[i]    when S is part of O, else 0
//
// Weighted by w(k) = k! (d-k-1)! / d!, with e[k] the coefficients of the
// polynomial Π(j in O) (z[j] + x) and c = value · Π(j in Z) z[j], that makes
//
//	i in Z:  -c · Σ w(k) e[k]
//	i in O:   c · (1 - z[i]) · Σ w(k) q[k]    where q = e / (z[i] + x)
//
// A value depends on the row only by which way it goes at each split. Alerts
// repeat: a beacon takes the same ways again and again. So a Scorer keeps, by
// tree and ways, what came out.

const (
	// maxWays is how many splits a tree may have for its ways to fit a key.
	maxWays = 64
	// maxKept bounds what a Scorer keeps; a tree's values take a few hundred bytes.
	maxKept = 1 << 16
)

// leafPath is the way from the root to one leaf.
type leafPath struct {
	steps []step
	at    []int32   // distinct columns in the order of the path, as indices into paths.columns
	zero  []float64 // by column: share of training rows that go on when it is unknown
	value float64
}

// step is one split on a path.
type step struct {
	node int32
	left uint8 // 1 when the path goes left
	k    int32 // index of the split's column in leafPath.at
}

// paths are all ways through one tree.
type paths struct {
	splits  []split
	columns []int32 // distinct columns of the tree
	leaves  []leafPath
}

// split is tree.goesLeft for one node, without branches on what NaN means.
type split struct {
	threshold float64
	feature   int32
	nanLeft   uint8 // 1 when a missing value goes left
}

func (s *split) left(v float64) uint8 {
	var low, missing uint8
	if v <= s.threshold {
		low = 1
	}
	if v != v {
		missing = 1
	}
	return low | missing&s.nanLeft
}

func newPaths(t *tree) paths {
	p := paths{}
	for n, f := range t.feature {
		s := split{threshold: t.threshold[n], feature: f}
		if t.goesLeft(int32(n), math.NaN()) {
			s.nanLeft = 1
		}
		p.splits = append(p.splits, s)
	}
	if len(t.feature) > 0 {
		p.walk(t, 0, leafPath{})
	}
	return p
}

// walk adds the paths to all leaves under child c, where path has come to.
func (p *paths) walk(t *tree, c int32, path leafPath) {
	if c < 0 {
		path.value = t.leaf[^c]
		p.leaves = append(p.leaves, path)
		return
	}
	column := slices.Index(p.columns, t.feature[c])
	if column < 0 {
		column = len(p.columns)
		p.columns = append(p.columns, t.feature[c])
	}
	for left, child := range []int32{t.right[c], t.left[c]} {
		next := leafPath{steps: slices.Clone(path.steps), at: slices.Clone(path.at), zero: slices.Clone(path.zero)}
		k := slices.Index(next.at, int32(column))
		if k < 0 {
			k = len(next.at)
			next.at, next.zero = append(next.at, int32(column)), append(next.zero, 1)
		}
		next.zero[k] *= float64(t.count(child)) / float64(t.innerCount[c])
		next.steps = append(next.steps, step{node: c, left: uint8(left), k: int32(k)})
		p.walk(t, child, next)
	}
}

// explanation is the memory of a Scorer for contributions.
type explanation struct {
	kept   []map[uint64][]float64 // by tree and ways: contributions of its columns
	count  int
	goes   []uint8     // by split of a tree: 1 when the row goes left
	stops  []bool      // by column of a path
	e      []float64   // coefficients
	weight [][]float64 // w(k) by d
	spare  []float64
}

func newExplanation(e *ensemble) explanation {
	x := explanation{
		kept:  make([]map[uint64][]float64, len(e.trees)),
		stops: make([]bool, e.depth), e: make([]float64, e.depth+1), weight: make([][]float64, e.depth+1),
	}
	for d := 1; d <= e.depth; d++ {
		w := make([]float64, d)
		w[0] = 1 / float64(d)
		for k := 1; k < d; k++ {
			w[k] = w[k-1] * float64(k) / float64(d-k)
		}
		x.weight[d] = w
	}
	return x
}

// contributions computes s.phi over s.row.
func (s *Scorer) contributions() {
	e := s.b.trees
	x := &s.explain
	if s.phi == nil {
		s.phi = make([]float64, len(s.row))
		*x = newExplanation(e)
	}
	clear(s.phi)
	for i, p := range e.paths() {
		ways := uint64(0)
		x.goes = slices.Grow(x.goes[:0], len(p.splits))[:len(p.splits)]
		for n := range p.splits {
			left := p.splits[n].left(s.row[p.splits[n].feature])
			x.goes[n] = left
			ways |= uint64(left) << (n % maxWays)
		}
		for k, phi := range x.tree(i, &p, ways) {
			s.phi[p.columns[k]] += phi
		}
	}
}

// tree returns what a tree gives to its columns, for the ways in x.goes.
func (x *explanation) tree(i int, p *paths, ways uint64) []float64 {
	keep := len(p.splits) <= maxWays
	if keep {
		if phi, ok := x.kept[i][ways]; ok {
			return phi
		}
	}
	keep = keep && x.count < maxKept
	if cap(x.spare) < len(p.columns) {
		x.spare = make([]float64, len(p.columns))
	}
	phi := x.spare[:len(p.columns)]
	clear(phi)
	for l := range p.leaves {
		x.leaf(&p.leaves[l], phi)
	}
	if keep {
		if x.kept[i] == nil {
			x.kept[i] = make(map[uint64][]float64)
		}
		x.kept[i][ways] = slices.Clone(phi)
		x.count++
	}
	return phi
}

// leaf adds the Shapley value of each column of a path.
func (x *explanation) leaf(p *leafPath, phi []float64) {
	stops := x.stops[:len(p.at)]
	clear(stops)
	for _, st := range p.steps {
		if x.goes[st.node] != st.left {
			stops[st.k] = true
		}
	}
	c, e := p.value, x.e[:1]
	e[0] = 1
	for k, z := range p.zero {
		if stops[k] {
			c *= z
			continue
		}
		n := len(e)
		e = x.e[:n+1]
		e[n] = e[n-1]
		for j := n - 1; j > 0; j-- {
			e[j] = z*e[j] + e[j-1]
		}
		e[0] *= z
	}
	w, top := x.weight[len(p.at)], len(e)-1
	stopped := 0.0
	if top < len(w) {
		for k, v := range e {
			stopped += w[k] * v
		}
	}
	for k, at := range p.at {
		if stops[k] {
			phi[at] -= c * stopped
			continue
		}
		z, q := p.zero[k], e[top]
		sum := w[top-1] * q
		for j := top - 1; j > 0; j-- {
			q = e[j] - z*q
			sum += w[j-1] * q
		}
		phi[at] += c * (1 - z) * sum
	}
}
