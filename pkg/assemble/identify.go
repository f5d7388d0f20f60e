package assemble

import (
	"bytes"
	"encoding/binary"

	"trench/pkg/flow"
	"trench/pkg/httpwire"
)

// TLS content types (RFC 8446, section 5.1; RFC 6520).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplicationData  = 23
	typeHeartbeat        = 24

	messageClientHello = 1
	messageServerHello = 2

	// maxRecordBody is 2^14 and what expansion allowed before TLS 1.3.
	maxRecordBody = 1<<14 + 2048
	// identifyBytes is how many bytes a text protocol may need to be recognised.
	identifyBytes = 16
)

// sender says what a first message tells about who sent it.
type sender uint8

const (
	senderUnknown sender = iota
	senderClient
	senderServer
)

// recognise enters what the first bytes of a side showed.
func (c *conn) recognise(app flow.App, from sender, side int) {
	if c.app == flow.AppUnknown {
		c.app = app
	}
	if c.tcp.opened() || c.app != app {
		return
	}
	switch from {
	case senderClient:
		c.client = uint8(side)
	case senderServer:
		c.client = uint8(1 - side)
	}
}

// plausibleRecord reports whether b starts with a TLS record header.
func plausibleRecord(b []byte) bool {
	return b[0] >= typeChangeCipherSpec && b[0] <= typeHeartbeat && b[1] == 3 && b[2] <= 4 &&
		int(b[3])<<8|int(b[4]) <= maxRecordBody
}

// identifyStream recognises the protocol of a TCP stream by its first bytes.
func identifyStream(b []byte) (flow.App, sender) {
	if len(b) > recordHeader && plausibleRecord(b) {
		if from, ok := identifyTLS(b); ok {
			return flow.AppTLS, from
		}
	}
	switch {
	case bytes.HasPrefix(b, []byte("SSH-")):
		return flow.AppSSH, senderUnknown
	case httpwire.LooksLikeRequest(b):
		return flow.AppHTTP, senderClient
	case httpwire.LooksLikeResponse(b):
		return flow.AppHTTP, senderServer
	}
	return flow.AppUnknown, senderUnknown
}

// identifyTLS looks past the header of the first record: a handshake must hold
// a handshake message, anything else (the capture began in the middle) must be
// followed by another record header.
func identifyTLS(b []byte) (sender, bool) {
	body := b[recordHeader:]
	n := int(binary.BigEndian.Uint16(b[3:]))
	if n == 0 {
		return senderUnknown, false
	}
	if b[0] == typeHandshake {
		switch body[0] {
		case messageClientHello:
			return senderClient, true
		case messageServerHello:
			return senderServer, true
		}
	}
	if len(body) >= n+recordHeader {
		return senderUnknown, plausibleRecord(body[n:])
	}
	return senderUnknown, true
}

// identifyDatagram recognises the protocol of a UDP payload.
func identifyDatagram(b []byte) (flow.App, sender) {
	switch {
	case len(b) >= 13 && isDTLS(b):
		if b[0] == typeHandshake && len(b) > 13 {
			switch b[13] {
			case messageClientHello:
				return flow.AppDTLS, senderClient
			case messageServerHello, 3: // HelloVerifyRequest
				return flow.AppDTLS, senderServer
			}
		}
		return flow.AppDTLS, senderUnknown
	case len(b) >= 7 && b[0]&0xc0 == 0xc0 && isQUICVersion(binary.BigEndian.Uint32(b[1:])) && b[5] <= 20:
		return flow.AppQUIC, senderUnknown
	case isDNS(b):
		if b[2]&0x80 != 0 {
			return flow.AppDNS, senderServer
		}
		return flow.AppDNS, senderClient
	}
	return flow.AppUnknown, senderUnknown
}

// isDTLS checks the record header of DTLS 1.0 and 1.2 (RFC 6347, section 4.1):
// type u8 | version u16 | epoch u16 | sequence u48 | length u16.
func isDTLS(b []byte) bool {
	v := binary.BigEndian.Uint16(b[1:])
	return b[0] >= typeChangeCipherSpec && b[0] <= typeHeartbeat+1 && (v == 0xfeff || v == 0xfefd || v == 0x0100) &&
		int(binary.BigEndian.Uint16(b[11:])) <= len(b)-13
}

// isQUICVersion knows versions 1 and 2, the drafts 22 to 34 and gQUIC with a
// long header.
func isQUICVersion(v uint32) bool {
	switch {
	case v == 1, v == 0x6b3343cf, v >= 0xff000016 && v <= 0xff000022:
		return true
	case v>>8 == 0x513034, v>>8 == 0x513035, v>>8 == 0x543035: // Q04x, Q05x, T05x
		return true
	}
	return false
}

// isDNS checks header and first question of a DNS message (RFC 1035, section
// 4.1); names, counts and flags of other traffic practically never pass.
func isDNS(b []byte) bool {
	if len(b) < 12 || b[2]&0x78 > 5<<3 || b[3]&0x40 != 0 {
		return false
	}
	questions, answers := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	if questions == 0 { // multicast responses carry none
		return b[2]&0x80 != 0 && answers > 0 && answers < 64 && len(b) > 12 && b[12] <= 63
	}
	if questions > 8 || answers > 512 {
		return false
	}
	at := 12
	for {
		if at >= len(b) {
			return false
		}
		n := int(b[at])
		at++
		if n == 0 {
			break
		}
		if n > 63 || at+n > len(b) || at > 12+255 {
			return false
		}
		at += n
	}
	if at+4 > len(b) {
		return false
	}
	typ, class := binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint16(b[at+2:])&0x7fff
	return typ > 0 && (class == 1 || class == 255 || class == 3)
}
