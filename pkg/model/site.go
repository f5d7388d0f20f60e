package model

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Site says which benign traffic moved the thresholds of a bundle, and from where.
type Site struct {
	Model   string             `json:"model"`   // id of the bundle that was calibrated
	Flows   int64              `json:"flows"`   // scored flows
	Hosts   int64              `json:"hosts"`   // client addresses
	Counted int64              `json:"counted"` // what the flows count as, with each host and day bounded
	First   time.Time          `json:"first"`   // first and last flow
	Last    time.Time          `json:"last"`
	Trained map[string]float64 `json:"trained"` // by threshold: the margin that training set
}

func (s *Site) validate() error {
	var errs []error
	if s.Flows < 1 || s.Hosts < 1 || s.Counted < 1 || s.Counted > s.Flows || s.Hosts > s.Flows {
		errs = append(errs, fmt.Errorf("site: %d flows of %d hosts counted as %d", s.Flows, s.Hosts, s.Counted))
	}
	if s.First.After(s.Last) {
		errs = append(errs, fmt.Errorf("site: from %v to %v", s.First, s.Last))
	}
	if s.Model == "" {
		errs = append(errs, errors.New("site: no model"))
	}
	for _, name := range slices.Sorted(maps.Keys(verdicts())) {
		if _, ok := s.Trained[name]; !ok {
			errs = append(errs, fmt.Errorf("site: no trained margin of %s", name))
		}
	}
	return errors.Join(errs...)
}

// ErrCalibrated means that a bundle has a site's thresholds already.
var ErrCalibrated = errors.New("was calibrated for a site already: calibrate the bundle that it came from")

// WriteCalibrated writes the bundle src to the new directory dir with other thresholds, and nothing else changed
// but SHA256SUMS. It is loaded as a whole before it takes its place.
func WriteCalibrated(dir string, src fs.FS, s Schema, thresholds []Threshold, site Site) (*Bundle, error) {
	b, err := Load(src, s)
	if err != nil {
		return nil, err
	}
	if b.site != nil {
		return nil, fmt.Errorf("%s %w", b.id, ErrCalibrated)
	}
	files, err := readVerified(src)
	if err != nil {
		return nil, err
	}
	doc := thresholdsDocument{Site: &site}
	for _, t := range thresholds {
		doc.Thresholds = append(doc.Thresholds, entryOf(t))
	}
	if files[thresholdFile], err = json.MarshalIndent(doc, "", " "); err != nil {
		return nil, fmt.Errorf("%s: %w", thresholdFile, err)
	}
	files[thresholdFile] = append(files[thresholdFile], '\n')
	var sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	files[sumsFile] = []byte(sums.String())
	return install(dir, files, s)
}

// install makes dir, which must not be there, from files that load.
func install(dir string, files map[string][]byte, s Schema) (*Bundle, error) {
	if err := Vacant(dir); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp) // nothing is left there when all went well
	if err := os.Chmod(temp, 0o755); err != nil {
		return nil, err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(temp, name), data, 0o644); err != nil {
			return nil, err
		}
	}
	b, err := Load(os.DirFS(temp), s)
	if err != nil {
		return nil, fmt.Errorf("calibrated bundle: %w", err)
	}
	return b, os.Rename(temp, dir)
}

// Vacant says whether a bundle may be written to dir: there is nothing yet.
func Vacant(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s: exists already", dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
