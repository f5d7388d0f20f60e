//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTries is how often free ports are chosen anew when the part ends
// before it is ready: another process may have taken one in between.
const startTries = 3

func up(ctx context.Context, s state, opts options, stdout io.Writer) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := openCache()
	if err != nil {
		return err
	}
	closeOnExec()
	var ports sync.Mutex
	err = forEach(opts.parts, stdout, func(p part) (string, error) {
		begin := time.Now()
		msg, err := upPart(ctx, s, c, p, opts, &ports)
		return fmt.Sprintf("%s (%.1f s)", msg, time.Since(begin).Seconds()), err
	})
	return errors.Join(err, s.writeEnv())
}

// forEach works on all parts at once, says what each has to say as it comes,
// and returns the errors of all.
func forEach(parts []part, stdout io.Writer, work func(part) (string, error)) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, p := range parts {
		wg.Go(func() {
			msg, err := work(p)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.name(), err))
				return
			}
			fmt.Fprintf(stdout, "%-11s%s\n", p.name(), msg)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func upPart(ctx context.Context, s state, c cache, p part, opts options, portsFile *sync.Mutex) (string, error) {
	if sup := s.supervisor(p); sup != 0 {
		if err := waitReady(ctx, s, p, s.ports(p), opts.wait, func() bool { return s.supervisor(p) == sup }); err != nil {
			return "", err
		}
		return "already up at " + addresses(s.ports(p)), nil
	}
	if pid := s.pid(p); pid != 0 {
		return "", fmt.Errorf("process %d has lost its supervisor: run down first", pid)
	}
	for try := 1; ; try++ {
		ports, err := s.choosePorts(p, opts.freePorts)
		if err != nil {
			return "", err
		}
		cmd, err := p.prepare(ctx, c, s.path(p.name()), ports)
		if err != nil {
			return "", err
		}
		portsFile.Lock()
		err = s.setPorts(p, ports)
		portsFile.Unlock()
		if err != nil {
			return "", err
		}
		err = launch(ctx, s, p, cmd, ports, opts)
		if err == nil {
			return "up at " + addresses(ports), nil
		}
		if !errors.Is(err, errEnded) || !opts.freePorts || try == startTries {
			return "", err
		}
	}
}

// errEnded is the end of a part before it was ready.
var errEnded = errors.New("ended before it was ready")

