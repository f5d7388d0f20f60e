package features

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/flow"
	"trench/pkg/record"
)

func u16(v int) []byte { return []byte{byte(v >> 8), byte(v)} }

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func vec8(b ...[]byte) []byte  { body := join(b...); return append([]byte{byte(len(body))}, body...) }
func vec16(b ...[]byte) []byte { body := join(b...); return append(u16(len(body)), body...) }
func vec24(b ...[]byte) []byte {
	body := join(b...)
	return append([]byte{byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}
func list16(v ...int) (out []byte) {
	for _, x := range v {
		out = append(out, u16(x)...)
	}
	return out
}
func ext(typ int, body ...[]byte) []byte { return append(u16(typ), vec16(body...)...) }
func message(typ byte, body ...[]byte) []byte {
	return append([]byte{typ}, vec24(body...)...)
}

// rec is one record; handshake messages may share it.
func rec(typ byte, body ...[]byte) []byte { return join([]byte{typ, 3, 3}, vec16(body...)) }

func serverName(name string) []byte { return ext(0, vec16([]byte{0}, vec16([]byte(name)))) }
func alpn(names ...string) []byte {
	var list []byte
	for _, n := range names {
		list = append(list, vec8([]byte(n))...)
	}
	return ext(16, vec16(list))
}

func clientHello(version int, session []byte, suites []int, exts ...[]byte) []byte {
	return message(1, u16(version), make([]byte, 32), vec8(session), vec16(list16(suites...)), vec8([]byte{0}), vec16(exts...))
}

func serverHello(version int, session []byte, suite int, exts ...[]byte) []byte {
	body := [][]byte{u16(version), []byte("SERVERRANDOMSERVERRANDOMSERVERRA"), vec8(session), u16(suite), {0}}
	if len(exts) > 0 {
		body = append(body, vec16(exts...))
	}
	return message(2, body...)
}

// browser is a hello in the manner of a browser, with GREASE in every place
// ("jj" is 0x6a6a).
func browser() []byte {
	return clientHello(0x0303, make([]byte, 32),
		[]int{0x1a1a, 0x1301, 0x1302, 0xc02b, 0xc02f, 0xc013, 0x009c, 0x002f, 0x000a, 0x00ff},
		ext(0x2a2a), serverName("www.Example.co.uk"), ext(23), ext(65281, []byte{0}),
		ext(10, vec16(list16(0x3a3a, 0x11ec, 29, 23))), ext(11, vec8([]byte{0})), ext(35), alpn("jj", "h2", "http/1.1"), ext(5, []byte{1, 0, 0, 0, 0}),
		ext(13, vec16(list16(0x0403, 0x0804, 0x0401))), ext(18), ext(17613, vec16(vec8([]byte("h2")))), ext(0x1234),
		ext(51, vec16(list16(0x3a3a), vec16([]byte{0}), list16(29), vec16(make([]byte, 32)))), ext(45, vec8([]byte{1})),
		ext(43, vec8(list16(0x4a4a, 0x0304, 0x0303))), ext(21, make([]byte, 100)))
}

// tlsFlow is a flow with these handshake bytes and packets of both sides.
func tlsFlow(client, server []byte) *flow.Flow {
	f := &flow.Flow{App: flow.AppTLS, Protocol: 6, First: 1_700_000_000_000 * ms, Last: 1_700_000_001_000 * ms,
		Client: netip.MustParseAddrPort("192.0.2.1:40000"), Server: netip.MustParseAddrPort("198.51.100.7:443")}
	for d, b := range [][]byte{client, server} {
		f.Half[d].Handshake = b
		if len(b) > 0 {
			f.Half[d].Packets, f.Half[d].Payload = 5, uint64(len(b))
		}
		for len(b) >= 5 {
			n := int(b[3])<<8 | int(b[4])
			f.Half[d].TLSRecords++
			b = b[min(5+n, len(b)):]
		}
	}
	return f
}

func row(t testing.TB, f *flow.Flow) record.Record {
	t.Helper()
	var r record.Record
	NewExtractor(Config{CertificateCache: 8}).Extract(&r, f)
	return r
}

func TestClientHelloColumns(t *testing.T) {
	t.Parallel()
	hello := browser()
	want := map[string]float64{
		"ch_len": float64(len(hello) - 4), "ch_legacy_ver": 771, "ch_max_ver": 772, "ch_n_cs": 9, "ch_n_ext": 16, "ch_n_groups": 3, "ch_n_sigalgs": 3,
		"ch_n_alpn": 2, "ch_alpn_class": 2, "ch_sid_len": 32, "ch_grease": 1, "ch_n_weak_cs": 1, "ch_frac_aead": 5. / 8, "ch_frac_pfs": 5. / 8,
		"ch_n_keyshares": 1, "ch_keyshare_bytes": 32, "ch_pq_hybrid": 1, "ch_ext_unknown_n": 1, "ch_padding_len": 100, "ch_scsv": 1,
	}
	for _, id := range suiteIDs() {
		want[fmt.Sprintf("ch_cs_%04x", id)] = 0
	}
	for _, id := range []int{0x1301, 0x1302, 0xc02b, 0xc02f, 0xc013, 0x009c, 0x002f, 0x000a} {
		want[fmt.Sprintf("ch_cs_%04x", id)] = 1
	}
	for _, id := range extensionIDs() {
		want[fmt.Sprintf("ch_ext_%d", id)] = 0
	}
	for _, id := range []int{23, 65281, 10, 11, 35, 16, 5, 13, 18, 17513, 51, 45, 43, 21} {
		want[fmt.Sprintf("ch_ext_%d", id)] = 1
	}
	checkGroup(t, "ch", vector(t, tlsFlow(rec(22, hello), nil)), want)
}

func TestPlainOldClientHello(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	hello := message(1, u16(0x0301), make([]byte, 32), vec8(nil), vec16(list16(0x0004, 0x0005, 0x000a)), vec8([]byte{0})) // no extensions at all
	check(t, vector(t, tlsFlow(rec(22, hello), nil)), map[string]float64{
		"ch_len": 2 + 32 + 1 + 2 + 6 + 2, "ch_legacy_ver": 769, "ch_max_ver": 769, "ch_n_cs": 3, "ch_n_ext": 0, "ch_n_groups": 0, "ch_n_sigalgs": 0, "ch_n_alpn": 0,
		"ch_alpn_class": 0, "ch_sid_len": 0, "ch_grease": 0, "ch_n_weak_cs": 3, "ch_frac_aead": 0, "ch_frac_pfs": 0, "ch_n_keyshares": 0, "ch_keyshare_bytes": 0,
		"ch_pq_hybrid": 0, "ch_ext_unknown_n": 0, "ch_padding_len": nan, "ch_scsv": 0, "ch_cs_0004": 1, "ch_cs_1301": 0, "ch_ext_10": 0, "sn_present": 0, "sn_len": nan,
	})
}

func TestCutClientHelloIsNotTakenForAWholeOne(t *testing.T) {
	t.Parallel()
	whole := rec(22, browser())
	full := vector(t, tlsFlow(whole, nil))
	for n := range whole {
		for name, v := range vector(t, tlsFlow(whole[:n], nil)) {
			if (name[:3] == "ch_" || name[:3] == "sn_") && !math.IsNaN(v) && v != full[name] {
				t.Fatalf("cut at %d of %d bytes %s is %v, whole it is %v", n, len(whole), name, v, full[name])
			}
		}
	}
}

// chainOf makes a self-signed leaf that is valid for 100 days around the
// flows' time, 10 days old.
func chainOf(t testing.TB, cn string, sans ...string) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Unix(1_700_000_000, 0).Add(-10 * 24 * time.Hour)
	c := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: cn, Organization: []string{"Own"}},
		NotBefore: from, NotAfter: from.Add(100 * 24 * time.Hour), DNSNames: sans}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// ske is a ServerKeyExchange on X25519 with a signature of 70 bytes.
