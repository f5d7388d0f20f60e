package features

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// SchemaName is the name of the flow model's schema.
const SchemaName = "trench-v1"

// MetadataKey is the key under which Parquet files carry Metadata.
const MetadataKey = "trench.schema"

// Column describes one feature. All of it but Range goes into the column's digest.
type Column struct {
	Name     string
	Unit     string
	Group    string
	Doc      string // the definition
	Revision int    // raised when the computation changes under the same definition
	Range    string // of the values besides NaN; follows from name and unit, so it is not in the digest
}

// Schema is an ordered list of columns. It never changes, so it may be shared.
type Schema struct {
	name    string
	columns []Column
	values  []value
	names   []string
	digests []string
	index   map[string]int
}

// value computes one column. NaN is "not observed" or "not applicable".
type value func(x *facts) float64

// Default returns the schema trench-v1.
func Default() *Schema { return trenchV1() }

var trenchV1 = sync.OnceValue(func() *Schema { return newSchema(SchemaName, table()) })

func newSchema(name string, entries []entry) *Schema {
	s := &Schema{name: name, index: make(map[string]int, len(entries))}
	lists := map[string]string{}
	for i, e := range entries {
		c := Column{Name: e.name, Unit: e.unit, Doc: e.doc, Revision: 1, Range: columnRange(e.name, e.unit)}
		c.Group, _, _ = strings.Cut(e.name, "_")
		if _, known := lists[c.Group]; !known {
			lists[c.Group] = listsDigest(c.Group)
		}
		s.columns = append(s.columns, c)
		s.values = append(s.values, e.value)
		s.names = append(s.names, c.Name)
		s.digests = append(s.digests, c.digest(lists[c.Group]))
		if _, twice := s.index[c.Name]; twice {
			panic("features: column " + c.Name + " is listed twice")
		}
		s.index[c.Name] = i
	}
	return s
}

// digest is hex SHA-256 over name, unit, group, doc, revision and the digest of
// the lists that the group uses, with a zero byte between them.
func (c Column) digest(lists string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Name, c.Unit, c.Group, c.Doc, strconv.Itoa(c.Revision), lists}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// Name returns the schema's name.
func (s *Schema) Name() string { return s.name }

// Names returns the names of all columns in order. The caller must not change it.
func (s *Schema) Names() []string { return s.names }

// Columns returns all columns in order. The caller must not change it.
func (s *Schema) Columns() []Column { return s.columns }

// Index returns a column's place in the vector.
func (s *Schema) Index(name string) (int, bool) {
	i, ok := s.index[name]
	return i, ok
}

// Digest returns the digest of a column's definition.
func (s *Schema) Digest(name string) (string, bool) {
	i, ok := s.index[name]
	if !ok {
		return "", false
	}
	return s.digests[i], true
}

// Hash returns hex SHA-256 over the digests of the named columns in the order
// given, joined by newlines. A model that was trained on some columns matches
// as long as these keep their meaning, whatever else changes.
func (s *Schema) Hash(names []string) (string, error) {
	if len(names) == 0 {
		return "", fmt.Errorf("hash of schema %s: no columns named", s.name)
	}
	seen := make(map[string]bool, len(names))
	h := sha256.New()
	for i, n := range names {
		at, ok := s.index[n]
		switch {
		case !ok:
			return "", fmt.Errorf("schema %s has no column %q", s.name, n)
		case seen[n]:
			return "", fmt.Errorf("column %q is named twice", n)
		}
		seen[n] = true
		if i > 0 {
			h.Write([]byte{'\n'})
		}
		h.Write([]byte(s.digests[at]))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Whole returns the hash over all columns, which binds a vector to their order too.
func (s *Schema) Whole() string {
	hash, err := s.Hash(s.names)
	if err != nil {
		panic("features: " + err.Error()) // the schema's own names
	}
	return hash
}

type metadata struct {
	Schema  string           `json:"schema"`
	Version string           `json:"version"`
	Hash    string           `json:"hash"`
	Columns []metadataColumn `json:"columns"`
}

type metadataColumn struct {
	Name     string `json:"name"`
	Unit     string `json:"unit"`
	Group    string `json:"group"`
	Doc      string `json:"doc"`
	Revision int    `json:"revision"`
	Range    string `json:"range"`
	Digest   string `json:"digest"`
}

// Metadata returns the JSON that a Parquet file carries under MetadataKey:
// every column with its digest, and the hash over all of them. version is that
// of the extractor.
func (s *Schema) Metadata(version string) []byte {
	m := metadata{Schema: s.name, Version: version, Hash: s.Whole()}
	for i, c := range s.columns {
		m.Columns = append(m.Columns, metadataColumn{c.Name, c.Unit, c.Group, c.Doc, c.Revision, c.Range, s.digests[i]})
	}
	out, err := json.Marshal(m)
	if err != nil {
		panic("features: " + err.Error()) // strings and integers only
	}
	return out
}

// Reads says whether vectors that were written with the given Metadata have the named
// columns, defined as here; the error names the columns that differ.
func (s *Schema) Reads(written []byte, names []string) error {
	var m metadata
	if err := json.Unmarshal(written, &m); err != nil {
		return fmt.Errorf("no description of the columns: %w", err)
	}
	digests := make(map[string]string, len(m.Columns))
	for _, c := range m.Columns {
		digests[c.Name] = c.Digest
	}
	var differ []string
	for _, n := range names {
		if i, ok := s.index[n]; !ok || digests[n] != s.digests[i] {
			differ = append(differ, n)
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("written as %s by version %s: %d columns that the model uses differ or lack, %s first", m.Schema, m.Version, len(differ), differ[0])
	}
	return nil
}
