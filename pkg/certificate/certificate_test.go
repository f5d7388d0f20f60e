package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// made is a certificate of the test with the one that signed it.
type made struct {
	name      string
	der       []byte
	key       string
	bits      int
	signature string
}

func mustURL(t testing.TB, s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func policy(t testing.TB, arcs ...uint64) x509.OID {
	o, err := x509.OIDFromInts(arcs)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// certificates makes one certificate of each kind that crypto/x509 can make.
func certificates(t testing.TB) []made {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root", Country: []string{"DE"}, Organization: []string{"Own, Inc."}},
		NotBefore: time.Date(1949, 12, 31, 23, 59, 58, 0, time.UTC), NotAfter: time.Date(2051, 2, 28, 1, 2, 3, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	serial, _ := new(big.Int).SetString("f00d00000000000000000000000000000000beef", 16)
	leaf := &x509.Certificate{
		SerialNumber: serial,
		Subject: pkix.Name{CommonName: "leaf.example", Organization: []string{`A "q" + <b>;\ `, "#two"}, OrganizationalUnit: []string{" lead", "ünïcode"},
			Locality: []string{"Köln"}, Province: []string{"NRW"}, StreetAddress: []string{"Weg 1"}, PostalCode: []string{"12345"}, SerialNumber: "77"},
		NotBefore: time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC), NotAfter: time.Date(2024, 5, 29, 11, 59, 59, 0, time.UTC),
		DNSNames: []string{"leaf.example", "*.leaf.example"}, EmailAddresses: []string{"a@leaf.example"},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1).To4(), net.ParseIP("2001:db8::1")}, URIs: []*url.URL{mustURL(t, "spiffe://x/y")},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageDecipherOnly, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 2, 3, 4}},
		Policies:           []x509.OID{policy(t, 2, 5, 29, 32, 0), policy(t, 2, 23, 140, 1, 2, 2), policy(t, 2, 23, 140, 1, 1)},
	}
	plain := &x509.Certificate{SerialNumber: big.NewInt(0), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)}
	kinds := []struct {
		name         string
		cert, parent *x509.Certificate
		key          any
		signer       crypto.Signer
		alg          x509.SignatureAlgorithm
		kind         string
		bits         int
		signature    string
	}{
		{"rsa root", ca, ca, rsaKey.Public(), rsaKey, x509.SHA256WithRSA, "rsa", 2048, "sha256WithRSAEncryption"},
		{"ecdsa leaf of rsa root", leaf, ca, p256.Public(), rsaKey, x509.SHA512WithRSA, "ecdsa", 256, "sha512WithRSAEncryption"},
		{"ed25519 leaf of ecdsa root", leaf, ca, ed.Public(), p521, x509.ECDSAWithSHA512, "ed25519", 256, "ecdsa-with-SHA512"},
		{"p521 self-signed", leaf, leaf, p521.Public(), p521, x509.ECDSAWithSHA384, "ecdsa", 521, "ecdsa-with-SHA384"},
		{"ed25519 self-signed", leaf, leaf, ed.Public(), ed, x509.PureEd25519, "ed25519", 256, "ED25519"},
		{"pss", leaf, ca, rsaKey.Public(), rsaKey, x509.SHA256WithRSAPSS, "rsa", 2048, "rsassaPss"},
		{"no names, no extensions", plain, plain, p256.Public(), p256, x509.ECDSAWithSHA256, "ecdsa", 256, "ecdsa-with-SHA256"},
	}
	var all []made
	for _, k := range kinds {
		cert := *k.cert
		cert.SignatureAlgorithm = k.alg
		der, err := x509.CreateCertificate(rand.Reader, &cert, k.parent, k.key, k.signer)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		all = append(all, made{k.name, der, k.kind, k.bits, k.signature})
	}
	return all
}

func TestParseAgreesWithStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, m := range certificates(t) {
		want, err := x509.ParseCertificate(m.der)
		if err != nil {
			t.Fatalf("%s: crypto/x509: %v", m.name, err)
		}
		got, err := Parse(m.der)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		s1, s2 := sha1.Sum(m.der), sha256.Sum256(m.der)
		var sans []string
		sans = append(sans, want.DNSNames...)
		sans = append(sans, want.EmailAddresses...)
		var ips []netip.Addr
		for _, ip := range want.IPAddresses {
			a, _ := netip.AddrFromSlice(ip)
			ips = append(ips, a)
			sans = append(sans, a.String())
		}
		for _, u := range want.URIs {
			sans = append(sans, u.String())
		}
		rdns := func(raw []byte) (n int, types [][]byte) {
			var seq pkix.RDNSequence
			if _, err := asn1.Unmarshal(raw, &seq); err != nil {
				t.Fatal(err)
			}
			for _, set := range seq {
				for _, a := range set {
					types = append(types, []byte(oidEncode(a.Type.String())))
				}
			}
			return len(seq), types
		}
		subjectRDNs, subjectOIDs := rdns(want.RawSubject)
		issuerRDNs, issuerOIDs := rdns(want.RawIssuer)
		serial := hex.EncodeToString(want.SerialNumber.Bytes())
		if serial == "" {
			serial = "00"
		}
		expect := &Certificate{
			SHA1: hex.EncodeToString(s1[:]), SHA256: hex.EncodeToString(s2[:]), Length: len(m.der), Serial: serial, Signature: m.signature,
			Subject: want.Subject.ToRDNSequence().String(), Issuer: want.Issuer.ToRDNSequence().String(),
			SubjectRDNs: subjectRDNs, IssuerRDNs: issuerRDNs, SubjectOIDs: subjectOIDs, IssuerOIDs: issuerOIDs,
			CommonName: want.Subject.CommonName, HasCommonName: want.Subject.CommonName != "",
			NotBefore: want.NotBefore.Unix(), NotAfter: want.NotAfter.Unix(), KeyType: m.key, KeyBits: m.bits,
			SANs: sans, DNSNames: want.DNSNames, IPs: ips, CA: want.IsCA, SelfSigned: string(want.RawSubject) == string(want.RawIssuer),
			Version: want.Version, PathLen: -1, SubjectKeyID: len(want.SubjectKeyId) > 0, AuthorityKeyID: len(want.AuthorityKeyId) > 0,
			parts: 0xff,
		}
		if key, ok := want.PublicKey.(*rsa.PublicKey); ok {
			expect.RSAExponent = uint64(key.E)
		}
		if want.IsCA {
			expect.PathLen, expect.KeyUsage = 0, []string{"keyCertSign", "cRLSign"}
		} else if len(want.Policies) > 0 {
			expect.KeyUsage, expect.ExtKeyUsage = []string{"digitalSignature", "decipherOnly"}, []string{"serverAuth", "clientAuth", "1.2.3.4"}
			expect.Policies, expect.Policy = []string{"2.5.29.32.0", "2.23.140.1.2.2", "2.23.140.1.1"}, "ov"
		}
		for _, e := range want.Extensions {
			expect.ExtensionOIDs = append(expect.ExtensionOIDs, []byte(oidEncode(e.Id.String())))
		}
		if d := cmp.Diff(expect, got, cmp.AllowUnexported(Certificate{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("%s: -want +got\n%s", m.name, d)
		}
	}
}

func TestTimesOfAllYearsAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		when := time.Unix(rapid.Int64Range(-62167219200, 253402300799).Draw(t, "unix"), 0).UTC()
		got, ok := parseTime(element{tag: tagGeneralTime, body: []byte(when.Format("20060102150405Z"))})
		if !ok || got != when.Unix() {
			t.Fatalf("%v: got %d, %v, want %d", when, got, ok, when.Unix())
		}
	})
	for text, want := range map[string]string{
		"491231235959Z": "2049-12-31T23:59:59Z", "500101000000Z": "1950-01-01T00:00:00Z",
		"9912312359Z": "1999-12-31T23:59:00Z", "200101000000+0130": "2019-12-31T22:30:00Z",
	} {
		w, _ := time.Parse(time.RFC3339, want)
		if got, ok := parseTime(element{tag: tagUTCTime, body: []byte(text)}); !ok || got != w.Unix() {
			t.Errorf("%s: got %d, %v, want %d", text, got, ok, w.Unix())
		}
	}
	for _, bad := range []string{"", "Z", "2013", "20131301000000Z", "20130100000000Z", "2013010100000xZ", "20130101000000Zx"} {
		if got, ok := parseTime(element{tag: tagGeneralTime, body: []byte(bad)}); ok {
			t.Errorf("%q gives %d", bad, got)
		}
	}
}

