package tlswire

const (
	sslv2HeaderLen = 2 + 1 + 2 + 3*2
	sslv2MaxSpecs  = 3 * 256
)

// SSLv2Hello reports whether b begins with a whole ClientHello in the format
// of SSL 2.0, and the length of its record. All lengths inside must add up, so
// that other traffic is not mistaken for it.
func SSLv2Hello(b []byte) (n int, ok bool) {
	if len(b) < sslv2HeaderLen || b[0]&0x80 == 0 || b[2] != MessageClientHello {
		return 0, false
	}
	r := reader{b: b[3:sslv2HeaderLen]}
	version := r.u16()
	specs, session, challenge := int(r.u16()), int(r.u16()), int(r.u16())
	n = 2 + int(b[0]&0x7f)<<8 + int(b[1])
	return n, (version == VersionSSL20 || version>>8 == 3 && version&0xff <= 4) &&
		specs > 0 && specs%3 == 0 && specs <= sslv2MaxSpecs &&
		(session == 0 || session == 16) && challenge >= 16 && challenge <= 32 &&
		sslv2HeaderLen+specs+session+challenge == n && n <= len(b)
}

// parseSSLv2 reads a message that SSLv2Hello accepted. Suites of SSL 2.0
// itself, whose first byte is not 0, are no suites of TLS and are left out.
func (h *ClientHello) parseSSLv2(msg []byte) {
	h.reset()
	h.SSLv2 = true
	h.Length = len(msg)
	r := reader{b: msg[1:]}
	h.Version = r.u16()
	specs, session, challenge := int(r.u16()), int(r.u16()), int(r.u16())
	for list := r.bytes(specs); len(list) >= 3; list = list[3:] {
		if list[0] == 0 {
			h.CipherSuites = append(h.CipherSuites, uint16(list[1])<<8|uint16(list[2]))
		}
	}
	h.SessionID = r.bytes(session)
	c := r.bytes(challenge) // stands right-aligned for the random
	copy(h.Random[len(h.Random)-len(c):], c)
}

// messageSSLv2ServerHello is the type of the ServerHello of SSL 2.0.
const messageSSLv2ServerHello = 4

const sslv2ServerHeaderLen = 2 + 1 + 1 + 1 + 2 + 3*2

// SSLv2ServerHello reports whether b begins with the ServerHello of a server that
// speaks SSL 2.0 only, and the length of its record, of which only the first 13
// bytes have to be there. All lengths inside must add up.
func SSLv2ServerHello(b []byte) (n int, ok bool) {
	if len(b) < sslv2ServerHeaderLen || b[0]&0x80 == 0 || b[2] != messageSSLv2ServerHello {
		return 0, false
	}
	r := reader{b: b[5:sslv2ServerHeaderLen]}
	version := r.u16()
	certificate, specs, id := int(r.u16()), int(r.u16()), int(r.u16())
	n = 2 + int(b[0]&0x7f)<<8 + int(b[1])
	return n, version == VersionSSL20 && sslv2ServerHeaderLen+certificate+specs+id == n
}

// sslv2Server reads the ServerHello of a server that speaks SSL 2.0 only, and
// returns what is left for TLS: nothing then, else in.
func (h *Handshake) sslv2Server(in []byte) []byte {
	if _, ok := SSLv2ServerHello(in); !ok {
		return in
	}
	h.SSLv2Server = true
	r := reader{b: in[7:]}
	certificate, specs, id := int(r.u16()), int(r.u16()), int(r.u16())
	if der := r.bytes(certificate); len(der) > 0 && !r.bad {
		h.CertificateSeen = true
		h.CertificateBytes = certificate
		h.Certificates = append(h.Certificates, der)
	}
	if r.bytes(specs + id); r.bad {
		h.Incomplete = true
	}
	return nil
}
