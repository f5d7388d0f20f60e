// Package pki issues the certificates of the lab's servers: as the web has them,
// as companies and appliances have them, and as tools make them for themselves.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The kinds of certificates.
const (
	Public      = "public-ca"   // as the web has them: by an intermediate, 90 to 398 days, SCTs
	Private     = "private-ca"  // of a company: by its root, years, no SCTs
	SelfSigned  = "self-signed" // an appliance's or a developer's
	FreshPublic = "fresh-ca"    // public, issued in the last days
	FreshSelf   = "fresh-self"  // self-signed, made in the last days
)

// authority issues certificates.
type authority struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain [][]byte // what a server sends after the leaf
}

// PKI is all authorities of a run and the keys that leaves share.
type PKI struct {
	Roots   string // file with the roots
	dir     string
	public  []authority
	private authority
	rsa     []*rsa.PrivateKey
	now     time.Time
}

const sharedKeys = 6 // RSA keys are slow to make, and a key's value is no feature

// New makes the authorities; certificates are written to a folder and are valid now.
func New(dir string, now time.Time) (*PKI, error) {
	p := &PKI{dir: dir, now: now}
	for range sharedKeys {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		p.rsa = append(p.rsa, k)
	}
	publicRoot, err := p.root("Meridian Root X1", "Meridian Trust Services")
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"R14", "E7", "TLS RSA CA 2025"} {
		a, err := p.intermediate(publicRoot, name, i == 1)
		if err != nil {
			return nil, err
		}
		p.public = append(p.public, a)
	}
	if p.private, err = p.root("Harbour Works Internal CA", "Harbour Works"); err != nil {
		return nil, err
	}
	p.Roots = filepath.Join(dir, "roots.pem")
	return p, writePEM(p.Roots, "CERTIFICATE", publicRoot.cert.Raw, p.private.cert.Raw)
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 1
	return new(big.Int).SetBytes(b)
}

func (p *PKI) root(name, org string) (authority, error) {
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name, Organization: []string{org}, Country: []string{"US"}},
		NotBefore: p.now.AddDate(-6, 0, 0), NotAfter: p.now.AddDate(14, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, p.rsa[0].Public(), p.rsa[0])
	if err != nil {
		return authority{}, err
	}
	c, err := x509.ParseCertificate(der)
	return authority{cert: c, key: p.rsa[0]}, err
}

func (p *PKI) intermediate(root authority, name string, ec bool) (authority, error) {
	key, err := p.key(ec, 1)
	if err != nil {
		return authority{}, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name, Organization: []string{"Meridian Trust Services"}, Country: []string{"US"}},
		NotBefore: p.now.AddDate(-2, 0, 0), NotAfter: p.now.AddDate(3, 0, 0), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IssuingCertificateURL: []string{"http://x1.i.meridian.example/"}, CRLDistributionPoints: []string{"http://x1.c.meridian.example/"},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, root.cert, key.Public(), root.key)
	if err != nil {
		return authority{}, err
	}
	c, err := x509.ParseCertificate(der)
	return authority{c, key, [][]byte{der}}, err
}

