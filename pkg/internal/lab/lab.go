package main

import (
	"bufio"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"trench/pkg/internal/lab/wire"
	"trench/pkg/internal/netlab"
)

//go:embed drivers/*.py drivers/*.js drivers/*.java
var drivers embed.FS

const clientTime = 45 * time.Second // that a client may take

// Addresses are of the range for measurements (RFC 2544).
var (
	clientAddr = netip.MustParseAddr("198.18.0.1")
	serverNet  = netip.MustParsePrefix("198.19.0.0/16")
)

// serverBits is the length of the prefix of one kind's servers.
const serverBits = 20

// prefix returns the addresses of the i-th kind of server.
func prefix(i int) netip.Prefix {
	a := serverNet.Addr().As4()
	a[2] = byte(i << (24 - serverBits))
	return netip.PrefixFrom(netip.AddrFrom4(a), serverBits)
}

// lab is one run.
type lab struct {
	cache    string // what is kept between runs
	tmp      string // what is not
	captures string
	log      io.Writer
	logFile  *os.File // of servers and clients
	python   string   // with requests, aiohttp and httpx
	handler  *handler
	pki      *pki
	client   *netlab.Namespace
	self     string
	ends     []func()
}

// onEnd registers what ends something; the last is called first.
func (l *lab) onEnd(f func()) { l.ends = append(l.ends, f) }

func (l *lab) end() {
	for i := len(l.ends) - 1; i >= 0; i-- {
		l.ends[i]()
	}
}

// command is a program inside a namespace, in a process group that is killed as
// a whole when the context ends.
func (l *lab) command(ctx context.Context, ns *netlab.Namespace, argv []string) *exec.Cmd {
	cmd := ns.Command(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	cmd.Dir = l.tmp
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.tmp, "LANG=C.UTF-8"}
	return cmd
}

// run makes the network, carries out all cells and leaves a capture for each
// stack of each set below l.captures.
func (l *lab) run(ctx context.Context, cells []*cell, parallel int) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer l.end()
	byKind := make(map[string][]*cell)
	for _, c := range cells {
		byKind[c.server] = append(byKind[c.server], c)
	}
	byAddr := make(map[netip.Addr]*cell, len(cells))
	for i, kind := range serverKinds {
		addr := prefix(i).Addr().Next()
		for _, c := range byKind[kind] {
			if addr = addr.Next(); !prefix(i).Contains(addr) {
				return fmt.Errorf("server %s: no addresses for %d cells", kind, len(byKind[kind]))
			}
			c.addr = netip.AddrPortFrom(addr, c.port)
			byAddr[addr] = c
		}
	}
	r := mathrand.New(mathrand.NewPCG(uint64(len(cells)), 2))
	for _, c := range cells {
		if c.issued, err = l.pki.issue(r, c.id, c.certificate, c.subject()); err != nil {
			return fmt.Errorf("cell %s: %w", c.id, err)
		}
		if c.mutual {
			if c.identity, err = l.pki.issue(r, c.id+".client", freshSelf, "operator"); err != nil {
				return fmt.Errorf("cell %s: %w", c.id, err)
			}
		}
	}

	w := &wire.Wire{Path: func(a netip.Addr) wire.Path {
		if c := byAddr[a]; c != nil {
			return c.path
		}
		return wire.Path{}
	}}
	tap, err := l.newTap(byAddr)
	if err != nil {
		return err
	}
	w.Tap = tap.packet
	servers, err := l.network(w, cells)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.Run(gctx) })
	g.Go(func() error {
		defer stop() // the wire ends with the last cell
		for _, kind := range serverKinds {
			if len(byKind[kind]) == 0 {
				continue
			}
			if err := l.serve(gctx, servers[kind], kind, byKind[kind]); err != nil {
				return fmt.Errorf("server %s: %w", kind, err)
			}
		}
		return l.carryOut(gctx, cells, parallel)
	})
	return errors.Join(g.Wait(), tap.close())
}

