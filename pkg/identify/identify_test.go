package identify_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/identify"
)

// unhex reads hexadecimal digits with spaces; what stands between quotes is text.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		out = append(out, b...)
	}
	return out
}

func zeros(n int) string { return strings.Repeat("00", n) }

const (
	either = identify.SenderUnknown
	client = identify.SenderClient
	server = identify.SenderServer
)

type sample struct {
	name string
	from identify.Sender
	data string // as unhex has it
}

// netbios is EXAMPLE in the first-level encoding of RFC 1001.
const netbios = "20 'EFFIEBENFAEMEFCACACACACACACACACA' 00"

var streams = []sample{
	{"adb", either, "'CNXN' 00000001 00001000 07000000"},
	{"amqp", client, "'AMQP' 00000901"},
	{"amqp", client, "'AMQP' 03010000"},
	{"amqp", server, "01 0000 000001dc 000a000a 0009 000001b7"},
	{"bgp", either, strings.Repeat("ff", 16) + "001d 01 04 fde8 00b4 0a000001 00"},
	{"bitcoin", either, "f9beb4d9 'version' 0000000000 66000000 11223344"},
	{"bittorrent", either, "13 'BitTorrent protocol' 0000000000100005"},
	{"cassandra", client, "04 00 0000 05 00000000"},
	{"cassandra", client, "05 00 0000 01 00000016 0001 000b 'CQL_VERSION' 0005 '3.0.0'"},
	{"dcerpc", client, "05 00 0b 03 10000000 4800 0000 01000000 b810b810"},
	{"dcerpc", server, "05 00 0c 03 10000000 3c00 0000 01000000 b810b810"},
	{"diameter", client, "01 0000c8 80 000101 00000000 11223344"},
	{"diameter", server, "01 0000c8 00 000101 00000000 11223344"},
	{"dnp3", client, "05 64 05 c0 01 00 00 04 e9 21"}, // the master's reset link, with its checksum
	{"enip", client, "6500 0400 00000000 00000000 0102030405060708 00000000 0100 0000"},
	{"ftp", server, "'220 (vsFTPd 3.0.3)' 0d0a"},
	{"ftp", server, "'220-FileZilla Server 1.8' 0d0a '220 Please' 0d0a"},
	{"ftp", client, "'USER anonymous' 0d0a"},
	{"ftp", client, "'auth tls' 0d0a"},
	{"ftp", client, "'FEAT' 0d0a"},
	{"git", client, "'0032git-upload-pack /project.git' 00 'host=example.com' 00"},
	{"proxy", client, "'PROXY TCP4 192.0.2.1 198.51.100.7 40000 443' 0d0a"},
	{"proxy", client, "0d0a0d0a000d0a515549540a 21 11 000c c0000201 c6336407 9c40 01bb"},
	{"h2c", client, "'PRI * HTTP/2.0' 0d0a0d0a 'SM' 0d0a0d0a 000000040000000000"},
	{"iec104", client, "68 04 07 00 00 00"},
	{"imap", server, "'* OK [CAPABILITY IMAP4rev1] ready' 0d0a"},
	{"imap", client, "'a1 LOGIN user secret' 0d0a"},
	{"imap", client, "'A001 STARTTLS' 0d0a"},
	{"irc", client, "'NICK bot1' 0d0a"},
	{"irc", client, "'PASS x' 0d0a 'NICK bot1' 0d0a"},
	{"irc", client, "'USER a 0 * :real name' 0d0a"},
	{"irc", client, "'CAP LS 302' 0d0a"},
	{"irc", server, "':irc.example.com NOTICE * :*** Looking up your hostname' 0d0a"},
	{"irc", server, "':irc.example.com 670 nick :STARTTLS successful' 0d0a"},
	{"kafka", client, "00000023 0012 0003 00000001 000a 'producer-1' 00"},
	{"kerberos", client, "00000016 6a14 3012 a103020105 a20302010a a406 0000 00 0000 00"},
	{"kerberos", server, "00000016 7e14 3012 a003020105 a10302011e a406 0000 00 0000 00"},
	{"ldap", client, "300c 020101 6007 020103 0400 8000"},
	{"ldap", server, "300c 020101 6107 0a0100 0400 0400"},
	{"ldap", client, "3084 00000027 020102 6384 0000001e 0400 0a0100 0a0100 020100 020100 010100 870b 'objectclass' 3084"},
	{"ldap", client, "301d 020101 7718 8016 '1.3.6.1.4.1.1466.20037'"},
	{"memcached", client, "'stats' 0d0a"},
	{"memcached", client, "'get session:1' 0d0a"},
	{"memcached", client, "'set k 0 60 5' 0d0a 'value' 0d0a"},
	{"modbus", either, "0001 0000 0006 01 03 0000 000a"},
	{"modbus", either, "0001 0000 0007 01 03 04 0000000a"},
	{"mongodb", client, "3a000000 01000000 00000000 d4070000 00000000 'admin.$cmd' 00"},
	{"mongodb", client, "3a000000 01000000 00000000 dd070000 00000000 00"},
	{"mongodb", server, "ba000000 05000000 01000000 01000000 08000000 0000000000000000"},
	{"mqtt", client, "10 0c 0004 'MQTT' 04 02 003c 0000"},
	{"mqtt", client, "10 8001 0006 'MQIsdp' 03 02 003c 0000"},
	{"mysql", server, "4a0000 00 0a '8.0.36' 00 0b000000"},
	{"mysql", server, "5b0000 00 0a '5.5.5-10.6.12-MariaDB' 00 0b000000"},
	{"mysql", client, "200000 01 85aeff19 00000001 2d " + zeros(23)},
	{"nats", server, "'INFO {" + `"server_id":"N","version":"2.10"` + "} ' 0d0a"},
	{"netbios-ssn", client, "81 00 0044 " + netbios + netbios},
	{"netbios-ssn", server, "82 00 0000"},
	{"nfs", client, "80000028 11223344 00000000 00000002 000186a3 00000003 00000000 00000000 00000000 00000000 00000000"},
	{"nntp", server, "'200 news.example.com InterNetNews NNRP server ready' 0d0a"},
	{"nntp", client, "'MODE READER' 0d0a"},
	{"opcua", client, "'HELF' 3a000000 00000000"},
	{"openvpn", client, "000e 38 0102030405060708 00 00000000"},
	{"pop3", server, "'+OK POP3 ready <1.2@example.com>' 0d0a"},
	{"pop3", client, "'CAPA' 0d0a"},
	{"postgresql", client, "00000008 04d2162f"},
	{"postgresql", client, "0000001e 00030000 'user' 00 'postgres' 00 'database' 00"},
	{"postgresql", server, "52 0000000c 00000005 11223344"},
	{"postgresql", server, "52 00000017 0000000a 'SCRAM-SHA-256' 0000"},
	{"pptp", client, "009c 0001 1a2b3c4d 0001 0000 0100 0000"},
	{"rdp", client, "03 00 0013 0e e0 0000 0000 00 01 00 0800 03000000"},
	{"rdp", client, "03 00 002c 27 e0 0000 0000 00 'Cookie: mstshash=user' 0d0a 01 00 0800 03000000"},
	{"rdp", server, "03 00 0013 0e d0 0000 1234 00 02 1f 0800 02000000"},
	{"redis", client, "'*1' 0d0a '$4' 0d0a 'PING' 0d0a"},
	{"redis", server, "'-NOAUTH Authentication required.' 0d0a"},
	{"rmi", client, "'JRMI' 0002 4b"},
	{"rpc", client, "80000028 11223344 00000000 00000002 000186a0 00000002 00000003 00000000 00000000 00000000 00000000"},
	{"rpc", server, "80000018 11223344 00000001 00000000 00000000 00000000 00000000"},
	{"rsync", either, "'@RSYNCD: 31.0' 0a"},
	{"rtmp", either, "03 00001234 00000000 a1b2c3d4e5f60718"},
	{"rtsp", client, "'OPTIONS rtsp://example.com/stream RTSP/1.0' 0d0a"},
	{"rtsp", server, "'RTSP/1.0 200 OK' 0d0a"},
	{"s7comm", client, "03 00 0016 11 e0 0000 0001 00 c0010a c1020100 c2020102"},
	{"s7comm", either, "03 00 0019 02 f0 80 32 01 0000 0400 0008 0000"},
	{"sip", either, "'INVITE sip:bob@example.com SIP/2.0' 0d0a"},
	{"sip", server, "'SIP/2.0 200 OK' 0d0a"},
	{"smb", client, "00 000045 ff'SMB' 72 00000000 18 01c8"},
	{"smb", server, "00 000045 ff'SMB' 72 00000000 98 01c8"},
	{"smb", client, "00 0000a4 fe'SMB' 4000 0000 00000000 0000 0000 00000000 00000000"},
	{"smb", server, "00 0000a4 fe'SMB' 4000 0000 00000000 0000 0100 01000000 00000000"},
	{"smb", either, "00 0000a4 fd'SMB' 11223344"},
	{"smtp", server, "'220 mail.example.com ESMTP Postfix' 0d0a"},
	{"smtp", client, "'EHLO example.com' 0d0a"},
	{"socks4", client, "04 01 0050 c0000201 'user' 00"},
	{"socks4", client, "04 01 01bb 00000001 00 'example.com' 00"},
	{"socks5", client, "05 01 00"},
	{"socks5", client, "05 02 00 02"},
	{"stratum", client, "'{" + `"id":1,"method":"mining.subscribe","params":["x/1"]` + "}' 0a"},
	{"stratum", client, "'{" + `"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4A","pass":"x"}` + "}' 0a"},
	{"stun", client, "0003 0008 2112a442 0102030405060708090a0b0c 00190004 11000000"},
	{"stun", client, "001c 0001 0008 2112a442 0102030405060708090a0b0c 00190004 11000000"},
	{"syslog", client, "'<34>1 2003-10-11T22:14:15.003Z host app - - - text' 0a"},
	{"tds", client, "12 01 002f 0000 01 00 00 001a 0006 01 0020 0001"},
	{"tds", server, "04 01 002b 0000 01 00 00 001a 0006 01 0020 0001"},
	{"tds", client, "10 01 0090 0000 01 00 88000000 04000074 00100000"},
	{"teamviewer", either, "17 24 0a 2000 8813 8000"},
	{"telnet", either, "fffd18 fffd20 fffd23"},
	{"vnc", either, "'RFB 003.008' 0a"},
	{"x11", client, "6c 00 0b00 0000 0000 0000 0000"},
	{"x11", client, "42 00 000b 0000 0000 0000 0000"},
	{"xmpp", either, "'<?xml version=\"1.0\"?><stream:stream to=\"example.com\" '"},
	{"zabbix", either, "'ZBXD' 01 0a00000000000000 'agent.ping'"},
}

