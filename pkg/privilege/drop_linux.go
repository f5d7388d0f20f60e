package privilege

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NetRaw is the capability to open packet sockets.
const NetRaw = unix.CAP_NET_RAW

// lastCapability is the highest number tried; the kernel refuses those it lacks.
const lastCapability = 63

// Drop becomes another user, by name or id, unless name is empty, and gives up all
// capabilities but those to keep, for good: also a program that is started later
// gets no more. What is not held cannot be kept, and is no error.
func Drop(name string, keep ...uint) error {
	var mask uint64
	for _, c := range keep {
		mask |= 1 << c
	}
	if err := all(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	for c := uint(0); c <= lastCapability; c++ {
		if mask&(1<<c) != 0 {
			continue
		}
		// Without CAP_SETPCAP the bounding set stays; no_new_privs holds instead.
		if err := all(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
		}
	}
	if name != "" {
		if err := become(name); err != nil {
			return err
		}
	}
	if err := all(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	return restrict(mask)
}

// become changes user and groups, and keeps the permitted capabilities.
func become(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("user %q is neither a name nor an id here", name)
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("user %q: id %q: %w", name, u.Uid, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return fmt.Errorf("user %q: group %q: %w", name, u.Gid, err)
	}
	if err := all(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	// The calls of package syscall are those that act on all threads.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave groups: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("become group %d: %w", gid, err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("become user %d: %w", uid, err)
	}
	return nil
}

// restrict sets the permitted and effective capabilities to those of mask that are
// permitted now, and the inheritable ones to none.
func restrict(mask uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for i := range data {
		have := data[i].Permitted & uint32(mask>>(32*i))
		data[i] = unix.CapUserData{Permitted: have, Effective: have}
	}
	if err := all(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	return nil
}

// all makes a system call in every thread. Threads that C has started are beyond
// its reach, so a program that is linked with C is refused. Pointers among the
// arguments must not move meanwhile.
//
//go:uintptrescapes
func all(number, a, b, c uintptr) error {
	switch _, _, errno := syscall.AllThreadsSyscall6(number, a, b, c, 0, 0, 0); errno {
	case 0:
		return nil
	case unix.ENOTSUP:
		return fmt.Errorf("this program was built with cgo, build it with CGO_ENABLED=0: %w", errno)
	default:
		return errno
	}
}