func (l *lab) serve(ctx context.Context, ns *netlab.Namespace, kind string, cells []*cell) error {
	switch kind {
	case serverNginx:
		return l.serveNginx(ctx, ns, cells)
	case serverGo, serverRaw, serverQUIC:
		return l.serveGo(ctx, ns, kind, cells)
	}
	file, err := l.listeners(kind, cells)
	if err != nil {
		return err
	}
	switch kind {
	case serverNode:
		return l.serveProgram(ctx, ns, "node", l.driver("server.js"), file)
	case serverPython:
		return l.serveProgram(ctx, ns, l.python, l.driver("server.py"), file)
	}
	return l.serveProgram(ctx, ns, "java", "-cp", filepath.Join(l.cache, "classes"), "Server", file)
}

// driver is where a program of the folder drivers was written to.
func (l *lab) driver(name string) string { return filepath.Join(l.cache, "drivers", name) }

// unpack writes the drivers and compiles those that need it.
func (l *lab) unpack(ctx context.Context) error {
	var java []string
	err := fs.WalkDir(drivers, "drivers", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := drivers.ReadFile(path)
		if err != nil {
			return err
		}
		to := l.driver(d.Name())
		if strings.HasSuffix(to, ".java") {
			java = append(java, to)
		}
		return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, b, 0o644))
	})
	if err != nil || have(needs(serverJava)) != nil {
		return err
	}
	args := append([]string{"-nowarn", "-d", filepath.Join(l.cache, "classes")}, java...)
	if out, err := exec.CommandContext(ctx, "javac", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("javac: %w: %s", err, out)
	}
	return nil
}

// network makes a namespace for the client and one for each kind of server.
func (l *lab) network(w *wire.Wire, cells []*cell) (map[string]*netlab.Namespace, error) {
	name := fmt.Sprintf("trench-lab-%d", os.Getpid())
	l.client = &netlab.Namespace{Name: name + "-client", Interface: "client0", IPv4: clientAddr}
	var hosts strings.Builder
	fmt.Fprintf(&hosts, "127.0.0.1 localhost\n%s workstation\n", clientAddr)
	for _, c := range cells {
		if c.name != "" {
			fmt.Fprintf(&hosts, "%s %s\n", c.addr.Addr(), c.name)
		}
	}
	if err := l.namespace(l.client, hosts.String()); err != nil {
		return nil, err
	}
	client, err := l.open(l.client)
	if err != nil {
		return nil, err
	}
	w.Client = client
	servers := make(map[string]*netlab.Namespace)
	for i, kind := range serverKinds {
		ns := &netlab.Namespace{Name: name + "-" + kind, Interface: "server0", IPv4: prefix(i).Addr().Next()}
		if err := l.namespace(ns, hosts.String()); err != nil {
			return nil, err
		}
		end, err := l.open(ns)
		if err != nil {
			return nil, err
		}
		if err := ip(ns, "route", "add", "local", prefix(i).String(), "dev", "lo"); err != nil {
			return nil, err
		}
		w.Servers = append(w.Servers, wire.End{ReadWriteCloser: end, Addresses: prefix(i)})
		servers[kind] = ns
	}
	return servers, nil
}

// namespace makes one in which only the names of hosts are known: a question to
// a name server is refused at once.
func (l *lab) namespace(ns *netlab.Namespace, hosts string) error {
	etc := filepath.Join("/etc/netns", ns.Name) // as ip-netns(8) lays it over /etc
	l.onEnd(func() {
		_ = os.RemoveAll(etc)
		_ = os.Remove(filepath.Dir(etc)) // unless others are there
	})
	err := errors.Join(os.MkdirAll(etc, 0o755),
		os.WriteFile(filepath.Join(etc, "hosts"), []byte(hosts), 0o644),
		os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644))
	if err != nil {
		return err
	}
	if out, err := exec.Command("ip", "netns", "add", ns.Name).CombinedOutput(); err != nil {
		return fmt.Errorf("make namespace %s: %w: %s", ns.Name, err, out)
	}
	l.onEnd(func() { _ = exec.Command("ip", "netns", "del", ns.Name).Run() }) // nothing is left to do
	return errors.Join(ip(ns, "link", "set", "lo", "up"), ip(ns, "addr", "add", ns.IPv4.String()+"/32", "dev", "lo"))
}

