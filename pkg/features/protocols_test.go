package features

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trench/pkg/flow"
	"trench/pkg/record"
)

// datagrams puts payloads behind their lengths.
func datagrams(list ...[]byte) (out []byte) {
	for _, d := range list {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(d))), d...)
	}
	return out
}

// example reads a packet out of an RFC's appendix.
func example(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../quicwire/testdata/" + name + ".hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func quicFlow(client, server []byte) *flow.Flow {
	f := tlsFlow(nil, nil)
	f.App, f.Protocol = flow.AppQUIC, 17
	f.Half[0].Handshake, f.Half[1].Handshake = client, server
	f.Half[0].Packets, f.Half[1].Packets = 2, 2
	return f
}

// The values are those of RFC 9001, appendix A.
func TestQUICColumns(t *testing.T) {
	t.Parallel()
	f := quicFlow(datagrams(example(t, "rfc9001-a2-client")), datagrams(example(t, "rfc9001-a3-server")))
	v := vector(t, f)
	checkGroup(t, "qu", v, map[string]float64{"qu_is_quic": 1, "qu_version_class": 1, "qu_dcid_len": 8, "qu_scid_len": 0, "qu_token_len": 0, "qu_retry": 0, "qu_zero_rtt": 0, "qu_tp_n": 8})
	check(t, v, map[string]float64{"ch_len": 237, "ch_max_ver": 772, "ch_ext_51": 1, "sn_len": 11, "sh_seen": 1, "sh_ver": 772, "sh_keyshare_len": 32, "sh_hs_complete": 0, "rc_n_c": math.NaN()})
	f.Half[0].ShortHeaders, f.Half[1].ShortHeaders = 1, 1
	check(t, vector(t, f), map[string]float64{"sh_hs_complete": 1})

	f = quicFlow(datagrams(example(t, "rfc9369-a2-client")), datagrams(example(t, "rfc9369-a4-retry")))
	check(t, vector(t, f), map[string]float64{"qu_version_class": 2, "qu_retry": 1, "sh_seen": 0})

	f = quicFlow(nil, datagrams(example(t, "rfc9001-a3-server")))
	v = vector(t, f)
	checkGroup(t, "qu", v, map[string]float64{"qu_is_quic": 1, "qu_version_class": 1, "qu_dcid_len": math.NaN(), "qu_scid_len": math.NaN(), "qu_token_len": math.NaN(),
		"qu_retry": math.NaN(), "qu_zero_rtt": math.NaN(), "qu_tp_n": math.NaN()})
}

func TestRowOfQUIC(t *testing.T) {
	t.Parallel()
	r := row(t, quicFlow(datagrams(example(t, "rfc9001-a2-client")), datagrams(example(t, "rfc9001-a3-server"))))
	if r.QUICVersion != "1" || r.TLSVersion != "TLS 1.3" || r.TLSCipher != "TLS_AES_128_GCM_SHA256" || r.TLSSNI != "example.com" || !strings.HasPrefix(r.JA4, "q13d0211an_") || r.TLSIncomplete {
		t.Errorf("version %q %q, cipher %q, SNI %q, JA4 %q, incomplete %v", r.QUICVersion, r.TLSVersion, r.TLSCipher, r.TLSSNI, r.JA4, r.TLSIncomplete)
	}
	want := &record.QUIC{DCIDLength: 8, Parameters: []uint64{4, 5, 7, 8, 1, 9, 15, 6}}
	if d := cmp.Diff(want, r.QUIC, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if r.TLS == nil || r.TLS.Group != "x25519" || !cmp.Equal(r.TLS.ClientALPN, []string{"alpn"}) {
		t.Errorf("details %+v", r.TLS)
	}
}

// dtls is a datagram with one record of one whole message.
func dtls(sequence byte, typ byte, body []byte) []byte {
	n := len(body)
	fragment := join([]byte{typ, 0, byte(n >> 8), byte(n), 0, sequence, 0, 0, 0, 0, byte(n >> 8), byte(n)}, body)
	return join([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence}, u16(len(fragment)), fragment)
}

// dtlsFlow is a handshake with a cookie, up to the ServerHello.
func dtlsFlow() *flow.Flow {
	hello := func(cookie string) []byte {
		return join([]byte{0xfe, 0xfd}, make([]byte, 32), []byte{0}, vec8([]byte(cookie)), vec16(list16(0xc02b, 0x00ff)), vec8([]byte{0}), vec16(serverName("a.example"), ext(10, vec16(list16(29)))))
	}
	answer := join([]byte{0xfe, 0xfd}, make([]byte, 32), []byte{0}, u16(0xc02b), []byte{0})
	f := tlsFlow(nil, nil)
	f.App, f.Protocol = flow.AppDTLS, 17
	f.Half[0].Handshake = datagrams(dtls(0, 1, hello("")), dtls(1, 1, hello("cookie")))
	f.Half[1].Handshake = datagrams(dtls(0, 3, join([]byte{0xfe, 0xff}, vec8([]byte("cookie")))), dtls(1, 2, answer))
	f.Half[0].Packets, f.Half[1].Packets = 2, 2
	return f
}

func TestRowOfDTLS(t *testing.T) {
	t.Parallel()
	f := dtlsFlow()
	r := row(t, f)
	if r.TLSVersion != "DTLS 1.2" || r.TLSSNI != "a.example" || !strings.HasPrefix(r.JA4, "dd2d020200_") || r.TLSCipher != "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" || r.TLSIncomplete || !r.TLS.HelloRetry {
		t.Errorf("version %q, SNI %q, JA4 %q, cipher %q, incomplete %v, %+v", r.TLSVersion, r.TLSSNI, r.JA4, r.TLSCipher, r.TLSIncomplete, r.TLS)
	}
	check(t, vector(t, f), map[string]float64{"ch_legacy_ver": 771, "ch_max_ver": 771, "sh_ver": 771, "ch_n_cs": 2, "sh_hrr": 0, "qu_is_quic": 0, "rc_srv_flight_est": math.NaN()})
}

func TestDNSColumns(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	f := full12(t) // of www.example.org
	unknown := map[string]float64{"dn_seen": nan, "dn_age_s": nan, "dn_name_eq_sni": nan, "dn_n_a": nan, "dn_n_aaaa": nan, "dn_cname_depth": nan, "dn_ttl_min": nan, "dn_ttl_max": nan,
		"dn_name_len": nan, "dn_digit_n": nan, "dn_nonalnum_n": nan, "dn_nx_rate_5m": nan}
	checkGroup(t, "dn", vector(t, f), unknown)
	f.DNS = flow.DNSContext{Responses: 4, Negative: 1}
	unknown["dn_seen"], unknown["dn_nx_rate_5m"] = 0, .25
	checkGroup(t, "dn", vector(t, f), unknown)

	name := func(labels ...string) (b []byte) {
		for _, l := range labels {
			b = append(append(b, byte(len(l))), l...)
		}
		return append(b, 0)
	}
	answer := func(owner []byte, typ int, ttl byte, data []byte) []byte {
		return join(owner, u16(typ), []byte{0, 1, 0, 0, 0, ttl}, vec16(data))
	}
	first, second, third := name("www", "exam-pl3", "org"), name("cdn", "example"), name("edge", "example")
	// The records of the chain come in the wrong order, and one leads elsewhere.
	f.Resolution = join([]byte{0, 1, 0x81, 0x80, 0, 1, 0, 6, 0, 0, 0, 0}, first, []byte{0, 1, 0, 1},
		answer(second, 5, 9, third), answer(first, 5, 9, second), answer(name("other"), 5, 1, third),
		answer(third, 1, 60, []byte{192, 0, 2, 1}), answer(third, 1, 30, []byte{192, 0, 2, 2}), answer(third, 28, 90, make([]byte, 16)))
	f.ResolutionAge = 1500 * ms
	checkGroup(t, "dn", vector(t, f), map[string]float64{"dn_seen": 1, "dn_age_s": 1.5, "dn_name_eq_sni": 0, "dn_n_a": 2, "dn_n_aaaa": 1, "dn_cname_depth": 2, "dn_ttl_min": 30, "dn_ttl_max": 90,
		"dn_name_len": 16, "dn_digit_n": 1, "dn_nonalnum_n": 3, "dn_nx_rate_5m": .25})

	f.Resolution = dnsMessage(9, true, "WWW.example.org", 30)
	check(t, vector(t, f), map[string]float64{"dn_name_eq_sni": 1, "dn_cname_depth": 0})
}

func TestATunnelsRowHasTheRequestForIt(t *testing.T) {
	t.Parallel()
	f := full12(t)
	f.Before = flow.AppHTTP
	f.Half[0].Preamble, f.Half[1].Preamble = []byte("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\n\r\n")
	r := row(t, f)
	if r.StartTLS != "http" || r.TLSSNI == "" || r.HTTP == nil || r.HTTP.Requests[0].Target != "a.example:443" || r.HTTP.Responses[0].Status != 200 {
		t.Errorf("starttls %q, SNI %q, %+v", r.StartTLS, r.TLSSNI, r.HTTP)
	}
}

func TestRowOfSSH(t *testing.T) {
	t.Parallel()
	lists := []string{"curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes256-ctr", "hmac-sha2-256", "hmac-sha2-512", "none", "zlib", "", ""}
	body := join([]byte{20}, make([]byte, 16))
	for _, l := range lists {
		body = join(body, binary.BigEndian.AppendUint32(nil, uint32(len(l))), []byte(l))
	}
	body = append(body, 0, 0, 0, 0, 0)
	kex := join(binary.BigEndian.AppendUint32(nil, uint32(len(body)+1+4)), []byte{4}, body, make([]byte, 4))
	f := tlsFlow(nil, nil)
	f.App = flow.AppSSH
	f.Half[0].Handshake = join([]byte("SSH-2.0-client_1\r\n"), kex)
	f.Half[1].Handshake = join([]byte("SSH-2.0-server_2\r\n"), kex)
	r := row(t, f)
	// MD5 of "curve25519-sha256;aes128-ctr;hmac-sha2-256;none", and of the server's lists, by md5sum.
	want := &record.SSH{Client: "SSH-2.0-client_1", Server: "SSH-2.0-server_2", HASSHServer: "13475e66a348152c5153e178e028706a"}
	if d := cmp.Diff(want, r.SSH); d != "" || r.HASSH != "e97d07603350d1111ec2b64bf25413c9" {
		t.Errorf("HASSH %s, %s", r.HASSH, d)
	}
	if len(r.Vector) != 0 {
		t.Errorf("vector of %d columns", len(r.Vector))
	}
}

func TestRowOfDHCP(t *testing.T) {
	t.Parallel()
	option := func(code byte, value string) []byte { return join([]byte{code}, vec8([]byte(value))) }
	message := func(op byte, options ...[]byte) []byte {
		return join([]byte{op, 1, 6, 0}, make([]byte, 24), []byte{2, 0, 0, 0, 0, 1}, make([]byte, 10+64+128), []byte{0x63, 0x82, 0x53, 0x63}, join(options...), []byte{255})
	}
	f := tlsFlow(nil, nil)
	f.App, f.Protocol = flow.AppDHCP, 17
	f.Half[0].Handshake = datagrams(message(1, option(53, "\x03"), option(12, "laptop"), option(60, "MSFT 5.0"), option(55, "\x01\x03\x06"), option(50, "\xc0\x00\x02\x07")))
	f.Half[1].Handshake = datagrams(message(2, option(53, "\x05"), option(12, "not the client")))
	want := &record.DHCP{Message: "ack", Host: "laptop", Vendor: "MSFT 5.0", ClientID: "020000000001", Parameters: []uint32{1, 3, 6}, Address: "192.0.2.7"}
	if d := cmp.Diff(want, row(t, f).DHCP); d != "" {
		t.Error(d)
	}
}

func TestFoxIOsFingerprintsNeedTheirLicenceAccepted(t *testing.T) {
	t.Parallel()
	f := full12(t)
	f.Half[0].Opening = []byte{0xfa, 0xf0, 2, 4, 5, 0xb4, 1, 3, 3, 8}
	f.Half[1].Opening = []byte{0xff, 0xff, 2, 4, 5, 0xb4}
	if r := row(t, f); r.JA4S+r.JA4X+r.JA4H+r.JA4T+r.JA4TS != "" {
		t.Errorf("without the licence: %q %q %q %q %q", r.JA4S, r.JA4X, r.JA4H, r.JA4T, r.JA4TS)
	}
	e := NewExtractor(Config{CertificateCache: 8, FoxIO: true})
	var r record.Record
	e.Extract(&r, f)
	if r.JA4T != "64240_2-1-3_1460_8" || r.JA4TS != "65535_2_1460_00" || len(r.JA4S) != 25 || len(r.JA4X) != 38 {
		t.Errorf("JA4T %q, JA4TS %q, JA4S %q, JA4X %q", r.JA4T, r.JA4TS, r.JA4S, r.JA4X)
	}
	web := tlsFlow([]byte("GET / HTTP/1.1\r\nHost: a\r\nAccept-Language: de-DE\r\n\r\n"), nil)
	web.App = flow.AppHTTP
	if e.Extract(&r, web); !strings.HasPrefix(r.JA4H, "ge11nn02dede_") {
		t.Errorf("JA4H %q", r.JA4H)
	}
}
