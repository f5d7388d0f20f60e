// Package certificate reads X.509 certificates (RFC 5280) the way an observer
// has to: whatever can be read of a broken one is kept, and the error says what
// could not. It never verifies anything.
//
//	Certificate ::= SEQUENCE {
//	    tbsCertificate ::= SEQUENCE {
//	        [0] version, serialNumber, signature, issuer, validity,
//	        subject, subjectPublicKeyInfo, [1] [2] unique ids, [3] extensions }
//	    signatureAlgorithm, signatureValue }
//
// Lengths may be in any BER form except the indefinite one. An element that is
// longer than its parent is cut to what is there; containers are read on, plain
// values are not. Certificate.Has tells which parts were read whole.
//
// Times are seconds since the Unix epoch. Names are text as in RFC 4514: the
// last RDN first, special characters escaped by a backslash, and bytes that are
// not valid UTF-8 or are control characters as a backslash and two hex digits.
// Subject alternative names show such bytes as \xNN.
package certificate

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
)

var (
	// ErrTruncated says that an element was longer than what holds it.
	ErrTruncated = errors.New("truncated")
	// ErrSyntax says that bytes are not what X.509 has at that place.
	ErrSyntax = errors.New("syntax error")
)

// Part names what can be read of a certificate, as a bit.
type Part uint8

// The parts of a certificate. PartExtensions is also set where a whole
// certificate has none.
const (
	PartSerial Part = 1 << iota
	PartSignature
	PartIssuer
	PartNotBefore
	PartNotAfter
	PartSubject
	PartKey
	PartExtensions
)

// Certificate is what one certificate shows. It does not alias the input; its
// slices may be shared and must not be changed.
type Certificate struct {
	SHA1, SHA256 string // hex of the digests over the whole DER
	Length       int    // bytes of the DER

	Serial                  string // hex, without the sign byte
	Signature               string // OpenSSL's name of the signature algorithm, else the OID
	SignatureWeak           bool   // MD2, MD4, MD5 or SHA-1
	Subject, Issuer         string // RFC 4514
	SubjectRDNs, IssuerRDNs int
	CommonName              string // the last one of the subject
	HasCommonName           bool
	NotBefore, NotAfter     int64  // s since the Unix epoch
	KeyType                 string // rsa ecdsa ed25519 ed448 dsa dh x25519 x448 gost ml-dsa, else the OID
	KeyBits                 int    // RSA modulus, DSA and DH prime, curve size; 0 when not known

	SANs     []string     // DNS names, addresses, e-mail addresses and URIs in their order
	DNSNames []string     // of the SANs
	IPs      []netip.Addr // of the SANs
	CA       bool         // basicConstraints has cA TRUE
	SCTs     int          // embedded signed certificate timestamps
	// SelfSigned says that issuer and subject are the same bytes. The
	// signature is not checked, so a self-issued CA certificate counts too.
	SelfSigned bool

	Version      int      // 1 to 3; 0 when not read
	RSAExponent  uint64   // public exponent; 0 for other keys, when not read, and beyond 64 bits
	KeyUsage     []string // names of RFC 5280 section 4.2.1.3
	ExtKeyUsage  []string // OpenSSL's names, else the OID
	PathLen      int      // pathLenConstraint of basicConstraints, -1 when absent
	Policies     []string // OIDs of certificatePolicies
	Policy       string   // dv, ov, iv or ev by the first of the CA/Browser Forum's policies, "" without one
	SubjectKeyID bool     // subjectKeyIdentifier is present
	// AuthorityKeyID says that authorityKeyIdentifier is present.
	AuthorityKeyID bool
	CTPoison       bool // the certificate is a precertificate (RFC 6962 section 3.1), not for use
	// IssuerOIDs and SubjectOIDs are the attribute types of the names and
	// ExtensionOIDs those of the extensions, in order, as encoded, without tag
	// and length.
	IssuerOIDs, SubjectOIDs, ExtensionOIDs [][]byte

	parts Part
}

// Has reports whether all of these parts were read whole.
func (c *Certificate) Has(p Part) bool { return c.parts&p == p }

// Parse reads one certificate. The certificate is never nil: with an error it
// holds what could be read.
func Parse(der []byte) (*Certificate, error) {
	return parse(der, sha256.Sum256(der))
}

func parse(der []byte, sum [sha256.Size]byte) (*Certificate, error) {
	short := sha1.Sum(der)
	c := &Certificate{SHA1: hex.EncodeToString(short[:]), SHA256: hex.EncodeToString(sum[:]), Length: len(der), PathLen: -1}
	p := parser{c: c}
	p.certificate(der)
	if p.err != nil {
		return c, fmt.Errorf("certificate: %w", p.err)
	}
	return c, nil
}

// parser fills c and keeps the first fault.
type parser struct {
	c    *Certificate
	err  error
	oids []byte // where the certificate's identifiers are kept
}

