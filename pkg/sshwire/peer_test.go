package sshwire_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"trench/pkg/sshwire"
)

// tap keeps what is written to a connection.
type tap struct {
	net.Conn
	mu   sync.Mutex
	sent []byte
}

func (c *tap) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.sent = append(c.sent, b...)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *tap) stream() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

func TestRealPeers(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	algorithms := ssh.Config{
		KeyExchanges: []string{ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP256},
		Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherAES256CTR},
		MACs:         []string{ssh.HMACSHA256ETM, ssh.HMACSHA512},
	}
	serverConfig := &ssh.ServerConfig{Config: algorithms, NoClientAuth: true, ServerVersion: "SSH-2.0-Server_1"}
	serverConfig.AddHostKey(signer)
	clientConfig := &ssh.ClientConfig{
		Config: algorithms, HostKeyCallback: ssh.FixedHostKey(signer.PublicKey()), ClientVersion: "SSH-2.0-Client_1 test",
	}

	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var server *tap
	var served sync.WaitGroup
	served.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		server = &tap{Conn: conn}
		if c, _, _, err := ssh.NewServerConn(server, serverConfig); err == nil {
			_ = c.Wait()
		}
	})
	conn, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := &tap{Conn: conn}
	c, channels, requests, err := ssh.NewClientConn(client, "test", clientConfig)
	if err != nil {
		t.Fatal(err)
	}
	_ = ssh.NewClient(c, channels, requests).Close()
	served.Wait()

	for _, side := range []struct {
		name, banner string
		stream       []byte
		hassh        func(*sshwire.KexInit) string
	}{
		{"client", clientConfig.ClientVersion, client.stream(), sshwire.HASSH},
		{"server", serverConfig.ServerVersion, server.stream(), sshwire.HASSHServer},
	} {
		var s sshwire.Side
		s.Parse(side.stream)
		if s.Incomplete || string(s.Banner) != side.banner {
			t.Errorf("%s: banner %q, incomplete %v", side.name, s.Banner, s.Incomplete)
		}
		for _, list := range []struct {
			got  []byte
			want []string
		}{
			{s.Kex.CiphersC2S, algorithms.Ciphers}, {s.Kex.CiphersS2C, algorithms.Ciphers},
			{s.Kex.MACsC2S, algorithms.MACs}, {s.Kex.MACsS2C, algorithms.MACs},
			{s.Kex.CompressionC2S, []string{"none"}}, {s.Kex.CompressionS2C, []string{"none"}},
		} {
			if want := strings.Join(list.want, ","); string(list.got) != want {
				t.Errorf("%s: got %q, want %q", side.name, list.got, want)
			}
		}
		// What else is listed for key exchange are marks of extensions.
		if want := strings.Join(algorithms.KeyExchanges, ","); !strings.HasPrefix(string(s.Kex.KexAlgorithms), want) {
			t.Errorf("%s: key exchange %q, want %q", side.name, s.Kex.KexAlgorithms, want)
		}
		if !strings.Contains(string(s.Kex.HostKeyAlgorithms), ssh.KeyAlgoED25519) {
			t.Errorf("%s: host keys %q", side.name, s.Kex.HostKeyAlgorithms)
		}
		if n, done := sshwire.End(side.stream); !done || n >= len(side.stream) {
			t.Errorf("%s: End is %d, %v of %d bytes", side.name, n, done, len(side.stream))
		}
		if got := side.hassh(&s.Kex); len(got) != 32 {
			t.Errorf("%s: HASSH %q", side.name, got)
		}
	}
}
