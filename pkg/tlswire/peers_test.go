package tlswire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestResumptionIsToldApart(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		server := &tls.Config{}
		var first, second Handshake
		first.Parse(converse(t, client, server))
		second.Parse(converse(t, client, server))
		switch version {
		case tls.VersionTLS12:
			if first.SessionEchoed() || first.Client.SessionTicketLen != 0 || !first.NewSessionTicket || first.TicketLen < 100 {
				t.Errorf("first: echoed %v, ticket of %d offered, of %d issued", first.SessionEchoed(), first.Client.SessionTicketLen, first.TicketLen)
			}
			if !second.SessionEchoed() || second.Client.SessionTicketLen != first.TicketLen || second.CertificateSeen {
				t.Errorf("second: echoed %v, ticket of %d offered, certificate %v", second.SessionEchoed(), second.Client.SessionTicketLen, second.CertificateSeen)
			}
		case tls.VersionTLS13:
			if first.Client.PSK || first.Server.PSK || first.Server.PSKIdentity != -1 || first.Client.PSKIdentities != 0 {
				t.Errorf("first: PSK offered %v, taken %v", first.Client.PSK, first.Server.PSK)
			}
			if c := second.Client; !c.PSK || c.PSKIdentities != 1 || c.PSKIdentityLen < 100 || c.PSKBinders != 1 || c.PSKBinderLen != 32 || !slices.Equal(c.PSKModes, []byte{1}) {
				t.Errorf("second: %d identities, first of %d, %d binders, first of %d", c.PSKIdentities, c.PSKIdentityLen, c.PSKBinders, c.PSKBinderLen)
			}
			if !second.Server.PSK || second.Server.PSKIdentity != 0 {
				t.Errorf("second: the server took %v, identity %d", second.Server.PSK, second.Server.PSKIdentity)
			}
		}
	}
}

func TestClientCertificateOfAPeer(t *testing.T) {
	t.Parallel()
	own := certificate(t)
	authority, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	var h Handshake
	h.Parse(converse(t, &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}}, &tls.Config{ClientAuth: tls.RequireAnyClientCert, ClientCAs: pool}))
	if len(h.ClientCertificates) != 1 || !bytes.Equal(h.ClientCertificates[0], own.Certificate[0]) || !h.CertificateVerify || h.CertificateVerifyAlg != 0x0403 {
		t.Errorf("%d client certificates, verify %v by %#x", len(h.ClientCertificates), h.CertificateVerify, h.CertificateVerifyAlg)
	}
	if !bytes.Contains(h.RequestedTypes, []byte{64}) || h.RequestedAlgs < 3 || h.RequestedAuthorities != 1 || h.ServerSignatureAlg != 0x0403 {
		t.Errorf("asked for types % x, %d algorithms, %d authorities; signed by %#x", h.RequestedTypes, h.RequestedAlgs, h.RequestedAuthorities, h.ServerSignatureAlg)
	}
}

func TestEncryptedClientHelloOfAPeer(t *testing.T) {
	t.Parallel()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const id, publicName = 42, "public.example"
	contents := slices.Concat([]byte{id}, u16(0x20), vec(2, key.PublicKey().Bytes()...), vec(2, 0, 1, 0, 3), []byte{0}, vec(1, []byte(publicName)...), vec(2))
	config := append(u16(ExtensionECH), vec(2, contents...)...)
	var h Handshake
	h.Parse(converse(t,
		&tls.Config{MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: vec(2, config...), EncryptedClientHelloRejectionVerify: func(tls.ConnectionState) error { return nil }},
		&tls.Config{MinVersion: tls.VersionTLS13, EncryptedClientHelloKeys: []tls.EncryptedClientHelloKey{{Config: config, PrivateKey: key.Bytes()}}}))
	e := h.Client.EncryptedHello
	if !h.Client.ECH || e.Inner || e.KDF != 1 || e.AEAD != 3 || e.ConfigID != id || e.KeyLen != 32 || e.PayloadLen < 100 {
		t.Errorf("%+v", e)
	}
	if string(h.Client.SNI) != publicName {
		t.Errorf("server name %q", h.Client.SNI)
	}
}

