package features

import (
	"math"
	"sync"

	"trench/pkg/flow"
)

// logTable holds n log2 n for every count that can occur in one direction or
// in two of them.
var logTable = sync.OnceValue(func() []float64 {
	t := make([]float64, 2*flow.CountedBytes+1)
	for n := 2; n < len(t); n++ {
		t[n] = float64(n) * math.Log2(float64(n))
	}
	return t
})

func nLogN(table []float64, n uint32) float64 {
	if int(n) < len(table) {
		return table[n]
	}
	return float64(n) * math.Log2(float64(n))
}

// entropy is Shannon's, in bits per byte: log2 N - (1/N) sum n log2 n.
func entropy(table []float64, counts *[256]uint32) float64 {
	var total uint32
	var sum float64
	for _, n := range counts {
		total += n
		sum += nLogN(table, n)
	}
	if total == 0 {
		return math.NaN()
	}
	return max(0, (nLogN(table, total)-sum)/float64(total))
}

// byteFacts is what the application bytes of both directions show: group bd.
type byteFacts struct {
	counts            [256]uint32
	total             float64
	nibbles           [16]float64
	mean, std, h, chi float64
}

func (b *byteFacts) read(table []float64, c, s *flow.Half) {
	*b = byteFacts{mean: math.NaN(), std: math.NaN(), h: math.NaN(), chi: math.NaN()}
	var total, sum, squares uint64
	for i := range b.counts {
		n := uint32(c.AppByteCounts[i]) + uint32(s.AppByteCounts[i])
		b.counts[i] = n
		b.nibbles[i>>4] += float64(n)
		total += uint64(n)
		sum += uint64(n) * uint64(i)
		squares += uint64(n) * uint64(n)
	}
	b.total = float64(total)
	if total == 0 {
		return
	}
	b.mean = float64(sum) / b.total
	var spread float64
	for i, n := range b.counts {
		d := float64(i) - b.mean
		spread += float64(n) * d * d
	}
	b.std = math.Sqrt(spread / b.total)
	b.h = entropy(table, &b.counts)
	// With e = N/256: sum (n-e)^2/e = 256/N sum n^2 - N.
	b.chi = 256*float64(squares)/b.total - b.total
}
