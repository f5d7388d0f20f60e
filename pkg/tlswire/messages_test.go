package tlswire

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"
)

func rec(typ uint8, body ...byte) []byte { return append([]byte{typ, 3, 3}, vec(2, body...)...) }

func msg(typ uint8, body ...byte) []byte { return append([]byte{typ}, vec(3, body...)...) }

// flight puts messages into one record.
func flight(messages ...[]byte) []byte { return rec(RecordHandshake, slices.Concat(messages...)...) }

func serverHello(version, suite uint16, exts ...[]byte) []byte {
	return slices.Concat(u16(version), make([]byte, 32), vec(1), u16(suite), []byte{0}, vec(2, slices.Concat(exts...)...))
}

func retryRequest(group uint16) []byte {
	return slices.Concat([]byte{3, 3}, []byte(retryRandom), vec(1), []byte{0x13, 1, 0},
		vec(2, slices.Concat(ext(ExtensionSupportedVersions, 3, 4), ext(ExtensionKeyShare, u16(group)...))...))
}

func u16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// everyExtension is a hello with each of the extensions that are measured.
func everyExtension() []byte {
	return clientHello(
		ext(ExtensionMaxFragmentLength, 3),
		ext(ExtensionStatusRequest, 1, 0, 0, 0, 0),
		ext(ExtensionHeartbeat, 2),
		ext(ExtensionStatusRequestV2, vec(2, 2, 0, 4, 0, 0, 0, 0)...),
		ext(ExtensionEncryptThenMAC), ext(ExtensionExtendedMasterSecret),
		ext(ExtensionCompressCertificate, vec(1, 0, 2, 0, 1)...),
		ext(ExtensionRecordSizeLimit, 0x40, 1),
		ext(ExtensionDelegatedCredentials, vec(2, 4, 3, 8, 4)...),
		ext(ExtensionCookie, vec(2, 1, 2, 3, 4, 5)...),
		ext(ExtensionPostHandshakeAuth),
		ext(ExtensionSignatureAlgsCert, vec(2, 8, 7)...),
		ext(ExtensionQUICParametersDraft, 9),
		ext(ExtensionQUICParameters, 1, 2, 0x44, 0x55),
		ext(ExtensionALPSDraft, vec(2, vec(1, []byte("h1")...)...)...),
		ext(ExtensionALPS, vec(2, vec(1, []byte("h2")...)...)...),
		ext(ExtensionTrustAnchors, vec(2, slices.Concat(vec(1, 1), vec(1, 2, 3))...)...),
		ext(ExtensionECH, slices.Concat([]byte{0, 0, 1, 0, 3, 77}, vec(2, make([]byte, 32)...), vec(2, make([]byte, 144)...))...),
		ext(ExtensionESNI, 1),
		ext(ExtensionRenegotiationInfo, vec(1)...),
		ext(ExtensionPreSharedKey, slices.Concat(
			vec(2, slices.Concat(vec(2, make([]byte, 100)...), make([]byte, 4), vec(2, 1), make([]byte, 4))...),
			vec(2, slices.Concat(vec(1, make([]byte, 32)...), vec(1, make([]byte, 48)...))...))...),
	)
}

