package features

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Bounds of a list of ranks.
const (
	maxRanks    = 1 << 22 // domains; the public lists have a million
	maxRankLine = 1 << 10 // bytes
)

// Ranks are the places of domains in a list of popular ones. They never change,
// so they may be shared.
type Ranks struct {
	places map[string]uint32
	last   uint32 // the highest
}

// ReadRanks reads a list with a domain on each line, the most popular first, or
// with lines "rank,domain" as Tranco and Umbrella have it. Of a domain that is
// listed twice the first line counts; empty lines are passed over.
func ReadRanks(r io.Reader) (*Ranks, error) {
	ranks := &Ranks{places: map[string]uint32{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRankLine)
	n := 1
	for ; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		place := uint64(len(ranks.places)) + 1
		domain := line
		if rank, after, found := strings.Cut(line, ","); found {
			var err error
			if place, err = strconv.ParseUint(rank, 10, 32); err != nil || place == 0 {
				return nil, fmt.Errorf("line %d: %q is no rank", n, rank)
			}
			domain = after
		}
		domain = strings.ToLower(strings.TrimSuffix(domain, "."))
		if domain == "" || strings.ContainsAny(domain, ", \t") {
			return nil, fmt.Errorf("line %d: %q is no domain", n, domain)
		}
		if _, twice := ranks.places[domain]; twice {
			continue
		}
		if len(ranks.places) == maxRanks {
			return nil, fmt.Errorf("line %d: more than %d domains", n, maxRanks)
		}
		ranks.places[domain] = uint32(place)
		ranks.last = max(ranks.last, uint32(place))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n, err)
	}
	if len(ranks.places) == 0 {
		return nil, errors.New("no domain in the list")
	}
	return ranks, nil
}

// log is the natural logarithm of a name's rank: that of the longest end of the
// name that is listed, the name itself or what is left of it after a dot, of at
// least two labels; one more than the last rank if none is. The name is in lower
// case without a final dot.
func (r *Ranks) log(name []byte) float64 {
	place := uint64(r.last) + 1
	last := lastDot(name)
	for i := range name {
		if i >= last {
			break // a single label is left
		}
		if i > 0 && name[i-1] != '.' {
			continue
		}
		if listed, ok := r.places[string(name[i:])]; ok {
			place = uint64(listed)
			break
		}
	}
	return math.Log(float64(place))
}
