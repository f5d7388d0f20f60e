package identify

import (
	"bytes"
	"encoding/binary"

	"trench/pkg/dhcpwire"
	"trench/pkg/flow"
)

// Datagram recognises the protocol by one UDP payload, which must be whole.
func Datagram(b []byte) (flow.App, Sender) {
	if len(b) < 8 {
		return flow.AppUnknown, SenderUnknown
	}
	if printable(b[0]) && printable(b[1]) && printable(b[2]) && printable(b[3]) {
		if p, from := datagramText(b); p != flow.AppUnknown {
			return p, from
		}
	}
	switch c := b[0]; {
	case c == 0 && (b[1] == 1 || b[1] == 2) && tftp(b):
		return flow.AppTFTP, SenderClient
	case c == 0 && has(b, "\x00\x00\x04\x17\x27\x10\x19\x80") && len(b) == 16:
		return flow.AppBitTorrent, SenderClient // BEP 15, connect
	case c == 0 && b[1]|b[2]|b[3] == 0 && len(b) > 32:
		return ike(b[4:]) // behind the marker of RFC 3948, section 2.2
	case c&0xc0 == 0 && len(b) >= 20 && stunLength(b):
		return stun(b)
	case c <= 2 && dhcpwire.Version(b) == 4:
		return flow.AppDHCP, requestIf(c == 1)
	case c >= 1 && c <= 4 && b[1]|b[2]|b[3] == 0 && wireguard(b):
		return flow.AppWireGuard, SenderUnknown
	case c == 4 && dcerpcDatagram(b):
		return flow.AppDCERPC, requestIf(b[1] == 0)
	case c == 5 && b[1] == 0x64:
		return dnp3(b)
	case c <= 13 && dhcpwire.Version(b) == 6:
		return flow.AppDHCPv6, requestIf(c != 2 && c != 7 && c != 10 && c != 13)
	case c >= 1 && c <= 45 && radius(b):
		return flow.AppRADIUS, requestIf(c == 1 || c == 4 || c == 12 || c == 40 || c == 43)
	case c >= 0x10 && c <= 0x12 && len(b) > 15+netbiosNameLen && netbiosName(b[14:]):
		return flow.AppNetBIOSDatagram, SenderClient
	case c == 0x30:
		if p, from := snmp(b); p != flow.AppUnknown {
			return p, from
		}
		return ldap(b)
	case c == 0x38 || c == 0x40 || c == 0x50:
		if p, from := openvpn(b); p != flow.AppUnknown {
			return p, from
		}
	case c == 0x41 && utpSYN(b):
		return flow.AppBitTorrent, SenderClient
	case c >= 0x6a && c <= 0x7e && kerberos(b, len(b)):
		return flow.AppKerberos, kerberosSender(c)
	case c == 0x81 && bacnet(b):
		return flow.AppBACnet, SenderUnknown
	case c>>5 == 4 && (b[1] == 200 || b[1] == 201) && rtcp(b):
		return flow.AppRTCP, SenderUnknown
	case c == 0xc8 && b[1] == 2 && len(b) >= 20 && int(binary.BigEndian.Uint16(b[2:])) == len(b) && string(b[14:18]) == "\x00\x00\x00\x00" && b[12]&0xfc == 0x80 && b[13] == 8:
		return flow.AppL2TP, requestIf(b[18] == 0 && b[19] == 1) // RFC 2661: a control message; SCCRQ
	}
	if c := b[0]; c>>6 == 1 && coap(b) {
		return flow.AppCoAP, SenderClient
	}
	switch {
	case len(b) >= 50 && b[12] == netbiosNameLen && netbiosName(b[12:]) && b[45] == 0 && b[46] == 0 && (b[47] == 0x20 || b[47] == 0x21):
		return flow.AppNetBIOSName, requestIf(b[2]&0x80 == 0) // RFC 1002, section 4.2
	case len(b) >= 28 && b[24]|b[25] == 0 && int(binary.BigEndian.Uint32(b[24:])) == len(b):
		return ike(b)
	case len(b) >= 24 && b[4]|b[5]|b[6] == 0:
		if p, from := rpc(b); p != flow.AppUnknown {
			return p, from
		}
	}
	switch {
	case len(b) >= 48:
		return ntp(b)
	case b[0]&7 >= 6:
		return ntpControl(b)
	}
	return flow.AppUnknown, SenderUnknown
}

