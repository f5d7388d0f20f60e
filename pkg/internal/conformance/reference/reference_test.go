package reference

import (
	"fmt"
	"strings"
	"testing"
)

// describe writes expectations a line each: flow, transport, and what is wanted.
func describe(list []*Expectation) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%s", e.Flow())
		if e.Proto != "" {
			fmt.Fprintf(&b, " %s", e.Proto)
		}
		for _, v := range e.Values {
			fmt.Fprintf(&b, " | %s: %s", v.Field, v.Want)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func wantExpectations(t *testing.T, got []*Expectation, want string) {
	t.Helper()
	if g := describe(got); g != strings.TrimLeft(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
}

var someCapture = []string{"some.pcap"}

func TestJA4RustIsRead(t *testing.T) {
	t.Parallel()
	got, err := parseJA4Rust([]byte(`---
source: ja4/src/lib.rs
expression: output
---
- stream: 0
  transport: tcp
  src: 192.0.2.1
  dst: 192.0.2.2
  src_port: 50112
  dst_port: 443
  tls_server_name: example.org
  ja4: t13d1516h2_8daaf6152771_e5627efa2ab1
- stream: 1
  transport: tcp
  src: 192.0.2.1
  dst: 192.0.2.2
  src_port: 50113
  dst_port: 80
`), someCapture)
	if err != nil {
		t.Fatal(err)
	}
	wantExpectations(t, got, `
192.0.2.1:50112 > 192.0.2.2:443 tcp | ja4: t13d1516h2_8daaf6152771_e5627efa2ab1 | sni: example.org
`)
}

func TestJA4PythonIsRead(t *testing.T) {
	t.Parallel()
	got, err := parseJA4Python([]byte(`[
  {"stream": 0, "src": "192.0.2.1", "dst": "192.0.2.2", "srcport": "50112", "dstport": "443", "domain": "example.org",
   "JA4.1": "t13d1516h2_8daaf6152771_e5627efa2ab1", "JA4.2": "t13d1515h2_8daaf6152771_f37e75b10bcc"},
  {"stream": 1, "src": "192.0.2.1", "dst": "192.0.2.2", "srcport": "8089", "dstport": "53649", "JA4H": "ge11nn07ruru"}]`), someCapture)
	if err != nil {
		t.Fatal(err)
	}
	wantExpectations(t, got, `
192.0.2.1:50112 > 192.0.2.2:443 tcp | ja4: t13d1516h2_8daaf6152771_e5627efa2ab1 | sni: example.org
`)
}

func TestAgreementOfTheJA4Tools(t *testing.T) {
	t.Parallel()
	flow := func(tool, port, ja4 string) *Expectation {
		e, _ := parseEnds("192.0.2.1", port, "192.0.2.2", "443")
		x := &Expectation{Reference: tool, Captures: someCapture, Proto: "tcp", Ends: []Ends{e}}
		x.set("ja4", ja4, nil)
		return x
	}
	got := Agree([]*Expectation{flow("ja4-rust", "1", "a"), flow("ja4-python", "1", "a"), flow("ja4-rust", "2", "a"), flow("ja4-python", "2", "b"),
		flow("ja4-rust", "3", "a"), flow("ja4-python", "4", "a"), flow("ja4-python", "5", "a")})
	if want := (Agreement{Both: 2, Equal: 1, Rust: 1, Python: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestJA3StringsBecomeHellos(t *testing.T) {
	t.Parallel()
	got, err := parseJA3([]byte(`ja3_string;md5;in_readme
769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0;ada70206e40642a3e4461f35503241d5;True
769,4-5-10-9-100-98-3-6-19-18-99,,,;de350869b8c85de67a350c8d186f11e6;True
`))
	if err != nil || len(got) != 2 {
		t.Fatalf("%d expectations, %v", len(got), err)
	}
	for _, e := range got {
		if v := e.Values[0]; v.Got(nil) != v.Want {
			t.Errorf("got %s, want %s", v.Got(nil), v.Want)
		}
	}
}

func TestTsharkIsRead(t *testing.T) {
	t.Parallel()
	names := "frame.number ip.src ipv6.src tcp.srcport udp.srcport ip.dst ipv6.dst tcp.dstport udp.dstport tcp.stream udp.stream tls.handshake.type tls.handshake.version tls.handshake.extensions.supported_version " +
		"tls.handshake.ciphersuite tls.handshake.extension.type tls.handshake.extensions_server_name tls.handshake.extensions_alpn_str tls.handshake.ja3 tls.handshake.ja3s quic.version"
	row := func(f ...string) string { return strings.Join(f, "\t") + "\n" }
	table := strings.ReplaceAll(names, " ", "\t") + "\n" +
		row("4", "192.0.2.1", "", "5000", "", "192.0.2.2", "", "443", "", "0", "", "1", "0x0303", "0x0304", "0x1301,0x1302", "0,43", "example.org", "zz,h2", "aa", "", "") + // zz is GREASE
		row("7", "192.0.2.2", "", "443", "", "192.0.2.1", "", "5000", "", "0", "", "2", "0x0303", "0x0304", "0x1301", "43", "", "", "", "bb", "") +
		row("8", "192.0.2.1", "", "5000", "", "192.0.2.2", "", "443", "", "0", "", "1", "0x0303", "", "0x1301", "", "", "", "cc", "", "") +
		row("9", "10.0.0.1,192.0.2.1", "", "5000", "4789", "10.0.0.2,192.0.2.2", "", "443", "4789", "1", "0", "2,11", "0x0303", "", "0x002f", "65281", "", "", "", "dd", "") +
		row("10", "", "2001:db8::1", "", "6000", "", "2001:db8::2", "", "443", "", "2", "1", "0x0303", "", "0x1301", "0", "", "h3", "", "", "0x00000001")
	got := parseTshark([]byte(table), "some.pcap")
	wantExpectations(t, got, `
192.0.2.1:5000 > 192.0.2.2:443 tcp | sni: example.org | ja3: aa | client ciphers: 4865,4866 | client extensions: 0,43 | client versions: 772 | client ALPN: zz,h2 | ja3s: bb | version: TLS 1.3 | cipher: TLS_AES_128_GCM_SHA256 | server extensions: 43 | alpn: h2
192.0.2.2:443 > 192.0.2.1:5000 #2 tcp | ja3s: dd | version: TLS 1.2 | cipher: TLS_RSA_WITH_AES_128_CBC_SHA
[2001:db8::1]:6000 > [2001:db8::2]:443 udp | client ciphers: 4865 | client extensions: 0 | client ALPN: h3 | quic version: 1 | alpn: h3
`)
	if got[0].Hellos != 2 || got[1].Hellos != 0 || got[2].Hellos != 1 {
		t.Errorf("hellos: %d, %d and %d, want 2, 0 and 1", got[0].Hellos, got[1].Hellos, got[2].Hellos)
	}
}

func TestZeekLogsAreRead(t *testing.T) {
	t.Parallel()
	const log = `### baseline
#separator \x09
#path	ssl
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	version	cipher	server_name	resumed	next_protocol	established	cert_chain_fps	client_cert_chain_fps	curve	last_alert
#types	time	string	addr	port	addr	port	string	string	string	bool	string	bool	vector[string]	vector[string]	string	string
X	C	192.0.2.1	62045	192.0.2.2	443/tcp	TLSv10	TLS_RSA_WITH_RC4_128_SHA	example.org	F	-	T	aa,bb	cc,dd	X25519MLKEM768	close_notify
X	D	192.0.2.1	62045	192.0.2.2	443	-	-	-	F	-	F	(empty)	-	-	-
#close
#separator \x09
#path	quic
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	version	server_name	client_protocol
X	C	192.0.2.1	62045	192.0.2.2	443	draft-29	example.org	h3
X	C	192.0.2.1	62045	192.0.2.2	443	quicv2	example.org	h3
#separator \x09
#path	conn
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	orig_pkts	orig_ip_bytes	resp_pkts	resp_ip_bytes
X	C	192.0.2.1	1	192.0.2.2	2	udp	3	300	4	400
`
	got := parseZeek([]byte(log), "ssl-all.log", someCapture)
	wantExpectations(t, got, `
192.0.2.1:62045 > 192.0.2.2:443 | version: TLS 1.0 | cipher: TLS_RSA_WITH_RC4_128_SHA | resumed: no | established: yes | sni: example.org | chain, SHA-256: aa,bb | client certificate, SHA-256: cc | group: x25519mlkem768 | last alert: close_notify
192.0.2.1:62045 > 192.0.2.2:443 #2
192.0.2.1:62045 > 192.0.2.2:443 udp | quic version: draft-29 | sni: example.org | alpn: h3
192.0.2.1:62045 > 192.0.2.2:443 udp | quic version: 2 | sni: example.org | alpn: h3
192.0.2.1:1 > 192.0.2.2:2 udp | packets: 3 | packets back: 4 | bytes: 300 | bytes back: 400
`)
	got = parseZeek([]byte("ts\tuid\tversion\tcipher\tserver_name\nX\tC\tTLSv13\tTLS_AES_128_GCM_SHA256\texample.org\n"), "ssl.log.cut", someCapture)
	wantExpectations(t, got, "any flow | version: TLS 1.3 | cipher: TLS_AES_128_GCM_SHA256 | sni: example.org\n")
	got = parseZeek([]byte("ts\tuid\thistory\nX\tC\tDd\n"), "conn.log.cut", someCapture)
	wantExpectations(t, got, "")
}

func TestZeekCertificatesAreRead(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("a5", 32)
	log := "#separator \\x09\n#path\tx509\n#fields\tts\tfingerprint\tcertificate.serial\tcertificate.subject\tcertificate.issuer\tcertificate.not_valid_before\tcertificate.not_valid_after\tcertificate.key_length\tsan.dns\n" +
		"X\t" + digest + "\t0036F5\tCN=a,O=b\\, c\tCN=r\t-1.000000\t1365639277.000000\t1024\ta.example,b.example\n"
	wantExpectations(t, parseZeek([]byte(log), "x509.log", someCapture), `
certificate a5a5a5a5a5a5a5a5 | certificate serial: 36f5 | certificate subject: CN=a, O=b, c | certificate issuer: CN=r | certificate validity: 1969-12-31T23:59:59 to 2013-04-11T00:14:37 | certificate key bits: 1024 | certificate names: a.example,b.example
`)
}

func TestZeekCipherNamesAreRead(t *testing.T) {
	t.Parallel()
	e := parseZeekCiphers([]byte("Got 2 cipher suites\nTLS_RSA_WITH_RC4_128_SHA\nTLS_RSA_WITH_RC4_128_MD5\n"), someCapture)
	wantExpectations(t, []*Expectation{e}, "any flow | client cipher names: TLS_RSA_WITH_RC4_128_SHA,TLS_RSA_WITH_RC4_128_MD5\n")
}

func TestSuricataFiltersAreRead(t *testing.T) {
	t.Parallel()
	const test = `
requires:
  min-version: 8
checks:
  - filter:
      count: 1
      match:
        event_type: tls
        proto: TCP
        src_ip: 192.0.2.1
        src_port: 23481
        dest_ip: 192.0.2.2
        dest_port: 443
        tls.version: TLS 1.3 draft-28
        tls.serial: "00:0A:55"
        tls.issuerdn: "C=US, O=Let's Encrypt, Inc., CN=R3"
        tls.ja3.string: "769,4,,,"
        tls.subjectaltname[0]: a.example
        tls.subjectaltname[1]: b.example
  - filter:
      count: 1
      match:
        event_type: quic
        quic.ja4: q13d0310h3_55b375c5d22e_cd85d2d88918
        quic.extensions[2].name: alpn
        quic.extensions[2].values[0]: h3-29
  - filter:
      count: 0
      match: {event_type: tls, tls.sni: nobody}
  - filter:
      count: 1
      match: {event_type: alert, alert.signature_id: 1}
`
	got, err := parseSuricata([]byte(test), someCapture)
	if err != nil {
		t.Fatal(err)
	}
	wantExpectations(t, got, `
192.0.2.1:23481 > 192.0.2.2:443 tcp | version: TLS 1.3 | ja3: `+digest("769,4,,,")+` | certificate issuer: C=US, CN=R3, O=Let's Encrypt, Inc. | certificate serial: a55 | certificate names: a.example | certificate names: b.example
any flow udp | ja4: q13d0310h3_55b375c5d22e_cd85d2d88918 | extension: 2 alpn | alpn: h3-29
`)
	got, err = parseSuricata([]byte("requires: {lt-version: 8}\nchecks:\n  - filter: {count: 1, match: {tls.sni: a}}\n"), someCapture)
	if err != nil || len(got) != 0 {
		t.Errorf("an old version's test: %d expectations, %v", len(got), err)
	}
}

func TestNDPIFlowsAreRead(t *testing.T) {
	t.Parallel()
	const out = `
JA3 Host Stats:
	1	 192.0.2.1             	 1

	1	TCP 192.0.2.1:53096 <-> [2001:db8::2]:443 [proto: 91/TLS][316 pkts/28495 bytes <-> 351 pkts/429572 bytes][Hostname/SNI: a[1].example][(Advertised) ALPNs: h2;http/1.1][TLSv1.3 (Fizz)][JA3C: aa][JA4: t13d1814h2_x_y][JA3S: bb (WEAK)][Issuer: C=US, O=a, Inc., CN=r][Subject: CN=s][Certificate SHA-1: DB:A7][Validity: 2019-12-17 01:17:28 - 2020-03-16 01:17:28][Cipher: TLS_AES_128_GCM_SHA256][Plen Bins: 1]
	2	UDP 192.0.2.1:1 -> 192.0.2.2:443 [proto: 188/QUIC][QUIC ver: Draft-29][DTLSv1.2][JA3C: cc][(Negotiated) ALPN: h3]
	3	TCP 192.0.2.1:1 <-> 192.0.2.2:443 [proto: 91/TLS][Confidence: Match by port]
`
	wantExpectations(t, parseNDPI([]byte(out), someCapture), `
192.0.2.1:53096 > [2001:db8::2]:443 tcp | sni: a[1].example | ja3: aa | ja3s: bb | ja4: t13d1814h2_x_y | ja4 digests: x_y | cipher: TLS_AES_128_GCM_SHA256 | version: TLS 1.3 | client ALPN: h2,http/1.1 | alpn: h2 | certificate SHA-1: dba7 | certificate subject: CN=s | certificate issuer: C=US, CN=r, O=a, Inc. | certificate validity: 2019-12-17 01:17:28 to 2020-03-16 01:17:28
192.0.2.1:1 > 192.0.2.2:443 udp | ja3: cc | version: DTLS 1.2 | alpn: h3 | quic version: draft-29
192.0.2.1:53096 > [2001:db8::2]:443 tcp | packets: 316 | packets back: 351
192.0.2.1:1 > 192.0.2.2:443 udp | packets: 0 | packets back: 0
192.0.2.1:1 > 192.0.2.2:443 tcp | packets: 0 | packets back: 0
`)
}

func TestArkimeSessionsAreRead(t *testing.T) {
	t.Parallel()
	got, err := parseArkime([]byte(`{"sessions3": [
{"body": {"ipProtocol": 6, "segmentCnt": 1, "source": {"ip": "192.0.2.1", "port": 60101, "packets": 10}, "destination": {"ip": "192.0.2.2", "port": 443, "packets": 9},
  "client": {"bytes": 5}, "server": {"bytes": 6}, "network": {"packets": 19, "community_id": "1:x"},
  "tls": {"version": ["TLSv1.3-draft-18"], "cipher": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"], "ja4": ["t13"]},
  "cert": [{"hash": "d5:14", "serial": "00b2", "notBefore": 1519399598000, "notAfter": 1521991598000}]}},
{"body": {"ipProtocol": 6, "segmentCnt": 2, "source": {"ip": "192.0.2.1", "port": 60101}, "destination": {"ip": "192.0.2.2", "port": 443}, "network": {"packets": 0}}},
{"body": {"ipProtocol": 1, "source": {"ip": "192.0.2.1", "port": 0}, "destination": {"ip": "192.0.2.2", "port": 0}, "network": {"packets": 1}}}]}`), someCapture)
	if err != nil {
		t.Fatal(err)
	}
	wantExpectations(t, got, `
192.0.2.1:60101 > 192.0.2.2:443 tcp | community id: 1:x | version: TLS 1.3 | ja4: t13 | certificate SHA-1: d514 | certificate serial: b2 | certificate not before: 2018-02-23T15:26:38 | certificate not after: 2018-03-25T15:26:38 | packets: 10 | packets back: 9 | payload: 5 | payload back: 6
`)
}

const ipfixTemplate = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 BYTES_REV,time TIME_FIRST,uint32 PACKETS,uint32 PACKETS_REV,uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL"

func TestIPFIXProbeSequencesAreJoined(t *testing.T) {
	t.Parallel()
	// the template stands anywhere in the sorted file, the second record before the first
	got, err := parseIPFIXProbe([]byte(`192.0.2.1,192.0.2.2,50,0,2020-01-01T00:01:00.000000,1,0,1000,53,17,[1],[20],[2020-01-01T00:01:00.000000]
192.0.2.2,192.0.2.1,328,60,2020-01-01T00:00:00.000000,2,1,53,1000,17,[1|-1],[300|20],[2020-01-01T00:00:00.000000|2020-01-01T00:00:00.500000]
192.0.2.2,192.0.2.1,60,0,2020-01-01T00:00:00.000000,1,0,0,0,1,[1],[32],[2020-01-01T00:00:00.000000]
`+ipfixTemplate+`,int8* PPI_PKT_DIRECTIONS,uint16* PPI_PKT_LENGTHS,time* PPI_PKT_TIMES
`), "pstats", someCapture)
	if err != nil {
		t.Fatal(err)
	}
	wantExpectations(t, got, `
192.0.2.1:1000 > 192.0.2.2:53 udp | packets: 2 | packets back: 2 | bytes: 328 | bytes back: 110 | lengths: 300 -20 -20 | times: 0 500000 59500000
`)
}

func TestIPFIXProbeTLSIsRead(t *testing.T) {
	t.Parallel()
	got, err := parseIPFIXProbe([]byte(ipfixTemplate+`,uint16 TLS_VERSION,string TLS_ALPN,bytes TLS_JA3,string TLS_JA4,string TLS_SNI,uint16* TLS_EXT_TYPE
192.0.2.2,192.0.2.1,328,0,2020-01-01T00:00:00.000000,2,0,443,1000,6,771,"h2",aa,"t13d_b_c","example.org",[0|23]
`), "tls", someCapture)
	if err != nil {
		t.Fatal(err)
	}
	wantExpectations(t, got, `
192.0.2.1:1000 > 192.0.2.2:443 tcp | sni: example.org | ja3: aa | ja4: t13d_b_c | ja4 digests: b_c | alpn: h2 | version: TLS 1.2 | client extensions: 0,23
192.0.2.1:1000 > 192.0.2.2:443 tcp | packets: 2 | packets back: 0 | bytes: 328 | bytes back: 0
`)
}

func TestJoyIsRead(t *testing.T) {
	t.Parallel()
	got, err := parseJoy([]byte(`{"version":"1.74","end-config":1,"tls":1}
{"sa":"192.0.2.1","da":"192.0.2.2","pr":6,"sp":45426,"dp":443,"packets":[{"b":197,"dir":"<","ipt":0},{"b":150,"dir":"<","ipt":5}],"tls":{"c_version":4,"c_key_length":528,"cs":["c014","00ff"],"c_extensions":[{"ec_point_formats":"03"},{"heartbeat":"01"}]}}
{"sa":"192.0.2.2","da":"192.0.2.1","pr":6,"sp":443,"dp":45426,"packets":[{"b":1456,"dir":"<","ipt":0}],"tls":{"s_version":4,"scs":"c014","s_cert":[{"serial_number":"00c0","validity_not_before":"Aug  7 15:04:17 2017 GMT","validity_not_after":"Aug 17 15:04:17 2018 GMT","subject_public_key_size":2048}]}}
`), someCapture)
	if err != nil {
		t.Fatal(err)
	}
	wantExpectations(t, got, `
192.0.2.1:45426 > 192.0.2.2:443 tcp | client ciphers: 49172,255 | client extensions: ec_point_formats,heartbeat | key length: 528 | lengths: 197 150 | times: 0 5
192.0.2.2:443 > 192.0.2.1:45426 tcp | cipher: TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA | version: TLS 1.1 | certificate serial: c0 | certificate not before: 2017-08-07T15:04:17 | certificate not after: 2018-08-17T15:04:17 | certificate key bits: 2048 | lengths: 1456 | times: 0
`)
}
