package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"trench/pkg/record"
)

// Fields of Features and Verdict that have the same number in both, and those whose
// numbers differ.
const (
	rowField    = 1
	vectorField = 2 // of version 0.0
	valuesField = 10

	featuresSchema = 3
	verdictScore   = 3
	verdictSchema  = 8
	verdictLast    = 9 // up to here numbers of Verdict are reserved in Features
)

// MarshalFeatures appends r's Features message to dst: everything but what
// scoring finds out (score, margin, verdict, model_id, reasons and shadow). On error dst
// is returned as it was.
func MarshalFeatures(dst []byte, r *record.Record) ([]byte, error) {
	w := writer{b: slices.Grow(dst, rowRoom(r))}
	w.row(r)
	w.string(featuresSchema, r.VectorSchema)
	w.values(valuesField, r.Vector)
	return w.finish(dst, "features")
}

// UnmarshalFeatures resets r and fills it with what b says; score and margin are NaN.
// Strings of r alias b, which must not be written to afterwards.
func UnmarshalFeatures(b []byte, r *record.Record) error {
	if err := checkSize(b, "features"); err != nil {
		return err
	}
	x := newRowReader(b, r)
	r.Score, r.Margin = math.NaN(), math.NaN()
	for in := (fields{b: b, check: x.check}); in.next(); {
		switch in.tag {
		case featuresSchema<<3 | length:
			r.VectorSchema = in.string()
		default:
			x.shared(&in)
		}
	}
	x.end()
	return x.wrap("features")
}

// shared reads a field that Features and Verdict have both, or skips it.
func (x *rowReader) shared(in *fields) {
	switch in.tag {
	case rowField<<3 | length:
		x.row(in)
	case vectorField<<3 | length, vectorField<<3 | fixed32:
		x.floats(in)
	case valuesField<<3 | length:
		x.vector = in.bytes()
	default:
		in.skip()
	}
}