func ske() []byte {
	return message(12, []byte{3}, u16(29), vec8(make([]byte, 32)), u16(0x0403), vec16(make([]byte, 70)))
}

func finished() []byte { return rec(22, make([]byte, 40)) }
func ccs() []byte      { return rec(20, []byte{1}) }

// full12 is a whole handshake of TLS 1.2 with a certificate for *.example.org.
func full12(t testing.TB) *flow.Flow {
	der, _ := chainOf(t, "192.0.2.9", "example.org", "*.example.org", "*.example.com")
	client := join(rec(22, clientHello(0x0303, nil, []int{0xc02b, 0xc013}, serverName("www.example.org"), alpn("h2"))),
		rec(22, message(16, vec8(make([]byte, 65)))), ccs(), finished())
	server := join(rec(22, serverHello(0x0303, make([]byte, 32), 0xc02b, alpn("http/1.1"), ext(35)), message(11, vec24(vec24(der), vec24([]byte("junk"))))),
		rec(22, message(22, []byte{1}, vec24([]byte("ocsp"))), ske(), message(13, vec8([]byte{1}), vec16(), vec16()), message(14)),
		rec(22, message(4, make([]byte, 4), vec16(make([]byte, 16)))), ccs(), finished())
	f := tlsFlow(client, server)
	der0 := len(der) + 4
	first := len(serverHello(0x0303, make([]byte, 32), 0xc02b, alpn("http/1.1"), ext(35))) + 4 + 3 + 3 + 3 + der0
	second := 4 + 1 + 3 + 4 + len(ske()) + 4 + 2 + 2 + 2 + 4
	f.Records = []flow.Record{
		{Direction: 0, Type: 22, Length: 100}, {Direction: 1, Type: 22, Length: uint16(first)}, {Direction: 1, Type: 22, Length: uint16(second)},
		{Direction: 0, Type: 22, Length: 70}, {Direction: 0, Type: 20, Length: 1}, {Direction: 0, Type: 22, Length: 40},
		{Direction: 1, Type: 22, Length: 26}, {Direction: 1, Type: 20, Length: 1}, {Direction: 1, Type: 22, Length: 40},
		{Direction: 0, Type: 23, Length: 100}, {Direction: 1, Type: 23, Length: 64}, {Direction: 0, Type: 23, Length: 100}, {Direction: 0, Type: 23, Length: 130},
		{Direction: 1, Type: 21, Length: 26},
	}
	c, s := &f.Half[0], &f.Half[1]
	c.TLSRecords, c.AppRecords, c.AppBytes, c.ChangeCipherSpecs = 7, 3, 330, 1
	s.TLSRecords, s.AppRecords, s.AppBytes, s.ChangeCipherSpecs, s.Alerts = 7, 1, 64, 1, 1
	return f
}

