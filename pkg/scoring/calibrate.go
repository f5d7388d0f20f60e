package scoring

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"trench/pkg/model"
)

// What a calibration takes.
const (
	// flowsPerHost is what a host's flows of one day (UTC) count as at most, as a capture's do in
	// training: flows of one host and day are much alike and are not so many trials.
	flowsPerHost = 5
	// minHosts is fewest that are a site.
	minHosts = 10
	// maxSiteFlows bounds the memory of a Calibrator to about 400 MB.
	maxSiteFlows = 1 << 24
)

// Calibrator moves the thresholds of a bundle to the benign flows of a site.
//
// A host's flows of one day weigh min(1, flowsPerHost/flows) each; n is the sum of weights, and k that of
// the flows flagged, rounded up. With that, for each threshold and its target rate t:
//
//   - n < 3/t: the margin stays, for no margin could be certified.
//   - It rises to the lowest margin at which at most t·n is flagged, where a single host counts for no more
//     than half of t·n: one noisy host alone raises no threshold (it belongs on an allow list, or
//     is not benign), two or more do.
//   - It falls only as far as the exact 95 % bound of k in n stays within t.
//   - Otherwise it stays, and is measured.
//
// The malicious threshold is never left below the suspicious one.
type Calibrator struct {
	flows       []siteFlow
	hosts       map[string]uint32
	names       []string
	days        map[hostDay]uint32
	count       []int64 // flows by host and day
	first, last int64
}

type siteFlow struct {
	margin    float64
	host, day uint32 // index of the host, and of the host and day
}

type hostDay struct {
	host uint32
	day  int64
}

// Moved is what became of one threshold.
type Moved struct {
	Before, After model.Threshold
	Flagged       [2]int64 // flows of the site that Before and After flag, each counted as one
	Weighted      Rate     // what After flags, a host's flows of a day counting as flowsPerHost at most
	Noisiest      string   // host with the most flagged flows at After
	NoisiestFlows int64    // how many
	TooFew        bool     // n is too small for the target: left as it was
	HeldBack      bool     // a lower margin would keep the target, but is not certified
}

// Add enters a benign flow: its client's address, when it began in nanoseconds, and its margin.
func (c *Calibrator) Add(host string, ts int64, margin float64) error {
	if len(c.flows) == maxSiteFlows {
		return fmt.Errorf("more than %d flows: give fewer days", maxSiteFlows)
	}
	if c.hosts == nil {
		c.hosts, c.days, c.first, c.last = make(map[string]uint32), make(map[hostDay]uint32), ts, ts
	}
	h, known := c.hosts[host]
	if !known {
		h = uint32(len(c.names))
		c.hosts[host], c.names = h, append(c.names, host)
	}
	key := hostDay{h, ts / int64(24*time.Hour)}
	d, known := c.days[key]
	if !known {
		d = uint32(len(c.count))
		c.days[key], c.count = d, append(c.count, 0)
	}
	c.count[d]++
	c.flows = append(c.flows, siteFlow{margin, h, d})
	c.first, c.last = min(c.first, ts), max(c.last, ts)
	return nil
}

// Calibrate returns what becomes of each threshold, the most severe first, and where that comes from.
func (c *Calibrator) Calibrate(id string, thresholds []model.Threshold) ([]Moved, model.Site, error) {
	var site model.Site
	switch {
	case len(c.flows) == 0:
		return nil, site, errors.New("no flow could be scored: nothing to calibrate on")
	case len(c.names) < minHosts:
		return nil, site, fmt.Errorf("flows of %d client addresses, at least %d are needed: a few hosts say nothing of a site", len(c.names), minHosts)
	}
	total := 0.0
	for _, n := range c.count {
		total += min(float64(n), flowsPerHost)
	}
	site = model.Site{Model: id, Flows: int64(len(c.flows)), Hosts: int64(len(c.names)), Counted: int64(total),
		First: time.Unix(0, c.first).UTC(), Last: time.Unix(0, c.last).UTC(), Trained: make(map[string]float64)}
	loosest := 0.0
	for _, t := range thresholds {
		site.Trained[t.Name] = t.Margin
		loosest = max(loosest, t.Target)
	}
	if total*loosest < 3 {
		return nil, site, fmt.Errorf("%d flows of %d hosts count as %.0f (at most %d a host and day): a false-positive rate of %g needs %.0f",
			site.Flows, site.Hosts, total, flowsPerHost, loosest, math.Ceil(3/loosest))
	}
	slices.SortFunc(c.flows, func(a, b siteFlow) int {
		return cmp.Or(cmp.Compare(b.margin, a.margin), cmp.Compare(a.day, b.day))
	})
	moved := make([]Moved, len(thresholds))
	floor := math.Inf(-1) // from the least severe upwards
	for i := len(thresholds) - 1; i >= 0; i-- {
		moved[i] = c.move(thresholds[i], total, floor)
		floor = moved[i].After.Margin
	}
	return moved, site, nil
}