// datagramText recognises what begins with text.
func datagramText(b []byte) (flow.App, Sender) {
	switch b[0] {
	case 'B':
		if has(b, "BT-SEARCH * HTTP/1.1\r\n") { // BEP 14
			return flow.AppBitTorrent, SenderClient
		}
	case 'M':
		if has(b, "M-SEARCH * HTTP/1.1\r\n") {
			return flow.AppSSDP, SenderClient
		}
	case 'N':
		if has(b, "NOTIFY * HTTP/1.1\r\n") {
			return flow.AppSSDP, SenderClient
		}
	case 'H':
		if head := b[:min(len(b), 1024)]; has(b, "HTTP/1.1 200 OK\r\n") && (containsFold(head, "\nst:") || containsFold(head, "\nusn:")) {
			return flow.AppSSDP, SenderServer
		}
	case 'S':
		if len(b) > 8 && has(b, "SIP/2.0 ") && digit(b[8]) {
			return flow.AppSIP, SenderServer
		}
	case 'd':
		return dht(b)
	case '<':
		if syslog(b) {
			return flow.AppSyslog, SenderClient
		}
	default:
		line, whole := firstLine(b[:min(len(b), textBytes)])
		if whole && bytes.HasSuffix(line, []byte(" SIP/2.0")) && allPrintable(line) {
			return flow.AppSIP, SenderUnknown
		}
	}
	return flow.AppUnknown, SenderUnknown
}

// dht recognises a message of BitTorrent's DHT (BEP 5): a dictionary whose keys
// are in order, "a" or "r" with the id of the sender before all others, or "e".
func dht(b []byte) (flow.App, Sender) {
	if has(b, "d2:ip") { // BEP 42
		if i := bytes.Index(b[:min(len(b), 40)], []byte("1:rd2:id20:")); i > 0 {
			return flow.AppBitTorrent, SenderServer
		}
	}
	switch {
	case has(b, "d1:ad2:id20:"):
		return flow.AppBitTorrent, SenderClient
	case has(b, "d1:rd2:id20:"), has(b, "d1:eli20"):
		return flow.AppBitTorrent, SenderServer
	}
	return flow.AppUnknown, SenderUnknown
}

// tftp recognises a request (RFC 1350): 00 01|02 | name 0 | mode 0.
func tftp(b []byte) bool {
	name, rest, ok := bytes.Cut(b[2:], []byte{0})
	if !ok || !allPrintable(name) {
		return false
	}
	mode, _, ok := bytes.Cut(rest, []byte{0})
	return ok && (equalFold(mode, "octet") || equalFold(mode, "netascii") || equalFold(mode, "mail"))
}

// stunLength recognises a header of STUN with its cookie, or one of RFC 3489
// by its type and attributes that fill the message.
func stunLength(b []byte) bool {
	n := int(binary.BigEndian.Uint16(b[2:]))
	if string(b[4:8]) == stunCookie {
		return n <= len(b)-20
	}
	if b[0] > 1 || b[1] == 0 || b[1] > 2 && b[1] != 0x11 && b[1] != 0x12 || n != len(b)-20 {
		return false
	}
	for b = b[20:]; len(b) > 0; {
		if len(b) < 4 {
			return false
		}
		size := 4 + (int(binary.BigEndian.Uint16(b[2:]))+3)&^3
		if size > len(b) || b[0] > 1 && b[0] != 0x80 {
			return false
		}
		b = b[size:]
	}
	return true
}

// wireguard recognises the four messages: type 1 | 000000, and the lengths of the
// handshake ones; data ends with whole blocks and its counter is small.
func wireguard(b []byte) bool {
	switch b[0] {
	case 1:
		return len(b) == 148
	case 2:
		return len(b) == 92
	case 3:
		return len(b) == 64
	}
	return len(b) >= 32 && len(b)%16 == 0 && b[12]|b[13]|b[14]|b[15] == 0
}

// dcerpcDatagram recognises the connectionless protocol (C706, section 12.5):
// 04 | type 1 | flags 2 | representation 3 | … | length 2 at 74 of what follows 80.
func dcerpcDatagram(b []byte) bool {
	if len(b) < 80 || b[1] > 10 || b[4]&^0x10 != 0 || b[5]|b[6] != 0 {
		return false
	}
	n := int(binary.LittleEndian.Uint16(b[74:]))
	if b[4] == 0 {
		n = int(binary.BigEndian.Uint16(b[74:]))
	}
	return n == len(b)-80
}

