package assemble

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/tlswire"
)

// helloOf is a record with a hello of a type, of which only the parts that are
// looked for are filled.
func helloOf(typ byte) []byte {
	body := append([]byte{3, 3}, make([]byte, 98)...)
	return tlsRecord(22, append([]byte{typ, 0, 0, byte(len(body))}, body...)...)
}

// say is what one side says at a time, in one segment.
type say struct {
	server bool
	text   []byte
}

func c(text string) say { return say{false, []byte(text)} }
func s(text string) say { return say{true, []byte(text)} }

// converse plays a connection.
func converse(b *bench, says []say) {
	b.open(0, 0)
	seq := [2]uint32{1, 5001}
	for i, x := range says {
		if at := int64(i) * second / 10; x.server {
			b.s2c(at, seq[1], pcapgen.ACK, x.text)
			seq[1] += uint32(len(x.text))
		} else {
			b.c2s(at, seq[0], pcapgen.ACK, x.text)
			seq[0] += uint32(len(x.text))
		}
	}
	b.t.Flush(start + 100*second)
}

func TestTLSIsFoundAfterTheProtocolThatAskedForIt(t *testing.T) {
	t.Parallel()
	client, server := helloOf(tlswire.MessageClientHello), helloOf(tlswire.MessageServerHello)
	hellos := []say{{false, client}, {true, server}}
	for name, test := range map[string]struct {
		before flow.App
		says   []say
	}{
		"smtp":       {flow.AppSMTP, []say{s("220 mail.example ESMTP\r\n"), c("EHLO a\r\n"), s("250-mail.example\r\n250 STARTTLS\r\n"), c("STARTTLS\r\n"), s("220 go ahead\r\n")}},
		"banner":     {flow.AppSMTP, []say{s("220 mail.example ESMTP\r\n")}},
		"imap":       {flow.AppIMAP, []say{s("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"), c("a STARTTLS\r\n"), s("a OK begin\r\n")}},
		"pop3":       {flow.AppPOP3, []say{s("+OK POP3 ready\r\n"), c("STLS\r\n"), s("+OK begin\r\n")}},
		"ftp":        {flow.AppFTP, []say{s("220 FTP Server ready.\r\n"), c("AUTH TLS\r\n"), s("234 go\r\n")}},
		"nntp":       {flow.AppNNTP, []say{s("200 news.example InterNetNews NNRP server ready (posting ok)\r\n"), c("STARTTLS\r\n"), s("382 go\r\n")}},
		"xmpp":       {flow.AppXMPP, []say{c("<?xml version='1.0'?><stream:stream to='a' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"), s("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'>"), c("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), s("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")}},
		"ldap":       {flow.AppLDAP, []say{c("\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"), s("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")}},
		"mysql":      {flow.AppMySQL, []say{s("\x4a\x00\x00\x00\x0a5.7.1-log\x00\x08\x00\x00\x00abcdefgh\x00\xff\xf7\x08\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00mysql_native_password\x00"), c("\x20\x00\x00\x01\x05\xae\x03\x00\x00\x00\x00\x01\x08" + string(make([]byte, 23)))}},
		"postgresql": {flow.AppPostgreSQL, []say{c("\x00\x00\x00\x08\x04\xd2\x16\x2f"), s("S")}},
		"rdp":        {flow.AppRDP, []say{c("\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00"), s("\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00")}},
		"http":       {flow.AppHTTP, []say{c("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"), s("HTTP/1.1 200 Connection established\r\n\r\n")}},
		"socks4":     {flow.AppSOCKS4, []say{c("\x04\x01\x01\xbb\xc0\x00\x02\x01user\x00"), s("\x00\x5a\x01\xbb\xc0\x00\x02\x01")}},
		"socks5":     {flow.AppSOCKS5, []say{c("\x05\x01\x00"), s("\x05\x00"), c("\x05\x01\x00\x03\x09a.example\x01\xbb"), s("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")}},
		"irc":        {flow.AppIRC, []say{c("CAP LS 302\r\nNICK a\r\nUSER a 0 * :a\r\n"), s(":irc.example NOTICE * :*** Looking up your hostname...\r\n"), c("STARTTLS\r\n"), s(":irc.example 670 a :STARTTLS successful\r\n")}},
		"proxy":      {flow.AppPROXY, []say{c("PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\n")}},
		"":           {flow.AppUnknown, []say{c("\x01\x02\x03\x04hello there, own protocol"), s("\x09\x08\x07\x06fine, go on")}},
	} {
		b := newBench(nil)
		converse(b, append(test.says, append(hellos, say{false, tlsRecord(23, 1, 2, 3)}, say{true, tlsRecord(23, 1)})...))
		f := b.flows[0]
		if len(b.flows) != 1 || f.Half[0].AppBytes != 3 || f.Half[1].AppBytes != 1 || f.App != flow.AppTLS || f.Before != test.before || !bytes.Equal(f.Half[0].Handshake, client) || !bytes.Equal(f.Half[1].Handshake, server) {
			t.Errorf("%s: %v after %v, kept %x and %x", name, f.App, f.Before, f.Half[0].Handshake, f.Half[1].Handshake)
		}
	}
}

func TestWhatAProxyWasAskedForIsKept(t *testing.T) {
	t.Parallel()
	request, response := "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"
	b := newBench(nil)
	converse(b, []say{c(request), s(response), {false, helloOf(1)}, {true, helloOf(2)}})
	f := b.flows[0]
	if string(f.Half[0].Preamble) != request || string(f.Half[1].Preamble) != response {
		t.Errorf("kept %q and %q", f.Half[0].Preamble, f.Half[1].Preamble)
	}
	b = newBench(nil)
	converse(b, []say{c(request), s("HTTP/1.1 403 No\r\n\r\n")})
	f = b.flows[0]
	if f.App != flow.AppHTTP || string(f.Half[0].Handshake) != request || f.Half[0].Preamble != nil {
		t.Errorf("refused: %v, kept %q and %q", f.App, f.Half[0].Handshake, f.Half[0].Preamble)
	}
	if b.t.Stats().HandshakeBytes != 0 {
		t.Errorf("%d bytes are held after the flow", b.t.Stats().HandshakeBytes)
	}
}

func TestTLSIsFoundInTheMiddleOfASegmentAndCutAnywhere(t *testing.T) {
	t.Parallel()
	client, server := helloOf(tlswire.MessageClientHello), helloOf(tlswire.MessageServerHello)
	greeting := []say{s("220 mail.example ESMTP\r\n"), c("EHLO a\r\n"), s("250 STARTTLS\r\n")}
	for cut := 1; cut < len(client); cut++ {
		b := newBench(nil)
		converse(b, append(slices.Clone(greeting), say{false, slices.Concat([]byte("STARTTLS\r\n"), client[:cut])}, say{false, client[cut:]},
			say{true, slices.Concat([]byte("220 go ahead\r\n"), server[:cut])}, say{true, server[cut:]}))
		f := b.flows[0]
		if f.App != flow.AppTLS || f.Before != flow.AppSMTP || !bytes.Equal(f.Half[0].Handshake, client) || !bytes.Equal(f.Half[1].Handshake, server) {
			t.Fatalf("cut at %d: %v after %v, kept %x and %x", cut, f.App, f.Before, f.Half[0].Handshake, f.Half[1].Handshake)
		}
	}
}

func TestWhatOnlyCarriesACopyOfTLSIsNotTLS(t *testing.T) {
	t.Parallel()
	copied := slices.Concat([]byte("some bytes of a file "), helloOf(tlswire.MessageClientHello))
	for name, says := range map[string][]say{
		"HTTP body":    {c("GET /a.pcap HTTP/1.1\r\nHost: a\r\n\r\n"), {true, slices.Concat([]byte("HTTP/1.1 200 OK\r\nContent-Length: 130\r\n\r\n"), copied)}},
		"own protocol": {{false, slices.Concat([]byte("\x01\x02\x03\x04own protocol"), copied)}},
		"far behind": {s("220 mail.example ESMTP\r\n"), c("EHLO a\r\n"), {false, bytes.Repeat([]byte("DATA"), startTLSBytes/8)},
			{false, bytes.Repeat([]byte("DATA"), startTLSBytes/8)}, {false, helloOf(1)}},
		"almost a hello":  {s("220 mail.example ESMTP\r\n"), c("EHLO a\r\n"), {false, tlsRecord(22, 1, 0, 0, 4, 3, 3, 0, 0)}},
		"refused CONNECT": {c("CONNECT a.example:443 HTTP/1.1\r\n\r\n"), s("HTTP/1.1 403 Forbidden\r\n\r\n")},
	} {
		b := newBench(nil)
		converse(b, says)
		if f := b.flows[0]; f.App == flow.AppTLS || f.Before != flow.AppUnknown {
			t.Errorf("%s: %v after %v", name, f.App, f.Before)
		}
	}
}

func TestAServerThatSaidMuchBeforeIsListenedToAgain(t *testing.T) {
	t.Parallel()
	server := helloOf(tlswire.MessageServerHello)
	b := newBench(nil)
	converse(b, []say{{true, bytes.Repeat([]byte{7}, 10_000)}, {true, bytes.Repeat([]byte{9}, 10_000)}, {false, helloOf(tlswire.MessageClientHello)}, {true, server}})
	if f := b.flows[0]; f.App != flow.AppTLS || !bytes.Equal(f.Half[1].Handshake, server) {
		t.Errorf("%v, kept %x of the server", f.App, f.Half[1].Handshake)
	}
}

func TestAServerOfSSL2IsKept(t *testing.T) {
	t.Parallel()
	hello := slices.Concat([]byte{0x80, 11 + 30 + 3 + 16, 4, 0, 1, 0, 2, 0, 30, 0, 3, 0, 16}, make([]byte, 30+3+16))
	b := newBench(nil)
	converse(b, []say{{true, hello[:20]}, {true, hello[20:]}, {true, []byte{0x80, 20, 9, 9, 9}}})
	if f := b.flows[0]; f.App != flow.AppTLS || !bytes.Equal(f.Half[1].Handshake, hello) {
		t.Errorf("%v, kept %x", f.App, f.Half[1].Handshake)
	}
}

func TestAProtocolIsKnownHoweverItsFirstBytesAreCut(t *testing.T) {
	t.Parallel()
	sslv2 := slices.Concat([]byte{0x80, 9 + 3 + 16, 1, 3, 1, 0, 3, 0, 0, 0, 16}, make([]byte, 3+16))
	for want, text := range map[flow.App]string{
		flow.AppTLS: string(helloOf(1)), flow.AppHTTP: "GET /index.html HTTP/1.1\r\nHost: a.example\r\n\r\n", flow.AppSSH: "SSH-2.0-client\r\n",
		flow.AppDNS: string(append([]byte{0, byte(len(dnsQuery()))}, dnsQuery()...)), flow.AppSMTP: "EHLO a.example\r\n", flow.AppPostgreSQL: "\x00\x00\x00\x08\x04\xd2\x16\x2f",
	} {
		for cut := 1; cut < len(text); cut++ {
			b := newBench(nil)
			converse(b, []say{c(text[:cut]), c(text[cut:])})
			if f := b.flows[0]; f.App != want {
				t.Errorf("%v, cut at %d of %d: %v", want, cut, len(text), f.App)
			}
		}
	}
	b := newBench(nil)
	converse(b, []say{{false, sslv2}})
	if f := b.flows[0]; f.App != flow.AppTLS || len(f.Half[0].Handshake) != len(sslv2) {
		t.Errorf("SSL 2.0: %v, kept %x", f.App, f.Half[0].Handshake)
	}
}

func TestAGapAfterAHelloOfSSL2BehindAProxy(t *testing.T) {
	t.Parallel()
	sslv2 := slices.Concat([]byte{0x80, 9 + 3 + 16, 1, 3, 1, 0, 3, 0, 0, 0, 16}, make([]byte, 3+16))
	b := newBench(func(c *Config) { c.PendingBytes = 64 })
	request := "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nUser-Agent: a long one\r\n\r\n"
	b.open(0, 0)
	b.c2s(1, 1, pcapgen.ACK, []byte(request))
	b.s2c(2, 5001, pcapgen.ACK, []byte("HTTP/1.1 200 OK\r\n\r\n"))
	at := uint32(1 + len(request))
	b.c2s(3, at, pcapgen.ACK, sslv2)
	b.c2s(4, at+uint32(len(sslv2))+500, pcapgen.ACK, tlsRecord(22, 16, 0, 0, 1, 9))
	b.t.Flush(start)
	if f := b.flows[0]; f.App != flow.AppTLS || f.Before != flow.AppHTTP || !bytes.HasPrefix(f.Half[0].Handshake, sslv2) {
		t.Errorf("%v after %v, kept %x", f.App, f.Before, f.Half[0].Handshake)
	}
}

func TestWhatAClientSaidBeforeRubbishIsKept(t *testing.T) {
	t.Parallel()
	hello := helloOf(tlswire.MessageClientHello)
	b := newBench(nil)
	converse(b, []say{{false, hello}, c("no record at all"), {true, helloOf(tlswire.MessageServerHello)}})
	if f := b.flows[0]; f.App != flow.AppTLS || !bytes.Equal(f.Half[0].Handshake, hello) {
		t.Errorf("%v, kept %x of the client", f.App, f.Half[0].Handshake)
	}
}

func TestAServerThatAnsweredTwiceIsFollowedWhereTheClientAcknowledged(t *testing.T) {
	t.Parallel()
	hello := helloOf(tlswire.MessageServerHello)
	b := newBench(nil)
	syn := func(at int64, isn uint32) {
		b.ip(at, pcapgen.Segment{Src: server, Dst: client, Seq: isn, Ack: 1, Flags: pcapgen.SYN | pcapgen.ACK}.IP())
	}
	b.c2s(0, 0, pcapgen.SYN, nil)
	syn(1, 5000)
	b.ip(2, pcapgen.Segment{Src: client, Dst: server, Seq: 1, Ack: 5001, Flags: pcapgen.ACK}.IP())
	syn(3, 3_000_000_000)
	b.ip(4, pcapgen.Segment{Src: client, Dst: server, Seq: 1, Ack: 5001, Flags: pcapgen.ACK, Payload: helloOf(1)}.IP())
	b.s2c(5, 5001, pcapgen.ACK, hello)
	b.t.Flush(start)
	if f := b.flows[0]; len(b.flows) != 1 || !bytes.Equal(f.Half[1].Handshake, hello) {
		t.Errorf("%d flows, kept %x of the server, gaps %d", len(b.flows), f.Half[1].Handshake, f.Half[1].Gaps)
	}
}

func TestTheStartOfSSHIsKept(t *testing.T) {
	t.Parallel()
	const padding = 4
	kex := append([]byte{0, 0, 0, 92, padding, 20}, make([]byte, 90)...)
	b := newBench(nil)
	converse(b, []say{s("SSH-2.0-server\r\n"), c("SSH-2.0-client\r\n"), {false, kex}, {false, []byte("encrypted from here on")}, {true, kex[:50]}})
	f := b.flows[0]
	if f.App != flow.AppSSH || !bytes.Equal(f.Half[0].Handshake, slices.Concat([]byte("SSH-2.0-client\r\n"), kex[:len(kex)-padding])) ||
		!bytes.Equal(f.Half[1].Handshake, slices.Concat([]byte("SSH-2.0-server\r\n"), kex[:50])) {
		t.Errorf("%v, kept %d bytes, %q and %d bytes, %q", f.App, len(f.Half[0].Handshake), f.Half[0].Handshake, len(f.Half[1].Handshake), f.Half[1].Handshake)
	}
}

func TestTheHeaderSectionsOfAllMessagesAreKept(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	converse(b, []say{
		c("GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Le"), c("ngth: 4\r\n\r\nbodyHEAD /c HTTP/1.1\r\nHost: a\r\n\r\n"),
		s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
		s("HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n"), c("GET /d HTTP/1.1\r\n\r\n"), s("HTTP/1.1 304 Not Modified\r\n\r\n"),
	})
	f := b.flows[0]
	want := [2]string{
		"GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nHEAD /c HTTP/1.1\r\nHost: a\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n",
	}
	for side := range want {
		if got := string(f.Half[side].Handshake); got != want[side] {
			t.Errorf("side %d: kept %q, want %q", side, got, want[side])
		}
	}
}

func TestDNSOverTCPIsKeptAsARow(t *testing.T) {
	t.Parallel()
	message := func(m []byte) string { return string(append([]byte{0, byte(len(m))}, m...)) }
	query := message(dnsQuery())
	answer := message(dnsResponse(netip.MustParseAddr("198.51.100.7")))
	b := newBench(nil)
	converse(b, []say{c(query), s(answer[:20]), s(answer[20:]), c(query[:1]), c(query[1:])})
	if f := b.flows[0]; f.App != flow.AppDNS || string(f.Half[0].Handshake) != query+query || string(f.Half[1].Handshake) != answer {
		t.Errorf("%v, kept %x and %x", f.App, f.Half[0].Handshake, f.Half[1].Handshake)
	}
}

// FuzzConversation plays connections made of the beginnings of protocols, in any
// order and cut anywhere, with bytes missing.
func FuzzConversation(f *testing.F) {
	texts := [][]byte{
		helloOf(1), helloOf(2), tlsRecord(23, make([]byte, 40)...), tlsRecord(22, make([]byte, 40)...), tlsRecord(20, 1),
		slices.Concat([]byte{0x80, 9 + 3 + 16, 1, 3, 1, 0, 3, 0, 0, 0, 16}, make([]byte, 3+16)),
		slices.Concat([]byte{0x80, 11 + 30 + 3 + 16, 4, 0, 1, 0, 2, 0, 30, 0, 3, 0, 16}, make([]byte, 30+3+16)),
		[]byte("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), []byte("HTTP/1.1 101 Go\r\n\r\n"),
		[]byte("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
		[]byte("220 a ESMTP\r\n"), []byte("EHLO a\r\nSTARTTLS\r\n"), []byte("SSH-2.0-a\r\n\x00\x00\x00\x0c\x04\x14aaaaaaaaaa"), append([]byte{0, byte(len(dnsQuery()))}, dnsQuery()...),
		[]byte("PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n"), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14},
	}
	f.Add([]byte{7, 255, 0x80 | 8, 255, 5, 255, 0x40, 200, 0, 255, 0x80 | 1, 100})
	f.Add([]byte{0x80 | 12, 255, 13, 9, 13, 255, 0x80 | 12, 255, 0, 3, 0, 255, 0x80 | 1, 255})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newBench(func(c *Config) { c.PendingBytes, c.TotalPending, c.HandshakeBytes = 256, 512, 4000 })
		b.open(0, 0)
		seq, sent := [2]uint32{1, 5001}, uint64(3) // the handshake
		for at := int64(10); len(script) >= 2; at++ {
			op, n := script[0], int(script[1])
			script = script[2:]
			side := int(op >> 7)
			if op&0x40 != 0 { // n bytes are lost
				seq[side] += uint32(n)
				continue
			}
			text := texts[int(op&0x3f)%len(texts)]
			text = text[:min(n, len(text))]
			if side == 0 {
				b.c2s(at, seq[0], pcapgen.ACK, text)
			} else {
				b.s2c(at, seq[1], pcapgen.ACK, text)
			}
			seq[side] += uint32(len(text))
			sent++
		}
		b.t.Flush(start)
		var got uint64
		for _, fl := range b.flows {
			got += fl.Half[0].Packets + fl.Half[1].Packets
		}
		if s := b.t.Stats(); got != sent || b.t.pending != 0 || s.HandshakeBytes != 0 {
			t.Errorf("%d of %d packets in flows, %d bytes pending, %d held", got, sent, b.t.pending, s.HandshakeBytes)
		}
	})
}
