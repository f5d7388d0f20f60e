package identify_test

import (
	"math/rand/v2"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/identify"
)

// None of ten million random strings of 1 to 64 bytes has a name.
func TestRandomBytesAreNotNamed(t *testing.T) {
	t.Parallel()
	rounds := 10_000_000
	if testing.Short() {
		rounds = 100_000
	}
	r := rand.NewChaCha8([32]byte{1})
	var room [64]byte
	for i := range rounds {
		b := room[:1+i%64]
		r.Read(b)
		if p, _ := identify.Stream(b); p != flow.AppUnknown {
			t.Errorf("stream %x: %v", b, p)
		}
		if p, _ := identify.Datagram(b); p != flow.AppUnknown {
			t.Errorf("datagram %x: %v", b, p)
		}
	}
}

// random returns pieces of n random bytes.
func random(n int) [][]byte {
	r := rand.NewChaCha8([32]byte{})
	out := make([][]byte, 512)
	for i := range out {
		out[i] = make([]byte, n)
		r.Read(out[i])
	}
	return out
}

func BenchmarkStreamCiphertext(b *testing.B) {
	in, i := random(64), 0
	b.ReportAllocs()
	for b.Loop() {
		identify.Stream(in[i&511])
		i++
	}
}

func BenchmarkDatagramCiphertext(b *testing.B) {
	in, i := random(1200), 0
	b.ReportAllocs()
	for b.Loop() {
		identify.Datagram(in[i&511])
		i++
	}
}
