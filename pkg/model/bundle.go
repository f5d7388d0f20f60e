// Package model loads a model bundle, checks all of it, and scores feature
// vectors with it.
//
// A bundle is a flat directory that the trainer writes:
//
//	model.txt         LightGBM text: binary objective, numeric splits, no linear trees
//	schema.json       the model's columns in its order, and the hash over their definitions
//	calibration.json  margin -> probability: Platt (a, b) or isotonic knots
//	thresholds.json   margin -> verdict: fpr_1e-2 suspicious, fpr_1e-3 malicious; after
//	                  calibration for a site, where its thresholds come from
//	reference.json    per column quantiles of benign traffic, range of training, histograms for drift
//	golden.tsv        rows of column values with the margin LightGBM gives them
//	eval.json card.md what was measured, for machines and for people
//	SHA256SUMS        "<hex>  <file>" for every other file
//
// A vector takes this way:
//
//	vector (float32, schema order) -> keys (model order) -> forest -> margin
//	   margin -> calibration -> probability
//	   margin -> thresholds  -> verdict
//	   vector -> TreeSHAP    -> contributions by column -> reasons by code
//
// The trees are walked by an evaluator of this package, the forest, and the reference
// it answers to is github.com/dmitryikh/leaves. leaves trusts its input: on a corrupt
// model it panics or never returns, and it knows no LightGBM header after v3. So the
// text is parsed and verified here first, and leaves reads a text written anew from the
// verified trees, under the header it accepts. That nothing is lost on the way is proved
// at load, bit for bit: every golden row must come out of both as LightGBM's margin,
// and rows of the values at every threshold must come out of both the same.
package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of what Load reads: a bundle is small, so a file beyond these is an
// error and never a reason to run out of memory.
const (
	maxFileBytes  = 64 << 20
	maxFiles      = 256
	sumsFile      = "SHA256SUMS"
	modelFile     = "model.txt"
	schemaFile    = "schema.json"
	calibFile     = "calibration.json"
	thresholdFile = "thresholds.json"
	referenceFile = "reference.json"
	evalFile      = "eval.json"
	cardFile      = "card.md"
	goldenFile    = "golden.tsv"
)

var (
	requiredFiles = [...]string{modelFile, schemaFile, calibFile, thresholdFile, referenceFile, evalFile, cardFile, goldenFile}
	sumLine       = regexp.MustCompile(`^([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]*)$`)
	bundleName    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
)

// Bundle is a model with all that belongs to it, checked. It never changes, so
// any number of goroutines may use it, each with a Scorer of its own.
type Bundle struct {
	id         string
	schema     schema
	columns    []int // of the vector, in the model's order
	width      int   // shortest vector that has all columns
	trees      *ensemble
	forest     *forest
	calibrate  calibration
	thresholds []Threshold
	site       *Site                // nil unless the thresholds were calibrated for one
	told       []told               // what may be told of each column, in the model's order
	techniques map[string]technique // by reason code
	vectors    Schema               // of the vectors
	bounds     []bound              // of training, in the model's order; none when the bundle doesn't say
	limit      int                  // columns outside of bounds that are no extrapolation yet
	card       string
}

// Load reads the bundle at the root of fsys and checks every part of it
// against the others and against s. The error names the file and the cause.
func Load(fsys fs.FS, s Schema) (*Bundle, error) {
	files, err := readVerified(fsys)
	if err != nil {
		return nil, err
	}
	b := &Bundle{card: string(files[cardFile])}
	if b.schema, b.columns, err = loadSchema(files[schemaFile], s); err != nil {
		return nil, fmt.Errorf("%s: %w", schemaFile, err)
	}
	b.width = slices.Max(b.columns) + 1
	names := b.schema.names()
	if b.trees, err = parse(files[modelFile]); err != nil {
		return nil, fmt.Errorf("%s: %w", modelFile, err)
	}
	if err = sameNames(b.trees.names, names); err != nil {
		return nil, fmt.Errorf("%s: feature_names against %s: %w", modelFile, schemaFile, err)
	}
	b.forest = newForest(b.trees)
	if b.calibrate, err = loadCalibration(files[calibFile]); err != nil {
		return nil, fmt.Errorf("%s: %w", calibFile, err)
	}
	if b.thresholds, b.site, err = loadThresholds(files[thresholdFile]); err != nil {
		return nil, fmt.Errorf("%s: %w", thresholdFile, err)
	}
	ref, err := loadReference(files[referenceFile])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", referenceFile, err)
	}
	b.techniques, b.vectors = codes(), s
	b.told = tell(names, ref.Features, s)
	if b.bounds = bounds(names, b.columns, ref); b.bounds != nil {
		b.limit = ref.Extrapolation.Limit
	}
	if !json.Valid(files[evalFile]) {
		return nil, fmt.Errorf("%s: is not valid JSON", evalFile)
	}
	if strings.TrimSpace(b.card) == "" || !utf8.ValidString(b.card) {
		return nil, fmt.Errorf("%s: is empty or not UTF-8", cardFile)
	}
	sum := sha256.Sum256(files[modelFile])
	b.id = b.schema.Name + "-" + hex.EncodeToString(sum[:])[:12]
	if b.site != nil {
		sum = sha256.Sum256(files[thresholdFile])
		b.id += "+" + hex.EncodeToString(sum[:])[:8]
	}
	reference, err := newEngine(b.trees)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", modelFile, err)
	}
	if err = b.checkGolden(files[goldenFile], reference); err != nil {
		return nil, fmt.Errorf("%s: %w", goldenFile, err)
	}
	if err = b.checkTurns(reference); err != nil {
		return nil, fmt.Errorf("%s: %w", modelFile, err)
	}
	return b, nil
}