// launch starts the part under a supervisor and waits until it is ready.
func launch(ctx context.Context, s state, p part, c command, ports []int, opts options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	logPath := s.path(p.name() + ".log")
	if err := os.Rename(logPath, logPath+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer out.Close()
	args := []string{"supervise",
		"-pid", s.path(p.name() + ".pid"),
		"-stop", string(c.stop),
		"-grace", c.grace.String(),
		"-while", fmt.Sprint(opts.while),
		"--"}
	sup := exec.Command(self, append(args, c.argv...)...)
	sup.Stdout, sup.Stderr = out, out
	sup.Dir = s.dir
	sup.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := sup.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { // ends with the supervisor, or with this program
		defer close(ended)
		_ = sup.Wait() // its word is in the exit file and the log
	}()
	running := func() bool {
		select {
		case <-ended:
			return false
		default:
			return true
		}
	}
	err = waitReady(ctx, s, p, ports, opts.wait, running)
	if err != nil && running() { // not ready in time or interrupted: leave nothing half started
		_ = sup.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	return err
}

// waitReady waits until the part answers on sockets of its own process.
func waitReady(ctx context.Context, s state, p part, ports []int, wait time.Duration, running func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		err := ready(ctx, s, p, ports)
		if err == nil {
			return nil
		}
		if !running() {
			return fmt.Errorf("%w: %s\n%s", errEnded, s.lastExit(p), s.logTail(p))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v (%w): %w\n%s", wait, ctx.Err(), err, s.logTail(p))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func ready(ctx context.Context, s state, p part, ports []int) error {
	pid := s.pid(p)
	if pid == 0 {
		return errors.New("no process")
	}
	for _, port := range ports {
		if !listens(pid, port) {
			return fmt.Errorf("process %d does not listen on port %d", pid, port)
		}
	}
	return p.probe(ctx, ports)
}

func (s state) logTail(p part) string {
	raw, err := os.ReadFile(s.path(p.name() + ".log"))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("the end of %s:\n%s", s.path(p.name()+".log"), lastLines(raw, 10))
}

func down(ctx context.Context, s state, parts []part, stdout io.Writer) error {
	if !exists(s.dir) {
		fmt.Fprintln(stdout, "nothing was ever started in", s.dir)
		return nil
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = forEach(parts, stdout, func(p part) (string, error) { return downPart(ctx, s, p) })
	return errors.Join(err, s.writeEnv())
}

func downPart(ctx context.Context, s state, p part) (string, error) {
	const limit = 30 * time.Second // longer than any part's grace
	begin := time.Now()
	sup, pid := s.supervisor(p), s.pid(p)
	switch {
	case sup != 0:
		if err := syscall.Kill(sup, syscall.SIGTERM); err != nil {
			return "", fmt.Errorf("stop supervisor %d: %w", sup, err)
		}
	case pid != 0: // its supervisor was killed
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			return "", fmt.Errorf("stop process %d: %w", pid, err)
		}
	default:
		return "is down already" + s.ending(p), nil
	}
	for s.supervisor(p) != 0 || s.pid(p) != 0 {
		if time.Since(begin) > limit {
			return "", fmt.Errorf("process %d still runs after %v", max(sup, pid), limit)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Sprintf("stopped in %.1f s%s", time.Since(begin).Seconds(), s.ending(p)), nil
}

func (s state) ending(p part) string {
	if last := s.lastExit(p); last != "" {
		return " (" + last + ")"
	}
	return ""
}

func status(ctx context.Context, s state, parts []part, stdout io.Writer) error {
	var down bool
	for _, p := range parts {
		pid, ports := s.pid(p), s.ports(p)
		if pid == 0 || ports == nil {
			down = true
			fmt.Fprintf(stdout, "%-11sdown%s\n", p.name(), s.ending(p))
			continue
		}
		if err := ready(ctx, s, p, ports); err != nil {
			down = true
			fmt.Fprintf(stdout, "%-11sdoes not answer: process %d, %v\n", p.name(), pid, err)
			continue
		}
		fmt.Fprintf(stdout, "%-11sup at %s, process %d, %d MB\n", p.name(), addresses(ports), pid, residentMB(pid))
	}
	if down {
		return errDown
	}
	return nil
}

func printEnv(s state, stdout io.Writer) error {
	raw, err := os.ReadFile(s.path("env"))
	if errors.Is(err, os.ErrNotExist) {
		return errDown
	}
	if err != nil {
		return err
	}
	_, err = stdout.Write(raw)
	return err
}

func fetch(ctx context.Context, parts []part, stderr io.Writer) error {
	c, err := openCache()
	if err != nil {
		return err
	}
	for _, p := range parts {
		begin := time.Now()
		if err := p.fetch(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", p.name(), err)
		}
		fmt.Fprintf(stderr, "%-11sis in %s (%.1f s)\n", p.name(), c.dir, time.Since(begin).Seconds())
	}
	return nil
}

// wipe deletes only a folder that this program made.
func wipe(ctx context.Context, s state, stdout io.Writer) error {
	if !exists(s.path("lock")) {
		return fmt.Errorf("%s is no state folder", s.dir)
	}
	if err := down(ctx, s, allParts(), stdout); err != nil {
		return err
	}
	for _, p := range allParts() {
		for _, name := range []string{"", ".log", ".log.1", ".exit"} {
			if err := os.RemoveAll(s.path(p.name() + name)); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(s.path("ports"))
}

func addresses(ports []int) string {
	var b strings.Builder
	for i, port := range ports {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "127.0.0.1:%d", port)
	}
	return b.String()
}
