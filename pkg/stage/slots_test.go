package stage

import "testing"

func TestMemoryOfABacklogEndsWithIt(t *testing.T) {
	t.Parallel()
	var s slots[[64]byte]
	has := func(want int) {
		t.Helper()
		if got := len(s.values); got != want {
			t.Fatalf("%d values are kept, want %d", got, want)
		}
	}
	s.take(100)
	s.take(1000)
	has(1000)
	for range 20 { // batches of changing size keep it
		s.take(300)
		s.take(600)
	}
	has(1000)
	for range patience - 1 {
		s.take(300)
	}
	has(1000)
	if got := s.take(250); len(got) != 250 {
		t.Errorf("%d values, want 250", len(got))
	}
	has(250)
}
