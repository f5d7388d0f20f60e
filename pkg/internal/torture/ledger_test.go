package torture_test

import (
	"fmt"
	"strings"
	"testing"

	"trench/pkg/internal/e2e"
	"trench/pkg/internal/torture"
)

func row(n int, bytes float64) e2e.Row {
	return e2e.Row{"flow_id": fmt.Sprintf("%032x", n), "part": 2.0, "bytes_c2s": bytes}
}

// book wants flows 0 to 4 and sees what see says.
func book(t *testing.T, see ...e2e.Row) torture.Account {
	t.Helper()
	l := torture.NewLedger()
	for n := range 5 {
		if err := l.Want(row(n, float64(n))); err != nil {
			t.Fatal(err)
		}
	}
	if l.Flows() != 5 || l.Reports() != 15 {
		t.Errorf("%d flows with %d reports, want 5 and 15", l.Flows(), l.Reports())
	}
	for _, r := range see {
		if err := l.See(r); err != nil {
			t.Fatal(err)
		}
	}
	return l.Close()
}

func TestALedgerFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	all := []e2e.Row{row(0, 0), row(1, 1), row(2, 2), row(3, 3), row(4, 4)}
	for _, c := range []struct {
		name      string
		see       []e2e.Row
		elsewhere int
		want      string // of the error, empty for none
	}{
		{"all are there", all, 0, ""},
		{"in another order", []e2e.Row{all[4], all[2], all[0], all[1], all[3]}, 0, ""},
		{"one is a dead letter", all[1:], 1, ""},
		{"one is lost", all[1:], 0, "1 are not there, as [00000000000000000000000000000000]"},
		{"one is there and a dead letter too", all, 1, "5 flows captured, but 5 rows and 1 accounted for elsewhere"},
		{"one is shown twice", append(all[:5:5], all[3]), 0, "1 flows are shown twice, as [00000000000000000000000000000003]"},
		{"a column differs", append(all[:4:4], row(4, 5)), 0, "1 flows are other than analyze says, as [00000000000000000000000000000004]"},
		{"nobody knows it", append(all[:5:5], row(9, 9)), 0, "1 flows are unknown to analyze, as [00000000000000000000000000000009]"},
	} {
		err := book(t, c.see...).Err(c.elsewhere)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want %q", c.name, err, c.want)
		}
	}
}

func TestALedgerRefusesRowsThatAreNone(t *testing.T) {
	t.Parallel()
	l := torture.NewLedger()
	for _, r := range []e2e.Row{{}, {"flow_id": "ab"}, {"flow_id": strings.Repeat("x", 32)}} {
		if l.Want(r) == nil || l.See(r) == nil {
			t.Errorf("%v is taken", r)
		}
	}
	if l.Want(e2e.Row{"flow_id": strings.Repeat("0", 32)}) == nil {
		t.Error("a row without a part is taken")
	}
	if err := l.Want(row(7, 7)); err != nil {
		t.Fatal(err)
	}
	if l.Want(row(7, 7)) == nil {
		t.Error("a flow is wanted twice")
	}
}
