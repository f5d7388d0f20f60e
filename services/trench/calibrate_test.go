package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/labels"
	"trench/pkg/record"
)

// siteRows writes rows of a site: one flow of each host on each day, and one more that is known to be malicious.
func siteRows(t *testing.T, hosts, days int, metadata []byte) string {
	t.Helper()
	s := features.Default()
	path := filepath.Join(t.TempDir(), "site.parquet")
	out, err := export.CreateVectors(path, s.Names(), metadata)
	if err != nil {
		t.Fatal(err)
	}
	hello, _ := s.Index("ch_len")
	length, _ := s.Index("fl_by_s")
	write := func(host byte, day int, l labels.Label) {
		v := make([]float32, len(s.Names()))
		for i := range v {
			v[i] = float32(math.NaN())
		}
		v[hello], v[length] = 300+float32(host), float32(1000*(day+1))
		r := &record.Record{ClientIP: netip.AddrFrom4([4]byte{10, 0, 0, host}), Vector: v, TS: int64(1_700_000_000+86_400*day) * 1e9}
		if err := out.Write(r, l); err != nil {
			t.Fatal(err)
		}
	}
	for d := range days {
		for h := range hosts {
			write(byte(h), d, labels.Label{Label: "benign"})
		}
	}
	write(1, 0, labels.Label{Label: "malicious"})
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCalibrateWritesABundleForTheSite(t *testing.T) {
	t.Parallel()
	rows := siteRows(t, 50, 10, features.Default().Metadata(version))
	dir := filepath.Join(t.TempDir(), "site")
	code, out, errs := trench(t, nil, "model", "calibrate", "-o", dir, rows)
	if code != 0 || !strings.Contains(out, "500 flows of 50 hosts from 2023-11-14 22:13 to 2023-11-23 22:13 count as 500; left out 1") ||
		!strings.Contains(out, "fpr_1e-2   suspicious") || !strings.Contains(out, "too few: 0.001 needs 3000") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	id := out[strings.LastIndex(out, ": ")+2:]
	if code, out, errs := trench(t, nil, "model", "check", dir); code != 0 || !strings.Contains(out, strings.TrimSpace(id)+" is good") || !strings.Contains(id, "+") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if code, out, _ := trench(t, nil, "model", "show", dir); code != 0 || !strings.Contains(out, "was calibrated on 500 flows of 50 hosts") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, _, errs := trench(t, nil, "model", "calibrate", "--model", dir, "-o", dir+"2", rows); code == 0 || !strings.Contains(errs, "calibrated for a site already") {
		t.Errorf("exit %d: %s", code, errs)
	}
	code, out, errs = trench(t, nil, "model", "eval", "--json", dir, rows)
	var report struct {
		Model      string
		Benign     int
		Thresholds []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(out), &report); code != 0 || err != nil || report.Benign != 500 || report.Model != strings.TrimSpace(id) || len(report.Thresholds) != 2 {
		t.Errorf("exit %d, %v: %s%s", code, err, out, errs)
	}
}

func TestCalibrateSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	here, dir := t.TempDir(), filepath.Join(t.TempDir(), "new")
	var other map[string]any
	if err := json.Unmarshal(features.Default().Metadata("0.1"), &other); err != nil {
		t.Fatal(err)
	}
	for _, c := range other["columns"].([]any) {
		if c := c.(map[string]any); c["name"] == "ch_len" {
			c["digest"] = "00"
		}
	}
	metadata, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(here, "text.parquet")
	if err := os.WriteFile(text, []byte("no Parquet"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := features.Default().Metadata(version)
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "-o NEWDIR is missing", []string{demo}},
		{2, "exists already", []string{"-o", here, demo}},
		{2, "nothing to calibrate in none", []string{"--model", "none", "-o", dir, demo}},
		{1, "flows of 4 client addresses, at least 10 are needed", []string{"-o", dir, demo}},
		{1, "100 flows of 20 hosts count as 100 (at most 5 a host and day): a false-positive rate of 0.01 needs 300", []string{"-o", dir, siteRows(t, 20, 5, good)}},
		{3, "1 columns that the model uses differ or lack, ch_len first", []string{"-o", dir, siteRows(t, 20, 30, metadata)}},
		{3, "no description of the columns", []string{"-o", dir, siteRows(t, 20, 30, nil)}},
		{3, "text.parquet", []string{"-o", dir, text}},
	} {
		code, out, errs := trench(t, nil, append([]string{"model", "calibrate"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit %d, want %d and %q: %s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error(fmt.Sprint(dir, " was written"))
	}
}
