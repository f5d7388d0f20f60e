package fingerprint_test

import (
	"net/netip"
	"strings"
	"testing"

	"trench/pkg/fingerprint"
	"trench/pkg/tlswire"
)

// example is the hello that the JA4 specification works through, with GREASE
// put in.
func example() *tlswire.ClientHello {
	return &tlswire.ClientHello{
		Version: tlswire.VersionTLS12,
		CipherSuites: []uint16{0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
			0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
		Extensions: []uint16{0x6a6a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023,
			0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015},
		ALPN:              [][]byte{[]byte("h2"), []byte("http/1.1")},
		SignatureAlgs:     []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
		SupportedVersions: []uint16{0xfafa, 0x0304, 0x0303},
		HasExtensions:     true,
	}
}

func TestJA4OfTheSpecification(t *testing.T) {
	t.Parallel()
	h := example()
	if got, want := fingerprint.JA4(h, fingerprint.TransportTCP), "t13d1516h2_8daaf6152771_e5627efa2ab1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.SignatureAlgs = nil
	if got, want := fingerprint.JA4(h, fingerprint.TransportQUIC), "q13d1516h2_8daaf6152771_6d807ffa2a79"; got != want {
		t.Errorf("without signature algorithms: got %s, want %s", got, want)
	}
	if h.Extensions[1] != 0x001b || h.CipherSuites[1] != 0x1301 {
		t.Error("JA4 reordered the hello")
	}
}

func TestJA4OfEmptyHellos(t *testing.T) {
	t.Parallel()
	for want, h := range map[string]*tlswire.ClientHello{
		"t10i000000_000000000000_000000000000": {Version: tlswire.VersionTLS10},
		"t00i000000_000000000000_000000000000": {Version: 0x0305},
		"ts3d000100_000000000000_000000000000": {Version: tlswire.VersionSSL30, Extensions: []uint16{0}},
	} {
		if got := fingerprint.JA4(h, fingerprint.TransportTCP); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestJA4Versions(t *testing.T) {
	t.Parallel()
	for want, h := range map[string]*tlswire.ClientHello{
		"13": {Version: 0x0303, SupportedVersions: []uint16{0x0303, 0x0304, 0x8a8a}},
		"12": {Version: 0x0303, SupportedVersions: []uint16{0x8a8a}},
		"11": {Version: 0x0302},
		"s2": {Version: 0x0002},
		"d1": {Version: 0xfeff},
		"d2": {Version: 0xfefd},
		"d3": {Version: 0xfefd, SupportedVersions: []uint16{0xfefc}},
		"00": {Version: 0x7f12},
	} {
		if got := fingerprint.JA4(h, fingerprint.TransportDTLS)[1:3]; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestJA4ALPNEdges(t *testing.T) {
	t.Parallel()
	for alpn, want := range map[string]string{
		"": "00", "h2": "h2", "http/1.1": "h1", "x": "xx",
		"\xab": "ab", "\x20": "20", "\xab\xcd": "ad", "\x20\x61": "21", "\x30\xab": "3b", "\x61\x20": "60",
		"\x30\x31\xab\xcd": "3d", "\x30\xab\xcd\x31": "01",
	} {
		h := &tlswire.ClientHello{ALPN: [][]byte{[]byte(alpn), []byte("h2")}}
		if got := fingerprint.JA4(h, fingerprint.TransportTCP)[8:10]; got != want {
			t.Errorf("%q: got %s, want %s", alpn, got, want)
		}
	}
}

func TestJA4CountsStopAt99(t *testing.T) {
	t.Parallel()
	h := &tlswire.ClientHello{}
	for v := range uint16(300) {
		h.CipherSuites = append(h.CipherSuites, v)
		h.Extensions = append(h.Extensions, v)
	}
	if got := fingerprint.JA4(h, fingerprint.TransportTCP); !strings.HasPrefix(got, "t00d999900_") {
		t.Errorf("got %s", got)
	}
}

func TestJA3OfItsAuthors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hello     tlswire.ClientHello
		text, md5 string
	}{
		{
			tlswire.ClientHello{Version: 769, CipherSuites: []uint16{0x0a0a, 47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4},
				Extensions: []uint16{0x1a1a, 0, 10, 11}, Groups: []uint16{0x2a2a, 23, 24, 25}, PointFormats: []byte{0}},
			"769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0", "ada70206e40642a3e4461f35503241d5",
		},
		{
			tlswire.ClientHello{Version: 769, CipherSuites: []uint16{4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99}},
			"769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6",
		},
	} {
		if got := string(fingerprint.AppendJA3(nil, &c.hello)); got != c.text {
			t.Errorf("got %s, want %s", got, c.text)
		}
		if got := fingerprint.JA3(&c.hello); got != c.md5 {
			t.Errorf("got %s, want %s", got, c.md5)
		}
	}
	if got := fingerprint.JA3(&tlswire.ClientHello{SSLv2: true}); got != "" {
		t.Errorf("SSL 2.0 format: got %s", got)
	}
}

func TestJA3S(t *testing.T) {
	t.Parallel()
	h := tlswire.ServerHello{Version: 769, CipherSuite: 47, Extensions: []uint16{65281, 0, 11, 35, 5, 16}}
	if got := string(fingerprint.AppendJA3S(nil, &h)); got != "769,47,65281-0-11-35-5-16" {
		t.Errorf("got %s", got)
	}
	if got, want := fingerprint.JA3S(&h), "836ce314215654b5b1f85f97c73e506f"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The vectors are those of the specification's reference implementation and of
// Zeek's tests.
func TestCommunityID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		proto          uint8
		client, server string
		want           string
	}{
		{17, "192.168.1.42:4242", "8.8.8.8:53", "1:vTdrngJjlP5eZ9mw9JtnKyn99KM="},
		{6, "1.2.3.4:1122", "5.6.7.8:3344", "1:wCb3OG7yAFWelaUydu0D+125CLM="},
		{6, "5.6.7.8:3344", "1.2.3.4:1122", "1:wCb3OG7yAFWelaUydu0D+125CLM="},
		{17, "1.2.3.4:1122", "5.6.7.8:3344", "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg="},
		{1, "1.2.3.4:8", "5.6.7.8:0", "1:crodRHL2FEsHjbv3UkRrfbs4bZ0="},
		{1, "5.6.7.8:0", "1.2.3.4:0", "1:crodRHL2FEsHjbv3UkRrfbs4bZ0="},
		{58, "[fe80:1:203:405:607:809:a0b:c0d]:128", "[fe80:1011:1213:1415:1617:1819:1a1b:1c1d]:129", "1:0bf7hyMJUwt3fMED7z8LIfRpBeo="},
		// From here on with the counterpart's type where packets have the code.
		{1, "192.168.0.89:8", "192.168.0.1:0", "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{1, "192.168.0.1:0", "192.168.0.89:8", "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{1, "192.168.0.89:20", "192.168.0.1:0", "1:3o2RFccXzUgjl7zDpqmY7yJi8rI="},
		{1, "192.168.0.89:20", "192.168.0.1:1", "1:tz/fHIDUHs19NkixVVoOZywde+I="},
		{58, "[fe80::200:86ff:fe05:80da]:135", "[fe80::260:97ff:fe07:69ea]:136", "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{58, "[fe80::260:97ff:fe07:69ea]:136", "[fe80::200:86ff:fe05:80da]:135", "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{58, "[3ffe:507:0:1:260:97ff:fe07:69ea]:3", "[3ffe:507:0:1:200:86ff:fe05:80da]:0", "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w="},
		{58, "[3ffe:507:0:1:200:86ff:fe05:80da]:3", "[3ffe:507:0:1:260:97ff:fe07:69ea]:0", "1:/OGBt9BN1ofenrmSPWYicpij2Vc="},
		{46, "1.2.3.4:0", "5.6.7.8:0", "1:ikv3kmf89luf73WPz1jOs49S768="},
	} {
		if got := fingerprint.CommunityID(c.proto, netip.MustParseAddrPort(c.client), netip.MustParseAddrPort(c.server)); got != c.want {
			t.Errorf("%d %s to %s: got %s, want %s", c.proto, c.client, c.server, got, c.want)
		}
	}
}

func TestOneWayICMPKeepsItsDirection(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	there := fingerprint.CommunityID(1, netip.AddrPortFrom(a, 3), netip.AddrPortFrom(b, 1)) // unreachable
	back := fingerprint.CommunityID(1, netip.AddrPortFrom(b, 3), netip.AddrPortFrom(a, 1))
	if there == back {
		t.Error("an unreachable message and the one the other way have one id")
	}
}

func TestFingerprintsAllocateTheirStringOnly(t *testing.T) {
	h := example()
	s := tlswire.ServerHello{Version: 771, CipherSuite: 0xc02f, Extensions: []uint16{65281, 11}}
	client, server := netip.MustParseAddrPort("[2001:db8::1]:4242"), netip.MustParseAddrPort("[2001:db8::2]:443")
	for name, f := range map[string]func(){
		"JA3":         func() { fingerprint.JA3(h) },
		"JA3S":        func() { fingerprint.JA3S(&s) },
		"JA4":         func() { fingerprint.JA4(h, fingerprint.TransportTCP) },
		"CommunityID": func() { fingerprint.CommunityID(6, client, server) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 1 {
			t.Errorf("%s allocates %v times, want 1", name, n)
		}
	}
}

func BenchmarkJA3(b *testing.B) {
	h := example()
	b.ReportAllocs()
	for b.Loop() {
		fingerprint.JA3(h)
	}
}

func BenchmarkJA4(b *testing.B) {
	h := example()
	b.ReportAllocs()
	for b.Loop() {
		fingerprint.JA4(h, fingerprint.TransportTCP)
	}
}

func BenchmarkCommunityID(b *testing.B) {
	client, server := netip.MustParseAddrPort("192.0.2.1:4242"), netip.MustParseAddrPort("198.51.100.7:443")
	b.ReportAllocs()
	for b.Loop() {
		fingerprint.CommunityID(6, client, server)
	}
}
