package packet

import (
	"encoding/binary"
	"math"

	"trench/pkg/flow"
)

// Ports of tunnels over UDP.
const (
	portVXLAN      = 4789
	portVXLANLinux = 8472
	portVXLANGPE   = 4790
	portGENEVE     = 6081
	portGTPU       = 2152
	portTeredo     = 3544
	portL2TP       = 1701
)

const tunnelPorts = 1<<(portVXLAN&63) | 1<<(portVXLANLinux&63) | 1<<(portVXLANGPE&63) | 1<<(portGENEVE&63) |
	1<<(portGTPU&63) | 1<<(portTeredo&63) | 1<<(portL2TP&63)

// mayBeTunnel reports whether one of the ports may be that of a tunnel. It is cheap and never misses one.
func mayBeTunnel(a, b uint16) bool {
	return (tunnelPorts>>(a&63)|tunnelPorts>>(b&63))&1 != 0
}

// isTunnel is exact.
func isTunnel(a, b uint16) bool { return mayBeTunnel(a, b) && (isTunnelPort(a) || isTunnelPort(b)) }

func isTunnelPort(p uint16) bool {
	switch p {
	case portVXLAN, portVXLANLinux, portVXLANGPE, portGENEVE, portGTPU, portTeredo, portL2TP:
		return true
	}
	return false
}

// IP protocols that are tunnels.
const (
	protocolIPv4 = 4
	protocolIPv6 = 41
	protocolGRE  = 47
	protocolL2TP = 115
)

// etherAny stands for IP of the version that its first byte tells.
const etherAny = 0

// mark is what a try to look into a tunnel starts from.
type mark struct {
	view    View
	scope   uint64
	depth   int
	packets uint32
	strict  bool
}

func (d *Decoder) mark(v *View) mark {
	return mark{view: *v, scope: d.scope, depth: d.depth, packets: d.packets, strict: d.strict}
}

// leave goes back to the surroundings of m and keeps what was decoded inside.
func (d *Decoder) leave(m *mark) { d.scope, d.depth, d.strict = m.scope, m.depth, m.strict }

// restore goes back to m. Fragments that became whole since then were no use; the
// packet that completed them is the outer flow's.
func (d *Decoder) restore(v *View, m *mark) {
	d.stats.Dropped.Malformed += uint64(d.packets - m.packets)
	*v, d.packets = m.view, m.packets
	d.leave(m)
}

// inside decodes the b that a tunnel carries, of the type that proto says. id is
// the tenant. When there is no valid IP in it v stays the view of the outer packet.
func (d *Decoder) inside(v *View, kind flow.Tunnel, id uint32, proto uint16, b []byte, wire int) Outcome {
	m, ok := d.enter(v, kind, uint64(id))
	if !ok {
		return OK
	}
	o := d.content(v, proto, b, wire)
	switch o {
	case OK:
		v.Key.Tenant = mixTenant(id, v.Key.Tenant)
		d.leave(&m)
	case Held:
		d.leave(&m)
		return Held
	default:
		d.restore(v, &m)
	}
	return OK
}

// enter begins to look into a tunnel, unless it is nested too deep.
func (d *Decoder) enter(v *View, kind flow.Tunnel, id uint64) (mark, bool) {
	if d.depth >= d.cfg.Nesting {
		d.stats.TooDeep++
		return mark{}, false
	}
	m := d.mark(v)
	d.depth++
	d.strict = true
	d.scope = mix(d.scope, id<<8|uint64(kind))
	v.Key.Tunnel = v.Key.Tunnel.Around(kind)
	v.Key.Tenant = 0
	return m, true
}

func (d *Decoder) content(v *View, proto uint16, b []byte, wire int) Outcome {
	switch proto {
	case etherAny:
		return d.rawIP(v, b, wire)
	case etherEthernet:
		return d.ethernet(v, b, wire)
	case etherPPP:
		return d.ppp(v, b, wire)
	}
	return d.etherType(v, proto, b, wire)
}

