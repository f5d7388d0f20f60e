package fingerprint

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/netip"
)

// IP protocols whose ports, or types and codes, are part of a Community ID.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132
)

// CommunityID returns the Community ID, version 1 with seed 0, of a flow. For
// ICMP and ICMPv6 the client's port is the type of the message that the client
// sent, and the server's port its code, or the type of the counterpart when there is one.
func CommunityID(proto uint8, client, server netip.AddrPort) string {
	var room [2][16]byte
	src, dst := appendAddr(room[0][:0], client.Addr()), appendAddr(room[1][:0], server.Addr())
	sport, dport := client.Port(), server.Port()
	hasPorts, oneWay := true, false
	switch proto {
	case protoICMP:
		dport, oneWay = icmpPeer(icmpReply, sport, dport)
	case protoICMPv6:
		dport, oneWay = icmpPeer(icmpv6Reply, sport, dport)
	case protoTCP, protoUDP, protoSCTP:
	default:
		hasPorts = false
	}
	if !oneWay {
		c := bytes.Compare(src, dst)
		if c > 0 || c == 0 && hasPorts && sport > dport {
			src, dst, sport, dport = dst, src, dport, sport
		}
	}
	var buf [2 + 16 + 16 + 2 + 4]byte
	b := append(buf[:0], 0, 0) // seed
	b = append(b, src...)
	b = append(b, dst...)
	b = append(b, proto, 0)
	if hasPorts {
		b = append(b, byte(sport>>8), byte(sport), byte(dport>>8), byte(dport))
	}
	sum := sha1.Sum(b)
	var text [2 + 28]byte
	copy(text[:], "1:")
	base64.StdEncoding.Encode(text[2:], sum[:])
	return string(text[:])
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		raw := a.As4()
		return append(b, raw[:]...)
	}
	raw := a.As16()
	return append(b, raw[:]...)
}

// icmpPeer returns what stands in for the destination port: the type of the
// reply for message types that have one, else the code, and then the flow has
// one direction only.
func icmpPeer(reply func(uint16) (uint16, bool), typ, code uint16) (port uint16, oneWay bool) {
	if r, ok := reply(typ); ok {
		return r, false
	}
	return code, true
}

// icmpReply pairs the types of RFC 792, RFC 950, RFC 1256 and IANA's list.
func icmpReply(typ uint16) (uint16, bool) {
	switch typ {
	case 8: // echo
		return 0, true
	case 0:
		return 8, true
	case 13: // timestamp
		return 14, true
	case 14:
		return 13, true
	case 15: // information
		return 16, true
	case 16:
		return 15, true
	case 10: // router solicitation
		return 9, true
	case 9:
		return 10, true
	case 17: // address mask
		return 18, true
	case 18:
		return 17, true
	}
	return 0, false
}

// icmpv6Reply pairs the types of RFC 4443, RFC 4861, RFC 2710, RFC 4620 and RFC 6275.
func icmpv6Reply(typ uint16) (uint16, bool) {
	switch typ {
	case 128: // echo
		return 129, true
	case 129:
		return 128, true
	case 133: // router solicitation
		return 134, true
	case 134:
		return 133, true
	case 135: // neighbour solicitation
		return 136, true
	case 136:
		return 135, true
	case 130: // multicast listener
		return 131, true
	case 131:
		return 130, true
	case 139: // who are you
		return 140, true
	case 140:
		return 139, true
	case 144: // home agent address
		return 145, true
	case 145:
		return 144, true
	}
	return 0, false
}
