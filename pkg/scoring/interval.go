package scoring

import "math"

// Confidence of every interval and bound here.
const confidence = 0.95

// UpperBound is the exact one-sided 95 % bound of Clopper and Pearson (1934): the largest rate
// under which k or fewer events in n trials are not rarer than one in twenty. Without
// events it is about 3/n.
func UpperBound(k, n int64) float64 { return upper(k, n, 1-confidence) }

// Interval is the exact two-sided 95 % interval of a rate, by Clopper and Pearson.
func Interval(k, n int64) (lo, hi float64) {
	tail := (1 - confidence) / 2
	return 1 - upper(n-k, n, tail), upper(k, n, tail)
}

// upper solves P(X <= k | n, p) = tail for p.
func upper(k, n int64, tail float64) float64 {
	if k >= n {
		return 1
	}
	lo, hi := float64(k)/float64(n), 1.0
	for range 60 {
		if mid := (lo + hi) / 2; atMost(k, n, mid) > tail {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// atMost is P(X <= k) of a binomial variable whose mean n·p is not below k: the terms
// fall from k downwards and are added until they no longer count.
func atMost(k, n int64, p float64) float64 {
	lg := func(x int64) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	term := math.Exp(lg(n) - lg(k) - lg(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	if k == 0 {
		term = math.Pow(1-p, float64(n)) // where p may be 0
	}
	sum := 0.0
	for i := k; i >= 0 && term > sum*1e-17; i-- {
		sum += term
		term *= float64(i) / float64(n-i+1) * (1 - p) / p
	}
	return sum
}