// TestQUICPeers has both ends of crypto/tls make the handshake of QUIC, and
// reads what they send at the Initial level.
func TestQUICPeers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := tls.QUICClient(&tls.QUICConfig{TLSConfig: &tls.Config{ServerName: "tap.example", InsecureSkipVerify: true, NextProtos: []string{"h3"},
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}}})
	server := tls.QUICServer(&tls.QUICConfig{TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h3"},
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.CurveP256}}})
	client.SetTransportParameters([]byte("client's"))
	server.SetTransportParameters([]byte("server's"))
	for _, c := range []*tls.QUICConn{client, server} {
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	var initial [2][]byte
	for busy := true; busy; {
		busy = false
		for side, ends := range [2][2]*tls.QUICConn{{client, server}, {server, client}} {
			for e := ends[0].NextEvent(); e.Kind != tls.QUICNoEvent; e = ends[0].NextEvent() {
				if e.Kind != tls.QUICWriteData {
					continue
				}
				busy = true
				if e.Level == tls.QUICEncryptionLevelInitial {
					initial[side] = append(initial[side], e.Data...)
				}
				if err := ends[1].HandleData(e.Level, e.Data); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var h Handshake
	h.ParseMessages(initial[0], initial[1])
	if h.Incomplete || string(h.Client.QUICParameters) != "client's" || string(h.Client.ALPN[0]) != "h3" || string(h.Client.SNI) != "tap.example" {
		t.Errorf("client: incomplete %v, %+v", h.Incomplete, h.Client)
	}
	if !h.HelloRetry || h.Retry.KeyShare.Group != 23 || !h.SecondHello || h.Second.KeyShares[0].Group != 23 || h.Server.KeyShare != (KeyShare{23, 65}) || Version(&h) != VersionTLS13 {
		t.Errorf("retry %v for %d, second hello %v, server's share %v", h.HelloRetry, h.Retry.KeyShare.Group, h.SecondHello, h.Server.KeyShare)
	}
}

// openssl runs s_server and s_client of OpenSSL with these arguments and
// returns what either sent; the test is skipped where there is no OpenSSL.
func openssl(t *testing.T, server, client string) (c2s, s2c []byte) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	own := certificate(t)
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "own.pem")
	text := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	run := func(arguments string) *exec.Cmd {
		return exec.CommandContext(ctx, program, strings.Fields(strings.ReplaceAll(arguments, "FILE", file))...)
	}
	s := run("s_server -naccept 1 -accept 127.0.0.1:0 -cert FILE -key FILE " + server)
	hold, err := s.StdinPipe() // s_server stops at the end of its input
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	says, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		s.Process.Kill()
		s.Wait()
	}()
	var address string
	for lines := bufio.NewScanner(says); address == "" && lines.Scan(); {
		address, _ = strings.CutPrefix(lines.Text(), "ACCEPT ")
		if address == lines.Text() {
			address = ""
		}
	}
	go io.Copy(io.Discard, says)
	b, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := run(fmt.Sprintf("s_client -connect %s %s", front.Addr(), client))
	c.Stdin = strings.NewReader("Q\n")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	a, err := front.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	clientTap, serverTap := &tap{Conn: b}, &tap{Conn: a}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(serverTap, b)
		a.Close()
	}()
	io.Copy(clientTap, a)
	b.Close()
	<-done
	return clientTap.clear(), serverTap.clear()
}