func TestServerColumnsOfAFullHandshake(t *testing.T) {
	t.Parallel()
	checkGroup(t, "sh", vector(t, full12(t)), map[string]float64{
		"sh_seen": 1, "sh_ver": 771, "sh_cs_class": 6, "sh_cs_aead": 1, "sh_cs_pfs": 1, "sh_cs_weak": 0, "sh_n_ext": 2, "sh_alpn_class": 1, "sh_group_class": 1,
		"sh_keyshare_len": math.NaN(), "sh_hrr": 0, "sh_resumed": 0, "sh_ticket": 1, "sh_ocsp_staple": 1, "sh_ske_len": 1 + 2 + 33 + 2 + 72, "sh_cke_bits": 528,
		"sh_alert_level": 0, "sh_hs_complete": 1, "sh_hs_rounds": 4, "sh_cert_req": 1,
	})
}

func TestCertificateColumns(t *testing.T) {
	t.Parallel()
	f := full12(t)
	r := row(t, f)
	leaf := float64(len(f.Half[1].Handshake)) // only to find the certificate's length below
	for i, n := range Default().Names() {
		if n == "ct_leaf_bytes" {
			leaf = float64(r.Vector[i])
		}
	}
	sum, err := x509.ParseCertificate(findDER(t, f, int(leaf)))
	if err != nil {
		t.Fatal(err)
	}
	// "192.0.2.9": 1 9 2 . 0 . 2 . 9: 1, 9x2, 2x2, .x3, 0 of 9 bytes.
	h := 0.0
	for _, n := range []float64{1, 2, 2, 3, 1} {
		h -= n / 9 * math.Log2(n/9)
	}
	checkGroup(t, "ct", vector(t, f), map[string]float64{
		"ct_seen": 1, "ct_chain_n": 2, "ct_chain_bytes": float64(len(sum.Raw) + 4), "ct_leaf_bytes": float64(len(sum.Raw)), "ct_valid_days": 100, "ct_age_days": 10,
		"ct_remain_days": 90, "ct_expired": 0, "ct_self_signed": 1, "ct_ca_flag": 0, "ct_san_n": 3, "ct_san_wild_n": 2, "ct_sni_match": 1, "ct_subj_rdn_n": 2,
		"ct_issuer_rdn_n": 2, "ct_cn_len": 9, "ct_cn_is_ip": 1, "ct_cn_entropy": h, "ct_key_type": 2, "ct_key_bits": 256, "ct_sig_weak": 0, "ct_sct_n": 0,
	})
	f.First = 1_800_000_000_000 * ms // 1157 days later
	check(t, vector(t, f), map[string]float64{"ct_expired": 1, "ct_age_days": 10 + 1e8/86400., "ct_remain_days": 90 - 1e8/86400.})
}