var datagrams = []sample{
	{"bacnet", either, "81 0b 000c 01 20 ffff 00 ff 10 08"},
	{"bittorrent", client, "'d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe'"},
	{"bittorrent", server, "'d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re'"},
	{"bittorrent", client, "00000417 27101980 00000000 11223344"},
	{"bittorrent", client, "41 00 3039 11223344 00000000 00100000 0001 0000"},
	{"bittorrent", client, "'BT-SEARCH * HTTP/1.1' 0d0a 'Host: 239.192.152.143:6771' 0d0a0d0a"},
	{"coap", client, "40 01 1234 bb '.well-known' 04 'core'"},
	{"coap", client, "42 02 1234 abcd b5 'state' 11 32 ff 'on'"},
	{"dcerpc", client, "04 00 2800 100000 00 " + zeros(66) + "0400 0000 00 00 11223344"},
	{"dhcp", client, "01 01 06 00 11223344" + zeros(228) + "63825363 350101 ff"},
	{"dhcp", server, "02 01 06 00 11223344" + zeros(228) + "63825363 350102 ff"},
	{"dhcpv6", client, "01 112233 0001 000a 00030001 020304050607 0006 0002 0017"},
	{"dhcpv6", server, "02 112233 0002 000a 00030001 020304050607 0001 000a 00030001 020304050607"},
	{"ike", client, "1122334455667788 0000000000000000 21 20 22 08 00000000 00000020 00000004"},
	{"ike", server, "1122334455667788 8877665544332211 21 20 22 20 00000000 00000020 00000004"},
	{"ike", client, "00000000 1122334455667788 0000000000000000 01 10 02 00 00000000 00000020 00000004"},
	{"kerberos", client, "6a14 3012 a103020105 a20302010a a406 0000 00 0000 00"},
	{"l2tp", client, "c802 0014 0000 0000 0000 0000 8008 0000 0000 0001"},
	{"ldap", client, "3025 020101 6320 0400 0a0100 0a0100 020100 020100 010100 870b 'objectclass' 3000"},
	{"netbios-dgm", client, "11 02 1234 c0a80002 008a 00bb 0000 " + netbios + netbios},
	{"netbios-ns", client, "1234 0110 0001 0000 0000 0000 " + netbios + "0020 0001"},
	{"netbios-ns", server, "1234 8500 0000 0001 0000 0000 " + netbios + "0020 0001 00000000 0006 0000 c0a80002"},
	{"nfs", client, "11223344 00000000 00000002 000186a3 00000003 00000000 00000000 00000000"},
	{"ntp", client, "1b" + zeros(39) + "e1fcd68ee3126ecc"},
	{"ntp", client, "23" + zeros(47)},
	{"ntp", server, "1c0100ec 00000000 0000000c 'GOOG' e1fcd6d356f0a848 e1fcd68ee3126ecc e1fcd6d356f0a849 e1fcd6d356f0a84b"},
	{"ntp", client, "16 02 0001 0000 0000 0000 0000"},
	{"ntp", client, "17 00 03 2a 00000000"},
	{"openvpn", client, "38 0102030405060708 00 00000000"},
	{"openvpn", server, "40 1112131415161718 01 00000000 0102030405060708 00000000"},
	{"openvpn", client, "38 0102030405060708 00000001 65a1b2c3" + strings.Repeat("5a", 37)},
	{"radius", client, "01 2a 0026 " + strings.Repeat("a5", 16) + "0106 'user' 0406 c0a80001 0506 00000001"},
	{"rtcp", either, "80 c8 0006 11223344 e1fcd68e e3126ecc 00001000 00000010 00000a00 81 ca 0002 11223344 00000000"},
	{"rtcp", either, "80 c9 0001 11223344"},
	{"sip", either, "'REGISTER sip:example.com SIP/2.0' 0d0a 'Via: x' 0d0a"},
	{"sip", server, "'SIP/2.0 401 Unauthorized' 0d0a"},
	{"snmp", client, "3019 020101 0406 'public' a00c 020101 020100 020100 3001 00"},
	{"snmp", server, "3019 020100 0406 'public' a20c 020101 020100 020100 3001 00"},
	{"snmp", either, "3014 020103 300d 020101 020205dc 040104 020103 0400"},
	{"ssdp", client, "'M-SEARCH * HTTP/1.1' 0d0a 'ST: ssdp:all' 0d0a0d0a"},
	{"ssdp", client, "'NOTIFY * HTTP/1.1' 0d0a 'NTS: ssdp:alive' 0d0a0d0a"},
	{"ssdp", server, "'HTTP/1.1 200 OK' 0d0a 'ST: upnp:rootdevice' 0d0a0d0a"},
	{"stun", client, "0001 0000 2112a442 0102030405060708090a0b0c"},
	{"stun", server, "0101 000c 2112a442 0102030405060708090a0b0c 00200008 0001a147e112a643"},
	{"stun", client, "0001 0000 11223344 0102030405060708090a0b0c"},
	{"syslog", client, "'<13>Oct 11 22:14:15 host su: failed'"},
	{"tftp", client, "0001 'boot.img' 00 'octet' 00"},
	{"wireguard", either, "01000000" + strings.Repeat("5a", 144)},
	{"wireguard", either, "02000000" + strings.Repeat("5a", 88)},
	{"wireguard", either, "04000000 5a5a5a5a 0700000000000000" + strings.Repeat("5a", 16)},
}