// mix joins identifiers of tunnels.
func mix(a, b uint64) uint64 { return flow.SpreadEnd(a, b, 0) }

// mixTenant joins the tenant of a tunnel with that of a tunnel inside of it.
func mixTenant(outer, inner uint32) uint32 {
	switch {
	case inner == 0:
		return outer
	case outer == 0:
		return inner
	}
	h := mix(uint64(outer), uint64(inner))
	return uint32(h ^ h>>32)
}

// ipTunnel looks into what IP itself carries.
func (d *Decoder) ipTunnel(v *View, proto byte, b []byte, wire int) Outcome {
	switch proto {
	case protocolIPv4:
		return d.inside(v, flow.TunnelIPIP, 0, etherIPv4, b, wire)
	case protocolIPv6:
		kind := flow.TunnelIPIP
		if v.Key.Version == 4 {
			kind = flow.Tunnel6in4
		}
		return d.inside(v, kind, 0, etherIPv6, b, wire)
	case protocolGRE:
		return d.gre(v, b, wire)
	case protocolL2TP:
		// Session (4), zero for control messages.
		if len(b) >= 4 && binary.BigEndian.Uint32(b) != 0 {
			return d.l2tpv3(v, b[4:], wire-4)
		}
	}
	return OK
}

// udpTunnel looks into a UDP payload; each port may say what it is.
func (d *Decoder) udpTunnel(v *View, sport, dport uint16, b []byte, wire int) Outcome {
	o := d.udpPort(v, dport, b, wire)
	if o == OK && sport != dport && v.carries(b) {
		o = d.udpPort(v, sport, b, wire)
	}
	return o
}

// carries reports whether b is the payload of v, so that v is not the view of something inside of it.
func (v *View) carries(b []byte) bool {
	return len(v.Payload) == len(b) && (len(b) == 0 || &v.Payload[0] == &b[0])
}

func (d *Decoder) udpPort(v *View, port uint16, b []byte, wire int) Outcome {
	switch port {
	case portVXLAN, portVXLANLinux:
		return d.vxlan(v, b, wire)
	case portVXLANGPE:
		return d.vxlanGPE(v, b, wire)
	case portGENEVE:
		return d.geneve(v, b, wire)
	case portGTPU:
		return d.gtpu(v, b, wire)
	case portTeredo:
		return d.teredo(v, b, wire)
	case portL2TP:
		return d.l2tp(v, b, wire)
	}
	return OK
}