// findDER returns the leaf, which stands behind three lengths in full12.
func findDER(t testing.TB, f *flow.Flow, n int) []byte {
	b := f.Half[1].Handshake
	at := 5 + len(serverHello(0x0303, make([]byte, 32), 0xc02b, alpn("http/1.1"), ext(35))) + 4 + 3 + 3
	if at+n > len(b) {
		t.Fatalf("no certificate of %d bytes", n)
	}
	return b[at : at+n]
}

func TestRecordColumns(t *testing.T) {
	t.Parallel()
	f := full12(t)
	leaf := vector(t, f)["ct_leaf_bytes"]
	nan := math.NaN()
	sh := float64(len(serverHello(0x0303, make([]byte, 32), 0xc02b, alpn("http/1.1"), ext(35))))
	// Certificate 4+3+3+leaf+3+4, CertificateStatus 8+4, CertificateRequest 10; what is taken away: ServerHello 74, ServerHelloDone.
	flight := sh - 74 + 4 + 3 + 3 + leaf + 3 + 4 + 8 + 4 + 10
	checkGroup(t, "rc", vector(t, f), map[string]float64{
		"rc_n_c": 7, "rc_n_s": 7, "rc_app_n_c": 3, "rc_app_n_s": 1, "rc_app_by_c": 330, "rc_app_by_s": 64, "rc_app_len_c_0": 100, "rc_app_len_c_1": 100,
		"rc_app_len_c_2": 130, "rc_app_len_c_3": nan, "rc_app_len_s_0": 64, "rc_app_len_s_1": nan, "rc_app_len_s_2": nan, "rc_app_len_s_3": nan,
		"rc_srv_flight_est": flight, "rc_alert_n": 1, "rc_ccs_n": 2, "rc_len_distinct_ratio": .75, "rc_len_mode_frac": .5,
		"rc_app_len_std_c": math.Sqrt(200), "rc_app_len_std_s": 0, "rc_len_mod16_frac": .25, // 100 100 130: mean 110
	})
}

