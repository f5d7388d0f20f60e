// Package packet decodes the headers of a captured packet into a View: the
// flow's key, the transport payload and what assembly needs of TCP.
//
//	link layer            Ethernet (VLAN, QinQ), SLL, SLL2, raw IP, null, loop
//	  IPv4, IPv6          with options and extension headers
//	    TCP UDP SCTP      ports; other protocols make flows between addresses
//
// Decoding these allocates nothing and never reads past the captured bytes.
// Rarer link layers (PPP, PPPoE, MPLS, FDDI, 802.11, PFLOG) are left to gopacket down to the first IP header.
package packet

import (
	"encoding/binary"

	"github.com/google/gopacket/layers"

	"trench/pkg/flow"
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
	Fragment                 // a later IP fragment: carries no ports
)

// TCP flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// IP protocol numbers with a transport that is looked into.
const (
	ProtocolICMP   = 1
	ProtocolTCP    = 6
	ProtocolUDP    = 17
	ProtocolICMPv6 = 58
	ProtocolSCTP   = 132
)

// View is one decoded packet. Payload aliases the packet's bytes.
type View struct {
	Key       flow.Key
	Time      int64  // ns since the Unix epoch
	Forward   bool   // the sender is the A side of Key
	Truncated bool   // cut by the snap length
	Bytes     uint32 // from the IP header on, on the wire
	Payload   []byte // captured transport payload
	Length    uint32 // transport payload on the wire, at least len(Payload)
	Seq, Ack  uint32 // TCP
	Flags     uint8  // TCP
}

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100
	etherQinQ = 0x88a8
	etherOld  = 0x9100 // QinQ before 802.1ad
	etherMPLS = 0x8847
	// etherPPPoE is the session stage; discovery carries no IP.
	etherPPPoE = 0x8864
)

// Decode fills v from p.
func Decode(v *View, p *pcap.Packet) Outcome {
	v.Time = p.Time
	d := p.Data
	v.Key.VLAN = [2]uint16{}
	switch p.Link {
	case pcap.LinkEthernet:
		if len(d) < 14 {
			return Malformed
		}
		return v.etherType(binary.BigEndian.Uint16(d[12:]), d[14:], p)
	case pcap.LinkSLL:
		if len(d) < 16 {
			return Malformed
		}
		return v.etherType(binary.BigEndian.Uint16(d[14:]), d[16:], p)
	case pcap.LinkSLL2:
		if len(d) < 20 {
			return Malformed
		}
		return v.etherType(binary.BigEndian.Uint16(d), d[20:], p)
	case pcap.LinkRaw, pcap.LinkRawBSD, pcap.LinkRawOpenBSD, pcap.LinkIPv4, pcap.LinkIPv6:
		return v.rawIP(d, p)
	case pcap.LinkNull, pcap.LinkLoop:
		if len(d) < 4 {
			return Malformed
		}
		// The family is in the byte order of the capturing host and its
		// number for IPv6 differs by system, so IP's own version decides.
		if f := binary.LittleEndian.Uint32(d); !isFamily(f) && !isFamily(binary.BigEndian.Uint32(d)) {
			return NotIP
		}
		return v.rawIP(d[4:], p)
	case pcap.LinkPPP, pcap.LinkFDDI, pcap.LinkIEEE80211, pcap.LinkPFLog, pcap.LinkPrism, pcap.LinkRadiotap:
		return v.slow(layers.LinkType(p.Link), d, p)
	}
	return Refused
}

// isFamily knows AF_INET and the AF_INET6 of Linux, BSD, macOS and Windows.
func isFamily(f uint32) bool {
	switch f {
	case 2, 10, 23, 24, 28, 30:
		return true
	}
	return false
}

func (v *View) rawIP(d []byte, p *pcap.Packet) Outcome {
	if len(d) == 0 {
		return Malformed
	}
	switch d[0] >> 4 {
	case 4:
		return v.ipv4(d, p)
	case 6:
		return v.ipv6(d, p)
	}
	return NotIP
}

func (v *View) etherType(t uint16, d []byte, p *pcap.Packet) Outcome {
	for tags := 0; ; tags++ {
		switch t {
		case etherIPv4:
			return v.ipv4(d, p)
		case etherIPv6:
			return v.ipv6(d, p)
		case etherVLAN, etherQinQ, etherOld:
			if len(d) < 4 {
				return Malformed
			}
			if tags < len(v.Key.VLAN) {
				v.Key.VLAN[tags] = binary.BigEndian.Uint16(d) & 0x0fff
			}
			t, d = binary.BigEndian.Uint16(d[2:]), d[4:]
		case etherPPPoE:
			return v.slow(layers.LayerTypePPPoE, d, p)
		case etherMPLS:
			return v.slow(layers.LayerTypeMPLS, d, p)
		default:
			return NotIP
		}
	}
}

