package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// The ends of tunnels.
var (
	outer4a = netip.MustParseAddrPort("203.0.113.1:40000")
	outer4b = netip.MustParseAddrPort("203.0.113.9:0")
	outer6a = netip.MustParseAddrPort("[2001:db8:f::1]:40000")
	outer6b = netip.MustParseAddrPort("[2001:db8:f::9]:0")
)

// u16 and u32 are values in network order.
func u16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// join puts headers in front of each other. A new slice each time, so that no two packets share memory.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// overUDP carries a payload to a well-known port.
func overUDP(port uint16, payload []byte) []byte {
	return pcapgen.UDP(outer4a, netip.AddrPortFrom(outer4b.Addr(), port), payload)
}

func overIP(proto byte, payload []byte) []byte {
	return pcapgen.IP(outer4a.Addr(), outer4b.Addr(), proto, payload)
}

func overIP6(proto byte, payload []byte) []byte {
	return pcapgen.IP(outer6a.Addr(), outer6b.Addr(), proto, payload)
}

// ethernet puts an Ethernet header of any type in front of a payload.
func ethernet(typ uint16, payload []byte) []byte { return join(make([]byte, 12), u16(typ), payload) }

func vxlan(vni uint32, frame []byte) []byte { return join([]byte{8, 0, 0, 0}, u32(vni<<8), frame) }

func gtpu(teid uint32, ip []byte) []byte {
	return join([]byte{0x30, 255}, u16(uint16(len(ip))), u32(teid), ip)
}

// hello is a segment from client to server, with payload.
func hello(from, to netip.AddrPort) []byte {
	return pcapgen.Segment{Src: from, Dst: to, Seq: 7, Ack: 9, Flags: pcapgen.PSH | pcapgen.ACK, Payload: []byte("hello")}.IP()
}

func raw(data []byte) *pcap.Packet {
	return &pcap.Packet{Time: 42, Data: data, WireLen: uint32(len(data)), Link: pcap.LinkRaw}
}

// ends returns the sender and the receiver of a view.
func (v *View) ends() (src, dst netip.AddrPort) {
	a, b := v.Key.Ends()
	if !v.Forward {
		a, b = b, a
	}
	return a, b
}

// tally keeps the books of a Decoder's packets.
type tally struct {
	read, inFlows, notIP, malformed, refused uint64
}

func (c *tally) count(o Outcome, v *View) {
	c.read++
	switch o {
	case OK:
		c.inFlows += uint64(v.Packets)
	case NotIP:
		c.notIP++
	case Malformed:
		c.malformed++
	case Refused:
		c.refused++
	}
}

// check demands that every packet is in exactly one place.
func (c *tally) check(tb testing.TB, d *Decoder) {
	tb.Helper()
	s := d.Stats()
	if sum := c.inFlows + c.notIP + c.malformed + c.refused + s.Dropped.Total() + s.Held; sum != c.read {
		tb.Errorf("%d packets read, %d accounted for: %+v, %+v", c.read, sum, *c, s)
	}
}