// full13 is a handshake of TLS 1.3 after a HelloRetryRequest.
func full13() *flow.Flow {
	retry := append([]byte(nil), serverHello(0x0303, nil, 0x1302, ext(43, u16(0x0304)), ext(51, u16(23)))...)
	copy(retry[6:], "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c")
	client := join(rec(22, browser()), ccs(), rec(22, browser()))
	server := join(rec(22, retry), ccs(), rec(22, serverHello(0x0303, nil, 0x1302, ext(43, u16(0x0304)), ext(51, u16(23), vec16(make([]byte, 65))))))
	f := tlsFlow(client, server)
	f.Records = []flow.Record{
		{Direction: 0, Type: 22, Length: 400}, {Direction: 1, Type: 22, Length: 100}, {Direction: 1, Type: 20, Length: 1},
		{Direction: 0, Type: 20, Length: 1}, {Direction: 0, Type: 22, Length: 400}, {Direction: 1, Type: 22, Length: 160},
		{Direction: 1, Type: 23, Length: 40}, {Direction: 1, Type: 23, Length: 3000}, {Direction: 1, Type: 23, Length: 280}, {Direction: 1, Type: 23, Length: 69},
		{Direction: 0, Type: 23, Length: 69}, {Direction: 1, Type: 23, Length: 250},
	}
	f.Half[0].AppRecords, f.Half[1].AppRecords = 1, 5
	return f
}

func TestServerColumnsOfTLS13(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	got := vector(t, full13())
	checkGroup(t, "sh", got, map[string]float64{
		"sh_seen": 1, "sh_ver": 772, "sh_cs_class": 7, "sh_cs_aead": 1, "sh_cs_pfs": 1, "sh_cs_weak": 0, "sh_n_ext": 2, "sh_alpn_class": nan, "sh_group_class": 2,
		"sh_keyshare_len": 65, "sh_hrr": 1, "sh_resumed": 0, "sh_ticket": nan, "sh_ocsp_staple": nan, "sh_ske_len": nan, "sh_cke_bits": nan,
		"sh_alert_level": 0, "sh_hs_complete": 1, "sh_hs_rounds": 4, "sh_cert_req": nan,
	})
	check(t, got, map[string]float64{"ct_seen": nan, "ct_chain_n": nan, "rc_srv_flight_est": 40 + 3000 + 280 + 69 - 4*17 - 121})
}

func TestResumptionInTLS12(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	session := make([]byte, 32)
	session[0] = 1
	suites := []int{0xc013}
	offer := func(session []byte, ticket int) []byte {
		return rec(22, clientHello(0x0303, session, suites, ext(35, make([]byte, ticket))))
	}
	for name, c := range map[string]struct {
		client, server []byte
		want           map[string]float64
	}{
		"by session id": {join(offer(session, 0), ccs(), finished()), join(rec(22, serverHello(0x0303, session, 0xc013)), ccs(), finished()),
			map[string]float64{"sh_resumed": 1, "ct_seen": nan, "sh_hs_complete": 1, "sh_ticket": 0, "sh_ocsp_staple": 0, "sh_cert_req": 0, "sh_ske_len": 0, "sh_cke_bits": nan}},
		"by ticket": {offer(nil, 100), join(rec(22, serverHello(0x0303, nil, 0xc013)), ccs()),
			map[string]float64{"sh_resumed": 1, "ct_seen": nan, "sh_hs_complete": 0}},
		"full with another session id": {offer(session, 100), rec(22, serverHello(0x0303, make([]byte, 32), 0xc013), message(11, vec24(vec24([]byte("x")))), message(14)),
			map[string]float64{"sh_resumed": 0, "ct_seen": 1, "ct_chain_n": 1, "ct_valid_days": nan, "ct_key_bits": nan, "ct_san_n": nan, "ct_self_signed": nan}},
		"full without certificate": {offer(nil, 0), rec(22, serverHello(0x0303, make([]byte, 32), 0x0034), message(14)),
			map[string]float64{"sh_resumed": 0, "ct_seen": 0, "ct_chain_n": nan, "ct_chain_bytes": nan, "sh_ske_len": 0, "sh_cs_weak": 1, "sh_cs_class": 1}},
		"full with an empty list": {offer(nil, 0), rec(22, serverHello(0x0303, make([]byte, 32), 0xc013), message(11, vec24()), message(14)),
			map[string]float64{"sh_resumed": 0, "ct_seen": 0}},
		"cut after the ServerHello": {offer(session, 100), rec(22, serverHello(0x0303, make([]byte, 32), 0xc013)),
			map[string]float64{"sh_resumed": nan, "ct_seen": nan, "sh_ticket": nan, "sh_cert_req": nan, "sh_ske_len": nan, "sh_hs_complete": 0}},
	} {
		f := tlsFlow(c.client, c.server)
		for n, v := range c.want {
			if g := vector(t, f)[n]; g != v && !(math.IsNaN(g) && math.IsNaN(v)) {
				t.Errorf("%s: %s = %v, want %v", name, n, g, v)
			}
		}
	}
}

