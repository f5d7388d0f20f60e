package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trench/pkg/internal/lab/cell"
	"trench/pkg/internal/lab/origin"
	"trench/pkg/internal/lab/pki"
	"trench/pkg/internal/lab/plan"
)

// stack is a TLS client as people use it.
type stack struct {
	cell.Stack
	needs []string // programs that must be there
	run   func(context.Context, *job) error
}

// job is a cell with what its client is given.
type job struct {
	*lab
	*cell.Cell
	do               func(context.Context, *job) error
	issued, identity *pki.Issued // of the server and of the client, if it has one
}

// stacks returns all of them.
func (l *lab) stacks() []*stack {
	python := func(name string) []string { return []string{l.python, l.driver("client.py"), name} }
	node := func(name string) []string { return []string{"node", l.driver("client.js"), name} }
	java := func(name string) []string {
		return []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", filepath.Join(l.cache, "classes"), "Client", name}
	}
	rust := func(name string) []string { return []string{filepath.Join(l.cache, "cargo/release/lab-client"), name} }
	own := func(name string) []string { return []string{l.self, clientArg, name} }

	all := []string{cell.ServerGo, cell.ServerNginx, cell.ServerNode, cell.ServerPython, cell.ServerJava}
	ours := []string{cell.ServerGo, cell.ServerNginx} // with everything that Handler answers
	quic, bare := []string{cell.ServerQUIC}, []string{cell.ServerRaw}
	web, messages, reads := cell.Web(), []string{cell.Messages}, []string{cell.OneRequest, cell.FewRequests, cell.Download}
	kinds := func(k ...string) []string { return k }
	usual, long := kinds(cell.CheckIn, cell.Tasking, cell.Exploit), kinds(cell.CheckIn, cell.Session, cell.Tasking)
	every := kinds(cell.CheckIn, cell.Session, cell.Tasking, cell.Tunnel, cell.Exploit)
	type s = cell.Stack
	driver := func(argv []string, k s) *stack { return &stack{k, argv[:1], by(argv)} }
	return []*stack{
		{s{Name: "curl-openssl", Servers: all, Behaviours: web, Kinds: usual}, []string{"curl"}, curl},
		driver([]string{"/usr/bin/python3", l.driver("client.py"), "pycurl"}, s{Name: "curl-gnutls", Servers: all, Behaviours: web, Kinds: kinds(cell.CheckIn, cell.Exploit)}),
		{s{Name: "wget", Servers: all, Behaviours: web, Kinds: kinds(cell.Exploit)}, []string{"wget"}, wget},
		driver(python("requests"), s{Name: "python-requests", Servers: all, Behaviours: web, Kinds: usual}),
		driver(python("aiohttp"), s{Name: "python-aiohttp", Servers: all, Behaviours: web}),
		driver(python("httpx"), s{Name: "python-httpx", Servers: all, Behaviours: web, Kinds: kinds(cell.Tunnel)}),
		driver(python("urllib"), s{Name: "python-urllib", Servers: all, Behaviours: web, Kinds: usual}),
		driver(python("ssl"), s{Name: "python-ssl", Servers: bare, Behaviours: messages, Kinds: long, Raw: true, Nameless: true}),
		driver(own("go"), s{Name: "go", Servers: all, Behaviours: web, Kinds: every}),
		driver(own("go-tls"), s{Name: "go-tls", Servers: bare, Behaviours: messages, Kinds: long, Raw: true, Nameless: true}),
		driver(own("quic-go"), s{Name: "quic-go", Servers: quic, Behaviours: web, Kinds: kinds(cell.CheckIn, cell.Session, cell.Tasking)}),
		driver(java("httpclient"), s{Name: "java-httpclient", Servers: all, Behaviours: web, Kinds: kinds(cell.CheckIn, cell.Tasking, cell.Tunnel)}),
		driver(java("urlconnection"), s{Name: "java-urlconnection", Servers: all, Behaviours: web, Kinds: usual}),
		driver(node("https"), s{Name: "node", Servers: all, Behaviours: web, Kinds: usual}),
		driver(node("http2"), s{Name: "node-http2", Servers: ours, Behaviours: web, Kinds: kinds(cell.Tunnel), HTTP2: true}),
		driver(node("tls"), s{Name: "node-tls", Servers: bare, Behaviours: messages, Kinds: kinds(cell.Session), Raw: true}),
		driver(rust("ureq"), s{Name: "rust-ureq", Servers: all, Behaviours: web, Kinds: usual}),
		driver(rust("reqwest"), s{Name: "rust-reqwest", Servers: all, Behaviours: web, Kinds: every}),
		driver(rust("rustls"), s{Name: "rustls", Servers: bare, Behaviours: messages, Kinds: long, Raw: true}),
		{s{Name: "openssl", Servers: all, Behaviours: append(reads, cell.Reconnects), Nameless: true}, []string{"openssl"}, openssl},
		{s{Name: "openssl-raw", Servers: bare, Behaviours: messages, Kinds: kinds(cell.Session), Raw: true, Nameless: true}, []string{"openssl"}, openssl},
		{s{Name: "gnutls-cli", Servers: all, Behaviours: reads, Nameless: true}, []string{"gnutls-cli"}, gnutls},
		{s{Name: "git", Servers: ours, Behaviours: []string{cell.OneRequest, cell.Download, cell.Upload}}, []string{"git"}, git},
		{s{Name: "apt", Servers: all, Behaviours: reads}, []string{"/usr/lib/apt/apt-helper"}, apt},
		{s{Name: "chromium", Servers: ours, Behaviours: web}, []string{"chromium"}, chromium},
		{s{Name: "chromium-quic", Servers: quic, Behaviours: web, Public: true}, []string{"chromium"}, chromium},
	}
}