// move finds a threshold's margin, at least floor, and measures it.
func (c *Calibrator) move(t model.Threshold, total, floor float64) Moved {
	n := int64(total)
	m := Moved{Before: t, After: t, TooFew: total*t.Target < 3}
	if !m.TooFew {
		rise, fall := c.margins(t.Target, total)
		switch {
		case rise > t.Margin:
			m.After.Margin = rise
		case fall < t.Margin:
			m.After.Margin = fall
		}
		m.HeldBack = rise < m.After.Margin
	}
	m.After.Margin = max(m.After.Margin, floor)
	weight, by := c.flagged(m.After.Margin)
	k := roundUp(weight)
	m.Flagged, m.Weighted = [2]int64{c.above(t.Margin), c.above(m.After.Margin)}, newRate(k, n)
	for h, flows := range by {
		if flows > m.NoisiestFlows {
			m.Noisiest, m.NoisiestFlows = c.names[h], flows
		}
	}
	if m.TooFew {
		if m.After.Note != "" {
			m.After.Note += "; "
		}
		m.After.Note += fmt.Sprintf("as trained, for the site's %d flows (at most %d a host and day) are too few: %g needs %.0f",
			n, flowsPerHost, t.Target, math.Ceil(3/t.Target))
		if m.After.Margin > t.Margin {
			m.After.Note += "; raised to the suspicious threshold"
		}
		return m
	}
	m.After.N, m.After.FalsePositives, m.After.Certified, m.After.Note = n, k, UpperBound(k, n), ""
	if m.After.Certified > t.Target {
		m.After.Note = fmt.Sprintf("%d flows of the site (at most %d a host and day) with %d false positives certify %.2g at 95 %%, not %g",
			n, flowsPerHost, k, m.After.Certified, t.Target)
	}
	return m
}

// margins returns the lowest margin at which at most the target share of flows is flagged, no host counting for more
// than half of it, and the lowest at which the target is certified for all of them.
func (c *Calibrator) margins(target, total float64) (rise, fall float64) {
	allowed := target * total * (1 + 1e-9)
	var above, counted float64
	byHost := make([]float64, len(c.names))
	rising, falling, n := true, true, int64(total)
	rise = math.Nextafter(c.flows[0].margin, math.Inf(1))
	fall = rise
	for i := 0; i < len(c.flows) && (rising || falling); {
		at := c.flows[i].margin
		for ; i < len(c.flows) && c.flows[i].margin == at; i++ {
			f := &c.flows[i]
			w := c.weight(f)
			above += w
			counted += min(byHost[f.host]+w, allowed/2) - min(byHost[f.host], allowed/2)
			byHost[f.host] += w
		}
		lower := at // halfway to the next flow, which is the first to stay below
		if i < len(c.flows) {
			lower = max((at+c.flows[i].margin)/2, math.Nextafter(c.flows[i].margin, math.Inf(1)))
		}
		if rising = rising && counted <= allowed; rising {
			rise = lower
		}
		if falling = falling && UpperBound(roundUp(above), n) <= target; falling {
			fall = lower
		}
	}
	return rise, fall
}

func (c *Calibrator) weight(f *siteFlow) float64 {
	return min(1, flowsPerHost/float64(c.count[f.day]))
}

// above counts the flows from a margin on.
func (c *Calibrator) above(margin float64) int64 {
	n, _ := slices.BinarySearchFunc(c.flows, margin, func(f siteFlow, m float64) int {
		if f.margin >= m {
			return -1
		}
		return 1
	})
	return int64(n)
}

// flagged weighs the flows from a margin on, and counts them by host.
func (c *Calibrator) flagged(margin float64) (weight float64, by []int64) {
	by = make([]int64, len(c.names))
	for i := range c.flows[:c.above(margin)] {
		f := &c.flows[i]
		weight += c.weight(f)
		by[f.host]++
	}
	return weight, by
}

func roundUp(weight float64) int64 { return int64(math.Ceil(weight - 1e-9)) }

// PrintMoved writes what became of the thresholds as a table.
func PrintMoved(w io.Writer, moved []Moved) error {
	p := &printer{w: w}
	p.line("%-10s %-10s %9s %9s %9s %9s  %-24s %s", "THRESHOLD", "VERDICT", "OLD", "NEW", "FLAGGED", "NOW", "RATE NOW (95 %)", "CERTIFIED")
	for _, m := range moved {
		certified := fmt.Sprintf("%.2g", m.After.Certified)
		if m.TooFew {
			certified += " in training"
		}
		p.line("%-10s %-10s %9.3f %9.3f %9d %9d  %-24v %s", m.After.Name, m.After.Verdict, m.Before.Margin, m.After.Margin,
			m.Flagged[0], m.Flagged[1], m.Weighted, certified)
	}
	for _, m := range moved {
		if m.After.Note != "" {
			p.line("%s: %s", m.After.Name, m.After.Note)
		}
		if m.HeldBack {
			p.line("%s: a lower margin would flag no more than %g too, but these flows do not certify it", m.After.Name, m.After.Target)
		}
		if m.NoisiestFlows > 0 {
			p.line("%s: %d of the %d flows flagged now are of %s", m.After.Name, m.NoisiestFlows, m.Flagged[1], m.Noisiest)
		}
	}
	return p.err
}
