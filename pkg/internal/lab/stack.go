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
)

// stack is a TLS client as people use it.
type stack struct {
	name        string
	needs       []string // programs, or files that setup.sh makes
	servers     []string // that it is sent to, in turn
	behaviours  []string
	kinds       []string // of beacons
	raw         bool     // it speaks no HTTP
	namelessToo bool     // it can leave the server name out
	publicOnly  bool     // names of two and more labels only
	http2Only   bool
	run         func(ctx context.Context, l *lab, c *cell) error
}

var (
	allServers  = []string{serverGo, serverNginx, serverNode, serverPython, serverJava}
	httpKinds   = []string{checkIn, tasking, exploit}
	withTunnel  = []string{checkIn, session, tasking, tunnel, exploit}
	rawKinds    = []string{checkIn, session, tasking}
	rawServers  = []string{serverRaw}
	quicServers = []string{serverQUIC}
	rawWork     = []string{messages}
)

// stacks returns all of them.
func (l *lab) stacks() []*stack {
	python := func(name string) []string { return []string{l.python, l.driver("client.py"), name} }
	system := []string{"/usr/bin/python3", l.driver("client.py"), "pycurl"}
	node := func(name string) []string { return []string{"node", l.driver("client.js"), name} }
	java := func(name string) []string {
		return []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", filepath.Join(l.cache, "classes"), "Client", name}
	}
	rust := filepath.Join(l.cache, "cargo/release/lab-client")
	own := func(name string) []string { return []string{l.self, clientArg, name} }
	jdk := []string{"java", "javac"}
	return []*stack{
		{name: "curl-openssl", needs: []string{"curl"}, servers: allServers, behaviours: web, kinds: httpKinds, run: runCurl},
		{name: "curl-gnutls", needs: system[:1], servers: allServers, behaviours: web, kinds: []string{checkIn, exploit}, run: by(system...)},
		{name: "wget", needs: []string{"wget"}, servers: allServers, behaviours: web, kinds: []string{exploit}, run: runWget},
		{name: "python-requests", needs: []string{l.python}, servers: allServers, behaviours: web, kinds: httpKinds, run: by(python("requests")...)},
		{name: "python-aiohttp", needs: []string{l.python}, servers: allServers, behaviours: web, run: by(python("aiohttp")...)},
		{name: "python-httpx", needs: []string{l.python}, servers: allServers, behaviours: web, kinds: []string{tunnel}, run: by(python("httpx")...)},
		{name: "python-urllib", needs: []string{l.python}, servers: allServers, behaviours: web, kinds: httpKinds, run: by(python("urllib")...)},
		{name: "python-ssl", needs: []string{l.python}, servers: rawServers, behaviours: rawWork, kinds: rawKinds, raw: true, namelessToo: true, run: by(python("ssl")...)},
		{name: "go", servers: allServers, behaviours: web, kinds: withTunnel, run: by(own("go")...)},
		{name: "go-tls", servers: rawServers, behaviours: rawWork, kinds: rawKinds, raw: true, namelessToo: true, run: by(own("go-tls")...)},
		{name: "quic-go", servers: quicServers, behaviours: web, run: by(own("quic-go")...)},
		{name: "java-httpclient", needs: jdk, servers: allServers, behaviours: web, kinds: []string{checkIn, tasking, tunnel}, run: by(java("httpclient")...)},
		{name: "java-urlconnection", needs: jdk, servers: allServers, behaviours: web, kinds: httpKinds, run: by(java("urlconnection")...)},
		{name: "node", needs: []string{"node"}, servers: allServers, behaviours: web, kinds: httpKinds, run: by(node("https")...)},
		{name: "node-http2", needs: []string{"node"}, servers: []string{serverGo, serverNginx}, behaviours: web, kinds: []string{tunnel}, http2Only: true, run: by(node("http2")...)},
		{name: "node-tls", needs: []string{"node"}, servers: rawServers, behaviours: rawWork, kinds: []string{session}, raw: true, run: by(node("tls")...)},
		{name: "rust-ureq", needs: []string{rust}, servers: allServers, behaviours: web, kinds: httpKinds, run: by(rust, "ureq")},
		{name: "rust-reqwest", needs: []string{rust}, servers: allServers, behaviours: web, kinds: withTunnel, run: by(rust, "reqwest")},
		{name: "rustls", needs: []string{rust}, servers: rawServers, behaviours: rawWork, kinds: rawKinds, raw: true, run: by(rust, "rustls")},
		{name: "openssl", needs: []string{"openssl"}, servers: []string{serverGo, serverNginx, serverNode, serverPython, serverJava}, behaviours: []string{oneRequest, fewRequests, download, resumption}, namelessToo: true, run: runOpenSSL},
		{name: "openssl-raw", needs: []string{"openssl"}, servers: rawServers, behaviours: rawWork, kinds: []string{session}, raw: true, namelessToo: true, run: runOpenSSL},
		{name: "gnutls-cli", needs: []string{"gnutls-cli"}, servers: allServers, behaviours: []string{oneRequest, fewRequests, download}, namelessToo: true, run: runGnuTLS},
		{name: "git", needs: []string{"git", "/usr/lib/git-core/git-http-backend"}, servers: []string{serverGo, serverNginx}, behaviours: []string{oneRequest, download, upload}, run: runGit},
		{name: "apt", needs: []string{"/usr/lib/apt/apt-helper"}, servers: allServers, behaviours: []string{oneRequest, fewRequests, download}, run: runApt},
		{name: "chromium", needs: []string{"chromium"}, servers: []string{serverGo, serverNginx}, behaviours: web, run: runChromium},
		{name: "chromium-quic", needs: []string{"chromium"}, servers: quicServers, behaviours: web, publicOnly: true, run: runChromium},
	}
}