// plan is what the cell's client is told.
func (j *job) plan() *plan.Plan {
	p := &plan.Plan{URL: j.URL(), Trust: "any", Nameless: j.Shape == cell.ShapeNone, Sessions: j.Behaviour == cell.Reconnects, Steps: j.Steps}
	if j.Trusted() {
		p.Trust = j.pki.Roots
	}
	if j.identity != nil {
		p.Cert, p.Key = j.identity.Cert, j.identity.Key
	}
	return p
}

// by is a client that reads the plan: argv and the plan's file.
func by(argv []string) func(context.Context, *job) error {
	return func(ctx context.Context, j *job) error {
		file := filepath.Join(j.tmp, j.ID+".plan")
		if err := os.WriteFile(file, []byte(j.plan().String()), 0o600); err != nil {
			return err
		}
		return j.exec(ctx, slices.Concat(argv, []string{file}), nil)
	}
}

// exec runs a client to its end.
func (j *job) exec(ctx context.Context, argv []string, stdin io.Reader) error {
	cmd := j.command(ctx, j.client, argv)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &out
	if err := cmd.Run(); err != nil {
		text := out.String()
		return fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, strings.TrimSpace(text[max(0, len(text)-400):]))
	}
	return nil
}

// each carries out steps whose client is a process for a run of requests: those
// between waits and fresh connections.
func each(ctx context.Context, steps []plan.Step, run func([]plan.Step) error) error {
	for len(steps) > 0 {
		n := slices.IndexFunc(steps, func(s plan.Step) bool { return s.Verb == "sleep" || s.Verb == "fresh" })
		if n < 0 {
			return run(steps)
		}
		if n > 0 {
			if err := run(steps[:n]); err != nil {
				return err
			}
		}
		if err := wait(ctx, steps[n].N); err != nil { // 0 of a fresh connection
			return err
		}
		steps = steps[n+1:]
	}
	return nil
}

// body writes what a step sends to a file.
func (j *job) body(s plan.Step) (string, error) {
	file := filepath.Join(j.tmp, j.ID+".body")
	return file, os.WriteFile(file, plan.Bytes(s.N), 0o600)
}

func curl(ctx context.Context, j *job) error {
	p := j.plan()
	options := []string{"-sS", "-o", "/dev/null", "-k"}
	if j.Trusted() {
		options = append(options[:3], "--cacert", p.Trust)
	}
	run := func(steps []plan.Step, more ...string) error {
		argv := []string{"curl"}
		for i, s := range steps {
			if i > 0 {
				argv = append(argv, "--next")
			}
			argv = append(append(argv, options...), more...)
			if s.Verb == "post" {
				file, err := j.body(s)
				if err != nil {
					return err
				}
				argv = append(argv, "--data-binary", "@"+file)
			}
			argv = append(argv, p.URL+s.Path)
		}
		return j.exec(ctx, argv, nil)
	}
	if p.Sessions { // only one process knows its sessions
		steps := slices.DeleteFunc(slices.Clone(j.Steps), func(s plan.Step) bool { return s.Verb == "sleep" || s.Verb == "fresh" })
		return run(steps, "--http1.1", "-H", "Connection: close")
	}
	return each(ctx, j.Steps, func(steps []plan.Step) error { return run(steps) })
}

func wget(ctx context.Context, j *job) error {
	p := j.plan()
	options := []string{"wget", "-q", "-O", "/dev/null", "--no-hsts", "--tries=1", "--no-check-certificate"}
	if j.Trusted() {
		options = append(options[:len(options)-1], "--ca-certificate="+p.Trust)
	}
	return each(ctx, j.Steps, func(steps []plan.Step) error {
		argv := slices.Clone(options)
		for _, s := range steps {
			if s.Verb == "post" { // with the same body to all that follow
				file, err := j.body(s)
				if err != nil {
					return err
				}
				argv = append(argv, "--post-file="+file)
			}
			argv = append(argv, p.URL+s.Path)
		}
		return unlessRefused(j.exec(ctx, argv, nil), 8) // an error answer
	})
}

