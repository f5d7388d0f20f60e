package tlswire

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// vec puts b behind a length of n bytes.
func vec(n int, b ...byte) []byte {
	var l [4]byte
	binary.BigEndian.PutUint32(l[:], uint32(len(b)))
	return append(slices.Clone(l[4-n:]), b...)
}

func ext(typ uint16, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, typ), vec(2, body...)...)
}

func clientHello(exts ...[]byte) []byte {
	return slices.Concat([]byte{3, 3}, make([]byte, 32), vec(1, 9, 9, 9), vec(2, 0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2f),
		vec(1, 0), vec(2, slices.Concat(exts...)...))
}

// sslv2Hello offers SSL 2.0's RC4 and two suites of TLS.
func sslv2Hello() []byte {
	specs := []byte{1, 0, 0x80, 0, 0, 0x04, 0, 0, 0xff}
	msg := slices.Concat([]byte{1, 3, 1, 0, byte(len(specs)), 0, 0, 0, 16}, specs, slices.Repeat([]byte{7}, 16))
	return append([]byte{0x80, byte(len(msg))}, msg...)
}

func TestClientHelloFieldsInWireOrder(t *testing.T) {
	t.Parallel()
	body := clientHello(
		ext(0x3a3a),
		ext(ExtensionServerName, vec(2, slices.Concat([]byte{0}, vec(2, []byte("b\xffd.example")...))...)...),
		ext(ExtensionALPN, vec(2, slices.Concat(vec(1, []byte("h2")...), vec(1, []byte("http/1.1")...))...)...),
		ext(ExtensionSupportedGroups, vec(2, 0x4a, 0x4a, 0x11, 0xec, 0, 29)...),
		ext(ExtensionPointFormats, vec(1, 0, 1)...),
		ext(ExtensionSignatureAlgorithms, vec(2, 4, 3, 8, 4)...),
		ext(ExtensionSupportedVersions, vec(1, 0x5a, 0x5a, 3, 4, 0x7f, 0x1c, 3, 3)...),
		ext(ExtensionKeyShare, vec(2, slices.Concat([]byte{0x4a, 0x4a}, vec(2, 0), []byte{0, 29}, vec(2, make([]byte, 32)...))...)...),
		ext(ExtensionPSKModes, vec(1, 1)...),
		ext(ExtensionSessionTicket, 1, 2, 3),
		ext(ExtensionECH, 0),
		ext(ExtensionEarlyData),
		ext(ExtensionPadding, make([]byte, 11)...),
		ext(ExtensionPreSharedKey, 1),
	)
	var got ClientHello
	if !got.Parse(body) {
		t.Fatalf("not whole: %+v", got)
	}
	want := ClientHello{
		Version: VersionTLS12, SessionID: []byte{9, 9, 9},
		CipherSuites: []uint16{0x1a1a, 0x1301, 0xc02f}, Compression: []byte{0},
		Extensions: []uint16{0x3a3a, 0, 16, 10, 11, 13, 43, 51, 45, 35, 65037, 42, 21, 41},
		SNI:        []byte("b\xffd.example"), ALPN: [][]byte{[]byte("h2"), []byte("http/1.1")},
		Groups: []uint16{0x4a4a, 0x11ec, 29}, PointFormats: []byte{0, 1}, SignatureAlgs: []uint16{0x0403, 0x0804},
		SupportedVersions: []uint16{0x5a5a, 0x0304, 0x7f1c, 0x0303},
		KeyShares:         []KeyShare{{0x4a4a, 1}, {29, 32}}, PSKModes: []byte{1},
		HasExtensions: true, PaddingLen: 11, PSK: true, SessionTicketLen: 3, EarlyData: true, ECH: true, Length: len(body), CookieLen: -1,
		RetryCookieLen: -1, RenegotiationInfoLen: -1, TrustAnchors: -1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if v := got.MaxVersion(); v != VersionTLS13 {
		t.Errorf("highest version %#04x", v)
	}
}

func TestBrokenClientHellosKeepWhatWasRead(t *testing.T) {
	t.Parallel()
	whole := clientHello(ext(ExtensionALPN, vec(2, vec(1, []byte("h2")...)...)...), ext(0))
	for name, c := range map[string]struct {
		body  []byte
		check func(*ClientHello) bool
	}{
		"empty":                 {nil, func(h *ClientHello) bool { return h.Version == 0 }},
		"cut in the suites":     {whole[:2+32+4+2+3], func(h *ClientHello) bool { return slices.Equal(h.CipherSuites, []uint16{0x1a1a}) }},
		"cut in an extension":   {whole[:len(whole)-5], func(h *ClientHello) bool { return slices.Equal(h.Extensions, []uint16{16}) && string(h.ALPN[0]) == "h" }},
		"cut after a type":      {whole[:len(whole)-2], func(h *ClientHello) bool { return slices.Equal(h.Extensions, []uint16{16}) && len(h.ALPN) == 1 }},
		"trailing bytes":        {append(slices.Clone(whole), 1), func(h *ClientHello) bool { return len(h.ALPN) == 1 }},
		"empty server name":     {whole, func(h *ClientHello) bool { return h.SNI == nil && h.HasExtension(0) }},
		"list longer than body": {clientHello(ext(ExtensionSupportedGroups, 0, 9, 0, 29), ext(5)), func(h *ClientHello) bool { return slices.Equal(h.Groups, []uint16{29}) && h.HasExtension(5) }},
		"odd list":              {clientHello(ext(ExtensionSupportedGroups, 0, 3, 0, 29, 0)), func(h *ClientHello) bool { return slices.Equal(h.Groups, []uint16{29}) }},
		"too many entries":      {clientHello(ext(ExtensionSupportedGroups, vec(2, make([]byte, 4096)...)...)), func(h *ClientHello) bool { return len(h.Groups) == maxEntries }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h ClientHello
			if h.Parse(c.body) || !h.Incomplete {
				t.Error("taken for whole")
			}
			if !c.check(&h) {
				t.Errorf("what was read before the damage is lost: %+v", h)
			}
		})
	}
}

