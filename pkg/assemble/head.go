package assemble

import (
	"encoding/binary"

	"trench/pkg/flow"
	"trench/pkg/identify"
	"trench/pkg/sshwire"
	"trench/pkg/tlswire"
)

// headState says how far one side's first bytes have been understood.
type headState uint8

const (
	headOpen   headState = iota // too few bytes to tell a protocol
	headTLS                     // walking from record to record
	headLost                    // TLS: bytes are missing, waiting for the start of a record
	headHTTP                    // walking from header section to header section
	headSSH                     // keeping the banner and the key exchange's first message
	headRow                     // keeping messages behind their length: DNS
	headWatch                   // another protocol, which TLS may follow
	headClosed                  // nothing more is wanted
)

// head listens to one side of a stream: it recognises the protocol and keeps
// the bytes that later stages parse.
type head struct {
	state   headState
	partial uint8 // bytes of a record header that are there
	typ     uint8 // TLS: content type of the record being read
	full    bool  // nothing more is kept, since the limit
	hole    bool  // TLS: the rest of the record is not kept, since bytes of it are missing
	header  [tlswire.RecordHeaderLen]byte
	remain  uint32 // TLS: body bytes of the record that are to come; watching: bytes that will still be searched
	start   uint32 // where the record or the header section being read begins in kept
	kept    []byte
}

// add takes the next bytes of the stream.
func (h *head) add(c *conn, t *Table, side int, data []byte, time int64) {
	switch h.state {
	case headOpen:
		h.open(c, t, side, data, time)
	case headLost:
		if !tlswire.LooksLikeRecord(data) {
			return
		}
		h.state, h.remain, h.partial = headTLS, 0, 0
		h.walk(c, t, side, data, time)
	case headTLS:
		h.walk(c, t, side, data, time)
	case headHTTP:
		h.scan(c, t, side, data, time)
	case headSSH:
		h.keyExchange(t, data)
	case headRow:
		if !h.keep(t, data) {
			h.state = headClosed
		}
	case headWatch:
		h.watch(c, t, side, data, time)
	}
}

// openBytes is how many bytes of a side are waited for in any case: what tells the
// hellos of SSL 2.0.
const openBytes = 13

// open looks at the first bytes of a side.
func (h *head) open(c *conn, t *Table, side int, data []byte, time int64) {
	if len(h.kept) > 0 { // the first segments were very short
		if len(data) >= helloHead && looksLikeHello(data[:helloHead]) {
			t.forget(h)
			c.upgrade(t, helloSender(data), side)
			h.tls(c, t, side, data, time)
			return
		}
		h.keep(t, data)
		data = h.kept
	}
	app, from := identifyStream(data)
	if app == flow.AppUnknown && (len(data) < openBytes || identify.NeedsMore(data)) {
		if len(h.kept) == 0 {
			h.keep(t, data)
		}
		return
	}
	switch app {
	case flow.AppUnknown:
	case flow.AppTLS: // the other side may have begun with another protocol
		c.upgrade(t, from, side)
	default:
		c.recognise(t, app, from, side)
	}
	if len(h.kept) > 0 {
		data = append([]byte(nil), data...)
		h.kept = h.kept[:0]
	}
	switch app {
	case flow.AppTLS:
		h.tls(c, t, side, data, time)
	case flow.AppHTTP:
		h.state = headHTTP
		h.scan(c, t, side, data, time)
	case flow.AppSSH:
		h.state = headSSH
		h.keyExchange(t, data)
	case flow.AppDNS:
		h.state = headRow
		h.add(c, t, side, data, time)
	default:
		h.watchFor(t, upgradeBytes(app))
		h.watch(c, t, side, data, time)
	}
}

// tls begins to walk from record to record.
func (h *head) tls(c *conn, t *Table, side int, data []byte, time int64) {
	h.state, h.remain, h.start = headTLS, 0, 0
	n, ok := tlswire.SSLv2Hello(data)
	if !ok {
		n, ok = tlswire.SSLv2ServerHello(data)
	}
	if ok { // a record of its own kind, without the usual header
		h.typ, h.remain = tlswire.RecordHandshake, uint32(n)
		c.record(t, side, h.typ, uint16(n), time)
	}
	c.answerIn(t, 1-side)
	h.walk(c, t, side, data, time)
}

// skip notes that n bytes are missing. What is missing inside a record leaves
// the walk where it was; else it begins anew at the next record that starts a
// segment.
func (h *head) skip(t *Table, n int) {
	switch h.state {
	case headTLS, headLost:
		if h.typ != tlswire.RecordApplicationData {
			h.gap(t)
		}
		if h.state == headTLS && h.partial == 0 && uint32(n) <= h.remain {
			h.remain -= uint32(n)
			h.hole = true
		} else {
			h.state = headLost
		}
	case headOpen, headWatch: // what comes next may still show the protocol
		t.forget(h)
	default:
		h.state = headClosed
	}
}