func (l *lab) open(ns *netlab.Namespace) (io.ReadWriteCloser, error) {
	f, err := wire.Open(ns)
	if err != nil {
		return nil, err
	}
	l.onEnd(func() { _ = f.Close() }) // the wire has closed it unless it never ran
	return f, errors.Join(
		ip(ns, "link", "set", ns.Interface, "mtu", fmt.Sprint(wire.MTU), "txqueuelen", "4096", "up"),
		ip(ns, "route", "add", "default", "dev", ns.Interface, "src", ns.IPv4.String()))
}

func ip(ns *netlab.Namespace, args ...string) error {
	if out, err := exec.Command("ip", append([]string{"-n", ns.Name}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip -n %s %s: %w: %s", ns.Name, strings.Join(args, " "), err, out)
	}
	return nil
}

// carryOut runs the cells' clients, some at a time.
func (l *lab) carryOut(ctx context.Context, cells []*cell, parallel int) error {
	var g errgroup.Group
	g.SetLimit(parallel)
	var mu sync.Mutex
	failed := make(map[string]int)
	for i, c := range cells {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, clientTime)
			defer cancel()
			err := c.stack.run(ctx, l, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[c.stack.name]++
				fmt.Fprintf(l.logFile, "cell %s: %v\n", c, err)
			}
			if i%50 == 0 {
				fmt.Fprintf(l.log, "%d of %d cells\n", i, len(cells))
			}
			return nil
		})
	}
	_ = g.Wait() // no cell ends the others
	for name, n := range failed {
		fmt.Fprintf(l.log, "WARNING: %s: %d cells ended with an error, see %s\n", name, n, l.logFile.Name())
	}
	return wait(ctx, 300) // for what is under way
}

func wait(ctx context.Context, ms int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return nil
	}
}

// tap writes a capture (pcap, ns, raw IP) for each stack of each set.
type tap struct {
	mu    sync.Mutex
	cells map[netip.Addr]*cell
	files map[string]*os.File
	bufs  map[string]*bufio.Writer
}

func (l *lab) newTap(cells map[netip.Addr]*cell) (*tap, error) {
	t := &tap{cells: cells, files: make(map[string]*os.File), bufs: make(map[string]*bufio.Writer)}
	for _, c := range cells {
		path := filepath.Join(l.captures, c.capture())
		if t.files[c.capture()] != nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, errors.Join(err, t.close())
		}
		f, err := os.Create(path)
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		t.files[c.capture()], t.bufs[c.capture()] = f, bufio.NewWriterSize(f, 1<<18)
		head := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d) // ns
		head = binary.LittleEndian.AppendUint32(head, 2|4<<16)    // version 2.4
		head = append(head, make([]byte, 8)...)
		head = binary.LittleEndian.AppendUint32(head, 1<<16)
		head = binary.LittleEndian.AppendUint32(head, 101) // LINKTYPE_RAW
		if _, err := t.bufs[c.capture()].Write(head); err != nil {
			return nil, errors.Join(err, t.close())
		}
	}
	return t, nil
}

// packet writes one packet; its time is taken under the lock, so that a file is in order.
func (t *tap) packet(server netip.Addr, p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.cells[server]
	if c == nil {
		return nil
	}
	now := time.Now()
	b := binary.LittleEndian.AppendUint32(nil, uint32(now.Unix()))
	b = binary.LittleEndian.AppendUint32(b, uint32(now.Nanosecond()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
	w := t.bufs[c.capture()]
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err := w.Write(p)
	return err
}

func (t *tap) close() (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, f := range t.files {
		if b := t.bufs[name]; b != nil {
			err = errors.Join(err, b.Flush())
		}
		err = errors.Join(err, f.Close())
	}
	return err
}
