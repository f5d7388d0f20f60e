package model

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/record"
)

// testSchema is trench-v1 by names alone.
type testSchema struct {
	names   []string
	changed string // a column whose digest differs
}

func newSchema(tb testing.TB) *testSchema {
	tb.Helper()
	raw, err := os.ReadFile("testdata/trench-v1.txt")
	if err != nil {
		tb.Fatal(err)
	}
	return &testSchema{names: strings.Fields(string(raw))}
}

func (s *testSchema) Name() string { return "trench-v1" }

func (s *testSchema) Index(name string) (int, bool) {
	i := slices.Index(s.names, name)
	return i, i >= 0
}

func (s *testSchema) Hash(names []string) (string, error) {
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return hex.EncodeToString(sum[:]), nil
}

func (s *testSchema) Digest(name string) (string, bool) {
	if name == s.changed {
		return "other", true
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:]), true
}

// fixture is the bundle that LightGBM wrote, as a map to be spoiled.
func fixture(tb testing.TB) fstest.MapFS {
	tb.Helper()
	m := fstest.MapFS{}
	paths, err := filepath.Glob("testdata/bundle/*")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no fixture: %v", err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			tb.Fatal(err)
		}
		m[filepath.Base(p)] = &fstest.MapFile{Data: data}
	}
	return m
}

// sign writes SHA256SUMS anew, so that what is refused is not the checksum.
func sign(m fstest.MapFS) {
	var b strings.Builder
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range m {
			if n != sumsFile && !yield(n) {
				return
			}
		}
	}) {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(m[name].Data), name)
	}
	m[sumsFile] = &fstest.MapFile{Data: []byte(b.String())}
}