func (p *PKI) key(ec bool, i int) (crypto.Signer, error) {
	if ec {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return p.rsa[i%len(p.rsa)], nil
}

// Issued is a certificate in files and in memory.
type Issued struct {
	Cert, Key string
	TLS       tls.Certificate
}

// Pin is the SHA-256 of the public key in base64, as browsers are told to trust one.
func (c *Issued) Pin() string {
	sum := sha256.Sum256(c.TLS.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Request says what a certificate is for.
type Request struct {
	ID   string // of the files
	Kind string
	Host string // a name or an address
	// Subject is the common name of a FreshSelf certificate, whose maker need
	// not care for the host; empty for the host.
	Subject string
}

// Issue makes a certificate. Its key type, age and validity are drawn from what
// its kind has.
func (p *PKI) Issue(r *mathrand.Rand, q Request) (*Issued, error) {
	key, err := p.key(r.IntN(2) == 0, r.IntN(sharedKeys))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: q.Host},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(q.Host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{q.Host}
	}
	var by authority
	var age, days int // of the certificate
	switch q.Kind {
	case Public, FreshPublic:
		by = p.public[r.IntN(len(p.public))]
		days = []int{90, 90, 90, 365, 398}[r.IntN(5)]
		age = 1 + r.IntN(days*4/5)
		if q.Kind == FreshPublic {
			days, age = 90, r.IntN(4)
		}
		if labels := strings.Split(q.Host, "."); len(labels) > 1 && len(t.DNSNames) > 0 {
			domain := strings.Join(labels[len(labels)-2:], ".")
			t.DNSNames = append(t.DNSNames, []string{"*." + domain, domain, "www." + domain, "cdn." + domain}[:r.IntN(5)]...)
		}
		t.PolicyIdentifiers = []asn1.ObjectIdentifier{{2, 23, 140, 1, 2, 1}}
		t.OCSPServer = []string{"http://o.meridian.example"}
		t.IssuingCertificateURL = []string{"http://i.meridian.example/"}
		t.ExtraExtensions = []pkix.Extension{scts(r, p.now)}
	case Private:
		by, days = p.private, []int{365, 730, 825, 1825}[r.IntN(4)]
		age = r.IntN(days / 2)
		t.Subject.Organization = []string{"Harbour Works"}
	case SelfSigned:
		days = []int{365, 730, 3650}[r.IntN(3)]
		age = 3 + r.IntN(300)
		if r.IntN(3) == 0 {
			t.Subject.Organization = []string{"Internet Widgits Pty Ltd"}
			t.Subject.Country = []string{"AU"}
		}
	case FreshSelf:
		days, age = []int{30, 365, 365, 3650}[r.IntN(4)], r.IntN(3)
		t.DNSNames, t.IPAddresses = nil, nil
		if q.Subject != "" {
			t.Subject.CommonName = q.Subject
		}
		if r.IntN(2) == 0 {
			t.DNSNames = []string{t.Subject.CommonName}
		}
		if r.IntN(2) == 0 {
			t.Subject.Organization, t.Subject.Country = []string{"Default Company Ltd"}, []string{"US"}
			t.Subject.Province, t.Subject.Locality = []string{"Texas"}, []string{"Austin"}
		}
	default:
		return nil, fmt.Errorf("unknown kind of certificate %q", q.Kind)
	}
	t.NotBefore = p.now.Add(-time.Duration(age)*24*time.Hour - time.Duration(1+r.IntN(20))*time.Hour).Truncate(time.Second)
	t.NotAfter = t.NotBefore.AddDate(0, 0, days)
	parent, signer := t, key
	if by.cert != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	out := &Issued{
		Cert: filepath.Join(p.dir, q.ID+".crt"), Key: filepath.Join(p.dir, q.ID+".key"),
		TLS: tls.Certificate{Certificate: append([][]byte{der}, by.chain...), PrivateKey: key, Leaf: leaf},
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(out.Cert, "CERTIFICATE", out.TLS.Certificate...); err != nil {
		return nil, err
	}
	return out, writePEM(out.Key, "PRIVATE KEY", pkcs8)
}

// scts is a list of two or three signed certificate timestamps (RFC 6962,
// section 3.3) of logs that do not exist.
func scts(r *mathrand.Rand, now time.Time) pkix.Extension {
	var list []byte
	for range 2 + r.IntN(2) {
		sct := make([]byte, 47+71)
		_, _ = rand.Read(sct) // never fails
		sct[0] = 0            // version 1, then the log's 32 bytes
		binary.BigEndian.PutUint64(sct[33:], uint64(now.Add(-time.Hour).UnixMilli()))
		copy(sct[41:], []byte{0, 0, 4, 3, 0, 71}) // no extensions, ECDSA with SHA-256, 71 bytes
		copy(sct[47:], []byte{0x30, 69})
		list = binary.BigEndian.AppendUint16(list, uint16(len(sct)))
		list = append(list, sct...)
	}
	value, err := asn1.Marshal(append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...))
	if err != nil {
		panic(err) // a byte string always marshals
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}
}

func writePEM(file, typ string, blocks ...[]byte) error {
	var b []byte
	for _, der := range blocks {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})...)
	}
	return os.WriteFile(file, b, 0o600)
}
