package filter

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// services are ports with names.
var services = map[string]uint32{
	"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "gopher": 70, "finger": 79,
	"http": 80, "www": 80, "kerberos": 88, "pop3": 110, "sunrpc": 111, "nntp": 119, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139,
	"imap2": 143, "imap": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179, "irc": 194, "ldap": 389, "https": 443, "microsoft-ds": 445, "submissions": 465,
	"isakmp": 500, "syslog": 514, "submission": 587, "ldaps": 636, "domain-s": 853, "ftps": 990, "imaps": 993, "pop3s": 995, "socks": 1080, "openvpn": 1194,
	"l2f": 1701, "l2tp": 1701, "radius": 1812, "nfs": 2049, "mysql": 3306, "ms-wbt-server": 3389, "sip": 5060, "sips": 5061, "xmpp-client": 5222,
	"mdns": 5353, "postgresql": 5432, "amqp": 5672, "redis": 6379, "http-alt": 8080,
}

// value takes a value with its qualifiers.
func (p *parser) value(q qualifiers) (node, error) {
	t := p.tokens[p.i]
	p.i++
	n, err := p.valueOf(q, t.text)
	if err != nil {
		return nil, p.fail(t.at, err)
	}
	return n, nil
}

func (p *parser) valueOf(q qualifiers, text string) (node, error) {
	switch q.typ {
	case "port", "portrange":
		return p.port(q, text)
	case "proto":
		return p.proto(q, text)
	}
	if mac, ok := hardware(text); ok {
		return p.ether(q, mac)
	}
	if strings.Contains(text, ":") {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return nil, fmt.Errorf("%q is no address", text)
		}
		bits := 128
		if p.take("/") {
			n, err := p.number(128)
			if err != nil {
				return nil, err
			}
			bits = int(n)
		}
		return p.address6(q, a.As16(), bits)
	}
	a, octets, ok := dotted(text)
	if !ok {
		return nil, fmt.Errorf("%q is neither an address nor a network; names are not looked up", text)
	}
	mask := ^uint32(0) << (32 - 8*octets)
	switch {
	case p.take("/"):
		n, err := p.number(32)
		if err != nil {
			return nil, err
		}
		mask = uint32(uint64(0xffffffff) << (32 - n))
	case p.take("mask"):
		if !p.isValue() {
			return nil, p.unexpected("a netmask")
		}
		m, n, ok := dotted(p.tokens[p.i].text)
		if !ok || n != 4 {
			return nil, p.unexpected("a netmask")
		}
		p.i++
		mask = m
	case octets < 4 && q.typ == "host":
		return nil, fmt.Errorf("%q is no whole address", text)
	}
	if a&^mask != 0 {
		return nil, fmt.Errorf("%q has bits set behind its netmask", text)
	}
	return p.address4(q, a, mask)
}

// dotted reads an IPv4 address of one to four numbers.
func dotted(s string) (a uint32, octets int, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return 0, 0, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return 0, 0, false
		}
		a |= uint32(n) << (24 - 8*i)
	}
	return a, len(parts), true
}

