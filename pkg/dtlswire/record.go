package dtlswire

import "encoding/binary"

// Content types of records.
const (
	RecordChangeCipherSpec = 20
	RecordAlert            = 21
	RecordHandshake        = 22
	RecordApplicationData  = 23
	RecordCID              = 25 // tls12_cid, encrypted (RFC 9146)
	recordACK              = 26 // of DTLS 1.3, in clear (RFC 9147 section 7)
)

const (
	// recordHeaderLen is the length of a header without connection id.
	recordHeaderLen = 13
	cidOffset       = 11
	// maxBody is the longest body that a record may declare: 2^14 bytes of content,
	// and 2048 for compression and protection (RFC 6347 section 4.1).
	maxBody = 1<<14 + 2048
	// maxCID is the longest connection id that is looked for. The format allows
	// 255 bytes; implementations use at most 32.
	maxCID = 32
	// maxEpoch is the highest epoch of a plausible record. Only renegotiation and
	// updates of keys raise it above 3.
	maxEpoch = 255
)

// Versions in the headers of records. DTLS 1.3 uses the one of 1.2.
const (
	version10         = 0xfeff
	version12         = 0xfefd
	versionBeforeDTLS = 0x0100 // OpenSSL 0.9.8 and VPN clients built on it
)

// record is one record. Its body ends early when the datagram does.
type record struct {
	typ       uint8
	version   uint16 // 0 in the unified header
	epoch     uint16 // modulo 4 in the unified header
	sequence  uint64 // what the header says of it
	headerLen int
	bodyLen   int // as declared
	body      []byte
}

// records takes records off the front of a datagram. The zero value of cid
// stands for a length that is not known yet.
type records struct {
	b   []byte
	cid int
}

// next returns the next record, false at the end and where no header is.
func (r *records) next() (rec record, ok bool) {
	if len(r.b) == 0 {
		return record{}, false
	}
	needsCID := r.b[0] == RecordCID || r.b[0]&0xf0 == 0x30
	if needsCID && r.cid == 0 {
		r.cid = guessCID(r.b)
	}
	if r.b[0]&0xe0 == 0x20 {
		rec, ok = unified(r.b, r.cid)
	} else {
		rec, ok = classic(r.b, r.cid)
	}
	if !ok {
		r.b = nil
		return record{}, false
	}
	rest := r.b[rec.headerLen:]
	n := min(rec.bodyLen, len(rest))
	rec.body = rest[:n:n]
	r.b = rest[n:]
	return rec, true
}

// classic reads a header of DTLS 1.0 and 1.2.
func classic(b []byte, cid int) (rec record, ok bool) {
	if b[0] != RecordCID {
		cid = 0
	}
	if len(b) < recordHeaderLen+cid || b[0] < RecordChangeCipherSpec || b[0] > recordACK {
		return record{}, false
	}
	rec = record{
		typ:       b[0],
		version:   binary.BigEndian.Uint16(b[1:]),
		epoch:     binary.BigEndian.Uint16(b[3:]),
		sequence:  binary.BigEndian.Uint64(b[3:]) & (1<<48 - 1),
		headerLen: recordHeaderLen + cid,
		bodyLen:   int(binary.BigEndian.Uint16(b[cidOffset+cid:])),
	}
	switch rec.version {
	case version10, version12, versionBeforeDTLS:
	default:
		return record{}, false
	}
	return rec, rec.bodyLen <= maxBody
}

// unified reads a header of DTLS 1.3.
func unified(b []byte, cid int) (rec record, ok bool) {
	n := 1
	if b[0]&0x10 != 0 {
		n += cid
	}
	sequenceAt := n
	n++
	if b[0]&0x08 != 0 {
		n++
	}
	lengthAt := n
	if b[0]&0x04 != 0 {
		n += 2
	}
	if len(b) < n {
		return record{}, false
	}
	rec = record{typ: RecordApplicationData, epoch: uint16(b[0] & 3), headerLen: n, bodyLen: len(b) - n}
	for _, c := range b[sequenceAt:lengthAt] {
		rec.sequence = rec.sequence<<8 | uint64(c)
	}
	if lengthAt < n {
		rec.bodyLen = int(binary.BigEndian.Uint16(b[lengthAt:]))
	}
	return rec, rec.bodyLen <= maxBody
}

// guessCID returns the least length of connection ids with which b is a row of
// whole records, or 1: then the body begins too early, and nothing reads it.
func guessCID(b []byte) int {
	for cid := 1; cid <= maxCID; cid++ {
		r := records{b: b, cid: cid}
		if r.whole() {
			return cid
		}
	}
	return 1
}

// whole reports whether the datagram ends with a record.
func (r *records) whole() bool {
	for len(r.b) > 0 {
		if rec, ok := r.next(); !ok || len(rec.body) < rec.bodyLen {
			return false
		}
	}
	return true
}

// plausible reports whether a record is one that a peer sends. What is in clear
// has to make sense; of what is encrypted only the length is known.
func (rec *record) plausible() bool {
	if len(rec.body) < rec.bodyLen || rec.bodyLen == 0 || rec.epoch > maxEpoch {
		return false
	}
	if rec.epoch != 0 {
		return true
	}
	switch rec.typ {
	case RecordChangeCipherSpec:
		return rec.body[0] == 1 && (rec.bodyLen == 1 || rec.bodyLen == 3 && rec.version == versionBeforeDTLS)
	case RecordAlert:
		return rec.bodyLen == 2 && (rec.body[0] == 1 || rec.body[0] == 2)
	case RecordHandshake:
		f, ok := fragmentHeader(rec.body)
		return ok && f.off+f.n <= f.length && fragmentHeaderLen+f.n <= rec.bodyLen
	case recordACK:
		return rec.bodyLen >= 2 && int(binary.BigEndian.Uint16(rec.body)) == rec.bodyLen-2
	}
	return rec.version == 0 // epochs are known modulo 4 in the unified header
}

// LooksLikeRecord reports whether b, the whole payload of a datagram, is a row
// of plausible DTLS records that fill it, and returns what the first one's header says. The
// first one must have a header that names a version of DTLS: the unified header
// of DTLS 1.3 says too little to tell it from other protocols.
func LooksLikeRecord(b []byte) (headerLen, bodyLen int, typ uint8, ok bool) {
	r := records{b: b}
	first, ok := r.next()
	if !ok || first.version == 0 || !first.plausible() {
		return 0, 0, 0, false
	}
	for len(r.b) > 0 {
		if rec, ok := r.next(); !ok || !rec.plausible() {
			return 0, 0, 0, false
		}
	}
	return first.headerLen, first.bodyLen, first.typ, true
}

// Walk calls visit with the records of one datagram, in order, up to what is no
// record. body aliases datagram and ends where it ends. Encrypted records of
// DTLS 1.3 have type RecordApplicationData, whatever is inside, and their epoch modulo 4:
// 1 is early data, 2 the handshake, and 3 and 0 are the traffic.
func Walk(datagram []byte, visit func(typ uint8, epoch uint16, body []byte)) {
	r := records{b: datagram}
	for {
		rec, ok := r.next()
		if !ok {
			return
		}
		visit(rec.typ, rec.epoch, rec.body)
	}
}