func load(tb testing.TB) *Bundle {
	tb.Helper()
	b, err := Load(os.DirFS("testdata/bundle"), newSchema(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// edit replaces the first match, or fails.
func edit(tb testing.TB, m fstest.MapFS, file, old, new string) {
	tb.Helper()
	if !bytes.Contains(m[file].Data, []byte(old)) {
		tb.Fatalf("%s has no %q", file, old)
	}
	m[file].Data = bytes.Replace(m[file].Data, []byte(old), []byte(new), 1)
}

// editTree replaces a line of a tree by f of its value and repairs tree_sizes,
// so that nothing but the content is wrong.
func editTree(tb testing.TB, m fstest.MapFS, key string, f func(string) string) {
	tb.Helper()
	head, body, ok := strings.Cut(string(m[modelFile].Data), "Tree=0\n")
	if !ok {
		tb.Fatal("no tree 0")
	}
	first, rest, _ := strings.Cut(body, "Tree=1\n")
	lines := strings.Split(first, "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+"=") })
	if at < 0 {
		tb.Fatalf("no %s", key)
	}
	lines[at] = key + "=" + f(strings.TrimPrefix(lines[at], key+"="))
	edited := strings.Join(lines, "\n")
	head = strings.Replace(head, fmt.Sprintf("tree_sizes=%d ", len(first)+7), fmt.Sprintf("tree_sizes=%d ", len(edited)+7), 1)
	m[modelFile].Data = []byte(head + "Tree=0\n" + edited + "Tree=1\n" + rest)
}

func withNumber(i int, v string) func(string) string {
	return func(s string) string {
		f := strings.Fields(s)
		f[i] = v
		return strings.Join(f, " ")
	}
}

func TestLoadAcceptsWhatTheTrainerWrites(t *testing.T) {
	t.Parallel()
	b := load(t)
	sum := sha256.Sum256(fixture(t)[modelFile].Data)
	if want := "fixture-" + hex.EncodeToString(sum[:])[:12]; b.ID() != want {
		t.Errorf("ID() = %q, want %q", b.ID(), want)
	}
	want, _ := newSchema(t).Hash(b.Features())
	if b.Hash() != want {
		t.Errorf("Hash() = %q, want %q", b.Hash(), want)
	}
	if len(b.Features()) != 40 || b.Trees() != 40 {
		t.Errorf("%d features and %d trees, want 40 and 40", len(b.Features()), b.Trees())
	}
	if diff := cmp.Diff([]string{"malware/one.pcap"}, b.ExcludedCaptures()); diff != "" {
		t.Error(diff)
	}
	th := b.Thresholds()
	if len(th) != 2 || th[0].Verdict != record.Malicious || th[1].Verdict != record.Suspicious || th[0].Margin < th[1].Margin {
		t.Errorf("thresholds %+v", th)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	type spoil struct {
		do   func(fstest.MapFS)
		want string // in the error
	}
	tree := func(key string, f func(string) string) func(fstest.MapFS) {
		return func(m fstest.MapFS) { editTree(t, m, key, f) }
	}
	file := func(name, old, new string) func(fstest.MapFS) {
		return func(m fstest.MapFS) { edit(t, m, name, old, new) }
	}
	content := func(name, data string) func(fstest.MapFS) {
		return func(m fstest.MapFS) { m[name].Data = []byte(data) }
	}
	for name, c := range map[string]spoil{
		"no model":             {func(m fstest.MapFS) { delete(m, modelFile) }, "model.txt: missing"},
		"no golden rows":       {func(m fstest.MapFS) { delete(m, goldenFile) }, "golden.tsv: missing"},
		"no card":              {content(cardFile, " \n"), "card.md: is empty"},
		"no eval":              {content(evalFile, "{"), "eval.json: is not valid JSON"},
		"a folder":             {func(m fstest.MapFS) { m["sub/x"] = &fstest.MapFile{Data: []byte("x")} }, "is not"},
		"v2 header":            {file(modelFile, "version=v4", "version=v2"), "model.txt: header: version=v2, want v4"},
		"v3 header":            {file(modelFile, "version=v4", "version=v3"), "version=v3"},
		"three classes":        {file(modelFile, "num_class=1", "num_class=3"), "num_class=3, want 1"},
		"three trees a round":  {file(modelFile, "num_tree_per_iteration=1", "num_tree_per_iteration=3"), "num_tree_per_iteration=3"},
		"regression":           {file(modelFile, "objective=binary sigmoid:1", "objective=regression"), "objective=regression"},
		"other sigmoid":        {file(modelFile, "sigmoid:1", "sigmoid:2"), "sigmoid:2"},
		"random forest":        {file(modelFile, "num_class=1\n", "num_class=1\naverage_output\n"), "average_output"},
		"unknown key":          {file(modelFile, "label_index=0", "label_idx=0"), `"label_idx" is not supported`},
		"key twice":            {file(modelFile, "label_index=0", "num_class=1"), "num_class comes twice"},
		"no LightGBM text":     {content(modelFile, "hello\n"), "line 1"},
		"empty model":          {content(modelFile, ""), "line 1"},
		"wrong max_feature":    {file(modelFile, "max_feature_idx=39", "max_feature_idx=400"), "max_feature_idx=400"},
		"swapped names":        {func(m fstest.MapFS) { swapNames(t, m) }, "feature_names against schema.json: column 0"},
		"categorical":          {tree("num_cat", func(string) string { return "1" }), "tree 0, before line"},
		"categorical node":     {tree("decision_type", withNumber(0, "1")), "decision_type 0 is 1"},
		"zero as missing":      {tree("decision_type", withNumber(0, "4")), "decision_type 0 is 4"},
		"unknown missing type": {tree("decision_type", withNumber(0, "12")), "decision_type 0 is 12"},
		"linear":               {tree("is_linear", func(string) string { return "1" }), "linear trees are not supported"},
		"column out of range":  {tree("split_feature", withNumber(0, "40")), "split_feature: number 0"},
		"negative column":      {tree("split_feature", withNumber(0, "-1")), "split_feature 0 is -1"},
		"too few columns":      {tree("split_feature", func(s string) string { _, r, _ := strings.Cut(s, " "); return r }), "split_feature: 13 numbers, want 14"},
		"cycle to the root":    {tree("left_child", withNumber(1, "0")), "reached twice"},
		"self loop":            {tree("left_child", withNumber(1, "1")), "reached twice"},
		"child out of range":   {tree("right_child", withNumber(2, "14")), "right_child: number 2"},
		"leaf out of range":    {tree("right_child", withNumber(2, "-99")), "child -99: there are 15 leaves"},
		"infinite threshold":   {tree("threshold", withNumber(0, "-inf")), "threshold: number 0"},
		"NaN threshold":        {tree("threshold", withNumber(0, "nan")), "threshold: number 0"},
		"overflowing number":   {tree("threshold", withNumber(0, "1e999")), "threshold: number 0"},
		"NaN leaf":             {tree("leaf_value", withNumber(3, "nan")), "leaf_value: number 3"},
		"huge leaf":            {tree("leaf_value", withNumber(3, "1e300")), "leaf_value: number 3"},
		"no leaf count":        {tree("leaf_count", withNumber(3, "0")), "leaf_count 3 is 0"},
		"count that lies":      {tree("internal_count", withNumber(0, "7")), "internal_count 0 is 7"},
		"another leaf value":   {tree("leaf_value", withNumber(0, "0.25")), "golden.tsv: row "},
		"another threshold":    {tree("threshold", withNumber(0, "-1e30")), "golden.tsv: row "},
		"no leaves":            {tree("num_leaves", func(string) string { return "0" }), "num_leaves=0"},
		"many leaves":          {tree("num_leaves", func(string) string { return "99999999" }), "num_leaves=99999999"},
		"a tree less":          {func(m fstest.MapFS) { dropTree(t, m) }, "Tree=39"},
		"wrong tree size":      {file(modelFile, "tree_sizes=", "tree_sizes=1"), "tree_sizes says"},
		"no end":               {file(modelFile, "end of trees", "end of tree"), "end of trees"},
		"cut":                  {func(m fstest.MapFS) { m[modelFile].Data = m[modelFile].Data[:30000] }, "tree "},
		"CRLF": {func(m fstest.MapFS) {
			m[modelFile].Data = bytes.ReplaceAll(m[modelFile].Data, []byte("\n"), []byte("\r\n"))
		}, "line 1"},
		"no bundle name":             {file(schemaFile, `"name": "fixture"`, `"name": "../x"`), `schema.json: name "../x"`},
		"feature twice":              {file(schemaFile, `"name": "ct_self_signed"`, `"name": "sn_present"`), "comes twice"},
		"Platt falls":                {file(calibFile, "1.1", "-1.1"), "calibration.json: a is -1.1"},
		"Platt without b":            {content(calibFile, `{"method":"platt","a":1}`), "platt needs a and b"},
		"unknown calibration":        {content(calibFile, `{"method":"beta"}`), `method "beta"`},
		"NaN in JSON":                {content(calibFile, `{"method":"platt","a":NaN,"b":0}`), "calibration.json: decode"},
		"isotonic falls":             {content(calibFile, `{"method":"isotonic","knots":[[0,0.5],[1,0.4]]}`), "knot 1"},
		"isotonic beyond one":        {content(calibFile, `{"method":"isotonic","knots":[[0,0.5],[1,1.5]]}`), "knot 1"},
		"one knot":                   {content(calibFile, `{"method":"isotonic","knots":[[0,0.5]]}`), "1 knots"},
		"one threshold":              {content(thresholdFile, `{"thresholds":[]}`), "thresholds.json: fpr_1e-2 and fpr_1e-3"},
		"swapped verdicts":           {file(thresholdFile, "suspicious", "malicious"), `verdict "malicious", want "suspicious"`},
		"threshold unknown":          {file(thresholdFile, "fpr_1e-2", "fpr_1e-9"), `name "fpr_1e-9"`},
		"impossible count":           {file(thresholdFile, `"false_positives": `, `"false_positives": 99999`), "false positives"},
		"neither margin nor verdict": {content(thresholdFile, `{"thresholds":[{"name":"fpr_1e-2"}]}`), "fpr_1e-2: no margin"},
		"empty site":                 {file(thresholdFile, `{`, `{"site":{},`), "site: 0 flows of 0 hosts counted as 0\nsite: no model\nsite: no trained margin of fpr_1e-2"},
		"site backwards": {file(thresholdFile, `{`, `{"site":{"model":"m","flows":9,"hosts":2,"counted":9,"first":"2026-02-01T00:00:00Z","last":"2026-01-01T00:00:00Z",`+
			`"trained":{"fpr_1e-2":0,"fpr_1e-3":1}},`), "thresholds.json: site: from 2026-02-01"},
		"quantiles fall":     {file(referenceFile, `"p99": `, `"p99": -1`), "reference.json"},
		"no reference":       {content(referenceFile, `{"features":{}}`), "reference.json: has 0 features"},
		"wrong golden value": {func(m fstest.MapFS) { spoilGolden(t, m) }, "golden.tsv: row 7: margin is "},
		"few golden rows":    {func(m fstest.MapFS) { cutGolden(m) }, "has 10 rows, want at least 32"},
		"golden header":      {file(goldenFile, "margin", "score"), "golden.tsv: header"},
		"golden cut":         {func(m fstest.MapFS) { m[goldenFile].Data = m[goldenFile].Data[:len(m[goldenFile].Data)-1] }, "cut off"},
		"no golden number":   {file(goldenFile, "\tnan", "\tnone"), `"none"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := fixture(t)
			c.do(m)
			sign(m)
			_, err := Load(m, newSchema(t))
			if err == nil {
				t.Fatal("loaded")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func swapNames(tb testing.TB, m fstest.MapFS) {
	tb.Helper()
	_, rest, _ := strings.Cut(string(m[modelFile].Data), "feature_names=")
	line, _, _ := strings.Cut(rest, "\n")
	f := strings.Fields(line)
	f[0], f[1] = f[1], f[0]
	edit(tb, m, modelFile, line, strings.Join(f, " "))
}

func dropTree(tb testing.TB, m fstest.MapFS) {
	tb.Helper()
	s := string(m[modelFile].Data)
	i, j := strings.Index(s, "Tree=39\n"), strings.Index(s, "end of trees")
	if i < 0 || j < i {
		tb.Fatal("no tree 39")
	}
	m[modelFile].Data = []byte(s[:i] + s[j:])
}

func spoilGolden(tb testing.TB, m fstest.MapFS) {
	tb.Helper()
	lines := strings.Split(string(m[goldenFile].Data), "\n")
	cells := strings.Split(lines[7], "\t")
	v, err := strconv.ParseFloat(cells[len(cells)-1], 64)
	if err != nil {
		tb.Fatal(err)
	}
	// One unit in the last place is enough.
	cells[len(cells)-1] = strconv.FormatFloat(math.Nextafter(v, 99), 'g', 17, 64)
	lines[7] = strings.Join(cells, "\t")
	m[goldenFile].Data = []byte(strings.Join(lines, "\n"))
}

func cutGolden(m fstest.MapFS) {
	m[goldenFile].Data = []byte(strings.Join(strings.SplitAfter(string(m[goldenFile].Data), "\n")[:11], ""))
}

func TestLoadChecksSums(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(fstest.MapFS)
		want string
	}{
		"no sums":       {func(m fstest.MapFS) { delete(m, sumsFile) }, "SHA256SUMS: missing"},
		"extra file":    {func(m fstest.MapFS) { m["x.svg"] = &fstest.MapFile{Data: []byte("x")} }, "x.svg is in the bundle but not listed"},
		"hidden file":   {func(m fstest.MapFS) { m[".gitkeep"] = &fstest.MapFile{} }, ".gitkeep is in the bundle but not listed"},
		"missing file":  {func(m fstest.MapFS) { delete(m, evalFile) }, "eval.json: listed in SHA256SUMS but missing"},
		"changed file":  {func(m fstest.MapFS) { m[cardFile].Data = append(m[cardFile].Data, 'x') }, "card.md: SHA-256 is "},
		"listed twice":  {func(m fstest.MapFS) { m[sumsFile].Data = append(m[sumsFile].Data, m[sumsFile].Data...) }, "again"},
		"upper case":    {func(m fstest.MapFS) { m[sumsFile].Data = bytes.ToUpper(m[sumsFile].Data) }, "line 1 is not"},
		"outside":       {func(m fstest.MapFS) { edit(t, m, sumsFile, "card.md", "../card.md") }, "is not"},
		"no last break": {func(m fstest.MapFS) { m[sumsFile].Data = bytes.TrimSpace(m[sumsFile].Data) }, "line feed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := fixture(t)
			c.do(m)
			_, err := Load(m, newSchema(t))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestLoadRefusesEveryBrokenByte(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 7))
	good, schema := fixture(t), newSchema(t)
	names := slices.Sorted(maps.Keys(good))
	for i := range 1000 {
		// Every second byte is any of the bundle's, the others go to each file in turn: small ones are seldom
		// hit by chance, and SHA256SUMS is the one that no sum covers.
		name := names[i/2%len(names)]
		if i%2 == 0 {
			name = anyByte(r, good, names)
		}
		m := maps.Clone(good)
		data := bytes.Clone(good[name].Data)
		at, mask := r.IntN(len(data)), byte(1+r.IntN(255))
		data[at] ^= mask
		m[name] = &fstest.MapFile{Data: data}
		if _, err := Load(m, schema); err == nil {
			t.Errorf("%s loads with byte %d xor %#x", name, at, mask)
		}
	}
}

// anyByte returns the file of a byte that is drawn from all of them.
func anyByte(r *rand.Rand, files fstest.MapFS, names []string) string {
	total := 0
	for _, n := range names {
		total += len(files[n].Data)
	}
	at := r.IntN(total)
	for _, n := range names {
		if at < len(files[n].Data) {
			return n
		}
		at -= len(files[n].Data)
	}
	panic("unreachable")
}

// A model text with broken bytes and right sums is either refused or gives the
// golden margins all the same; it never panics or hangs.
func TestLoadSurvivesSignedDamage(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 9))
	end := bytes.Index(fixture(t)[modelFile].Data, []byte("end of trees"))
	refused := 0
	for range 200 {
		m := fixture(t)
		m[modelFile].Data[r.IntN(end)] ^= byte(1 + r.IntN(255))
		sign(m)
		if _, err := Load(m, newSchema(t)); err != nil {
			refused++
		}
	}
	// Weights, gains and averages are not used to score, so some damage is harmless.
	if refused < 100 {
		t.Errorf("%d of 200 refused", refused)
	}
}

func TestSchemaErrorsNameWhatDiffers(t *testing.T) {
	t.Parallel()
	full := newSchema(t)
	less := &testSchema{names: slices.DeleteFunc(slices.Clone(full.names), func(n string) bool { return n == "sn_present" })}
	for want, s := range map[string]Schema{
		"no column sn_present":                         less,
		"defined otherwise in this program: sn_labels": &testSchema{names: full.names, changed: "sn_labels"},
		"hash over the 40 columns is 00":               otherHash{full},
		`bundle has "trench-v1", this program "v2"`:    otherName{full},
	} {
		_, err := Load(os.DirFS("testdata/bundle"), s)
		if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want ErrSchema that says %q", err, want)
		}
	}
}

type otherHash struct{ *testSchema }

func (otherHash) Hash([]string) (string, error) { return "00", nil }

type otherName struct{ *testSchema }

func (otherName) Name() string { return "v2" }

func TestDefaultSaysWhenThereIsNone(t *testing.T) {
	t.Parallel()
	if _, err := loadDefault(fstest.MapFS{".gitkeep": {}}, newSchema(t)); !errors.Is(err, ErrNoDefault) {
		t.Errorf("error %v, want %v", err, ErrNoDefault)
	}
	if b, err := loadDefault(os.DirFS("testdata/bundle"), newSchema(t)); err != nil || b.ID() == "" {
		t.Errorf("a whole bundle: %v", err)
	}
	_, err := fs.Stat(defaultFiles, "default/"+sumsFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := Default(newSchema(t)); !errors.Is(err, ErrNoDefault) {
			t.Errorf("Default: %v", err)
		}
	}
}

// edge is one row of edge.tsv.gz.
type edge struct {
	row    []float64
	margin float64
	phi    []float64
}

// edges reads what LightGBM said of the edge rows.
func edges(tb testing.TB, columns int) []edge {
	tb.Helper()
	f, err := os.Open("testdata/edge.tsv.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(z); err != nil {
		tb.Fatal(err)
	}
	var out []edge
	for i, line := range strings.Split(strings.TrimSpace(buf.String()), "\n") {
		if i == 0 {
			continue
		}
		var v []float64
		for _, c := range strings.Split(line, "\t") {
			x, err := strconv.ParseFloat(c, 64)
			if err != nil {
				tb.Fatal(err)
			}
			v = append(v, x)
		}
		if len(v) != 2*columns+2 {
			tb.Fatalf("row %d has %d cells", i, len(v))
		}
		out = append(out, edge{v[:columns], v[columns], v[columns+1:]})
	}
	return out
}