// plan is what the cell's client is told.
func (c *cell) plan(l *lab) *plan {
	p := &plan{url: c.url(), trust: "any", nameless: c.shape == shapeNone, sessions: c.behaviour == resumption, steps: c.steps}
	if c.trusted() {
		p.trust = l.pki.roots
	}
	if c.identity != nil {
		p.cert, p.key = c.identity.cert, c.identity.key
	}
	return p
}

// by is a client that reads the plan: argv and the plan's file.
func by(argv ...string) func(context.Context, *lab, *cell) error {
	return func(ctx context.Context, l *lab, c *cell) error {
		file := filepath.Join(l.tmp, c.id+".plan")
		if err := os.WriteFile(file, []byte(c.plan(l).String()), 0o600); err != nil {
			return err
		}
		return l.exec(ctx, slices.Concat(argv, []string{file}), nil)
	}
}

// exec runs a client to its end.
func (l *lab) exec(ctx context.Context, argv []string, stdin io.Reader) error {
	cmd := l.command(ctx, l.client, argv)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &out
	if err := cmd.Run(); err != nil {
		text := out.String()
		return fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, strings.TrimSpace(text[max(0, len(text)-400):]))
	}
	return nil
}

// each carries out steps whose client is a process for a run of requests: the
// parts between waits, and within them those between fresh connections.
func each(ctx context.Context, steps []step, run func([]step) error) error {
	var batch []step
	flush := func() (err error) {
		if len(batch) > 0 {
			err = run(batch)
		}
		batch = nil
		return err
	}
	for _, s := range steps {
		switch s.verb {
		case "sleep", "fresh":
			if err := flush(); err != nil {
				return err
			}
			if s.verb == "sleep" {
				if err := wait(ctx, s.n); err != nil {
					return err
				}
			}
		default:
			batch = append(batch, s)
		}
	}
	return flush()
}

// body writes what a step sends to a file.
func (l *lab) body(c *cell, s step) (string, error) {
	file := filepath.Join(l.tmp, c.id+".body")
	return file, os.WriteFile(file, random(s.n), 0o600)
}

