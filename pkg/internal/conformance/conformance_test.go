package main

import (
	"bytes"
	"context"
	"os"
	"testing"

	"trench/pkg/internal/corpus"
)

const page = "../../../docs/conformance.md"

func TestTrenchConformsAndTheDocumentSaysHow(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	r, err := conform(context.Background(), root, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.err(); err != nil {
		t.Error(err)
	}
	for i, d := range r.unexplained {
		if i == 20 {
			t.Errorf("and %d more", len(r.unexplained)-i)
			break
		}
		t.Errorf("%s %s %s %s: Trench %q, the reference %q", d.reference, d.capture, d.flow, d.field, d.ours, d.theirs)
	}
	committed, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, r.document()) {
		t.Error("docs/conformance.md is not what the program writes: make conformance")
	}
}

func TestTwoRunsWriteTheSame(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	var documents [2][]byte
	for i := range documents {
		r, err := conform(context.Background(), root, "")
		if err != nil {
			t.Fatal(err)
		}
		documents[i] = r.document()
	}
	if !bytes.Equal(documents[0], documents[1]) {
		t.Error("two runs differ")
	}
}

func TestUnknownReferencesAreRefused(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(context.Background(), []string{"-only", "nobody"}, &out, &out); err == nil {
		t.Error("no error")
	}
}
