// Package scoring is the stage that turns rows with feature vectors into rows
// with verdicts: it decides what may be scored, asks the model and its shadows,
// adds the reasons of what crosses a threshold, and lets allow and deny lists
// overrule all of it.
//
//	row ─► can it be scored? ─► model ─► is the evidence enough? ─► lists ─► verdict
//	        no: unscored                 no: an alert, or unscored
//
// Evidence is thin when a side sent nothing, a part of the handshake in clear is
// missing, or the handshake only failed. A model can know such a flow by its
// ClientHello, and a dead server is what malware often calls, so an alert stands
// (docs/policy.md has the counts). But what was not seen speaks for nobody: a thin row
// is never benign.
//
// Beside the stage, an Evaluation compares scores with labels, and a Calibrator moves
// thresholds to the benign traffic of a site.
package scoring

import (
	"math"
	"slices"
	"time"

	"trench/pkg/model"
	"trench/pkg/policy"
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
	NoteSchema  = "feature vector is of another schema than the model was checked against"
	NoteBeyond  = "the model does not cover this protocol"
)

// Why the evidence is thin. A row that has a verdict all the same has the note too.
const (
	NoteNoAnswer   = "thin evidence: the server sent nothing"
	NoteNoClient   = "thin evidence: the client's side was not seen"
	NoteCut        = "thin evidence: the handshake is cut by the snap length"
	NoteGap        = "thin evidence: bytes of the handshake are missing"
	NoteIncomplete = "thin evidence: the handshake was not seen to its end"
	NoteFailed     = "thin evidence: the handshake failed"
)

// Stage scores rows with what a source serves. It is not safe for concurrent use.
type Stage struct {
	source  *Source
	using   *served
	scorer  *model.Scorer
	shadows []shadow
	width   int
	hash    string // of the schema
	hello   int    // index of a column that is known when a ClientHello was seen, -1 when the schema has none

	vectors [][]float32
	scored  []*record.Record
	thin    []string // why the evidence of each is thin
	scores  []model.Score
}

type shadow struct {
	bundle *model.Bundle
	scorer *model.Scorer
}

// Schema is what the stage needs of the feature schema.
type Schema interface {
	Names() []string
	Index(name string) (int, bool)
	// Whole is the hash over all columns.
	Whole() string
}

// NewStage returns a stage that scores with what the source serves.
func (src *Source) NewStage(s Schema) *Stage {
	st := &Stage{source: src, width: len(s.Names()), hash: s.Whole(), hello: -1}
	if i, ok := s.Index("ch_len"); ok {
		st.hello = i
	}
	return st
}

// use takes up what the source serves now.
func (s *Stage) use(now *served) {
	if s.using == now {
		return
	}
	s.using, s.scorer, s.shadows = now, nil, nil
	if now.bundle != nil {
		s.scorer = now.bundle.NewScorer()
	}
	for _, b := range now.shadows {
		if b != nil {
			s.shadows = append(s.shadows, shadow{b, b.NewScorer()})
		}
	}
}

// Process fills the scoring columns of every row. It returns how many of the flows
// that ended lists allowed and denied.
func (s *Stage) Process(rows []*record.Record) (allowed, denied uint64) {
	s.use(s.source.serving.Load())
	s.vectors, s.scored, s.thin = s.vectors[:0], s.scored[:0], s.thin[:0]
	for _, r := range rows {
		r.Score, r.Margin, r.Verdict = math.NaN(), math.NaN(), record.Unscored
		r.Reasons, r.Shadow = r.Reasons[:0], r.Shadow[:0]
		if r.VerdictNote = s.unscorable(r); r.VerdictNote == "" {
			s.vectors, s.scored, s.thin = append(s.vectors, r.Vector), append(s.scored, r), append(s.thin, thin(r))
		}
	}
	s.score()
	s.watch()
	if s.using.lists.Len() == 0 {
		return 0, 0
	}
	now := time.Now()
	for _, r := range rows {
		by := s.overrule(r, s.using.lists.Match(r, now))
		switch {
		case by == nil || !r.Final:
		case by.Effect == policy.Allow:
			allowed++
		default:
			denied++
		}
	}
	return allowed, denied
}

