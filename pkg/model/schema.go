package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Schema is what a bundle is checked against: the columns of the vectors to
// be scored.
type Schema interface {
	Name() string
	// Index is the position of a column in the vector.
	Index(name string) (int, bool)
	// Hash is over the definitions of the named columns, in that order.
	Hash(names []string) (string, error)
}

// Digester is implemented by a Schema that can tell which column differs.
type Digester interface {
	// Digest is over the definition of one column.
	Digest(name string) (string, bool)
}

// ErrSchema is wrapped by the errors of Load that mean: the bundle was made for
// other columns than this program computes.
var ErrSchema = errors.New("schema differs")

const maxFeatures = 1 << 14

type schema struct {
	Schema           string          `json:"schema"`
	Name             string          `json:"name"`
	Hash             string          `json:"hash"`
	ExtractorVersion string          `json:"extractor_version"`
	Features         []schemaFeature `json:"features"`
	Protocols        []string        `json:"protocols"` // app_proto of the rows that it may score; empty: any
	ExcludedCaptures []string        `json:"excluded_captures"`
	Trained          json.RawMessage `json:"trained"`
}

type schemaFeature struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

func (s *schema) names() []string {
	names := make([]string, len(s.Features))
	for i, f := range s.Features {
		names[i] = f.Name
	}
	return names
}

// loadSchema returns the decoded file and, for each column of the model, its
// place in the vector.
func loadSchema(data []byte, want Schema) (schema, []int, error) {
	var got schema
	if err := decodeJSON(data, &got); err != nil {
		return got, nil, err
	}
	if !bundleName.MatchString(got.Name) {
		return got, nil, fmt.Errorf("name %q does not match %s", got.Name, bundleName)
	}
	if n := len(got.Features); n == 0 || n > maxFeatures {
		return got, nil, fmt.Errorf("has %d features, want 1 to %d", n, maxFeatures)
	}
	// Optional groups stand behind a plus in the name, and change nothing about the others.
	if base, _, _ := strings.Cut(got.Schema, "+"); base != strings.SplitN(want.Name(), "+", 2)[0] {
		return got, nil, fmt.Errorf("%w: bundle has %q, this program %q", ErrSchema, got.Schema, want.Name())
	}
	columns := make([]int, len(got.Features))
	seen := make(map[string]bool, len(got.Features))
	var unknown, changed []string
	digester, _ := want.(Digester)
	for i, f := range got.Features {
		if seen[f.Name] {
			return got, nil, fmt.Errorf("feature %q comes twice", f.Name)
		}
		seen[f.Name] = true
		at, ok := want.Index(f.Name)
		if !ok || at < 0 {
			unknown = append(unknown, f.Name)
			continue
		}
		columns[i] = at
		if digester == nil || f.Digest == "" {
			continue
		}
		if d, ok := digester.Digest(f.Name); ok && d != f.Digest {
			changed = append(changed, f.Name)
		}
	}
	if len(unknown) > 0 {
		return got, nil, fmt.Errorf("%w: this program has no column %s", ErrSchema, list(unknown))
	}
	if len(changed) > 0 {
		return got, nil, fmt.Errorf("%w: defined otherwise in this program: %s", ErrSchema, list(changed))
	}
	hash, err := want.Hash(got.names())
	if err != nil {
		return got, nil, fmt.Errorf("hash of %d columns: %w", len(columns), err)
	}
	if hash != got.Hash {
		return got, nil, fmt.Errorf("%w: hash over the %d columns is %s here, %s in the bundle", ErrSchema, len(columns), hash, got.Hash)
	}
	return got, columns, nil
}

func sameNames(got, want []string) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d names, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("column %d is %q, want %q", i, got[i], want[i])
		}
	}
	return nil
}

// list names the first few.
func list(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
