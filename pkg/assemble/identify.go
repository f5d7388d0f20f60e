package assemble

import (
	"bytes"
	"encoding/binary"

	"trench/pkg/dnswire"
	"trench/pkg/flow"
	"trench/pkg/httpwire"
	"trench/pkg/tlswire"
)

// identifyBytes is how many bytes a text protocol may need to be recognised.
const identifyBytes = 16

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

// identifyStream recognises the protocol of a TCP stream by its first bytes.
func identifyStream(b []byte) (flow.App, sender) {
	if len(b) > tlswire.RecordHeaderLen && tlswire.LooksLikeRecord(b) {
		if from, ok := identifyTLS(b); ok {
			return flow.AppTLS, from
		}
	}
	if _, ok := tlswire.SSLv2Hello(b); ok {
		return flow.AppTLS, senderClient
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
	body := b[tlswire.RecordHeaderLen:]
	n := int(binary.BigEndian.Uint16(b[3:]))
	if n == 0 {
		return senderUnknown, false
	}
	if b[0] == tlswire.RecordHandshake {
		switch body[0] {
		case tlswire.MessageClientHello:
			return senderClient, true
		case tlswire.MessageServerHello:
			return senderServer, true
		}
	}
	if len(body) >= n+tlswire.RecordHeaderLen {
		return senderUnknown, tlswire.LooksLikeRecord(body[n:])
	}
	return senderUnknown, true
}

// identifyDatagram recognises the protocol of a UDP payload.
func identifyDatagram(b []byte) (flow.App, sender) {
	switch {
	case len(b) >= 13 && isDTLS(b):
		if b[0] == tlswire.RecordHandshake && len(b) > 13 {
			switch b[13] {
			case tlswire.MessageClientHello:
				return flow.AppDTLS, senderClient
			case tlswire.MessageServerHello, 3: // HelloVerifyRequest
				return flow.AppDTLS, senderServer
			}
		}
		return flow.AppDTLS, senderUnknown
	case len(b) >= 7 && b[0]&0xc0 == 0xc0 && isQUICVersion(binary.BigEndian.Uint32(b[1:])) && b[5] <= 20:
		return flow.AppQUIC, senderUnknown
	case dnswire.LooksLikeMessage(b):
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
	return b[0] >= tlswire.RecordChangeCipherSpec && b[0] <= tlswire.RecordHeartbeat+1 && (v == 0xfeff || v == 0xfefd || v == 0x0100) &&
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
