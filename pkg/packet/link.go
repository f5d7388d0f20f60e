package packet

import (
	"encoding/binary"

	"trench/pkg/pcap"
)

const (
	etherIPv4     = 0x0800
	etherIPv6     = 0x86dd
	etherVLAN     = 0x8100
	etherQinQ     = 0x88a8
	etherOld      = 0x9100 // QinQ before 802.1ad
	etherMPLS     = 0x8847
	etherMPLSUp   = 0x8848 // with a label that the upstream router chose
	etherPPPoE    = 0x8864 // the session stage; discovery carries no IP
	etherPPP      = 0x880b // in GRE
	etherEthernet = 0x6558 // in GRE and GENEVE
	etherLengths  = 0x0600 // smaller values are lengths of 802.3
)

func (d *Decoder) link(v *View, link pcap.LinkType, b []byte, wire int) Outcome {
	switch link {
	case pcap.LinkEthernet:
		return d.ethernet(v, b, wire)
	case pcap.LinkSLL:
		if len(b) < 16 {
			return Malformed
		}
		return d.cooked(v, binary.BigEndian.Uint16(b[14:]), b[16:], wire-16)
	case pcap.LinkSLL2:
		if len(b) < 20 {
			return Malformed
		}
		return d.cooked(v, binary.BigEndian.Uint16(b), b[20:], wire-20)
	case pcap.LinkRaw, pcap.LinkRawBSD, pcap.LinkRawOpenBSD, pcap.LinkIPv4, pcap.LinkIPv6:
		return d.rawIP(v, b, wire)
	case pcap.LinkNull, pcap.LinkLoop:
		if len(b) < 4 {
			return Malformed
		}
		// The family is in the byte order of the capturing host and its
		// number for IPv6 differs by system, so IP's own version decides.
		if f := binary.LittleEndian.Uint32(b); !isFamily(f) && !isFamily(binary.BigEndian.Uint32(b)) {
			return NotIP
		}
		return d.rawIP(v, b[4:], wire-4)
	case pcap.LinkPPP, pcap.LinkPPPHDLC:
		if len(b) > 0 && (b[0] == 0x0f || b[0] == 0x8f) {
			return d.ciscoHDLC(v, b, wire)
		}
		return d.ppp(v, b, wire)
	case pcap.LinkPPPEther:
		return d.pppoe(v, b, wire)
	case pcap.LinkPPPWithDir:
		if len(b) < 1 {
			return Malformed
		}
		return d.ppp(v, b[1:], wire-1)
	case pcap.LinkCiscoHDLC:
		return d.ciscoHDLC(v, b, wire)
	case pcap.LinkFDDI:
		if len(b) < 13 {
			return Malformed
		}
		if b[0]&0xf0 != 0x50 { // LLC frames only
			return NotIP
		}
		return d.llc(v, b[13:], wire-13)
	case pcap.LinkPFLog:
		if len(b) < 4 {
			return Malformed
		}
		head := (int(b[0]) + 3) &^ 3
		if head < 4 || head > len(b) {
			return Malformed
		}
		if !isFamily(uint32(b[1])) {
			return NotIP
		}
		return d.rawIP(v, b[head:], wire-head)
	case pcap.LinkPPI:
		if len(b) < 8 {
			return Malformed
		}
		head, inner := int(binary.LittleEndian.Uint16(b[2:])), pcap.LinkType(binary.LittleEndian.Uint32(b[4:]))
		if head < 8 || head > len(b) {
			return Malformed
		}
		if inner == pcap.LinkPPI {
			return NotIP
		}
		return d.link(v, inner, b[head:], wire-head)
	case pcap.LinkIEEE80211:
		return d.wifi(v, b, wire, 0)
	case pcap.LinkRadiotap:
		return d.radiotap(v, b, wire)
	case pcap.LinkPrism, pcap.LinkAVS:
		return d.prism(v, b, wire)
	}
	return Refused
}

// isFamily knows AF_INET and the AF_INET6 of Linux, BSD, macOS and Windows.
func isFamily(f uint32) bool {
	switch f {
	case 2, 10, 23, 24, 28, 30:
		return true
	}
	return false
}

func (d *Decoder) rawIP(v *View, b []byte, wire int) Outcome {
	if len(b) == 0 {
		return Malformed
	}
	switch b[0] >> 4 {
	case 4:
		return d.ipv4(v, b, wire)
	case 6:
		return d.ipv6(v, b, wire)
	}
	return NotIP
}

func (d *Decoder) ethernet(v *View, b []byte, wire int) Outcome {
	if len(b) < 14 {
		return Malformed
	}
	t, b := binary.BigEndian.Uint16(b[12:]), b[14:]
	if t == etherIPv4 {
		return d.ipv4(v, b, wire-14)
	}
	return d.etherType(v, t, b, wire-14)
}

// cooked decodes what follows the header of a cooked capture.
func (d *Decoder) cooked(v *View, t uint16, b []byte, wire int) Outcome {
	switch {
	case t == 4:
		return d.llc(v, b, wire)
	case t < etherLengths:
		return NotIP
	}
	return d.etherType(v, t, b, wire)
}