func TestServerThatAnswersWithAnAlert(t *testing.T) {
	t.Parallel()
	f := tlsFlow(rec(22, browser()), rec(21, []byte{2, 40}))
	check(t, vector(t, f), map[string]float64{"sh_seen": 0, "sh_alert_level": 2, "sh_hs_complete": 0, "sh_ver": math.NaN(), "sh_hrr": math.NaN()})
	if r := row(t, f); r.TLSIncomplete || r.TLSVersion != "TLS 1.3" || r.TLSCipher != "" {
		t.Errorf("incomplete %v, version %q, cipher %q", r.TLSIncomplete, r.TLSVersion, r.TLSCipher)
	}
	f = tlsFlow(rec(22, browser()), nil) // the server's packets were not captured
	check(t, vector(t, f), map[string]float64{"sh_seen": math.NaN(), "sh_alert_level": 0, "sh_hs_complete": math.NaN()})
}

func TestServerNameColumns(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	of := func(name string) map[string]float64 {
		return vector(t, tlsFlow(rec(22, clientHello(0x0303, nil, []int{0x002f}, serverName(name))), nil))
	}
	pair := func(s string) float64 {
		l := allLists()
		return l.bigrams[l.letters[s[0]]][l.letters[s[1]]]
	}
	// xn--ab1.Duck-dns.ORG. without the dot: 20 bytes, x n - - a b 1 . d u c k - d n s . o r g
	checkGroup(t, "sn", of("xn--ab1.Duck-dns.ORG."), map[string]float64{
		"sn_present": 1, "sn_is_ip": 0, "sn_len": 20, "sn_labels": 3, "sn_maxlabel_len": 8, "sn_digit_ratio": 1. / 20, "sn_hyphen_n": 3,
		// -x3, d n . x2, the other eleven once (x a b 1 u c k s o r g)
		"sn_entropy":     -(3./20*math.Log2(3./20) + 3*(2./20)*math.Log2(2./20) + 11*(1./20)*math.Log2(1./20)),
		"sn_vowel_ratio": 3. / 14, "sn_max_cons_run": 3, "sn_punycode": 1, "sn_tld_class": 1, "sn_dyndns": 0,
		"sn_bigram_ll": (pair("xn") + pair("n-") + pair("--") + pair("-a") + pair("ab") + pair("b1") + pair("du") + pair("uc") + pair("ck") + pair("k-") + pair("-d") + pair("dn") + pair("ns")) / 13,
	})
	check(t, of("192.0.2.1"), map[string]float64{"sn_is_ip": 1, "sn_labels": 4, "sn_tld_class": 0, "sn_bigram_ll": nan, "sn_vowel_ratio": nan, "sn_digit_ratio": 6. / 9})
	check(t, of("2001:db8::1"), map[string]float64{"sn_is_ip": 1, "sn_labels": 1, "sn_tld_class": 0})
	check(t, of(""), map[string]float64{"sn_present": 1, "sn_len": 0, "sn_labels": 0, "sn_entropy": nan, "sn_digit_ratio": nan, "sn_tld_class": 0, "sn_bigram_ll": nan, "sn_max_cons_run": 0})
	for name, want := range map[string][2]float64{ // TLD class, dynamic DNS
		"a.duckdns.org": {1, 1}, "duckdns.org": {1, 1}, "notduckdns.org": {1, 0}, "x.y.no-ip.co.uk": {2, 1}, "a.tk": {3, 0}, "a.de": {2, 0}, "a.berlin": {4, 0},
		"host": {0, 0}, "tk": {0, 0}, "localhost": {5, 0}, "printer.local": {5, 0}, "x.onion": {5, 0}, "a.xyz": {3, 0}, "a.xn--p1ai": {4, 0},
	} {
		check(t, of(name), map[string]float64{"sn_tld_class": want[0], "sn_dyndns": want[1]})
	}
	if a, b := of("information.com")["sn_bigram_ll"], of("qzxjvkqwpz.com")["sn_bigram_ll"]; a <= b {
		t.Errorf("a word has %v, random letters %v", a, b)
	}
}