func TestHelloWithoutExtensionsIsWhole(t *testing.T) {
	t.Parallel()
	var h ClientHello
	body := slices.Concat([]byte{3, 0}, make([]byte, 32), vec(1), vec(2, 0, 4), vec(1, 0))
	if !h.Parse(body) || h.HasExtensions || h.PaddingLen != -1 || h.SessionTicketLen != -1 {
		t.Errorf("%+v", h)
	}
	if !h.Parse(append(body, 0, 0)) || !h.HasExtensions {
		t.Errorf("an empty block of extensions is one: %+v", h)
	}
}

func TestOfARepeatedExtensionTheFirstIsRead(t *testing.T) {
	t.Parallel()
	var h ClientHello
	h.Parse(clientHello(ext(ExtensionSupportedGroups, vec(2, 0, 29)...), ext(ExtensionSupportedGroups, vec(2, 0, 23)...)))
	if !slices.Equal(h.Groups, []uint16{29}) || !slices.Equal(h.Extensions, []uint16{10, 10}) {
		t.Errorf("groups %v, extensions %v", h.Groups, h.Extensions)
	}
}

func TestServerHelloOfDrafts(t *testing.T) {
	t.Parallel()
	random := slices.Repeat([]byte{5}, 32)
	share := ext(ExtensionKeyShare, slices.Concat([]byte{0, 29}, vec(2, make([]byte, 32)...))...)
	for name, c := range map[string]struct {
		body    []byte
		version uint16
	}{
		"final":    {slices.Concat([]byte{3, 3}, random, vec(1, 1, 2), []byte{0x13, 1, 0}, vec(2, slices.Concat(share, ext(43, 3, 4))...)), 0x0304},
		"draft 28": {slices.Concat([]byte{3, 3}, random, vec(1), []byte{0x13, 1, 0}, vec(2, slices.Concat(share, ext(43, 0x7f, 0x1c))...)), 0x7f1c},
		"draft 18": {slices.Concat([]byte{0x7f, 0x12}, random, []byte{0x13, 1}, vec(2, share...)), 0x7f12},
		"draft 14": {slices.Concat([]byte{3, 4}, random, []byte{0x13, 1}, vec(2, share...)), 0x0304},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h ServerHello
			if !h.Parse(c.body) {
				t.Fatalf("not whole: %+v", h)
			}
			if h.SelectedVersion != c.version || h.CipherSuite != 0x1301 || h.KeyShare != (KeyShare{29, 32}) || VersionName(h.SelectedVersion) != "TLS 1.3" {
				t.Errorf("%+v", h)
			}
		})
	}
}

