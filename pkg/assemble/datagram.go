package assemble

import (
	"encoding/binary"

	"trench/pkg/flow"
	"trench/pkg/packet"
)

// identifyDatagrams is how many payloads of a flow are looked at.
const identifyDatagrams = 4

// datagram looks at the payload of a protocol without a stream.
func (c *conn) datagram(t *Table, h *half, v *packet.View) {
	if v.Key.Protocol != packet.ProtocolUDP {
		return
	}
	if IsDNSResponse(v) {
		t.dns.learn(v)
	}
	if c.app == flow.AppUnknown {
		if c.data.side[sideA].packets+c.data.side[sideB].packets > identifyDatagrams {
			return
		}
		app, from := identifyDatagram(v.Payload)
		if app == flow.AppUnknown {
			return
		}
		c.recognise(app, from, sideOf(v))
	}
	if c.app == flow.AppDNS {
		h.head.keepDatagram(t, v.Payload)
	}
}

// keepDatagram keeps a whole message behind its length, if it fits.
func (h *head) keepDatagram(t *Table, b []byte) {
	if h.full || len(b) > 0xffff || len(h.kept)+2+len(b) > t.cfg.HandshakeBytes {
		h.full = true
		return
	}
	var length [2]byte
	binary.BigEndian.PutUint16(length[:], uint16(len(b)))
	h.keep(t, length[:])
	h.keep(t, b)
	h.state = headClosed
}
