package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// document writes the report as Markdown: a table, the ClientHellos, and every
// difference under its cause.
func (r *report) document() []byte {
	var b bytes.Buffer
	b.WriteString(preface)
	r.table(&b)
	r.agreementSection(&b)
	r.helloSection(&b)
	r.differenceSections(&b)
	return b.Bytes()
}

const preface = `# Conformance

Trench reads the captures that other analysers published results for, and what both say of handshakes, certificates, packets and times is compared, value by value: ` + "`go run ./pkg/internal/conformance -o docs/conformance.md`" + `
writes this page, and fails when a difference has no cause in ` + "`pkg/internal/conformance/causes.yaml`" + ` or a cause no longer has a difference.

- A value counts once, however many of a reference's tests repeat it. A flow is matched by capture, transport and ends in either direction, and by order in time where
  the same ends come again. A flow that Trench has no row for counts under *flow*, and none of its values count.
- Names are made comparable before: spellings of versions, order and separators of certificate names, leading zeros of serial numbers, numbers against IANA names of cipher suites.
- JA4's Wireshark plugin gives no JA4 of a client in its published results, so it is not in the table. Suricata's tests for versions before 8 are left out: they hold what version 8 corrected.
- The sequences of ipfixprobe and Joy are compared packet by packet with splt, as far as both sides list them, with ±1 µs (Joy: milliseconds), and a flow that ipfixprobe split by its time-outs as
  one; its histograms and bursts with those of splt where that holds all packets. Counters of packets are sums over the flows between two ends for ipfixprobe and nDPI. Only TCP and UDP are compared.
- A certificate of Zeek is found by its SHA-256, those of Arkime by their SHA-1. Suricata's filters that name no ends are compared with the flow that agrees most.

`

func (r *report) table(b *bytes.Buffer) {
	b.WriteString("| reference | field | equal | compared | captures |\n|---|---|---:|---:|---:|\n")
	for _, ref := range r.references {
		name := ref.Name
		for _, t := range r.comparison.tallies {
			if t.reference != ref.ID {
				continue
			}
			fmt.Fprintf(b, "| %s | %s | %d | %d | %d |\n", name, t.field, t.equal, t.compared, len(t.captures))
			name = ""
		}
	}
	var equal, compared int
	for _, t := range r.comparison.tallies {
		equal, compared = equal+t.equal, compared+t.compared
	}
	fmt.Fprintf(b, "| **all** | | **%d** | **%d** | **%d** |\n\n", equal, compared, len(r.comparison.rows))
}

// agreementSection says how far the two tools of JA4's authors agree with each other.
func (r *report) agreementSection(b *bytes.Buffer) {
	if a := r.agreement; a.Both > 0 {
		fmt.Fprintf(b, "JA4's two tools both give a value for %d flows and agree on %d of them; the Rust tool alone gives one for %d flows, the Python tool alone for %d. ",
			a.Both, a.Equal, a.Rust, a.Python)
		b.WriteString("Where a connection has several ClientHellos the first one counts.\n\n")
	}
}

func (r *report) helloSection(b *bytes.Buffer) {
	h := r.comparison.hellos
	if h.shown == 0 {
		return
	}
	fmt.Fprintf(b, "## ClientHellos\n\ntshark shows %d ClientHellos over TLS, DTLS and QUIC in %d captures. Trench has a row with the hello for %d of them, and finds a hello in ",
		h.shown, h.captures, h.found)
	total := 0
	var kinds []string
	for _, k := range slices.Sorted(maps.Keys(h.more)) {
		total += len(h.more[k])
		kinds = append(kinds, fmt.Sprintf("%d %s", len(h.more[k]), cmp.Or(k, "unnamed")))
	}
	fmt.Fprintf(b, "%d more flows (%s) of these captures.\n\n", total, strings.Join(kinds, ", "))
}

func (r *report) differenceSections(b *bytes.Buffer) {
	right := map[string]string{
		"trench": "Trench is right.", "reference": "The reference is right.", "both": "Both are right by their own definition.", "open": "Who is right is open.",
	}
	fmt.Fprintf(b, "## Differences\n\n")
	var counts []string
	for _, who := range []string{"trench", "both", "reference", "open"} {
		n := 0
		for c, list := range r.explained {
			if c.Right == who {
				n += len(list)
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d: %s", n, strings.ToLower(right[who][:1])+strings.TrimSuffix(right[who][1:], ".")))
		}
	}
	fmt.Fprintf(b, "%d in all", len(r.comparison.differences))
	if len(counts) > 0 {
		fmt.Fprintf(b, " (%s)", strings.ReplaceAll(strings.Join(counts, "; "), "trench is", "Trench is"))
	}
	b.WriteString(". Captures are named by their place in the corpus, without a leading protocol-tests, long values from where they part; where flows of one capture differ alike, the first is named.\n")
	if len(r.unexplained) > 0 {
		fmt.Fprintf(b, "\n### Unexplained\n\n**Without a cause: %d.**\n", len(r.unexplained))
		differenceTable(b, r.unexplained)
	}
	for _, c := range r.causes {
		if list := r.explained[c]; len(list) > 0 {
			fmt.Fprintf(b, "\n### %s\n\n%s *%s*\n", c.Title, strings.TrimSpace(c.Cause), right[c.Right])
			differenceTable(b, list)
		}
	}
}

// differenceTable lists differences; those of one capture that differ in the flow
// only share a line.
func differenceTable(b *bytes.Buffer, list []difference) {
	b.WriteString("\n| reference | capture | flow | field | Trench | reference's |\n|---|---|---|---|---|---|\n")
	type line struct {
		difference
		flows int
	}
	var lines []*line
	known := make(map[difference]*line)
	for _, d := range list {
		same := d
		same.flow = ""
		l := known[same]
		if l == nil {
			l = &line{difference: d}
			known[same], lines = l, append(lines, l)
		}
		l.flows++
	}
	for _, l := range lines {
		ours, theirs := part(l.ours, l.theirs)
		flow := cell(l.flow)
		if l.flows > 1 {
			flow = fmt.Sprintf("%s and %d more", flow, l.flows-1)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", l.reference, cell(strings.TrimPrefix(l.capture, "protocol-tests/")), flow, l.field, cell(ours), cell(theirs))
	}
}

// cellLength is how much of a value a table shows.
const cellLength = 48

// part cuts two long values to where they differ.
func part(a, b string) (string, string) {
	if len(a) <= cellLength && len(b) <= cellLength {
		return a, b
	}
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && !strings.ContainsRune(" ,", rune((a + " ")[n-1])) { // from the start of a word
		n--
	}
	return window(a, n), window(b, n)
}

func window(s string, n int) string {
	before, after := "", ""
	if n > 0 {
		before = "…"
	}
	s = s[min(n, len(s)):]
	if len(s) > cellLength {
		s, after = strings.ToValidUTF8(s[:cellLength], ""), "…"
	}
	return before + s + after
}

func cell(s string) string {
	if s == "" {
		return "–"
	}
	return strings.NewReplacer("|", "\\|", "*", "\\*", "\n", " ", "`", "\\`", "<", "&lt;").Replace(s)
}
