package assemble

import (
	"encoding/binary"

	"trench/pkg/dtlswire"
	"trench/pkg/flow"
	"trench/pkg/packet"
	"trench/pkg/quicwire"
	"trench/pkg/tlswire"
)

const (
	// identifyDatagrams is how many payloads of a flow are looked at.
	identifyDatagrams = 4
	// dtlsDatagrams is how many payloads of a flow that began with STUN may pass
	// before DTLS (RFC 5764).
	dtlsDatagrams = 64
)

// datagram looks at the payload of a protocol without a stream, and reports
// whether the flow ends with it.
func (c *conn) datagram(t *Table, h *half, side int, v *packet.View) (done bool) {
	if v.Key.Protocol != packet.ProtocolUDP {
		return false
	}
	if IsDNSResponse(v) {
		t.Learn(v)
	}
	c.identify(t, v, side)
	switch b := v.Payload; c.app {
	case flow.AppDNS:
		h.keepDatagram(t, b)
		return c.answered(b, side)
	case flow.AppMDNS, flow.AppLLMNR, flow.AppDHCP, flow.AppDHCPv6:
		h.keepDatagram(t, b)
	case flow.AppDTLS:
		if c.dtlsRecords(t, side, v) {
			h.keepDatagram(t, b)
		}
	case flow.AppQUIC:
		if len(b) == 0 {
			break
		}
		if b[0]&0x80 != 0 || quicwire.IsPublicHeader(b) { // a long header
			h.keepDatagram(t, b)
		} else {
			h.short++
		}
	}
	return false
}

// identify recognises the protocol by one of the first payloads. DTLS may come
// after STUN in the same flow.
func (c *conn) identify(t *Table, v *packet.View, side int) {
	n := c.data.side[sideA].packets + c.data.side[sideB].packets
	switch {
	case c.app == flow.AppUnknown && n <= identifyDatagrams:
		if app, from := identifyDatagram(v); app != flow.AppUnknown {
			c.recognise(t, app, from, side)
		}
	case c.app == flow.AppSTUN && n <= dtlsDatagrams:
		if from, ok := identifyDTLS(v.Payload); ok {
			c.before, c.app = c.app, flow.AppDTLS
			c.recognise(t, flow.AppDTLS, from, side)
		}
	}
}

// dtlsRecords enters the records of a datagram, and reports whether one of them is
// not application data. Datagrams of other protocols may share the flow.
func (c *conn) dtlsRecords(t *Table, side int, v *packet.View) (handshake bool) {
	h := &c.data.side[side].head
	dtlswire.Walk(v.Payload, func(typ uint8, _ uint16, body []byte) {
		if typ == dtlswire.RecordCID { // the first with a connection id is Finished, the others hide their type
			if typ = tlswire.RecordApplicationData; h.typ != dtlswire.RecordCID {
				h.typ, typ = dtlswire.RecordCID, tlswire.RecordHandshake
			}
		}
		if typ == tlswire.RecordApplicationData {
			c.record(t, side, typ, uint16(len(body)), v.Time)
			c.data.tls.side[side].bytes.add(body)
			return
		}
		handshake = true
		if typ <= tlswire.RecordHeartbeat {
			c.record(t, side, typ, uint16(len(body)), v.Time)
		}
	})
	return handshake
}

// answered counts queries and their answers, and reports whether none is open
// any more.
func (c *conn) answered(b []byte, side int) bool {
	switch client := side == int(c.client); {
	case len(b) < 12:
	case client && b[2]&0x80 == 0:
		c.queries++
	case !client && b[2]&0x80 != 0 && c.queries > 0:
		c.queries--
		return c.queries == 0
	}
	return false
}

// keepDatagram keeps a whole message behind its length, if it fits.
func (h *half) keepDatagram(t *Table, b []byte) {
	d := &h.head
	d.state = headClosed
	if d.full || int(h.datagrams) >= t.cfg.Datagrams || len(b) > 0xffff || !d.reserve(t, 2+len(b)) {
		d.full = true
		return
	}
	h.datagrams++
	d.kept = binary.BigEndian.AppendUint16(d.kept, uint16(len(b)))
	d.kept = append(d.kept, b...)
}
