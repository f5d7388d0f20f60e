//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// alive says whether pid runs and each of marks is within one of its
// arguments. A zombie has no arguments and is not alive.
func alive(pid int, marks ...string) bool {
	if pid <= 0 {
		return false
	}
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(raw) == 0 {
		return false
	}
	for _, mark := range marks {
		if !bytes.Contains(raw, []byte(mark)) {
			return false
		}
	}
	return true
}

// listens says whether process pid itself holds a listening TCP socket on
// port; another program on the same port is not the part.
func listens(pid, port int) bool {
	inodes := listeners(port)
	if len(inodes) == 0 {
		return false
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if err == nil && inodes[target] {
			return true
		}
	}
	return false
}

// listeners are the sockets that listen on a TCP port, as /proc/PID/fd names
// them. In /proc/net/tcp the second field is the local address in hexadecimal,
// the fourth the state (0A is LISTEN) and the tenth the inode.
func listeners(port int) map[string]bool {
	suffix := fmt.Sprintf(":%04X", port)
	found := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], suffix) {
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	return found
}

// residentMB is the memory of a process in MB.
func residentMB(pid int) int {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				return 0
			}
			return kb / 1024
		}
	}
	return 0
}

// closeOnExec keeps what this process inherited (locks of a shell, pipes of
// make or of go test) away from the processes it starts.
func closeOnExec() {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, fd := range fds {
		if n, err := strconv.Atoi(fd.Name()); err == nil && n > 2 {
			syscall.CloseOnExec(n)
		}
	}
}
