package tlswire

import (
	"math/bits"
	"strings"
)

const (
	messageHeaderLen = 4
	maxAlerts        = 16
	maxCertificates  = 64
)

func (h *Handshake) reset() {
	h.Client.reset()
	h.Server.reset()
	*h = Handshake{
		Client:               h.Client,
		Server:               h.Server,
		Certificates:         h.Certificates[:0],
		Alerts:               h.Alerts[:0],
		ServerKeyExchangeLen: -1,
		ClientKeyExchangeLen: -1,
		scratch:              h.scratch[:0],
		retry:                h.retry,
	}
}

// Parse reads both directions of one connection into h, which it resets first
// and whose memory it reuses. Each argument is a row of whole records with
// their headers; the last may be cut, and application data may have been left
// out. The results alias client, server and memory of h, so they are valid
// until the next Parse and as long as the arguments are not changed.
//
// The parameters are named for the roles in the transport. When it is the
// other side that says ClientHello (FTP in active mode does that) the roles
// in h follow TLS, and Reversed is set.
func (h *Handshake) Parse(client, server []byte) {
	h.reset()
	if firstMessage(client) == MessageServerHello || firstMessage(server) == MessageClientHello {
		h.Reversed = true
		client, server = server, client
	}
	if n, ok := SSLv2Hello(client); ok {
		h.ClientSeen = true
		h.Client.parseSSLv2(client[2:n])
		client = client[n:]
	}
	// The server goes first: what it chose tells how to read the client.
	h.records(server, true)
	h.records(client, false)
}

// firstMessage returns the type of the first handshake message, 0 when the
// direction does not begin with one.
func firstMessage(records []byte) uint8 {
	if len(records) > RecordHeaderLen && LooksLikeRecord(records) && records[0] == RecordHandshake {
		return records[RecordHeaderLen]
	}
	if _, ok := SSLv2Hello(records); ok {
		return MessageClientHello
	}
	return 0
}

// records walks the records of one direction and cuts the handshake bodies
// into messages. rest is a message that began in an earlier record; it lies in
// h.scratch, because only messages that span records are copied.
func (h *Handshake) records(in []byte, fromServer bool) {
	var rest []byte
	encrypted := false
	for len(in) > 0 {
		if !LooksLikeRecord(in) {
			h.Incomplete = true
			break
		}
		typ := in[0]
		n := int(in[3])<<8 | int(in[4])
		in = in[RecordHeaderLen:]
		if n > len(in) {
			h.Incomplete = true
			n = len(in)
		}
		body := in[:n:n]
		in = in[n:]
		switch typ {
		case RecordChangeCipherSpec:
			if fromServer {
				h.ServerCCS = true
			} else {
				h.ClientCCS = true
			}
			encrypted = true
		case RecordAlert:
			h.alerts(body, fromServer, encrypted)
		case RecordHandshake:
			if encrypted && !clearHello(body) {
				h.finished(fromServer)
				continue
			}
			if fromServer && h.ServerSeen && IsTLS13(h.Server.SelectedVersion) {
				continue // nothing is in clear any more
			}
			rest = h.messages(rest, body, fromServer)
		}
	}
	if len(rest) > 0 {
		h.cutMessage(rest, fromServer)
	}
}

// clearHello tells a hello in clear after ChangeCipherSpec, as it follows a
// HelloRetryRequest, from an encrypted Finished: the lengths of record and
// message and the version must fit.
func clearHello(body []byte) bool {
	return len(body) > messageHeaderLen+2 &&
		(body[0] == MessageClientHello || body[0] == MessageServerHello) &&
		int(body[1])<<16|int(body[2])<<8|int(body[3]) == len(body)-messageHeaderLen &&
		body[4] == 3 && body[5] <= 4
}

func (h *Handshake) finished(fromServer bool) {
	if h.ServerSeen && IsTLS13(h.Server.SelectedVersion) {
		return // Finished hides in application data there
	}
	if fromServer {
		h.ServerFinished = true
	} else {
		h.ClientFinished = true
	}
}

// alerts keeps alerts in clear. After ChangeCipherSpec only a body of exactly
// two bytes with a valid level can be one: protection adds at least that much.
func (h *Handshake) alerts(body []byte, fromServer, encrypted bool) {
	if encrypted && len(body) != 2 {
		return
	}
	for ; len(body) >= 2 && len(h.Alerts) < maxAlerts; body = body[2:] {
		if body[0] != 1 && body[0] != 2 {
			return
		}
		h.Alerts = append(h.Alerts, Alert{FromServer: fromServer, Level: body[0], Description: body[1]})
	}
}

