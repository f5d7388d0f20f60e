package model

import (
	"encoding/json"
	"fmt"
)

// reference is what benign training traffic shows in one column; a quantile is
// nil where the column was never observed.
type reference struct {
	P01 *float64 `json:"p01"`
	P05 *float64 `json:"p05"`
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
	P99 *float64 `json:"p99"`
	NaN *float64 `json:"nan"` // share of flows without a value
}

func loadReference(data []byte) (map[string]reference, error) {
	var file struct {
		Features map[string]reference `json:"features"`
		Score    json.RawMessage      `json:"score"`
	}
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
	}
	return file.Features, nil
}

// usual is the range that nine in ten benign flows keep to.
func (r reference) usual() (lo, hi float64, ok bool) {
	if r.P05 == nil || r.P95 == nil {
		return 0, 0, false
	}
	return *r.P05, *r.P95, true
}
