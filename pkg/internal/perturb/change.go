package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"trench/pkg/packet"
)

// change rewrites a capture in memory.
type change func(c *capture, rng *rand.Rand)

// parseChanges reads the value of -how.
func parseChanges(how string) ([]change, error) {
	var out []change
	for _, one := range strings.Split(how, ",") {
		name, value, _ := strings.Cut(one, "=")
		c, err := parseChange(name, value)
		if err != nil {
			return nil, fmt.Errorf("-how %q: %w", one, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func parseChange(name, value string) (change, error) {
	switch name {
	case "first", "pad", "stuff":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxBody {
			return nil, fmt.Errorf("want a number from 1 to %d", maxBody)
		}
		switch name {
		case "first":
			return first(n), nil
		case "pad":
			return edit(padTo(n)), nil
		}
		return edit(padBy(n)), nil
	case "loss":
		p, err := strconv.ParseFloat(value, 64)
		if err != nil || !(p > 0 && p < 1) {
			return nil, fmt.Errorf("want a probability between 0 and 1")
		}
		return lose(p), nil
	case "delay":
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || d > time.Hour {
			return nil, fmt.Errorf("want a time of up to an hour, such as 2s")
		}
		return delay(d), nil
	}
	return nil, fmt.Errorf("unknown; there are first, loss, delay, pad and stuff")
}

// first keeps the first n packets of each 5-tuple.
func first(n int) change {
	return func(c *capture, _ *rand.Rand) {
		seen := make([]int, c.connections)
		c.frames = slices.DeleteFunc(c.frames, func(f frame) bool {
			if f.connection == none {
				return false
			}
			seen[f.connection]++
			return seen[f.connection] > n
		})
	}
}

// lose leaves packets out, but not the first of a 5-tuple.
func lose(p float64) change {
	return func(c *capture, rng *rand.Rand) {
		c.frames = slices.DeleteFunc(c.frames, func(f frame) bool { return rng.Float64() < p && !f.opens })
	}
}

// delay makes the client of each connection wait before its turns.
func delay(most time.Duration) change {
	type state struct {
		late          int64 // ns
		clientForward bool
		clientsTurn   bool // the last data came from the client
	}
	return func(c *capture, rng *rand.Rand) {
		states := make([]state, c.connections)
		for i := range c.frames {
			f := &c.frames[i]
			if f.connection == none {
				continue
			}
			s := &states[f.connection]
			if f.opens {
				answers := f.view.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK
				s.clientForward = f.view.Forward != answers
			}
			if f.view.Length > 0 {
				client := f.view.Forward == s.clientForward
				if client && !s.clientsTurn && !f.opens {
					s.late += rng.Int64N(int64(most))
				}
				s.clientsTurn = client
			}
			f.Time += s.late
		}
		slices.SortStableFunc(c.frames, func(a, b frame) int { return cmp.Compare(a.Time, b.Time) })
	}
}
