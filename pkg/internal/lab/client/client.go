// Package client carries out plans with Go's own TLS clients, as the drivers in
// other languages do with theirs.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/quic-go/quic-go/http3"

	"trench/pkg/internal/lab/plan"
)

// Run carries out a plan with a stack: go (net/http), go-tls (crypto/tls without
// HTTP) or quic-go.
func Run(ctx context.Context, stack string, p *plan.Plan) error {
	conf := &tls.Config{InsecureSkipVerify: p.Trust == "any"}
	if p.Trust != "any" {
		pem, err := os.ReadFile(p.Trust)
		if err != nil {
			return err
		}
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AppendCertsFromPEM(pem)
	}
	if p.Cert != "" {
		c, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			return err
		}
		conf.Certificates = []tls.Certificate{c}
	}
	if p.Sessions {
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	switch stack {
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
	return fmt.Errorf("unknown stack %q", stack)
}

func carryOutHTTP(ctx context.Context, p *plan.Plan, connect func() (http.RoundTripper, func())) error {
	var c *http.Client
	closing := func() {}
	defer func() { closing() }()
	for _, s := range p.Steps {
		switch s.Verb {
		case "sleep":
			time.Sleep(time.Duration(s.N) * time.Millisecond)
			continue
		case "fresh":
			closing()
			c = nil
			continue
		case "get", "post":
		default:
			return fmt.Errorf("step %s is not for this client", s.Verb)
		}
		if c == nil {
			var t http.RoundTripper
			t, closing = connect()
			c = &http.Client{Transport: t}
		}
		method, body := http.MethodGet, io.Reader(nil)
		if s.Verb == "post" {
			method, body = http.MethodPost, bytes.NewReader(plan.Bytes(s.N))
		}
		req, err := http.NewRequestWithContext(ctx, method, p.URL+s.Path, body)
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

func carryOutRaw(ctx context.Context, p *plan.Plan, conf *tls.Config) error {
	u, err := url.Parse(p.URL)
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
	for _, s := range p.Steps {
		switch s.Verb {
		case "sleep":
			time.Sleep(time.Duration(s.N) * time.Millisecond)
			continue
		case "fresh":
			if conn != nil {
				_ = conn.Close() // as above
			}
			conn = nil
			continue
		case "raw":
		default:
			return fmt.Errorf("step %s is not for this client", s.Verb)
		}
		if conn == nil {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			conf := conf.Clone()
			if !p.Nameless {
				conf.ServerName = u.Hostname()
			}
			conn = tls.Client(c, conf)
		}
		if _, err := conn.Write(plan.Frame(s.N, s.M)); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, conn, int64(s.M)); err != nil {
			return err
		}
	}
	return nil
}
