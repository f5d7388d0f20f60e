package tlswire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// tap is a connection that keeps what was written to it.
type tap struct {
	net.Conn
	mu  sync.Mutex
	out []byte
}

func (c *tap) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.out = append(c.out, b...)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// clear returns the records without application data.
func (c *tap) clear() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	for in := c.out; len(in) >= RecordHeaderLen; {
		n := min(len(in), RecordHeaderLen+int(binary.BigEndian.Uint16(in[3:])))
		if in[0] != RecordApplicationData {
			out = append(out, in[:n]...)
		}
		in = in[n:]
	}
	return out
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7),
		Subject:      pkix.Name{CommonName: "tap.example"},
		DNSNames:     []string{"tap.example"},
		NotBefore:    time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, OCSPStaple: []byte{1}}
}

// pair returns the two ends of a connection over loopback.
func pair(t testing.TB) (client, server *tap) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return &tap{Conn: a}, &tap{Conn: b}
}

// converse runs a TLS connection and returns what either side sent.
func converse(t testing.TB, client, server *tls.Config) (c2s, s2c []byte) {
	t.Helper()
	ca, cb := pair(t)
	client.ServerName, client.InsecureSkipVerify = "tap.example", true
	server.Certificates = []tls.Certificate{certificate(t)}
	done := make(chan error, 1)
	go func() {
		s := tls.Server(cb, server)
		_, err := io.Copy(s, s)
		done <- err
	}()
	c := tls.Client(ca, client)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	hello := []byte("hello")
	if _, err := c.Write(hello); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, hello); err != nil { // and the tickets of TLS 1.3 before it
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return ca.clear(), cb.clear()
}

// mend puts the handshake messages of a direction, up to ChangeCipherSpec, into records of
// the given body length.
func mend(in []byte, size int) []byte {
	var messages, out []byte
	for len(in) > 0 && in[0] == RecordHandshake {
		n := RecordHeaderLen + int(binary.BigEndian.Uint16(in[3:]))
		messages = append(messages, in[RecordHeaderLen:n]...)
		in = in[n:]
	}
	for part := range slices.Chunk(messages, size) {
		out = append(out, RecordHandshake, 3, 3, byte(len(part)>>8), byte(len(part)))
		out = append(out, part...)
	}
	return append(out, in...)
}

func TestTLS12HandshakeIsReadWhole(t *testing.T) {
	t.Parallel()
	c2s, s2c := converse(t,
		&tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, CipherSuites: []uint16{0xc02b},
			ClientSessionCache: tls.NewLRUClientSessionCache(1)},
		&tls.Config{NextProtos: []string{"http/1.1"}, ClientAuth: tls.RequestClientCert, CurvePreferences: []tls.CurveID{tls.CurveP256}})
	var h Handshake
	h.Parse(c2s, s2c)
	if h.Incomplete || !h.ClientSeen || !h.ServerSeen || h.Reversed {
		t.Fatalf("incomplete %v, client %v, server %v, reversed %v", h.Incomplete, h.ClientSeen, h.ServerSeen, h.Reversed)
	}
	for what, ok := range map[string]bool{
		"server name":         string(h.Client.SNI) == "tap.example",
		"offered protocols":   len(h.Client.ALPN) == 2 && string(h.Client.ALPN[1]) == "http/1.1",
		"chosen protocol":     string(h.Server.ALPN) == "http/1.1",
		"cipher":              CipherName(h.Server.CipherSuite) == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"version":             VersionName(Version(&h)) == "TLS 1.2",
		"certificate":         len(h.Certificates) == 1 && h.CertificateSeen && h.CertificateBytes == len(h.Certificates[0])+6,
		"certificate request": h.CertificateRequest,
		"client certificate":  h.ClientCertificate,
		"server key exchange": h.ServerKeyExchangeLen > 65 && h.ServerGroup == 23 && h.ServerDHBits == 0,
		"client key exchange": h.ClientKeyExchangeLen == 66, // a P-256 point behind its length
		"server hello done":   h.ServerHelloDone,
		"OCSP staple":         h.OCSPStaple && h.Server.StatusRequest,
		"ticket":              h.NewSessionTicket && h.Server.SessionTicket,
		"ChangeCipherSpec":    h.ClientCCS && h.ServerCCS,
		"Finished":            h.ClientFinished && h.ServerFinished,
		"no alert in clear":   len(h.Alerts) == 0,
	} {
		if !ok {
			t.Errorf("%s is wrong: %+v", what, h)
		}
	}
	if _, err := x509.ParseCertificate(h.Certificates[0]); err != nil {
		t.Errorf("certificate: %v", err)
	}
}

