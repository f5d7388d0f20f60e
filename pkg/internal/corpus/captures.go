package corpus

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"trench/pkg/pcap"
)

// Captures opens every capture below a folder, in lexical order, for as long as
// visit wants more. What is no capture (expected results lie beside them) is passed
// over.
func Captures(tb testing.TB, dir string, visit func(path string, r *pcap.Reader) (more bool)) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		r, err := pcap.NewReader(f, path)
		if err != nil {
			return nil
		}
		defer r.Close()
		if !visit(path, r) {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}