func TestExtensionsAreMeasured(t *testing.T) {
	t.Parallel()
	var h ClientHello
	if !h.Parse(everyExtension()) {
		t.Fatalf("not whole: %+v", h)
	}
	for what, ok := range map[string]bool{
		"max_fragment_length":   h.MaxFragmentLength == 3,
		"status_request":        h.StatusRequest == 1,
		"heartbeat":             h.Heartbeat == 2,
		"compress_certificate":  slices.Equal(h.CertCompression, []uint16{2, 1}),
		"record_size_limit":     h.RecordSizeLimit == 0x4001,
		"delegated_credentials": slices.Equal(h.DelegatedCredentials, []uint16{0x0403, 0x0804}),
		"cookie":                h.RetryCookieLen == 5 && h.CookieLen == -1,
		"sig_algs_cert":         slices.Equal(h.SignatureAlgsCert, []uint16{0x0807}),
		"QUIC parameters":       string(h.QUICParameters) == "\x01\x02\x44\x55",
		"ALPS":                  len(h.ALPS) == 1 && string(h.ALPS[0]) == "h2",
		"trust anchors":         h.TrustAnchors == 2,
		"ECH":                   h.ECH && h.EncryptedHello == EncryptedHello{KDF: 1, AEAD: 3, ConfigID: 77, KeyLen: 32, PayloadLen: 144},
		"renegotiation_info":    h.RenegotiationInfoLen == 0,
		"PSK identities":        h.PSK && h.PSKIdentities == 2 && h.PSKIdentityLen == 100,
		"PSK binders":           h.PSKBinders == 2 && h.PSKBinderLen == 32,
		"presence": h.HasExtension(ExtensionStatusRequestV2) && h.HasExtension(ExtensionEncryptThenMAC) && h.HasExtension(ExtensionExtendedMasterSecret) &&
			h.HasExtension(ExtensionPostHandshakeAuth) && h.HasExtension(ExtensionESNI) && !h.HasExtension(ExtensionSCT),
	} {
		if !ok {
			t.Errorf("%s is wrong: %+v", what, h)
		}
	}
	h.Parse(clientHello(ext(ExtensionECH, 1)))
	if !h.EncryptedHello.Inner {
		t.Error("the inner hello is not told")
	}
	h.Parse(clientHello(ext(ExtensionQUICParameters, 7), ext(ExtensionQUICParametersDraft, 9)))
	if string(h.QUICParameters) != "\x07" {
		t.Errorf("the parameters of a draft replaced the final ones: % x", h.QUICParameters)
	}
}

func TestMeasuredExtensionsOfOtherFormsAreNoDamage(t *testing.T) {
	t.Parallel()
	for _, typ := range []uint16{ExtensionMaxFragmentLength, ExtensionHeartbeat, ExtensionCompressCertificate, ExtensionRecordSizeLimit,
		ExtensionKeyShareDraft, ExtensionPreSharedKey, ExtensionCookie, ExtensionQUICParameters, ExtensionALPS, ExtensionTrustAnchors, ExtensionECH} {
		for _, body := range [][]byte{{}, {0xff}, {0xff, 0xff, 0xff}, bytes.Repeat([]byte{1}, 9)} {
			var h ClientHello
			if !h.Parse(clientHello(ext(typ, body...), ext(ExtensionALPN, vec(2, vec(1, 'x')...)...))) || len(h.ALPN) != 1 {
				t.Errorf("extension %d of % x spoils the hello", typ, body)
			}
		}
	}
}

func TestKeySharesOfDrafts(t *testing.T) {
	t.Parallel()
	share := vec(2, slices.Concat(u16(29), vec(2, make([]byte, 32)...))...)
	var h ClientHello
	h.Parse(clientHello(ext(ExtensionKeyShareDraft, share...)))
	if !slices.Equal(h.KeyShares, []KeyShare{{29, 32}}) {
		t.Errorf("shares %v", h.KeyShares)
	}
	h.Parse(clientHello(ext(ExtensionKeyShareDraft, vec(2, bytes.Repeat([]byte{200}, 32)...)...))) // extended_random
	if len(h.KeyShares) != 0 {
		t.Errorf("random bytes read as %v", h.KeyShares)
	}
	h.Parse(clientHello(ext(ExtensionKeyShareDraft, share...), ext(ExtensionKeyShare, vec(2, slices.Concat(u16(23), vec(2, 1))...)...)))
	if !slices.Equal(h.KeyShares, []KeyShare{{23, 1}}) {
		t.Errorf("beside the final extension the draft's gives %v", h.KeyShares)
	}
	var s ServerHello
	if !s.Parse(serverHello(0x0303, 0x1301, ext(ExtensionSupportedVersions, 0x7f, 0x16), ext(ExtensionKeyShareDraft, slices.Concat(u16(29), vec(2, make([]byte, 32)...))...))) ||
		s.KeyShare != (KeyShare{29, 32}) {
		t.Errorf("the server's share is %v", s.KeyShare)
	}
}