// gre decodes RFC 2784, 2890 and the routing of RFC 1701:
//
//	C R K S s recursion(3) | flags(5) version(3) | type (2)
//	| checksum and offset (4) if C or R | key (4) if K | sequence (4) if S | routing if R
//
// and version 1, with which PPTP carries PPP (RFC 2637):
//
//   - - K S - recursion(3) | A flags(4) version(3) | 880b | payload length (2) | call (2)
//     | sequence (4) if S | acknowledgement (4) if A
func (d *Decoder) gre(v *View, b []byte, wire int) Outcome {
	const checksum, routing, key, sequence, acknowledged = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
	if len(b) < 4 {
		return OK
	}
	flags, proto := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	at := 4
	if flags&7 == 1 {
		if flags&^(sequence|acknowledged) != key|1 || flags&sequence == 0 || proto != etherPPP || len(b) < 8 {
			return OK // without a sequence number it is a mere acknowledgement
		}
		n := int(binary.BigEndian.Uint16(b[4:]))
		at = 12
		if flags&acknowledged != 0 {
			at = 16
		}
		if len(b) < at || n > wire-at {
			return OK
		}
		b = b[at:]
		return d.inside(v, flow.TunnelPPTP, 0, etherPPP, b[:min(len(b), n)], n)
	}
	if flags&0x07ff != 0 {
		return OK
	}
	if flags&(checksum|routing) != 0 {
		at += 4
	}
	vsid := uint32(0)
	if flags&key != 0 {
		if proto == etherEthernet && len(b) >= at+4 {
			vsid = binary.BigEndian.Uint32(b[at:]) >> 8 // NVGRE (RFC 7637)
		}
		at += 4
	}
	if flags&sequence != 0 {
		at += 4
	}
	for more := flags&routing != 0; more; { // family (2) | offset (1) | length (1) | …, zeros end it
		if len(b) < at+4 {
			return OK
		}
		n := int(b[at+3])
		more = n != 0 || binary.BigEndian.Uint16(b[at:]) != 0
		at += 4 + n
	}
	kind, cut := flow.TunnelGRE, false
	switch proto {
	case etherIPv4, etherIPv6, etherMPLS, etherMPLSUp, etherEthernet:
	case 0x88be: // ERSPAN I, or II with version 1 in a header of 8 bytes
		kind, proto = flow.TunnelERSPAN, etherEthernet
		if flags&sequence != 0 {
			if len(b) < at+8 || b[at]>>4 != 1 {
				return OK
			}
			cut = b[at+2]&4 != 0
			at += 8
		}
	case 0x22eb: // ERSPAN III: version 2 in a header of 12 bytes, the last bit announces 8 more
		kind, proto = flow.TunnelERSPAN, etherEthernet
		if len(b) < at+12 || b[at]>>4 != 2 {
			return OK
		}
		cut = b[at+2]&4 != 0
		if b[at+11]&1 != 0 {
			at += 8
		}
		at += 12
	default:
		return OK
	}
	if len(b) < at {
		return OK
	}
	b, wire = b[at:], wire-at
	if cut { // by the mirror, which says so: the frame was as long as it claims
		wire = math.MaxUint16
	}
	return d.inside(v, kind, vsid, proto, b, wire)
}

// vxlan decodes RFC 7348, and the group policy that some switches add:
//
//	flags 08 or 88 | reserved or policy (3) | VNI (3) | reserved | Ethernet …
func (d *Decoder) vxlan(v *View, b []byte, wire int) Outcome {
	if len(b) < 8 || b[7] != 0 {
		return OK
	}
	switch {
	case b[0] == 0x08 && b[1]|b[2]|b[3] == 0:
	case b[0] == 0x88 && b[1]&^0x48 == 0:
	default:
		return OK
	}
	return d.inside(v, flow.TunnelVXLAN, binary.BigEndian.Uint32(b[4:])>>8, etherEthernet, b[8:], wire-8)
}

// vxlanGPE decodes draft-ietf-nvo3-vxlan-gpe:
//
//	flags: - - version(2) I P B O | reserved (2) | next protocol if P | VNI (3) | reserved
func (d *Decoder) vxlanGPE(v *View, b []byte, wire int) Outcome {
	const instance, next, bum = 8, 4, 2
	if len(b) < 8 || b[0]&^(next|bum) != instance || b[1]|b[2]|b[7] != 0 {
		return OK
	}
	var proto uint16
	switch b[3] {
	case 0:
		if b[0]&next != 0 {
			return OK
		}
		proto = etherEthernet
	case 1: // some leave P out
		proto = etherIPv4
	case 2:
		proto = etherIPv6
	case 3:
		proto = etherEthernet
	case 5:
		proto = etherMPLS
	default:
		return OK
	}
	return d.inside(v, flow.TunnelVXLANGPE, binary.BigEndian.Uint32(b[4:])>>8, proto, b[8:], wire-8)
}

// geneve decodes RFC 8926:
//
//	version(2) option words(6) | O C reserved(6) | type (2) | VNI (3) | reserved | options …
//
// An option is: class (2) | type | reserved(3) words(5) | data …
func (d *Decoder) geneve(v *View, b []byte, wire int) Outcome {
	if len(b) < 8 || b[0]>>6 != 0 || b[1]&0x3f != 0 || b[7] != 0 {
		return OK
	}
	proto, head := binary.BigEndian.Uint16(b[2:]), 8+int(b[0])*4
	if len(b) < head {
		return OK
	}
	for at := 8; at < head; {
		if at+4 > head || b[at+3]>>5 != 0 {
			return OK
		}
		if at += 4 + int(b[at+3])*4; at > head {
			return OK
		}
	}
	switch proto {
	case etherIPv4, etherIPv6, etherMPLS, etherMPLSUp, etherEthernet:
		return d.inside(v, flow.TunnelGENEVE, binary.BigEndian.Uint32(b[4:])>>8, proto, b[head:], wire-head)
	}
	return OK
}

