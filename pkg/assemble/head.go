package assemble

import (
	"bytes"
	"encoding/binary"

	"trench/pkg/flow"
	"trench/pkg/httpwire"
	"trench/pkg/tlswire"
)

// headState says how far one side's first bytes have been understood.
type headState uint8

const (
	headOpen   headState = iota // too few bytes to tell a protocol
	headTLS                     // walking from record to record
	headLost                    // TLS: bytes are missing, waiting for the start of a record
	headHTTP                    // looking for the end of the header section
	headClosed                  // nothing more is wanted
)

// head listens to one side of a stream: it recognises the protocol and keeps
// the bytes that later stages parse.
type head struct {
	state   headState
	partial uint8 // bytes of a record header that are there
	typ     uint8 // TLS: content type of the record being read
	full    bool  // TLS: nothing more is kept, since a gap or the limit
	header  [tlswire.RecordHeaderLen]byte
	remain  uint32 // TLS: body bytes of the record that are to come
	kept    []byte
}

// add takes the next bytes of the stream.
func (h *head) add(c *conn, t *Table, side int, data []byte, time int64) {
	switch h.state {
	case headOpen:
		if len(h.kept) > 0 { // the first segments were very short
			h.keep(t, data)
			data = h.kept
		}
		app, client := identifyStream(data)
		switch {
		case app == flow.AppUnknown && undecided(data):
			if len(h.kept) == 0 {
				h.keep(t, data)
			}
			return
		case app == flow.AppUnknown:
			h.drop(t)
			return
		}
		c.recognise(app, client, side)
		first := data
		if len(h.kept) > 0 {
			first = append([]byte(nil), data...)
			h.kept = h.kept[:0]
		}
		switch app {
		case flow.AppTLS:
			h.state = headTLS
			if n, ok := tlswire.SSLv2Hello(first); ok { // a record of its own kind, without the usual header
				h.typ, h.remain = tlswire.RecordHandshake, uint32(n)
				c.record(t, side, h.typ, uint16(n), time)
			}
			h.walk(c, t, side, first, time)
		case flow.AppHTTP:
			h.state = headHTTP
			h.scan(t, first)
		default:
			h.drop(t)
		}
	case headLost:
		if !tlswire.LooksLikeRecord(data) {
			return
		}
		h.state, h.remain, h.partial = headTLS, 0, 0
		h.walk(c, t, side, data, time)
	case headTLS:
		h.walk(c, t, side, data, time)
	case headHTTP:
		h.scan(t, data)
	}
}

// skip notes that n bytes are missing. What is missing inside a record leaves
// the walk where it was; else it begins anew at the next record that starts a
// segment.
func (h *head) skip(t *Table, n int) {
	switch h.state {
	case headTLS, headLost:
		handshaking := h.typ != tlswire.RecordApplicationData
		if h.state == headTLS && h.partial == 0 && uint32(n) <= h.remain {
			h.remain -= uint32(n)
		} else {
			h.state = headLost
		}
		h.full = h.full || handshaking // a handshake message with a hole is of no use, nor what follows it
	case headOpen: // what comes next may still show the protocol
		t.forget(h)
	default:
		h.state = headClosed
	}
}

// drop forgets what was kept and wants nothing more.
func (h *head) drop(t *Table) {
	t.forget(h)
	h.state = headClosed
}

// forget gives the kept bytes of a side back.
func (t *Table) forget(h *head) {
	t.kept -= cap(h.kept)
	t.pool.releaseBytes(h.kept)
	h.kept = nil
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

// scan keeps HTTP/1 bytes up to the end of the header section; the body is
// application data and not kept.
func (h *head) scan(t *Table, data []byte) {
	from := max(len(h.kept)-3, 0)
	fits := h.keep(t, data)
	if i := httpwire.HeaderEnd(h.kept[from:]); i >= 0 {
		h.kept = h.kept[:from+i]
		h.state = headClosed
	} else if !fits {
		h.state = headClosed
	}
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
		h.typ, h.remain = h.header[0], uint32(binary.BigEndian.Uint16(h.header[3:]))
		c.record(t, side, h.typ, uint16(h.remain), time)
		if h.typ != tlswire.RecordApplicationData && !h.full {
			h.full = !h.keep(t, h.header[:])
		}
	}
}

func (h *head) body(c *conn, t *Table, side int, b []byte) {
	if h.typ == tlswire.RecordApplicationData {
		c.data.tls.side[side].bytes.add(b)
	} else if !h.full {
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

// undecided reports whether more bytes may still turn b into the start of a
// known protocol.
func undecided(b []byte) bool {
	return len(b) <= tlswire.RecordHeaderLen || len(b) < identifyBytes && bytes.IndexByte(b, 0) < 0
}