func TestServerExtensionsAreMeasured(t *testing.T) {
	t.Parallel()
	var h ServerHello
	if !h.Parse(serverHello(0x0303, 0xc02f, ext(ExtensionPreSharedKey, 0, 2), ext(ExtensionRenegotiationInfo, vec(1, 1, 2)...),
		ext(ExtensionMaxFragmentLength, 4), ext(ExtensionRecordSizeLimit, 2, 0), ext(ExtensionHeartbeat, 1), ext(ExtensionExtendedMasterSecret))) {
		t.Fatal("not whole")
	}
	if !h.PSK || h.PSKIdentity != 2 || h.RenegotiationInfoLen != 2 || h.MaxFragmentLength != 4 || h.RecordSizeLimit != 512 || h.Heartbeat != 1 ||
		!h.HasExtension(ExtensionExtendedMasterSecret) {
		t.Errorf("%+v", h)
	}
	h.Parse(serverHello(0x0303, 0xc02f))
	if h.PSK || h.PSKIdentity != -1 || h.RenegotiationInfoLen != -1 {
		t.Errorf("without extensions %+v", h)
	}
}

func TestHelloRetryRequestOfDrafts(t *testing.T) {
	t.Parallel()
	share := vec(2, ext(ExtensionKeyShareDraft, 0, 24)...)
	for name, body := range map[string][]byte{
		"draft 18": slices.Concat([]byte{0x7f, 0x12}, share),
		"draft 20": slices.Concat([]byte{0x7f, 0x14, 0x13, 1}, share),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := clientHello(ext(ExtensionKeyShareDraft, vec(2, slices.Concat(u16(24), vec(2, make([]byte, 97)...))...)...))
			var h Handshake
			h.Parse(flight(msg(1, clientHello()...), msg(1, second...)),
				flight(msg(MessageHelloRetryRequest, body...), msg(2, slices.Concat(body[:2], make([]byte, 32), []byte{0x13, 1}, vec(2))...)))
			if !h.HelloRetry || h.Retry.KeyShare.Group != 24 || h.Incomplete || !h.ServerSeen || !IsTLS13(h.Server.SelectedVersion) {
				t.Errorf("retry %v, group %d, incomplete %v, server %+v", h.HelloRetry, h.Retry.KeyShare.Group, h.Incomplete, h.Server)
			}
			if !h.SecondHello || !slices.Equal(h.Second.KeyShares, []KeyShare{{24, 97}}) || len(h.Client.KeyShares) != 0 {
				t.Errorf("second hello %v, shares %v", h.SecondHello, h.Second.KeyShares)
			}
		})
	}
}

func TestRenegotiationInClear(t *testing.T) {
	t.Parallel()
	var h Handshake
	h.Parse(flight(msg(1, clientHello(ext(ExtensionRenegotiationInfo, vec(1)...))...), msg(1, clientHello(ext(ExtensionRenegotiationInfo, vec(1, make([]byte, 12)...)...))...)),
		flight(msg(MessageHelloRequest), msg(2, serverHello(0x0303, 0x003c)...)))
	if !h.HelloRequest || !h.SecondHello || h.HelloRetry || h.Client.RenegotiationInfoLen != 0 || h.Second.RenegotiationInfoLen != 12 || h.Incomplete {
		t.Errorf("%+v", h)
	}
	if h.Client.HasCipherSuite(SuiteRenegotiationSCSV) || !h.Client.HasCipherSuite(0x1301) {
		t.Errorf("suites %x", h.Client.CipherSuites)
	}
}