// appendOID appends a copy of an encoded identifier to list.
func (p *parser) appendOID(list [][]byte, encoded []byte) [][]byte {
	start := len(p.oids)
	p.oids = append(p.oids, encoded...)
	return append(list, p.oids[start:len(p.oids):len(p.oids)])
}

func (p *parser) fail(what string, err error) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: %w", what, err)
	}
}

// element is one tag, length and value.
type element struct {
	tag  byte
	body []byte
	raw  []byte // with tag and length
	cut  bool   // shorter than its length says
}

// Tags as they stand in certificates.
const (
	tagBool        = 0x01
	tagInteger     = 0x02
	tagBits        = 0x03
	tagOctets      = 0x04
	tagOID         = 0x06
	tagUTF8        = 0x0c
	tagNumeric     = 0x12
	tagPrintable   = 0x13
	tagT61         = 0x14
	tagIA5         = 0x16
	tagUTCTime     = 0x17
	tagGeneralTime = 0x18
	tagVisible     = 0x1a
	tagUniversal   = 0x1c
	tagBMP         = 0x1e
	tagSequence    = 0x30
	tagSet         = 0x31
	tagContext0    = 0x80 // primitive [0]
	tagExplicit0   = 0xa0 // constructed [0]
	tagExplicit3   = 0xa3
)

// next reads the first element of in and returns what follows it.
func next(in []byte) (e element, rest []byte, err error) {
	if len(in) < 2 || in[0]&0x1f == 0x1f {
		if len(in) == 1 || len(in) == 0 {
			return e, nil, ErrTruncated
		}
		return e, nil, ErrSyntax
	}
	e.tag = in[0]
	n, head := uint64(in[1]), 2
	if n >= 0x80 {
		count := int(n & 0x7f)
		if count == 0 || count > 8 {
			return e, nil, ErrSyntax
		}
		if len(in) < 2+count {
			return e, nil, ErrTruncated
		}
		n = 0
		for _, b := range in[2 : 2+count] {
			n = n<<8 | uint64(b)
		}
		head += count
	}
	if n > uint64(len(in)-head) {
		e.body, e.raw, e.cut = in[head:], in, true
		return e, nil, nil
	}
	end := head + int(n)
	e.body, e.raw = in[head:end], in[:end]
	return e, in[end:], nil
}

// take reads the element that must come next. With ok the element has that tag,
// but it may be cut; otherwise the fault is recorded.
func (p *parser) take(in []byte, tag byte, what string) (e element, rest []byte, ok bool) {
	e, rest, err := next(in)
	if err == nil && e.tag != tag {
		err = ErrSyntax
	}
	if err != nil {
		p.fail(what, err)
		return e, nil, false
	}
	if e.cut {
		p.fail(what, ErrTruncated)
	}
	return e, rest, true
}

func (p *parser) certificate(der []byte) {
	outer, trailing, ok := p.take(der, tagSequence, "outer sequence")
	if !ok {
		return
	}
	if len(trailing) > 0 {
		p.fail("trailing bytes", ErrSyntax)
	}
	tbs, rest, ok := p.take(outer.body, tagSequence, "to-be-signed part")
	if !ok {
		return
	}
	p.tbs(tbs)
	if tbs.cut {
		return
	}
	// The outer algorithm is the one that was used.
	if alg, rest, ok := p.take(rest, tagSequence, "signature algorithm"); ok {
		p.signature(alg)
		p.take(rest, tagBits, "signature")
	}
}

func (p *parser) tbs(tbs element) {
	c, in := p.c, tbs.body
	version := 1
	if len(in) > 0 && in[0] == tagExplicit0 {
		explicit, rest, ok := p.take(in, tagExplicit0, "version")
		if !ok {
			return
		}
		if e, _, ok := p.take(explicit.body, tagInteger, "version"); ok && len(e.body) == 1 {
			version += int(e.body[0])
		} else {
			version = 0
		}
		in = rest
	}
	serial, in, ok := p.take(in, tagInteger, "serial number")
	if !ok {
		return
	}
	c.Version = version
	if !serial.cut {
		b := serial.body
		if len(b) > 1 && b[0] == 0 {
			b = b[1:]
		}
		c.Serial = hex.EncodeToString(b)
		c.parts |= PartSerial
	}
	alg, in, ok := p.take(in, tagSequence, "inner signature algorithm")
	if !ok {
		return
	}
	p.signature(alg)
	issuer, in, ok := p.take(in, tagSequence, "issuer")
	if !ok {
		return
	}
	n, whole := p.name(issuer, "issuer")
	c.Issuer, c.IssuerRDNs, c.IssuerOIDs = n.text, n.rdns, n.oids
	if whole {
		c.parts |= PartIssuer
	}
	validity, in, ok := p.take(in, tagSequence, "validity")
	if !ok {
		return
	}
	p.validity(validity.body)
	subject, in, ok := p.take(in, tagSequence, "subject")
	if !ok {
		return
	}
	n, whole = p.name(subject, "subject")
	c.Subject, c.SubjectRDNs, c.SubjectOIDs, c.CommonName, c.HasCommonName = n.text, n.rdns, n.oids, n.cn, n.hasCN
	if whole {
		c.parts |= PartSubject
	}
	c.SelfSigned = !issuer.cut && !subject.cut && bytes.Equal(issuer.body, subject.body)
	key, in, ok := p.take(in, tagSequence, "public key")
	if !ok {
		return
	}
	p.key(key)
	for len(in) > 0 {
		e, rest, err := next(in)
		if err != nil {
			p.fail("after the public key", err)
			return
		}
		in = rest
		if e.cut {
			p.fail("after the public key", ErrTruncated)
		}
		if e.tag == tagExplicit3 {
			if !p.extensions(e) {
				return
			}
		} else if e.cut {
			return
		}
	}
	if !tbs.cut {
		c.parts |= PartExtensions
	}
}

