package model

import "math"

// lanes is how many trees are walked side by side. A step waits for two loads, the
// node and the value it asks for; eight trees keep a core busy meanwhile.
const lanes = 8

// forest is an ensemble laid out to be walked without branches. Vectors are float32, so a
// float64 threshold t decides as the largest float32 that is at most t, and float32 values
// other than NaN are ordered as integers by their bits (key). A step is therefore
//
//	node = kids[keys[at] > key]
//
// A missing value is smaller than all keys where it goes left, and larger where it
// goes right: keys holds both for each column, and a node asks for the one it needs.
// Leaves are nodes that lead to themselves, so eight trees take equally many steps.
// The sum is made in the order of the trees and is that of leaves, bit for bit.
type forest struct {
	nodes []node
	value []float64 // by node: of a leaf, else 0
	packs []pack
}

type node struct {
	key  int32
	at   uint32    // 2·column, plus 1 where a missing value goes right
	kids [2]uint32 // left, right
}

// pack is the roots of trees walked together, and the steps to the deepest leaf.
type pack struct {
	root  [lanes]uint32
	steps int
}

func newForest(e *ensemble) *forest {
	f := &forest{}
	for i := 0; i < len(e.trees); i += lanes {
		var p pack
		for l := range p.root {
			t := &tree{leaf: []float64{0}} // fills up the last pack: a sum plus 0 is the sum
			if i+l < len(e.trees) {
				t = &e.trees[i+l]
			}
			p.root[l] = f.plant(t)
			p.steps = max(p.steps, t.depth)
		}
		f.packs = append(f.packs, p)
	}
	return f
}

// plant adds the nodes of a tree, inner ones first, and returns its root.
func (f *forest) plant(t *tree) uint32 {
	root := uint32(len(f.nodes))
	leaves := root + uint32(len(t.feature))
	place := func(child int32) uint32 {
		if child < 0 {
			return leaves + uint32(^child)
		}
		return root + uint32(child)
	}
	for n, column := range t.feature {
		at := 2 * uint32(column)
		if !t.goesLeft(int32(n), math.NaN()) {
			at++
		}
		f.nodes = append(f.nodes, node{key(narrow(t.threshold[n])), at, [2]uint32{place(t.left[n]), place(t.right[n])}})
		f.value = append(f.value, 0)
	}
	for l, v := range t.leaf {
		self := leaves + uint32(l)
		f.nodes = append(f.nodes, node{kids: [2]uint32{self, self}})
		f.value = append(f.value, v)
	}
	return root
}

// margin walks all trees over the keys of a row.
func (f *forest) margin(keys []int32) float64 {
	sum, nodes, value := 0.0, f.nodes, f.value
	for i := range f.packs {
		p := &f.packs[i]
		// Eight variables, for an array would live in memory.
		r := &p.root
		a0, a1, a2, a3, a4, a5, a6, a7 := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
		for range p.steps {
			n := &nodes[a0]
			a0 = n.kids[more(keys[n.at], n.key)]
			n = &nodes[a1]
			a1 = n.kids[more(keys[n.at], n.key)]
			n = &nodes[a2]
			a2 = n.kids[more(keys[n.at], n.key)]
			n = &nodes[a3]
			a3 = n.kids[more(keys[n.at], n.key)]
			n = &nodes[a4]
			a4 = n.kids[more(keys[n.at], n.key)]
			n = &nodes[a5]
			a5 = n.kids[more(keys[n.at], n.key)]
			n = &nodes[a6]
			a6 = n.kids[more(keys[n.at], n.key)]
			n = &nodes[a7]
			a7 = n.kids[more(keys[n.at], n.key)]
		}
		sum += value[a0]
		sum += value[a1]
		sum += value[a2]
		sum += value[a3]
		sum += value[a4]
		sum += value[a5]
		sum += value[a6]
		sum += value[a7]
	}
	return sum
}

// more is 1 when a > b, else 0; it compiles to no branch.
func more(a, b int32) int {
	if a > b {
		return 1
	}
	return 0
}

// look fills keys, two for each of the columns, from a vector.
func look(keys []int32, columns []int, vector []float32) {
	for i, c := range columns {
		pair := keys[2*i : 2*i+2]
		v := vector[c]
		if v != v {
			pair[0], pair[1] = math.MinInt32, math.MaxInt32
			continue
		}
		if v <= zeroThreshold && v >= -zeroThreshold { // as clean does
			v = 0
		}
		k := key(v)
		pair[0], pair[1] = k, k
	}
}

// key orders float32 values, from -Inf to +Inf, as integers. -0 is below 0 there and
// must not be asked for.
func key(v float32) int32 {
	b := int32(math.Float32bits(v))
	return b ^ int32(uint32(b>>31)>>1)
}

// narrow is the largest float32 that is at most t, never -0.
func narrow(t float64) float32 {
	f := float32(t)
	if float64(f) > t {
		f = math.Nextafter32(f, float32(math.Inf(-1)))
	}
	if f == 0 {
		return 0
	}
	return f
}