func runCurl(ctx context.Context, l *lab, c *cell) error {
	p := c.plan(l)
	options := []string{"-sS", "-o", "/dev/null", "-k"}
	if c.trusted() {
		options = append(options[:3], "--cacert", p.trust)
	}
	run := func(steps []step, more ...string) error {
		argv := []string{"curl"}
		for i, s := range steps {
			if i > 0 {
				argv = append(argv, "--next")
			}
			argv = append(append(argv, options...), more...)
			if s.verb == "post" {
				file, err := l.body(c, s)
				if err != nil {
					return err
				}
				argv = append(argv, "--data-binary", "@"+file)
			}
			argv = append(argv, p.url+s.path)
		}
		return l.exec(ctx, argv, nil)
	}
	if p.sessions { // only one process knows its sessions
		steps := slices.DeleteFunc(slices.Clone(c.steps), func(s step) bool { return s.verb == "sleep" || s.verb == "fresh" })
		return run(steps, "--http1.1", "-H", "Connection: close")
	}
	return each(ctx, c.steps, func(steps []step) error { return run(steps) })
}

func runWget(ctx context.Context, l *lab, c *cell) error {
	p := c.plan(l)
	options := []string{"wget", "-q", "-O", "/dev/null", "--no-hsts", "--tries=1", "--no-check-certificate"}
	if c.trusted() {
		options = append(options[:len(options)-1], "--ca-certificate="+p.trust)
	}
	return each(ctx, c.steps, func(steps []step) error {
		argv := slices.Clone(options)
		for _, s := range steps {
			if s.verb == "post" { // with the same body to all that follow
				file, err := l.body(c, s)
				if err != nil {
					return err
				}
				argv = append(argv, "--post-file="+file)
			}
			argv = append(argv, p.url+s.path)
		}
		return unlessRefused(l.exec(ctx, argv, nil), 8) // an error answer
	})
}

// request is HTTP/1.1 as one types it.
func request(c *cell, steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", s.path, c.host())
		if i == len(steps)-1 {
			b.WriteString("Connection: close\r\n")
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

// runOpenSSL pipes requests or frames through openssl s_client.
func runOpenSSL(ctx context.Context, l *lab, c *cell) error {
	p := c.plan(l)
	argv := []string{"openssl", "s_client", "-quiet", "-connect", fmt.Sprintf("%s:%d", c.addr.Addr(), c.port)}
	if p.nameless || c.name == "" {
		argv = append(argv, "-noservername")
	} else {
		argv = append(argv, "-servername", c.name)
	}
	if c.trusted() {
		argv = append(argv, "-CAfile", p.trust)
	}
	if p.cert != "" {
		argv = append(argv, "-cert", p.cert, "-key", p.key)
	}
	if c.stack.raw {
		r, w := io.Pipe()
		go func() { w.CloseWithError(sendFrames(ctx, w, c)) }()
		return l.exec(ctx, append(argv, "-no_ign_eof"), r)
	}
	if p.sessions {
		file := filepath.Join(l.tmp, c.id+".session")
		first := true
		return each(ctx, c.steps, func(steps []step) error {
			more := []string{"-sess_out", file}
			if !first {
				more = []string{"-sess_in", file}
			}
			first = false
			return unlessRefused(l.exec(ctx, slices.Concat(argv, more), strings.NewReader(request(c, steps))), 1)
		})
	}
	steps := slices.DeleteFunc(slices.Clone(c.steps), func(s step) bool { return s.verb == "sleep" })
	return unlessRefused(l.exec(ctx, argv, strings.NewReader(request(c, steps))), 1) // a server left without close_notify
}

// unlessRefused takes an exit code that says what a server did for success.
func unlessRefused(err error, code int) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == code {
		return nil
	}
	return err
}

// sendFrames writes the steps of a raw plan and waits for what the answers take.
func sendFrames(ctx context.Context, w io.Writer, c *cell) error {
	if err := wait(ctx, int(3*c.path.RTT/time.Millisecond)+200); err != nil {
		return err
	}
	for _, s := range c.steps {
		if s.verb == "sleep" {
			if err := wait(ctx, s.n); err != nil {
				return err
			}
		} else if _, err := w.Write(frame(s.n, s.m)); err != nil {
			return err
		}
	}
	return wait(ctx, int(2*c.path.RTT/time.Millisecond)+100)
}

func runGnuTLS(ctx context.Context, l *lab, c *cell) error {
	p := c.plan(l)
	argv := []string{"gnutls-cli", "--port", fmt.Sprint(c.port), "--logfile", "/dev/null"}
	if p.nameless {
		argv = append(argv, "--disable-sni")
	}
	if c.trusted() {
		argv = append(argv, "--x509cafile", p.trust)
	} else {
		argv = append(argv, "--no-ca-verification")
	}
	steps := slices.DeleteFunc(slices.Clone(c.steps), func(s step) bool { return s.verb == "sleep" })
	r, w := io.Pipe()
	go func() { // it ends with its input
		_, err := io.WriteString(w, request(c, steps))
		w.CloseWithError(errors.Join(err, wait(ctx, int(10*c.path.RTT/time.Millisecond)+800)))
	}()
	return unlessRefused(l.exec(ctx, append(argv, c.host()), r), 1) // a server left without close_notify
}

func runGit(ctx context.Context, l *lab, c *cell) error {
	p := c.plan(l)
	trust := "http.sslVerify=false"
	if c.trusted() {
		trust = "http.sslCAInfo=" + p.trust
	}
	argv := []string{"git", "-c", trust}
	repo := p.url + "/git/" + repository
	clone := filepath.Join(l.tmp, c.id+".clone")
	switch c.behaviour {
	case oneRequest:
		return l.exec(ctx, append(argv, "ls-remote", repo), nil)
	case download:
		return l.exec(ctx, append(argv, "clone", "-q", repo, clone), nil)
	}
	return l.exec(ctx, append(argv, "-C", filepath.Join(l.tmp, "git", repository), "push", "-q", p.url+"/git/empty.git", "HEAD:refs/heads/"+c.id), nil)
}

const repository = "project.git"

// repositories makes what git clients fetch and where they push to.
func (l *lab) repositories(ctx context.Context) error {
	work, dir := filepath.Join(l.tmp, "work"), filepath.Join(l.tmp, "git")
	git := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.tmp, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=lab", "GIT_AUTHOR_EMAIL=lab@localhost", "GIT_COMMITTER_NAME=lab", "GIT_COMMITTER_EMAIL=lab@localhost"}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	if err := errors.Join(git("init", "-q", work), git("init", "-q", "--bare", filepath.Join(dir, "empty.git"))); err != nil {
		return err
	}
	for i := range 12 {
		name := fmt.Sprintf("file%d", i)
		err := errors.Join(os.WriteFile(filepath.Join(work, name), random(20_000), 0o644), git("-C", work, "add", name), git("-C", work, "commit", "-q", "-m", name))
		if err != nil {
			return err
		}
	}
	return errors.Join(git("clone", "-q", "--bare", work, filepath.Join(dir, repository)),
		git("-C", filepath.Join(dir, "empty.git"), "config", "http.receivepack", "true"))
}

