package assemble

import (
	"bytes"
	"encoding/binary"

	"trench/pkg/dnswire"
	"trench/pkg/dtlswire"
	"trench/pkg/flow"
	"trench/pkg/httpwire"
	"trench/pkg/identify"
	"trench/pkg/packet"
	"trench/pkg/quicwire"
	"trench/pkg/tlswire"
)

// recognise enters what the first bytes of a side showed.
func (c *conn) recognise(t *Table, app flow.App, from identify.Sender, side int) {
	if c.app == flow.AppUnknown {
		c.app = app
	}
	if c.app != app {
		return
	}
	if !c.tcp.opened() {
		switch from {
		case identify.SenderClient:
			c.client = uint8(side)
		case identify.SenderServer:
			c.client = uint8(1 - side)
		}
	}
	if c.handshakes() {
		t.look(c)
	}
}

// handshakes reports whether the protocol has a TLS handshake.
func (c *conn) handshakes() bool {
	return c.app == flow.AppTLS || c.app == flow.AppQUIC || c.app == flow.AppDTLS
}

// identifyStream recognises the protocol of a TCP stream by its first bytes.
func identifyStream(b []byte) (flow.App, identify.Sender) {
	if len(b) > tlswire.RecordHeaderLen && tlswire.LooksLikeRecord(b) {
		if from, ok := identifyTLS(b); ok {
			return flow.AppTLS, from
		}
	}
	if _, ok := tlswire.SSLv2Hello(b); ok {
		return flow.AppTLS, identify.SenderClient
	}
	if _, ok := tlswire.SSLv2ServerHello(b); ok {
		return flow.AppTLS, identify.SenderServer
	}
	switch {
	case bytes.HasPrefix(b, []byte("SSH-")):
		return flow.AppSSH, identify.SenderUnknown
	case httpwire.LooksLikeRequest(b):
		return flow.AppHTTP, identify.SenderClient
	case httpwire.LooksLikeResponse(b):
		return flow.AppHTTP, identify.SenderServer
	}
	if dnswire.LooksLikeStream(b) {
		return flow.AppDNS, dnsSender(b[2:])
	}
	return identify.Stream(b)
}

// identifyTLS looks past the header of the first record: a handshake must hold
// a handshake message, anything else (the capture began in the middle) must be
// followed by another record header.
func identifyTLS(b []byte) (identify.Sender, bool) {
	body := b[tlswire.RecordHeaderLen:]
	n := int(binary.BigEndian.Uint16(b[3:]))
	if n == 0 {
		return identify.SenderUnknown, false
	}
	if b[0] == tlswire.RecordHandshake {
		switch body[0] {
		case tlswire.MessageClientHello:
			return identify.SenderClient, true
		case tlswire.MessageServerHello:
			return identify.SenderServer, true
		}
	}
	if len(body) >= n+tlswire.RecordHeaderLen {
		return identify.SenderUnknown, tlswire.LooksLikeRecord(body[n:])
	}
	return identify.SenderUnknown, true
}

// identifyDatagram recognises the protocol of a UDP payload.
func identifyDatagram(v *packet.View) (flow.App, identify.Sender) {
	b := v.Payload
	if from, ok := identifyDTLS(b); ok {
		return flow.AppDTLS, from
	}
	switch {
	case quicwire.LooksLikeLongHeader(b), quicwire.LooksLikeInitial(b):
		return flow.AppQUIC, identify.SenderUnknown
	case dnswire.LooksLikeMessage(b):
		return dnsApp(v), dnsSender(b)
	}
	return identify.Datagram(b)
}

// dnsApp tells the protocols apart that share the format of DNS. Their ports are
// part of their definition (RFC 6762, section 3; RFC 4795, section 2).
func dnsApp(v *packet.View) flow.App {
	const dns, mdns, llmnr = 53, 5353, 5355
	switch {
	case v.Key.PortA == dns || v.Key.PortB == dns: // asked from a port of the others
		return flow.AppDNS
	case v.Key.PortA == mdns || v.Key.PortB == mdns:
		return flow.AppMDNS
	case v.Key.PortA == llmnr || v.Key.PortB == llmnr:
		return flow.AppLLMNR
	}
	return flow.AppDNS
}

// dnsSender tells who sent a DNS message.
func dnsSender(b []byte) identify.Sender {
	if b[2]&0x80 != 0 {
		return identify.SenderServer
	}
	return identify.SenderClient
}

// identifyDTLS reports whether a payload is DTLS, and who sent it.
func identifyDTLS(b []byte) (identify.Sender, bool) {
	head, _, typ, ok := dtlswire.LooksLikeRecord(b)
	if !ok {
		return identify.SenderUnknown, false
	}
	if typ == tlswire.RecordHandshake && len(b) > head {
		switch b[head] {
		case tlswire.MessageClientHello:
			return identify.SenderClient, true
		case tlswire.MessageServerHello, tlswire.MessageHelloVerifyRequest:
			return identify.SenderServer, true
		}
	}
	return identify.SenderUnknown, true
}