func (d *Decoder) etherType(v *View, t uint16, b []byte, wire int) Outcome {
	for {
		switch t {
		case etherIPv4:
			return d.ipv4(v, b, wire)
		case etherIPv6:
			return d.ipv6(v, b, wire)
		case etherVLAN, etherQinQ, etherOld:
			if len(b) < 4 {
				return Malformed
			}
			v.addVLAN(binary.BigEndian.Uint16(b) & 0x0fff)
			t, b, wire = binary.BigEndian.Uint16(b[2:]), b[4:], wire-4
		case etherPPPoE:
			return d.pppoe(v, b, wire)
		case etherMPLS, etherMPLSUp:
			return d.mpls(v, b, wire)
		default:
			if t >= etherLengths {
				return NotIP
			}
			if n := int(t); n < wire {
				b, wire = b[:min(n, len(b))], n
			}
			return d.llc(v, b, wire)
		}
	}
}

// llc decodes an 802.2 header, mostly followed by a SNAP header with an EtherType:
//
//	DSAP aa | SSAP aa | control 03 | organisation (3) | EtherType (2)
func (d *Decoder) llc(v *View, b []byte, wire int) Outcome {
	if len(b) < 3 {
		return Malformed
	}
	switch {
	case b[0] == 6 && b[1] == 6 && b[2] == 3: // the service access point of IP
		return d.rawIP(v, b[3:], wire-3)
	case b[0] != 0xaa || b[1] != 0xaa || b[2] != 3:
		return NotIP
	case len(b) < 8:
		return Malformed
	}
	t := binary.BigEndian.Uint16(b[6:])
	if b[3] != 0 || b[4] != 0 || b[5] != 0 && b[5] != 0xf8 || t < etherLengths { // f8: 802.1H
		return NotIP
	}
	return d.etherType(v, t, b[8:], wire-8)
}

// pppoe decodes a session packet (RFC 2516):
//
//	version and type 11 | code 00 | session (2) | length (2) | PPP …
func (d *Decoder) pppoe(v *View, b []byte, wire int) Outcome {
	if len(b) < 6 {
		return Malformed
	}
	if b[0] != 0x11 || b[1] != 0 {
		return NotIP
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	b, wire = b[6:], wire-6
	if d.strict && n > wire {
		return Malformed
	}
	if n < wire {
		b, wire = b[:min(n, len(b))], n
	}
	return d.ppp(v, b, wire)
}

// ppp decodes a PPP frame (RFC 1661) with or without address and control field, the protocol
// in one or two bytes.
func (d *Decoder) ppp(v *View, b []byte, wire int) Outcome {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b, wire = b[2:], wire-2
	}
	if len(b) < 2 {
		return Malformed
	}
	proto, head := uint16(b[0]), 1
	if proto&1 == 0 {
		proto, head = binary.BigEndian.Uint16(b), 2
	}
	b, wire = b[head:], wire-head
	switch proto {
	case 0x0021:
		return d.ipv4(v, b, wire)
	case 0x0057:
		return d.ipv6(v, b, wire)
	case 0x0281, 0x0283:
		return d.mpls(v, b, wire)
	}
	return NotIP
}

// ciscoHDLC decodes: address 0f or 8f | control 00 | EtherType (2).
func (d *Decoder) ciscoHDLC(v *View, b []byte, wire int) Outcome {
	if len(b) < 4 {
		return Malformed
	}
	if b[0] != 0x0f && b[0] != 0x8f {
		return NotIP
	}
	t := binary.BigEndian.Uint16(b[2:])
	if t < etherLengths {
		return NotIP
	}
	return d.etherType(v, t, b[4:], wire-4)
}

// mpls skips the labels (RFC 3032). What they carry has no type of its own: it is
// IP when it begins like a valid IP header, else an Ethernet pseudowire, with
// or without a control word (RFC 4448), when there is IP in that.
func (d *Decoder) mpls(v *View, b []byte, wire int) Outcome {
	for bottom := false; !bottom; b, wire = b[4:], wire-4 {
		if len(b) < 4 {
			return Malformed
		}
		bottom = b[2]&1 != 0
	}
	if len(b) == 0 {
		return Malformed
	}
	version := b[0] >> 4
	switch {
	case version == 4 && fits4(b, wire):
		return d.ipv4(v, b, wire)
	case version == 6 && fits6(b, wire):
		return d.ipv6(v, b, wire)
	}
	if d.depth >= d.cfg.Nesting {
		d.stats.TooDeep++
		return NotIP
	}
	m := d.mark(v)
	for skip := 4; skip >= 0; skip -= 4 {
		if skip > 0 && (version != 0 || len(b) < skip) {
			continue // no control word
		}
		d.depth++
		d.strict = true
		if o := d.ethernet(v, b[skip:], wire-skip); o == OK || o == Held {
			d.leave(&m)
			return o
		}
		d.restore(v, &m)
	}
	if version == 4 || version == 6 {
		return Malformed
	}
	return NotIP
}

// fits4 reports whether b looks like an IPv4 packet within wire bytes.
func fits4(b []byte, wire int) bool {
	if len(b) < 20 || b[0]&15 < 5 {
		return false
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	return total <= wire && (total == 0 || total >= int(b[0]&15)*4)
}

// fits6 reports whether b looks like an IPv6 packet within wire bytes.
func fits6(b []byte, wire int) bool {
	return len(b) >= 40 && int(binary.BigEndian.Uint16(b[4:]))+40 <= wire
}
