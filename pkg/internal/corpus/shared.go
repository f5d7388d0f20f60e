package corpus

import "testing"

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
