//go:build !linux

package privilege

import "errors"

// NetRaw is the capability to open packet sockets.
const NetRaw = 13

// Drop needs Linux.
func Drop(string, ...uint) error { return errors.New("dropping privileges needs Linux") }
