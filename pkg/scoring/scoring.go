// Package scoring is the stage that turns rows with feature vectors into rows
// with verdicts: it decides what may be scored, asks the model, and adds the
// reasons of what crosses a threshold.
package scoring

import (
	"math"

	"trench/pkg/model"
	"trench/pkg/record"
)

// MaxReasons is how many reasons a row carries at most.
const MaxReasons = 5

// Why a row has no score.
const (
	NoteNoModel = "no model was loaded"
	NoteNotTLS  = "not a TLS flow"
	NoteNoHello = "no ClientHello seen"
	NoteWidth   = "feature vector does not fit the schema of this version"
)

// Stage scores rows with one bundle. It is not safe for concurrent use.
type Stage struct {
	bundle  *model.Bundle
	scorer  *model.Scorer
	width   int
	hello   int // index of a column that is known when a ClientHello was seen, -1 when the schema has none
	vectors [][]float32
	scored  []*record.Record
	scores  []model.Score
}

// Schema is what the stage needs of the feature schema.
type Schema interface {
	Names() []string
	Index(name string) (int, bool)
}

// New returns a stage. Without a bundle every row stays unscored.
func New(b *model.Bundle, s Schema) *Stage {
	st := &Stage{bundle: b, width: len(s.Names()), hello: -1}
	if i, ok := s.Index("ch_len"); ok {
		st.hello = i
	}
	if b != nil {
		st.scorer = b.NewScorer()
	}
	return st
}

// Process fills the scoring columns of every row.
func (s *Stage) Process(rows []*record.Record) {
	s.vectors, s.scored = s.vectors[:0], s.scored[:0]
	for _, r := range rows {
		r.Score, r.Margin, r.Verdict, r.Reasons = math.NaN(), math.NaN(), record.Unscored, r.Reasons[:0]
		if r.VerdictNote = s.unscorable(r); r.VerdictNote == "" {
			s.vectors, s.scored = append(s.vectors, r.Vector), append(s.scored, r)
		}
	}
	if len(s.scored) == 0 {
		return
	}
	s.scores = s.scorer.Score(s.scores[:0], s.vectors)
	for i, r := range s.scored {
		sc := &s.scores[i]
		r.Score, r.Margin, r.Verdict = sc.Probability, sc.Margin, sc.Verdict
		r.ModelID, r.SchemaHash = s.bundle.ID(), s.bundle.Hash()
		if r.Verdict >= record.Suspicious {
			r.Reasons = append(r.Reasons, s.scorer.Explain(r.Vector, MaxReasons)...)
		}
	}
}

// unscorable returns why a row cannot be scored, or nothing.
func (s *Stage) unscorable(r *record.Record) string {
	switch {
	case len(r.Vector) == 0:
		return NoteNotTLS
	case len(r.Vector) != s.width:
		return NoteWidth
	case s.hello >= 0 && math.IsNaN(float64(r.Vector[s.hello])):
		return NoteNoHello
	case s.bundle == nil:
		return NoteNoModel
	}
	return ""
}
