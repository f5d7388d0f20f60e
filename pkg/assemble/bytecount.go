package assemble

import "trench/pkg/flow"

// byteCounter counts the first flow.CountedBytes bytes by value. A count has 8
// bits; where it wraps the value is noted as carried, which 4,000 bytes can do 15
// times at most. That takes half the memory of counts that do not wrap.
type byteCounter struct {
	counted uint16
	n       uint8 // of carried
	carried [flow.CountedBytes / 256]uint8
	low     [256]uint8
}

func (c *byteCounter) full() bool { return c.counted >= flow.CountedBytes }

func (c *byteCounter) add(b []byte) {
	if c.full() {
		return
	}
	b = b[:min(len(b), flow.CountedBytes-int(c.counted))]
	c.counted += uint16(len(b))
	low := &c.low
	if c.counted < 256 { // nothing can wrap
		for _, v := range b {
			low[v]++
		}
		return
	}
	for _, v := range b {
		n := low[v] + 1
		low[v] = n
		if n == 0 {
			c.carried[c.n] = v
			c.n++
		}
	}
}

// counts writes the count of every value.
func (c *byteCounter) counts(dst *[256]uint16) {
	for v, n := range &c.low {
		dst[v] = uint16(n)
	}
	for _, v := range c.carried[:c.n] {
		dst[v] += 256
	}
}
