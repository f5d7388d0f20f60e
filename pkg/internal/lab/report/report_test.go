package report_test

import (
	"path/filepath"
	"strings"
	"testing"

	"trench/pkg/internal/lab/report"
)

func TestPrintReportsTheFilesOfTheRepository(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rows.parquet", "beacons.parquet"} {
		var out strings.Builder
		if err := report.Print(&out, filepath.Join("../../../../testdata/lab", name), []string{"lab_stack", "lab_name"}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"lab_stack", "  curl-openssl ", "  address "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in the report:\n%s", name, want, out.String())
			}
		}
	}
	if err := report.Print(&strings.Builder{}, "../../../../testdata/lab/rows.parquet", []string{"lab_moon"}); err == nil {
		t.Error("a column that is not there is reported on")
	}
}