func TestStreamsAreNamed(t *testing.T) {
	t.Parallel()
	for _, s := range streams {
		p, from := identify.Stream(unhex(t, s.data))
		if p.String() != s.name || from != s.from {
			t.Errorf("%s: got %q from %d, want %q from %d", s.data, p, from, s.name, s.from)
		}
	}
}

func TestDatagramsAreNamed(t *testing.T) {
	t.Parallel()
	for _, s := range datagrams {
		p, from := identify.Datagram(unhex(t, s.data))
		if p.String() != s.name || from != s.from {
			t.Errorf("%s: got %q from %d, want %q from %d", s.data, p, from, s.name, s.from)
		}
	}
}

// Every name has a sample, so that none is there that nothing gives.
func TestEveryNameIsGiven(t *testing.T) {
	t.Parallel()
	given := map[string]bool{}
	for _, s := range slices.Concat(streams, datagrams) {
		given[s.name] = true
	}
	for p := flow.AppLLMNR + 1; p.String() != ""; p++ {
		if !given[p.String()] {
			t.Errorf("%v has no sample", p)
		}
		delete(given, p.String())
	}
	if len(given) > 0 {
		t.Errorf("not the name of any: %v", given)
	}
}

// A side whose beginning is cut short is worth waiting for, or named already.
func TestBeginningsNeedMore(t *testing.T) {
	t.Parallel()
	for _, s := range streams {
		b := unhex(t, s.data)
		for n := 1; n < len(b); n++ {
			p, _ := identify.Stream(b[:n])
			switch {
			case p.String() != "" && p.String() != s.name:
				t.Errorf("%s cut to %d is named %q", s.data, n, p)
			case p == flow.AppUnknown && n < 64 && !identify.NeedsMore(b[:n]):
				t.Errorf("%s cut to %d needs no more", s.data, n)
			}
		}
	}
	for n := 64; n < 300; n++ {
		if identify.NeedsMore(bytes.Repeat([]byte("a"), n)) {
			t.Errorf("%d bytes need more", n)
		}
	}
	if identify.NeedsMore(unhex(t, streams[0].data)) {
		t.Error("what is named needs more")
	}
}

