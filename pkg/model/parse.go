package model

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Limits of a model text.
const (
	maxTrees     = 100_000
	maxLeaves    = 4096 // of one tree
	maxDepth     = 128
	maxLeafValue = 1e6 // so that no sum of leaves overflows
)

// ensemble is the verified content of a LightGBM model text.
type ensemble struct {
	names []string
	trees []tree
	depth int // of the deepest tree

	once sync.Once
	ways []paths
}

// paths returns the paths of all trees; they are made when the first alert
// asks for them.
func (e *ensemble) paths() []paths {
	e.once.Do(func() {
		for i := range e.trees {
			e.ways = append(e.ways, newPaths(&e.trees[i]))
		}
	})
	return e.ways
}

// Fields of a text, by what their absence, presence or length must be.
var (
	headerKeys = []string{"version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx",
		"objective", "feature_names", "feature_infos", "tree_sizes", "monotone_constraints"}
	treeKeys = []string{"num_leaves", "num_cat", "split_feature", "split_gain", "threshold", "decision_type",
		"left_child", "right_child", "leaf_value", "leaf_weight", "leaf_count", "internal_value",
		"internal_weight", "internal_count", "is_linear", "shrinkage"}
)

// parse reads a LightGBM text (version v4) and refuses whatever is not a
// plain binary ensemble of numeric trees:
//
//	tree
//	version=v4
//	key=value ...
//	                      (blank)
//	Tree=0
//	key=value ...
//	                      (blank)
//	                      (blank)
//	Tree=1 ...
//	end of trees
//	importances and parameters, which nothing here depends on
func parse(data []byte) (*ensemble, error) {
	t := &text{rest: data, size: len(data)}
	if l, ok := t.line(); !ok || l != "tree" {
		return nil, errors.New("line 1 is not \"tree\": no LightGBM text")
	}
	h, err := t.block(headerKeys)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for _, w := range [][2]string{{"version", "v4"}, {"num_class", "1"}, {"num_tree_per_iteration", "1"}, {"objective", "binary sigmoid:1"}} {
		if got, ok := h[w[0]]; !ok || got != w[1] {
			return nil, fmt.Errorf("header: %s=%s, want %s", w[0], got, w[1])
		}
	}
	e := &ensemble{names: strings.Split(h["feature_names"], " ")}
	if len(e.names) > maxFeatures {
		return nil, fmt.Errorf("header: %d feature_names, more than %d", len(e.names), maxFeatures)
	}
	if h["max_feature_idx"] != strconv.Itoa(len(e.names)-1) {
		return nil, fmt.Errorf("header: max_feature_idx=%s with %d feature_names", h["max_feature_idx"], len(e.names))
	}
	if sorted := slices.Sorted(slices.Values(e.names)); len(slices.Compact(sorted)) != len(e.names) {
		return nil, errors.New("header: feature_names has one name twice")
	}
	sizes, err := ints(h["tree_sizes"], strings.Count(h["tree_sizes"], " ")+1, math.MaxInt32)
	if err != nil {
		return nil, fmt.Errorf("header: tree_sizes: %w", err)
	}
	if len(sizes) > maxTrees {
		return nil, fmt.Errorf("header: %d trees, more than %d", len(sizes), maxTrees)
	}
	e.trees = make([]tree, 0, min(len(sizes), 4096))
	for i, size := range sizes {
		start := t.offset()
		tr, err := t.tree(i, len(e.names))
		if err != nil {
			return nil, fmt.Errorf("tree %d, before line %d: %w", i, t.n+1, err)
		}
		if got := t.offset() - start; got != int(size) {
			return nil, fmt.Errorf("tree %d: %d bytes, tree_sizes says %d", i, got, size)
		}
		e.trees = append(e.trees, tr)
		e.depth = max(e.depth, tr.depth)
	}
	if l, _ := t.line(); l != "end of trees" {
		return nil, fmt.Errorf("line %d is not \"end of trees\" after tree %d", t.n, len(sizes)-1)
	}
	return e, nil
}

// text walks the lines of a file.
type text struct {
	rest []byte
	size int
	n    int // lines read
}

func (t *text) offset() int { return t.size - len(t.rest) }

// line reports false at the end and for a line without its line feed.
func (t *text) line() (string, bool) {
	l, rest, ok := bytes.Cut(t.rest, []byte{'\n'})
	if !ok {
		return "", false
	}
	t.rest = rest
	t.n++
	return string(l), true
}

