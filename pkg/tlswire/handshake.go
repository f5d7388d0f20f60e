package tlswire

const (
	messageHeaderLen = 4
	maxAlerts        = 16
	maxCertificates  = 64
)

func (h *Handshake) reset() {
	h.Client.reset()
	h.Server.reset()
	h.Second.reset()
	h.Retry.reset()
	*h = Handshake{
		Client:               h.Client,
		Server:               h.Server,
		Second:               h.Second,
		Retry:                h.Retry,
		Certificates:         h.Certificates[:0],
		ClientCertificates:   h.ClientCertificates[:0],
		Alerts:               h.Alerts[:0],
		ServerKeyExchangeLen: -1,
		ClientKeyExchangeLen: -1,
		ServerPSKHintLen:     -1,
		StapleLen:            -1,
		TicketLen:            -1,
		scratch:              h.scratch[:0],
		inflated:             h.inflated[:0],
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
	client, server = h.roles(client, server, firstMessage(client), firstMessage(server))
	if n, ok := SSLv2Hello(client); ok {
		h.ClientSeen = true
		h.Client.parseSSLv2(client[2:n])
		client = client[n:]
		server = h.sslv2Server(server)
	}
	// The server goes first: what it chose tells how to read the client.
	h.records(server, true)
	h.records(client, false)
}

// ParseDTLS is Parse for DTLS, whose datagrams were put into the form of TLS
// before: records in order, without epoch and sequence number, handshake
// messages in order and whole, without message_seq and fragments.
func (h *Handshake) ParseDTLS(client, server []byte) {
	h.reset()
	h.DTLS = true
	client, server = h.roles(client, server, firstMessage(client), firstMessage(server))
	h.records(server, true)
	h.records(client, false)
}

// ParseMessages is Parse for handshake messages that are put end to end
// without records, as in the CRYPTO frames of QUIC (RFC 9001 section 4.1.3).
func (h *Handshake) ParseMessages(client, server []byte) {
	h.reset()
	client, server = h.roles(client, server, firstByte(client), firstByte(server))
	if rest := h.messages(nil, server, true); len(rest) > 0 {
		h.cutMessage(rest, true)
	}
	if rest := h.messages(nil, client, false); len(rest) > 0 {
		h.cutMessage(rest, false)
	}
}

// roles returns the directions by their roles in TLS, which the types of the
// first messages tell.
func (h *Handshake) roles(client, server []byte, firstOfClient, firstOfServer uint8) (c, s []byte) {
	if firstOfClient == MessageServerHello || firstOfClient == MessageHelloVerifyRequest || firstOfServer == MessageClientHello {
		h.Reversed = true
		return server, client
	}
	return client, server
}

func firstByte(b []byte) uint8 {
	if len(b) == 0 {
		return 0
	}
	return b[0]
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
	encrypted, lost := false, false
	for len(in) > 0 {
		if isGap(in) {
			h.cutMessage(rest, fromServer)
			rest, lost = nil, true
			in = in[RecordHeaderLen:]
			continue
		}
		if !LooksLikeRecord(in) {
			h.Incomplete = true
			break
		}
		typ := in[0]
		declared := int(in[3])<<8 | int(in[4])
		in = in[RecordHeaderLen:]
		n := min(declared, len(in))
		if n < declared {
			h.Incomplete = true
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
		case RecordHeartbeat:
			h.heartbeat(body, declared, encrypted || isGap(in)) // what a gap cut declares too much as well
		case RecordHandshake:
			if encrypted && !clearHello(body) {
				h.finished(fromServer)
				continue
			}
			if fromServer && h.ServerSeen && IsTLS13(h.Server.SelectedVersion) {
				continue // nothing is in clear any more
			}
			if lost && !beginsMessage(body) {
				continue
			}
			lost = false
			rest = h.messages(rest, body, fromServer)
		}
	}
	if len(rest) > 0 {
		h.cutMessage(rest, fromServer)
	}
}

// isGap reports whether the header of a RecordGap stands at the front.
func isGap(b []byte) bool {
	return len(b) >= RecordHeaderLen && [RecordHeaderLen]byte(b) == [RecordHeaderLen]byte{RecordGap}
}

// beginsMessage reports whether a record that follows missing bytes seems to begin
// with a message: it may go on with one whose beginning is missing, or be encrypted.
func beginsMessage(body []byte) bool {
	if len(body) < messageHeaderLen || body[1] != 0 {
		return false
	}
	switch body[0] {
	case MessageClientHello, MessageServerHello, MessageNewSessionTicket, MessageCertificate, MessageServerKeyExchange, MessageCertificateRequest,
		MessageServerHelloDone, MessageCertificateVerify, MessageClientKeyExchange, MessageCertificateStatus, MessageCompressedCertificate:
		return true
	}
	return false
}

// clearHello tells a hello in clear after ChangeCipherSpec, as it follows a
// HelloRetryRequest, from an encrypted Finished: the lengths of record and
// message and the version must fit.
func clearHello(body []byte) bool {
	return len(body) > messageHeaderLen+2 &&
		(body[0] == MessageClientHello || body[0] == MessageServerHello) &&
		int(body[1])<<16|int(body[2])<<8|int(body[3]) == len(body)-messageHeaderLen &&
		(body[4] == 3 && body[5] <= 4 || body[4] == VersionDTLS12>>8)
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

// heartbeat counts a record of heartbeat messages and looks into a request that
// can be read (RFC 6520 section 4): type 1 | payload length 2 | payload | padding.
func (h *Handshake) heartbeat(body []byte, length int, hidden bool) {
	const request, headerLen = 1, 3
	h.Heartbeats++
	if r := (reader{b: body}); !hidden && r.u8() == request && headerLen+int(r.u16()) > length && !r.bad {
		h.HeartbeatOverread = true
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
		h.serverMessage(typ, body, length, cut)
	} else {
		h.clientMessage(typ, body, length, cut)
	}
}

func (h *Handshake) serverMessage(typ uint8, body []byte, length int, cut bool) {
	switch typ {
	case MessageHelloRequest:
		h.HelloRequest = h.HelloRequest || length == 0
	case MessageServerHello:
		h.serverHello(body, cut)
	case MessageHelloVerifyRequest:
		h.HelloVerify = h.HelloVerify || h.DTLS
	case MessageNewSessionTicket:
		if !h.NewSessionTicket {
			h.NewSessionTicket = true
			h.newSessionTicket(body)
		}
	case MessageHelloRetryRequest:
		if h.HelloRetry {
			return
		}
		h.HelloRetry = true
		if !h.Retry.parseDraftRetry(body) || cut {
			h.Retry.Incomplete = true
			h.Incomplete = true
		}
	case MessageCertificate:
		if !h.CertificateSeen {
			h.CertificateSeen = true
			h.CertificateBytes = length
			h.Certificates = h.certificates(h.Certificates, body)
		}
	case MessageServerKeyExchange:
		if h.ServerKeyExchangeLen < 0 {
			h.ServerKeyExchangeLen = length
			h.serverKeyExchange(body)
		}
	case MessageCertificateRequest:
		if !h.CertificateRequest {
			h.CertificateRequest = true
			h.certificateRequest(body)
		}
	case MessageServerHelloDone:
		h.ServerHelloDone = true
	case MessageCertificateStatus:
		if !h.OCSPStaple {
			h.OCSPStaple = true
			h.certificateStatus(body)
		}
	case MessageCompressedCertificate:
		if !h.CertificateSeen {
			h.CertificateSeen = true
			h.CertificateCompression, h.CertificateBytes, h.Certificates = h.compressedCertificate(h.Certificates, body)
		}
	}
}

func (h *Handshake) clientMessage(typ uint8, body []byte, length int, cut bool) {
	switch typ {
	case MessageClientHello:
		hello := &h.Client
		switch {
		case !h.ClientSeen:
			h.ClientSeen = true
		case !h.SecondHello:
			h.SecondHello = true
			hello = &h.Second
		default:
			return
		}
		if !hello.parse(body, h.DTLS) || cut {
			hello.Incomplete = true
			h.Incomplete = true
		}
		hello.Length = length
	case MessageCertificate:
		if !h.ClientCertificate {
			h.ClientCertificate = true
			h.ClientCertificateBytes = length
			h.ClientCertificates = h.certificates(h.ClientCertificates, body)
		}
	case MessageCompressedCertificate:
		if !h.ClientCertificate {
			h.ClientCertificate = true
			_, h.ClientCertificateBytes, h.ClientCertificates = h.compressedCertificate(h.ClientCertificates, body)
		}
	case MessageClientKeyExchange:
		if h.ClientKeyExchangeLen < 0 {
			h.ClientKeyExchangeLen = length
		}
	case MessageCertificateVerify:
		if !h.CertificateVerify {
			h.CertificateVerify = true
			if r := (reader{b: body}); h.is12() {
				h.CertificateVerifyAlg = r.u16()
			}
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
		if !whole || cut {
			h.Server.Incomplete = true
			h.Incomplete = true
		}
		h.Retry, h.Server = h.Server, h.Retry
		h.Server.reset()
		return
	}
	h.ServerSeen = true
	if !whole || cut {
		h.Server.Incomplete = true
		h.Incomplete = true
	}
}
