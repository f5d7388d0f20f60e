package main

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"trench/pkg/flow"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// segmentSize is the most payload of a segment that editing makes.
const segmentSize = 1460

// insertion is bytes that come behind the first at bytes of a direction.
type insertion struct {
	at    int
	bytes []byte
}

// plan looks at the beginning of a direction, may overwrite it in place, and
// says what to insert, by rising position.
type plan func(data []byte, rng *rand.Rand) []insertion

// edit carries out a plan in both directions of every connection that it can.
func edit(p plan) change {
	return func(c *capture, rng *rand.Rand) {
		connections := make([]connection, c.connections)
		for i := range c.frames {
			if f := &c.frames[i]; f.connection != none {
				connections[f.connection].add(f)
			}
		}
		for i := range connections {
			for d := range connections[i].streams {
				s := &connections[i].streams[d]
				s.insertions = p(s.data, rng)
			}
		}
		out := make([]frame, 0, len(c.frames))
		for i := range c.frames {
			f := &c.frames[i]
			if f.connection == none || !connections[f.connection].edited() {
				out = append(out, *f)
				continue
			}
			out = connections[f.connection].rewrite(out, f)
		}
		c.frames = out
	}
}

// connection is both directions of a TCP connection, the forward one first.
type connection struct {
	streams [2]stream
	foreign bool // what is not rewritten: other protocols, tunnels, VLANs
}

// stream is one direction: what came whole and in order from its beginning.
type stream struct {
	begun      bool
	base       uint32 // sequence number of the first byte
	data       []byte
	spans      []span
	broken     bool // something is missing, or came twice with more
	insertions []insertion
}

// span is where the payload of a frame lies in the data.
type span struct {
	f          *frame
	start, end int
}

func side(forward bool) int {
	if forward {
		return 0
	}
	return 1
}

func (c *connection) add(f *frame) {
	v := &f.view
	if v.Key.Protocol != packet.ProtocolTCP || v.Key.Tunnel != flow.TunnelNone || v.Key.VLAN != [2]uint16{} || tcpHeader(v) < 0 {
		c.foreign = true
		return
	}
	c.streams[side(v.Forward)].add(f)
}

func (c *connection) edited() bool {
	return !c.foreign && len(c.streams[0].insertions)+len(c.streams[1].insertions) > 0
}

func (s *stream) add(f *frame) {
	v := &f.view
	if !s.begun {
		s.begun, s.base = true, v.Seq
		if v.Flags&packet.SYN != 0 {
			s.base++
		}
	}
	if v.Length == 0 || s.broken {
		return
	}
	start := int(int32(v.Seq - s.base))
	if v.Flags&packet.SYN != 0 {
		start++
	}
	end := start + len(v.Payload)
	switch {
	case start < len(s.data) && end <= len(s.data): // sent again
	case start != len(s.data) || v.Truncated || int(v.Length) != len(v.Payload):
		s.broken = true
	default:
		s.data = append(s.data, v.Payload...)
		s.spans = append(s.spans, span{f, start, end})
	}
}

// shift is how much later a sequence number stands.
func (s *stream) shift(seq uint32) uint32 {
	at, n := int(int32(seq-s.base)), 0
	for _, ins := range s.insertions {
		if ins.at > at {
			break
		}
		n += len(ins.bytes)
	}
	return uint32(n)
}

// payload returns what a frame carries now.
func (s *stream) payload(f *frame) []byte {
	i, ok := slices.BinarySearchFunc(s.spans, f.view.Seq, func(sp span, seq uint32) int { return sp.start - int(int32(seq-s.base)) })
	if !ok || s.spans[i].f != f {
		return f.view.Payload
	}
	at, end := s.spans[i].start, s.spans[i].end
	var out []byte
	for _, ins := range s.insertions {
		if ins.at > at && ins.at <= end {
			out = append(append(out, s.data[at:ins.at]...), ins.bytes...)
			at = ins.at
		}
	}
	return append(out, s.data[at:end]...)
}

// rewrite appends the frames that a frame of the connection becomes, as raw IP.
func (c *connection) rewrite(out []frame, f *frame) []frame {
	v := &f.view
	own, other := &c.streams[side(v.Forward)], &c.streams[side(!v.Forward)]
	head := len(v.IP) - len(v.Payload)
	payload := own.payload(f)
	size := max(segmentSize, len(v.Payload))
	seq := v.Seq + own.shift(v.Seq)
	for {
		n := min(len(payload), size)
		g := *f
		g.Link = pcap.LinkRaw
		g.Data = slices.Concat(v.IP[:head], payload[:n])
		g.WireLen = uint32(len(g.Data)) + v.Length - uint32(len(v.Payload))
		g.view.IP, g.view.Payload, g.view.Length = g.Data, g.Data[head:], uint32(n)+v.Length-uint32(len(v.Payload))
		g.view.Seq = seq
		if v.Key.Version == 4 {
			binary.BigEndian.PutUint16(g.Data[2:], uint16(g.WireLen))
		} else {
			binary.BigEndian.PutUint16(g.Data[4:], uint16(g.WireLen-40))
		}
		tcp := g.Data[tcpHeader(v):]
		binary.BigEndian.PutUint32(tcp[4:], seq)
		if v.Flags&packet.ACK != 0 && other.begun {
			g.view.Ack = v.Ack + other.shift(v.Ack)
			binary.BigEndian.PutUint32(tcp[8:], g.view.Ack)
		}
		payload, seq = payload[n:], seq+uint32(n)
		if len(payload) > 0 {
			tcp[13] &^= packet.FIN | packet.RST | packet.PSH
		}
		out = append(out, g)
		if len(payload) == 0 {
			return out
		}
		f.opens = false
	}
}

// tcpHeader is where the TCP header begins in the view's IP, -1 when it is not
// captured or lies behind IPv6 extension headers.
func tcpHeader(v *packet.View) int {
	at := 40
	switch {
	case len(v.IP) < 20:
		return -1
	case v.Key.Version == 4:
		at = int(v.IP[0]&15) * 4
	case v.IP[6] != packet.ProtocolTCP:
		return -1
	}
	if len(v.IP) < at+20 {
		return -1
	}
	return at
}