// radius recognises a message (RFC 2865, section 3): code 1 | id 1 | length 2 |
// authenticator 16 | attributes that fill it, at least one.
func radius(b []byte) bool {
	if len(b) < 22 || b[0] > 5 && b[0] < 11 || b[0] > 13 && b[0] < 40 || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return false
	}
	for b = b[20:]; len(b) > 0; {
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) || b[0] == 0 || b[0] > 192 && b[0] < 224 {
			return false
		}
		b = b[b[1]:]
	}
	return true
}

// openvpn recognises the packets that reset a session: opcode and key 1 |
// session 8 | and, without protection, acknowledgements 1 | packet 4. tls-auth
// puts a HMAC, a packet number and a time in between, tls-crypt a packet number, a
// time and a HMAC of the encrypted rest.
func openvpn(b []byte) (flow.App, Sender) {
	if len(b) < 14 || b[0] != 0x38 && b[0] != 0x40 && b[0] != 0x50 {
		return flow.AppUnknown, SenderUnknown
	}
	if b[0] == 0x40 {
		// The server acknowledges packet 0 of the client's session.
		if len(b) == 26 && string(b[9:14]) == "\x01\x00\x00\x00\x00" && string(b[22:26]) == "\x00\x00\x00\x00" {
			return flow.AppOpenVPN, SenderServer
		}
		if len(b) == 26+28 || len(b) == 26+24 || len(b) == 26+40 || len(b) == 26+72 { // HMAC of SHA-1, MD5, SHA-256, SHA-512
			if i := len(b) - 17; string(b[i:i+5]) == "\x01\x00\x00\x00\x00" && string(b[len(b)-4:]) == "\x00\x00\x00\x00" {
				return flow.AppOpenVPN, SenderServer
			}
		}
		return flow.AppUnknown, SenderUnknown
	}
	switch n := len(b); {
	case n == 14, n == 14+24, n == 14+28, n == 14+40, n == 14+72:
		if string(b[n-5:]) == "\x00\x00\x00\x00\x00" {
			return flow.AppOpenVPN, SenderClient
		}
	}
	if len(b) >= 54 && (string(b[9:13]) == "\x00\x00\x00\x01" || string(b[9:13]) == "\x0f\x00\x00\x01") && (len(b) == 54 || b[0] == 0x50) {
		return flow.AppOpenVPN, SenderClient
	}
	return flow.AppUnknown, SenderUnknown
}

// utpSYN recognises the packet that opens a connection of uTP (BEP 29): 41 |
// extension 1 | connection 2 | time 4 | difference 0 | window 4 | sequence 2 | ack 2.
func utpSYN(b []byte) bool {
	return len(b) >= 20 && len(b) <= 40 && b[1] <= 2 && binary.BigEndian.Uint32(b[8:]) == 0 && binary.BigEndian.Uint32(b[4:]) != 0
}

// bacnet recognises BACnet/IP (ANSI/ASHRAE 135, annex J): 81 | function 1 |
// length 2 | NPDU of version 1.
func bacnet(b []byte) bool {
	return (b[1] == 10 || b[1] == 11 || b[1] == 4) && int(binary.BigEndian.Uint16(b[2:])) == len(b) && (b[4] == 1 || b[1] == 4 && len(b) > 10 && b[10] == 1)
}

