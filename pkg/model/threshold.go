package model

import (
	"errors"
	"fmt"

	"trench/pkg/record"
)

// Threshold is the margin from which a verdict holds, with the false-positive
// rate it was set for and what the number of benign flows can certify.
type Threshold struct {
	Name           string
	Verdict        record.Verdict
	Target         float64 // false-positive rate aimed at
	Margin         float64 // verdict when the margin is at least this
	Certified      float64 // upper bound of the false-positive rate that N allows to claim
	N              int64   // benign flows it was measured on
	FalsePositives int64   // of these, at or above Margin
	Note           string
}

// thresholdsDocument is the content of thresholds.json.
type thresholdsDocument struct {
	Thresholds []thresholdEntry `json:"thresholds"`
	Site       *Site            `json:"site,omitempty"` // of a bundle that was calibrated for one
}

type thresholdEntry struct {
	Name           string   `json:"name"`
	Verdict        string   `json:"verdict"`
	Target         float64  `json:"target"`
	Margin         *float64 `json:"margin"`
	Certified      float64  `json:"certified"`
	N              int64    `json:"n"`
	FalsePositives int64    `json:"false_positives"`
	Note           string   `json:"note,omitempty"`
}

func entryOf(t Threshold) thresholdEntry {
	return thresholdEntry{t.Name, t.Verdict.String(), t.Target, &t.Margin, t.Certified, t.N, t.FalsePositives, t.Note}
}

// verdicts maps the names of thresholds to what they decide.
func verdicts() map[string]record.Verdict {
	return map[string]record.Verdict{"fpr_1e-2": record.Suspicious, "fpr_1e-3": record.Malicious}
}

// loadThresholds returns the thresholds, malicious before suspicious, and the
// site they were calibrated for, if any.
func loadThresholds(data []byte) ([]Threshold, *Site, error) {
	var file thresholdsDocument
	if err := decodeJSON(data, &file); err != nil {
		return nil, nil, err
	}
	verdicts := verdicts()
	byVerdict := map[record.Verdict]Threshold{}
	var errs []error
	for _, t := range file.Thresholds {
		v, known := verdicts[t.Name]
		_, twice := byVerdict[v]
		switch {
		case !known:
			errs = append(errs, fmt.Errorf("name %q, want fpr_1e-2 or fpr_1e-3", t.Name))
			continue
		case t.Margin == nil:
			errs = append(errs, fmt.Errorf("%s: no margin", t.Name))
			continue
		case twice:
			errs = append(errs, fmt.Errorf("%s comes twice", t.Name))
		case t.Verdict != v.String():
			errs = append(errs, fmt.Errorf("%s: verdict %q, want %q", t.Name, t.Verdict, v))
		case t.Target <= 0 || t.Target > 1 || t.Certified < 0 || t.Certified > 1:
			errs = append(errs, fmt.Errorf("%s: target %v and certified %v must be rates", t.Name, t.Target, t.Certified))
		case t.N < 1 || t.FalsePositives < 0 || t.FalsePositives > t.N:
			errs = append(errs, fmt.Errorf("%s: %d false positives in %d flows", t.Name, t.FalsePositives, t.N))
		}
		byVerdict[v] = Threshold{t.Name, v, t.Target, *t.Margin, t.Certified, t.N, t.FalsePositives, t.Note}
	}
	mal, hasMal := byVerdict[record.Malicious]
	sus, hasSus := byVerdict[record.Suspicious]
	if !hasMal || !hasSus {
		errs = append(errs, errors.New("fpr_1e-2 and fpr_1e-3 are both needed"))
	} else if mal.Margin < sus.Margin {
		errs = append(errs, fmt.Errorf("malicious from margin %v, below suspicious from %v", mal.Margin, sus.Margin))
	}
	if file.Site != nil {
		errs = append(errs, file.Site.validate())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return []Threshold{mal, sus}, file.Site, nil
}
