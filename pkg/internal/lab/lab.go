package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"trench/pkg/internal/lab/cell"
	"trench/pkg/internal/lab/origin"
	"trench/pkg/internal/lab/pki"
	"trench/pkg/internal/lab/wire"
	"trench/pkg/internal/netlab"
)

//go:embed drivers/*.py drivers/*.js drivers/*.java
var drivers embed.FS

const clientTime = 45 * time.Second // that a client may take

// lab is one run.
type lab struct {
	cache    string // what is kept between runs
	tmp      string // what is not
	captures string
	log      io.Writer
	logFile  *os.File // of servers and clients
	python   string   // with requests, aiohttp and httpx
	handler  *origin.Handler
	pki      *pki.PKI
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
func (l *lab) run(ctx context.Context, cells []*job, parallel int) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer l.end()
	byKind := make(map[string][]*job)
	for _, c := range cells {
		byKind[c.Server] = append(byKind[c.Server], c)
	}
	byAddr, captures := make(map[netip.Addr]*job, len(cells)), make(map[netip.Addr]string, len(cells))
	for i, kind := range serverKinds {
		addr := prefix(i).Addr().Next()
		for _, c := range byKind[kind] {
			if addr = addr.Next(); !prefix(i).Contains(addr) {
				return fmt.Errorf("server %s: no addresses for %d cells", kind, len(byKind[kind]))
			}
			c.Addr = netip.AddrPortFrom(addr, c.Port)
			byAddr[addr], captures[addr] = c, filepath.Join(l.captures, c.Capture())
		}
	}
	if err := l.issue(cells); err != nil {
		return err
	}
	recorder, err := wire.Record(captures)
	if err != nil {
		return err
	}
	w := &wire.Wire{Tap: recorder.Tap, Path: func(a netip.Addr) wire.Path {
		if c := byAddr[a]; c != nil {
			return c.Path
		}
		return wire.Path{}
	}}
	servers, err := l.network(w, cells)
	if err != nil {
		return errors.Join(err, recorder.Close())
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
	return errors.Join(g.Wait(), recorder.Close())
}

// issue makes the certificates of all cells.
func (l *lab) issue(cells []*job) (err error) {
	r := rand.New(rand.NewPCG(uint64(len(cells)), 0))
	for _, c := range cells {
		if c.issued, err = l.pki.Issue(r, pki.Request{ID: c.ID, Kind: c.Certificate, Host: c.Owner(), Subject: c.Subject}); err != nil {
			return fmt.Errorf("cell %s: %w", c, err)
		}
		if !c.Mutual {
			continue
		}
		kind := pki.Private
		if c.Set == cell.Beacons {
			kind = pki.FreshSelf
		}
		if c.identity, err = l.pki.Issue(r, pki.Request{ID: c.ID + ".client", Kind: kind, Host: "agent"}); err != nil {
			return fmt.Errorf("cell %s: %w", c, err)
		}
	}
	return nil
}

func (l *lab) serve(ctx context.Context, ns *netlab.Namespace, kind string, cells []*job) error {
	switch kind {
	case cell.ServerNginx:
		return l.serveNginx(ctx, ns, cells)
	case cell.ServerGo, cell.ServerRaw, cell.ServerQUIC:
		return l.serveGo(ctx, ns, kind, cells)
	}
	file, err := l.listeners(kind, cells)
	if err != nil {
		return err
	}
	switch kind {
	case cell.ServerNode:
		return l.serveProgram(ctx, ns, "node", l.driver("server.js"), file)
	case cell.ServerPython:
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
	if err != nil || have(l.needs(cell.ServerJava)) != nil {
		return err
	}
	args := append([]string{"-nowarn", "-d", filepath.Join(l.cache, "classes")}, java...)
	if out, err := exec.CommandContext(ctx, "javac", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("javac: %w: %s", err, out)
	}
	return nil
}

// carryOut runs the cells' clients, some at a time.
func (l *lab) carryOut(ctx context.Context, cells []*job, parallel int) error {
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
			err := c.do(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[c.Stack.Name]++
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