// rtcp recognises a compound packet (RFC 3550, section 6): the first reports, as
// long as its count says, and all fill the datagram.
//
//	10 | padding 1 bit | count 5 bits | type 1 | length 2, in words, less one | …
func rtcp(b []byte) bool {
	if b[0]&0x20 != 0 {
		return false
	}
	words := 1 + 6*int(b[0]&31)
	if b[1] == 200 {
		words += 5
	}
	if int(binary.BigEndian.Uint16(b[2:])) != words {
		return false
	}
	for len(b) > 0 {
		if len(b) < 4 || b[0]>>6 != 2 || b[1] < 192 || b[1] > 213 {
			return false
		}
		size := 4 * (1 + int(binary.BigEndian.Uint16(b[2:])))
		if size > len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}

// coap recognises a request (RFC 7252, section 3) by a path of at least five
// characters:
//
//	01 | type 2 bits | token 4 bits | code 1 | id 2 | token | options: delta and length 4 bits each
func coap(b []byte) bool {
	i := 4 + int(b[0]&15)
	if i > 12 || b[1] == 0 || b[1] > 7 {
		return false
	}
	option, path := 0, 0
	for i < len(b) && b[i] != 0xff {
		delta, n := int(b[i]>>4), int(b[i]&15)
		i++
		for _, v := range []*int{&delta, &n} {
			switch *v {
			case 13:
				if i >= len(b) {
					return false
				}
				*v += int(b[i])
				i++
			case 14, 15: // longer than any option of a request is
				return false
			}
		}
		option += delta
		if n > len(b)-i || option > 300 {
			return false
		}
		if option == 3 || option == 11 || option == 15 { // host, path, query
			for _, c := range b[i : i+n] {
				if c <= ' ' || c >= 0x7f {
					return false
				}
			}
			if option == 11 {
				path += n
			}
		}
		i += n
	}
	return path >= 5 && (i == len(b) || i+1 < len(b))
}

// ike recognises the header of IKE (RFC 7296, section 3.1, and RFC 2408):
//
//	initiator's SPI 8 | responder's 8 | next 1 | version 1 | exchange 1 | flags 1 | message 4 | length 4
func ike(b []byte) (flow.App, Sender) {
	if len(b) < 28 || int(binary.BigEndian.Uint32(b[24:])) != len(b) || binary.BigEndian.Uint64(b) == 0 {
		return flow.AppUnknown, SenderUnknown
	}
	first := binary.BigEndian.Uint64(b[8:]) == 0
	switch exchange := b[18]; b[17] {
	case 0x10:
		if exchange >= 1 && exchange <= 6 || exchange == 32 || exchange == 33 {
			if first {
				return flow.AppIKE, SenderClient
			}
			return flow.AppIKE, SenderUnknown
		}
	case 0x20:
		if exchange >= 34 && exchange <= 44 {
			return flow.AppIKE, requestIf(b[19]&0x08 != 0)
		}
	}
	return flow.AppUnknown, SenderUnknown
}

// ntp recognises a packet (RFC 5905, section 7.3) with a delay and dispersion of
// less than a second:
//
//	leap 2 bits | version 3 bits | mode 3 bits | stratum 1 | poll 1 | precision 1 |
//	delay 4 | dispersion 4 | reference 4 | times 4*8
func ntp(b []byte) (flow.App, Sender) {
	version, mode := b[0]>>3&7, b[0]&7
	if version < 1 || version > 4 || mode < 1 || mode > 5 || b[1] > 16 ||
		b[2] > 20 && b[2] < 0xfa || b[3] > 0 && b[3] < 0xe0 || b[4] != 0 || b[8] != 0 || b[9] > 64 || b[5] > 64 {
		if mode >= 6 {
			return ntpControl(b)
		}
		return flow.AppUnknown, SenderUnknown
	}
	// Extensions and a digest come in words.
	if len(b)%4 != 0 {
		return flow.AppUnknown, SenderUnknown
	}
	switch mode {
	case 3:
		return flow.AppNTP, SenderClient
	case 4:
		return flow.AppNTP, SenderServer
	}
	return flow.AppNTP, SenderUnknown
}

// ntpControl recognises the control messages (RFC 9327) and the request for a
// list of peers that reflection uses (mode 7).
func ntpControl(b []byte) (flow.App, Sender) {
	switch b[0] & 0xc7 {
	case 6:
		if len(b) < 12 {
			break
		}
		// flags and opcode 1 | sequence 2 | status 2 | association 2 | offset 2 | count 2
		n := int(binary.BigEndian.Uint16(b[10:]))
		if b[0]>>3 >= 1 && b[0]>>3 <= 4 && b[1]&31 <= 12 && b[8] == 0 && b[9] == 0 && b[6] == 0 && b[7] == 0 && len(b) == 12+(n+3)&^3 {
			return flow.AppNTP, requestIf(b[1]&0x80 == 0)
		}
	case 7:
		if b[1] == 0 && b[2] == 3 && (b[3] == 0x2a || b[3] == 0x14) && b[4]|b[5] == 0 {
			return flow.AppNTP, SenderClient
		}
	}
	return flow.AppUnknown, SenderUnknown
}