// block reads key=value lines up to a blank one.
func (t *text) block(keys []string) (map[string]string, error) {
	m := make(map[string]string, len(keys))
	for {
		l, ok := t.line()
		if !ok {
			return nil, fmt.Errorf("ends after line %d", t.n)
		}
		if l == "" {
			return m, nil
		}
		k, v, ok := strings.Cut(l, "=")
		if !ok || !slices.Contains(keys, k) {
			return nil, fmt.Errorf("line %d: %s is not supported", t.n, strconv.QuoteToASCII(clip(k)))
		}
		if _, twice := m[k]; twice {
			return nil, fmt.Errorf("line %d: %s comes twice", t.n, k)
		}
		m[k] = v
	}
}

func (t *text) tree(i, features int) (tree, error) {
	var tr tree
	if l, _ := t.line(); l != "Tree="+strconv.Itoa(i) {
		return tr, fmt.Errorf("starts with %s, want Tree=%d", strconv.QuoteToASCII(clip(l)), i)
	}
	m, err := t.block(treeKeys)
	if err != nil {
		return tr, err
	}
	if l, ok := t.line(); !ok || l != "" {
		return tr, errors.New("no two blank lines at the end")
	}
	if m["num_cat"] != "0" {
		return tr, fmt.Errorf("num_cat=%s: categorical splits are not supported", clip(m["num_cat"]))
	}
	if m["is_linear"] != "0" {
		return tr, fmt.Errorf("is_linear=%s: linear trees are not supported", clip(m["is_linear"]))
	}
	leafN, err := strconv.Atoi(m["num_leaves"])
	if err != nil || leafN < 1 || leafN > maxLeaves {
		return tr, fmt.Errorf("num_leaves=%s, want 1 to %d", clip(m["num_leaves"]), maxLeaves)
	}
	var errs []error
	inner := leafN - 1
	field := func(key string, n int, limit int64) []int32 {
		v, err := ints(m[key], n, limit)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
		return v
	}
	number := func(key string, n int, limit float64) []float64 {
		v, err := floats(m[key], n, limit)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
		return v
	}
	tr = tree{
		feature: field("split_feature", inner, int64(features)-1),
		// A split of the observed from the missing has threshold inf.
		threshold:  number("threshold", inner, math.Inf(1)),
		decision:   field("decision_type", inner, 255),
		left:       field("left_child", inner, int64(inner)-1),
		right:      field("right_child", inner, int64(inner)-1),
		leaf:       number("leaf_value", leafN, maxLeafValue),
		leafCount:  field("leaf_count", leafN, math.MaxInt32),
		innerCount: field("internal_count", inner, math.MaxInt32),
	}
	// Not needed to score or to explain, but a tree that lacks them is broken.
	for key, n := range map[string]int{"split_gain": inner, "internal_value": inner, "internal_weight": inner} {
		if got := len(strings.Fields(m[key])); got != n {
			errs = append(errs, fmt.Errorf("%s: %d numbers, want %d", key, got, n))
		}
	}
	if len(errs) > 0 {
		return tr, errs[0]
	}
	return tr, tr.verify()
}

// ints reads exactly n integers of at most limit, by single spaces. Negative
// ones are left to the caller: children are.
func ints(s string, n int, limit int64) ([]int32, error) {
	out := make([]int32, 0, n)
	err := fields(s, n, func(f string) error {
		v, err := strconv.ParseInt(f, 10, 32)
		if err != nil || v > limit {
			return fmt.Errorf("%s is not an integer of at most %d", strconv.QuoteToASCII(clip(f)), limit)
		}
		out = append(out, int32(v))
		return nil
	})
	return out, err
}

// floats reads exactly n numbers of at most limit in size.
func floats(s string, n int, limit float64) ([]float64, error) {
	out := make([]float64, 0, n)
	err := fields(s, n, func(f string) error {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil || math.IsNaN(v) || math.Abs(v) > limit || math.IsInf(v, -1) {
			return fmt.Errorf("%s is not a number within %g", strconv.QuoteToASCII(clip(f)), limit)
		}
		out = append(out, v)
		return nil
	})
	return out, err
}

func fields(s string, n int, each func(string) error) error {
	got := 0
	if s != "" {
		got = strings.Count(s, " ") + 1
	}
	if got != n {
		return fmt.Errorf("%d numbers, want %d", got, n)
	}
	for i := 0; i < n; i++ {
		f, rest, _ := strings.Cut(s, " ")
		if err := each(f); err != nil {
			return fmt.Errorf("number %d: %w", i, err)
		}
		s = rest
	}
	return nil
}

// clip keeps a corrupt line from filling the log.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
