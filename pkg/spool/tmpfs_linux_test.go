package spool_test

import (
	"syscall"
	"testing"
)

// TestARealDiskBecomesFull fills a small file system that other files fill too.
func TestARealDiskBecomesFull(t *testing.T) {
	t.Parallel()
	c := config(t)
	if err := syscall.Mount("spool-test", c.Dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("SKIPPED, the full disk was not tested: a tmpfs can not be mounted: %v", err)
	}
	s := open(t, c)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := syscall.Unmount(c.Dir, 0); err != nil {
			t.Error(err)
		}
	})
	const n = 2000 // about 1.2 MB
	for i := 0; i < n; i += 50 {
		add(t, s, i, i+50)
	}
	st := s.Stats()
	got := all(t, s)
	same(t, got, ints(n-len(got), n))
	if int(st.DiskFull)+len(got) != n || st.Full != 0 || len(got) < 200 {
		t.Errorf("%d records and stats %+v", len(got), st)
	}
}
