package watch

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// beingWritten reports whether a process of this host has f open for writing.
// Linux refuses a read lease then; where leases are not to be had (another
// owner's file without CAP_LEASE, network file systems) it is false.
func beingWritten(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK) // ends with f at the latest
	}
	return errors.Is(err, unix.EAGAIN)
}
