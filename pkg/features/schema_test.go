package features

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesAndOrderAreThoseOfTrenchV1(t *testing.T) {
	t.Parallel()
	s := Default()
	if s.Name() != "trench-v1" || len(s.Names()) != 372 {
		t.Fatalf("%s has %d columns, want trench-v1 with 372", s.Name(), len(s.Names()))
	}
	sum := sha256.Sum256([]byte(strings.Join(s.Names(), "\n")))
	if got := hex.EncodeToString(sum[:8]); got != "87b2fb31143d1d77" {
		t.Errorf("SHA-256 of the names begins with %s, want 87b2fb31143d1d77", got)
	}
	sizes, order := map[string]int{}, []string{}
	for i, c := range s.Columns() {
		if sizes[c.Group] == 0 {
			order = append(order, c.Group)
		}
		sizes[c.Group]++
		if at, ok := s.Index(c.Name); !ok || at != i {
			t.Errorf("Index(%s) = %d, %v, want %d", c.Name, at, ok, i)
		}
		if c.Unit == "" || len(c.Doc) < 10 || c.Revision < 1 || strings.Contains(c.Doc, "\n") {
			t.Errorf("column %+v lacks unit, definition or revision", c)
		}
	}
	want := map[string]int{"fl": 20, "sq": 32, "ml": 100, "hz": 16, "bu": 10, "rc": 22, "bd": 20, "ch": 76, "sh": 20, "ct": 22, "sn": 14, "dn": 12, "qu": 8}
	if d := cmp.Diff(want, sizes); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(strings.Fields("fl sq ml hz bu rc bd ch sh ct sn dn qu"), order); d != "" {
		t.Error(d)
	}
	if _, ok := s.Index("nothing"); ok {
		t.Error("Index finds a column that is not there")
	}
}

func TestDefinitionsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, c := range Default().Columns() {
		if other, twice := seen[c.Doc]; twice {
			t.Errorf("%s and %s have the same definition", other, c.Name)
		}
		seen[c.Doc] = c.Name
	}
}

func TestDigestCoversEveryPartOfAColumn(t *testing.T) {
	t.Parallel()
	base := Column{Name: "a", Unit: "b", Group: "c", Doc: "d", Revision: 1}
	sum := sha256.Sum256([]byte("a\x00b\x00c\x00d\x001\x00lists"))
	if got := base.digest("lists"); got != hex.EncodeToString(sum[:]) {
		t.Errorf("digest %s, want %x", got, sum)
	}
	digests := map[string]bool{base.digest("lists"): true}
	for _, change := range []func(*Column){
		func(c *Column) { c.Name = "x" }, func(c *Column) { c.Unit = "x" }, func(c *Column) { c.Group = "x" },
		func(c *Column) { c.Doc = "x" }, func(c *Column) { c.Revision = 2 },
	} {
		c := base
		change(&c)
		digests[c.digest("lists")] = true
	}
	digests[base.digest("other")] = true
	if len(digests) != 7 {
		t.Errorf("%d different digests, want 7", len(digests))
	}
}

func TestHashDependsOnTheNamedColumnsOnly(t *testing.T) {
	t.Parallel()
	full := Default()
	two, err := full.Hash([]string{"ch_len", "fl_pk_c"})
	if err != nil {
		t.Fatal(err)
	}
	i, _ := full.Index("ch_len")
	j, _ := full.Index("fl_pk_c")
	sum := sha256.Sum256([]byte(full.digests[i] + "\n" + full.digests[j]))
	if two != hex.EncodeToString(sum[:]) {
		t.Errorf("hash %s, want %x", two, sum)
	}
	changed := table()
	for k := range changed {
		if n := changed[k].name; n != "ch_len" && n != "fl_pk_c" {
			changed[k].doc += " otherwise"
		}
	}
	if again, err := newSchema("changed", changed).Hash([]string{"ch_len", "fl_pk_c"}); err != nil || again != two {
		t.Errorf("hash %s, %v after a change of other columns, want %s", again, err, two)
	}
	if swapped, _ := full.Hash([]string{"fl_pk_c", "ch_len"}); swapped == two {
		t.Error("the order does not matter to the hash")
	}
	for _, bad := range [][]string{nil, {"nothing"}, {"ch_len", "ch_len"}} {
		if h, err := full.Hash(bad); err == nil {
			t.Errorf("Hash(%v) = %s without an error", bad, h)
		}
	}
}

func TestListsAreHashedIntoTheGroupsThatUseThem(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, g := range []string{"ch", "sh", "ct", "sn"} {
		d := listsDigest(g)
		if len(d) != 64 || seen[d] {
			t.Errorf("lists digest of %s is %q", g, d)
		}
		seen[d] = true
	}
	for _, g := range []string{"fl", "sq", "ml", "hz", "bu", "rc", "bd", "dn", "qu"} {
		if d := listsDigest(g); d != "" {
			t.Errorf("group %s uses no list, digest %s", g, d)
		}
	}
}

func TestMetadataNamesEveryColumn(t *testing.T) {
	t.Parallel()
	s := Default()
	var m struct {
		Schema, Version, Hash string
		Columns               []struct {
			Name, Unit, Group, Doc, Range, Digest string
			Revision                              int
		}
	}
	if err := json.Unmarshal(s.Metadata("1.2.3"), &m); err != nil {
		t.Fatal(err)
	}
	hash, err := s.Hash(s.Names())
	if err != nil {
		t.Fatal(err)
	}
	if m.Schema != "trench-v1" || m.Version != "1.2.3" || m.Hash != hash || len(m.Columns) != 372 {
		t.Fatalf("%s %s %s with %d columns", m.Schema, m.Version, m.Hash, len(m.Columns))
	}
	for i, c := range s.Columns() {
		got := m.Columns[i]
		if (Column{got.Name, got.Unit, got.Group, got.Doc, got.Revision, got.Range}) != c || got.Digest != s.digests[i] {
			t.Errorf("column %d is %+v, want %+v", i, got, c)
		}
	}
}

func TestDocumentationIsWhatTheTableSays(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	if err := WriteMarkdown(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/features.md")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.String(), string(got)); d != "" {
		t.Errorf("docs/features.md is out of date, run go generate ./pkg/features: %s", d[:min(len(d), 2000)])
	}
}