// score asks the model.
func (s *Stage) score() {
	if s.scorer == nil {
		for _, r := range s.scored {
			note(r, NoteNoModel)
		}
		return
	}
	s.scores = s.scorer.Score(s.scores[:0], s.vectors)
	for i, r := range s.scored {
		note(r, s.thin[i])
		sc := &s.scores[i]
		if !s.using.bundle.Covers(r.AppProto) {
			r.VerdictNote = NoteBeyond
			continue
		}
		if !stands(sc.Verdict, s.thin[i]) {
			continue
		}
		r.Score, r.Margin, r.Verdict = sc.Probability, sc.Margin, sc.Verdict
		r.ModelID, r.SchemaHash = s.using.bundle.ID(), s.using.bundle.Hash()
		note(r, s.using.bundle.Extrapolation(r.Vector))
		if r.Verdict >= record.Suspicious {
			r.Reasons = append(r.Reasons, s.scorer.Explain(r.Vector, MaxReasons)...)
		}
	}
}

// watch asks the shadow models, under the same rules.
func (s *Stage) watch() {
	for _, w := range s.shadows {
		s.scores = w.scorer.Score(s.scores[:0], s.vectors)
		for i, r := range s.scored {
			one := record.Shadow{ModelID: w.bundle.ID(), Margin: math.NaN(), Score: math.NaN(), Verdict: record.Unscored}
			if sc := &s.scores[i]; w.bundle.Covers(r.AppProto) && stands(sc.Verdict, s.thin[i]) {
				one.Margin, one.Score, one.Verdict = sc.Margin, sc.Probability, sc.Verdict
			}
			r.Shadow = append(r.Shadow, one)
		}
	}
}

// overrule gives a row the verdict of the lists, and returns the entry that decided.
// What the model said stays.
func (s *Stage) overrule(r *record.Record, m policy.Match) *policy.Entry {
	by := m.Deny
	switch {
	case m.Deny != nil:
		r.Verdict = record.Malicious
	case m.Allow != nil:
		by, r.Verdict = m.Allow, record.Benign
	default:
		return nil
	}
	s.source.metrics.decided(by)
	note(r, by.Note())
	if m.Deny != nil && m.Allow != nil {
		note(r, "outranks "+m.Allow.Note())
	}
	return by
}

// note adds to what a row says about its verdict.
func note(r *record.Record, text string) {
	switch {
	case text == "":
	case r.VerdictNote == "":
		r.VerdictNote = text
	default:
		r.VerdictNote += "; " + text
	}
}

// unscorable returns why a row cannot be scored, or nothing.
func (s *Stage) unscorable(r *record.Record) string {
	switch {
	case len(r.Vector) == 0:
		return NoteNotTLS
	case len(r.Vector) != s.width:
		return NoteWidth
	case r.VectorSchema != "" && r.VectorSchema != s.hash: // what came from before vectors named theirs is taken by its width
		return NoteSchema
	case s.hello >= 0 && math.IsNaN(float64(r.Vector[s.hello])):
		return NoteNoHello
	}
	return ""
}

// thin returns why a row's evidence is thin, or nothing.
func thin(r *record.Record) string {
	switch {
	case r.PayloadS2C == 0:
		return NoteNoAnswer
	case r.PayloadC2S == 0:
		return NoteNoClient
	case r.TLSIncomplete && r.Truncated:
		return NoteCut
	case r.TLSIncomplete && r.Gaps > 0:
		return NoteGap
	case r.TLSIncomplete:
		return NoteIncomplete
	case failed(r):
		return NoteFailed
	}
	return ""
}

// stands reports whether a verdict holds on the row's evidence.
func stands(v record.Verdict, thin string) bool { return thin == "" || v >= record.Suspicious }

// failed reports whether a side ended the handshake with an alert.
func failed(r *record.Record) bool {
	return !r.TLSEstablished && r.TLS != nil && slices.ContainsFunc(r.TLS.Alerts, func(a record.Alert) bool { return a.Level == "fatal" })
}
