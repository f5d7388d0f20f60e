package report_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"trench/pkg/internal/lab/report"
)

// TestIntervals holds intervals against those of R's binom.test.
func TestIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 10, 0, .3084971},
		{1, 10, .002528579, .4450161},
		{5, 10, .187086, .812914},
		{10, 10, .6915029, 1},
		{35, 3417, .007146, .014216},
	} {
		low, high := report.Interval(c.k, c.n)
		if math.Abs(low-c.low) > 2e-5 || math.Abs(high-c.high) > 2e-5 {
			t.Errorf("%d of %d: [%.7f, %.7f], want [%.7f, %.7f]", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

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
