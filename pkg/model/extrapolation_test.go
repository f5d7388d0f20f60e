package model

import (
	"encoding/json"
	"math"
	"testing"
	"testing/fstest"
)

// trainedOn gives every column of the fixture the range from min to max, a
// missing value allowed, and then changes it.
func trainedOn(t testing.TB, change func(file map[string]any)) fstest.MapFS {
	t.Helper()
	m := fixture(t)
	var file map[string]any
	if err := json.Unmarshal(m[referenceFile].Data, &file); err != nil {
		t.Fatal(err)
	}
	for _, f := range file["features"].(map[string]any) {
		f.(map[string]any)["train"] = map[string]any{"min": -2, "max": 3, "nan": true}
	}
	file["extrapolation"] = map[string]any{"limit": 2}
	change(file)
	raw, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	m[referenceFile].Data = raw
	sign(m)
	return m
}

func feature(file map[string]any, name string) map[string]any {
	return file["features"].(map[string]any)[name].(map[string]any)
}

func TestRowsOutsideOfTrainingAreMarked(t *testing.T) {
	t.Parallel()
	b, err := Load(trainedOn(t, func(file map[string]any) {
		feature(file, "ct_age_days")["train"] = map[string]any{"min": 0, "max": 1000, "nan": false}
		feature(file, "sn_len")["train"] = map[string]any{"min": nil, "max": nil, "nan": true}
		feature(file, "rc_app_by_c")["train"] = map[string]any{"min": 16777.21, "max": 16777.22, "nan": true}
	}), newSchema(t))
	if err != nil {
		t.Fatal(err)
	}
	within := map[string]float32{"ct_age_days": 5, "rc_app_by_c": 16777.2151}
	for _, c := range []struct {
		set  map[string]float32
		n    int
		note string
	}{
		{nil, 0, ""},
		{map[string]float32{"ct_key_bits": -2, "ct_san_n": 3, "rc_app_by_c": 16777.2199}, 0, ""}, // the ends belong to it, and lost digits do not count
		{map[string]float32{"ct_key_bits": 4096, "ct_san_n": -3}, 2, ""},
		{map[string]float32{"ch_len": 1e9, "fl_by_c": -1}, 0, ""}, // not columns of the model
		{map[string]float32{"ct_key_bits": 4096, "ct_san_n": -3, "ct_age_days": 1100}, 3,
			"extrapolation: 3 columns outside the training range (ct_key_bits 4,096, ct_san_n -3, ct_age_days 1,100)"},
		{map[string]float32{"ct_key_bits": 4096, "ct_san_n": -3, "ct_age_days": float32(math.NaN()), "sn_len": 4}, 4,
			"extrapolation: 4 columns outside the training range (ct_key_bits 4,096, ct_san_n -3, ct_age_days missing, …)"},
		{map[string]float32{"ct_key_bits": float32(math.Inf(1)), "ct_san_n": -3, "sn_len": 0}, 3,
			"extrapolation: 3 columns outside the training range (ct_key_bits +Inf, ct_san_n -3, sn_len 0)"},
	} {
		set := map[string]float32{}
		for _, m := range []map[string]float32{within, c.set} {
			for k, v := range m {
				set[k] = v
			}
		}
		v := row(t, set).vector
		if n, note := b.Outside(v), b.Extrapolation(v); n != c.n || note != c.note {
			t.Errorf("%v: %d, %q\nwant %d, %q", c.set, n, note, c.n, c.note)
		}
	}
	if n := b.Outside(make([]float32, b.width-1)); n != 0 {
		t.Errorf("%d columns of a short vector", n)
	}
}

func TestBundlesWithoutRangesMarkNothing(t *testing.T) {
	t.Parallel()
	wild := row(t, map[string]float32{"ct_key_bits": 1e30, "ct_san_n": -1e30, "sn_len": 1e30}).vector
	for name, change := range map[string]func(file map[string]any){
		"no limit":          func(file map[string]any) { delete(file, "extrapolation") },
		"one without range": func(file map[string]any) { delete(feature(file, "sn_len"), "train") },
	} {
		b, err := Load(trainedOn(t, change), newSchema(t))
		if err != nil {
			t.Fatal(err)
		}
		if n, note := b.Outside(wild), b.Extrapolation(wild); n != 0 || note != "" {
			t.Errorf("%s: %d, %q", name, n, note)
		}
	}
}

func TestRangesOfTrainingMustBeRanges(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(file map[string]any){
		"reference.json: sn_len: range of training has no two ends in order":   func(file map[string]any) { feature(file, "sn_len")["train"] = map[string]any{"min": 2, "max": 1} },
		"reference.json: ct_san_n: range of training has no two ends in order": func(file map[string]any) { feature(file, "ct_san_n")["train"] = map[string]any{"max": 1} },
		"reference.json: extrapolation: limit is -1, want 0 to 16384":          func(file map[string]any) { file["extrapolation"] = map[string]any{"limit": -1} },
	} {
		if _, err := Load(trainedOn(t, change), newSchema(t)); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func BenchmarkOutside(b *testing.B) {
	m := &Bundle{width: 372, limit: 8}
	vector := make([]float32, 372)
	for i := range 294 {
		m.bounds = append(m.bounds, bound{column: int32(i), lo: -1, hi: 1, missing: i%2 == 0})
		if i%8 == 0 {
			vector[i] = float32(math.NaN())
		}
	}
	vector[7] = 9
	b.ReportAllocs()
	for b.Loop() {
		m.Outside(vector)
	}
}
