// Package packet decodes the headers of captured packets into Views: the flow's
// key, the transport payload and what assembly needs of TCP.
//
//	link layer       Ethernet (802.3, VLAN, QinQ, PPPoE, MPLS), SLL, SLL2, raw IP, null, loop, PPP,
//	                 Cisco HDLC, FDDI, PFLOG, PPI, 802.11 with radiotap, Prism or AVS
//	  IPv4, IPv6     with options and extension headers; fragments are put together
//	    tunnel       GRE, ERSPAN, VXLAN, VXLAN-GPE, GENEVE, GTP-U, IP in IP, 6in4, Teredo, L2TP, PPTP
//	      IP …       down to the nesting limit
//	    TCP UDP SCTP ports
//	    ICMP         type and its counterpart (or code) in place of ports
//	    others       flows between addresses
//
// # Tunnels
//
// A packet in a tunnel belongs to the inner flow. Its key names the
// encapsulation, the tenant (VNI, NVGRE's VSID, what stands for a pair of TEIDs)
// and the VLAN ids, outer before inner. Identifiers that differ by direction are not part of it: GRE keys, MPLS
// labels, session and call ids. A port alone decides nothing: the tunnel's
// header and the IP header inside have to be valid and to fit in what carries them.
// Whatever does not is a packet of the outer flow.
//
// # Fragments
//
// Fragments wait until their datagram is whole; then it is decoded as one packet.
// Where two of them bring the same bytes the first copy wins. That includes the end of
// the datagram: a fragment that contradicts it is malformed. What a snap length
// has cut off stays missing, and the payload ends before it. Datagrams that never
// become whole are dropped by age or limit, the oldest first, and counted.
//
// Every packet is counted once: after Flush the packets read are the sum of View.Packets, of the other outcomes
// without Held, and of Stats.Dropped; before Flush Stats.Held comes to it.
//
// Decoding allocates nothing and never reads past the captured bytes.
package packet

import (
	"encoding/binary"

	"trench/pkg/pcap"
)

// Outcome says what became of a packet. Every packet has exactly one.
type Outcome uint8

// The outcomes of Decode.
const (
	OK        Outcome = iota // View is filled
	NotIP                    // no IP inside: ARP, LLDP and the like
	Malformed                // headers broken, or cut by the snap length
	Refused                  // link type is not known
	Held                     // a fragment that waits for others
)

// Decoder decodes packets, for one goroutine.
type Decoder struct {
	cfg    Config
	stats  Stats
	frags  reassembler
	gtp    gtpTunnels
	wholes [][]byte // room for reassembled datagrams, one for each level of nesting

	// The state of one Decode. The zero values, and one packet, hold between packets.
	depth   int
	used    int    // of wholes
	scope   uint64 // mixes the tunnels around
	strict  bool   // headers must fit in what carries them
	packets uint32 // that brought what is being decoded
}

// NewDecoder returns a Decoder that remembers nothing yet. cfg has to be valid.
func NewDecoder(cfg Config) *Decoder {
	d := &Decoder{cfg: cfg, packets: 1}
	d.frags.init(cfg, &d.stats)
	d.gtp.init(cfg.GTPTunnels, &d.stats)
	return d
}

// Stats returns the counters so far.
func (d *Decoder) Stats() Stats { return d.stats }

// Decode fills v from p.
func (d *Decoder) Decode(v *View, p *pcap.Packet) Outcome {
	v.Time = p.Time
	v.Packets = 1
	v.Key.VLAN = [2]uint16{}
	v.Key.Tenant = 0
	v.Key.Tunnel = 0
	b, wire := p.Data, max(int(p.WireLen), len(p.Data))
	if p.Link == pcap.LinkEthernet && len(b) >= plainBytes && v.plain((*[plainBytes]byte)(b), b) {
		return OK
	}
	var o Outcome
	if p.Link == pcap.LinkEthernet {
		o = d.ethernet(v, b, wire)
	} else {
		o = d.link(v, p.Link, b, wire)
	}
	if d.used != 0 {
		d.settle(v, o)
	}
	return o
}

// plainBytes is the least of headers that plain decodes.
const plainBytes = 14 + 20 + 20

// plain decodes what most packets are, TCP or UDP in IPv4 without options in
// Ethernet without tags, like ipv4 and transport do, with one bounds check for all
// of it. Everything else it leaves to them.
func (v *View) plain(h *[plainBytes]byte, b []byte) bool {
	total := int(binary.BigEndian.Uint16(h[16:]))
	if binary.BigEndian.Uint32(h[12:])&0xffffff00 != etherIPv4<<16|0x4500 || binary.BigEndian.Uint16(h[20:])&0x3fff != 0 || total > len(b)-14 {
		return false
	}
	sport, dport := binary.BigEndian.Uint16(h[34:]), binary.BigEndian.Uint16(h[36:])
	end := total
	var head int
	switch h[23] {
	case ProtocolTCP:
		if head = int(h[46]>>4) * 4; head < 20 || total < 20+head {
			return false
		}
		v.Key.Protocol = ProtocolTCP
		v.Seq, v.Ack = binary.BigEndian.Uint32(h[38:]), binary.BigEndian.Uint32(h[42:])
		v.Flags, v.Window = h[47], binary.BigEndian.Uint16(h[48:])
	case ProtocolUDP:
		head = 8
		if total < 28 || mayBeTunnel(sport, dport) {
			return false
		}
		if n := int(binary.BigEndian.Uint16(h[38:])); n >= 8 {
			end = min(end, 20+n)
		}
		v.Key.Protocol = ProtocolUDP
		v.noTCP()
	default:
		return false
	}
	v.Key.Version = 4
	v.IP, v.Payload = b[14:14+total], b[14+20+head:14+end]
	v.Bytes, v.Length, v.Truncated = uint32(total), uint32(len(v.Payload)), false
	v.setEnds4(binary.BigEndian.Uint32(h[26:]), binary.BigEndian.Uint32(h[30:]), sport, dport)
	return true
}

