package quicwire

import "slices"

const (
	// maxStream bounds the handshake bytes that are kept of one side. A hello
	// has 200 to 4,000, with large post-quantum shares and ECH up to 12,000.
	maxStream = 64 << 10
	// maxSpans bounds the pieces between holes. Chrome sends up to some twenty.
	maxSpans = 256
)

// span is a range of offsets that were received.
type span struct{ from, to int }

// stream puts the pieces of the handshake in order: CRYPTO frames, or stream 1 of
// Google's versions. Pieces may come in any order, overlap and come again; of a
// byte that came twice the first one stands.
type stream struct {
	buf   []byte
	spans []span // sorted, apart from each other
}

func (s *stream) reset() { s.buf, s.spans = s.buf[:0], s.spans[:0] }

// add enters a piece and reports whether all of it could be kept.
func (s *stream) add(offset uint64, data []byte) bool {
	if offset > maxStream || len(data) > maxStream-int(offset) {
		return false
	}
	from, to := int(offset), int(offset)+len(data)
	if from == to {
		return true
	}
	first := 0 // of the spans that the piece touches
	for first < len(s.spans) && s.spans[first].to < from {
		first++
	}
	end := first
	for end < len(s.spans) && s.spans[end].from <= to {
		end++
	}
	if first == end && len(s.spans) >= maxSpans {
		return false
	}
	if to > len(s.buf) {
		s.buf = slices.Grow(s.buf, to-len(s.buf))[:to]
	}
	whole, next := span{from, to}, from
	for _, old := range s.spans[first:end] {
		if next < old.from {
			copy(s.buf[next:old.from], data[next-from:])
		}
		next = max(next, old.to)
		whole = span{min(whole.from, old.from), max(whole.to, old.to)}
	}
	if next < to {
		copy(s.buf[next:to], data[next-from:])
	}
	s.spans = slices.Replace(s.spans, first, end, whole)
	return true
}

// bytes returns what was received from the start of the stream up to the first
// hole.
func (s *stream) bytes() []byte {
	if len(s.spans) == 0 || s.spans[0].from > 0 {
		return nil
	}
	return s.first()
}

// first returns the first piece, wherever it begins.
func (s *stream) first() []byte {
	if len(s.spans) == 0 {
		return nil
	}
	return s.buf[s.spans[0].from:s.spans[0].to:s.spans[0].to]
}

// holes reports whether something is missing before the last piece.
func (s *stream) holes() bool {
	return len(s.spans) > 1 || len(s.spans) == 1 && s.spans[0].from > 0
}