func TestOthersAreNotNamed(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "00", "05", "ff",
		"16 03 01 0200 01 0001fc 0303" + strings.Repeat("5a", 40), // TLS
		"17 03 03 0040" + strings.Repeat("5a", 64),
		"'SSH-2.0-OpenSSH_9.6' 0d0a",
		"'GET / HTTP/1.1' 0d0a 'Host: example.com' 0d0a0d0a",
		"'HTTP/1.1 200 OK' 0d0a0d0a",
		"'220 example.com ready' 0d0a", // SMTP or FTP
		"'220 mail FTP and SMTP' 0d0a", // both
		"'+OK' 0d0a",                   // Redis or POP3
		"'-ERR no' 0d0a",               // Redis or POP3
		"'USER' 0d0a",                  // no name
		"'NICK of time' 0d0a",          // prose
		"'get on with it' 0d0a",        // prose
		"'EHLO' 80 'x' 0d0a",           // no text
		"'Hello world, this is some text without any meaning' 0d0a",
		"'{" + `"method":"status"` + "}' 0a",
		"03 00 000b 06 e0 0000 0000 00", // any protocol over COTP
		"05 02 00 00",                   // the same method twice
		"05 01 00 5a5a5a5a5a5a5a5a",     // more than a greeting
		"04 01 0050 00000000 00",        // no address
		"68 04 07 00 00 01",
		"0001 0000 0006 01 03 0000 000a 5a", // longer than Modbus
		"3a000000 01000000 00000000 dd070100 00000000 00",
		"4a0000 00 0a 'latest' 00",
		"20 02 00 00", // too little to be MQTT
		zeros(64), strings.Repeat("ff", 64), strings.Repeat("20", 64), strings.Repeat("01", 64),
	} {
		b := unhex(t, s)
		if p, _ := identify.Stream(b); p != flow.AppUnknown {
			t.Errorf("stream %s: named %q", s, p)
		}
	}
	for _, s := range []string{
		"", "00", zeros(8), zeros(20), zeros(48), zeros(64), strings.Repeat("ff", 64),
		"80 00 1234 00000001 11223344" + strings.Repeat("d5", 160), // RTP: nothing but a version and a kind
		"1234 0100 0001 0000 0000 0000 03 'www' 07 'example' 03 'com' 00 0001 0001",
		"c3 00000001 08" + strings.Repeat("5a", 40), // QUIC
		"16 fefd 0000 000000000000 0010" + strings.Repeat("5a", 16),
		"04000000 5a5a5a5a 0700000000005a00" + strings.Repeat("5a", 16), // a counter too large
		"80 c8 0007 11223344" + strings.Repeat("5a", 24),                // SR of a wrong length
		"1b 20" + zeros(46),                   // no such stratum
		"0001 'boot.img' 00 'binary' 00",      // no such mode
		"0001 0004 11223344 0102030405060708", // cut
		"42 01 1234 abcd b5 'sta' 00 'e'",     // a path that is no text
	} {
		if p, _ := identify.Datagram(unhex(t, s)); p != flow.AppUnknown {
			t.Errorf("datagram %s: named %q", s, p)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var in [][]byte
	for _, s := range slices.Concat(streams, datagrams) {
		in = append(in, unhex(t, s.data))
	}
	if n := testing.AllocsPerRun(10, func() {
		for _, b := range in {
			identify.Stream(b)
			identify.Datagram(b)
			identify.NeedsMore(b)
		}
	}); n != 0 {
		t.Errorf("allocates %v times, want 0", n)
	}
}

func FuzzIdentify(f *testing.F) {
	for _, s := range slices.Concat(streams, datagrams) {
		f.Add(unhex(f, s.data))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, from := identify.Stream(b)
		if p == flow.AppUnknown && from != identify.SenderUnknown || p != flow.AppUnknown && (p.String() == "" || identify.NeedsMore(b)) {
			t.Errorf("%q from %d", p, from)
		}
		if len(b) >= 64 && identify.NeedsMore(b) {
			t.Errorf("%d bytes need more", len(b))
		}
		if p, from := identify.Datagram(b); p == flow.AppUnknown && from != identify.SenderUnknown || p != flow.AppUnknown && p.String() == "" {
			t.Errorf("%q from %d", p, from)
		}
	})
}