// hardware reads a MAC address with colons, hyphens or dots between.
func hardware(s string) (mac [6]byte, ok bool) {
	var digits string
	for _, sep := range []string{":", "-", "."} {
		parts := strings.Split(s, sep)
		switch {
		case len(parts) == 6:
			digits = ""
			for _, part := range parts {
				if len(part) == 1 {
					part = "0" + part
				}
				if len(part) != 2 {
					return mac, false
				}
				digits += part
			}
		case len(parts) == 3 && sep == "." && len(s) == 14:
			digits = strings.Join(parts, "")
		}
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 6 {
		return mac, false
	}
	return [6]byte(b), true
}

// direct joins the tests of both ends as a direction says.
func direct(direction string, src, dst node) node {
	switch direction {
	case "src":
		return src
	case "dst":
		return dst
	case "and":
		return and(src, dst)
	}
	return or(src, dst)
}

func (p *parser) address4(q qualifiers, a, mask uint32) (node, error) {
	at := func(off uint32) node {
		if mask == 0xffffffff {
			return equal(off, 4, a)
		}
		return masked(off, 4, mask, a)
	}
	l := &p.lay
	one := func(protocol string) node {
		src, dst := l.net+14, l.net+24 // of ARP
		if protocol == "ip" {
			src, dst = l.net+12, l.net+16
		}
		return and(l.carries(ethertypes[protocol]), direct(q.direction, at(src), at(dst)))
	}
	switch q.protocol {
	case "":
		return or(one("ip"), one("arp"), one("rarp")), nil
	case "ip", "arp", "rarp":
		return one(q.protocol), nil
	}
	return nil, fmt.Errorf("%q goes with no IPv4 address", q.protocol)
}

func (p *parser) address6(q qualifiers, a [16]byte, bits int) (node, error) {
	if q.protocol != "" && q.protocol != "ip6" {
		return nil, fmt.Errorf("%q goes with no IPv6 address", q.protocol)
	}
	at := func(off uint32) node {
		n := node(always(true))
		for i := 0; i < 4; i++ {
			left := min(max(bits-32*i, 0), 32)
			mask := uint32(uint64(0xffffffff) << (32 - left))
			word := binary.BigEndian.Uint32(a[4*i:])
			var w node
			switch mask {
			case 0:
				continue
			case 0xffffffff:
				w = equal(off+uint32(4*i), 4, word)
			default:
				w = masked(off+uint32(4*i), 4, mask, word&mask)
			}
			if i == 0 {
				n = w
			} else {
				n = and(n, w)
			}
		}
		return n
	}
	for i, b := range a {
		if left := min(max(bits-8*i, 0), 8); b&^(0xff<<(8-left)) != 0 {
			return nil, fmt.Errorf("%s has bits set behind its prefix", netip.AddrFrom16(a))
		}
	}
	return and(p.lay.carries(etherIPv6), direct(q.direction, at(p.lay.net+8), at(p.lay.net+24))), nil
}

func (p *parser) ether(q qualifiers, mac [6]byte) (node, error) {
	if q.protocol != "ether" && q.protocol != "link" {
		return nil, fmt.Errorf("an Ethernet address goes behind %q", "ether host")
	}
	if err := p.lay.ethernet(); err != nil {
		return nil, err
	}
	at := func(off uint32) node {
		return and(equal(off+2, 4, binary.BigEndian.Uint32(mac[2:])), equal(off, 2, uint32(binary.BigEndian.Uint16(mac[:]))))
	}
	return direct(q.direction, at(6), at(0)), nil
}

func (p *parser) port(q qualifiers, text string) (node, error) {
	low, high, ok := ports(text, q.typ == "portrange")
	if !ok {
		return nil, fmt.Errorf("expected a %s after %q, found %q", q.typ, q.typ, text)
	}
	var protocols []uint32
	switch q.protocol {
	case "":
		protocols = []uint32{transports["sctp"].number, transports["tcp"].number, transports["udp"].number}
	case "tcp", "udp", "sctp":
		protocols = []uint32{transports[q.protocol].number}
	default:
		return nil, fmt.Errorf("%q has no ports", q.protocol)
	}
	l := &p.lay
	within := func(code ...bpf.Instruction) node {
		if low == high {
			return test{code: code, op: jumpEqual, val: low}
		}
		return and(test{code: code, op: jumpGreaterOrEqual, val: low}, not{test{code: code, op: jumpGreater, val: high}})
	}
	is := func(off uint32) node {
		var any []node
		for _, n := range protocols {
			any = append(any, equal(off, 1, n))
		}
		return or(any...)
	}
	v4 := func(off uint32) node {
		return within(bpf.LoadMemShift{Off: l.net}, bpf.LoadIndirect{Off: l.net + off, Size: 2})
	}
	return or(
		and(l.carries(etherIPv6), is(l.net+6), direct(q.direction, within(load(l.net+40, 2)), within(load(l.net+42, 2)))),
		and(l.carries(etherIPv4), is(l.net+9), l.first(), direct(q.direction, v4(0), v4(2))),
	), nil
}

// ports reads a port or a range of them.
func ports(text string, isRange bool) (low, high uint32, ok bool) {
	if low, ok = port(text); ok {
		return low, low, true
	}
	if !isRange {
		return 0, 0, false
	}
	for i := range text {
		if text[i] != '-' {
			continue
		}
		low, ok1 := port(text[:i])
		high, ok2 := port(text[i+1:])
		if ok1 && ok2 {
			return min(low, high), max(low, high), true
		}
	}
	return 0, 0, false
}

func port(text string) (uint32, bool) {
	if n, err := strconv.ParseUint(text, 0, 16); err == nil {
		return uint32(n), true
	}
	n, ok := services[text]
	return n, ok
}

// protocolNumbers are names behind "proto" that are no keywords.
var protocolNumbers = map[string]uint32{"ipip": 4, "ipencap": 4, "egp": 8, "igp": 9, "ipv6": 41, "rsvp": 46, "gre": 47, "ipv6-icmp": 58, "ospf": 89, "eigrp": 88}

func (p *parser) proto(q qualifiers, text string) (node, error) {
	number := func() (uint32, bool) {
		if n, err := strconv.ParseUint(text, 0, 8); err == nil {
			return uint32(n), true
		}
		if t, ok := transports[text]; ok {
			return t.number, true
		}
		n, ok := protocolNumbers[text]
		return n, ok
	}
	if q.direction != "" {
		return nil, fmt.Errorf("%q has no direction", "proto")
	}
	switch q.protocol {
	case "ether", "link":
		if t, ok := ethertypes[text]; ok {
			return p.lay.carries(t), nil
		}
		n, err := strconv.ParseUint(text, 0, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no protocol of the link", text)
		}
		if n <= maxLength && p.lay.naming == byEtherType { // a length: IEEE 802.2, whose first byte names the protocol
			length := not{test{code: []bpf.Instruction{load(p.lay.typ, 2)}, op: jumpGreater, val: maxLength}}
			return and(length, equal(p.lay.net, 1, uint32(n))), nil
		}
		return p.lay.carries(uint32(n)), nil
	case "", "ip", "ip6":
		n, ok := number()
		if !ok {
			return nil, fmt.Errorf("%q is no protocol of IP", text)
		}
		return p.lay.transport(n, q.protocol != "ip6", q.protocol != "ip"), nil
	}
	return nil, fmt.Errorf("%q has no protocols in it", q.protocol)
}
