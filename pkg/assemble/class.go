package assemble

import (
	"math"

	"trench/pkg/packet"
)

// class groups flows that share a time-out and a rank when room is needed: the
// protocol in the upper bits, and whether both sides have taken part in the lowest.
type class uint8

const (
	classTCP class = 2 * iota
	classUDP
	classSCTP
	classICMP
	classOther
	classClosing
	classes = classClosing + 1

	// establishedBit is set once both sides have sent, and TCP's handshake, as
	// far as it was seen, is complete.
	establishedBit class = 1
)

func (c class) halfOpen() bool { return c < classClosing && c&establishedBit == 0 }

func (c class) established() class { return c | establishedBit }

func classOf(protocol uint16) class {
	switch protocol {
	case packet.ProtocolTCP:
		return classTCP
	case packet.ProtocolUDP:
		return classUDP
	case packet.ProtocolSCTP:
		return classSCTP
	case packet.ProtocolICMP, packet.ProtocolICMPv6:
		return classICMP
	}
	return classOther
}

// idleTimes returns the time-out of every class in ns.
func idleTimes(cfg Config) (idle [classes]int64) {
	for c, d := range map[class]int64{
		classTCP: int64(cfg.TCPIdle), classUDP: int64(cfg.UDPIdle), classSCTP: int64(cfg.SCTPIdle),
		classICMP: int64(cfg.ICMPIdle), classOther: int64(cfg.OtherIdle),
	} {
		idle[c], idle[c.established()] = d, d
	}
	idle[classClosing] = int64(cfg.Linger)
	return idle
}

// list holds flows in the order of their last packet.
type list struct{ head, tail *conn }

func (l *list) push(c *conn) {
	c.prev, c.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = c
	} else {
		l.head = c
	}
	l.tail = c
}

func (l *list) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.tail = c.prev
	}
	c.prev, c.next = nil, nil
}

// elapsed returns the time from a to b in ns, and saturates.
func elapsed(a, b int64) int64 {
	d := b - a
	switch {
	case b >= a && d < 0:
		return math.MaxInt64
	case b < a && d >= 0:
		return math.MinInt64 + 1
	}
	return d
}
