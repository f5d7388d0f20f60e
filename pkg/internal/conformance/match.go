package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"trench/pkg/internal/conformance/reference"
	"trench/pkg/record"
)

// difference is a value that Trench and a reference give differently.
type difference struct {
	reference, capture, flow, field string
	ours, theirs                    string
	proto                           string // transport, where it is known
}

// tally counts the comparisons of one field of one reference.
type tally struct {
	reference, field string
	equal, compared  int
	captures         map[string]bool
}

// helloCount says how Trench fares on the ClientHellos that tshark shows.
type helloCount struct {
	shown, found int
	captures     int
	more         map[string][]string // flows with a hello that tshark has none for, by protocol
}

// comparison is the outcome of all references.
type comparison struct {
	rows        map[string][]*record.Record
	index       map[flowKey][]*record.Record
	tallies     []*tally
	differences []difference
	hellos      helloCount
	seen        map[string]bool // values compared before: several results tell the same
}

// flowKey finds the rows between two ends in a capture.
type flowKey struct {
	capture, proto string
	ends           reference.Ends
}

// missing is what Trench says of a flow that it has no row for.
const missing = "none"

func compare(rows map[string][]*record.Record, expectations []*reference.Expectation) *comparison {
	c := &comparison{rows: rows, index: make(map[flowKey][]*record.Record), seen: make(map[string]bool)}
	c.hellos.more = make(map[string][]string)
	for capture, list := range rows {
		for _, r := range list {
			e := reference.EndsOf(r).Key()
			for _, proto := range []string{r.Proto, ""} {
				k := flowKey{capture, proto, e}
				c.index[k] = append(c.index[k], r)
			}
		}
	}
	for _, e := range expectations {
		c.add(e)
	}
	c.countHellos(expectations)
	slices.SortFunc(c.differences, func(a, b difference) int {
		return cmp.Or(cmp.Compare(a.reference, b.reference), cmp.Compare(a.capture, b.capture), cmp.Compare(a.flow, b.flow),
			cmp.Compare(a.field, b.field), cmp.Compare(a.theirs, b.theirs), cmp.Compare(a.ours, b.ours))
	})
	return c
}

func (c *comparison) add(e *reference.Expectation) {
	var rows []*record.Record
	capture, proto := strings.Join(e.Captures, ", "), e.Proto
	if e.Kind != reference.Standalone {
		if rows = c.find(e); len(rows) == 0 {
			c.note(e, difference{capture: capture, proto: proto, field: "flow", theirs: "seen", ours: missing})
			return
		}
		capture, proto = rows[0].Source, rows[0].Proto
		c.note(e, difference{capture: capture, proto: proto, field: "flow", theirs: "seen", ours: "seen"})
	}
	for _, v := range e.Values {
		c.note(e, difference{capture: capture, proto: proto, field: v.Field, theirs: v.Want, ours: v.Got(rows)})
	}
}

// note counts one comparison, once however many results say the same.
func (c *comparison) note(e *reference.Expectation, d difference) {
	d.reference, d.flow = e.Reference, e.Flow()
	key := strings.Join([]string{d.reference, d.capture, d.flow, d.field, d.theirs, d.ours}, "\x00")
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	i := slices.IndexFunc(c.tallies, func(t *tally) bool { return t.reference == d.reference && t.field == d.field })
	if i < 0 {
		i = len(c.tallies)
		c.tallies = append(c.tallies, &tally{reference: d.reference, field: d.field, captures: make(map[string]bool)})
	}
	t := c.tallies[i]
	t.compared++
	t.captures[d.capture] = true
	if d.ours == d.theirs {
		t.equal++
		return
	}
	c.differences = append(c.differences, d)
}

// find returns the rows that an expectation is about, none when there are none.
func (c *comparison) find(e *reference.Expectation) []*record.Record {
	switch {
	case e.Kind == reference.Certificate:
		return c.best(e, func(r *record.Record) bool {
			return slices.ContainsFunc(r.CertChain, func(x record.Certificate) bool { return x.SHA256 == e.Digest })
		})
	case len(e.Ends) == 0:
		return c.best(e, func(r *record.Record) bool { return (e.Proto == "" || r.Proto == e.Proto) && showsTLS(r) })
	}
	for _, alternative := range e.Ends {
		var rows []*record.Record
		for _, capture := range e.Captures {
			rows = append(rows, c.index[flowKey{capture, e.Proto, alternative.Key()}]...)
		}
		switch e.Kind {
		case reference.AllFlows:
			if len(rows) > 0 {
				return rows
			}
			continue
		case reference.TLSFlow:
			rows = slices.DeleteFunc(slices.Clone(rows), func(r *record.Record) bool { return !showsTLS(r) })
		}
		if e.Ordinal < len(rows) {
			return rows[e.Ordinal : e.Ordinal+1]
		}
	}
	return nil
}

// best returns the row that agrees most.
func (c *comparison) best(e *reference.Expectation, may func(*record.Record) bool) []*record.Record {
	var found []*record.Record
	most := -1
	for _, capture := range e.Captures {
		for _, r := range c.rows[capture] {
			if !may(r) {
				continue
			}
			rows, equal := []*record.Record{r}, 0
			for _, v := range e.Values {
				if v.Got(rows) == v.Want {
					equal++
				}
			}
			if equal > most {
				found, most = rows, equal
			}
		}
	}
	return found
}

// showsTLS reports whether a handshake was seen in the flow.
func showsTLS(r *record.Record) bool {
	return reference.HasHello(r) || r.TLSVersion != "" || r.QUICVersion != "" || r.AppProto == "tls" || r.AppProto == "dtls" || r.AppProto == "quic"
}

// countHellos compares the ClientHellos that tshark shows with the rows that have one.
func (c *comparison) countHellos(expectations []*reference.Expectation) {
	known := make(map[*record.Record]bool)
	captures := make(map[string]bool)
	for _, e := range expectations {
		if e.Reference != "tshark" {
			continue
		}
		captures[e.Captures[0]] = true
		rows := c.find(e)
		if len(rows) > 0 {
			known[rows[0]] = true
		}
		if e.Hellos == 0 {
			continue
		}
		c.hellos.shown += e.Hellos
		d := difference{capture: e.Captures[0], proto: e.Proto, field: "hello", theirs: "seen", ours: missing}
		if len(rows) > 0 && reference.HasHello(rows[0]) {
			c.hellos.found += e.Hellos
			d.ours = d.theirs
		}
		c.note(e, d)
	}
	c.hellos.captures = len(captures)
	for _, capture := range slices.Sorted(maps.Keys(captures)) {
		for _, r := range c.rows[capture] {
			if reference.HasHello(r) && !known[r] {
				c.hellos.more[r.AppProto] = append(c.hellos.more[r.AppProto], capture+" "+reference.EndsOf(r).String())
			}
		}
	}
}