func TestOpenSSLPeers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server, client string
		facts          func(h *Handshake) map[string]bool
	}{
		"TLS 1.2 with a request": {"-verify 1 -CAfile FILE -status_verbose", "-tls1_2 -cert FILE -key FILE -maxfraglen 1024 -status -sigalgs ECDSA+SHA384:ECDSA+SHA256", func(h *Handshake) map[string]bool {
			return map[string]bool{
				"request":            h.RequestedAuthorities == 1 && h.RequestedAlgs > 3 && len(h.RequestedTypes) == 3,
				"client certificate": len(h.ClientCertificates) == 1 && h.CertificateVerify && h.CertificateVerifyAlg == 0x0403,
				"fragment length":    h.Client.MaxFragmentLength == 2 && h.Server.MaxFragmentLength == 2,
				"status":             h.Client.StatusRequest == 1,
				"SCSV":               h.Client.HasCipherSuite(SuiteRenegotiationSCSV) || h.Client.RenegotiationInfoLen == 0,
				"server's answer":    h.Server.RenegotiationInfoLen == 0,
				"master secret":      h.Client.HasExtension(ExtensionExtendedMasterSecret) && h.Server.HasExtension(ExtensionExtendedMasterSecret),
				"signature":          h.ServerSignatureAlg == 0x0503 && h.ServerCurveType == 3,
				"ticket":             h.NewSessionTicket && h.TicketLifetime > 0 && h.TicketLen > 100,
			}
		}},
		"DHE_PSK": {"-nocert -psk 0123 -psk_hint whoever -cipher DHE-PSK-AES128-GCM-SHA256", "-tls1_2 -psk 0123 -cipher DHE-PSK-AES128-GCM-SHA256", func(h *Handshake) map[string]bool {
			return map[string]bool{
				"hint":         h.ServerPSKHintLen == len("whoever"),
				"prime":        h.ServerDHBits >= 2048,
				"no signature": h.ServerSignatureAlg == 0 && !h.CertificateSeen,
			}
		}},
		"PSK of TLS 1.3": {"-psk 0123 -psk_identity someone -tls1_3", "-tls1_3 -psk 0123 -psk_identity someone -ciphersuites TLS_AES_128_GCM_SHA256", func(h *Handshake) map[string]bool {
			return map[string]bool{
				"offer":    h.Client.PSKIdentities == 1 && h.Client.PSKIdentityLen == len("someone") && h.Client.PSKBinders == 1 && h.Client.PSKBinderLen == 32,
				"selected": h.Server.PSK && h.Server.PSKIdentity == 0,
			}
		}},
		"HelloRetryRequest": {"-tls1_3 -groups P-384", "-tls1_3 -groups X25519:P-384", func(h *Handshake) map[string]bool {
			return map[string]bool{
				"retry":  h.HelloRetry && h.Retry.KeyShare.Group == 24,
				"second": h.SecondHello && len(h.Second.KeyShares) == 1 && h.Second.KeyShares[0] == KeyShare{24, 97},
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h Handshake
			h.Parse(openssl(t, c.server, c.client))
			if h.Incomplete || !h.ClientSeen || !h.ServerSeen {
				t.Fatalf("incomplete %v, client %v, server %v, alerts %v", h.Incomplete, h.ClientSeen, h.ServerSeen, h.Alerts)
			}
			for what, ok := range c.facts(&h) {
				if !ok {
					t.Errorf("%s is wrong", what)
				}
			}
		})
	}
}

// TestDTLSHelloOfOpenSSL reads the first datagram of a real client.
func TestDTLSHelloOfOpenSSL(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command(program, "s_client", "-dtls1_2", "-connect", l.LocalAddr().String(), "-servername", "dtls.example", "-alpn", "coap")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, _, err := l.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	const recordHeader, messageHeader = 13, 12
	message := b[recordHeader:n]
	var h Handshake
	h.ParseDTLS(flight(msg(message[0], message[messageHeader:]...)), nil)
	if h.Incomplete || h.Client.CookieLen != 0 || h.Client.Version != VersionDTLS12 || string(h.Client.SNI) != "dtls.example" || string(h.Client.ALPN[0]) != "coap" || len(h.Client.CipherSuites) < 5 {
		t.Errorf("incomplete %v: %+v", h.Incomplete, h.Client)
	}
}