// request is HTTP/1.1 as one types it.
func (j *job) request(steps []plan.Step) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", s.Path, j.Host())
		if i == len(steps)-1 {
			b.WriteString("Connection: close\r\n")
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

// openssl pipes requests or frames through openssl s_client.
func openssl(ctx context.Context, j *job) error {
	p := j.plan()
	argv := []string{"openssl", "s_client", "-quiet", "-connect", fmt.Sprintf("%s:%d", j.Addr.Addr(), j.Port)}
	if p.Nameless || j.Name == "" {
		argv = append(argv, "-noservername")
	} else {
		argv = append(argv, "-servername", j.Name)
	}
	if j.Trusted() {
		argv = append(argv, "-CAfile", p.Trust)
	}
	if p.Cert != "" {
		argv = append(argv, "-cert", p.Cert, "-key", p.Key)
	}
	if j.Stack.Raw {
		r, w := io.Pipe()
		go func() { w.CloseWithError(j.sendFrames(ctx, w)) }()
		return j.exec(ctx, append(argv, "-no_ign_eof"), r)
	}
	if p.Sessions {
		file := filepath.Join(j.tmp, j.ID+".session")
		first := true
		return each(ctx, j.Steps, func(steps []plan.Step) error {
			more := []string{"-sess_out", file}
			if !first {
				more = []string{"-sess_in", file}
			}
			first = false
			return unlessRefused(j.exec(ctx, slices.Concat(argv, more), strings.NewReader(j.request(steps))), 1)
		})
	}
	steps := slices.DeleteFunc(slices.Clone(j.Steps), func(s plan.Step) bool { return s.Verb == "sleep" })
	return unlessRefused(j.exec(ctx, argv, strings.NewReader(j.request(steps))), 1) // a server left without close_notify
}

// unlessRefused takes an exit code that says what a server did for success.
func unlessRefused(err error, code int) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == code {
		return nil
	}
	return err
}

// sendFrames writes the steps of a raw plan and waits for what the answers take.
func (j *job) sendFrames(ctx context.Context, w io.Writer) error {
	if err := wait(ctx, int(3*j.Path.RTT/time.Millisecond)+200); err != nil {
		return err
	}
	for _, s := range j.Steps {
		if s.Verb == "sleep" {
			if err := wait(ctx, s.N); err != nil {
				return err
			}
		} else if _, err := w.Write(plan.Frame(s.N, s.M)); err != nil {
			return err
		}
	}
	return wait(ctx, int(2*j.Path.RTT/time.Millisecond)+100)
}

func gnutls(ctx context.Context, j *job) error {
	p := j.plan()
	argv := []string{"gnutls-cli", "--port", fmt.Sprint(j.Port), "--logfile", "/dev/null"}
	if p.Nameless {
		argv = append(argv, "--disable-sni")
	}
	if j.Trusted() {
		argv = append(argv, "--x509cafile", p.Trust)
	} else {
		argv = append(argv, "--no-ca-verification")
	}
	steps := slices.DeleteFunc(slices.Clone(j.Steps), func(s plan.Step) bool { return s.Verb == "sleep" })
	r, w := io.Pipe()
	go func() { // it ends with its input
		_, err := io.WriteString(w, j.request(steps))
		w.CloseWithError(errors.Join(err, wait(ctx, int(10*j.Path.RTT/time.Millisecond)+800)))
	}()
	return unlessRefused(j.exec(ctx, append(argv, j.Host()), r), 1) // a server left without close_notify
}

// apt fetches with apt's own method for HTTPS.
func apt(ctx context.Context, j *job) error {
	p := j.plan()
	argv := []string{"/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::User=root"}
	if j.Trusted() {
		argv = append(argv, "-o", "Acquire::https::CaInfo="+p.Trust)
	} else {
		argv = append(argv, "-o", "Acquire::https::Verify-Peer=false", "-o", "Acquire::https::Verify-Host=false")
	}
	argv = append(argv, "download-file")
	for i, s := range j.Steps {
		if s.Verb == "get" {
			argv = append(argv, p.URL+s.Path, filepath.Join(j.tmp, fmt.Sprintf("%s.%d", j.ID, i)), "")
		}
	}
	return j.exec(ctx, argv, nil)
}

// chromium opens a page whose script carries out the steps, and closes the
// browser when it is done.
func chromium(ctx context.Context, j *job) error {
	u, err := url.Parse(j.URL())
	if err != nil {
		return err
	}
	argv := []string{
		"chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--user-data-dir=" + filepath.Join(j.tmp, j.ID+".profile"),
		"--remote-debugging-port=0", "--ignore-certificate-errors",
	}
	if j.Server == cell.ServerQUIC {
		argv = append(argv, "--enable-quic", "--origin-to-force-quic-on="+fmt.Sprintf("%s:%d", u.Hostname(), j.Port), "--ignore-certificate-errors-spki-list="+j.issued.Pin())
	}
	done := j.handler.Expect(j.ID)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := j.command(ctx, j.client, append(argv, j.URL()+origin.PagePath(j.ID, j.Steps)))
	if err := cmd.Start(); err != nil {
		return err
	}
	select {
	case <-done:
		err = wait(ctx, 300)
	case <-ctx.Done():
		err = fmt.Errorf("chromium: the page is not done: %w", ctx.Err())
	}
	cancel()
	_ = cmd.Wait() // killed
	return errors.Join(err, os.RemoveAll(filepath.Join(j.tmp, j.ID+".profile")))
}
