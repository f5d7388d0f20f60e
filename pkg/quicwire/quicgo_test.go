package quicwire_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"trench/pkg/quicwire"
)

// relay stands between a client and a server and keeps the datagrams with long
// headers.
type relay struct {
	front net.PacketConn // to the client
	back  net.Conn       // to the server

	mu     sync.Mutex
	client net.Addr
	sides  [2][]byte
}

func newRelay(t *testing.T, server net.Addr) *relay {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Dial("udp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{front: front, back: back}
	var running sync.WaitGroup
	running.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := front.ReadFrom(b)
			if err != nil {
				return
			}
			r.keep(0, b[:n], from)
			if _, err := back.Write(b[:n]); errors.Is(err, net.ErrClosed) {
				return
			}
		}
	})
	running.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, err := back.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				continue // the server's socket may be gone before
			}
			if to := r.keep(1, b[:n], nil); to != nil {
				if _, err := front.WriteTo(b[:n], to); errors.Is(err, net.ErrClosed) {
					return
				}
			}
		}
	})
	t.Cleanup(func() {
		front.Close()
		back.Close()
		running.Wait()
	})
	return r
}

// keep returns the client's address.
func (r *relay) keep(side int, b []byte, client net.Addr) net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if client != nil {
		r.client = client
	}
	if quicwire.LooksLikeLongHeader(b) {
		r.sides[side] = append(r.sides[side], row(b)...)
	} else if b[0]&0x80 != 0 {
		r.sides[side] = nil // spoils the test: it was not recognised
	}
	return r.client
}

func serverConfig(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"trench"},
	}
}

func TestConnectionsOfQUICGo(t *testing.T) {
	t.Parallel()
	const v1, v2 = quic.Version1, quic.Version2
	for name, p := range map[string]struct {
		client, server []quic.Version
		retry          bool
		groups         []tls.CurveID // of the client
		serverGroups   []tls.CurveID
		minHello       int
	}{
		"version 1":            {client: []quic.Version{v1}},
		"version 2":            {client: []quic.Version{v2}},
		"version 1 with retry": {client: []quic.Version{v1}, retry: true},
		"version 2 with retry": {client: []quic.Version{v2}, retry: true},
		"hello over two Initials": {
			client: []quic.Version{v1}, groups: []tls.CurveID{tls.X25519MLKEM768, tls.X25519}, minHello: 1216,
		},
		"hello retry request": {
			client: []quic.Version{v1}, groups: []tls.CurveID{tls.X25519MLKEM768, tls.CurveP384},
			serverGroups: []tls.CurveID{tls.CurveP384}, minHello: 1216,
		},
		"version negotiation": {client: []quic.Version{v2, v1}, server: []quic.Version{v1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			socket, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			transport := &quic.Transport{Conn: socket, VerifySourceAddress: func(net.Addr) bool { return p.retry }}
			defer transport.Close()
			config := serverConfig(t)
			config.CurvePreferences = p.serverGroups
			listener, err := transport.Listen(config, &quic.Config{Versions: p.server})
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			r := newRelay(t, socket.LocalAddr())

			conn, err := quic.DialAddr(ctx, r.front.LocalAddr().String(), &tls.Config{
				ServerName:         "quic.example",
				NextProtos:         []string{"trench"},
				InsecureSkipVerify: true,
				CurvePreferences:   p.groups,
			}, &quic.Config{Versions: p.client, MaxIdleTimeout: 7 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			state := conn.ConnectionState()
			conn.CloseWithError(0, "")

			r.mu.Lock()
			defer r.mu.Unlock()
			for _, reversed := range []bool{false, true} {
				var c quicwire.Connection
				if reversed {
					c.Parse(r.sides[1], r.sides[0])
				} else {
					c.Parse(r.sides[0], r.sides[1])
				}
				if c.Reversed != reversed || c.Incomplete || c.Version != uint32(state.Version) || c.Offered != uint32(p.client[0]) ||
					c.Retry != p.retry || (c.TokenLen > 0) != p.retry || c.DCIDLen < 8 || c.SCIDLen < 0 ||
					c.VersionNegotiation != (p.server != nil) || c.VersionNegotiation != slices.Contains(c.Versions, quicwire.Version1) {
					t.Errorf("reversed %v: got %+v", reversed, c)
				}
				checkHello(t, &c, state.TLS, p.serverGroups != nil, p.minHello)
			}
		})
	}
}

func checkHello(t *testing.T, c *quicwire.Connection, state tls.ConnectionState, second bool, minHello int) {
	t.Helper()
	h := hello(c)
	if !h.ClientSeen || !h.ServerSeen || h.Incomplete || h.Client.Incomplete || h.Client.Length < minHello {
		t.Fatalf("client %d, server %d bytes, incomplete %v", len(c.Client), len(c.Server), h.Incomplete)
	}
	if string(h.Client.SNI) != "quic.example" || len(h.Client.ALPN) != 1 || string(h.Client.ALPN[0]) != "trench" || h.Server.CipherSuite != state.CipherSuite {
		t.Errorf("SNI %q, ALPN %q, suite %#x", h.Client.SNI, h.Client.ALPN, h.Server.CipherSuite)
	}
	if n := messageCount(c.Client); (n == 2) != second || n == 0 {
		t.Errorf("%d messages of the client", n)
	}
	var p quicwire.TransportParameters
	quicwire.ParseTransportParameters(h.Client.QUICParameters, &p)
	if p.Incomplete || p.MaxIdleTimeout != 7000 || p.InitialSourceCIDLen != c.SCIDLen || p.Count == 0 || p.Count > len(p.List) {
		t.Errorf("transport parameters: %+v", p)
	}
}

func messageCount(b []byte) (n int) {
	for ; len(b) >= 4; n++ {
		b = b[min(len(b), 4+int(binary.BigEndian.Uint32(b)&0xffffff)):]
	}
	return n
}