// der encodes one element with a short or two-byte length.
func der(tag byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	if len(body) < 0x80 {
		return append([]byte{tag, byte(len(body))}, body...)
	}
	return append([]byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}, body...)
}

func oid(dotted string) []byte { return der(tagOID, []byte(oidEncode(dotted))) }

func attribute(dotted string, tag byte, value string) []byte {
	return der(tagSet, der(tagSequence, oid(dotted), der(tag, []byte(value))))
}

// handmade builds a version 1 certificate from its parts.
func handmade(signature, issuer, validity, subject, spki []byte) []byte {
	alg := der(tagSequence, signature)
	tbs := der(tagSequence, der(tagInteger, []byte{0x80, 1}), alg, issuer, validity, subject, spki)
	return der(tagSequence, tbs, alg, der(tagBits, []byte{0, 1}))
}

func dsaSPKI() []byte {
	p := new(big.Int).Lsh(big.NewInt(1), 1023)
	return der(tagSequence,
		der(tagSequence, oid("1.2.840.10040.4.1"), der(tagSequence,
			der(tagInteger, append([]byte{0}, p.Bytes()...)), der(tagInteger, []byte{5}), der(tagInteger, []byte{7}))),
		der(tagBits, []byte{0}, der(tagInteger, []byte{9})))
}

func TestOldAndOddCertificates(t *testing.T) {
	t.Parallel()
	names := der(tagSequence,
		attribute("2.5.4.6", tagPrintable, "US"),
		attribute("2.5.4.10", tagT61, "Caf\xe9"),
		attribute("2.5.4.11", tagBMP, "\x00A\x20\xac"),
		attribute("1.2.3.4", tagUTF8, "x"),
		der(tagSet, der(tagSequence, oid("2.5.4.3"), der(tagUTF8, []byte("a\x00b"))), der(tagSequence, oid("1.2.840.113549.1.9.1"), der(tagIA5, []byte("m@x")))))
	b := handmade(oid("1.2.840.113549.1.1.4"), names, der(tagSequence, der(tagUTCTime, []byte("700101000000Z")), der(tagGeneralTime, []byte("19690101000000Z"))),
		der(tagSequence), dsaSPKI())
	c, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if want := `CN=a\00b+emailAddress=m@x,1.2.3.4=#0c0178,OU=A€,O=Caf\e9,C=US`; c.Issuer != want {
		t.Errorf("issuer %s, want %s", c.Issuer, want)
	}
	if c.Version != 1 || c.Subject != "" || c.SubjectRDNs != 0 || c.IssuerRDNs != 5 || c.SelfSigned || c.HasCommonName {
		t.Errorf("names: %+v", c)
	}
	if c.NotBefore != 0 || c.NotAfter != -365*86400 || c.Serial != "8001" {
		t.Errorf("not before %d, not after %d, serial %s", c.NotBefore, c.NotAfter, c.Serial)
	}
	if c.KeyType != "dsa" || c.KeyBits != 1024 || c.Signature != "md5WithRSAEncryption" || !c.SignatureWeak {
		t.Errorf("key %s %d, signature %s weak %v", c.KeyType, c.KeyBits, c.Signature, c.SignatureWeak)
	}
}

func TestWeakSignatures(t *testing.T) {
	t.Parallel()
	name := der(tagSequence)
	for dotted, want := range map[string]bool{
		"1.2.840.113549.1.1.2": true, "1.2.840.113549.1.1.4": true, "1.2.840.113549.1.1.5": true, "1.2.840.10045.4.1": true,
		"1.2.840.113549.1.1.11": false, "1.2.840.10045.4.3.2": false, "1.2.3": false,
		"1.2.840.113549.1.1.10": true, // PSS without parameters is SHA-1
	} {
		c, _ := Parse(handmade(oid(dotted), name, der(tagSequence), name, dsaSPKI()))
		if !c.Has(PartSignature) || c.SignatureWeak != want {
			t.Errorf("%s (%s): weak %v, want %v", dotted, c.Signature, c.SignatureWeak, want)
		}
	}
	sha256PSS := der(tagSequence, der(tagExplicit0, der(tagSequence, oid("2.16.840.1.101.3.4.2.1"))))
	c, _ := Parse(handmade(append(oid("1.2.840.113549.1.1.10"), sha256PSS...), name, der(tagSequence), name, dsaSPKI()))
	if c.SignatureWeak {
		t.Error("PSS with SHA-256 counts as weak")
	}
}