// settle accounts for the fragments that made up a packet.
func (d *Decoder) settle(v *View, o Outcome) {
	switch o {
	case OK:
		v.Packets = d.packets
	case Held: // counted where it waits
	default:
		d.stats.Dropped.Malformed += uint64(d.packets - 1)
	}
	d.packets, d.used = 1, 0
}

// ipv4 decodes the captured bytes b of an IPv4 packet. What carries it leaves room for wire bytes.
func (d *Decoder) ipv4(v *View, b []byte, wire int) Outcome {
	if len(b) < 20 {
		return Malformed
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 != 4 || head < 20 || head > len(b) {
		return Malformed
	}
	if total == 0 && !d.strict {
		total = wire // segmentation offload leaves the length empty
	}
	if total < head {
		return Malformed
	}
	if total > wire { // says more than the frame held
		if d.strict || wire < head {
			return Malformed
		}
		total = wire
	}
	if v.Truncated = total > len(b); !v.Truncated {
		b = b[:total] // padding of short Ethernet frames
	}
	v.IP, v.Bytes = b, uint32(total)
	proto := b[9]
	v.Key.Version, v.Key.Protocol = 4, uint16(proto)
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return d.fragment4(v, b, head, total)
	}
	return d.transport(v, proto, b, b[head:], total-head)
}

func (d *Decoder) ipv6(v *View, b []byte, wire int) Outcome {
	if len(b) < 40 || b[0]>>4 != 6 {
		return Malformed
	}
	total := int(binary.BigEndian.Uint16(b[4:])) + 40
	if total == 40 && b[6] != 59 && wire > 40 && !d.strict {
		total = wire // jumbogram or segmentation offload
	}
	if total > wire { // says more than the frame held
		if d.strict || wire < 40 {
			return Malformed
		}
		total = wire
	}
	if v.Truncated = total > len(b); !v.Truncated {
		b = b[:total]
	}
	v.IP, v.Bytes = b, uint32(total)
	v.Key.Version = 6
	if next := b[6]; next == ProtocolTCP || next == ProtocolUDP {
		v.Key.Protocol = uint16(next)
		return d.transport(v, next, b, b[40:], total-40)
	}
	return d.extensions(v, b[:40], b[6], b[40:], total-40)
}

// extensions walks the extension headers at the start of b, which are followed by the transport.
func (d *Decoder) extensions(v *View, ip []byte, next byte, b []byte, wire int) Outcome {
	whole := false
	for {
		head := 8
		switch next {
		case 0, 43, 60, 135, 139, 140: // hop-by-hop, routing, destination, mobility, HIP, shim6
			if len(b) < 8 {
				return Malformed
			}
			head += int(b[1]) * 8
		case 51: // authentication header counts in words of four
			if len(b) < 8 {
				return Malformed
			}
			head += int(b[1]) * 4
		case 44:
			if len(b) < 8 {
				return Malformed
			}
			if at := binary.BigEndian.Uint16(b[2:]); at&0xfff9 != 0 { // else an atomic fragment
				if whole {
					return Malformed // a datagram in fragments of fragments
				}
				whole = true
				g, o := d.fragment6(v, ip, b, wire)
				if g == nil {
					return o
				}
				next, wire = g.next, g.end
				b = d.whole(v, g)
				continue
			}
		default:
			v.Key.Protocol = uint16(next)
			return d.transport(v, next, ip, b, wire)
		}
		if head > len(b) {
			return Malformed
		}
		next, b, wire = b[0], b[head:], wire-head
	}
}

// transport reads ports and payload, and looks into tunnels. b is what was
// captured of the wire bytes behind the IP header.
func (d *Decoder) transport(v *View, proto byte, ip, b []byte, wire int) Outcome {
	switch proto {
	case ProtocolTCP:
		if len(b) < 20 {
			return Malformed
		}
		head := int(b[12]>>4) * 4
		if head < 20 || head > wire {
			return Malformed
		}
		v.Seq, v.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		v.Flags, v.Window = b[13], binary.BigEndian.Uint16(b[14:])
		v.setEnds(ip, binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]))
		v.Payload, v.Length = b[min(head, len(b)):], uint32(wire-head)
		return OK
	case ProtocolUDP:
		if len(b) < 8 {
			return Malformed
		}
		if n := int(binary.BigEndian.Uint16(b[4:])); n >= 8 && n < wire {
			wire = n
			b = b[:min(n, len(b))]
		}
		v.noTCP()
		sport, dport := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		v.setEnds(ip, sport, dport)
		b, wire = b[8:], wire-8
		v.Payload, v.Length = b, uint32(wire)
		if mayBeTunnel(sport, dport) {
			return d.udpTunnel(v, sport, dport, b, wire)
		}
		return OK
	}
	v.noTCP()
	var sport, dport uint16
	head := 0
	switch proto {
	case ProtocolSCTP:
		if len(b) < 12 {
			return Malformed
		}
		head, sport, dport = 12, binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case ProtocolICMP, ProtocolICMPv6:
		if len(b) < 2 {
			return Malformed
		}
		sport, dport = icmpPorts(proto, b[0], b[1])
	}
	v.setEnds(ip, sport, dport)
	v.Payload, v.Length = b[head:], uint32(wire-head)
	return d.ipTunnel(v, proto, b, wire)
}

func (v *View) noTCP() { v.Seq, v.Ack, v.Flags, v.Window = 0, 0, 0, 0 }
