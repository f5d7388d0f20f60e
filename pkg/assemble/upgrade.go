package assemble

import (
	"bytes"
	"encoding/binary"

	"trench/pkg/flow"
	"trench/pkg/identify"
	"trench/pkg/tlswire"
)

// How far the start of TLS is looked for in a side that began with another
// protocol.
const (
	// unknownBytes is for a protocol that was not recognised; so many bytes are
	// reassembled anyway.
	unknownBytes = flow.CountedBytes
	// startTLSBytes is for the protocols that are known to change to TLS, by
	// STARTTLS or the like, or to carry it through a proxy.
	startTLSBytes = 64 << 10
)

// upgradeBytes returns how far TLS is looked for behind the start of a protocol.
func upgradeBytes(app flow.App) uint32 {
	switch app {
	case flow.AppUnknown:
		return unknownBytes
	case flow.AppSMTP, flow.AppIMAP, flow.AppPOP3, flow.AppFTP, flow.AppLDAP, flow.AppXMPP, flow.AppNNTP, flow.AppMySQL, flow.AppPostgreSQL,
		flow.AppRDP, flow.AppIRC, flow.AppPROXY, flow.AppSOCKS4, flow.AppSOCKS5, flow.AppHTTP:
		return startTLSBytes
	}
	return 0
}

// watchFor begins to look for the start of TLS in the next n bytes.
func (h *head) watchFor(t *Table, n uint32) {
	t.forget(h)
	h.state, h.remain = headWatch, n
}

// watch looks for the start of TLS: it may come with any segment, and after what
// the protocol before it has said in the same one.
func (h *head) watch(c *conn, t *Table, side int, data []byte, time int64) {
	fresh := uint32(len(data))
	carried := len(h.kept) > 0
	if carried { // the start of a record, perhaps
		h.keep(t, data)
		data = h.kept
	}
	from := 0
	if _, ok := tlswire.SSLv2Hello(data); !ok {
		from = helloStart(data)
	}
	switch {
	case from < 0, from > 0 && c.app == flow.AppUnknown: // an unknown protocol may carry anything, a copy of TLS too
		t.forget(h)
		if h.remain -= min(fresh, h.remain); h.remain == 0 {
			h.state = headClosed
		}
	case len(data)-from < helloHead:
		if !carried {
			h.keep(t, data[from:])
		} else if from > 0 {
			h.kept = h.kept[:copy(h.kept, h.kept[from:])]
		}
	default:
		if carried {
			data = append([]byte(nil), data...)
			h.kept = h.kept[:0]
		}
		c.upgrade(t, helloSender(data[from:]), side)
		h.tls(c, t, side, data[from:], time)
	}
}

// answerIn makes the side that did not speak TLS so far listen for its start anew,
// from where it has come to: the other side has begun.
func (c *conn) answerIn(t *Table, side int) {
	h := &c.data.side[side]
	if h.head.state != headClosed || len(h.head.kept) > 0 { // it listens, or has said its hello
		return
	}
	h.head.watchFor(t, startTLSBytes)
	if h.stream.done {
		h.stream = stream{}
	}
}

// upgrade enters that a flow is one of TLS, whatever it began with.
func (c *conn) upgrade(t *Table, from identify.Sender, side int) {
	if c.app != flow.AppTLS {
		c.before, c.app = c.app, flow.AppTLS
	}
	c.recognise(t, flow.AppTLS, from, side)
}

// helloSender tells who sent a hello, of which helloHead bytes are there.
func helloSender(b []byte) identify.Sender {
	if b[0] == tlswire.RecordHandshake && b[tlswire.RecordHeaderLen] == tlswire.MessageServerHello {
		return identify.SenderServer
	}
	return identify.SenderClient
}

// helloHead is how much of a hello's record is looked at: the record's header,
// the message's, and the version.
const helloHead = tlswire.RecordHeaderLen + 4 + 2

// helloStart returns where a record with a hello begins in b, or may begin where b
// ends before this can be told; -1 when nowhere.
func helloStart(b []byte) int {
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], tlswire.RecordHandshake)
		if i < 0 {
			return -1
		}
		at += i
		if looksLikeHello(b[at:min(at+helloHead, len(b))]) {
			return at
		}
	}
}

// looksLikeHello checks what is there of a hello's first helloHead bytes:
//
//	22 | 3 | 0..4 | length u16 | 1 or 2 | 0 | length u16 | 3 | 0..4
func looksLikeHello(b []byte) bool {
	const (
		shortest = 38 // version, random, and no session id and suites
		longest  = tlswire.MaxRecordLen
	)
	for i, v := range b {
		ok := true
		switch i {
		case 1, 9:
			ok = v == 3
		case 2, 10:
			ok = v <= 4
		case 4:
			n := binary.BigEndian.Uint16(b[3:])
			ok = n >= 4 && n <= longest
		case 5:
			ok = v == tlswire.MessageClientHello || v == tlswire.MessageServerHello
		case 6:
			ok = v == 0
		case 8:
			ok = binary.BigEndian.Uint16(b[7:]) >= shortest
		}
		if !ok {
			return false
		}
	}
	return true
}
