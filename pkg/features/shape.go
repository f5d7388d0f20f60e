package features

import (
	"math"
	"math/bits"
	"slices"

	"trench/pkg/flow"
)

// rttFloor keeps quotients by the round trip finite, in ns.
const rttFloor = 100_000

// shape is what packet sizes and times show: groups fl, ml and bu.
type shape struct {
	lengths []int32   // of the listed packets, without sign
	gaps    []float64 // ns between listed packets, sorted
	turns   []float64 // ns from one burst to the next, sorted
	markov  [100]float64

	bursts, burstBytes, burstPackets, burstMax [2]float64
	firstClient                                float64
}

func (s *shape) read(packets []flow.Packet) {
	*s = shape{lengths: s.lengths[:0], gaps: s.gaps[:0], turns: s.turns[:0], firstClient: math.NaN()}
	var size float64
	for i, p := range packets {
		length, d := p.Length, flow.ClientToServer
		if length < 0 {
			length, d = -length, flow.ServerToClient
		}
		s.lengths = append(s.lengths, length)
		turn := i == 0 || (packets[i-1].Length < 0) != (p.Length < 0)
		if i > 0 {
			gap := float64(max(p.Offset-packets[i-1].Offset, 0))
			s.gaps = append(s.gaps, gap)
			if turn {
				s.turns = append(s.turns, gap)
			}
		}
		if turn {
			size = 0
			s.bursts[d]++
		}
		size += float64(length)
		s.burstBytes[d] += float64(length)
		s.burstPackets[d]++
		s.burstMax[d] = max(s.burstMax[d], size)
		if d == flow.ClientToServer && s.bursts[d] == 1 {
			s.firstClient = size
		}
	}
	slices.Sort(s.gaps)
	slices.Sort(s.turns)
	markov(&s.markov, s.lengths, 150)
}

// markov fills the 10 by 10 matrix of transitions between bins, row-major: a
// value v lies in bin min(v/bin, 9), rows that occur add up to one, and a single
// value counts as a transition to itself.
func markov[T int32 | int64 | float64](m *[100]float64, values []T, bin T) {
	*m = [100]float64{}
	at := func(v T) int { return int(min(v/bin, 9)) }
	if len(values) == 1 {
		m[at(values[0])*11] = 1
	}
	var rows [10]float64
	for i := 1; i < len(values); i++ {
		from := at(values[i-1])
		m[from*10+at(values[i])]++
		rows[from]++
	}
	for row, n := range rows {
		if n > 0 {
			for i := range 10 {
				m[row*10+i] /= n
			}
		}
	}
}

// quantile interpolates linearly between the order statistics: the p-quantile
// of n sorted values lies at place (n-1)p.
func quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := float64(len(sorted)-1) * p
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// perRTT divides a time in ns by the flow's round trip.
func (x *facts) perRTT(ns float64) float64 {
	if x.flow.RTT <= 0 {
		return math.NaN()
	}
	return ns / float64(max(x.flow.RTT, rttFloor))
}

// ratio is a/b, NaN when b is 0.
func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}

func logRatio(c, s uint64) float64 { return math.Log((float64(c) + 1) / (float64(s) + 1)) }

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// lengthStd is the population standard deviation of the payload lengths of a
// direction, from their exact sums: n*sum(x^2) - sum(x)^2 in 128 bits.
func lengthStd(h *flow.Half) float64 {
	if h.DataPackets == 0 {
		return math.NaN()
	}
	ah, al := bits.Mul64(h.DataPackets, h.LengthSquares)
	bh, bl := bits.Mul64(h.LengthSum, h.LengthSum)
	low, borrow := bits.Sub64(al, bl, 0)
	high, borrow := bits.Sub64(ah, bh, borrow)
	if borrow != 0 {
		return 0 // sums that no packets can have
	}
	n := float64(h.DataPackets)
	return math.Sqrt(float64(high)*(1<<64)+float64(low)) / n
}

func endClass(e flow.EndReason) float64 {
	switch e {
	case flow.EndFIN:
		return 0
	case flow.EndRST:
		return 1
	case flow.EndIdle:
		return 2
	case flow.EndEvicted:
		return 3
	}
	return math.NaN()
}

// packetGap is the time from the listed packet before to packet i, from the
// flow's start for the first; NaN when there is no packet i.
func (x *facts) packetGap(i int) float64 {
	p := x.flow.Packets
	switch {
	case i >= len(p):
		return math.NaN()
	case i == 0:
		return float64(max(p[0].Offset, 0))
	}
	return float64(max(p[i].Offset-p[i-1].Offset, 0))
}

func (x *facts) sizeFraction(h *flow.Half, i int) float64 {
	var all float64
	for _, n := range h.Sizes {
		all += float64(n)
	}
	return ratio(float64(h.Sizes[i]), all)
}
