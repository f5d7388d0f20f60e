package torture

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Line is what a phase came to.
type Line struct {
	Phase              string
	Flows, Records     int // captured; on the topic of verdicts
	Faults             int
	Lost, Twice, Wrong int // of the flows captured
	DeadLetters, Drops int
	Collapsed          int // records beyond one for each report
	Recovery           time.Duration
	Resident           [4]int // most bytes of capture, features, scoring, sink
	Failed             bool
}

// Services are the programs, in the order of Line.Resident.
func Services() []string { return []string{"capture", "features", "scoring", "sink"} }

// Table writes lines as a Markdown table, aligned so that it can be read as it is.
func Table(lines []Line) string {
	head := []string{"phase", "flows", "records", "faults", "lost", "twice", "wrong", "dead letters", "drops", "collapsed", "recovery, s"}
	for _, s := range Services() {
		head = append(head, s+", MB")
	}
	rows := [][]string{head}
	for _, l := range lines {
		row := []string{l.Phase}
		for _, n := range []int{l.Flows, l.Records, l.Faults, l.Lost, l.Twice, l.Wrong, l.DeadLetters, l.Drops, l.Collapsed} {
			row = append(row, fmt.Sprint(n))
		}
		row = append(row, fmt.Sprintf("%.1f", l.Recovery.Seconds()))
		for _, b := range l.Resident {
			row = append(row, fmt.Sprint(b>>20))
		}
		if l.Failed {
			row[0] += " (FAILED)"
		}
		rows = append(rows, row)
	}
	width := make([]int, len(head))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len(c))
		}
	}
	var b strings.Builder
	for n, r := range rows {
		for i, c := range r {
			if i == 0 {
				fmt.Fprintf(&b, "| %-*s ", width[i], c)
			} else {
				fmt.Fprintf(&b, "| %*s ", width[i], c)
			}
		}
		b.WriteString("|\n")
		if n == 0 {
			for i := range r {
				fmt.Fprintf(&b, "|%s%s", strings.Repeat("-", width[i]+1), map[bool]string{true: "-", false: ":"}[i == 0])
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// The lines between which a document has the table of the last run.
const (
	reportBegins = "<!-- torture: begin -->\n"
	reportEnds   = "<!-- torture: end -->\n"
)

// WriteReport replaces the table in a document.
func WriteReport(path, heading, table string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(raw), reportBegins)
	_, after, ended := strings.Cut(rest, reportEnds)
	if !ok || !ended {
		return fmt.Errorf("%s: it has no lines %q and %q", path, strings.TrimSpace(reportBegins), strings.TrimSpace(reportEnds))
	}
	return os.WriteFile(path, []byte(before+reportBegins+heading+"\n\n"+table+reportEnds+after), 0o644)
}
