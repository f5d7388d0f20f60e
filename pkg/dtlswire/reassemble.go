package dtlswire

import "encoding/binary"

const (
	fragmentHeaderLen = 12
	// maxPlaintext is the most that a record of TLS holds (RFC 8446 section 5.1).
	maxPlaintext = 1 << 14
	// maxFragments bounds the fragments, and maxOthers the other records, of one
	// direction that are kept. A handshake has a few dozens.
	maxFragments = 4096
	maxOthers    = 256
)

// Reassembler turns datagrams into TLS records. The zero value is ready; it
// keeps its memory from one use to the next.
type Reassembler struct {
	in        []byte // the datagrams, while Records runs
	fragments []fragment
	others    []other
	missing   bool // a message, a part of it or the ChangeCipherSpec, or a record is cut or broken
}

// fragment is one fragment of a handshake message in clear.
type fragment struct {
	typ    uint8
	seq    uint16 // message_seq
	length int    // of the message
	off, n int    // its part of the message
	at     int    // where it begins in the datagrams
}

// other is a record of another kind that goes into the row: an alert, a
// ChangeCipherSpec, or an encrypted one.
type other struct {
	typ       uint8
	encrypted bool
	at, n     int
}

// fragmentHeader reads the header of a fragment.
func fragmentHeader(b []byte) (f fragment, ok bool) {
	if len(b) < fragmentHeaderLen {
		return fragment{}, false
	}
	return fragment{
		typ: b[0], length: uint24(b[1:]), seq: binary.BigEndian.Uint16(b[4:]), off: uint24(b[6:]), n: uint24(b[9:]),
	}, true
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

// Records appends to dst the row of TLS records (RFC 8446 section 5.1, version 0x0303) that says the
// same as the datagrams of one direction, each of which stands behind its
// length (2 bytes, big endian). The row holds, in this order:
//
//   - the handshake messages in clear, each once, in the order of message_seq,
//     with the 4-byte header of TLS and the body as sent: versions count down, a ClientHello has its
//     cookie, HelloVerifyRequest is message 3. Of the messages that are not
//     whole the first one that begins is there as far as it goes, after the
//     others: its header declares more than follows
//   - the alerts in clear
//   - the ChangeCipherSpec, and what came encrypted after it: one handshake record, the
//     Finished, and the alerts
//
// Application data, heartbeats and the records that only DTLS 1.3 has are left
// out. The row is never longer than the datagrams. It is incomplete when a message,
// a part of one or the ChangeCipherSpec is missing, or a record is cut or broken.
func (r *Reassembler) Records(dst, datagrams []byte) (records []byte, incomplete bool) {
	r.in = datagrams
	r.fragments, r.others = r.fragments[:0], r.others[:0]
	r.missing = false
	for at := 0; at < len(datagrams); {
		if len(datagrams)-at < 2 {
			r.missing = true
			break
		}
		n := int(binary.BigEndian.Uint16(datagrams[at:]))
		at += 2
		if n > len(datagrams)-at {
			r.missing = true
			n = len(datagrams) - at
		}
		r.datagram(at, n)
		at += n
	}
	dst = r.messages(dst)
	dst = r.rest(dst)
	r.in = nil
	return dst, r.missing
}

// datagram notes what is in the n bytes at at.
func (r *Reassembler) datagram(at, n int) {
	rs := records{b: r.in[at : at+n]}
	for len(rs.b) > 0 {
		rec, ok := rs.next()
		if !ok {
			r.missing = true
			return
		}
		if len(rec.body) < rec.bodyLen {
			r.missing = true
		}
		r.record(&rec, at+n-len(rs.b)-len(rec.body))
	}
}

// record notes one record, whose body is at at.
func (r *Reassembler) record(rec *record, at int) {
	encrypted := rec.epoch != 0 || rec.typ == RecordCID || rec.version == 0
	typ := rec.typ
	switch typ {
	case RecordHandshake:
		if !encrypted {
			r.handshake(rec.body, at)
			return
		}
	case RecordCID:
		// The type is inside. The first record of an epoch is the Finished.
		if rec.epoch != 1 || rec.sequence != 0 {
			return
		}
		typ = RecordHandshake
	case RecordAlert, RecordChangeCipherSpec:
	default:
		return
	}
	if len(r.others) == maxOthers {
		r.missing = true
		return
	}
	r.others = append(r.others, other{typ: typ, encrypted: encrypted, at: at, n: len(rec.body)})
}

// handshake notes the fragments of a handshake record in clear.
func (r *Reassembler) handshake(b []byte, at int) {
	for len(b) > 0 {
		f, ok := fragmentHeader(b)
		if !ok || len(r.fragments) == maxFragments {
			r.missing = true
			return
		}
		b, at = b[fragmentHeaderLen:], at+fragmentHeaderLen
		next := f.n
		f.at = at
		if f.n > len(b) || f.off+f.n > f.length { // cut, or broken
			r.missing = true
			next = min(f.n, len(b))
			f.n = min(next, f.length-f.off)
		}
		if f.n >= 0 {
			r.fragments = append(r.fragments, f)
		}
		b, at = b[next:], at+next
	}
}
