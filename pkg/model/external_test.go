package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ownSchema is the schema that a bundle itself states, placed among the columns of
// trench-v1: for bundles of this repository's trainer, whatever its feature version.
type ownSchema struct {
	*testSchema
	digests map[string]string
}

func newOwnSchema(names *testSchema, dir string) (*ownSchema, error) {
	raw, err := os.ReadFile(filepath.Join(dir, schemaFile))
	if err != nil {
		return nil, err
	}
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	o := &ownSchema{testSchema: names, digests: map[string]string{}}
	for _, f := range s.Features {
		o.digests[f.Name] = f.Digest
	}
	return o, nil
}

func (o *ownSchema) Digest(name string) (string, bool) {
	d, ok := o.digests[name]
	return d, ok
}

func (o *ownSchema) Hash(names []string) (string, error) {
	digests := make([]string, len(names))
	for i, n := range names {
		d, ok := o.digests[n]
		if !ok {
			return "", fmt.Errorf("no column %s", n)
		}
		digests[i] = d
	}
	sum := sha256.Sum256([]byte(strings.Join(digests, "\n")))
	return hex.EncodeToString(sum[:]), nil
}
