package torture_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trench/pkg/internal/torture"
)

func TestAReportReplacesTheTableOfTheOneBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(path, []byte("# Title\n<!-- torture: begin -->\nold\n<!-- torture: end -->\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := torture.Table([]torture.Line{{Phase: "calm", Flows: 12, Recovery: 1500 * time.Millisecond, Resident: [4]int{1 << 20, 2 << 20, 0, 0}}, {Phase: "harm", Lost: 1, Failed: true}})
	for range 2 {
		if err := torture.WriteReport(path, "2 files", table); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(raw)
	for _, want := range []string{"# Title\n", "2 files\n\n| phase ", "| calm ", "|         1.5 |", "harm (FAILED)", "|\n<!-- torture: end -->\nafter\n"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, got)
		}
	}
	if strings.Contains(got, "old") {
		t.Errorf("the old table is left:\n%s", got)
	}
	if err := os.WriteFile(path, []byte("no markers"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := torture.WriteReport(path, "", table); err == nil || !strings.Contains(err.Error(), "doc.md") {
		t.Errorf("err = %v", err)
	}
}
