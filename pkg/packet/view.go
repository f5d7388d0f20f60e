package packet

import (
	"encoding/binary"
	"math/bits"

	"trench/pkg/flow"
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

// View is one decoded packet. IP and Payload alias the packet's bytes, or the
// Decoder's when Packets is above 1: then they are valid until the next Decode.
type View struct {
	Key       flow.Key
	Time      int64  // ns since the Unix epoch
	Forward   bool   // the sender is the A side of Key
	Truncated bool   // cut by the snap length
	Flags     uint8  // TCP
	Window    uint16 // TCP, as sent
	Packets   uint32 // captured packets that it came in: fragments, else 1
	Bytes     uint32 // from the IP header on, on the wire, of all its fragments
	Length    uint32 // transport payload on the wire, at least len(Payload)
	Seq, Ack  uint32 // TCP
	IP        []byte // captured bytes from the IP header on, of the last fragment to come
	Payload   []byte // captured transport payload
}

// TTL returns the time to live of an IPv4 packet, the hop limit of an IPv6 packet.
func (v *View) TTL() uint8 {
	switch {
	case v.Key.Version == 4 && len(v.IP) >= 20:
		return v.IP[8]
	case v.Key.Version == 6 && len(v.IP) >= 40:
		return v.IP[7]
	}
	return 0
}

// TCPOptions returns what was captured of the options in a TCP header. Behind IPv6
// extension headers they are not looked for.
func (v *View) TCPOptions() []byte {
	head := 40
	if v.Key.Version == 4 && len(v.IP) > 0 {
		head = int(v.IP[0]&15) * 4
	} else if len(v.IP) < head || v.IP[6] != ProtocolTCP {
		return nil
	}
	if len(v.IP) < head+20 {
		return nil
	}
	tcp := v.IP[head:]
	return tcp[20:min(max(int(tcp[12]>>4)*4, 20), len(tcp))]
}

// setEnds puts the addresses of an IP header and the ports into the key in
// canonical order.
func (v *View) setEnds(ip []byte, sport, dport uint16) {
	if v.Key.Version == 4 {
		v.setEnds4(binary.BigEndian.Uint32(ip[12:16]), binary.BigEndian.Uint32(ip[16:20]), sport, dport)
		return
	}
	v.setEnds6((*[40]byte)(ip), sport, dport)
}

// setEnds4 has no branch that depends on the direction, because no predictor guesses that one.
func (v *View) setEnds4(src, dst uint32, sport, dport uint16) {
	k := &v.Key
	a, b := uint64(src)<<16|uint64(sport), uint64(dst)<<16|uint64(dport)
	_, less := bits.Sub64(b, a, 0)
	swap := (a ^ b) & -less
	a, b = a^swap, b^swap
	v.Forward = less == 0
	binary.LittleEndian.PutUint64(k.A[:8], uint64(bits.ReverseBytes32(uint32(a>>16))))
	binary.LittleEndian.PutUint64(k.A[8:], 0)
	binary.LittleEndian.PutUint64(k.B[:8], uint64(bits.ReverseBytes32(uint32(b>>16))))
	binary.LittleEndian.PutUint64(k.B[8:], 0)
	k.PortA, k.PortB = uint16(a), uint16(b)
}

func (v *View) setEnds6(ip *[40]byte, sport, dport uint16) {
	k := &v.Key
	aHigh, aLow, aPort := binary.BigEndian.Uint64(ip[8:]), binary.BigEndian.Uint64(ip[16:]), uint64(sport)
	bHigh, bLow, bPort := binary.BigEndian.Uint64(ip[24:]), binary.BigEndian.Uint64(ip[32:]), uint64(dport)
	_, less := bits.Sub64(bPort, aPort, 0)
	_, less = bits.Sub64(bLow, aLow, less)
	_, less = bits.Sub64(bHigh, aHigh, less)
	v.Forward = less == 0
	swap := (aHigh ^ bHigh) & -less
	binary.BigEndian.PutUint64(k.A[:8], aHigh^swap)
	binary.BigEndian.PutUint64(k.B[:8], bHigh^swap)
	swap = (aLow ^ bLow) & -less
	binary.BigEndian.PutUint64(k.A[8:], aLow^swap)
	binary.BigEndian.PutUint64(k.B[8:], bLow^swap)
	swap = (aPort ^ bPort) & -less
	k.PortA, k.PortB = uint16(aPort^swap), uint16(bPort^swap)
}

// addVLAN keeps the first two ids. Tag 0 carries a priority only, and often in one direction only.
func (v *View) addVLAN(id uint16) {
	switch {
	case id == 0:
	case v.Key.VLAN[0] == 0:
		v.Key.VLAN[0] = id
	case v.Key.VLAN[1] == 0:
		v.Key.VLAN[1] = id
	}
}
