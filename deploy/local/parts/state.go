//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// state is the folder of one copy of the parts.
type state struct{ dir string }

func (s state) path(name string) string { return filepath.Join(s.dir, name) }

func (s state) lock(ctx context.Context) (func(), error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	return lock(ctx, s.path("lock"))
}

// pid is the part's process, or 0.
func (s state) pid(p part) int {
	return s.readPID(p.name()+".pid", s.path(p.name())+"/")
}

// supervisor is the process that watches the part, or 0.
func (s state) supervisor(p part) int {
	return s.readPID(p.name()+".supervisor.pid", "supervise", s.path(p.name())+".pid")
}

func (s state) readPID(file string, marks ...string) int {
	raw, err := os.ReadFile(s.path(file))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || !alive(pid, marks...) {
		return 0
	}
	return pid
}

// ports are those of the part's last start, or nil.
func (s state) ports(p part) []int {
	raw, err := os.ReadFile(s.path("ports"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(raw)) {
		name, list, _ := strings.Cut(strings.TrimSpace(line), "=")
		if name != p.name() {
			continue
		}
		var ports []int
		for _, f := range strings.Fields(list) {
			n, err := strconv.Atoi(f)
			if err != nil {
				return nil
			}
			ports = append(ports, n)
		}
		if len(ports) == len(p.ports()) {
			return ports
		}
	}
	return nil
}

func (s state) setPorts(p part, ports []int) error {
	var b strings.Builder
	for _, other := range allParts() {
		list := s.ports(other)
		if other == p {
			list = ports
		}
		if list != nil {
			fmt.Fprintf(&b, "%s=%s\n", other.name(), strings.Trim(fmt.Sprint(list), "[]"))
		}
	}
	return writeFile(s.path("ports"), b.String())
}

// writeEnv makes env say what is up now; with nothing up it is removed.
func (s state) writeEnv() error {
	var lines []string
	for _, p := range allParts() {
		if s.pid(p) != 0 {
			lines = append(lines, p.env(s.ports(p))...)
		}
	}
	if len(lines) == 0 {
		if err := os.Remove(s.path("env")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	return writeFile(s.path("env"), strings.Join(lines, "\n")+"\n")
}

// lastExit is how the last run of the part ended, or "".
func (s state) lastExit(p part) string {
	raw, err := os.ReadFile(s.path(p.name() + ".exit"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// choosePorts are the ports to start the part on: the fixed ones, or those
// of the last run if they are free, or any.
func (s state) choosePorts(p part, free bool) ([]int, error) {
	if !free {
		for _, port := range p.ports() {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return nil, fmt.Errorf("port %d is taken by another process (%w): stop it, or use --free-ports", port, err)
			}
			l.Close()
		}
		return p.ports(), nil
	}
	want := s.ports(p)
	if want == nil {
		want = make([]int, len(p.ports()))
	}
	ports, err := claim(want)
	if err != nil {
		ports, err = claim(make([]int, len(want)))
	}
	return ports, err
}

// claim listens on all the ports at once (0 is any), so that they differ, and
// lets go of them.
func claim(want []int) ([]int, error) {
	var ports []int
	for _, port := range want {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// writeFile replaces a file in one step.
func writeFile(path, text string) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
