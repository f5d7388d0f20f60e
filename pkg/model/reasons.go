package model

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// told is a column of the model with what its reasons need.
type told struct {
	name      string
	column    column
	reference reference
	// gate is the place in the vector of the flag whose 0 says why the column is missing, -1
	// without one: no SNI leaves the sn columns empty, no certificate the ct columns. Closed is
	// what is told then.
	gate   int
	closed *told
	// joins is the place in the vector of the flag of column.joins, -1 without one.
	joins int
	// shared says that this tells of other columns too.
	shared bool
}

func tell(names []string, ref map[string]reference, s Schema) []told {
	table := reasonTable()
	gates := map[string]*told{}
	for prefix, name := range map[string]string{"sn_": "sn_present", "ct_": "ct_seen"} {
		gates[prefix] = &told{name: name, column: table[name], reference: ref[name], gate: -1, joins: -1, shared: true}
	}
	out := make([]told, len(names))
	for i, name := range names {
		t := &out[i]
		*t = told{name: name, column: columnFor(table, name), reference: ref[name], gate: -1, joins: -1}
		if at, ok := s.Index(t.column.joins); ok {
			t.joins = at
		}
		// The flag itself, when it is 0, is told of as its group is.
		if gate, ok := gates[name[:min(3, len(name))]]; ok {
			if at, ok := s.Index(gate.name); ok {
				t.gate, t.closed = at, gate
			}
		}
	}
	return out
}

// words is what a reason says of the model's column i, and the code under which
// it counts: the value observed (not the one cleaned for the trees), or, where
// a whole group is missing for one cause, that cause.
func (s *Scorer) words(i int, vector []float32) (t *told, value float64, code string) {
	t = &s.b.told[i]
	if t.gate >= 0 && t.gate < len(vector) && vector[t.gate] == 0 {
		return t.closed, 0, t.closed.column.codeFor(0)
	}
	value = float64(vector[s.b.columns[i]])
	if t.joins >= 0 && t.joins < len(vector) && vector[t.joins] == 1 && !math.IsNaN(value) {
		return t, value, t.column.joined
	}
	return t, value, t.column.codeFor(value)
}

// part is what one quantity contributes to a code.
type part struct {
	told  *told
	value float64
	phi   float64
}

// sum is a reason in the making.
type sum struct {
	code  string
	total float64
	parts []part // the largest contribution first, once the sum is complete
}

// add counts a contribution; the columns that one cause explains are one part.
func (c *sum) add(t *told, value, phi float64) {
	c.total += phi
	if t.shared {
		for i := range c.parts {
			if c.parts[i].told == t {
				c.parts[i].phi += phi
				return
			}
		}
	}
	c.parts = append(c.parts, part{t, value, phi})
}

func (c *sum) sort() {
	slices.SortStableFunc(c.parts, func(a, b part) int { return cmp.Compare(b.phi, a.phi) })
}

const (
	// mostParts is how many quantities a reason states.
	mostParts = 3
	// leastShare is what a quantity must have of the code's positive contributions to be stated beside the first.
	leastShare = 0.2
)

// sentence states the quantities that contribute most, after the one that
// gives the code its name and before what helps to read them.
func (c *sum) sentence(o observer) string {
	if c.code == "length-transitions" && o.value("sq_len_00") != 0 && math.IsNaN(o.value("sq_len_01")) {
		// One packet counts as a transition to itself.
		if first := o.value("sq_len_00"); !math.IsNaN(first) {
			return "the flow has only one data packet, of " + signed(first)
		}
	}
	positive := 0.0
	for _, p := range c.parts {
		positive += max(p.phi, 0)
	}
	var clauses []string
	flag, fact := lead(c.code)
	if fact != "" && o.value(flag) == 1 {
		clauses = append(clauses, fact)
	}
	for i, p := range c.parts {
		if i > 0 && p.phi < leastShare*positive || len(clauses) == mostParts {
			break
		}
		if p.told.name == flag && len(clauses) > 0 {
			continue
		}
		if clause := p.told.column.text(p.value, p.told.reference); !slices.Contains(clauses, clause) {
			clauses = append(clauses, clause)
		}
	}
	return enumerate(clauses) + c.context(o)
}

// observer looks up what the row shows.
type observer struct {
	schema Schema
	vector []float32
}

// value of a column; NaN when it was not observed or the schema has none of that name.
func (o observer) value(name string) float64 {
	if i, ok := o.schema.Index(name); ok && i < len(o.vector) {
		return float64(o.vector[i])
	}
	return math.NaN()
}

// context is what makes a code's numbers readable: columns that a person looks
// at first, whether or not the model uses them.
func (c *sum) context(o observer) string {
	switch c.code {
	case "sni-absent":
		switch o.value("dn_seen") {
		case 0:
			return "; no DNS answer with the server's address was seen before"
		case 1:
			return "; a DNS answer with the server's address was seen before"
		}
	case "volume":
		switch c.parts[0].told.name {
		case "fl_pk_ratio":
			return o.both("fl_pk_", "packets")
		case "fl_by_ratio":
			return o.both("fl_by_", "bytes")
		}
	case "length-transitions":
		if list := o.list("sq_len_", 2, 8); strings.Contains(list, ",") {
			return "; first data packets: " + list + " bytes (- from the server)"
		}
	case "record-lengths":
		if list := o.list("rc_app_len_s_", 1, 4); strings.Contains(list, ",") {
			return "; the server's first application-data records: " + list + " bytes"
		}
	}
	return ""
}

// both writes a count of the client and of the server.
func (o observer) both(prefix, unit string) string {
	client, server := o.value(prefix+"c"), o.value(prefix+"s")
	if math.IsNaN(client) || math.IsNaN(server) {
		return ""
	}
	return "; " + number(client) + " against " + number(server) + " " + unit
}

// list writes the values of numbered columns up to the first that is missing.
func (o observer) list(prefix string, digits, most int) string {
	var values []string
	for i := range most {
		n := strconv.Itoa(i)
		v := o.value(prefix + strings.Repeat("0", digits-len(n)) + n)
		if math.IsNaN(v) {
			break
		}
		values = append(values, strconv.FormatFloat(v, 'f', 0, 64))
	}
	return strings.Join(values, ", ")
}

// lead is the flag that a code is about, which its text states first.
func lead(code string) (column, text string) {
	switch code {
	case "certificate-self-signed":
		return "ct_self_signed", "the server's certificate is self-signed"
	case "sni-address":
		return "sn_is_ip", "the server name (SNI) is an IP address"
	}
	return "", ""
}