func (v *View) ipv4(d []byte, p *pcap.Packet) Outcome {
	if len(d) < 20 {
		return Malformed
	}
	head := int(d[0]&15) * 4
	if d[0]>>4 != 4 || head < 20 || head > len(d) {
		return Malformed
	}
	total := int(binary.BigEndian.Uint16(d[2:]))
	wire := int(p.WireLen) - (len(p.Data) - len(d)) // of the IP packet, as far as the link layer knows
	if total == 0 {
		total = wire // segmentation offload leaves the length empty
	}
	if total < head {
		return Malformed
	}
	v.Bytes = uint32(total)
	v.Truncated = total > len(d)
	if total < len(d) {
		d = d[:total] // padding of short Ethernet frames
	}
	var src, dst flow.Endpoint
	copy(src.Addr[:4], d[12:16])
	copy(dst.Addr[:4], d[16:20])
	v.Key.Version, v.Key.Protocol = 4, uint16(d[9])
	if binary.BigEndian.Uint16(d[6:])&0x1fff != 0 {
		return Fragment
	}
	return v.transport(d[9], d[head:], total-head, &src, &dst)
}

func (v *View) ipv6(d []byte, p *pcap.Packet) Outcome {
	if len(d) < 40 || d[0]>>4 != 6 {
		return Malformed
	}
	total := int(binary.BigEndian.Uint16(d[4:])) + 40
	wire := int(p.WireLen) - (len(p.Data) - len(d))
	if total == 40 && d[6] != 59 && wire > 40 {
		total = wire // jumbogram or segmentation offload
	}
	v.Bytes = uint32(total)
	v.Truncated = total > len(d)
	if total < len(d) {
		d = d[:total]
	}
	src, dst := flow.Endpoint{Addr: [16]byte(d[8:24])}, flow.Endpoint{Addr: [16]byte(d[24:40])}
	v.Key.Version = 6
	next, at := d[6], 40
	for {
		switch next {
		case 0, 43, 60, 135, 139, 140: // hop-by-hop, routing, destination, mobility, HIP, shim6
			if len(d) < at+8 {
				return Malformed
			}
			next, at = d[at], at+int(d[at+1])*8+8
		case 51: // authentication header counts in words of four
			if len(d) < at+8 {
				return Malformed
			}
			next, at = d[at], at+int(d[at+1])*4+8
		case 44:
			if len(d) < at+8 {
				return Malformed
			}
			later := binary.BigEndian.Uint16(d[at+2:])&0xfff8 != 0
			next, at = d[at], at+8
			if later {
				v.Key.Protocol = uint16(next)
				return Fragment
			}
		default:
			if at > len(d) {
				return Malformed
			}
			v.Key.Protocol = uint16(next)
			return v.transport(next, d[at:], total-at, &src, &dst)
		}
	}
}

// transport reads ports and payload. d is what was captured of length bytes.
func (v *View) transport(proto byte, d []byte, length int, src, dst *flow.Endpoint) Outcome {
	head := 0
	v.Flags = 0
	switch proto {
	case ProtocolTCP:
		if len(d) < 20 {
			return Malformed
		}
		head = int(d[12]>>4) * 4
		if head < 20 || head > length {
			return Malformed
		}
		v.Seq, v.Ack, v.Flags = binary.BigEndian.Uint32(d[4:]), binary.BigEndian.Uint32(d[8:]), d[13]
	case ProtocolUDP:
		if len(d) < 8 {
			return Malformed
		}
		head = 8
		if n := int(binary.BigEndian.Uint16(d[4:])); n >= 8 && n < length {
			length = n
			d = d[:min(n, len(d))]
		}
	case ProtocolSCTP:
		if len(d) < 12 {
			return Malformed
		}
		head = 12
	}
	if head > 0 {
		src.Port, dst.Port = binary.BigEndian.Uint16(d), binary.BigEndian.Uint16(d[2:])
	}
	v.Payload = d[min(head, len(d)):]
	v.Length = uint32(length - head)
	v.Forward = v.Key.SetEndpoints(src, dst)
	return OK
}
