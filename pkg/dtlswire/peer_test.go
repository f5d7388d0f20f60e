package dtlswire_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"trench/pkg/dtlswire"
	"trench/pkg/tlswire"
)

// relay passes datagrams between one client and a server and keeps them.
type relay struct {
	client, server net.PacketConn
	mu             sync.Mutex
	peer           net.Addr  // the client
	sent           [2][]byte // by client and server, each datagram behind its length
	datagrams      [2]int
	lose           int // this datagram of the server, counted from 1
}

func (r *relay) addr() string { return r.client.LocalAddr().String() }

// pass forwards what comes in until the sockets are closed.
func (r *relay) pass(from, to net.PacketConn, server int, target func() net.Addr) {
	buf := make([]byte, 1<<16)
	for {
		n, addr, err := from.ReadFrom(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		if server == 0 {
			r.peer = addr
		}
		r.datagrams[server]++
		lost := server == 1 && r.datagrams[server] == r.lose
		if !lost {
			r.sent[server] = append(r.sent[server], kept(buf[:n])...)
		}
		r.mu.Unlock()
		if !lost {
			_, _ = to.WriteTo(buf[:n], target())
		}
	}
}

func newRelay(t *testing.T, port, lose int) *relay {
	t.Helper()
	r := &relay{lose: lose}
	for _, c := range []*net.PacketConn{&r.client, &r.server} {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*c = conn
	}
	var done sync.WaitGroup
	done.Go(func() {
		r.pass(r.client, r.server, 0, func() net.Addr { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} })
	})
	done.Go(func() {
		r.pass(r.server, r.client, 1, func() net.Addr {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.peer
		})
	})
	t.Cleanup(func() {
		_ = r.client.Close()
		_ = r.server.Close()
		done.Wait()
	})
	return r
}

// identity writes a certificate, large enough to be fragmented, and its key to one file.
func identity(t *testing.T) (der []byte, path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	for i := range 60 {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("host-%d.example.org", i))
	}
	der, err = x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "identity.pem")
	file := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return der, path
}

// handshake runs OpenSSL as both peers and returns what they sent.
func handshake(t *testing.T, lose int, identity string, option string) (client, server []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.LocalAddr().(*net.UDPAddr).Port
	_ = free.Close()

	options := []string{option, "-mtu", "300", "-cipher", "ECDHE+AESGCM:ECDHE+AES:@SECLEVEL=0"}
	s := exec.CommandContext(ctx, "openssl", append([]string{
		"s_server", "-4", "-accept", "127.0.0.1:" + strconv.Itoa(port), "-listen", "-cert", identity, "-key", identity}, options...)...)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StdinPipe(); err != nil { // it stops when its input ends
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "ACCEPT") {
	}
	r := newRelay(t, port, lose)
	c := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-4", "-connect", r.addr()}, options...)...)
	report, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("s_client: %v\n%s", err, report)
	}
	_ = s.Process.Kill()
	_ = s.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent[0], r.sent[1]
}

func TestOpenSSL(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	der, path := identity(t)
	for _, c := range []struct {
		name, option string
		lose         int // a datagram of the server
		version      uint16
	}{
		{"1.2", "-dtls1_2", 0, 0xfefd},
		{"1.0", "-dtls1", 0, 0xfeff},
		{"1.2 with loss", "-dtls1_2", 4, 0xfefd},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, server := handshake(t, c.lose, path, c.option)
			var r dtlswire.Reassembler
			row, incomplete := r.Records(nil, client)
			if want := []string{"1", "1", "16", "ccs", "finished"}; !slices.Equal(kinds(row)[:min(5, len(kinds(row)))], want) {
				t.Errorf("client: got %q, want %q", kinds(row), want)
			}
			var h tlswire.Handshake
			if h.ParseDTLS(row, nil); incomplete || !h.SecondHello || h.Second.CookieLen < 1 {
				t.Errorf("client: incomplete %v, a cookie of %d bytes", incomplete, h.Second.CookieLen)
			}
			row, incomplete = r.Records(nil, server)
			if want := []string{"3", "2", "11", "12", "14", "4", "ccs", "finished"}; !slices.Equal(kinds(row)[:min(8, len(kinds(row)))], want) {
				t.Errorf("server: got %q, want %q", kinds(row), want)
			}
			if incomplete {
				t.Error("server: incomplete")
			}
			h.ParseDTLS(nil, row)
			if len(h.Certificates) != 1 || !bytes.Equal(h.Certificates[0], der) || h.Server.Version != c.version || !h.ServerFinished {
				t.Errorf("server: version %#04x, %d certificates, finished %v", h.Server.Version, len(h.Certificates), h.ServerFinished)
			}
		})
	}
}

// kinds names the messages and other records of a row.
func kinds(row []byte) (out []string) {
	lines, _ := read(row)
	for _, line := range lines {
		kind, _, _ := strings.Cut(line, ":")
		kind = strings.TrimPrefix(kind, "message ")
		switch kind {
		case "record 20":
			kind = "ccs"
		case "record 22":
			kind = "finished"
		case "record 21":
			kind = "alert"
		}
		out = append(out, kind)
	}
	return out
}
