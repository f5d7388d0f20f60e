package model

import (
	"encoding/json"
	"fmt"
)

// reference is what training traffic shows in one column; a quantile is nil
// where the column was never observed in benign flows.
type reference struct {
	P01 *float64 `json:"p01"`
	P05 *float64 `json:"p05"`
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
	P99 *float64 `json:"p99"`
	NaN *float64 `json:"nan"` // share of benign flows without a value
	// Train is nil in bundles that were made before it was written.
	Train *trained `json:"train"`
}

// trained is what the rows of both classes show, on which the model was trained.
type trained struct {
	Min *float64 `json:"min"` // nil with Max where no row has a value
	Max *float64 `json:"max"`
	NaN bool     `json:"nan"` // some row has no value
}

// references is the content of reference.json.
type references struct {
	Features      map[string]reference `json:"features"`
	Score         json.RawMessage      `json:"score"`
	Extrapolation *struct {
		Limit int `json:"limit"` // columns outside of training that a row may have
	} `json:"extrapolation"`
}

func loadReference(data []byte) (*references, error) {
	var file references
	if err := decodeJSON(data, &file); err != nil {
		return nil, err
	}
	if n := len(file.Features); n == 0 || n > maxFeatures {
		return nil, fmt.Errorf("has %d features, want 1 to %d", n, maxFeatures)
	}
	for name, r := range file.Features {
		var last *float64
		for _, q := range []*float64{r.P01, r.P05, r.P50, r.P95, r.P99} {
			if q != nil && last != nil && *q < *last {
				return nil, fmt.Errorf("%s: quantiles fall from %v to %v", name, *last, *q)
			}
			if q != nil {
				last = q
			}
		}
		if r.NaN != nil && (*r.NaN < 0 || *r.NaN > 1) {
			return nil, fmt.Errorf("%s: share of missing values is %v", name, *r.NaN)
		}
		if t := r.Train; t != nil && ((t.Min == nil) != (t.Max == nil) || t.Min != nil && *t.Min > *t.Max) {
			return nil, fmt.Errorf("%s: range of training has no two ends in order", name)
		}
	}
	if e := file.Extrapolation; e != nil && (e.Limit < 0 || e.Limit > maxFeatures) {
		return nil, fmt.Errorf("extrapolation: limit is %d, want 0 to %d", e.Limit, maxFeatures)
	}
	return &file, nil
}

// usual is the range that nine in ten benign flows keep to.
func (r reference) usual() (lo, hi float64, ok bool) {
	if r.P05 == nil || r.P95 == nil {
		return 0, 0, false
	}
	return *r.P05, *r.P95, true
}