// messages reads the messages in body, the first of which may have begun in
// rest, and returns the one that goes on in the next record.
func (h *Handshake) messages(rest, body []byte, fromServer bool) []byte {
	if len(rest) > 0 {
		// Take what completes the header, then what completes the message.
		for len(body) > 0 {
			want := messageHeaderLen
			if len(rest) >= messageHeaderLen {
				want += messageLen(rest)
			}
			if len(rest) == want {
				break
			}
			n := min(want-len(rest), len(body))
			rest = h.extend(rest, body[:n])
			body = body[n:]
		}
		if len(rest) < messageHeaderLen || len(rest) < messageHeaderLen+messageLen(rest) {
			return rest
		}
		h.message(rest[0], rest[messageHeaderLen:], messageLen(rest), fromServer)
	}
	for len(body) > 0 {
		if fromServer && h.ServerSeen && IsTLS13(h.Server.SelectedVersion) {
			return nil
		}
		if len(body) < messageHeaderLen || len(body)-messageHeaderLen < messageLen(body) {
			return h.extend(nil, body)
		}
		n := messageHeaderLen + messageLen(body)
		h.message(body[0], body[messageHeaderLen:n:n], n-messageHeaderLen, fromServer)
		body = body[n:]
	}
	return nil
}

func messageLen(m []byte) int { return int(m[1])<<16 | int(m[2])<<8 | int(m[3]) }

// extend appends b to rest, which is the end of h.scratch or empty.
func (h *Handshake) extend(rest, b []byte) []byte {
	start := len(h.scratch) - len(rest)
	h.scratch = append(h.scratch, b...)
	return h.scratch[start:len(h.scratch):len(h.scratch)]
}

// cutMessage reads a message whose end was not captured.
func (h *Handshake) cutMessage(m []byte, fromServer bool) {
	h.Incomplete = true
	if len(m) >= messageHeaderLen {
		h.message(m[0], m[messageHeaderLen:], messageLen(m), fromServer)
	}
}

// message reads one message, of which body may be the beginning only. length
// is what its header declares.
func (h *Handshake) message(typ uint8, body []byte, length int, fromServer bool) {
	cut := len(body) < length
	if fromServer {
		switch typ {
		case MessageServerHello:
			h.serverHello(body, cut)
		case MessageHelloRetryRequest:
			h.HelloRetry = true
		case MessageCertificate:
			if !h.CertificateSeen {
				h.CertificateSeen = true
				h.CertificateBytes = length
				h.certificates(body)
			}
		case MessageServerKeyExchange:
			if h.ServerKeyExchangeLen < 0 {
				h.ServerKeyExchangeLen = length
				h.serverKeyExchange(body)
			}
		case MessageCertificateRequest:
			h.CertificateRequest = true
		case MessageCertificateStatus:
			h.OCSPStaple = true
		case MessageServerHelloDone:
			h.ServerHelloDone = true
		case MessageNewSessionTicket:
			h.NewSessionTicket = true
		}
		return
	}
	switch typ {
	case MessageClientHello:
		if h.ClientSeen {
			return
		}
		h.ClientSeen = true
		if !h.Client.Parse(body) || cut {
			h.Client.Incomplete = true
			h.Incomplete = true
		}
		h.Client.Length = length
	case MessageCertificate:
		h.ClientCertificate = true
	case MessageClientKeyExchange:
		if h.ClientKeyExchangeLen < 0 {
			h.ClientKeyExchangeLen = length
		}
	}
}

func (h *Handshake) serverHello(body []byte, cut bool) {
	if h.ServerSeen {
		return
	}
	whole := h.Server.Parse(body)
	if h.Server.IsRetry() {
		h.HelloRetry = true
		h.Incomplete = h.Incomplete || cut || !whole
		h.retry, h.Server = h.Server, h.retry
		h.Server.reset()
		return
	}
	h.ServerSeen = true
	if !whole || cut {
		h.Server.Incomplete = true
		h.Incomplete = true
	}
}

// certificates reads the chain (RFC 5246 section 7.4.2): a list <3> of certificates <3>.
// Only whole certificates are kept.
func (h *Handshake) certificates(body []byte) {
	r := reader{b: body}
	list := reader{b: r.vec24()}
	for !list.empty() && len(h.Certificates) < maxCertificates {
		der := list.vec24()
		if list.bad {
			break
		}
		h.Certificates = append(h.Certificates, der)
	}
	if r.bad || !r.empty() || list.bad || !list.empty() {
		h.Incomplete = true
	}
}

// serverKeyExchange reads the group of an ephemeral exchange: a named curve
// (RFC 8422 section 5.4) or the size of the prime (RFC 5246 section 7.4.3).
func (h *Handshake) serverKeyExchange(body []byte) {
	suite := CipherName(h.Server.CipherSuite)
	r := reader{b: body}
	if strings.HasPrefix(suite, "TLS_ECDHE_PSK") || strings.HasPrefix(suite, "TLS_DHE_PSK") {
		r.vec16() // identity hint (RFC 4279, RFC 5489)
	}
	switch {
	case strings.Contains(suite, "ECDH"):
		const namedCurve = 3
		if r.u8() == namedCurve {
			h.ServerGroup = r.u16()
		}
	case strings.Contains(suite, "DHE_"), strings.Contains(suite, "DH_anon"):
		n := int(r.u16())
		p := r.b
		for n > 0 && len(p) > 0 && p[0] == 0 {
			n, p = n-1, p[1:]
		}
		if n > 0 && len(p) > 0 {
			h.ServerDHBits = 8*n - bits.LeadingZeros8(p[0])
		}
	}
}
