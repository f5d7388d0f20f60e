package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"trench/pkg/record"
)

func someSite(b *Bundle) Site {
	s := Site{Model: b.ID(), Flows: 5000, Hosts: 40, Counted: 1200, First: time.Unix(1_700_000_000, 0).UTC(), Last: time.Unix(1_700_600_000, 5).UTC(), Trained: map[string]float64{}}
	for _, t := range b.Thresholds() {
		s.Trained[t.Name] = t.Margin
	}
	return s
}

func TestCalibratedBundleDiffersByItsThresholds(t *testing.T) {
	t.Parallel()
	old, src := load(t), os.DirFS("testdata/bundle")
	thresholds := old.Thresholds()
	for i := range thresholds {
		thresholds[i].Margin++
		thresholds[i].Note = "of the site"
	}
	dir := filepath.Join(t.TempDir(), "site")
	made, err := WriteCalibrated(dir, src, newSchema(t), thresholds, someSite(old))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(os.DirFS(dir), newSchema(t))
	if err != nil {
		t.Fatal(err)
	}
	if th := got.Thresholds(); th[0] != thresholds[0] || th[1] != thresholds[1] {
		t.Errorf("thresholds %+v, want %+v", th, thresholds)
	}
	site, ok := got.Site()
	if want := someSite(old); !ok || site.Flows != want.Flows || !site.Last.Equal(want.Last) || site.Trained["fpr_1e-3"] != want.Trained["fpr_1e-3"] || site.Model != old.ID() {
		t.Errorf("site %+v", site)
	}
	if _, ok := old.Site(); ok {
		t.Error("a bundle as trained has a site")
	}
	// The trees are the same and tell the margin; the verdicts are another model's.
	if !regexp.MustCompile(`^`+old.ID()+`\+[0-9a-f]{8}$`).MatchString(got.ID()) || made.ID() != got.ID() {
		t.Errorf("ID %q, of %q", got.ID(), old.ID())
	}
	for name, f := range fixture(t) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if same := bytes.Equal(data, f.Data); same == (name == thresholdFile || name == sumsFile) {
			t.Errorf("%s is the same: %v", name, same)
		}
	}
	v := goldenVectors(t, old)
	a, b := old.NewScorer().Score(nil, v), got.NewScorer().Score(nil, v)
	for i := range a {
		if a[i].Margin != b[i].Margin || a[i].Probability != b[i].Probability {
			t.Errorf("row %d: %+v, calibrated %+v", i, a[i], b[i])
		}
	}
	if old.verdict(thresholds[0].Margin-0.5) != record.Malicious || got.verdict(thresholds[0].Margin-0.5) == record.Malicious {
		t.Error("the verdict does not follow the new margin")
	}
}

func TestCalibratedBundleIsRefused(t *testing.T) {
	t.Parallel()
	old, src, parent := load(t), os.DirFS("testdata/bundle"), t.TempDir()
	dir := filepath.Join(parent, "site")
	if _, err := WriteCalibrated(parent, src, newSchema(t), old.Thresholds(), someSite(old)); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("into a directory that is there: %v", err)
	}
	upside := old.Thresholds()
	upside[0].Margin = upside[1].Margin - 1
	if _, err := WriteCalibrated(dir, src, newSchema(t), upside, someSite(old)); err == nil || !strings.Contains(err.Error(), "below suspicious") {
		t.Errorf("with thresholds upside down: %v", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("%v is left behind (%v)", left, err)
	}
	if _, err := WriteCalibrated(dir, src, newSchema(t), old.Thresholds(), someSite(old)); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteCalibrated(dir+"2", os.DirFS(dir), newSchema(t), old.Thresholds(), someSite(old)); !errors.Is(err, ErrCalibrated) {
		t.Errorf("a second time: %v", err)
	}
}

// FuzzThresholds asks that what is accepted is written back as it was read.
func FuzzThresholds(f *testing.F) {
	f.Add(fixture(f)[thresholdFile].Data)
	f.Add([]byte(`{"site":{"model":"m","flows":9,"hosts":2,"counted":9,"first":"2026-01-01T00:00:00Z","last":"2026-01-02T00:00:00Z","trained":{"fpr_1e-2":0,"fpr_1e-3":1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		thresholds, site, err := loadThresholds(data)
		if err != nil {
			return
		}
		doc := thresholdsDocument{Site: site}
		for _, th := range thresholds {
			doc.Thresholds = append(doc.Thresholds, entryOf(th))
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		again, siteAgain, err := loadThresholds(text)
		if err != nil || again[0] != thresholds[0] || again[1] != thresholds[1] || (site == nil) != (siteAgain == nil) {
			t.Fatalf("%s: %v, %v", text, again, err)
		}
	})
}
