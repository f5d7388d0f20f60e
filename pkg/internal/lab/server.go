package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/quic-go/quic-go/http3"

	"trench/pkg/internal/netlab"
)

// The kinds of servers; each has a namespace of its own.
const (
	serverGo     = "go"     // net/http, HTTP/1.1 and HTTP/2
	serverRaw    = "go-tls" // crypto/tls without HTTP
	serverQUIC   = "quic-go"
	serverNginx  = "nginx" // OpenSSL, before Go's net/http without TLS
	serverNode   = "node"
	serverPython = "python"
	serverJava   = "java"
)

var serverKinds = []string{serverGo, serverRaw, serverQUIC, serverNginx, serverNode, serverPython, serverJava}

// spki names a key as browsers are told to trust it.
func spki(key crypto.Signer) string {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err) // a key that was just made
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// config is how the servers written in Go speak TLS to a cell.
func (c *cell) config() *tls.Config {
	conf := &tls.Config{Certificates: []tls.Certificate{c.issued.tls}, MinVersion: tls.VersionTLS12}
	if c.tls12 {
		conf.MaxVersion = tls.VersionTLS12
	}
	if c.mutual {
		conf.ClientAuth = tls.RequireAnyClientCert
	}
	return conf
}

// serveGo starts listeners of this process for cells in their namespace.
func (l *lab) serveGo(ctx context.Context, ns *netlab.Namespace, kind string, cells []*cell) error {
	quiet := log.New(io.Discard, "", 0) // handshakes that clients break off
	for _, c := range cells {
		conf := c.config()
		if kind == serverQUIC {
			p, err := ns.ListenPacket("udp", c.addr.String())
			if err != nil {
				return err
			}
			s := &http3.Server{Handler: l.handler, TLSConfig: http3.ConfigureTLSConfig(conf)}
			go func() { _ = s.Serve(p) }() // ends with Close
			l.onEnd(func() { _ = errors.Join(s.Close(), p.Close()) })
			continue
		}
		t, err := ns.Listen("tcp", c.addr.String())
		if err != nil {
			return err
		}
		if kind == serverRaw {
			l.onEnd(func() { _ = t.Close() })
			go l.serveRaw(ctx, tls.NewListener(t, conf))
			continue
		}
		s := &http.Server{Handler: l.handler, TLSConfig: conf, ErrorLog: quiet, Protocols: new(http.Protocols)}
		s.Protocols.SetHTTP1(true)
		s.Protocols.SetHTTP2(!c.http1)
		go func() { _ = s.ServeTLS(t, "", "") }() // ends with Close
		l.onEnd(func() { _ = s.Close() })
	}
	return nil
}

func (l *lab) serveRaw(ctx context.Context, t net.Listener) {
	for {
		conn, err := t.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			_ = l.handler.answerRaw(conn) // what a client breaks off is its part
			_ = conn.Close()
		}()
	}
}

// listeners writes the file that tells a server program its cells.
func (l *lab) listeners(kind string, cells []*cell) (string, error) {
	var b strings.Builder
	for _, c := range cells {
		fmt.Fprintf(&b, "%s %d %s %s %s\n", c.addr.Addr(), c.addr.Port(), c.issued.cert, c.issued.key, c.version())
	}
	file := filepath.Join(l.tmp, kind+".listeners")
	return file, os.WriteFile(file, []byte(b.String()), 0o600)
}

// serveProgram starts a server program and waits until it is ready. It ends
// when its standard input closes.
func (l *lab) serveProgram(ctx context.Context, ns *netlab.Namespace, argv ...string) error {
	cmd := l.command(ctx, ns, argv)
	cmd.Stderr = l.logFile
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	l.onEnd(func() {
		_ = in.Close() // asks it to end
		_ = cmd.Wait() // it was killed if it did not
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		return fmt.Errorf("%s: not ready: %q, %w", argv[0], line, err)
	}
	return nil
}

// serveNginx starts nginx with a server for each cell, in front of net/http.
func (l *lab) serveNginx(ctx context.Context, ns *netlab.Namespace, cells []*cell) error {
	const behind = "127.0.0.1:8000"
	t, err := ns.Listen("tcp", behind)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: l.handler}
	go func() { _ = s.Serve(t) }() // ends with Close
	l.onEnd(func() { _ = s.Close() })

	var b strings.Builder
	fmt.Fprintf(&b, `daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log crit; user root;
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 16m; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  ssl_session_cache shared:lab:1m; proxy_http_version 1.1; keepalive_timeout 65s;
`, l.tmp)
	for _, c := range cells {
		h2, versions := " http2", "TLSv1.2 TLSv1.3"
		if c.http1 {
			h2 = ""
		}
		if c.tls12 {
			versions = "TLSv1.2"
		}
		fmt.Fprintf(&b, "  server { listen %s ssl%s; ssl_protocols %s; ssl_certificate %s; ssl_certificate_key %s; location / { proxy_pass http://%s; } }\n",
			c.addr, h2, versions, c.issued.cert, c.issued.key, behind)
	}
	b.WriteString("}\n")
	conf := filepath.Join(l.tmp, "nginx.conf")
	if err := os.WriteFile(conf, []byte(b.String()), 0o600); err != nil {
		return err
	}
	cmd := l.command(ctx, ns, []string{"nginx", "-c", conf, "-p", l.tmp, "-e", filepath.Join(l.tmp, "nginx.log")})
	cmd.Stderr = l.logFile
	if err := cmd.Start(); err != nil {
		return err
	}
	l.onEnd(func() {
		_ = cmd.Cancel()
		_ = cmd.Wait() // killed
	})
	return l.reachable(ctx, ns, cells[0].addr)
}

// reachable waits until somebody listens.
func (l *lab) reachable(ctx context.Context, ns *netlab.Namespace, to netip.AddrPort) error {
	var last error
	for range 50 {
		c, err := ns.Dial("tcp", to.String())
		if err == nil {
			return c.Close()
		}
		last = err
		if err := wait(ctx, 100); err != nil {
			return err
		}
	}
	return last
}

// needs says which programs a kind of server is made of.
func needs(kind string) []string {
	switch kind {
	case serverNginx:
		return []string{"nginx"}
	case serverNode:
		return []string{"node"}
	case serverPython:
		return []string{"python3"}
	case serverJava:
		return []string{"java", "javac"}
	}
	return nil
}

func have(programs []string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return err
		}
	}
	return nil
}
