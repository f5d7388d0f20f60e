package afpacket

import "errors"

// ErrGone is wrapped by errors about an interface that does not exist or is down.
var ErrGone = errors.New("interface is away")

// Stats counts what a ring has seen since it was opened. Each packet that
// passed the filter is in Packets or in Drops.
type Stats struct {
	Packets uint64 // put into the ring
	Drops   uint64 // found no room in it
	Freezes uint64 // times that all blocks were full
	Broken  uint64 // announced by a block and not found in it
	Outages uint64 // times that the interface went away
}
