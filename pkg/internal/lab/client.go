package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// clientArg is the first argument of this program as a client of its own:
// lab client STACK PLAN.
const clientArg = "client"

// client carries out a plan with Go's stacks.
func client(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s takes STACK and PLAN", clientArg)
	}
	p, err := readPlan(args[1])
	if err != nil {
		return err
	}
	conf := &tls.Config{InsecureSkipVerify: p.trust == "any"}
	if p.trust != "any" {
		pem, err := os.ReadFile(p.trust)
		if err != nil {
			return err
		}
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AppendCertsFromPEM(pem)
	}
	if p.cert != "" {
		c, err := tls.LoadX509KeyPair(p.cert, p.key)
		if err != nil {
			return err
		}
		conf.Certificates = []tls.Certificate{c}
	}
	if p.sessions {
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	defer cancel()
	switch args[0] {
	case "go":
		return carryOutHTTP(ctx, p, func() (http.RoundTripper, func()) {
			t := &http.Transport{TLSClientConfig: conf.Clone(), ForceAttemptHTTP2: true}
			return t, t.CloseIdleConnections
		})
	case "quic-go":
		return carryOutHTTP(ctx, p, func() (http.RoundTripper, func()) {
			t := &http3.Transport{TLSClientConfig: conf.Clone()}
			return t, func() { _ = t.Close() } // nothing is lost with it
		})
	case "go-tls":
		return carryOutRaw(ctx, p, conf)
	}
	return fmt.Errorf("unknown stack %q", args[0])
}

func carryOutHTTP(ctx context.Context, p *plan, connect func() (http.RoundTripper, func())) error {
	var c *http.Client
	closing := func() {}
	defer func() { closing() }()
	for _, s := range p.steps {
		switch s.verb {
		case "sleep":
			time.Sleep(time.Duration(s.n) * time.Millisecond)
			continue
		case "fresh":
			closing()
			c = nil
			continue
		}
		if c == nil {
			var t http.RoundTripper
			t, closing = connect()
			c = &http.Client{Transport: t}
		}
		method, body := http.MethodGet, io.Reader(nil)
		if s.verb == "post" {
			method, body = http.MethodPost, bytes.NewReader(random(s.n))
		}
		req, err := http.NewRequestWithContext(ctx, method, p.url+s.path, body)
		if err != nil {
			return err
		}
		res, err := c.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close() // read to its end
		if err != nil {
			return err
		}
	}
	return nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func carryOutRaw(ctx context.Context, p *plan, conf *tls.Config) error {
	u, err := url.Parse(p.url)
	if err != nil {
		return err
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "443")
	}
	var conn *tls.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close() // nothing is waited for
		}
	}()
	for _, s := range p.steps {
		switch s.verb {
		case "sleep":
			time.Sleep(time.Duration(s.n) * time.Millisecond)
			continue
		case "fresh":
			_ = conn.Close()
			conn = nil
			continue
		case "raw":
		default:
			return fmt.Errorf("step %s is not for this client", s.verb)
		}
		if conn == nil {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			conf := conf.Clone()
			if !p.nameless {
				conf.ServerName = u.Hostname()
			}
			conn = tls.Client(c, conf)
		}
		if _, err := conn.Write(frame(s.n, s.m)); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, conn, int64(s.m)); err != nil {
			return err
		}
	}
	return nil
}

// frame is n random bytes that ask for m, behind both lengths.
func frame(n, m int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	b = binary.BigEndian.AppendUint32(b, uint32(m))
	return append(b, random(n)...)
}