func (p *parser) signature(alg element) {
	oid, params, ok := p.take(alg.body, tagOID, "algorithm identifier")
	if !ok || oid.cut {
		return
	}
	c := p.c
	if a, known := signatures[string(oid.body)]; known {
		c.Signature, c.SignatureWeak = a.name, a.weak
		if a.name == "rsassaPss" && !alg.cut {
			c.SignatureWeak = weakPSS(params)
		}
	} else {
		c.Signature, c.SignatureWeak = oidText(oid.body), false
	}
	c.parts |= PartSignature
}

// weakPSS tells whether RSASSA-PSS parameters (RFC 4055) name a weak hash;
// without a name the hash is SHA-1.
func weakPSS(params []byte) bool {
	e, _, err := next(params)
	if err != nil || e.tag != tagSequence {
		return true
	}
	hash, _, err := next(e.body)
	if err != nil || hash.tag != tagExplicit0 {
		return true
	}
	alg, _, err := next(hash.body)
	if err != nil {
		return false
	}
	oid, _, err := next(alg.body)
	return err == nil && weakHashes[string(oid.body)]
}

func (p *parser) validity(in []byte) {
	for _, t := range []struct {
		to   *int64
		part Part
		what string
	}{{&p.c.NotBefore, PartNotBefore, "not before"}, {&p.c.NotAfter, PartNotAfter, "not after"}} {
		e, rest, err := next(in)
		switch {
		case err != nil:
			p.fail(t.what, err)
			return
		case e.cut:
			p.fail(t.what, ErrTruncated)
			return
		}
		if s, ok := parseTime(e); ok {
			*t.to = s
			p.c.parts |= t.part
		} else {
			p.fail(t.what, ErrSyntax)
		}
		in = rest
	}
}

func (p *parser) key(spki element) {
	c := p.c
	alg, rest, ok := p.take(spki.body, tagSequence, "key algorithm")
	if !ok || alg.cut {
		return
	}
	oid, params, ok := p.take(alg.body, tagOID, "key algorithm identifier")
	if !ok || oid.cut {
		return
	}
	k, known := keys[string(oid.body)]
	if !known {
		k.kind = oidText(oid.body)
	}
	c.KeyType, c.KeyBits = k.kind, k.bits
	c.parts |= PartKey
	key, _, ok := p.take(rest, tagBits, "public key bits")
	if !ok || key.cut || len(key.body) < 1 {
		if k.bits == 0 {
			c.parts &^= PartKey
		}
		return
	}
	value := key.body[1:] // behind the count of unused bits
	switch k.kind {
	case "rsa":
		if seq, _, ok := p.take(value, tagSequence, "RSA key"); ok {
			if n, rest, ok := p.take(seq.body, tagInteger, "RSA modulus"); ok && !n.cut {
				c.KeyBits = bitLen(n.body)
				if e, _, ok := p.take(rest, tagInteger, "RSA exponent"); ok && !e.cut && bitLen(e.body) <= 64 {
					for _, b := range e.body {
						c.RSAExponent = c.RSAExponent<<8 | uint64(b)
					}
				}
			}
		}
	case "dsa", "dh":
		if len(params) == 0 {
			return // inherited from the issuer
		}
		if seq, _, ok := p.take(params, tagSequence, "key parameters"); ok {
			if prime, _, ok := p.take(seq.body, tagInteger, "prime"); ok && !prime.cut {
				c.KeyBits = bitLen(prime.body)
			}
		}
	case "ecdsa":
		if curve, _, err := next(params); err == nil && curve.tag == tagOID && !curve.cut {
			c.KeyBits = curves[string(curve.body)]
		}
		if c.KeyBits == 0 && len(value) > 1 { // from the point: 4 || x || y, or 2, 3 || x
			c.KeyBits = 8 * (len(value) - 1)
			if value[0] == 4 {
				c.KeyBits /= 2
			}
		}
	}
}

func bitLen(integer []byte) int {
	for len(integer) > 0 && integer[0] == 0 {
		integer = integer[1:]
	}
	if len(integer) == 0 {
		return 0
	}
	return 8*(len(integer)-1) + bits.Len8(integer[0])
}
