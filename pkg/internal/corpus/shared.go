package corpus

import (
	"os"
	"path/filepath"
	"testing"
)

// Shared is Find for tests. It is called after Dir, which skips where there is
// no corpus.
func Shared(t testing.TB) string {
	t.Helper()
	dir, err := Find()
	if err != nil {
		t.Fatalf("corpus: %v", err)
	}
	return dir
}

// Unpack returns the root of the unpacked corpus, for commands.
func Unpack() (string, error) {
	src, err := Find()
	if err != nil {
		return "", err
	}
	return unpacked(src)
}

// unpacked returns the tree of the archives in src, in the user's cache directory.
func unpacked(src string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return unpackOnce(src, filepath.Join(cache, "trench", "corpus"), Archives())
}
