package packet

import (
	"encoding/binary"

	"trench/pkg/flow"
	"trench/pkg/pcap"
)

// Steer returns the Spread of the key of p's flow from the raw headers. It knows the plain
// cases only, TCP and UDP over Ethernet, cooked or raw IP; when it is not ok a
// Decoder has to tell: fragments, tunnels, DNS answers (which every worker learns),
// extension headers, other link layers and protocols. When it is ok Decode gives a key with this Spread, or an outcome other than OK.
func Steer(p *pcap.Packet) (spread uint64, ok bool) {
	b := p.Data
	var t uint16
	switch p.Link {
	case pcap.LinkEthernet:
		if len(b) < 34 {
			return 0, false
		}
		t, b = binary.BigEndian.Uint16(b[12:]), b[14:]
	case pcap.LinkSLL:
		if len(b) < 36 {
			return 0, false
		}
		t, b = binary.BigEndian.Uint16(b[14:]), b[16:]
	case pcap.LinkSLL2:
		if len(b) < 40 {
			return 0, false
		}
		t, b = binary.BigEndian.Uint16(b), b[20:]
	case pcap.LinkRaw, pcap.LinkRawBSD, pcap.LinkRawOpenBSD, pcap.LinkIPv4, pcap.LinkIPv6:
		if len(b) < 20 {
			return 0, false
		}
		t = etherIPv4
		if b[0]>>4 == 6 {
			t = etherIPv6
		}
	default:
		return 0, false
	}
	for range 2 {
		if t != etherVLAN && t != etherQinQ || len(b) < 24 {
			break
		}
		t, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	switch t {
	case etherIPv4:
		head := int(b[0]&15) * 4
		if b[0]>>4 != 4 || head < 20 || len(b) < head+4 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return 0, false
		}
		sport, dport := binary.BigEndian.Uint16(b[head:]), binary.BigEndian.Uint16(b[head+2:])
		if proto := b[9]; proto != ProtocolTCP && (proto != ProtocolUDP || isTunnel(sport, dport) || mayBeAnswer(b[head:])) {
			return 0, false
		}
		return flow.SpreadEnds(
			flow.SpreadEnd(uint64(binary.LittleEndian.Uint32(b[12:])), 0, sport),
			flow.SpreadEnd(uint64(binary.LittleEndian.Uint32(b[16:])), 0, dport)), true
	case etherIPv6:
		if len(b) < 44 || b[0]>>4 != 6 {
			return 0, false
		}
		sport, dport := binary.BigEndian.Uint16(b[40:]), binary.BigEndian.Uint16(b[42:])
		if proto := b[6]; proto != ProtocolTCP && (proto != ProtocolUDP || isTunnel(sport, dport) || mayBeAnswer(b[40:])) {
			return 0, false
		}
		return flow.SpreadEnds(
			flow.SpreadEnd(binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), sport),
			flow.SpreadEnd(binary.LittleEndian.Uint64(b[24:]), binary.LittleEndian.Uint64(b[32:]), dport)), true
	}
	return 0, false
}

// mayBeAnswer reports whether a UDP datagram may hold a DNS response: the bit QR is
// set, and there are fewer questions and answers than fill a datagram.
func mayBeAnswer(udp []byte) bool {
	return len(udp) >= 8+12 && udp[8+2]&0x80 != 0 && udp[8+4] == 0 && udp[8+6] < 16
}
