package app

import (
	"math"
	"testing"
	"time"

	"trench/pkg/pcap"
)

func TestAFewWrongTimesDoNotMoveTheClock(t *testing.T) {
	t.Parallel()
	const s = int64(time.Second)
	const year = 365 * 24 * 3600 * s
	repeat := func(n int, at int64) (out []int64) {
		for range n {
			out = append(out, at)
		}
		return out
	}
	join := func(parts ...[]int64) (out []int64) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	for name, c := range map[string]struct {
		times     []int64
		now, last int64
	}{
		"goes on":               {[]int64{0, 10 * s, 5 * s, 60 * s}, 60 * s, 60 * s},
		"one ahead":             {[]int64{0, year, s}, s, s},
		"one back":              {[]int64{year, 0, year + s}, year + s, year + s},
		"the last ahead":        {[]int64{0, s, year}, s, year},
		"ahead for good":        {join([]int64{0}, repeat(clockAgree, year), []int64{year + s}), year + s, year + s},
		"back for good":         {join([]int64{year}, repeat(clockAgree, 0), []int64{s}), s, s},
		"not often enough":      {join([]int64{0}, repeat(clockAgree-1, year), []int64{s}, repeat(clockAgree-1, year)), s, year},
		"ahead and back":        {join([]int64{year}, repeat(clockAgree-1, 3*year), repeat(clockAgree-1, 0)), year, 0},
		"two clocks in turns":   {[]int64{0, year, s, year + s, 2 * s, year + 2*s}, 2 * s, year + 2*s},
		"the ends of the scale": {join([]int64{math.MinInt64}, repeat(clockAgree, math.MaxInt64)), math.MaxInt64, math.MaxInt64},
	} {
		var k clock
		b := &pcap.Block{}
		for _, at := range c.times {
			b.Packets = append(b.Packets, pcap.Packet{Time: at})
		}
		k.tick(b)
		if k.now != c.now || k.last != c.last {
			t.Errorf("%s: now %d s, last %d s, want %d and %d", name, k.now/s, k.last/s, c.now/s, c.last/s)
		}
	}
}