func TestCertificateCoversName(t *testing.T) {
	t.Parallel()
	for pattern, names := range map[string]map[string]bool{
		"*.example.org": {"a.example.org": true, "example.org": false, "a.b.example.org": false, ".example.org": false},
		"Example.ORG":   {"example.org": true, "a.example.org": false},
		"*":             {"a": false},
		"":              {"": false},
	} {
		for name, want := range names {
			if got := matches(pattern, []byte(name)); got != want {
				t.Errorf("%q covers %q: %v, want %v", pattern, name, got, want)
			}
		}
	}
}

// recorder keeps what passes in one direction of a connection.
type recorder struct {
	net.Conn
	sent []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.sent = append(r.sent, b...)
	return r.Conn.Write(b)
}

// real runs a handshake of the standard library and returns the flow as
// capture would report it, and the client's view of the connection.
func real(t testing.TB, version uint16, name string) (*flow.Flow, tls.ConnectionState) {
	t.Helper()
	der, key := chainOf(t, "cn", name)
	a, b := net.Pipe()
	left, right := &recorder{Conn: a}, &recorder{Conn: b}
	server := tls.Server(right, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}, MinVersion: version, MaxVersion: version})
	client := tls.Client(left, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS10}) //nolint:gosec // self-signed
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 4)
		if _, err := io.ReadFull(server, buf); err != nil {
			done <- err
			return
		}
		_, err := server.Write(buf)
		done <- err
	}()
	if _, err := client.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f := tlsFlow(nil, nil)
	for d, sent := range [][]byte{left.sent, right.sent} {
		h := &f.Half[d]
		for in := sent; len(in) >= 5; {
			n := 5 + (int(in[3])<<8 | int(in[4]))
			h.TLSRecords++
			f.Records = append(f.Records, flow.Record{Direction: flow.Direction(d), Type: in[0], Length: uint16(n - 5)})
			if in[0] == 23 {
				h.AppRecords++
				h.AppBytes += uint64(n - 5)
				for _, v := range in[5:n] {
					h.AppByteCounts[v]++
				}
			} else {
				h.Handshake = append(h.Handshake, in[:n]...)
			}
			in = in[n:]
		}
		h.Packets, h.Payload = 4, uint64(len(sent))
		for _, v := range sent[:min(len(sent), flow.CountedBytes)] {
			h.ByteCounts[v]++
		}
	}
	packets := shaped()
	f.Packets, f.RTT = packets.Packets, packets.RTT
	return f, client.ConnectionState()
}

