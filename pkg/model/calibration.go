package model

import (
	"errors"
	"fmt"
	"math"
	"sort"
)

// calibration turns a margin into a probability: by Platt's
// p = 1/(1+exp(-(a*margin+b))), or by isotonic knots, linear between two of
// them and constant beyond the ends.
type calibration struct {
	Method string       `json:"method"`
	A      *float64     `json:"a"`
	B      *float64     `json:"b"`
	Knots  [][2]float64 `json:"knots"`
}

const maxKnots = 1 << 16

func loadCalibration(data []byte) (calibration, error) {
	var c calibration
	if err := decodeJSON(data, &c); err != nil {
		return c, err
	}
	switch c.Method {
	case "platt":
		if c.A == nil || c.B == nil {
			return c, errors.New("platt needs a and b")
		}
		if *c.A <= 0 {
			return c, fmt.Errorf("a is %v, must be above 0: a larger margin must not mean a smaller probability", *c.A)
		}
	case "isotonic":
		if n := len(c.Knots); n < 2 || n > maxKnots {
			return c, fmt.Errorf("isotonic has %d knots, want 2 to %d", n, maxKnots)
		}
		for i, k := range c.Knots {
			if k[1] < 0 || k[1] > 1 {
				return c, fmt.Errorf("knot %d: probability %v is not in [0, 1]", i, k[1])
			}
			if i > 0 && (k[0] <= c.Knots[i-1][0] || k[1] < c.Knots[i-1][1]) {
				return c, fmt.Errorf("knot %d: margins must rise and probabilities must not fall", i)
			}
		}
	default:
		return c, fmt.Errorf("method %q, want platt or isotonic", c.Method)
	}
	return c, nil
}

func (c *calibration) probability(margin float64) float64 {
	if c.Method == "platt" {
		return 1 / (1 + math.Exp(-(*c.A*margin + *c.B)))
	}
	k := c.Knots
	i := sort.Search(len(k), func(i int) bool { return k[i][0] >= margin })
	switch {
	case i == 0:
		return k[0][1]
	case i == len(k):
		return k[i-1][1]
	}
	lo, hi := k[i-1], k[i]
	p := lo[1] + (hi[1]-lo[1])*((margin-lo[0])/(hi[0]-lo[0]))
	return min(max(p, lo[1]), hi[1])
}
