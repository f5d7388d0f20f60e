package model

import (
	"fmt"
	"math"
)

// Bits of decision_type. A numeric split of LightGBM treats a missing value
// in one of three ways:
//
//	None (0): NaN counts as 0 and is compared, the default direction is unused
//	Zero (4): 0 and NaN take the default direction
//	NaN  (8): NaN takes the default direction, all else is compared
//
// The trainer's data has NaN for what was not observed, and 0 is a value, so
// None and NaN are accepted; Zero, and the categorical bit, are refused.
const (
	decisionDefaultLeft = 2
	decisionNaN         = 8
)

// tree has inner nodes and leaves; a child c >= 0 is inner node c, a child
// c < 0 is leaf ^c. Node 0 is the root, and a tree of one leaf has none.
type tree struct {
	feature               []int32
	threshold             []float64
	decision              []int32
	left, right           []int32
	leaf                  []float64
	leafCount, innerCount []int32 // training rows
	depth                 int     // splits on the longest path
}

// verify proves that the arrays form one tree: every node and every leaf is
// reached exactly once from the root, every row of a node is in one of its children.
func (t *tree) verify() error {
	for i, f := range t.feature {
		if f < 0 {
			return fmt.Errorf("split_feature %d is %d", i, f)
		}
		switch d := t.decision[i]; d {
		case 0, decisionDefaultLeft, decisionNaN, decisionNaN | decisionDefaultLeft:
		default:
			return fmt.Errorf("decision_type %d is %d: only numeric splits with missing type None or NaN (0, 2, 8, 10) are supported", i, d)
		}
	}
	if len(t.feature) == 0 {
		return nil
	}
	type visit struct{ child, depth int32 }
	var (
		leaves = make([]bool, len(t.leaf))
		inner  = make([]bool, len(t.feature))
		stack  = []visit{{0, 0}}
		seen   int
	)
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		c := v.child
		if c < 0 {
			l := int(^c)
			if l >= len(leaves) {
				return fmt.Errorf("child %d: there are %d leaves", c, len(leaves))
			}
			if leaves[l] {
				return fmt.Errorf("leaf %d is reached twice: not a tree", l)
			}
			if t.leafCount[l] < 1 {
				return fmt.Errorf("leaf_count %d is %d", l, t.leafCount[l])
			}
			leaves[l] = true
			seen++
			continue
		}
		if int(c) >= len(inner) {
			return fmt.Errorf("child %d: there are %d inner nodes", c, len(inner))
		}
		if inner[c] {
			return fmt.Errorf("node %d is reached twice: not a tree", c)
		}
		if v.depth >= maxDepth {
			return fmt.Errorf("deeper than %d", maxDepth)
		}
		inner[c] = true
		seen++
		t.depth = max(t.depth, int(v.depth)+1)
		stack = append(stack, visit{t.left[c], v.depth + 1}, visit{t.right[c], v.depth + 1})
	}
	if seen != len(leaves)+len(inner) {
		return fmt.Errorf("%d of %d nodes and leaves are reached from the root", seen, len(leaves)+len(inner))
	}
	for i, n := range t.innerCount {
		if sum := int64(t.count(t.left[i])) + int64(t.count(t.right[i])); sum != int64(n) {
			return fmt.Errorf("internal_count %d is %d, its children have %d", i, n, sum)
		}
	}
	return nil
}

// count is the number of training rows under a child.
func (t *tree) count(c int32) int32 {
	if c < 0 {
		return t.leafCount[^c]
	}
	return t.innerCount[c]
}

// goesLeft is LightGBM's decision at node n for value v.
func (t *tree) goesLeft(n int32, v float64) bool {
	if math.IsNaN(v) {
		if t.decision[n]&decisionNaN != 0 {
			return t.decision[n]&decisionDefaultLeft != 0
		}
		v = 0
	}
	return v <= t.threshold[n]
}
