package corpus

import (
	"os"
	"path/filepath"
	"testing"
)

// Shared returns the directory with the archives, flow_labels.csv and
// manifest.csv. It is called after Dir, which skips where there is none.
func Shared(t testing.TB) string {
	t.Helper()
	dir, err := find()
	if err != nil {
		t.Fatalf("corpus: %v", err)
	}
	return dir
}

// Find returns the directory with the archives, for commands.
func Find() (string, error) { return find() }

// Unpack returns the root of the unpacked corpus, for commands.
func Unpack() (string, error) {
	src, err := find()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return unpackOnce(src, filepath.Join(cache, "trench", "corpus"), Archives())
}
