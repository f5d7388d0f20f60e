package features

import (
	"fmt"
	"math"
	"strings"

	"trench/pkg/dnswire"
	"trench/pkg/flow"
)

// CiscoName is the name of the schema that repeats Joy's feature vector.
const CiscoName = "cisco2016"

// httpSuffix adds group ht to the name of a profile.
const httpSuffix = "+ht"

// Profile returns the schema of a name: trench-v1, which an empty name stands for too, trench-v1 with optional groups
// appended in the order mt, ht, xs ("trench-v1+mt+xs"), or cisco2016, which has no
// column of the others. It builds the schema anew unless it is trench-v1.
func Profile(name string) (*Schema, error) {
	switch name {
	case SchemaName, "":
		return Default(), nil
	case CiscoName:
		return newSchema(name, bind(ciscoColumns())), nil
	}
	rest, known := strings.CutPrefix(name, SchemaName)
	entries := table()
	for _, g := range []struct {
		suffix  string
		columns func() []optionalColumn
	}{{"+mt", timeColumns}, {httpSuffix, httpColumns}, {"+xs", shortcutColumns}} {
		if after, named := strings.CutPrefix(rest, g.suffix); named {
			rest = after
			entries = append(entries, bind(g.columns())...)
		}
	}
	if !known || rest != "" {
		return nil, fmt.Errorf("schema %q is not one of %s, %[2]s with +mt, +ht and +xs in this order, or %[3]s", name, SchemaName, CiscoName)
	}
	return newSchema(name, entries), nil
}

// optionalColumn is a line of the tables of the optional groups.
type optionalColumn struct {
	name, unit, doc string
	value           func(o *optionalFacts) float64
}

// bind makes entries of columns.
func bind(columns []optionalColumn) []entry {
	entries := make([]entry, 0, len(columns))
	for _, c := range columns {
		entries = append(entries, entry{c.name, c.unit, c.doc, func(x *facts) float64 { return c.value(&x.optional) }})
	}
	return entries
}

// optionalFacts is what the optional groups and cisco2016 need beyond the facts
// of trench-v1.
type optionalFacts struct {
	wanted bool // by the profile
	facts  *facts
	times  timeFacts
	joy    joyFacts
	http   *flow.HTTPContext // nil when no HTTP was watched

	ranks *Ranks // nil without a list; kept from flow to flow
	asked []byte // the name in the DNS answer that led here
	sni   float64
	dns   float64
}

// read takes what is left of a flow whose facts were read. answer is the DNS answer
// that led to it, nil without one.
func (o *optionalFacts) read(x *facts, answer *dnswire.Message) {
	o.facts, o.http = x, x.flow.HTTP
	o.times.read(x.flow.Packets)
	o.joy.read(x, &o.times)
	o.rank(answer)
}

// timeFacts is Joy's view of the times between listed packets.
type timeFacts struct {
	gaps   []int64 // whole ms
	markov [100]float64
	sum    float64 // ms
}

const timeBin = 50 // ms

func (t *timeFacts) read(packets []flow.Packet) {
	t.gaps, t.sum = t.gaps[:0], 0
	var before int64
	for _, p := range packets {
		gap := max(p.Offset-before, 0) / 1e6
		before = p.Offset
		t.gaps = append(t.gaps, gap)
		t.sum += float64(gap)
	}
	markov(&t.markov, t.gaps, timeBin)
}

// timeColumns is group mt.
func timeColumns() []optionalColumn {
	var t []optionalColumn
	for i := range 10 {
		for j := range 10 {
			t = append(t, optionalColumn{fmt.Sprintf("mt_%d_%d", i, j), "ratio", fmt.Sprintf("share of the transitions out of time bin %d that go to bin %d, over successive listed data packets "+
				"(the first 50 of each direction, merged by time, retransmissions left out); bin min(t/50, 9), t the whole ms since the packet before, since the flow's start for the first; "+
				"a single packet is a transition to its own bin; 0 in rows without transitions; NaN without data packets (Joy, get_mc_rep_times)", i, j), func(o *optionalFacts) float64 {
				if len(o.times.gaps) == 0 {
					return math.NaN()
				}
				return o.times.markov[i*10+j]
			}})
		}
	}
	return t
}
