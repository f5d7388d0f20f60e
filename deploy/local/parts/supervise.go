//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervise runs one part until it ends and records how. It is asked to stop
// the part by SIGTERM, or by the end of the process given with -while.
//
// Should the supervisor itself be killed, a part that reads standard input
// sees its end, and one that is stopped by a signal gets it from the kernel:
// nothing is left without a watcher.
func supervise(args []string) error {
	fs := flag.NewFlagSet("supervise", flag.ContinueOnError)
	pidFile := fs.String("pid", "", "file for the part's process id")
	stop := fs.String("stop", string(stopBySignal), "how the part is stopped: signal or stdin")
	grace := fs.Duration("grace", 20*time.Second, "time to stop in, before SIGKILL")
	while := fs.Int("while", 0, "stop when this process is gone")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *pidFile == "" || fs.NArg() == 0 {
		return errors.New("-pid and a command are required")
	}
	base := strings.TrimSuffix(*pidFile, ".pid")
	closeOnExec()
	runtime.LockOSThread() // Pdeathsig is tied to the thread that starts the child

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP)

	if err := writeFile(base+".supervisor.pid", strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return err
	}
	defer os.Remove(base + ".supervisor.pid")
	if err := os.Remove(base + ".exit"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}

	cmd := exec.Command(fs.Arg(0), fs.Args()[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Dir = filepath.Dir(*pidFile)
	var stdin io.Closer
	if stopWay(*stop) == stopByStdin {
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		stdin = pipe
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := writeFile(*pidFile, strconv.Itoa(cmd.Process.Pid)+"\n"); err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	defer os.Remove(*pidFile)

	ended := make(chan struct{})
	go func() { // ends with the part
		defer close(ended)
		_ = cmd.Wait() // the status is in ProcessState
	}()
	asked := "no"
	select {
	case <-ended:
	case <-signals:
		asked = "yes"
	case <-gone(*while):
		asked = fmt.Sprintf("process %d is gone", *while)
	}
	if asked != "no" {
		if stdin != nil {
			stdin.Close()
		} else {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have just ended
		}
		select {
		case <-ended:
		case <-time.After(*grace):
			asked += fmt.Sprintf(", killed after %v", *grace)
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	return writeFile(base+".exit", describeExit(cmd.ProcessState, asked, time.Now()))
}

// describeExit is one line: the status as a shell gives it (128 + signal),
// the signal, the process, the time, and whether it was asked to stop.
func describeExit(ps *os.ProcessState, asked string, at time.Time) string {
	status, sig := ps.ExitCode(), "none"
	if ws, ok := ps.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		status, sig = 128+int(ws.Signal()), unix.SignalName(ws.Signal())
	}
	return fmt.Sprintf("status=%d signal=%s pid=%d at=%s asked=%q\n", status, sig, ps.Pid(), at.UTC().Format(time.RFC3339), asked)
}

// gone is closed when process pid has ended; for pid 0 it never is.
func gone(pid int) <-chan struct{} {
	if pid == 0 {
		return nil
	}
	done := make(chan struct{})
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		close(done)
		return done
	}
	go func() { // ends with the process pid, or with this program
		defer close(done)
		defer unix.Close(fd)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return done
}
