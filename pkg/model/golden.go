package model

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Every golden file has at least minGolden rows: fewer prove too little.
const minGolden = 32

// checkGolden scores the rows of golden.tsv on the way that live vectors take
// and by leaves, and asks both for LightGBM's margins, bit for bit.
func (b *Bundle) checkGolden(data []byte, reference *engine) error {
	n := len(b.columns)
	s := b.NewScorer()
	vector := make([]float32, b.width)
	for i := range vector {
		vector[i] = float32(math.NaN())
	}
	row := 0 // the header is line 1, row 1 is line 2
	for line := range bytes.Lines(data) {
		text, ok := strings.CutSuffix(string(line), "\n")
		if !ok {
			return fmt.Errorf("row %d is cut off", row)
		}
		cells := strings.Split(text, "\t")
		if len(cells) != n+1 {
			return fmt.Errorf("row %d has %d cells, want %d", row, len(cells), n+1)
		}
		if row == 0 {
			if err := sameNames(cells, append(b.schema.names(), "margin")); err != nil {
				return fmt.Errorf("header: %w", err)
			}
			row++
			continue
		}
		for i, c := range cells[:n] {
			v, err := strconv.ParseFloat(c, 32)
			if err != nil {
				return fmt.Errorf("row %d, %s: %w", row, b.schema.Features[i].Name, err)
			}
			vector[b.columns[i]] = float32(v)
		}
		want, err := strconv.ParseFloat(cells[n], 64)
		if err != nil {
			return fmt.Errorf("row %d, margin: %w", row, err)
		}
		if got := s.margin(vector); got != want {
			return fmt.Errorf("row %d: margin is %.17g, want %.17g", row, got, want)
		}
		if got := reference.margin(b.columns, vector); got != want {
			return fmt.Errorf("row %d: margin by leaves is %.17g, want %.17g", row, got, want)
		}
		row++
	}
	if row-1 < minGolden {
		return fmt.Errorf("has %d rows, want at least %d", max(row-1, 0), minGolden)
	}
	return nil
}
