// Package terminal shows results and progress to a person at a terminal, or in
// plain lines where there is none.
package terminal

import (
	"bufio"
	"container/heap"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"trench/pkg/record"
)

// shownReasons is how many reasons a flow has in the table; files have them all.
const shownReasons = 3

// Table collects the flows worth a look and prints them, most suspicious
// first. It holds no more than it will print.
type Table struct {
	top  int
	rows worst
	left uint64 // worth a look, but beyond top
}

// NewTable returns a table of at most top flows.
func NewTable(top int) *Table { return &Table{top: top} }

// Add looks at finished rows and keeps nothing of them.
func (t *Table) Add(rows []*record.Record) {
	for _, r := range rows {
		if r.Verdict < record.Suspicious {
			continue
		}
		if len(t.rows) == t.top {
			t.left++
			if t.top == 0 || !less(t.rows[0], entryOf(r)) {
				continue
			}
			heap.Pop(&t.rows)
		}
		e := entryOf(r)
		e.text = lines(r)
		heap.Push(&t.rows, e)
	}
}

// Print writes the table.
func (t *Table) Print(w io.Writer) error {
	out := bufio.NewWriter(w)
	rows := slices.Clone(t.rows)
	slices.SortFunc(rows, func(a, b entry) int {
		if less(b, a) {
			return -1
		}
		return 1
	})
	if len(rows) > 0 {
		fmt.Fprintln(out, header())
	}
	for _, e := range rows {
		fmt.Fprint(out, e.text)
	}
	if t.left > 0 {
		fmt.Fprintf(out, "… and %d more; --top N shows more, -o FILE has every flow\n", t.left)
	}
	return out.Flush()
}

// Stream writes every flow as it ends, so memory does not grow with their number.
type Stream struct {
	out     *bufio.Writer
	started bool
}

// NewStream returns a Stream to w.
func NewStream(w io.Writer) *Stream { return &Stream{out: bufio.NewWriter(w)} }

// Add prints rows.
func (s *Stream) Add(rows []*record.Record) error {
	if !s.started {
		s.started = true
		fmt.Fprintln(s.out, header())
	}
	for _, r := range rows {
		fmt.Fprint(s.out, lines(r))
	}
	return s.out.Flush()
}

// entry is one flow of a table.
type entry struct {
	verdict record.Verdict
	margin  float64
	ts      int64
	id      string
	text    string
}

func entryOf(r *record.Record) entry {
	e := entry{verdict: r.Verdict, margin: r.Margin, ts: r.TS, id: string(r.FlowID[:])}
	if math.IsNaN(e.margin) { // a list alone decided
		e.margin = math.Inf(-1)
	}
	return e
}

// less reports whether a is less worth a look than b; it is a total order, so
// the table does not depend on the order in which flows end.
func less(a, b entry) bool {
	switch {
	case a.verdict != b.verdict:
		return a.verdict < b.verdict
	case a.margin != b.margin:
		return a.margin < b.margin
	case a.ts != b.ts:
		return a.ts > b.ts
	}
	return a.id > b.id
}

// worst is a heap with the least suspicious flow on top.
type worst []entry

func (h worst) Len() int           { return len(h) }
func (h worst) Less(i, j int) bool { return less(h[i], h[j]) }
func (h worst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *worst) Push(x any)        { *h = append(*h, x.(entry)) }
func (h *worst) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

func header() string {
	return fmt.Sprintf("%-10s  %6s  %-19s  %-23s  %-23s  %-8s  %s", "VERDICT", "SCORE", "FIRST PACKET (UTC)", "CLIENT", "SERVER", "PROTOCOL", "NAME")
}

// lines describes one flow: a line with what it is, and a line for each reason.
func lines(r *record.Record) string {
	var b strings.Builder
	score := "-"
	if !math.IsNaN(r.Score) {
		score = strconv.FormatFloat(r.Score, 'f', 4, 64)
	}
	fmt.Fprintf(&b, "%-10s  %6s  %-19s  %-23s  %-23s  %-8s  %s\n", r.Verdict, score, time.Unix(0, r.TS).UTC().Format(time.DateTime),
		endpoint(r.ClientIP, r.ClientPort), endpoint(r.ServerIP, r.ServerPort), protocol(r), Printable(name(r)))
	if r.VerdictNote != "" && r.Verdict != record.Unscored {
		fmt.Fprintf(&b, "            %s\n", Printable(r.VerdictNote))
	}
	for _, x := range r.Reasons[:min(len(r.Reasons), shownReasons)] {
		fmt.Fprintf(&b, "            %+.2f  %s", x.Contribution, Printable(x.Text))
		if x.Attack != "" {
			fmt.Fprintf(&b, "  [%s]", x.Attack)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func endpoint(ip netip.Addr, port uint16) string {
	if !ip.IsValid() {
		return "?"
	}
	return netip.AddrPortFrom(ip, port).String()
}

func protocol(r *record.Record) string {
	switch {
	case r.TLSVersion != "":
		return r.TLSVersion
	case r.AppProto != "":
		return r.AppProto
	}
	return r.Proto
}

func name(r *record.Record) string {
	switch {
	case r.TLSSNI != "":
		return r.TLSSNI
	case r.AppProto == "tls":
		return "(no SNI)"
	case r.HTTP != nil && len(r.HTTP.Requests) > 0:
		return r.HTTP.Requests[0].Host
	case r.DNS != nil && len(r.DNS.Queries) > 0:
		return r.DNS.Queries[0].Name
	}
	return ""
}

// Printable replaces what would move the cursor or change the terminal: names
// come from the network.
func Printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == utf8.RuneError {
			return '·'
		}
		return c
	}, s)
}
