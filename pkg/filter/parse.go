package filter

import (
	"errors"
	"fmt"
	"strconv"

	"trench/pkg/pcap"
)

// errLink is wrapped by errors about what a link type does not have.
var errLink = errors.New("not for this link type")

// maxDepth bounds what may be inside each other.
const maxDepth = 200

// qualifiers stand before a value.
type qualifiers struct {
	protocol  string
	direction string // src, dst, or, and; empty means either
	typ       string // host, net, port, portrange, proto
}

type parser struct {
	tokens []token
	i      int
	depth  int
	last   qualifiers // of the value before
	lay    layout
	end    int // length of the expression
}

func parse(expr string, link pcap.LinkType) (node, error) {
	tokens, err := lex(expr)
	if err != nil {
		return nil, err
	}
	lay, err := layoutOf(link)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return always(true), nil
	}
	p := &parser{tokens: tokens, lay: lay, end: len(expr)}
	n, err := p.expression()
	if err == nil && p.i < len(p.tokens) {
		err = p.unexpected("the end, and or or")
	}
	return n, err
}

// peek returns the text of a coming operator or plain word, empty at the end and
// for escaped words.
func (p *parser) peek(ahead int) string {
	if p.i+ahead >= len(p.tokens) || p.tokens[p.i+ahead].escaped {
		return ""
	}
	return p.tokens[p.i+ahead].text
}

func (p *parser) take(text string) bool {
	if p.peek(0) == text {
		p.i++
		return true
	}
	return false
}

// positioned is an error with its place in the expression.
type positioned struct {
	at  int
	err error
}

func (e *positioned) Error() string { return fmt.Sprintf("at %d: %v", e.at, e.err) }

func (e *positioned) Unwrap() error { return e.err }

// fail says where an error is, unless that is known.
func (p *parser) fail(at int, err error) error {
	var known *positioned
	if errors.As(err, &known) {
		return err
	}
	return &positioned{at, err}
}

func (p *parser) unexpected(wanted string) error {
	if p.i >= len(p.tokens) {
		return p.fail(p.end, fmt.Errorf("expected %s, found the end", wanted))
	}
	return p.fail(p.tokens[p.i].at, fmt.Errorf("expected %s, found %q", wanted, p.tokens[p.i].text))
}

func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.fail(p.tokens[min(p.i, len(p.tokens)-1)].at, fmt.Errorf("nested more than %d deep", maxDepth))
	}
	return nil
}

func (p *parser) expression() (node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	left, err := p.term()
	for err == nil {
		var right node
		switch p.peek(0) {
		case "and":
			p.i++
			if right, err = p.term(); err == nil {
				left = both{left, right}
			}
		case "or":
			p.i++
			if right, err = p.term(); err == nil {
				left = either{left, right}
			}
		default:
			return left, nil
		}
	}
	return nil, err
}

func (p *parser) term() (node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if p.take("not") {
		n, err := p.term()
		return not{n}, err
	}
	if n, ok, err := p.relation(); ok || err != nil {
		return n, err
	}
	if p.take("(") {
		last := p.last
		n, err := p.expression()
		p.last = last
		if err == nil && !p.take(")") {
			err = p.unexpected(`")"`)
		}
		return n, err
	}
	return p.primitive()
}

// transports are protocols on IP, with their numbers and the versions that a name
// alone stands for.
var transports = map[string]struct {
	number uint32
	v4, v6 bool
}{
	"tcp": {6, true, true}, "udp": {17, true, true}, "sctp": {132, true, true}, "icmp": {1, true, false}, "icmp6": {58, false, true},
	"igmp": {2, true, false}, "igrp": {9, true, false}, "pim": {103, true, true}, "vrrp": {112, true, false}, "carp": {112, true, false},
	"ah": {51, true, true}, "esp": {50, true, true},
}

// ethertypes are the protocols on the link.
var ethertypes = map[string]uint32{"ip": etherIPv4, "ip6": etherIPv6, "arp": etherARP, "rarp": etherRARP}

// unsupported are words of the language for which there is no answer here.
var unsupported = map[string]bool{
	"gateway": true, "protochain": true, "inbound": true, "outbound": true, "ifname": true, "on": true, "rnr": true, "rulenum": true, "reason": true,
	"rset": true, "ruleset": true, "srnr": true, "subrulenum": true, "action": true, "fddi": true, "tr": true, "wlan": true, "decnet": true,
	"atalk": true, "aarp": true, "iso": true, "stp": true, "ipx": true, "netbeui": true, "lat": true, "moprc": true, "mopdl": true, "llc": true,
	"clnp": true, "esis": true, "isis": true, "geneve": true, "vxlan": true, "type": true, "subtype": true, "dir": true, "lane": true, "oam": true,
}

func isProtocol(s string) bool {
	return s == "ether" || s == "link" || ethertypes[s] != 0 || transports[s].number != 0
}

func isType(s string) bool {
	switch s {
	case "host", "net", "port", "portrange", "proto":
		return true
	}
	return false
}

