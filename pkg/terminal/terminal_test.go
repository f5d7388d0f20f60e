package terminal

import (
	"bytes"
	"context"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"trench/pkg/flow"
	"trench/pkg/record"
)

func row(id byte, v record.Verdict, margin float64) *record.Record {
	return &record.Record{
		FlowID: flow.ID{id}, Verdict: v, Margin: margin, Score: 0.5, Proto: "tcp", AppProto: "tls", TLSVersion: "TLS 1.2",
		ClientIP: netip.MustParseAddr("192.0.2.1"), ClientPort: uint16(id), ServerIP: netip.MustParseAddr("2001:db8::1"), ServerPort: 443,
		Reasons: []record.Reason{{Text: "first", Contribution: 2, Attack: "T1573"}, {Text: "second", Contribution: 1}, {Text: "third"}, {Text: "fourth"}},
	}
}

func TestTableIsSortedAndIndependentOfTheOrder(t *testing.T) {
	t.Parallel()
	rows := []*record.Record{
		row(1, record.Suspicious, 9), row(2, record.Malicious, 1), row(3, record.Benign, 99), row(4, record.Malicious, 5),
		row(5, record.Unscored, math.NaN()), row(6, record.Suspicious, 2),
	}
	var want string
	for range 20 {
		table := NewTable(3)
		for _, r := range rows {
			table.Add([]*record.Record{r})
		}
		var out bytes.Buffer
		if err := table.Print(&out); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = out.String()
		}
		if out.String() != want {
			t.Fatalf("order changes the table:\n%s\n%s", want, out.String())
		}
		rows = append(rows[1:], rows[0])
	}
	var ports []string
	for _, line := range strings.Split(want, "\n") {
		if f := strings.Fields(line); len(f) > 5 && strings.Contains(f[0], "ious") {
			ports = append(ports, f[4])
		}
	}
	if !slices.Equal(ports, []string{"192.0.2.1:4", "192.0.2.1:2", "192.0.2.1:1"}) {
		t.Errorf("order %v:\n%s", ports, want)
	}
	for _, s := range []string{"and 1 more", "[2001:db8::1]:443", "+2.00  first  [T1573]", "third"} {
		if !strings.Contains(want, s) {
			t.Errorf("%q is not in\n%s", s, want)
		}
	}
	if strings.Contains(want, "fourth") {
		t.Errorf("more than %d reasons:\n%s", shownReasons, want)
	}
}

func TestTableShowsTheNoteOfAVerdictOnce(t *testing.T) {
	t.Parallel()
	r := row(1, record.Malicious, 1)
	r.VerdictNote = "extrapolation: 7 columns outside the training range"
	table := NewTable(1)
	table.Add([]*record.Record{r})
	var out bytes.Buffer
	if err := table.Print(&out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, r.VerdictNote) != 1 || !strings.Contains(text, "\n            extrapolation: 7 columns outside the training range\n            +2.00  first") {
		t.Errorf("got\n%s", out.String())
	}
}

func TestNamesFromTheNetworkCannotDriveTheTerminal(t *testing.T) {
	t.Parallel()
	r := row(1, record.Malicious, 1)
	r.TLSSNI = "a\x1b[2Jb\rc\u009bd"
	table := NewTable(1)
	table.Add([]*record.Record{r})
	var out bytes.Buffer
	if err := table.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\r\u009b") || !strings.Contains(out.String(), "a·[2Jb·c·d") {
		t.Errorf("%q", out.String())
	}
}

func TestProgressIsABarOnATerminalOnly(t *testing.T) {
	t.Parallel()
	read := func() (int64, int64, uint64) { return 50_000_000, 200_000_000, 1_000_000 }
	p := Progress{Terminal: true, Read: read}
	if got := p.line(2 * time.Second); got != "[#######-----------------------]  25 %  50.0 MB of 200 MB  25.0 MB/s  500 k packets/s  6s left" {
		t.Errorf("bar %q", got)
	}
	p.Terminal = false
	if got := p.line(2 * time.Second); strings.ContainsAny(got, "[]") || !strings.Contains(got, "6s left") {
		t.Errorf("line %q", got)
	}
	p.Read = func() (int64, int64, uint64) { return 5000, 0, 10 }
	if got := p.line(time.Second); got != "5.0 kB  5.0 kB/s  10 packets/s" {
		t.Errorf("unknown length: %q", got)
	}
}

func TestProgressClearsItsBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 3*drawEvery)
	defer cancel()
	p := Progress{Out: &out, Terminal: true, Read: func() (int64, int64, uint64) { return 1, 2, 3 }}
	p.Run(ctx)
	if s := out.String(); !strings.Contains(s, "50 %") || !strings.HasSuffix(s, "\r\x1b[K") {
		t.Errorf("%q", s)
	}
}

func TestNumbersAreScaled(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 999.6: "1.0 kB", 99_940: "99.9 kB", 123_456: "123 kB", 2e9: "2.0 GB", 5e15: "5000 TB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}
