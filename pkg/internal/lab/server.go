package main

import (
	"bufio"
	"context"
	"crypto/tls"
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

	"trench/pkg/internal/lab/cell"
	"trench/pkg/internal/netlab"
)

// serverKinds have a namespace each.
var serverKinds = []string{cell.ServerGo, cell.ServerRaw, cell.ServerQUIC, cell.ServerNginx, cell.ServerNode, cell.ServerPython, cell.ServerJava}

// config is how the servers written in Go speak TLS to a cell.
func (j *job) config() *tls.Config {
	conf := &tls.Config{Certificates: []tls.Certificate{j.issued.TLS}, MinVersion: tls.VersionTLS12}
	if j.TLS12 {
		conf.MaxVersion = tls.VersionTLS12
	}
	if j.Mutual {
		conf.ClientAuth = tls.RequireAnyClientCert
	}
	return conf
}

// serveGo starts listeners of this process for cells in their namespace.
func (l *lab) serveGo(ctx context.Context, ns *netlab.Namespace, kind string, cells []*job) error {
	quiet := log.New(io.Discard, "", 0) // handshakes that clients break off
	for _, c := range cells {
		conf := c.config()
		if kind == cell.ServerQUIC {
			p, err := ns.ListenPacket("udp", c.Addr.String())
			if err != nil {
				return err
			}
			s := &http3.Server{Handler: l.handler, TLSConfig: http3.ConfigureTLSConfig(conf)}
			go func() { _ = s.Serve(p) }() // ends with Close
			l.onEnd(func() { _ = errors.Join(s.Close(), p.Close()) })
			continue
		}
		t, err := ns.Listen("tcp", c.Addr.String())
		if err != nil {
			return err
		}
		if kind == cell.ServerRaw {
			l.onEnd(func() { _ = t.Close() })
			go l.serveRaw(ctx, tls.NewListener(t, conf))
			continue
		}
		s := &http.Server{Handler: l.handler, TLSConfig: conf, ErrorLog: quiet, Protocols: new(http.Protocols)}
		s.Protocols.SetHTTP1(true)
		s.Protocols.SetHTTP2(!c.HTTP1)
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
			_ = l.handler.AnswerRaw(conn) // what a client breaks off is its part
			_ = conn.Close()
		}()
	}
}

// listeners writes the file that tells a server program its cells.
func (l *lab) listeners(kind string, cells []*job) (string, error) {
	var b strings.Builder
	for _, c := range cells {
		version := "1.3"
		if c.TLS12 {
			version = "1.2"
		}
		fmt.Fprintf(&b, "%s %d %s %s %s\n", c.Addr.Addr(), c.Addr.Port(), c.issued.Cert, c.issued.Key, version)
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
		return fmt.Errorf("%s: not ready: %q, %v", argv[0], line, err)
	}
	return nil
}

// serveNginx starts nginx with a server for each cell, in front of net/http.
func (l *lab) serveNginx(ctx context.Context, ns *netlab.Namespace, cells []*job) error {
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
		if c.HTTP1 {
			h2 = ""
		}
		if c.TLS12 {
			versions = "TLSv1.2"
		}
		fmt.Fprintf(&b, "  server { listen %s ssl%s; ssl_protocols %s; ssl_certificate %s; ssl_certificate_key %s; location / { proxy_pass http://%s; } }\n",
			c.Addr, h2, versions, c.issued.Cert, c.issued.Key, behind)
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
	return l.reachable(ctx, ns, cells[0].Addr)
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
func (l *lab) needs(kind string) []string {
	switch kind {
	case cell.ServerNginx:
		return []string{"nginx"}
	case cell.ServerNode:
		return []string{"node"}
	case cell.ServerPython:
		return []string{l.python}
	case cell.ServerJava:
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
