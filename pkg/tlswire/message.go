package tlswire

import (
	"math/bits"
	"strings"
)

// certificates appends a chain (RFC 5246 section 7.4.2) to chain: a list <3> of
// certificates <3>. Only whole certificates are kept.
func (h *Handshake) certificates(chain [][]byte, body []byte) [][]byte {
	r := reader{b: body}
	list := reader{b: r.vec24()}
	for !list.empty() && len(chain) < maxCertificates {
		der := list.vec24()
		if list.bad {
			break
		}
		chain = append(chain, der)
	}
	if r.bad || !r.empty() || list.bad || !list.empty() {
		h.Incomplete = true
	}
	return chain
}

// Curve types of ServerKeyExchange (RFC 8422 section 5.4).
const (
	curveExplicitPrime = 1
	curveExplicitChar2 = 2
	curveNamed         = 3
)

// serverKeyExchange reads the group of an ephemeral exchange and what signs it.
// By the suite the message is made of
//
//	PSK:    identity hint <2>                                (RFC 4279, RFC 5489)
//	ECDHE:  curve type 1 | named curve 2 or its parameters | point <1>  (RFC 8422 section 5.4)
//	DHE:    prime <2> | generator <2> | public value <2>     (RFC 5246 section 7.4.3)
//	RSA:    modulus <2> | exponent <2>                       (export keys)
//	signed: in TLS 1.2 algorithm 2, then signature <2>
func (h *Handshake) serverKeyExchange(body []byte) {
	suite := CipherName(h.Server.CipherSuite)
	r := reader{b: body}
	psk := strings.Contains(suite, "_PSK_")
	if psk {
		h.ServerPSKHintLen = len(r.vec16())
	}
	switch {
	case strings.Contains(suite, "ECDH"):
		h.curve(&r)
		r.vec8() // public point
	case strings.Contains(suite, "DHE_"), strings.Contains(suite, "DH_anon"):
		h.ServerDHBits = r.integerBits()
		r.vec16() // generator
		r.vec16() // public value
	case strings.HasPrefix(suite, "TLS_RSA_") && !psk: // export suites; with others it is an attack (CVE-2015-0204)
		h.ServerRSABits = r.integerBits()
		r.vec16() // exponent
	default:
		return
	}
	if h.is12() && !psk && !strings.Contains(suite, "_anon_") {
		h.ServerSignatureAlg = r.u16()
	}
}

// integerBits reads an integer <2> and returns its size, also of one that is
// cut.
func (r *reader) integerBits() int {
	n := int(r.u16())
	p := r.bytes(min(n, len(r.b)))
	if len(p) < n {
		r.bad = true
	}
	for n > 0 && len(p) > 0 && p[0] == 0 {
		n, p = n-1, p[1:]
	}
	if n == 0 || len(p) == 0 {
		return 0
	}
	return 8*n - bits.LeadingZeros8(p[0])
}

// curve reads the parameters of a curve. Of an explicit one, which nobody
// should use (RFC 8422 section 5.4), only the type is kept.
func (h *Handshake) curve(r *reader) {
	h.ServerCurveType = r.u8()
	vectors := 0
	switch h.ServerCurveType {
	case curveNamed:
		h.ServerGroup = r.u16()
	case curveExplicitPrime:
		vectors = 6 // p, a, b, base, order, cofactor
	case curveExplicitChar2:
		const trinomial, pentanomial = 1, 2
		r.u16() // m
		switch r.u8() {
		case trinomial:
			vectors = 6 // k, a, b, base, order, cofactor
		case pentanomial:
			vectors = 8 // k1, k2, k3, a, b, base, order, cofactor
		}
	}
	for range vectors {
		r.vec8()
	}
}

// certificateRequest reads what the server asks for (RFC 5246 section 7.4.4): types <1>,
// in TLS 1.2 signature algorithms <2>, names of authorities <2> of <2> each.
func (h *Handshake) certificateRequest(body []byte) {
	r := reader{b: body}
	h.RequestedTypes = r.vec8()
	if h.is12() {
		h.RequestedAlgs = len(r.vec16()) / 2
	}
	for list := (reader{b: r.vec16()}); !list.empty(); h.RequestedAuthorities++ {
		list.vec16()
	}
}

// newSessionTicket reads lifetime hint 4 | ticket <2> (RFC 5077 section 3.3).
func (h *Handshake) newSessionTicket(body []byte) {
	r := reader{b: body}
	h.TicketLifetime = r.u32()
	if n := r.u16(); !r.bad {
		h.TicketLen = int(n)
	}
}

// certificateStatus reads status type 1 | response <3> (RFC 6066 section 8,
// RFC 6961).
func (h *Handshake) certificateStatus(body []byte) {
	r := reader{b: body}
	h.StapleType = r.u8()
	if n := r.u24(); !r.bad {
		h.StapleLen = n
	}
}
