package wire

import (
	"fmt"
	"net/netip"

	"trench/pkg/flow"
)

// check collects the first violation, so that conversions read as plain lists.
type check struct {
	err    error
	size   int    // capacity of the whole message, from which places are counted
	within string // what part of the message is read, empty for the whole
}

func (c *check) fail(field, format string, args ...any) {
	if c.err != nil {
		return
	}
	if c.within != "" {
		field = c.within + "." + field
	}
	c.err = fmt.Errorf("%w: %s: %s", ErrMalformed, field, fmt.Sprintf(format, args...))
}

func (c *check) wrap(name string) error {
	if c.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, c.err)
}

func (c *check) id(b []byte) (id flow.ID) {
	if len(b) != len(id) {
		c.fail("flow_id", "%d bytes, want %d", len(b), len(id))
		return id
	}
	return flow.ID(b)
}

func (c *check) addr(field string, b []byte) netip.Addr {
	if len(b) == 0 {
		return netip.Addr{}
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		c.fail(field, "%d bytes, want 4 or 16", len(b))
	}
	return a
}

// fits reports whether a list may have n entries.
func (c *check) fits(field string, n, limit int) bool {
	if n > limit {
		c.fail(field, "%d entries, the limit is %d", n, limit)
	}
	return n <= limit
}

func (c *check) u8(field string, v uint32) uint8 {
	if v > 0xff {
		c.fail(field, "%d does not fit 8 bits", v)
	}
	return uint8(v)
}

func (c *check) u16(field string, v uint32) uint16 {
	if v > 0xffff {
		c.fail(field, "%d does not fit 16 bits", v)
	}
	return uint16(v)
}