func TestTLS13HandshakeShowsTheHellosOnly(t *testing.T) {
	t.Parallel()
	c2s, s2c := converse(t, &tls.Config{MinVersion: tls.VersionTLS13}, &tls.Config{})
	var h Handshake
	h.Parse(c2s, s2c)
	if h.Incomplete || !h.ClientSeen || !h.ServerSeen {
		t.Fatalf("hellos not read: %+v", h)
	}
	if got := VersionName(Version(&h)); got != "TLS 1.3" {
		t.Errorf("version %s", got)
	}
	if h.Server.KeyShare.Length == 0 || len(h.Client.KeyShares) == 0 || h.Client.KeyShares[0].Group != h.Server.KeyShare.Group {
		t.Errorf("key shares: %v offered, %v taken", h.Client.KeyShares, h.Server.KeyShare)
	}
	if h.CertificateSeen || h.ClientFinished || h.ServerFinished || h.HelloRetry {
		t.Errorf("more than TLS 1.3 shows: %+v", h)
	}
}

func TestHelloRetryRequestIsToldFromServerHello(t *testing.T) {
	t.Parallel()
	c2s, s2c := converse(t,
		&tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}},
		&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}})
	var h Handshake
	for range 2 { // reuse must not leak
		h.Parse(c2s, s2c)
		if !h.HelloRetry || !h.ServerSeen || h.Incomplete {
			t.Fatalf("retry %v, server %v, incomplete %v", h.HelloRetry, h.ServerSeen, h.Incomplete)
		}
		if got := GroupName(h.Server.KeyShare.Group); got != "secp384r1" || h.Server.KeyShare.Length != 97 {
			t.Errorf("the server's share is %s of %d bytes", got, h.Server.KeyShare.Length)
		}
		if got := GroupName(h.Client.KeyShares[0].Group); got != "x25519" {
			t.Errorf("the client's first share is %s, not that of its first hello", got)
		}
		if h.ClientFinished {
			t.Error("the second hello was taken for Finished")
		}
	}
	h.Parse(c2s, s2c[:RecordHeaderLen+int(binary.BigEndian.Uint16(s2c[3:]))])
	if !h.HelloRetry || h.ServerSeen || h.Server.CipherSuite != 0 {
		t.Errorf("a lone retry counts as ServerHello: %+v", h.Server)
	}
	if h.NegotiatedVersion() != VersionTLS13 || h.Retry.CipherSuite>>8 != 0x13 || h.Retry.KeyShare != (KeyShare{Group: 24}) {
		t.Errorf("a lone retry tells %#x, %+v", h.NegotiatedVersion(), h.Retry)
	}
}

func TestMessagesSpanRecords(t *testing.T) {
	t.Parallel()
	c2s, s2c := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	var want, got Handshake
	want.Parse(c2s, s2c)
	for _, size := range []int{1, 2, 3, 4, 5, 37, 500, 1 << 14} {
		got.Parse(mend(c2s, size), mend(s2c, size))
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Handshake{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("in records of %d bytes the handshake reads differently:\n%s", size, d)
		}
	}
}

func TestMessageInOneRecordIsNotCopied(t *testing.T) {
	t.Parallel()
	c2s, s2c := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	var h Handshake
	h.Parse(c2s, s2c)
	if len(h.scratch) != 0 {
		t.Errorf("%d bytes were copied", len(h.scratch))
	}
	if i := slices.Index(c2s, h.Client.SNI[0]); i < 0 || !aliases(c2s, h.Client.SNI) || !aliases(s2c, h.Certificates[0]) {
		t.Error("the results do not alias the input")
	}
}

// aliases reports whether part lies in whole.
func aliases(whole, part []byte) bool {
	for i := range whole {
		if &whole[i] == &part[0] {
			return true
		}
	}
	return false
}

func TestEveryTruncationIsIncomplete(t *testing.T) {
	t.Parallel()
	for name, max := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2s, s2c := converse(t, &tls.Config{MaxVersion: max}, &tls.Config{})
			var h Handshake
			for _, dir := range []struct {
				bytes  []byte
				server bool
			}{{c2s, false}, {s2c, true}} {
				ends := recordEnds(dir.bytes)
				for n := range dir.bytes {
					if dir.server {
						h.Parse(c2s, dir.bytes[:n])
					} else {
						h.Parse(dir.bytes[:n], s2c)
					}
					if want := !slices.Contains(ends, n); h.Incomplete != want {
						t.Fatalf("server %v cut to %d of %d bytes: incomplete %v, want %v", dir.server, n, len(dir.bytes), h.Incomplete, want)
					}
				}
			}
		})
	}
}

func recordEnds(b []byte) []int {
	ends := []int{0}
	for n := 0; n < len(b); {
		n += RecordHeaderLen + int(binary.BigEndian.Uint16(b[n+3:]))
		ends = append(ends, n)
	}
	return ends
}