// gap notes in the kept records that bytes are missing: the record that was being
// read ends here, and a header of type RecordGap follows it.
func (h *head) gap(t *Table) {
	if h.full || len(h.kept) == 0 {
		return
	}
	last := h.kept[h.start:]
	if len(last) >= tlswire.RecordHeaderLen && last[0] == tlswire.RecordGap {
		return
	}
	if h.remain > 0 && !h.hole && tlswire.LooksLikeRecord(last) {
		binary.BigEndian.PutUint16(last[3:], uint16(len(last)-tlswire.RecordHeaderLen))
	}
	h.start = uint32(len(h.kept))
	h.full = !h.keep(t, []byte{tlswire.RecordGap, 0, 0, 0, 0})
}

// keyExchange keeps an SSH side up to the end of its first key exchange message.
func (h *head) keyExchange(t *Table, data []byte) {
	fits := h.keep(t, data)
	n, done := sshwire.End(h.kept)
	if done || !fits {
		h.kept = h.kept[:min(n, len(h.kept))]
		h.state = headClosed
	}
}

// forget gives the kept bytes of a side back.
func (t *Table) forget(h *head) {
	t.giveBack(h.kept)
	h.kept = nil
}

// giveBack takes back bytes that were kept, whoever holds them now.
func (t *Table) giveBack(kept []byte) {
	t.kept -= cap(kept)
	t.pool.releaseBytes(kept)
}

// keep appends to the kept bytes up to the limit, and reports whether all fitted.
func (h *head) keep(t *Table, b []byte) bool {
	if n := t.cfg.HandshakeBytes - len(h.kept); n < len(b) {
		if h.reserve(t, n) {
			h.kept = append(h.kept, b[:n]...)
		}
		return false
	}
	if !h.reserve(t, len(b)) {
		return false
	}
	h.kept = append(h.kept, b...)
	return true
}

// reserve makes room for n more bytes, and reports whether the limits allow it.
func (h *head) reserve(t *Table, n int) bool {
	n += len(h.kept)
	if n <= cap(h.kept) {
		return n <= t.cfg.HandshakeBytes
	}
	if n > t.cfg.HandshakeBytes {
		return false
	}
	grown := t.pool.bytes(n)
	more := cap(grown) - cap(h.kept)
	if t.kept+more > t.cfg.TotalHandshake {
		t.pool.releaseBytes(grown)
		t.stats.HandshakeDrops++
		return false
	}
	t.kept += more
	grown = append(grown, h.kept...)
	t.pool.releaseBytes(h.kept)
	h.kept = grown
	return true
}

// walk reads record headers, keeps the records that are not application data
// and counts the bytes of those that are.
func (h *head) walk(c *conn, t *Table, side int, data []byte, time int64) {
	for len(data) > 0 {
		if h.remain > 0 {
			n := min(len(data), int(h.remain))
			h.body(c, t, side, data[:n])
			h.remain -= uint32(n)
			data = data[n:]
			continue
		}
		n := copy(h.header[h.partial:], data)
		data = data[n:]
		if h.partial += uint8(n); h.partial < tlswire.RecordHeaderLen {
			return
		}
		h.partial = 0
		if !tlswire.LooksLikeRecord(h.header[:]) {
			h.state = headClosed
			return
		}
		h.typ, h.remain, h.hole = h.header[0], uint32(binary.BigEndian.Uint16(h.header[3:])), false
		c.record(t, side, h.typ, uint16(h.remain), time)
		if h.typ != tlswire.RecordApplicationData && !h.full {
			h.start = uint32(len(h.kept))
			h.full = !h.keep(t, h.header[:])
		}
	}
}

func (h *head) body(c *conn, t *Table, side int, b []byte) {
	if h.typ == tlswire.RecordApplicationData {
		c.data.tls.side[side].bytes.add(b)
	} else if !h.full && !h.hole {
		h.full = !h.keep(t, b)
	}
}

// tlsState is what is kept of a TLS connection besides its handshake.
type tlsState struct {
	records entries
	listed  [2]uint8
	written bool // by the pool, for no other use
	side    [2]tlsHalf
}

// tlsHalf counts the records of one side.
type tlsHalf struct {
	records, appRecords, appBytes, alerts, changeCipherSpecs uint64
	bytes                                                    byteCounter // of the application data
}

// record enters a record header.
func (c *conn) record(t *Table, side int, typ uint8, length uint16, time int64) {
	s := c.data.tls
	if s == nil {
		s = t.pool.tls()
		c.data.tls = s
	}
	h := &s.side[side]
	h.records++
	switch typ {
	case tlswire.RecordApplicationData:
		h.appRecords++
		h.appBytes += uint64(length)
	case tlswire.RecordAlert:
		h.alerts++
	case tlswire.RecordChangeCipherSpec:
		h.changeCipherSpecs++
	}
	if s.listed[side] < flow.SPLTRecords {
		s.listed[side]++
		s.records.add(&t.pool, time-c.first, recordBits, recordValue(side, typ, length))
	}
}
