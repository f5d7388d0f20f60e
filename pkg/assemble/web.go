package assemble

import (
	"bytes"

	"trench/pkg/httpwire"
)

// webState is what is kept of an HTTP/1 connection besides its header sections.
type webState struct {
	side [2]struct {
		scanner httpwire.Scanner
		heads   []byte // kept before a tunnel
	}
	asked   requests
	written bool // by the pool, for no other use
}

// scan keeps the header sections of HTTP/1 messages. Their bodies are application
// data and not kept.
func (h *head) scan(c *conn, t *Table, side int, data []byte, time int64) {
	w := c.data.web
	if w == nil {
		w = t.pool.web()
		c.data.web = w
	}
	for len(data) > 0 {
		n, part := w.side[side].scanner.Next(data)
		switch part {
		case httpwire.End:
			h.state = headClosed
			if c.tunnel {
				h.passOn(c, t, side, data, time)
			}
			return
		case httpwire.Head, httpwire.HeadEnd:
			if !h.keep(t, data[:n]) {
				h.state = headClosed
				return
			}
		}
		data = data[n:]
		if part == httpwire.HeadEnd {
			message := h.kept[h.start:]
			w.side[side].scanner.Begin(message, w.asked.next(message))
			h.start = uint32(len(h.kept))
			if c.tunnelled(message) {
				h.passOn(c, t, side, data, time)
				return
			}
		}
	}
}

// passOn puts the header sections aside, and looks for TLS in what follows them.
func (h *head) passOn(c *conn, t *Table, side int, data []byte, time int64) {
	c.data.web.side[side].heads, h.kept = h.kept, nil
	h.watchFor(t, startTLSBytes)
	if len(data) > 0 {
		h.watch(c, t, side, data, time)
	}
}

// requests tells which response is one to HEAD, and so has no body whatever its
// header says. Of requests that are not answered yet it knows the last 64.
type requests struct {
	sent, answered uint8
	head           uint64 // a bit for each, by its number
}

// next enters the header section of a message, and reports whether it is a final
// response to HEAD.
func (r *requests) next(message []byte) (toHEAD bool) {
	status := httpwire.Status(message)
	switch {
	case status == 0:
		bit := uint64(1) << (r.sent % 64)
		r.head &^= bit
		if bytes.HasPrefix(message, []byte("HEAD ")) {
			r.head |= bit
		}
		r.sent++
	case status >= 200:
		toHEAD = r.head>>(r.answered%64)&1 == 1
		r.answered++
	}
	return toHEAD
}

// tunnelled reports whether what follows the header section of a message is another
// protocol: the request was CONNECT, and the proxy agreed (RFC 9110, section 9.3.6),
// or the server switches (section 15.2.2).
func (c *conn) tunnelled(head []byte) bool {
	if bytes.HasPrefix(head, []byte("CONNECT ")) {
		c.tunnel = true
		return true
	}
	switch status := httpwire.Status(head); {
	case status == 101:
		c.tunnel = true
		return true
	default:
		return c.tunnel && status/100 == 2
	}
}
