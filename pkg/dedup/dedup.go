// Package dedup finds packets that a mirror port delivered twice.
//
// A duplicate has the same bytes from the IP header on as a packet seen within the
// window of time, but for what routers change on the way: IPv4's time to live and
// header checksum, IPv6's hop limit, and of both the traffic class. What lies
// outside of the IP packet (VLAN, tunnel) does not count: that is where copies
// from two ports differ. A retransmission of the same segment differs in IPv4's
// identification, or comes later than the window.
package dedup

import (
	"errors"
	"fmt"
	"hash/maphash"
	"time"
)

// Config says what is a duplicate.
type Config struct {
	Window  time.Duration `yaml:"window"`  // how much later a copy may come; 0: nothing is a duplicate
	Packets int           `yaml:"packets"` // remembered at most
}

// DefaultConfig returns a window that is off, and the limit of one that is on.
func DefaultConfig() Config { return Config{Packets: 1 << 16} }

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.Window < 0 || c.Window > time.Minute {
		errs = append(errs, fmt.Errorf("window: %s is not within 0 and 1m", c.Window))
	}
	if c.Packets < 1 || c.Packets > 1<<24 {
		errs = append(errs, fmt.Errorf("packets: %d is not within 1 and %d", c.Packets, 1<<24))
	}
	return errors.Join(errs...)
}

// Window remembers the packets of a short time. It is not safe for concurrent use.
type Window struct {
	span   int64 // ns
	seed   maphash.Seed
	last   map[uint64]int64 // time of the packet that the next ones are compared with
	order  []seen           // ring
	oldest int
	forgot uint64
}

type seen struct {
	hash uint64
	time int64
}

// New returns an empty window.
func New(cfg Config) *Window {
	return &Window{span: int64(cfg.Window), seed: maphash.MakeSeed(), last: make(map[uint64]int64), order: make([]seen, 0, cfg.Packets)}
}

// Forgotten is how many packets were given up before their time because of the limit.
func (w *Window) Forgotten() uint64 { return w.forgot }

// Seen reports whether a packet that came at a time (ns) is a copy of one in the
// window, and remembers it if not. ip begins with the IP header.
func (w *Window) Seen(ip []byte, time int64) bool {
	h := w.hash(ip)
	if t, ok := w.last[h]; ok && time-t <= w.span && t-time <= w.span {
		return true
	}
	w.last[h] = time
	s := seen{h, time}
	if len(w.order) < cap(w.order) {
		w.order = append(w.order, s)
		return false
	}
	old := &w.order[w.oldest]
	if t, ok := w.last[old.hash]; ok && t == old.time && old.hash != h {
		delete(w.last, old.hash)
		if time-t <= w.span {
			w.forgot++
		}
	}
	*old = s
	w.oldest = (w.oldest + 1) % len(w.order)
	return false
}

// hash leaves out what routers change.
func (w *Window) hash(ip []byte) uint64 {
	if len(ip) >= 40 && ip[0]>>4 == 6 {
		return maphash.Bytes(w.seed, ip[4:7]) ^ maphash.Bytes(w.seed, ip[8:])
	}
	if len(ip) < 20 {
		return maphash.Bytes(w.seed, ip)
	}
	var head [8]byte
	copy(head[:], ip[2:8])
	head[6] = ip[9]
	return maphash.Bytes(w.seed, head[:]) ^ maphash.Bytes(w.seed, ip[12:])
}
