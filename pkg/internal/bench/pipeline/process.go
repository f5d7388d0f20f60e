package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"time"

	"trench/pkg/internal/bench/proc"
)

// process is a service that runs.
type process struct {
	name string
	cmd  *exec.Cmd
	log  logBuffer
	done chan struct{} // closed when it has ended
}

// logBuffer can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// launch starts a service on the cores of the measured program.
func (r *rig) launch(name string, env ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(filepath.Join(r.bin, name)), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stderr = r.environment(env...), &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// A child inherits the cores of the thread that starts it. The thread is not
	// unlocked, so it ends with its goroutine and Pdeathsig with this goroutine:
	// which ends when the child does.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := proc.Pin(0, r.own)
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			p.cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

var servingAt = regexp.MustCompile(`serving health and metrics.* address=(\S+)`)

// url returns the address of the process's HTTP server, once it says it.
func (p *process) url(path string) (string, error) {
	m := servingAt.FindStringSubmatch(p.log.String())
	if m == nil {
		return "", errors.New("no server yet")
	}
	return "http://" + m[1] + path, nil
}

// waitReady waits until the process says that it is ready.
func (p *process) waitReady(ctx context.Context) error {
	return p.await(ctx, func() error {
		url, err := p.url("/readyz")
		if err != nil {
			return err
		}
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// pollEvery is how often the state of a run is looked at, patience for how long.
const (
	pollEvery = 50 * time.Millisecond
	patience  = 10 * time.Minute
)

// await asks until check passes.
func (p *process) await(ctx context.Context, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w\n%s", p.name, ctx.Err(), err, p.log.String())
		case <-tick.C:
		}
	}
}

// ended says how the process has ended, which nobody had asked it to.
func (p *process) ended() error {
	return fmt.Errorf("%s ended: %v\n%s", p.name, p.cmd.ProcessState, p.log.String())
}

// stop asks the process to end and waits for it.
func (p *process) stop() error {
	select {
	case <-p.done:
		return p.ended()
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		err := p.cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("%s: did not end within 30 s of SIGTERM", p.name), err)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s: exit code %d\n%s", p.name, code, p.log.String())
	}
	return nil
}

// profile writes a CPU profile of the next time d into the folder of profiles.
func (r *rig) profile(ctx context.Context, p *process, d time.Duration) error {
	var url string
	err := p.await(ctx, func() (err error) {
		url, err = p.url(fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(d.Seconds()))))
		return err
	})
	if err != nil {
		return err
	}
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile of %s: %s", p.name, resp.Status)
	}
	if err := os.MkdirAll(r.cfg.Profile, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(r.cfg.Profile, p.name+".pprof"))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