func TestSSLv2HelloIsRead(t *testing.T) {
	t.Parallel()
	var h Handshake
	h.Parse(sslv2Hello(), nil)
	want := ClientHello{
		Version: VersionTLS10, CipherSuites: []uint16{0x0004, 0x00ff}, SSLv2: true, Length: len(sslv2Hello()) - 2,
		PaddingLen: -1, SessionTicketLen: -1, CookieLen: -1, RetryCookieLen: -1, RenegotiationInfoLen: -1, TrustAnchors: -1,
	}
	copy(want.Random[16:], slices.Repeat([]byte{7}, 16))
	if d := cmp.Diff(want, h.Client, cmpopts.EquateEmpty()); d != "" || !h.ClientSeen || h.Incomplete {
		t.Errorf("seen %v, incomplete %v\n%s", h.ClientSeen, h.Incomplete, d)
	}
	for n := range sslv2Hello() {
		if _, ok := SSLv2Hello(sslv2Hello()[:n]); ok {
			t.Errorf("%d bytes are enough", n)
		}
	}
}

func TestDiffieHellmanBits(t *testing.T) {
	t.Parallel()
	for bits, prime := range map[int][]byte{
		2048: append([]byte{0x80}, make([]byte, 255)...),
		1023: append([]byte{0x40}, make([]byte, 127)...),
		512:  append([]byte{0, 0xff}, make([]byte, 63)...),
	} {
		h := Handshake{Server: ServerHello{CipherSuite: 0x0033}}
		h.serverKeyExchange(slices.Concat(vec(2, prime...), vec(2, 2), vec(2, 3)))
		if h.ServerDHBits != bits || h.ServerGroup != 0 {
			t.Errorf("%d bits and group %d, want %d bits", h.ServerDHBits, h.ServerGroup, bits)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		CipherName(0x1301):  "TLS_AES_128_GCM_SHA256",
		CipherName(0x0005):  "TLS_RSA_WITH_RC4_128_SHA",
		CipherName(0xc09b):  "TLS_ECDHE_PSK_WITH_CAMELLIA_256_CBC_SHA384",
		CipherName(0x00ff):  "TLS_EMPTY_RENEGOTIATION_INFO_SCSV",
		CipherName(0xabcd):  "0xabcd",
		VersionName(0x0300): "SSL 3.0",
		VersionName(0x7f12): "TLS 1.3",
		VersionName(0xfb1a): "TLS 1.3",
		VersionName(0xfefd): "DTLS 1.2",
		VersionName(0x1234): "0x1234",
		VersionName(0):      "",
		GroupName(0x11ec):   "X25519MLKEM768",
		GroupName(0xffff):   "0xffff",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	n := 0
	for v := range 1 << 16 {
		if IsGREASE(uint16(v)) {
			n++
		}
	}
	if n != 16 {
		t.Errorf("%d values of GREASE, want 16", n)
	}
}

func TestRecordHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    []byte
		want bool
	}{
		{[]byte{22, 3, 1, 0, 5}, true},
		{[]byte{23, 3, 4, 0x48, 0}, true},
		{[]byte{22, 3, 1, 0x48, 1}, false},
		{[]byte{22, 3, 5, 0, 5}, false},
		{[]byte{22, 2, 1, 0, 5}, false},
		{[]byte{25, 3, 1, 0, 5}, false},
		{[]byte{19, 3, 1, 0, 5}, false},
		{[]byte{22, 3, 1, 0}, false},
	} {
		if got := LooksLikeRecord(c.b); got != c.want {
			t.Errorf("% x: %v, want %v", c.b, got, c.want)
		}
	}
}
