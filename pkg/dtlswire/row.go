package dtlswire

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// messages appends the handshake messages to the row.
func (r *Reassembler) messages(dst []byte) []byte {
	slices.SortFunc(r.fragments, func(a, b fragment) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.off, b.off), cmp.Compare(a.at, b.at))
	})
	var cut []fragment
	expected := 0
	for rest := r.fragments; len(rest) > 0; {
		seq, n := rest[0].seq, 1
		for n < len(rest) && rest[n].seq == seq {
			n++
		}
		m, whole := r.settle(rest[:n])
		rest = rest[n:]
		if int(seq) != expected || !whole {
			r.missing = true
		}
		expected = int(seq) + 1
		switch {
		case whole:
			dst = r.message(dst, m)
		case cut == nil && len(m) > 0:
			cut = m
		}
	}
	if cut != nil {
		dst = r.message(dst, cut)
	}
	return dst
}

// settle turns the sorted fragments of one message into pieces that follow each
// other from its beginning, up to the first gap. Of bytes that came twice the
// copy that begins earlier in the message, or else came first, is kept. Where
// fragments disagree on the message, the one that came first is right.
func (r *Reassembler) settle(fs []fragment) (pieces []fragment, whole bool) {
	first := slices.MinFunc(fs, func(a, b fragment) int { return cmp.Compare(a.at, b.at) })
	have := 0
	pieces = fs[:0]
	for _, f := range fs {
		end := f.off + f.n
		switch {
		case f.typ != first.typ || f.length != first.length:
			r.missing = true
		case f.off > have: // a gap, and so it is for all that follow
		case end > have || len(pieces) == 0:
			pieces = append(pieces, fragment{
				typ: f.typ, seq: f.seq, length: f.length, off: have, n: end - have, at: f.at + have - f.off,
			})
			have = end
		}
	}
	return pieces, len(pieces) > 0 && have == first.length
}

// message appends one message, in as many records as it needs.
func (r *Reassembler) message(dst []byte, pieces []fragment) []byte {
	dst, body := beginRecord(dst, RecordHandshake)
	n := pieces[0].length
	dst = append(dst, pieces[0].typ, byte(n>>16), byte(n>>8), byte(n))
	for _, p := range pieces {
		for b := r.in[p.at : p.at+p.n]; len(b) > 0; {
			if len(dst)-body == maxPlaintext {
				endRecord(dst, body)
				dst, body = beginRecord(dst, RecordHandshake)
			}
			n := min(maxPlaintext-(len(dst)-body), len(b))
			dst = append(dst, b[:n]...)
			b = b[n:]
		}
	}
	endRecord(dst, body)
	return dst
}

// rest appends the records that hold no message in clear. What is encrypted is
// told by the ChangeCipherSpec before it, so without one it is left out.
func (r *Reassembler) rest(dst []byte) []byte {
	dst = r.copies(dst, RecordAlert, false)
	i := slices.IndexFunc(r.others, func(o other) bool { return o.typ == RecordChangeCipherSpec && !o.encrypted })
	if i < 0 {
		if slices.ContainsFunc(r.others, func(o other) bool { return o.encrypted }) {
			r.missing = true
		}
		return dst
	}
	dst = r.copy(dst, r.others[i])
	if i = slices.IndexFunc(r.others, func(o other) bool { return o.typ == RecordHandshake }); i >= 0 {
		dst = r.copy(dst, r.others[i])
	}
	return r.copies(dst, RecordAlert, true)
}

func (r *Reassembler) copies(dst []byte, typ uint8, encrypted bool) []byte {
	for _, o := range r.others {
		if o.typ == typ && o.encrypted == encrypted {
			dst = r.copy(dst, o)
		}
	}
	return dst
}

func (r *Reassembler) copy(dst []byte, o other) []byte {
	dst, body := beginRecord(dst, o.typ)
	dst = append(dst, r.in[o.at:o.at+o.n]...)
	endRecord(dst, body)
	return dst
}

// beginRecord appends the header of a record that endRecord gives its length.
func beginRecord(dst []byte, typ uint8) (_ []byte, body int) {
	dst = append(dst, typ, 3, 3, 0, 0)
	return dst, len(dst)
}

func endRecord(dst []byte, body int) {
	binary.BigEndian.PutUint16(dst[body-2:], uint16(len(dst)-body))
}
