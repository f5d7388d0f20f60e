// Package pcapgen makes packets and capture files for tests.
package pcapgen

import (
	"encoding/binary"
	"net/netip"
)

// Packet is one frame with its time.
type Packet struct {
	Time int64 // ns since the Unix epoch
	Data []byte
	Wire int // length on the wire, 0 for len(Data)
}

// TCP flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Segment is a TCP segment.
type Segment struct {
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	Flags    byte
	Payload  []byte
}

// IP returns the IP packet of a segment.
func (s Segment) IP() []byte {
	t := make([]byte, 20, 20+len(s.Payload))
	binary.BigEndian.PutUint16(t, s.Src.Port())
	binary.BigEndian.PutUint16(t[2:], s.Dst.Port())
	binary.BigEndian.PutUint32(t[4:], s.Seq)
	binary.BigEndian.PutUint32(t[8:], s.Ack)
	t[12], t[13] = 5<<4, s.Flags
	binary.BigEndian.PutUint16(t[14:], 65535)
	return IP(s.Src.Addr(), s.Dst.Addr(), 6, append(t, s.Payload...))
}

// UDP returns the IP packet of a datagram.
func UDP(src, dst netip.AddrPort, payload []byte) []byte {
	u := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(u, src.Port())
	binary.BigEndian.PutUint16(u[2:], dst.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(payload)))
	return IP(src.Addr(), dst.Addr(), 17, append(u, payload...))
}

// IP puts an IPv4 or IPv6 header in front of a transport segment.
func IP(src, dst netip.Addr, proto byte, body []byte) []byte {
	if src.Is4() {
		h := make([]byte, 20, 20+len(body))
		h[0], h[8], h[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(body)))
		a, b := src.As4(), dst.As4()
		copy(h[12:], a[:])
		copy(h[16:], b[:])
		return append(h, body...)
	}
	h := make([]byte, 40, 40+len(body))
	h[0], h[6], h[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
	a, b := src.As16(), dst.As16()
	copy(h[8:], a[:])
	copy(h[24:], b[:])
	return append(h, body...)
}

// Ethernet puts an Ethernet header with the given VLAN tags in front of an IP packet.
func Ethernet(ip []byte, vlan ...uint16) []byte {
	h := make([]byte, 12, 14+4*len(vlan)+len(ip))
	h[0], h[6] = 2, 2
	for _, id := range vlan {
		h = binary.BigEndian.AppendUint16(h, 0x8100)
		h = binary.BigEndian.AppendUint16(h, id)
	}
	typ := uint16(0x0800)
	if ip[0]>>4 == 6 {
		typ = 0x86dd
	}
	return append(binary.BigEndian.AppendUint16(h, typ), ip...)
}

// Classic is the layout of a pcap file.
type Classic struct {
	Order    binary.ByteOrder
	Nanos    bool
	Modified bool // records with 8 bytes more
	Link     uint32
}

// File writes a pcap file.
func (c Classic) File(packets []Packet) []byte {
	magic := uint32(0xa1b2c3d4)
	switch {
	case c.Nanos:
		magic = 0xa1b23c4d
	case c.Modified:
		magic = 0xa1b2cd34
	}
	b := make([]byte, 24)
	c.Order.PutUint32(b, magic)
	c.Order.PutUint16(b[4:], 2)
	c.Order.PutUint16(b[6:], 4)
	c.Order.PutUint32(b[16:], 1<<18)
	c.Order.PutUint32(b[20:], c.Link)
	for _, p := range packets {
		h := make([]byte, 16)
		frac := p.Time % 1e9
		if !c.Nanos {
			frac /= 1000
		}
		c.Order.PutUint32(h, uint32(p.Time/1e9))
		c.Order.PutUint32(h[4:], uint32(frac))
		c.Order.PutUint32(h[8:], uint32(len(p.Data)))
		c.Order.PutUint32(h[12:], uint32(max(p.Wire, len(p.Data))))
		b = append(b, h...)
		if c.Modified {
			b = append(b, make([]byte, 8)...)
		}
		b = append(b, p.Data...)
	}
	return b
}

// NG writes pcapng blocks.
type NG struct {
	Order binary.ByteOrder
	Bytes []byte
}

// Block appends a block of any type.
func (n *NG) Block(typ uint32, body []byte) {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	total := uint32(12 + len(body))
	n.u32(typ)
	n.u32(total)
	n.Bytes = append(n.Bytes, body...)
	n.u32(total)
}

func (n *NG) u32(v uint32) {
	var b [4]byte
	n.Order.PutUint32(b[:], v)
	n.Bytes = append(n.Bytes, b[:]...)
}

// Section starts a section.
func (n *NG) Section() {
	body := make([]byte, 16)
	n.Order.PutUint32(body, 0x1a2b3c4d)
	n.Order.PutUint16(body[4:], 1)
	for i := range 8 {
		body[8+i] = 0xff
	}
	n.Block(0x0a0d0d0a, body)
}

// Interface describes an interface; resol is the if_tsresol option, -1 for none.
func (n *NG) Interface(link uint16, resol int, offset int64) {
	body := make([]byte, 8)
	n.Order.PutUint16(body, link)
	if resol >= 0 {
		opt := make([]byte, 8)
		n.Order.PutUint16(opt, 9)
		n.Order.PutUint16(opt[2:], 1)
		opt[4] = byte(resol)
		body = append(body, opt...)
	}
	if offset != 0 {
		opt := make([]byte, 12)
		n.Order.PutUint16(opt, 14)
		n.Order.PutUint16(opt[2:], 8)
		n.Order.PutUint64(opt[4:], uint64(offset))
		body = append(body, opt...)
	}
	n.Block(1, body)
}

// Packet appends an enhanced packet block.
func (n *NG) Packet(iface uint32, ticks uint64, data []byte, wire int) {
	body := make([]byte, 20)
	n.Order.PutUint32(body, iface)
	n.Order.PutUint32(body[4:], uint32(ticks>>32))
	n.Order.PutUint32(body[8:], uint32(ticks))
	n.Order.PutUint32(body[12:], uint32(len(data)))
	n.Order.PutUint32(body[16:], uint32(max(wire, len(data))))
	n.Block(6, append(body, data...))
}