func TestRolesFollowTheHellos(t *testing.T) {
	t.Parallel()
	c2s, s2c := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	var h, want Handshake
	want.Parse(c2s, s2c)
	h.Parse(s2c, c2s)
	if !h.Reversed || string(h.Client.SNI) != "tap.example" || len(h.Certificates) != 1 {
		t.Errorf("reversed %v, name %q, %d certificates", h.Reversed, h.Client.SNI, len(h.Certificates))
	}
}

func TestOneDirectionIsEnough(t *testing.T) {
	t.Parallel()
	c2s, s2c := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	var h Handshake
	h.Parse(nil, s2c)
	if h.ClientSeen || !h.ServerSeen || len(h.Certificates) != 1 || h.Incomplete {
		t.Errorf("server alone: %+v", h)
	}
	h.Parse(c2s, nil)
	if !h.ClientSeen || h.ServerSeen || len(h.Certificates) != 0 || h.Incomplete || !h.ClientFinished {
		t.Errorf("client alone: %+v", h)
	}
}

func TestAlertsInClearAreKept(t *testing.T) {
	t.Parallel()
	alert := []byte{RecordAlert, 3, 1, 0, 2, 2, 40}
	ccs := []byte{RecordChangeCipherSpec, 3, 1, 0, 1, 1}
	protected := append([]byte{RecordAlert, 3, 1, 0, 24, 2, 40}, make([]byte, 22)...)
	var h Handshake
	h.Parse(slices.Concat(ccs, protected, alert), alert)
	want := []Alert{{FromServer: true, Level: 2, Description: 40}, {Level: 2, Description: 40}}
	if d := cmp.Diff(want, h.Alerts); d != "" {
		t.Error(d)
	}
}

func TestRubbishAfterTheHelloLeavesTheHello(t *testing.T) {
	t.Parallel()
	c2s, _ := converse(t, &tls.Config{}, &tls.Config{})
	first := c2s[:recordEnds(c2s)[1]]
	var h Handshake
	h.Parse(slices.Concat(first, []byte("GET / HTTP/1.1\r\n")), []byte{0xff})
	if !h.ClientSeen || h.Client.Incomplete || !h.Incomplete {
		t.Errorf("client seen %v, hello incomplete %v, handshake incomplete %v", h.ClientSeen, h.Client.Incomplete, h.Incomplete)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	c2s, s2c := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	c3, s3 := converse(t,
		&tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}, NextProtos: []string{"h2"}},
		&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}})
	c2, s2 := mend(c2s, 100), mend(s2c, 100)
	every := flight(msg(1, everyExtension()...), msg(1, everyExtension()...))
	answer := flight(msg(2, serverHello(0x0303, 0x009e)...), msg(MessageServerKeyExchange, vec(2, 1, 2)...), msg(MessageCertificateRequest, 1, 1, 0))
	datagrams := flight(msg(1, dtlsHello([]byte("cookie"))...))
	old, oldAnswer := sslv2Hello(), sslv2ServerHello()
	var h Handshake
	parse := func() {
		h.Parse(c2s, s2c)
		h.Parse(c3, s3)
		h.Parse(c2, s2)
		h.Parse(every, answer)
		h.Parse(old, oldAnswer)
		h.ParseDTLS(datagrams, answer)
		h.ParseMessages(every[RecordHeaderLen:], answer[RecordHeaderLen:])
		h.ParseMessages(every[RecordHeaderLen:100], answer[RecordHeaderLen:20])
	}
	parse()
	if n := testing.AllocsPerRun(100, parse); n != 0 {
		t.Errorf("Parse allocates %v times, want 0", n)
	}
}