func isKeyword(s string) bool {
	switch s {
	case "and", "or", "not", "src", "dst", "less", "greater", "len", "vlan", "mpls", "pppoes", "pppoed", "broadcast", "multicast", "mask":
		return true
	}
	return isProtocol(s) || isType(s) || unsupported[s]
}

func (p *parser) primitive() (node, error) {
	if p.i >= len(p.tokens) || !p.tokens[p.i].word {
		return nil, p.unexpected("a primitive")
	}
	t := p.tokens[p.i]
	if !t.escaped {
		switch t.text {
		case "less", "greater":
			p.i++
			n, err := p.number(0xffffffff)
			long := test{code: lengthCode(), op: jumpGreater, val: n}
			if t.text == "greater" {
				long.op = jumpGreaterOrEqual
				return long, err
			}
			return not{long}, err
		case "vlan", "mpls", "pppoes", "pppoed":
			p.i++
			n, err := p.encapsulation(t.text)
			if err != nil {
				return nil, p.fail(t.at, err)
			}
			return n, nil
		case "broadcast", "multicast":
			return p.group("ether")
		}
		if unsupported[t.text] {
			return nil, p.fail(t.at, fmt.Errorf("%q is not supported", t.text))
		}
	}
	q, given := qualifiers{}, p.i
	if isProtocol(p.peek(0)) {
		q.protocol = p.peek(0)
		p.i++
		if p.peek(0) == "broadcast" || p.peek(0) == "multicast" {
			return p.group(q.protocol)
		}
	}
	if d := p.peek(0); d == "src" || d == "dst" {
		q.direction = d
		p.i++
		if o, e := p.peek(0), p.peek(1); (o == "or" || o == "and") && (e == "src" || e == "dst") && e != d {
			q.direction = o
			p.i += 2
		}
	}
	if isType(p.peek(0)) {
		q.typ = p.peek(0)
		p.i++
	}
	bare := p.i == given
	switch {
	case p.isValue():
		if bare {
			q = p.last
		}
		p.last = q
		return p.value(q)
	case bare:
		return nil, p.unexpected("a primitive")
	case p.peek(0) == "not" && (q.direction != "" || q.typ != ""):
		p.i++
		if !p.isValue() {
			return nil, p.unexpected("a value")
		}
		p.last = q
		n, err := p.value(q)
		return not{n}, err
	case p.peek(0) == "(" && (q.direction != "" || q.typ != ""):
		p.i++
		p.last = q
		n, err := p.expression()
		if err == nil && !p.take(")") {
			err = p.unexpected(`")"`)
		}
		return n, err
	case q.direction == "" && q.typ == "" && q.protocol != "ether" && q.protocol != "link":
		n, err := p.lay.named(q.protocol)
		if err != nil {
			return nil, p.fail(t.at, err)
		}
		return n, nil
	}
	what := "a value"
	switch q.typ {
	case "host":
		what = "an address"
	case "net":
		what = "a network"
	case "port", "portrange":
		what = "a " + q.typ
	case "proto":
		what = "a protocol"
	}
	return nil, p.unexpected(what + fmt.Sprintf(" after %q", p.tokens[p.i-1].text))
}

// isValue reports whether the next token is a value.
func (p *parser) isValue() bool {
	if p.i >= len(p.tokens) || !p.tokens[p.i].word {
		return false
	}
	return p.tokens[p.i].escaped || !isKeyword(p.tokens[p.i].text)
}

// number takes a number up to a limit.
func (p *parser) number(limit uint32) (uint32, error) {
	if p.i >= len(p.tokens) || !p.tokens[p.i].word {
		return 0, p.unexpected("a number")
	}
	n, err := strconv.ParseUint(p.tokens[p.i].text, 0, 32)
	if err != nil {
		return 0, p.unexpected("a number")
	}
	if n > uint64(limit) {
		return 0, p.fail(p.tokens[p.i].at, fmt.Errorf("%d is above %d", n, limit))
	}
	p.i++
	return uint32(n), nil
}

// group takes broadcast or multicast.
func (p *parser) group(protocol string) (node, error) {
	t := p.tokens[p.i]
	p.i++
	n, err := p.lay.group(protocol, t.text)
	if err != nil {
		return nil, p.fail(t.at, err)
	}
	return n, nil
}

// encapsulation takes the number behind vlan, mpls or pppoes, and moves the layout.
func (p *parser) encapsulation(what string) (node, error) {
	limits := map[string]uint32{"vlan": 0xfff, "mpls": 0xfffff, "pppoes": 0xffff}
	var id *uint32
	if limit, ok := limits[what]; ok && p.i < len(p.tokens) && p.tokens[p.i].word && p.tokens[p.i].text[0] >= '0' && p.tokens[p.i].text[0] <= '9' {
		n, err := p.number(limit)
		if err != nil {
			return nil, err
		}
		id = &n
	}
	switch what {
	case "vlan":
		return p.lay.vlan(id)
	case "mpls":
		return p.lay.mpls(id)
	}
	return p.lay.pppoe(what, id)
}
