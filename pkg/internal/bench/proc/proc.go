// Package proc tells what the kernel knows of processes: CPU time out of
// /proc/PID/stat (in units of 10 ms), peak memory out of /proc/PID/status, the idle
// time of cores out of /proc/stat; and it says which cores a process may use.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of times in /proc/PID/stat, the same on every Linux.
const ticksPerSecond = 100

// CPUTime is the user and system time that a process has had.
func CPUTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything. utime and stime are the 14th and
	// 15th field of the line, the state after the name is the 3rd.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields after the name", pid, len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond, errors.Join(err, err2)
}

// PeakRSS is the largest resident size that a process has had, in bytes.
func PeakRSS(pid int) (uint64, error) { return status(pid, "VmHWM:") }

// RSS is the resident size of a process, in bytes.
func RSS(pid int) (uint64, error) { return status(pid, "VmRSS:") }

// status reads a size in bytes from what the kernel says of a process.
func status(pid int, field string) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, field)
}

// PinAll lets all threads of a process run on some cores only.
func PinAll(pid int, cores []int) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := Pin(tid, cores); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pin thread %d to cores %v: %w", tid, cores, err)
		}
	}
	return nil
}

// Pin lets a thread, 0 for the calling one, run on some cores only.
func Pin(tid int, cores []int) error {
	var set unix.CPUSet
	for _, c := range cores {
		set.Set(c)
	}
	return unix.SchedSetaffinity(tid, &set)
}

// MaxRSS is PeakRSS of a process that has ended.
func MaxRSS(state *os.ProcessState) uint64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return uint64(usage.Maxrss) << 10
}

// IdleTime is how long some cores have had nothing to do, since the machine started.
func IdleTime(cores []int) (total time.Duration, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		// cpuN user nice system idle iowait …
		fields := strings.Fields(line)
		if len(fields) < 6 || !slices.ContainsFunc(cores, func(c int) bool { return fields[0] == fmt.Sprintf("cpu%d", c) }) {
			continue
		}
		idle, err := strconv.ParseInt(fields[4], 10, 64)
		wait, err2 := strconv.ParseInt(fields[5], 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		total += time.Duration(idle+wait) * time.Second / ticksPerSecond
	}
	return total, nil
}

// Own is the CPU time that this process has had, to the microsecond.
func Own() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// Spend returns the CPU time of this process that do takes.
func Spend(do func() error) (time.Duration, error) {
	before, err := Own()
	if err == nil {
		err = do()
	}
	after, err2 := Own()
	return after - before, errors.Join(err, err2)
}