// ID names the model: the bundle's name and the first twelve hex digits of the
// SHA-256 of model.txt, which tell the margin. A bundle that was calibrated for a site
// gives other verdicts to the same margins, so a plus and the first eight digits of the
// SHA-256 of thresholds.json follow. What no verdict depends on, as the card, is not in it.
func (b *Bundle) ID() string { return b.id }

// Hash is the schema hash over the columns that the model uses.
func (b *Bundle) Hash() string { return b.schema.Hash }

// Features lists the model's columns in its order.
func (b *Bundle) Features() []string { return b.schema.names() }

// Trees is the number of trees.
func (b *Bundle) Trees() int { return len(b.trees.trees) }

// Thresholds lists the verdict thresholds, the most severe first.
func (b *Bundle) Thresholds() []Threshold { return slices.Clone(b.thresholds) }

// Site says where the thresholds come from when they were calibrated for a site.
func (b *Bundle) Site() (Site, bool) {
	if b.site == nil {
		return Site{}, false
	}
	s := *b.site
	s.Trained = maps.Clone(s.Trained)
	return s, true
}

// ExcludedCaptures lists the captures that were kept out of training.
func (b *Bundle) ExcludedCaptures() []string { return slices.Clone(b.schema.ExcludedCaptures) }

// Covers reports whether the model may score rows of a protocol (app_proto): any,
// unless schema.json lists its protocols.
func (b *Bundle) Covers(protocol string) bool {
	return len(b.schema.Protocols) == 0 || slices.Contains(b.schema.Protocols, protocol)
}

// Card is the model card, Markdown.
func (b *Bundle) Card() string { return b.card }

// readVerified returns the bundle's files after SHA256SUMS was found to list
// exactly them.
func readVerified(fsys fs.FS) (map[string][]byte, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	if len(entries) > maxFiles {
		return nil, fmt.Errorf("bundle has %d files, more than %d", len(entries), maxFiles)
	}
	raw, err := readFile(fsys, sumsFile)
	if err != nil {
		return nil, err
	}
	sums, err := parseSums(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sumsFile, err)
	}
	files := make(map[string][]byte, len(sums))
	for _, e := range entries {
		name := e.Name()
		if name == sumsFile {
			continue
		}
		want, listed := sums[name]
		if !listed {
			return nil, fmt.Errorf("%s: %s is in the bundle but not listed", sumsFile, name)
		}
		data, err := readFile(fsys, name)
		if err != nil {
			return nil, err
		}
		got := sha256.Sum256(data)
		if hex.EncodeToString(got[:]) != want {
			return nil, fmt.Errorf("%s: SHA-256 is %x, %s says %s", name, got, sumsFile, want)
		}
		files[name] = data
	}
	for name := range sums {
		if _, ok := files[name]; !ok {
			return nil, fmt.Errorf("%s: listed in %s but missing", name, sumsFile)
		}
	}
	for _, name := range requiredFiles {
		if _, ok := files[name]; !ok {
			return nil, fmt.Errorf("%s: missing", name)
		}
	}
	return files, nil
}

func parseSums(raw []byte) (map[string]string, error) {
	text, ok := strings.CutSuffix(string(raw), "\n")
	if !ok {
		return nil, errors.New("does not end with a line feed")
	}
	lines := strings.Split(text, "\n")
	if len(lines) > maxFiles {
		return nil, fmt.Errorf("has %d lines, more than %d", len(lines), maxFiles)
	}
	sums := make(map[string]string, len(lines))
	for i, l := range lines {
		m := sumLine.FindStringSubmatch(l)
		if m == nil {
			return nil, fmt.Errorf("line %d is not \"<sha-256>  <file>\"", i+1)
		}
		if _, twice := sums[m[2]]; twice {
			return nil, fmt.Errorf("line %d lists %s again", i+1, m[2])
		}
		sums[m[2]] = m[1]
	}
	return sums, nil
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: missing: %w", name, fs.ErrNotExist)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s: larger than %d MiB", name, maxFileBytes>>20)
	}
	return data, nil
}

// decodeJSON reads exactly one JSON value.
func decodeJSON(data []byte, into any) error {
	// json.Unmarshal refuses trailing data, NaN and Infinity.
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}