func TestTimestampsAreCounted(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	list := []byte{0, 9, 0, 3, 1, 2, 3, 0, 2, 4, 5}
	value, err := asn1.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), ExtraExtensions: []pkix.Extension{
		{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}}}
	b, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Parse(b); err != nil || c.SCTs != 2 || c.CTPoison {
		t.Errorf("%d timestamps, poison %v, %v, want 2", c.SCTs, c.CTPoison, err)
	}
}

func TestPrecertificateIsTold(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), ExtraExtensions: []pkix.Extension{
		{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: []byte{5, 0}}}}
	b, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Parse(b); err != nil || !c.CTPoison {
		t.Errorf("poison %v, %v", c.CTPoison, err)
	}
}

func TestBrokenExtensionsKeepWhatWasRead(t *testing.T) {
	t.Parallel()
	extension := func(oid string, value ...[]byte) []byte {
		return der(tagSequence, der(tagOID, []byte(oid)), der(tagOctets, value...))
	}
	list := der(tagExplicit3, der(tagSequence,
		extension(oidKeyUsage, der(tagBits)),
		extension(oidKeyUsage, der(tagBits, []byte{0, 0x80, 0xff, 0xff})),
		extension(oidExtKeyUsage, der(tagSequence, oid("1.3.6.1.5.5.7.3.3"), []byte{tagOID, 9, 1})),
		extension(oidPolicies, der(tagSequence, der(tagSequence, oid("2.23.140.1.2.1")), der(tagSet))),
		extension(oidBasicConstraints, der(tagSequence, der(tagInteger, []byte{3}))),
		extension(oidSubjectKeyID), extension(oidAuthorityKeyID)))
	alg, name := der(tagSequence, oid("1.2.840.113549.1.1.11")), der(tagSequence)
	b := der(tagSequence, der(tagSequence, der(tagExplicit0, der(tagInteger, []byte{2})), der(tagInteger, []byte{1}), alg, name, name, name, dsaSPKI(), list), alg, der(tagBits, []byte{0}))
	c, err := Parse(b)
	if err == nil {
		t.Error("taken for whole")
	}
	for what, ok := range map[string]bool{
		"key usage":          cmp.Equal(c.KeyUsage, []string{"digitalSignature", "decipherOnly"}),
		"extended key usage": cmp.Equal(c.ExtKeyUsage, []string{"codeSigning"}),
		"policies":           cmp.Equal(c.Policies, []string{"2.23.140.1.2.1"}) && c.Policy == "dv",
		"path length":        c.PathLen == 3 && !c.CA,
		"key identifiers":    c.SubjectKeyID && c.AuthorityKeyID,
		"extensions":         len(c.ExtensionOIDs) == 7 && string(c.ExtensionOIDs[2]) == oidExtKeyUsage,
		"version":            c.Version == 3,
	} {
		if !ok {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

func TestPrefixKeepsWhatWasRead(t *testing.T) {
	t.Parallel()
	for _, m := range certificates(t) {
		whole, err := Parse(m.der)
		if err != nil {
			t.Fatal(err)
		}
		last := Part(0)
		for n := range m.der {
			c, err := Parse(m.der[:n])
			if !errors.Is(err, ErrTruncated) {
				t.Fatalf("%s cut at %d: error %v", m.name, n, err)
			}
			if last&^c.parts != 0 {
				t.Fatalf("%s: parts %08b at %d bytes, %08b before", m.name, c.parts, n, last)
			}
			last = c.parts
			if c.Has(PartSerial) && c.Serial != whole.Serial || c.Has(PartSubject) && c.Subject != whole.Subject ||
				c.Has(PartIssuer) && c.Issuer != whole.Issuer || c.Has(PartKey) && c.KeyBits != whole.KeyBits ||
				c.Has(PartNotAfter) && c.NotAfter != whole.NotAfter || c.Has(PartExtensions) && !cmp.Equal(c.SANs, whole.SANs) {
				t.Fatalf("%s cut at %d: %+v, whole %+v", m.name, n, c, whole)
			}
		}
		if last != 0xff {
			t.Errorf("%s: parts %08b one byte before the end", m.name, last)
		}
	}
}

func TestCacheKeepsItsBound(t *testing.T) {
	t.Parallel()
	cache := NewCache(CacheConfig{Entries: 3})
	in := func(i int) []byte { return fmt.Appendf(nil, "not a certificate %d", i) }
	first, err := cache.Get(in(0))
	if err == nil || first == nil {
		t.Fatalf("got %v, %v", first, err)
	}
	for _, i := range []int{1, 2, 0, 3, 0} { // 3 drives out 1, the least recently used
		cache.Get(in(i))
	}
	if again, _ := cache.Get(in(0)); again != first {
		t.Error("0 was parsed again")
	}
	if want := (Stats{Hits: 3, Misses: 4, Evictions: 1}); cache.Stats() != want || cache.Len() != 3 {
		t.Errorf("%+v with %d entries, want %+v with 3", cache.Stats(), cache.Len(), want)
	}
	cache.Get(in(1))
	cache.Get(in(3))
	if want := (Stats{Hits: 4, Misses: 5, Evictions: 2}); cache.Stats() != want {
		t.Errorf("%+v, want %+v: 1 should have been evicted, 3 not", cache.Stats(), want)
	}
}

func TestCacheHitDoesNotAllocate(t *testing.T) {
	cache := NewCache(DefaultCacheConfig())
	b := certificates(t)[0].der
	cache.Get(b)
	if n := testing.AllocsPerRun(100, func() { cache.Get(b) }); n != 0 {
		t.Errorf("a hit allocates %v times, want 0", n)
	}
}

func TestConfigFaultsAreNamed(t *testing.T) {
	t.Parallel()
	if err := (CacheConfig{}).Validate(); err == nil || err.Error() != "entries: 0 is below 1" {
		t.Errorf("got %v", err)
	}
	if err := DefaultCacheConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range certificates(f) {
		f.Add(m.der)
		f.Add(m.der[:len(m.der)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if c == nil || c.Length != len(b) {
			t.Fatalf("got %+v, %v", c, err)
		}
		// What the standard library accepts must not look otherwise here.
		if want, werr := x509.ParseCertificate(b); werr == nil {
			const named = PartSerial | PartSignature | PartIssuer | PartNotBefore | PartNotAfter | PartSubject | PartKey
			if !c.Has(named) {
				t.Fatalf("crypto/x509 reads all of it, here only parts %08b: %v", c.parts, err)
			}
			if c.NotBefore != want.NotBefore.Unix() {
				t.Fatalf("not before %d, want %d", c.NotBefore, want.NotBefore.Unix())
			}
			if key, ok := want.PublicKey.(*rsa.PublicKey); ok && (c.KeyBits != key.N.BitLen() || c.RSAExponent != uint64(key.E)) {
				t.Fatalf("%d key bits, exponent %d, want %d and %d", c.KeyBits, c.RSAExponent, key.N.BitLen(), key.E)
			}
			// It reads extensions of version 3 alone, here they are read wherever they are.
			if c.Version != want.Version || c.Version == 3 && (len(c.ExtensionOIDs) != len(want.Extensions) || len(c.Policies) != len(want.Policies)) {
				t.Fatalf("version %d, %d extensions, %d policies, want %d, %d and %d",
					c.Version, len(c.ExtensionOIDs), len(c.Policies), want.Version, len(want.Extensions), len(want.Policies))
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	in := certificates(b)[1].der
	b.ReportAllocs()
	for b.Loop() {
		Parse(in)
	}
}

func BenchmarkCacheHit(b *testing.B) {
	in := certificates(b)[1].der
	cache := NewCache(DefaultCacheConfig())
	b.ReportAllocs()
	for b.Loop() {
		cache.Get(in)
	}
}