func TestMessagesWithoutRecords(t *testing.T) {
	t.Parallel()
	client := slices.Concat(msg(1, clientHello(ext(ExtensionQUICParameters, 1))...), msg(1, clientHello(ext(ExtensionKeyShare, vec(2, slices.Concat(u16(24), vec(2, 1))...)...))...))
	server := slices.Concat(msg(2, retryRequest(24)...), msg(2, serverHello(0x0303, 0x1301, ext(ExtensionSupportedVersions, 3, 4))...))
	var got, want Handshake
	want.Parse(flight(client), flight(server))
	for range 2 {
		got.ParseMessages(client, server)
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Handshake{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("with records and without they read differently:\n%s", d)
		}
	}
	if !got.HelloRetry || !got.SecondHello || got.Retry.KeyShare.Group != 24 || got.Incomplete {
		t.Errorf("%+v", got)
	}
	got.ParseMessages(server, client)
	if !got.Reversed || string(got.Client.QUICParameters) != "\x01" {
		t.Errorf("reversed %v, parameters % x", got.Reversed, got.Client.QUICParameters)
	}
	first := len(msg(1, clientHello(ext(ExtensionQUICParameters, 1))...))
	for n := range first {
		got.ParseMessages(client[:n], nil)
		if (n > 0) != got.Incomplete || (n >= messageHeaderLen) != got.ClientSeen {
			t.Fatalf("cut to %d bytes: incomplete %v, seen %v", n, got.Incomplete, got.ClientSeen)
		}
	}
}

// dtlsHello is clientHello with a cookie.
func dtlsHello(cookie []byte, exts ...[]byte) []byte {
	const before = 2 + 32 + 1 + 3
	h := clientHello(exts...)
	h[0], h[1] = VersionDTLS12>>8, VersionDTLS12&0xff
	return slices.Concat(h[:before], vec(1, cookie...), h[before:])
}

func TestDTLS(t *testing.T) {
	t.Parallel()
	var h Handshake
	h.ParseDTLS(
		slices.Concat(flight(msg(1, dtlsHello(nil)...)), flight(msg(1, dtlsHello([]byte("cookie"))...)),
			flight(msg(MessageClientKeyExchange, make([]byte, 66)...)), rec(RecordChangeCipherSpec, 1), flight(make([]byte, 40))),
		slices.Concat(flight(msg(MessageHelloVerifyRequest, 0xfe, 0xff, 2, 1, 2)), flight(msg(2, serverHello(VersionDTLS12, 0xc02b)...)),
			flight(msg(MessageServerHelloDone))))
	if !h.DTLS || !h.HelloVerify || h.Incomplete || !h.ServerHelloDone || !h.ClientFinished || h.ClientKeyExchangeLen != 66 || h.HelloRetry {
		t.Errorf("%+v", h)
	}
	if h.Client.CookieLen != 0 || !h.SecondHello || h.Second.CookieLen != 6 || len(h.Second.CipherSuites) != 3 {
		t.Errorf("cookies of %d and %d bytes", h.Client.CookieLen, h.Second.CookieLen)
	}
	if got := VersionName(Version(&h)); got != "DTLS 1.2" {
		t.Errorf("version %s", got)
	}

	h.ParseDTLS(flight(msg(1, dtlsHello(nil, ext(ExtensionSupportedVersions, vec(1, 0xfe, 0xfd, 0xfe, 0xfc)...))...)), nil)
	if h.Client.MaxVersion() != VersionDTLS13 {
		t.Errorf("of 0xfefd and 0xfefc %#x is the highest", h.Client.MaxVersion())
	}
	hidden := msg(MessageCertificate, vec(3, vec(3, 1, 2)...)...)
	h.ParseDTLS(nil, flight(msg(2, serverHello(VersionDTLS12, 0x1301, ext(ExtensionSupportedVersions, 0xfe, 0xfc))...), hidden))
	if !IsTLS13(h.NegotiatedVersion()) || h.CertificateSeen {
		t.Errorf("version %#x shows more than its hellos", h.NegotiatedVersion())
	}
	h.ParseDTLS(flight(msg(MessageHelloVerifyRequest, 0xfe, 0xff, 1, 1)), flight(msg(1, dtlsHello(nil)...)))
	if !h.Reversed || !h.HelloVerify || !h.ClientSeen {
		t.Errorf("reversed %v, verify %v, client %v", h.Reversed, h.HelloVerify, h.ClientSeen)
	}
	h.Parse(nil, flight(msg(MessageHelloVerifyRequest, 0xfe, 0xff, 1, 1)))
	if h.HelloVerify || h.DTLS {
		t.Error("TLS has no HelloVerifyRequest")
	}
}

