package assemble

import (
	"encoding/binary"

	"trench/pkg/flow"
	"trench/pkg/packet"
	"trench/pkg/tlswire"
)

// identifyDatagrams is how many payloads of a flow are looked at.
const identifyDatagrams = 4

// datagram looks at the payload of a protocol without a stream, and reports
// whether the flow ends with it.
func (c *conn) datagram(t *Table, h *half, side int, v *packet.View) (done bool) {
	if v.Key.Protocol != packet.ProtocolUDP {
		return false
	}
	if IsDNSResponse(v) {
		t.dns.learn(v)
	}
	if c.app == flow.AppUnknown {
		if c.data.side[sideA].packets+c.data.side[sideB].packets > identifyDatagrams {
			return false
		}
		app, from := identifyDatagram(v.Payload)
		if app == flow.AppUnknown {
			return false
		}
		c.recognise(app, from, side)
	}
	switch b := v.Payload; c.app {
	case flow.AppDNS:
		h.keepDatagram(t, b)
		return c.answered(b, side)
	case flow.AppDTLS:
		if len(b) > 0 && b[0] != tlswire.RecordApplicationData {
			h.keepDatagram(t, b)
		}
	case flow.AppQUIC:
		if len(b) > 0 && b[0]&0x80 != 0 { // a long header
			h.keepDatagram(t, b)
		}
	}
	return false
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
