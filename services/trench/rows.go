package main

import (
	"fmt"
	"math"
	"strconv"

	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/service"
)

// scoredRow is a row of trench features with the score of its vector.
type scoredRow struct {
	label, family, source, client string
	ts                            int64 // nanoseconds
	score                         model.Score
}

// rowBatch is how many vectors are scored at a time.
const rowBatch = 64

// scoreRows calls each for every row of a Parquet file that trench features wrote, in order. Rows without
// a ClientHello have no score, as in the services; rows of thin evidence have one, for a vector does not tell.
func scoreRows(path string, b *model.Bundle, schema *features.Schema, each func(scoredRow) error) error {
	in, err := export.OpenVectors(path, b.Features())
	if err != nil {
		return &exitError{service.ExitInput, err}
	}
	defer in.Close()
	if err := schema.Reads([]byte(in.Schema), b.Features()); err != nil {
		return &exitError{service.ExitInput, fmt.Errorf("%s: %w", path, err)}
	}
	names, scorer := schema.Names(), b.NewScorer()
	hello, known := schema.Index("ch_len")
	var scores []model.Score
	rows, vectors, buffer := make([]scoredRow, 0, rowBatch), make([][]float32, rowBatch), make([]float32, rowBatch*len(names))
	for i := range vectors {
		vectors[i] = buffer[i*len(names):][:len(names):len(names)]
	}
	flush := func() error {
		scores = scorer.Score(scores[:0], vectors[:len(rows)])
		for i, r := range rows {
			r.score = scores[i]
			if known && math.IsNaN(float64(vectors[i][hello])) {
				r.score = model.Score{Margin: math.NaN(), Probability: math.NaN()}
			}
			if err := each(r); err != nil {
				return err
			}
		}
		rows = rows[:0]
		return nil
	}
	err = in.Each(names, func(get func(string) string, vector []float32) error {
		ts, err := strconv.ParseInt(get("ts"), 10, 64)
		if err != nil {
			return fmt.Errorf("ts: %w", err)
		}
		copy(vectors[len(rows)], vector)
		rows = append(rows, scoredRow{label: get("label"), family: get("family"), source: get("source_repo"), client: get("client_ip"), ts: ts})
		if len(rows) == rowBatch {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