// runApt fetches with apt's own method for HTTPS.
func runApt(ctx context.Context, l *lab, c *cell) error {
	p := c.plan(l)
	argv := []string{"/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::User=root"}
	if c.trusted() {
		argv = append(argv, "-o", "Acquire::https::CaInfo="+p.trust)
	} else {
		argv = append(argv, "-o", "Acquire::https::Verify-Peer=false", "-o", "Acquire::https::Verify-Host=false")
	}
	argv = append(argv, "download-file")
	for i, s := range c.steps {
		if s.verb == "get" {
			argv = append(argv, p.url+s.path, filepath.Join(l.tmp, fmt.Sprintf("%s.%d", c.id, i)), "")
		}
	}
	return l.exec(ctx, argv, nil)
}

// runChromium opens a page whose script carries out the steps, and closes the
// browser when it is done.
func runChromium(ctx context.Context, l *lab, c *cell) error {
	u, err := url.Parse(c.url())
	if err != nil {
		return err
	}
	argv := []string{
		"chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--user-data-dir=" + filepath.Join(l.tmp, c.id+".profile"),
		"--remote-debugging-port=0", "--ignore-certificate-errors",
	}
	if c.server == serverQUIC {
		argv = append(argv, "--enable-quic", "--origin-to-force-quic-on="+fmt.Sprintf("%s:%d", u.Hostname(), c.port), "--ignore-certificate-errors-spki-list="+c.issued.spki)
	}
	done := l.handler.expect(c.id)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := l.command(ctx, l.client, append(argv, c.url()+pagePath(c.id, c.steps)))
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
	return errors.Join(err, os.RemoveAll(filepath.Join(l.tmp, c.id+".profile")))
}
