package packet

// icmpPorts returns what stands in for the ports of an ICMP message, as in Zeek
// and in the Community ID: the type, and the type of the counterpart for requests
// and replies, so that both directions are one flow; the code for all others.
func icmpPorts(proto, typ, code byte) (src, dst uint16) {
	peers := icmpPeers[:]
	if proto == ProtocolICMPv6 {
		peers = icmpv6Peers[:]
	}
	for _, p := range peers {
		switch typ {
		case p[0]:
			return uint16(typ), uint16(p[1])
		case p[1]:
			return uint16(typ), uint16(p[0])
		}
	}
	return uint16(typ), uint16(code)
}

// Requests and their replies.
var (
	icmpPeers = [...][2]byte{
		{8, 0},   // echo
		{13, 14}, // timestamp
		{15, 16}, // information
		{10, 9},  // router solicitation and advertisement
		{17, 18}, // address mask
	}
	icmpv6Peers = [...][2]byte{
		{128, 129}, // echo
		{133, 134}, // router solicitation and advertisement
		{135, 136}, // neighbour solicitation and advertisement
		{130, 131}, // multicast listener query and report
		{139, 140}, // node information
		{144, 145}, // home agent address discovery
	}
)