// teredo decodes RFC 4380: IPv6 behind two optional headers,
//
//	0001 | id length | authentication length | id … | authentication … | nonce (8) | confirmation (1)
//	0000 | port (2) | address (4)
//
// One end of the inner packet has a Teredo or a link-local address.
func (d *Decoder) teredo(v *View, b []byte, wire int) Outcome {
	if len(b) >= 4 && b[0] == 0 && b[1] == 1 {
		n := 4 + int(b[2]) + int(b[3]) + 9
		if len(b) < n {
			return OK
		}
		b, wire = b[n:], wire-n
	}
	if len(b) >= 8 && b[0]|b[1] == 0 {
		b, wire = b[8:], wire-8
	}
	if len(b) < 40 || b[0]>>4 != 6 || int(binary.BigEndian.Uint16(b[4:]))+40 != wire ||
		!isTeredo(b[8:]) && !isTeredo(b[24:]) {
		return OK
	}
	return d.inside(v, flow.TunnelTeredo, 0, etherIPv6, b, wire)
}

func isTeredo(addr []byte) bool {
	const teredo, local = 0x20010000, 0xfe800000
	p := binary.BigEndian.Uint32(addr)
	return p == teredo || p == local
}

// l2tp decodes data messages of RFC 2661,
//
//	T L - - S - O P | -(4) version(4) | length (2) if L | tunnel (2) | session (2)
//	| sequence (4) if S | offset (2) and padding if O | PPP …
//
// and of RFC 3931 over UDP: flags (2) | reserved (2) | session (4) | cookie … .
func (d *Decoder) l2tp(v *View, b []byte, wire int) Outcome {
	const control, length, sequence, offset, priority = 0x8000, 0x4000, 0x0800, 0x0200, 0x0100
	if len(b) < 6 {
		return OK
	}
	flags := binary.BigEndian.Uint16(b)
	if flags == 3 {
		if len(b) < 8 || b[2]|b[3] != 0 || binary.BigEndian.Uint32(b[4:]) == 0 {
			return OK
		}
		return d.l2tpv3(v, b[8:], wire-8)
	}
	if flags&^(length|sequence|offset|priority) != 2 {
		return OK
	}
	at := 2
	if flags&length != 0 {
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > wire || n < 8 {
			return OK
		}
		b, wire = b[:min(len(b), n)], n
		at += 2
	}
	at += 4
	if flags&sequence != 0 {
		at += 4
	}
	if flags&offset != 0 {
		if len(b) < at+2 {
			return OK
		}
		at += 2 + int(binary.BigEndian.Uint16(b[at:]))
	}
	if len(b) < at {
		return OK
	}
	return d.inside(v, flow.TunnelL2TP, 0, etherPPP, b[at:], wire-at)
}

// l2tpv3 finds the Ethernet frame behind a cookie, of 0, 4 or 8 bytes, and a
// sublayer header, of 0 or 4 bytes, whose lengths only the two ends know.
func (d *Decoder) l2tpv3(v *View, b []byte, wire int) Outcome {
	for skip := 0; skip <= 12 && skip+14 <= len(b); skip += 4 {
		if t := binary.BigEndian.Uint16(b[skip+12:]); t != etherIPv4 && t != etherIPv6 && t != etherVLAN && t != etherQinQ {
			continue
		}
		tunnel := v.Key.Tunnel
		if o := d.inside(v, flow.TunnelL2TP, 0, etherEthernet, b[skip:], wire-skip); o == Held || v.Key.Tunnel != tunnel {
			return o
		}
	}
	return OK
}
