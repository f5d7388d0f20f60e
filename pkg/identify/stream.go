package identify

import (
	"encoding/binary"

	"trench/pkg/flow"
)

// Lengths from which on NeedsMore gives up.
const (
	enoughText   = 64 // of bytes that are all text: a first line
	enoughBinary = 48 // of others: more than any recogniser's fixed bytes
)

// Stream recognises the protocol by the first bytes of one side of a TCP stream.
func Stream(b []byte) (flow.App, Sender) {
	if len(b) < 3 {
		return flow.AppUnknown, SenderUnknown
	}
	if len(b) >= 4 && printable(b[0]) && printable(b[1]) && (printable(b[2]) || lineEnd(b[2])) && (printable(b[3]) || lineEnd(b[3])) {
		return text(b)
	}
	switch c := b[0]; {
	case c == 0:
		return zeroFirst(b)
	case c == 0x01 && diameter(b):
		return flow.AppDiameter, requestIf(b[4]&0x80 != 0)
	case c == 0x01 && amqpStart(b):
		return flow.AppAMQP, SenderServer
	case c == 0x03 && rtmp(b):
		return flow.AppRTMP, SenderUnknown
	case c == 0x03 && b[1] == 0:
		return tpkt(b)
	case c >= 0x03 && c <= 0x05 && cassandra(b):
		return flow.AppCassandra, SenderClient
	case c == 0x04 && b[1] == 1 && tdsPrelogin(b):
		return flow.AppTDS, SenderServer
	case c == 0x04 && socks4(b):
		return flow.AppSOCKS4, SenderClient
	case c == 0x05 && b[1] == 0:
		return dcerpc(b)
	case c == 0x05 && b[1] == 0x64:
		return dnp3(b)
	case c == 0x05 && socks5(b):
		return flow.AppSOCKS5, SenderClient
	case c == '\r' && has(b, "\r\n\r\n\x00\r\nQUIT\n"): // version 2 of the PROXY protocol (section 2.2)
		return flow.AppPROXY, SenderClient
	case c == 0x10 && mqtt(b):
		return flow.AppMQTT, SenderClient
	case c == 0x10 && tdsLogin(b), c == 0x12 && tdsPrelogin(b):
		return flow.AppTDS, SenderClient
	case c == 0x13 && has(b, "\x13BitTorrent protocol"):
		return flow.AppBitTorrent, SenderUnknown
	case c == 0x17 && has(b, "\x17\x24\x0a\x20\x00"):
		return flow.AppTeamViewer, SenderUnknown
	case c == 0x30:
		return ldap(b)
	case c == 'B' && has(b, "B\x00\x00\x0b\x00\x00"), c == 'l' && has(b, "l\x00\x0b\x00\x00\x00"):
		return flow.AppX11, SenderClient
	case c == 'R':
		if postgresAuth(b) {
			return flow.AppPostgreSQL, SenderServer
		}
	case c == 'e' && enip(b):
		return flow.AppENIP, requestIf(binary.LittleEndian.Uint32(b[4:]) == 0)
	case c == 'h' && len(b) >= 6 && b[1] == 4 && string(b[3:6]) == "\x00\x00\x00" && (b[2] == 0x07 || b[2] == 0x0b):
		return flow.AppIEC104, requestIf(b[2] == 0x07) // STARTDT act and con (IEC 60870-5-104, section 5.3)
	case c == 0x81 || c == 0x82 || c == 0x83:
		if netbiosSession(b) {
			return flow.AppNetBIOSSession, requestIf(c == 0x81)
		}
	case c == 0xf9 && has(b, "\xf9\xbe\xb4\xd9version\x00\x00\x00\x00\x00"):
		return flow.AppBitcoin, SenderUnknown
	case c == 0xff && telnet(b):
		return flow.AppTelnet, SenderUnknown
	case c == 0xff && bgp(b):
		return flow.AppBGP, SenderUnknown
	}
	return freeFirst(b)
}

// freeFirst recognises the protocols whose first byte may be any.
func freeFirst(b []byte) (flow.App, Sender) {
	if len(b) < 8 {
		return flow.AppUnknown, SenderUnknown
	}
	switch {
	case b[1] == 0 && b[2] == 0 && b[3] == 0 && mysqlGreeting(b):
		return flow.AppMySQL, SenderServer
	case b[3] == 1 && mysqlLogin(b):
		return flow.AppMySQL, SenderClient
	case b[2] == 0 && b[3] == 0 && b[4] == 0 && modbus(b):
		return flow.AppModbus, SenderUnknown
	case len(b) >= 22 && string(b[6:10]) == stunCookie && binary.BigEndian.Uint16(b) == 20+binary.BigEndian.Uint16(b[4:]):
		return stun(b[2:]) // framed (RFC 4571)
	}
	if b[0]&0x80 != 0 && len(b) >= 28 && b[8]|b[9]|b[10] == 0 {
		if p, from := rpc(b[4:]); p != flow.AppUnknown {
			return p, from
		}
	}
	if len(b) >= 16 && b[14] == 0 && b[15] == 0 {
		if p, from := mongodb(b); p != flow.AppUnknown {
			return p, from
		}
	}
	if n := int(binary.BigEndian.Uint16(b)); n >= 14 && n <= len(b)-2 && n < 512 {
		return openvpn(b[2 : 2+n])
	}
	return flow.AppUnknown, SenderUnknown
}

// zeroFirst recognises what begins with zero: mostly a length.
func zeroFirst(b []byte) (flow.App, Sender) {
	if len(b) < 8 {
		return flow.AppUnknown, SenderUnknown
	}
	switch {
	case string(b[5:8]) == "SMB" && b[4] >= 0xfc:
		return flow.AppSMB, smbSender(b[4:])
	case b[4] >= 0x6a && b[4] <= 0x7e:
		if n := binary.BigEndian.Uint32(b); n < 1<<20 && kerberos(b[4:], int(n)) {
			return flow.AppKerberos, kerberosSender(b[4])
		}
	case postgresStartup(b):
		return flow.AppPostgreSQL, SenderClient
	case len(b) >= 12 && string(b[2:8]) == "\x00\x01\x1a\x2b\x3c\x4d":
		return flow.AppPPTP, requestIf(b[9]&1 != 0) // RFC 2637, section 2: message type, magic cookie, control type
	case kafka(b):
		return flow.AppKafka, SenderClient
	case string(b[4:8]) == stunCookie && len(b) >= 20:
		return stun(b)
	}
	return freeFirst(b)
}

// NeedsMore reports whether b is so short that more bytes of the side might let
// Stream name what it does not name yet. It is false from 64 bytes on, and from
// 48 on unless all are text.
func NeedsMore(b []byte) bool {
	if len(b) >= enoughText {
		return false
	}
	if len(b) >= enoughBinary {
		for _, c := range b {
			if !printable(c) && !lineEnd(c) {
				return false
			}
		}
	}
	p, _ := Stream(b)
	return p == flow.AppUnknown
}

func has(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func printable(c byte) bool { return c >= ' ' && c < 0x7f }

func lineEnd(c byte) bool { return c == '\r' || c == '\n' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

// requestIf is SenderClient for a request, else SenderServer.
func requestIf(request bool) Sender {
	if request {
		return SenderClient
	}
	return SenderServer
}