// floats reads a vector as version 0.0 wrote it.
func (x *rowReader) floats(in *fields) {
	b := in.fixed(4)
	if !in.fits("vector", len(x.r.Vector)+len(b)/4, MaxVector) {
		return
	}
	x.r.Vector = slices.Grow(x.r.Vector, len(b)/4)
	for ; len(b) > 0; b = b[4:] {
		x.r.Vector = append(x.r.Vector, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
}

// MarshalVerdict appends r's Verdict message, all of r, to dst. On error dst is
// returned as it was.
func MarshalVerdict(dst []byte, r *record.Record) ([]byte, error) {
	w := writer{b: slices.Grow(dst, rowRoom(r))}
	w.row(r)
	w.scored(r)
	w.string(verdictSchema, r.VectorSchema)
	w.shadow(r.Shadow)
	w.values(valuesField, r.Vector)
	return w.finish(dst, "verdict")
}

// MarshalScored appends a Verdict message to dst: the row and the vector are those
// of a Features message, as they are there and with every field that this version
// does not know, and what scoring finds out is r's. On error dst is returned as it was.
func MarshalScored(dst, features []byte, r *record.Record) ([]byte, error) {
	w := writer{b: slices.Grow(dst, len(features)+128+len(r.ModelID)+len(r.VerdictNote)+len(r.SchemaHash)+160*len(r.Reasons)+96*len(r.Shadow))}
	for b := features; len(b) > 0; {
		num, typ, head := protowire.ConsumeTag(b)
		if head < 0 {
			return dst, fmt.Errorf("features: %w: %w", ErrMalformed, protowire.ParseError(head))
		}
		n := protowire.ConsumeFieldValue(num, typ, b[head:])
		if n < 0 {
			return dst, fmt.Errorf("features: %w: %w", ErrMalformed, protowire.ParseError(n))
		}
		field, value := b[:head+n], b[head:head+n]
		b = b[head+n:]
		switch {
		case num == featuresSchema && typ == length:
			w.key(verdictSchema, length)
			w.b = append(w.b, value...)
		case num >= verdictScore && num <= verdictLast: // would be scoring's in a Verdict
		default:
			w.b = append(w.b, field...)
		}
	}
	// The second part of the row: even what is empty counts.
	at := w.open(rowField)
	w.always(rowVerdictNote, r.VerdictNote)
	w.always(rowSchemaHash, r.SchemaHash)
	w.close(at)
	w.scored(r)
	w.shadow(r.Shadow)
	return w.finish(dst, "verdict")
}

func (w *writer) scored(r *record.Record) {
	w.double(verdictScore, r.Score)
	w.double(4, r.Margin)
	w.uint(5, uint64(r.Verdict))
	w.string(6, r.ModelID)
	if !w.fits("reasons", len(r.Reasons), MaxList) {
		return
	}
	for i := range r.Reasons {
		s := &r.Reasons[i]
		at := w.open(7)
		w.string(1, s.Code)
		w.string(2, s.Text)
		w.double(3, s.Value)
		w.double(4, s.Contribution)
		w.string(5, s.Attack)
		w.string(6, s.Feature)
		if u := s.Usual; u != nil {
			w.key(7, length)
			w.b = append(w.b, 16)
			w.b = protowire.AppendFixed64(w.b, math.Float64bits(u.Low))
			w.b = protowire.AppendFixed64(w.b, math.Float64bits(u.High))
		}
		w.close(at)
	}
}

func (w *writer) shadow(shadow []record.Shadow) {
	if !w.fits("shadow", len(shadow), MaxList) {
		return
	}
	for i := range shadow {
		s := &shadow[i]
		at := w.open(9)
		w.string(1, s.ModelID)
		w.double(2, s.Margin)
		w.double(3, s.Score)
		w.uint(4, uint64(s.Verdict))
		w.close(at)
	}
}

// UnmarshalVerdict resets r and fills it with what b says. Strings of r alias b, which
// must not be written to afterwards. A level that this version does not know is
// Unscored, and the note says so.
func UnmarshalVerdict(b []byte, r *record.Record) error {
	if err := checkSize(b, "verdict"); err != nil {
		return err
	}
	x := newRowReader(b, r)
	level := int32(0)
	for in := (fields{b: b, check: x.check}); in.next(); {
		switch in.tag {
		case verdictScore<<3 | fixed64:
			r.Score = in.double()
		case 4<<3 | fixed64:
			r.Margin = in.double()
		case 5<<3 | varint:
			level = int32(in.varint())
		case 6<<3 | length:
			r.ModelID = in.string()
		case 7<<3 | length:
			r.Reasons = reason(&in, r.Reasons)
		case verdictSchema<<3 | length:
			r.VectorSchema = in.string()
		case 9<<3 | length:
			r.Shadow = shadow(&in, r.Shadow)
		default:
			x.shared(&in)
		}
	}
	x.end()
	var known bool
	if r.Verdict, known = verdict(level); !known {
		note := fmt.Sprintf("the verdict is level %d of a later version", level)
		if r.VerdictNote != "" {
			note = r.VerdictNote + "; " + note
		}
		r.VerdictNote = note
	}
	return x.wrap("verdict")
}

// verdict returns the verdict of a level, Unscored for one that has no name here.
func verdict(level int32) (v record.Verdict, known bool) {
	if level < 0 || level > int32(record.Malicious) {
		return record.Unscored, false
	}
	return record.Verdict(level), true
}

func reason(outer *fields, reasons []record.Reason) []record.Reason {
	s := one(outer, "reasons", &reasons)
	if s == nil {
		return reasons
	}
	var usual [2]float64
	n := 0
	for in := outer.message(); in.next(); {
		switch in.tag {
		case 1<<3 | length:
			s.Code = in.string()
		case 2<<3 | length:
			s.Text = in.string()
		case 3<<3 | fixed64:
			s.Value = in.double()
		case 4<<3 | fixed64:
			s.Contribution = in.double()
		case 5<<3 | length:
			s.Attack = in.string()
		case 6<<3 | length:
			s.Feature = in.string()
		case 7<<3 | length, 7<<3 | fixed64:
			for b := in.fixed(8); len(b) > 0; b = b[8:] {
				usual[min(n, 1)] = math.Float64frombits(binary.LittleEndian.Uint64(b))
				n++
			}
		default:
			in.skip()
		}
	}
	switch n {
	case 0:
	case 2:
		s.Usual = &record.Range{Low: usual[0], High: usual[1]}
	default:
		outer.fail("reasons.usual", "has %d values, want none or 2", n)
	}
	return reasons
}

func shadow(outer *fields, models []record.Shadow) []record.Shadow {
	s := one(outer, "shadow", &models)
	if s == nil {
		return models
	}
	for in := outer.message(); in.next(); {
		switch in.tag {
		case 1<<3 | length:
			s.ModelID = in.string()
		case 2<<3 | fixed64:
			s.Margin = in.double()
		case 3<<3 | fixed64:
			s.Score = in.double()
		case 4<<3 | varint:
			s.Verdict, _ = verdict(int32(in.varint()))
		default:
			in.skip()
		}
	}
	return models
}
