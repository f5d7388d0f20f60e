package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
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
	publicCA   = "public-ca"   // as the web has them: by an intermediate, 90 to 398 days, SCTs
	privateCA  = "private-ca"  // of a company: by its root, years, no SCTs
	selfSigned = "self-signed" // an appliance's or a developer's
	fresh90    = "fresh-ca"    // public, issued in the last days
	freshSelf  = "fresh-self"  // self-signed, made in the last days
)

// authority issues certificates.
type authority struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain [][]byte // what a server sends after the leaf
}

// pki is all authorities of a run and the keys that leaves share.
type pki struct {
	dir     string
	roots   string // file with the roots
	public  []authority
	private authority
	rsa     []*rsa.PrivateKey
	now     time.Time
}

const sharedKeys = 6 // RSA keys are slow to make, and a key's value is no feature

func newPKI(dir string, now time.Time) (*pki, error) {
	p := &pki{dir: dir, now: now}
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
	p.roots = filepath.Join(dir, "roots.pem")
	return p, writePEM(p.roots, "CERTIFICATE", publicRoot.cert.Raw, p.private.cert.Raw)
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 1
	return new(big.Int).SetBytes(b)
}

func (p *pki) root(name, org string) (authority, error) {
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

func (p *pki) intermediate(root authority, name string, ec bool) (authority, error) {
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

func (p *pki) key(ec bool, i int) (crypto.Signer, error) {
	if ec {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return p.rsa[i%len(p.rsa)], nil
}

// issued is a certificate in files and in memory.
type issued struct {
	cert, key string
	tls       tls.Certificate
	spki      string // base64 of the SHA-256 of the public key
}

// issue makes a certificate of a kind for a host, which is a name or an address.
func (p *pki) issue(r *mathrand.Rand, id, kind, host string) (*issued, error) {
	key, err := p.key(r.IntN(2) == 0, r.IntN(sharedKeys))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: host},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{host}
	}
	var by authority
	var age, days int // of the certificate
	switch kind {
	case publicCA, fresh90:
		by = p.public[r.IntN(len(p.public))]
		days = []int{90, 90, 90, 365, 398}[r.IntN(5)]
		age = 1 + r.IntN(days*4/5)
		if kind == fresh90 {
			days, age = 90, r.IntN(4)
		}
		if labels := strings.Split(host, "."); len(labels) > 1 && len(t.DNSNames) > 0 {
			domain := strings.Join(labels[len(labels)-2:], ".")
			t.DNSNames = append(t.DNSNames, []string{"*." + domain, domain, "www." + domain, "cdn." + domain}[:r.IntN(5)]...)
		}
		t.PolicyIdentifiers = []asn1.ObjectIdentifier{{2, 23, 140, 1, 2, 1}}
		t.OCSPServer = []string{"http://o.meridian.example"}
		t.IssuingCertificateURL = []string{"http://i.meridian.example/"}
		t.ExtraExtensions = []pkix.Extension{scts(r, p.now)}
	case privateCA:
		by, days = p.private, []int{365, 730, 825, 1825}[r.IntN(4)]
		age = r.IntN(days / 2)
		t.Subject.Organization = []string{"Harbour Works"}
	case selfSigned:
		days = []int{365, 730, 3650}[r.IntN(3)]
		age = 3 + r.IntN(300)
		if r.IntN(3) == 0 {
			t.Subject.Organization = []string{"Internet Widgits Pty Ltd"}
			t.Subject.Country = []string{"AU"}
		}
	case freshSelf:
		days, age = []int{30, 365, 365, 3650}[r.IntN(4)], r.IntN(3)
		t.Subject = oddSubject(r, host)
		t.DNSNames, t.IPAddresses = nil, nil
		if r.IntN(2) == 0 {
			t.DNSNames = []string{t.Subject.CommonName}
		}
	default:
		return nil, fmt.Errorf("unknown kind of certificate %q", kind)
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
	out := &issued{
		cert: filepath.Join(p.dir, id+".crt"), key: filepath.Join(p.dir, id+".key"),
		tls: tls.Certificate{Certificate: append([][]byte{der}, by.chain...), PrivateKey: key}, spki: spki(key),
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(out.cert, "CERTIFICATE", out.tls.Certificate...); err != nil {
		return nil, err
	}
	return out, writePEM(out.key, "PRIVATE KEY", pkcs8)
}

// oddSubject is as tools fill it in that make certificates for themselves.
func oddSubject(r *mathrand.Rand, host string) pkix.Name {
	switch r.IntN(4) {
	case 0:
		return pkix.Name{CommonName: "localhost"}
	case 1:
		return pkix.Name{CommonName: letters(r, 8+r.IntN(10)), Organization: []string{letters(r, 7)}}
	case 2:
		return pkix.Name{CommonName: pick(r, words) + ".com", Organization: []string{strings.ToUpper(pick(r, words)) + " LLC"}, Country: []string{"US"}, Province: []string{"Texas"}, Locality: []string{"Austin"}}
	}
	return pkix.Name{CommonName: host}
}

func letters(r *mathrand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[r.IntN(36)]
	}
	return string(b)
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