// FuzzHandshake holds that a Handshake that was used reads as a new one does,
// in each of the forms a conversation comes in.
func FuzzHandshake(f *testing.F) {
	const tlsForm, dtlsForm, messageForm = 0, 1, 2
	for _, max := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c2s, s2c := converse(f, &tls.Config{MaxVersion: max, NextProtos: []string{"h2"}}, &tls.Config{NextProtos: []string{"h2"}})
		f.Add(uint8(tlsForm), c2s, s2c)
		f.Add(uint8(tlsForm), s2c, c2s)
		f.Add(uint8(tlsForm), mend(c2s, 7), mend(s2c, 200))
		f.Add(uint8(messageForm), c2s[RecordHeaderLen:recordEnds(c2s)[1]], s2c[RecordHeaderLen:recordEnds(s2c)[1]])
	}
	f.Add(uint8(tlsForm), sslv2Hello(), []byte{RecordAlert, 3, 0, 0, 2, 2, 40})
	f.Add(uint8(tlsForm), sslv2Hello(), sslv2ServerHello())
	f.Add(uint8(tlsForm), rec(RecordHeartbeat, 1, 0x40, 0), flight(msg(MessageCompressedCertificate, compressed(f, compressZstd, vec(3, vec(3, 1)...))...)))
	f.Add(uint8(dtlsForm), flight(msg(1, dtlsHello([]byte("cookie"))...)), flight(msg(MessageHelloVerifyRequest, 0xfe, 0xff, 1, 1)))
	f.Add(uint8(messageForm), msg(1, everyExtension()...), msg(2, retryRequest(24)...))
	for _, suite := range []uint16{0x0003, 0x009e, 0x00a8, 0xc02b, 0xc035} {
		f.Add(uint8(tlsForm), flight(msg(1, everyExtension()...), msg(MessageCertificateVerify, 4, 3)),
			flight(msg(2, serverHello(0x0303, suite)...), msg(MessageServerKeyExchange, 2, 0, 163, 2), msg(MessageCertificateRequest, 1, 1, 0), msg(MessageNewSessionTicket, 0)))
	}
	var first, second Handshake
	f.Fuzz(func(t *testing.T, form uint8, client, server []byte) {
		parse := []func(h *Handshake, client, server []byte){(*Handshake).Parse, (*Handshake).ParseDTLS, (*Handshake).ParseMessages}[form%3]
		parse(&first, client, server)
		second = Handshake{}
		parse(&second, client, server)
		if d := cmp.Diff(first, second, cmpopts.IgnoreUnexported(Handshake{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("a reused Handshake reads differently from a new one:\n%s", d)
		}
		if len(first.inflated) > 2*maxCertificateMessage {
			t.Errorf("%d bytes were decompressed", len(first.inflated))
		}
		VersionName(Version(&first))
		CipherName(first.Server.CipherSuite)
		first.SessionEchoed()
	})
}

func BenchmarkParseHandshake(b *testing.B) {
	c2s, s2c := converse(b, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	var h Handshake
	b.ReportAllocs()
	b.SetBytes(int64(len(c2s) + len(s2c)))
	for b.Loop() {
		h.Parse(c2s, s2c)
	}
}

// browserHello is a hello as large as those of browsers that offer a hybrid
// group, with their extensions and GREASE at both ends.
func browserHello() []byte {
	suites := []uint16{0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035}
	var list []byte
	for _, s := range suites {
		list = append(list, u16(s)...)
	}
	shares := slices.Concat([]byte{0x3a, 0x3a}, vec(2, 0), u16(0x11ec), vec(2, make([]byte, 1216)...), u16(29), vec(2, make([]byte, 32)...))
	exts := slices.Concat(
		ext(0x4a4a),
		ext(ExtensionServerName, vec(2, slices.Concat([]byte{0}, vec(2, []byte("www.example.com")...))...)...),
		ext(ExtensionExtendedMasterSecret), ext(ExtensionRenegotiationInfo, vec(1)...),
		ext(ExtensionSupportedGroups, vec(2, 0x3a, 0x3a, 0x11, 0xec, 0, 29, 0, 23, 0, 24)...),
		ext(ExtensionPointFormats, vec(1, 0)...), ext(ExtensionSessionTicket),
		ext(ExtensionALPN, vec(2, slices.Concat(vec(1, []byte("h2")...), vec(1, []byte("http/1.1")...))...)...),
		ext(ExtensionStatusRequest, 1, 0, 0, 0, 0),
		ext(ExtensionSignatureAlgorithms, vec(2, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1)...),
		ext(ExtensionSCT), ext(ExtensionKeyShare, vec(2, shares...)...), ext(ExtensionPSKModes, vec(1, 1)...),
		ext(ExtensionSupportedVersions, vec(1, 0x5a, 0x5a, 3, 4, 3, 3)...),
		ext(ExtensionCompressCertificate, vec(1, 0, 2)...),
		ext(ExtensionALPS, vec(2, vec(1, []byte("h2")...)...)...),
		ext(ExtensionECH, slices.Concat([]byte{0, 0, 1, 0, 1, 7}, vec(2, make([]byte, 32)...), vec(2, make([]byte, 144)...))...),
		ext(0x6a6a, 0))
	return slices.Concat([]byte{3, 3}, make([]byte, 32), vec(1, make([]byte, 32)...), vec(2, list...), vec(1, 0), vec(2, exts...))
}

func BenchmarkParseClientHello(b *testing.B) {
	body := browserHello()
	var h ClientHello
	if !h.Parse(body) {
		b.Fatal("hello is not whole")
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		h.Parse(body)
	}
}

func BenchmarkParseServerHello(b *testing.B) {
	_, s2c := converse(b, &tls.Config{}, &tls.Config{})
	body := s2c[RecordHeaderLen+messageHeaderLen : recordEnds(s2c)[1]]
	var h ServerHello
	if !h.Parse(body) {
		b.Fatal("hello is not whole")
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Parse(body)
	}
}
