package filter

import (
	"fmt"

	"golang.org/x/net/bpf"

	"trench/pkg/pcap"
)

const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherRARP  = 0x8035
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherOld   = 0x9100
	etherMPLS  = 0x8847
	etherPPPoE = 0x8864
	etherPPPoD = 0x8863
	// maxLength is the largest type that is a length (IEEE 802.3).
	maxLength = 1500
)

const (
	jumpEqual          = bpf.JumpEqual
	jumpGreater        = bpf.JumpGreaterThan
	jumpGreaterOrEqual = bpf.JumpGreaterOrEqual
	jumpBits           = bpf.JumpBitsSet
)

// naming says how the link tells what it carries.
type naming uint8

const (
	byEtherType naming = iota // 16 bits
	byPPP                     // 16 bits with PPP's numbers
	byVersion                 // the IP version
	byFamily                  // an address family in the order of the capturing host
	byMPLS                    // the IP version behind the last label
)

// layout says where headers are. It moves with vlan, mpls and pppoes.
type layout struct {
	link   pcap.LinkType
	naming naming
	typ    uint32 // offset of the type
	net    uint32 // offset of the network header
}

func layoutOf(link pcap.LinkType) (layout, error) {
	l := layout{link: link}
	switch link {
	case pcap.LinkEthernet:
		l.typ, l.net = 12, 14
	case pcap.LinkSLL:
		l.typ, l.net = 14, 16
	case pcap.LinkSLL2:
		l.typ, l.net = 0, 20
	case pcap.LinkRaw, pcap.LinkRawBSD, pcap.LinkRawOpenBSD, pcap.LinkIPv4, pcap.LinkIPv6:
		l.naming = byVersion
	case pcap.LinkNull, pcap.LinkLoop:
		l.naming, l.net = byFamily, 4
	case pcap.LinkPPP:
		l.naming, l.typ, l.net = byPPP, 2, 4
	case pcap.LinkCiscoHDLC:
		l.typ, l.net = 2, 4
	default:
		return l, fmt.Errorf("%w: packets of link type %s can not be filtered", errLink, link)
	}
	return l, nil
}

// carries tests for an EtherType.
func (l *layout) carries(ethertype uint32) node {
	switch l.naming {
	case byPPP:
		switch ethertype {
		case etherIPv4:
			return equal(l.typ, 2, 0x21)
		case etherIPv6:
			return equal(l.typ, 2, 0x57)
		}
		return always(false)
	case byFamily:
		switch ethertype {
		case etherIPv4:
			return or(equal(0, 4, 2), equal(0, 4, 2<<24))
		case etherIPv6:
			return or(equal(0, 4, 24), equal(0, 4, 28), equal(0, 4, 30), equal(0, 4, 24<<24), equal(0, 4, 28<<24), equal(0, 4, 30<<24))
		}
		return always(false)
	case byVersion, byMPLS:
		var n node
		switch ethertype {
		case etherIPv4:
			n = masked(l.net, 1, 0xf0, 0x40)
		case etherIPv6:
			n = masked(l.net, 1, 0xf0, 0x60)
		default:
			return always(false)
		}
		if l.naming == byMPLS {
			n = and(masked(l.net-2, 1, 1, 1), n) // the bottom of the stack
		}
		return n
	}
	return equal(l.typ, 2, ethertype)
}

// named tests for a protocol by its name.
func (l *layout) named(protocol string) (node, error) {
	if t, ok := ethertypes[protocol]; ok {
		return l.carries(t), nil
	}
	t := transports[protocol]
	return l.transport(t.number, t.v4, t.v6), nil
}

// transport tests for a protocol number of IP.
func (l *layout) transport(number uint32, v4, v6 bool) node {
	const fragment = 44
	var out []node
	if v6 {
		out = append(out, and(l.carries(etherIPv6),
			or(equal(l.net+6, 1, number), and(equal(l.net+6, 1, fragment), equal(l.net+40, 1, number)))))
	}
	if v4 {
		out = append(out, and(l.carries(etherIPv4), equal(l.net+9, 1, number)))
	}
	return or(out...)
}

// first tests that an IPv4 packet is no later fragment.
func (l *layout) first() node {
	return not{test{code: []bpf.Instruction{load(l.net+6, 2)}, op: jumpBits, val: 0x1fff}}
}

func (l *layout) ethernet() error {
	if l.link != pcap.LinkEthernet {
		return fmt.Errorf("%w: %s has no Ethernet header", errLink, l.link)
	}
	return nil
}

func (l *layout) group(protocol, what string) (node, error) {
	switch {
	case protocol == "ether" || protocol == "link":
		if err := l.ethernet(); err != nil {
			return nil, err
		}
		if what == "broadcast" {
			return and(equal(2, 4, 0xffffffff), equal(0, 2, 0xffff)), nil
		}
		return test{code: []bpf.Instruction{load(0, 1)}, op: jumpBits, val: 1}, nil
	case protocol == "ip" && what == "multicast":
		return and(l.carries(etherIPv4), test{code: []bpf.Instruction{load(l.net+16, 1)}, op: jumpGreaterOrEqual, val: 224}), nil
	case protocol == "ip6" && what == "multicast":
		return and(l.carries(etherIPv6), equal(l.net+24, 1, 255)), nil
	case protocol == "ip": // the netmask is not known, so those of all networks
		return and(l.carries(etherIPv4), or(equal(l.net+16, 4, 0), equal(l.net+16, 4, 0xffffffff))), nil
	}
	return nil, fmt.Errorf("%q has no %s", protocol, what)
}

func (l *layout) vlan(id *uint32) (node, error) {
	if err := l.ethernet(); err != nil || l.naming != byEtherType {
		if err == nil {
			err = fmt.Errorf("no VLAN tag can be behind MPLS or PPPoE")
		}
		return nil, err
	}
	n := or(equal(l.typ, 2, etherVLAN), equal(l.typ, 2, etherQinQ), equal(l.typ, 2, etherOld))
	if id != nil {
		n = and(n, masked(l.typ+2, 2, 0xfff, *id))
	}
	l.typ += 4
	l.net += 4
	return n, nil
}

func (l *layout) mpls(label *uint32) (node, error) {
	var n node
	switch {
	case l.naming == byMPLS:
		n = masked(l.net-2, 1, 1, 0) // not the bottom of the stack
	case l.naming == byEtherType && (l.link == pcap.LinkEthernet || l.link == pcap.LinkCiscoHDLC):
		n = equal(l.typ, 2, etherMPLS)
	default:
		return nil, fmt.Errorf("%w: %s has no MPLS", errLink, l.link)
	}
	if label != nil {
		n = and(n, masked(l.net, 4, 0xfffff000, *label<<12))
	}
	l.net += 4
	l.naming = byMPLS
	return n, nil
}

func (l *layout) pppoe(what string, session *uint32) (node, error) {
	if l.naming != byEtherType || l.link != pcap.LinkEthernet {
		return nil, fmt.Errorf("%w: %s has no PPPoE", errLink, l.link)
	}
	if what == "pppoed" {
		return equal(l.typ, 2, etherPPPoD), nil
	}
	n := equal(l.typ, 2, etherPPPoE)
	if session != nil {
		n = and(n, equal(l.net+2, 2, *session))
	}
	l.naming, l.typ, l.net = byPPP, l.net+6, l.net+8
	return n, nil
}