func TestGapsCostTheMessagesTheyHit(t *testing.T) {
	t.Parallel()
	gap := []byte{RecordGap, 0, 0, 0, 0}
	hello := msg(2, serverHello(0x0303, 0xc02f)...)
	chain := msg(MessageCertificate, vec(3, slices.Concat(vec(3, make([]byte, 50)...), vec(3, make([]byte, 900)...))...)...)
	done := msg(MessageServerHelloDone)
	tail := flight(bytes.Repeat([]byte{7}, 40)) // of the chain
	var h Handshake
	h.Parse(nil, slices.Concat(flight(hello, chain[:200]), gap, tail, flight(done)))
	if !h.ServerSeen || len(h.Certificates) != 1 || !h.ServerHelloDone || !h.Incomplete || h.Server.Incomplete {
		t.Errorf("server %v, %d certificates, done %v, incomplete %v", h.ServerSeen, len(h.Certificates), h.ServerHelloDone, h.Incomplete)
	}
	h.Parse(nil, slices.Concat(gap, flight(done)))
	if !h.ServerHelloDone || !h.Incomplete {
		t.Errorf("behind a gap at the front: done %v, incomplete %v", h.ServerHelloDone, h.Incomplete)
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	chain := vec(3, slices.Concat(vec(3, 1, 2, 3), vec(3, 4))...)
	request := slices.Concat(vec(1, 1, 64), vec(2, 4, 1, 5, 1, 6, 1), vec(2, slices.Concat(vec(2, 1, 2), vec(2, 3))...))
	var h Handshake
	h.Parse(flight(msg(1, clientHello()...), msg(MessageCertificate, chain...), msg(MessageCertificateVerify, slices.Concat(u16(0x0804), vec(2, 9))...)),
		flight(msg(2, serverHello(0x0303, 0xc02f)...), msg(MessageCertificateRequest, request...)))
	if h.Incomplete || !h.ClientCertificate || h.ClientCertificateBytes != len(chain) || len(h.ClientCertificates) != 2 || string(h.ClientCertificates[0]) != "\x01\x02\x03" {
		t.Errorf("incomplete %v, client chain % x", h.Incomplete, h.ClientCertificates)
	}
	if !h.CertificateVerify || h.CertificateVerifyAlg != 0x0804 {
		t.Errorf("verify %v by %#x", h.CertificateVerify, h.CertificateVerifyAlg)
	}
	if string(h.RequestedTypes) != "\x01\x40" || h.RequestedAlgs != 3 || h.RequestedAuthorities != 2 {
		t.Errorf("types % x, %d algorithms, %d authorities", h.RequestedTypes, h.RequestedAlgs, h.RequestedAuthorities)
	}
	old := slices.Concat(vec(1, 1), vec(2, vec(2, 1, 2)...))
	h.Parse(flight(msg(MessageCertificateVerify, vec(2, 9)...)), flight(msg(2, serverHello(0x0301, 0x002f)...), msg(MessageCertificateRequest, old...)))
	if !h.CertificateVerify || h.CertificateVerifyAlg != 0 || h.RequestedAlgs != 0 || h.RequestedAuthorities != 1 {
		t.Errorf("TLS 1.0: %+v", h)
	}
}

func TestServerKeyExchanges(t *testing.T) {
	t.Parallel()
	point, signed := vec(1, make([]byte, 65)...), slices.Concat(u16(0x0403), vec(2, make([]byte, 70)...))
	prime := slices.Concat(vec(2, append([]byte{0x80}, make([]byte, 127)...)...), vec(2, 2), vec(2, 3))
	six := slices.Concat(vec(1, 1), vec(1, 2), vec(1, 3), vec(1, 4), vec(1, 5), vec(1, 6))
	type facts struct {
		curveType uint8
		group     uint16
		dh, rsa   int
		hint      int
		alg       uint16
	}
	for name, c := range map[string]struct {
		version, suite uint16
		body           []byte
		want           facts
	}{
		"ECDHE":               {0x0303, 0xc02b, slices.Concat([]byte{3, 0, 23}, point, signed), facts{curveType: 3, group: 23, hint: -1, alg: 0x0403}},
		"ECDHE in TLS 1.0":    {0x0301, 0xc013, slices.Concat([]byte{3, 0, 23}, point, vec(2, 4, 3)), facts{curveType: 3, group: 23, hint: -1}},
		"ECDHE anonymous":     {0x0303, 0xc018, slices.Concat([]byte{3, 0, 23}, point), facts{curveType: 3, group: 23, hint: -1}},
		"explicit prime":      {0x0303, 0xc02b, slices.Concat([]byte{1}, six, point, signed), facts{curveType: 1, hint: -1, alg: 0x0403}},
		"explicit trinomial":  {0x0303, 0xc02b, slices.Concat([]byte{2, 0, 163, 1}, six, point, signed), facts{curveType: 2, hint: -1, alg: 0x0403}},
		"explicit pentanom.":  {0x0303, 0xc02b, slices.Concat([]byte{2, 0, 163, 2}, vec(1, 7), vec(1, 8), six, point, signed), facts{curveType: 2, hint: -1, alg: 0x0403}},
		"DHE":                 {0x0303, 0x009e, slices.Concat(prime, signed), facts{dh: 1024, hint: -1, alg: 0x0403}},
		"DHE cut":             {0x0303, 0x009e, prime[:9], facts{dh: 1024, hint: -1}},
		"PSK":                 {0x0303, 0x00a8, vec(2, []byte("hint")...), facts{hint: 4}},
		"ECDHE_PSK":           {0x0303, 0xc035, slices.Concat(vec(2), []byte{3, 0, 29}, point), facts{curveType: 3, group: 29}},
		"DHE_PSK":             {0x0303, 0x00aa, slices.Concat(vec(2, 1), prime), facts{dh: 1024, hint: 1}},
		"RSA export":          {0x0301, 0x0003, slices.Concat(vec(2, append([]byte{0x81}, make([]byte, 63)...)...), vec(2, 1, 0, 1), vec(2, 9)), facts{rsa: 512, hint: -1}},
		"RSA export unasked":  {0x0303, 0x002f, slices.Concat(vec(2, append([]byte{0x81}, make([]byte, 63)...)...), vec(2, 1, 0, 1), signed), facts{rsa: 512, hint: -1, alg: 0x0403}},
		"SRP is not read":     {0x0303, 0xc01d, prime, facts{hint: -1}},
		"nothing in the body": {0x0303, 0xc02b, nil, facts{hint: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h Handshake
			h.Parse(nil, flight(msg(2, serverHello(c.version, c.suite)...), msg(MessageServerKeyExchange, c.body...)))
			got := facts{h.ServerCurveType, h.ServerGroup, h.ServerDHBits, h.ServerRSABits, h.ServerPSKHintLen, h.ServerSignatureAlg}
			if got != c.want || h.ServerKeyExchangeLen != len(c.body) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestTicketAndStaple(t *testing.T) {
	t.Parallel()
	var h Handshake
	h.Parse(nil, flight(msg(2, serverHello(0x0303, 0xc02f)...), msg(MessageCertificateStatus, append([]byte{1}, vec(3, make([]byte, 471)...)...)...),
		msg(MessageNewSessionTicket, slices.Concat([]byte{0, 1, 0x51, 0x80}, vec(2, make([]byte, 192)...))...)))
	if !h.OCSPStaple || h.StapleType != 1 || h.StapleLen != 471 || !h.NewSessionTicket || h.TicketLifetime != 86400 || h.TicketLen != 192 || h.Incomplete {
		t.Errorf("%+v", h)
	}
	h.Parse(nil, flight(msg(2, serverHello(0x0303, 0xc02f)...)))
	if h.StapleLen != -1 || h.TicketLen != -1 || h.StapleType != 0 {
		t.Errorf("without the messages: %+v", h)
	}
}

func compressed(t testing.TB, algorithm uint16, message []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch algorithm {
	case compressZlib:
		w = zlib.NewWriter(&out)
	case compressBrotli:
		w = brotli.NewWriter(&out)
	default:
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := w.Write(message); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(u16(algorithm), vec(3, message...)[:3], vec(3, out.Bytes()...))
}

func TestCompressedCertificates(t *testing.T) {
	t.Parallel()
	der := bytes.Repeat([]byte("certificate"), 100)
	old := vec(3, slices.Concat(vec(3, der...), vec(3, 1))...)
	now := slices.Concat(vec(1), vec(3, slices.Concat(vec(3, der...), vec(2, 1, 2), vec(3, 1), vec(2))...))
	for algorithm := uint16(compressZlib); algorithm <= compressZstd; algorithm++ {
		for form, message := range map[string][]byte{"TLS 1.2": old, "TLS 1.3": now} {
			var h Handshake
			for range 2 {
				body := compressed(t, algorithm, message)
				h.Parse(flight(msg(MessageCompressedCertificate, body...)), flight(msg(MessageCompressedCertificate, body...)))
				if h.Incomplete || !h.CertificateSeen || h.CertificateCompression != algorithm || h.CertificateBytes != len(message) ||
					len(h.Certificates) != 2 || !bytes.Equal(h.Certificates[0], der) {
					t.Errorf("algorithm %d, form of %s: incomplete %v, %d certificates, %d bytes", algorithm, form, h.Incomplete, len(h.Certificates), h.CertificateBytes)
				}
				if !h.ClientCertificate || h.ClientCertificateBytes != len(message) || len(h.ClientCertificates) != 2 || !bytes.Equal(h.ClientCertificates[0], der) {
					t.Errorf("algorithm %d, form of %s: the client's chain is lost", algorithm, form)
				}
			}
			h.Parse(nil, flight(msg(MessageCompressedCertificate, compressed(t, algorithm, message[:len(message)-3])...)))
			if !h.Incomplete || form == "TLS 1.3" && (len(h.Certificates) != 1 || !bytes.Equal(h.Certificates[0], der)) {
				t.Errorf("algorithm %d, form of %s: of a cut chain %d certificates are left, incomplete %v", algorithm, form, len(h.Certificates), h.Incomplete)
			}
		}
	}
}

func TestCompressedCertificatesAreBounded(t *testing.T) {
	t.Parallel()
	bomb := make([]byte, 2*maxCertificateMessage)
	for algorithm := uint16(0); algorithm <= compressZstd+1; algorithm++ {
		body := compressed(t, algorithm, bomb)
		var h Handshake
		h.Parse(nil, flight(msg(MessageCompressedCertificate, body...)))
		if !h.Incomplete || len(h.inflated) > 0 || !h.CertificateSeen {
			t.Errorf("algorithm %d, too long as declared: incomplete %v, %d bytes", algorithm, h.Incomplete, len(h.inflated))
		}
		copy(body[2:], []byte{0, 1, 0}) // declares 256 bytes
		h.Parse(nil, flight(msg(MessageCompressedCertificate, body...)))
		if !h.Incomplete || len(h.inflated) > 256 {
			t.Errorf("algorithm %d, longer than declared: incomplete %v, %d bytes", algorithm, h.Incomplete, len(h.inflated))
		}
	}
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	honest := rec(RecordHeartbeat, slices.Concat([]byte{1, 0, 2, 7, 7}, make([]byte, 16))...)
	answer := rec(RecordHeartbeat, slices.Concat([]byte{2, 0, 2, 7, 7}, make([]byte, 16))...)
	bleed := rec(RecordHeartbeat, 1, 0x40, 0)
	var h Handshake
	h.Parse(slices.Concat(flight(msg(1, clientHello()...)), honest), answer)
	if h.Heartbeats != 2 || h.HeartbeatOverread {
		t.Errorf("%d heartbeats, overread %v", h.Heartbeats, h.HeartbeatOverread)
	}
	h.Parse(slices.Concat(flight(msg(1, clientHello()...)), bleed), answer)
	if h.Heartbeats != 2 || !h.HeartbeatOverread {
		t.Errorf("%d heartbeats, overread %v", h.Heartbeats, h.HeartbeatOverread)
	}
	h.Parse(slices.Concat(rec(RecordChangeCipherSpec, 1), bleed), nil)
	if h.Heartbeats != 1 || h.HeartbeatOverread {
		t.Error("an encrypted heartbeat was looked into")
	}
	h.Parse(slices.Concat(rec(RecordHeartbeat, honest[RecordHeaderLen:RecordHeaderLen+4]...), []byte{RecordGap, 0, 0, 0, 0}), nil)
	if h.Heartbeats != 1 || h.HeartbeatOverread {
		t.Error("a heartbeat that a gap cut counts as overread")
	}
	h.Parse(honest[:9], nil)
	if h.HeartbeatOverread || !h.Incomplete {
		t.Error("a heartbeat that was cut counts as overread")
	}
}

// sslv2ServerHello answers with a certificate of a few bytes and one suite.
func sslv2ServerHello() []byte {
	body := slices.Concat([]byte{4, 0, 1, 0, 2, 0, 5, 0, 3, 0, 16}, []byte{0x30, 3, 2, 1, 5}, []byte{1, 0, 0x80}, make([]byte, 16))
	return append([]byte{0x80, byte(len(body))}, body...)
}

func TestSSLv2Server(t *testing.T) {
	t.Parallel()
	der := []byte{0x30, 3, 2, 1, 5}
	server := sslv2ServerHello()
	var h Handshake
	h.Parse(sslv2Hello(), server)
	if !h.SSLv2Server || h.ServerSeen || VersionName(Version(&h)) != "SSL 2.0" || len(h.Certificates) != 1 || !bytes.Equal(h.Certificates[0], der) ||
		!h.CertificateSeen || h.CertificateBytes != len(der) || h.Incomplete {
		t.Errorf("%+v", h)
	}
	h.Parse(sslv2Hello(), server[:20])
	if !h.SSLv2Server || !h.Incomplete {
		t.Errorf("cut: server %v, incomplete %v", h.SSLv2Server, h.Incomplete)
	}
	server[1]++
	h.Parse(sslv2Hello(), server)
	if h.SSLv2Server || !h.Incomplete {
		t.Errorf("lengths that do not add up: server %v", h.SSLv2Server)
	}
	h.Parse(sslv2Hello(), flight(msg(2, serverHello(0x0301, 5)...)))
	if h.SSLv2Server || !h.ServerSeen {
		t.Error("a TLS server was taken for SSL 2.0")
	}
}

func TestHybridGroupsAndAlertsHaveNames(t *testing.T) {
	t.Parallel()
	for group, want := range map[uint16]bool{0x11eb: true, 0x11ec: true, 0x11ed: true, 0x11ee: true, 0x6399: true, 0xfe31: true, 29: false, 0x0201: false, 0x2a2a: false} {
		if got := IsHybrid(group); got != want {
			t.Errorf("%s: hybrid %v, want %v", GroupName(group), got, want)
		}
	}
	for group := range 1 << 16 {
		if g := uint16(group); IsHybrid(g) && GroupName(g)[:2] == "0x" {
			t.Errorf("hybrid %#04x has no name", g)
		}
	}
	for description, want := range map[uint8]string{0: "close_notify", 40: "handshake_failure", 48: "unknown_ca", 121: "ech_required", 200: "200"} {
		if got := AlertName(description); got != want {
			t.Errorf("alert %d is %s, want %s", description, got, want)
		}
	}
}
