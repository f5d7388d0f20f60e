package model

import "slices"

// Contributions are exact path-dependent Shapley values (Lundberg et al.,
// "Consistent individualized feature attribution for tree ensembles", 2018,
// algorithm 2): what is expected of a tree when a column is unknown is the mean
// over its children, weighted by training rows.
//
// The Shapley value of a tree is the sum over its leaves, and depends on the row
// only by which way it goes at each split. Alerts repeat: a beacon takes the
// same ways again and again. So a Scorer keeps, by tree and ways, what came out.

const (
	// maxWays is how many splits a tree may have for its ways to fit a key.
	maxWays = 64
	// maxKept bounds what a Scorer keeps; a tree's values take a few hundred bytes.
	maxKept = 1 << 15
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
	left bool  // the path goes left
	k    int32 // index of the split's column in leafPath.at
}

// paths are all ways through one tree.
type paths struct {
	columns []int32 // distinct columns of the tree
	leaves  []leafPath
}

func newPaths(t *tree) paths {
	p := paths{}
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
	for _, left := range []bool{true, false} {
		child := t.right[c]
		if left {
			child = t.left[c]
		}
		next := leafPath{steps: slices.Clone(path.steps), at: slices.Clone(path.at), zero: slices.Clone(path.zero)}
		k := slices.Index(next.at, int32(column))
		if k < 0 {
			k = len(next.at)
			next.at, next.zero = append(next.at, int32(column)), append(next.zero, 1)
		}
		next.zero[k] *= float64(t.count(child)) / float64(t.innerCount[c])
		next.steps = append(next.steps, step{node: c, left: left, k: int32(k)})
		p.walk(t, child, next)
	}
}

// explanation is the memory of a Scorer for contributions.
type explanation struct {
	kept  []map[uint64][]float64 // by tree and ways: contributions of its columns
	count int
	goes  []bool // by split of a tree: the row goes left
	ones  []float64
	path  []pathElement
	spare []float64
}

// contributions computes s.phi over s.row.
func (s *Scorer) contributions() {
	e := s.b.trees
	x := &s.explain
	if s.phi == nil {
		s.phi = make([]float64, len(s.row))
		*x = explanation{kept: make([]map[uint64][]float64, len(e.trees)), ones: make([]float64, e.depth), path: make([]pathElement, e.depth+1)}
	}
	clear(s.phi)
	all := e.paths()
	for i := range e.trees {
		t, p := &e.trees[i], &all[i]
		ways := uint64(0)
		x.goes = x.goes[:0]
		for n, f := range t.feature {
			left := t.goesLeft(int32(n), s.row[f])
			x.goes = append(x.goes, left)
			if left {
				ways |= 1 << (n % maxWays)
			}
		}
		for k, phi := range x.tree(i, p, ways, len(t.feature) <= maxWays) {
			s.phi[p.columns[k]] += phi
		}
	}
}

// tree returns what a tree gives to its columns, for the ways in x.goes.
func (x *explanation) tree(i int, p *paths, ways uint64, keep bool) []float64 {
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
	ones := x.ones[:len(p.at)] // 1 when the row's value goes on, else 0
	for k := range ones {
		ones[k] = 1
	}
	for _, st := range p.steps {
		if x.goes[st.node] != st.left {
			ones[st.k] = 0
		}
	}
	path := x.path[:1]
	path[0] = pathElement{zero: 1, one: 1, weight: 1}
	for k, zero := range p.zero {
		path = x.path[:k+2]
		extend(path, zero, ones[k])
	}
	for k, at := range p.at {
		e := &path[k+1]
		phi[at] += unwoundSum(path, k+1) * (e.one - e.zero) * p.value
	}
}

// pathElement is one distinct column on a path; element 0 stands for the root.
type pathElement struct {
	zero   float64 // share of training rows that go on when the column is unknown
	one    float64 // 1 when the row's value goes on, else 0
	weight float64 // of the subsets of as many columns, by the position in the path
}

// extend fills the last element of path, a new column, and reweights the rest.
func extend(path []pathElement, zero, one float64) {
	d := len(path) - 1
	path[d] = pathElement{zero: zero, one: one}
	for i := d - 1; i >= 0; i-- {
		path[i+1].weight += one * path[i].weight * float64(i+1) / float64(d+1)
		path[i].weight *= zero * float64(d-i) / float64(d+1)
	}
}

// unwoundSum is the sum of weights that taking element i out of path would leave.
func unwoundSum(path []pathElement, i int) float64 {
	d := len(path) - 1
	zero, one := path[i].zero, path[i].one
	next, total := path[d].weight, 0.0
	for j := d - 1; j >= 0; j-- {
		if one != 0 {
			w := next * float64(d+1) / (float64(j+1) * one)
			total += w
			next = path[j].weight - w*zero*float64(d-j)/float64(d+1)
		} else {
			total += path[j].weight * float64(d+1) / (zero * float64(d-j))
		}
	}
	return total
}
