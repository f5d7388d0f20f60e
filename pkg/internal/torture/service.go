//go:build linux

package torture

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Service is one process of a service, started again and again under one name.
type Service struct {
	Name   string // of the program
	binary string
	env    []string
	extra  []string // of the environment, see Configure
	log    string   // file, of all its lives

	mu    sync.Mutex
	cmd   *exec.Cmd
	done  chan struct{} // closed when cmd has ended
	asked bool          // it was told to end
	begun time.Time
	from  int64 // where this life's log begins
}

// NewService prepares a program of the folder bin; copy tells processes of one
// program apart.
func NewService(bin, name, copy, logs string, env []string) *Service {
	return &Service{Name: name, binary: filepath.Join(bin, name), env: env, log: filepath.Join(logs, name+copy+".log")}
}

// Configure gives the program more variables from its next start on, instead of
// those of the call before.
func (s *Service) Configure(env ...string) { s.extra = env }

// Start starts the program.
func (s *Service) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // the child has its own
	if s.from, err = f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	cmd := exec.Command(s.binary)
	cmd.Env, cmd.Stdout, cmd.Stderr = slices.Concat(os.Environ(), s.env, s.extra), f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { // ends with the process
		defer close(done)
		_ = cmd.Wait() // the status is in ProcessState
	}()
	s.cmd, s.done, s.asked, s.begun = cmd, done, false, time.Now()
	return nil
}

// Kill ends the process as a crash does, and returns when it is gone.
func (s *Service) Kill() { s.end(syscall.SIGKILL) }

// Stop asks the process to end; it is an error when it does not do so in good order
// and within limit.
func (s *Service) Stop(limit time.Duration) error {
	timer := time.AfterFunc(limit, s.Kill)
	s.end(syscall.SIGTERM)
	timer.Stop()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s: exit code %d within %v of SIGTERM", s.Name, code, limit)
	}
	return nil
}

func (s *Service) end(signal syscall.Signal) {
	s.mu.Lock()
	s.asked = true
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	_ = cmd.Process.Signal(signal) // it may have just ended
	<-done
}

// Died says how the process ended when nobody asked it to, and nil otherwise.
func (s *Service) Died() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	select {
	case <-s.done:
		if !s.asked {
			return fmt.Errorf("%s ended by itself (%v):\n%s", s.Name, s.cmd.ProcessState, s.tail())
		}
	default:
	}
	return nil
}

// Alive returns the process id and the time of its start, unless it has ended.
func (s *Service) Alive() (pid int, begun time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0, time.Time{}, false
	}
	select {
	case <-s.done:
		return 0, time.Time{}, false
	default:
		return s.cmd.Process.Pid, s.begun, true
	}
}

// Ran reports whether it was ever started.
func (s *Service) Ran() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd != nil
}

// Tail is the end of the log.
func (s *Service) Tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tail()
}

func (s *Service) tail() string {
	const most = 6 << 10
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

// servingAt finds the address of the HTTP server in the log.
var servingAt = regexp.MustCompile(`serving health and metrics.* address=(\S+)`)

// Get asks the process's HTTP server.
func (s *Service) Get(path string) (string, error) {
	s.mu.Lock()
	b, err := os.ReadFile(s.log)
	from := s.from
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	m := servingAt.FindSubmatch(b[from:])
	if m == nil {
		return "", errors.New("no server yet")
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Get("http://" + string(m[1]) + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return string(body), err
}