func TestRowOfRealHandshakes(t *testing.T) {
	t.Parallel()
	for version, label := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		f, state := real(t, version, "host.example")
		r := row(t, f)
		if r.TLSVersion != label || r.TLSCipher != tls.CipherSuiteName(state.CipherSuite) || r.TLSSNI != "host.example" || !r.TLSEstablished || r.TLSIncomplete || r.TLSResumed {
			t.Errorf("%s: version %q cipher %q sni %q established %v incomplete %v resumed %v", label, r.TLSVersion, r.TLSCipher, r.TLSSNI, r.TLSEstablished, r.TLSIncomplete, r.TLSResumed)
		}
		if r.TLSALPN != "h2" || len(r.JA3) != 32 || len(r.JA3S) != 32 || len(r.JA4) != 36 || r.CommunityID == "" || len(r.TLSClientCiphers) < 3 || len(r.TLSClientExtensions) < 3 {
			t.Errorf("%s: alpn %q ja3 %q ja3s %q ja4 %q community id %q, %d ciphers, %d extensions", label, r.TLSALPN, r.JA3, r.JA3S, r.JA4, r.CommunityID, len(r.TLSClientCiphers), len(r.TLSClientExtensions))
		}
		if r.EntropyC2S < 4 || r.EntropyS2C < 4 || len(r.SPLT) != 8 || r.RTT != .01 || r.Verdict != record.Unscored || !math.IsNaN(r.Score) || !math.IsNaN(r.Margin) || r.SchemaHash != "" {
			t.Errorf("%s: entropy %v %v, %d packets, rtt %v, verdict %v, score %v, margin %v", label, r.EntropyC2S, r.EntropyS2C, len(r.SPLT), r.RTT, r.Verdict, r.Score, r.Margin)
		}
		if version == tls.VersionTLS13 {
			if len(r.CertChain) != 0 || r.TLSKeyBits != 0 {
				t.Errorf("TLS 1.3 shows %d certificates and a key of %d bits", len(r.CertChain), r.TLSKeyBits)
			}
			continue
		}
		want := state.PeerCertificates[0]
		if len(r.CertChain) != 1 {
			t.Fatalf("%d certificates, want 1", len(r.CertChain))
		}
		got := r.CertChain[0]
		if got.Serial != "4d" || got.Subject != want.Subject.ToRDNSequence().String() || got.NotAfter != want.NotAfter.Unix() || !got.SelfSigned || !cmp.Equal(got.SANs, []string{"host.example"}) ||
			got.KeyType != "ecdsa" || got.KeyBits != 256 || got.Signature != "ecdsa-with-SHA256" || r.TLSKeyBits != 264 { // X25519: 1+32 bytes
			t.Errorf("certificate %+v, client key of %d bits", got, r.TLSKeyBits)
		}
	}
}

func TestNothingObservedIsNaN(t *testing.T) {
	t.Parallel()
	counted := map[string]float64{ // counters of the packets there were
		"fl_dur_log": math.Log1p(1000), "fl_pk_c": 0, "fl_pk_s": 0, "fl_by_c": 0, "fl_by_s": 0, "fl_dpk_c": 0, "fl_dpk_s": 0, "fl_by_ratio": 0, "fl_pk_ratio": 0, "fl_bps_log": 0,
	}
	for _, app := range []flow.App{flow.AppTLS, flow.AppDTLS, flow.AppQUIC} {
		f := tlsFlow(nil, nil)
		f.App = app
		got := vector(t, f)
		check(t, got, counted)
		check(t, got, map[string]float64{"qu_is_quic": bit(app == flow.AppQUIC)})
		delete(got, "qu_is_quic")
		for n, v := range got {
			if _, ok := counted[n]; !ok && !math.IsNaN(v) {
				t.Errorf("%v: %s is %v in a flow that shows nothing", app, n, v)
			}
		}
	}
}

func TestClientHelloAloneShowsNothingOfTheServer(t *testing.T) {
	t.Parallel()
	f := tlsFlow(rec(22, browser()), nil)
	for n, v := range vector(t, f) {
		switch n[:2] {
		case "fl", "ch", "sn":
			continue
		}
		switch n {
		case "rc_n_c", "rc_n_s", "rc_app_n_c", "rc_app_n_s", "rc_app_by_c", "rc_app_by_s", "rc_alert_n", "rc_ccs_n", "sh_alert_level", "qu_is_quic":
			continue // counted: records and alerts were looked for; and what it is, is known
		}
		if !math.IsNaN(v) {
			t.Errorf("%s is %v after a ClientHello alone", n, v)
		}
	}
}
