package packet

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// carrier is a packet with a tunnel in it, and what it leads to.
type carrier struct {
	name   string
	ip     []byte
	tunnel string
	tenant uint32 // 0 for none
	any    bool   // some tenant
	v6     bool   // inside
}

// carriers returns one or more packets of each tunnel.
func carriers() []carrier {
	four, six := hello(client4, server4), hello(client6, server6)
	frame4, frame6 := pcapgen.Ethernet(four), pcapgen.Ethernet(six)
	mpls := []byte{0, 1, 0, 64, 0, 2, 1, 64}
	gre := func(flags, proto uint16, rest ...[]byte) []byte {
		return overIP(47, join(u16(flags), u16(proto), join(rest...)))
	}
	seq := u32(7)
	erspan2 := []byte{0x10, 5, 8, 1, 0, 0, 0, 2}
	erspan3 := func(o byte) []byte { return []byte{0x20, 5, 8, 1, 0, 0, 0, 2, 0, 0, 0, o} }
	ppp4, ppp6 := join([]byte{0xff, 3, 0, 0x21}, four), join([]byte{0x57}, six)
	teredo := bytes.Clone(six)
	copy(teredo[8:], []byte{0x20, 1, 0, 0}) // the sender's address is a Teredo one
	n := func(b []byte) []byte { return u16(uint16(len(b))) }
	return []carrier{
		{"IP in IP", overIP(4, four), "ipip", 0, false, false},
		{"IPv4 in IPv6", overIP6(4, four), "ipip", 0, false, false},
		{"IPv6 in IPv6", overIP6(41, six), "ipip", 0, false, true},
		{"6in4", overIP(41, six), "6in4", 0, false, true},
		{"GRE", gre(0, 0x0800, four), "gre", 0, false, false},
		{"GRE with all fields", gre(0xb000, 0x86dd, u32(0xabcd0000), u32(3), seq, six), "gre", 0, false, true},
		{"GRE with routing", gre(0x4000, 0x0800, u32(0), []byte{8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0}, four), "gre", 0, false, false},
		{"GRE with MPLS", gre(0, 0x8847, mpls, six), "gre", 0, false, true},
		{"GRE with Ethernet", gre(0, 0x6558, frame6), "gre", 0, false, true},
		{"NVGRE", gre(0x2000, 0x6558, u32(0x123456<<8|9), frame4), "gre", 0x123456, false, false},
		{"GRE over IPv6", overIP6(47, join(u16(0), u16(0x0800), four)), "gre", 0, false, false},
		{"ERSPAN I", gre(0, 0x88be, frame4), "erspan", 0, false, false},
		{"ERSPAN II", gre(0x1000, 0x88be, seq, erspan2, frame4), "erspan", 0, false, false},
		{"ERSPAN III", gre(0x1000, 0x22eb, seq, erspan3(0), frame6), "erspan", 0, false, true},
		{"ERSPAN III with subheader", gre(0x1000, 0x22eb, seq, erspan3(1), make([]byte, 8), frame4), "erspan", 0, false, false},
		{"PPTP", gre(0x3001, 0x880b, n(ppp4), u16(9), seq, ppp4), "pptp", 0, false, false},
		{"PPTP with acknowledgement", gre(0x3081, 0x880b, n(ppp6), u16(9), seq, seq, ppp6), "pptp", 0, false, true},
		{"VXLAN", overUDP(4789, vxlan(77, frame4)), "vxlan", 77, false, false},
		{"VXLAN at Linux' port", overUDP(8472, vxlan(78, frame6)), "vxlan", 78, false, true},
		{"VXLAN with policy", overUDP(4789, join([]byte{0x88, 0x40, 1, 2}, u32(79<<8), frame4)), "vxlan", 79, false, false},
		{"VXLAN from the port", pcapgen.UDP(netip.AddrPortFrom(outer4b.Addr(), 4789), outer4a, vxlan(77, frame4)), "vxlan", 77, false, false},
		{"VXLAN-GPE", overUDP(4790, join([]byte{0x0c, 0, 0, 3}, u32(80<<8), frame4)), "vxlan-gpe", 80, false, false},
		{"VXLAN-GPE with IPv4", overUDP(4790, join([]byte{0x0c, 0, 0, 1}, u32(81<<8), four)), "vxlan-gpe", 81, false, false},
		{"VXLAN-GPE with IPv6", overUDP(4790, join([]byte{0x0e, 0, 0, 2}, u32(82<<8), six)), "vxlan-gpe", 82, false, true},
		{"VXLAN-GPE with MPLS", overUDP(4790, join([]byte{0x0c, 0, 0, 5}, u32(83<<8), mpls, six)), "vxlan-gpe", 83, false, true},
		{"VXLAN-GPE without P", overUDP(4790, join([]byte{0x08, 0, 0, 0}, u32(84<<8), frame4)), "vxlan-gpe", 84, false, false},
		{"VXLAN-GPE without P, but with a type", overUDP(4790, join([]byte{0x08, 0, 0, 2}, u32(85<<8), six)), "vxlan-gpe", 85, false, true},
		{"GENEVE", overUDP(6081, join([]byte{0, 0, 0x65, 0x58}, u32(90<<8), frame4)), "geneve", 90, false, false},
		{"GENEVE with options", overUDP(6081, join([]byte{3, 0x40, 0x86, 0xdd}, u32(91<<8), []byte{1, 2, 0x80, 1, 9, 9, 9, 9, 1, 3, 0, 0}, six)), "geneve", 91, false, true},
		{"GTP-U", overUDP(2152, gtpu(5, four)), "gtp-u", 0, true, false},
		{"GTP-U with sequence", overUDP(2152, join([]byte{0x32, 255}, u16(uint16(len(six)+4)), u32(6), []byte{0, 1, 0, 0}, six)), "gtp-u", 0, true, true},
		{"GTP-U with extensions", overUDP(2152, join([]byte{0x34, 255}, u16(uint16(len(four)+16)), u32(6),
			[]byte{0, 0, 0, 0x85, 1, 0, 9, 0x40, 2, 1, 2, 3, 4, 5, 6, 0}, four)), "gtp-u", 0, true, false},
		{"Teredo", overUDP(3544, teredo), "teredo", 0, false, true},
		{"Teredo with headers", overUDP(3544, join([]byte{0, 1, 1, 2, 1, 1, 1}, make([]byte, 9), []byte{0, 0, 1, 2, 3, 4, 5, 6}, teredo)), "teredo", 0, false, true},
		{"L2TP", overUDP(1701, join([]byte{0, 2, 0, 1, 0, 2}, ppp4)), "l2tp", 0, false, false},
		{"L2TP with all fields", overUDP(1701, join([]byte{0x4b, 2}, u16(uint16(16+len(ppp6))), []byte{0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 0, 0}, ppp6)), "l2tp", 0, false, true},
		{"L2TPv3 over UDP", overUDP(1701, join([]byte{0, 3, 0, 0}, u32(5), frame4)), "l2tp", 0, false, false},
		{"L2TPv3 with cookie", overIP(115, join(u32(5), []byte{1, 2, 3, 4, 5, 6, 7, 8}, frame6)), "l2tp", 0, false, true},
		{"GRE in VXLAN", overUDP(4789, vxlan(7, pcapgen.Ethernet(gre(0, 0x0800, four)))), "vxlan/gre", 7, false, false},
		{"GTP-U in VXLAN", overUDP(4789, vxlan(7, pcapgen.Ethernet(overUDP(2152, gtpu(9, six))))), "vxlan/gtp-u", 0, true, true},
	}
}

func TestTunnelsLeadToTheInnerFlow(t *testing.T) {
	t.Parallel()
	for _, c := range carriers() {
		var v View
		d := NewDecoder(DefaultConfig())
		frame := pcapgen.Ethernet(c.ip, 12)
		if o := d.Decode(&v, &pcap.Packet{Data: frame, WireLen: uint32(len(frame)), Link: pcap.LinkEthernet}); o != OK {
			t.Errorf("%s: outcome %d", c.name, o)
			continue
		}
		src, dst, length := client4, server4, uint32(45)
		if c.v6 {
			src, dst, length = client6, server6, 65
		}
		a, b := v.ends()
		if c.tunnel == "teredo" {
			a = netip.AddrPortFrom(src.Addr(), a.Port())
		}
		if a != src || b != dst || v.Key.Protocol != ProtocolTCP || v.Key.Tunnel.String() != c.tunnel {
			t.Errorf("%s: %v to %v, protocol %d, tunnel %q", c.name, a, b, v.Key.Protocol, v.Key.Tunnel)
		}
		if v.Key.Tenant != c.tenant && !c.any || c.any && v.Key.Tenant == 0 {
			t.Errorf("%s: tenant %x, want %x", c.name, v.Key.Tenant, c.tenant)
		}
		if v.Bytes != length || string(v.Payload) != "hello" || v.Length != 5 || v.Seq != 7 || v.Window != 65535 || v.Truncated || v.Packets != 1 || v.Key.VLAN != [2]uint16{12} {
			t.Errorf("%s: %+v", c.name, v)
		}
		if d.depth != 0 || d.strict || d.scope != 0 || d.packets != 1 || d.used != 0 {
			t.Errorf("%s: decoder left in depth %d", c.name, d.depth)
		}
	}
}

// TestCutTunnelsStayWithTheOuterFlow cuts each carrier by snap length: as soon as the outer headers are there the packet is never lost.
func TestCutTunnelsStayWithTheOuterFlow(t *testing.T) {
	t.Parallel()
	for _, c := range carriers() {
		inner, outer := 0, 0
		for n := range len(c.ip) + 1 {
			var v View
			p := &pcap.Packet{Data: c.ip[:n:n], WireLen: uint32(len(c.ip)), Link: pcap.LinkRaw}
			o := NewDecoder(DefaultConfig()).Decode(&v, p)
			enough := 20
			if c.ip[0]>>4 == 6 {
				enough = 40
			}
			if c.ip[9] == 17 && enough == 20 {
				enough = 28
			}
			switch {
			case n < enough && o != Malformed || n >= enough && o != OK:
				t.Errorf("%s, %d of %d bytes: outcome %d", c.name, n, len(c.ip), o)
			case o != OK:
			case v.Key.Tunnel == 0:
				if a, _ := v.ends(); inner > 0 || a.Addr() != outer4a.Addr() && a.Addr() != outer6a.Addr() && a.Addr() != outer4b.Addr() || v.Bytes != uint32(len(c.ip)) || v.Key.Tenant != 0 {
					t.Errorf("%s, %d of %d bytes: %+v", c.name, n, len(c.ip), v)
				}
				outer++
			case v.Key.Tunnel.String() == c.tunnel:
				if v.Truncated != (n < len(c.ip)) || v.Length != 5 {
					t.Errorf("%s, %d of %d bytes: %+v", c.name, n, len(c.ip), v)
				}
				inner++
			}
		}
		if inner != 6 || outer == 0 { // 5 bytes of payload, or none of them
			t.Errorf("%s: %d times inside, %d times outside", c.name, inner, outer)
		}
	}
}

func TestWhatIsNoTunnelStaysWithTheOuterFlow(t *testing.T) {
	t.Parallel()
	four, six := hello(client4, server4), hello(client6, server6)
	frame := pcapgen.Ethernet(four)
	arp := ethernet(0x0806, make([]byte, 28))
	long := bytes.Clone(four)
	long[3]++ // a byte longer than what carries it
	options := bytes.Clone(six)
	options[6], options[41] = 60, 200 // destination options beyond the packet
	tcp := pcapgen.Segment{Src: client4, Dst: netip.MustParseAddrPort("203.0.113.9:4789"), Payload: vxlan(7, frame)}.IP()
	for name, ip := range map[string][]byte{
		"ARP in VXLAN":              overUDP(4789, vxlan(7, arp)),
		"VXLAN without I":           overUDP(4789, join([]byte{0, 0, 0, 0}, u32(7<<8), frame)),
		"VXLAN, reserved bits":      overUDP(4789, join([]byte{8, 0, 0, 1}, u32(7<<8), frame)),
		"VXLAN, reserved byte":      overUDP(4789, join([]byte{8, 0, 0, 0}, u32(7<<8|1), frame)),
		"VXLAN over TCP":            tcp,
		"VXLAN of a longer packet":  overUDP(4789, vxlan(7, pcapgen.Ethernet(long))),
		"VXLAN-GPE, OAM":            overUDP(4790, join([]byte{0x0d, 0, 0, 3}, u32(7<<8), frame)),
		"VXLAN-GPE, NSH":            overUDP(4790, join([]byte{0x0c, 0, 0, 4}, u32(7<<8), frame)),
		"GENEVE version 1":          overUDP(6081, join([]byte{0x40, 0, 0x65, 0x58}, u32(7<<8), frame)),
		"GENEVE, options too long":  overUDP(6081, join([]byte{1, 0, 0x65, 0x58}, u32(7<<8), []byte{0, 0, 0, 2}, frame)),
		"GTP echo":                  overUDP(2152, []byte{0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0}),
		"GTP prime":                 overUDP(2152, join([]byte{0x20, 255}, u16(uint16(len(four))), u32(5), four)),
		"GTP-U, length too long":    overUDP(2152, join([]byte{0x30, 255}, u16(uint16(len(four)+1)), u32(5), four)),
		"GTP-U, length too short":   overUDP(2152, join([]byte{0x30, 255}, u16(uint16(len(four)-1)), u32(5), four)),
		"GTP-U, extension of 0":     overUDP(2152, join([]byte{0x34, 255}, u16(uint16(len(four)+8)), u32(5), []byte{0, 0, 0, 0x85, 0, 0, 0, 0}, four)),
		"Teredo to no such address": overUDP(3544, six),
		"Teredo, a byte more":       overUDP(3544, join(six, []byte{0})),
		"L2TP control":              overUDP(1701, join([]byte{0xc8, 2}, u16(uint16(12+len(four))), make([]byte, 8), four)),
		"L2TP, reserved bits":       overUDP(1701, join([]byte{0x10, 2, 0, 1, 0, 2, 0, 0x21}, four)),
		"L2TP without IP":           overUDP(1701, join([]byte{0, 2, 0, 1, 0, 2, 0xff, 3, 0xc0, 0x21, 1, 1, 0, 4})),
		"L2TPv3 without Ethernet":   overIP(115, join(u32(5), four)),
		"L2TPv3 control":            overIP(115, join(u32(0), frame)),
		"GRE version 2":             overIP(47, join([]byte{0, 2, 8, 0}, four)),
		"GRE, reserved bits":        overIP(47, join([]byte{1, 0, 8, 0}, four)),
		"GRE with CDP":              overIP(47, join([]byte{0, 0, 0x20, 0}, four)),
		"ERSPAN II, version 3":      overIP(47, join([]byte{0x10, 0, 0x88, 0xbe}, u32(1), []byte{0x30, 0, 0, 0, 0, 0, 0, 0}, frame)),
		"PPTP acknowledgement":      overIP(47, join([]byte{0x20, 0x81, 0x88, 0x0b}, u16(0), u16(9), u32(1))),
		"IPv6 in protocol 4":        overIP(4, six),
		"IPv4 in protocol 41":       overIP(41, four),
		"IP in IP, longer":          overIP(4, long),
		"IP in IP, empty":           overIP(4, nil),
		"6in4, bad extensions":      overIP(41, options),
		"an empty datagram":         overUDP(4789, nil),
		"random":                    overUDP(8472, bytes.Repeat([]byte{0x45, 0, 0, 8}, 20)),
	} {
		v, o := decode(t, ip, pcap.LinkRaw)
		if o != OK || v.Key.Tunnel != 0 || v.Key.Tenant != 0 || v.Bytes != uint32(len(ip)) {
			t.Errorf("%s: outcome %d, %+v", name, o, v)
		}
		if a, _ := v.Key.Ends(); name != "VXLAN over TCP" && a.Addr() != outer4a.Addr() {
			t.Errorf("%s: not the outer flow: %+v", name, v)
		}
	}
}

// TestMirrorsMayCutFrames has ERSPAN headers that say that the frame is not whole.
func TestMirrorsMayCutFrames(t *testing.T) {
	t.Parallel()
	frame := pcapgen.Ethernet(pcapgen.Segment{Src: client4, Dst: server4, Payload: make([]byte, 1000)}.IP())[:100]
	for name, ip := range map[string][]byte{
		"II":  overIP(47, join([]byte{0x10, 0, 0x88, 0xbe}, u32(1), []byte{0x10, 5, 0x0c, 1, 0, 0, 0, 2}, frame)),
		"III": overIP(47, join([]byte{0x10, 0, 0x22, 0xeb}, u32(1), []byte{0x20, 5, 0x0c, 1, 0, 0, 0, 2, 0, 0, 0, 0}, frame)),
	} {
		v, o := decode(t, ip, pcap.LinkRaw)
		if o != OK || v.Key.Tunnel != flow.TunnelERSPAN || !v.Truncated || v.Length != 1000 || len(v.Payload) != 46 || v.Bytes != 1040 {
			t.Errorf("ERSPAN %s: outcome %d, %+v", name, o, v)
		}
	}
}

// TestTheBooksBalance plays packets, fragments and fragments in tunnels, shuffled,
// repeated, left out and damaged, to a Decoder that has little room.
func TestTheBooksBalance(t *testing.T) {
	t.Parallel()
	var pool [][]byte
	payload := bytes.Repeat([]byte("0123456789"), 200)
	for i, inner := range [][]byte{
		pcapgen.UDP(client4, server4, payload), pcapgen.UDP(client6, server6, payload),
		pcapgen.IP(client4.Addr(), server4.Addr(), ProtocolTCP, payload), // malformed
		overUDP(2152, gtpu(3, pcapgen.UDP(client4, server4, payload))),
		overUDP(4789, vxlan(3, pcapgen.Ethernet(pcapgen.IP(client6.Addr(), server6.Addr(), ProtocolTCP, payload)))),
	} {
		for j, f := range cutIP(inner, uint32(i), 512) {
			for _, ip := range [][]byte{f, overIP(4, f), overUDP(8472, vxlan(uint32(i), pcapgen.Ethernet(f))), overUDP(2152, gtpu(uint32(i), f))} {
				pool = append(pool, ip)
				pool = append(pool, cutIP(ip, uint32(100+8*i+j), 256)...)
			}
		}
	}
	for _, c := range carriers() {
		pool = append(pool, c.ip)
		pool = append(pool, cutIP(c.ip, 7, 32)...)
	}
	cfg := DefaultConfig()
	cfg.FragmentBytes, cfg.FragmentDatagrams, cfg.FragmentAge, cfg.GTPTunnels = minFragmentBytes, 40, 2*time.Second, 8
	d, c := NewDecoder(cfg), tally{}
	rng := rand.New(rand.NewPCG(5, 6))
	var v View
	now := int64(1_700_000_000e9)
	for i := range 100_000 {
		at := rng.IntN(len(pool))
		if i%3 != 0 { // runs make datagrams whole
			at = i % len(pool)
		}
		ip := pool[at]
		if rng.IntN(10) == 0 {
			ip = bytes.Clone(ip)
			ip[rng.IntN(len(ip))] ^= byte(1 << rng.IntN(8))
		}
		now += rng.Int64N(1e8)
		p := raw(ip)
		p.Time = now - rng.Int64N(1e9)
		if rng.IntN(20) == 0 {
			p.Data = p.Data[:rng.IntN(len(p.Data))]
		}
		o := d.Decode(&v, p)
		c.count(o, &v)
		checkView(t, d, &v, p, o)
		if i%500 == 0 {
			d.Expire(now)
		}
		if c.check(t, d); t.Failed() {
			t.Fatalf("packet %d: %x", i, p.Data)
		}
	}
	s := d.Stats()
	t.Logf("%+v, %+v", c, s)
	if s.Reassembled < 1000 || s.Dropped.Expired == 0 || s.Dropped.Bytes+s.Dropped.Datagrams == 0 || s.Dropped.Malformed == 0 || s.Overlaps == 0 || s.GTPForgotten == 0 {
		t.Errorf("not all of it happened: %+v", s)
	}
	d.Flush()
	c.check(t, d)
}

func TestNestingEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	ip := hello(client4, server4)
	var tunnels []string
	for range 6 {
		cfg := DefaultConfig()
		d := NewDecoder(cfg)
		var v View
		if o := d.Decode(&v, raw(ip)); o != OK {
			t.Fatalf("outcome %d", o)
		}
		s := d.Stats()
		tunnels = append(tunnels, v.Key.Tunnel.String())
		if deep := len(tunnels) > cfg.Nesting+1; deep != (s.TooDeep == 1) || deep != (v.Key.Protocol == 4) {
			t.Errorf("%d tunnels: %+v, %+v", len(tunnels)-1, v, s)
		}
		ip = overIP(4, ip)
	}
	t.Log(tunnels)
	// MPLS pseudowires nest too, and end.
	frame := pcapgen.Ethernet(hello(client4, server4))
	for range 3000 {
		frame = ethernet(etherMPLS, join([]byte{0, 1, 1, 64}, frame))
	}
	if v, o := decode(t, frame, pcap.LinkEthernet); o != NotIP {
		t.Errorf("outcome %d, %+v", o, v)
	}
}

func TestTenantsAndTagsTellFlowsApart(t *testing.T) {
	t.Parallel()
	frame := pcapgen.Ethernet(hello(client4, server4), 3, 0, 4, 5)
	keys := map[flow.Key]string{}
	for name, p := range map[string][]byte{
		"plain":      frame,
		"VXLAN 1":    pcapgen.Ethernet(overUDP(4789, vxlan(1, frame)), 9),
		"VXLAN 2":    pcapgen.Ethernet(overUDP(4789, vxlan(2, frame)), 9),
		"VXLAN 1 10": pcapgen.Ethernet(overUDP(4789, vxlan(1, frame)), 10),
		"GENEVE 1":   pcapgen.Ethernet(overUDP(6081, join([]byte{0, 0, 0x65, 0x58}, u32(1<<8), frame)), 9),
		"2 in 1":     pcapgen.Ethernet(overUDP(4789, vxlan(1, pcapgen.Ethernet(overUDP(4789, vxlan(2, frame))))), 9),
		"1 in 2":     pcapgen.Ethernet(overUDP(4789, vxlan(2, pcapgen.Ethernet(overUDP(4789, vxlan(1, frame))))), 9),
	} {
		v, o := decode(t, p, pcap.LinkEthernet)
		if o != OK {
			t.Errorf("%s: outcome %d", name, o)
		}
		if other, ok := keys[v.Key]; ok {
			t.Errorf("%s and %s have one key: %+v", name, other, v.Key)
		}
		keys[v.Key] = name
		want := [2]uint16{9, 3}
		switch name {
		case "plain":
			want = [2]uint16{3, 4}
		case "VXLAN 1 10":
			want[0] = 10
		}
		if v.Key.VLAN != want {
			t.Errorf("%s: VLAN %v, want %v", name, v.Key.VLAN, want)
		}
	}
}

// TestFragmentsOfTunnelsAndInTunnels cuts the outer and the inner packet, and both.
func TestFragmentsOfTunnelsAndInTunnels(t *testing.T) {
	t.Parallel()
	payload := bytes.Repeat([]byte("0123456789"), 300)
	inner := pcapgen.Segment{Src: client6, Dst: server6, Payload: payload}.IP()
	d, c := NewDecoder(DefaultConfig()), tally{}
	var v View
	feed := func(ips ...[]byte) (last Outcome) {
		for _, ip := range ips {
			last = d.Decode(&v, raw(ip))
			c.count(last, &v)
			c.check(t, d)
		}
		return last
	}
	wrap := func(vni uint32, ips ...[]byte) (out [][]byte) {
		for _, ip := range ips {
			out = append(out, overUDP(4789, vxlan(vni, pcapgen.Ethernet(ip))))
		}
		return out
	}
	check := func(name string, o Outcome, packets uint32) {
		t.Helper()
		if o != OK || !bytes.Equal(v.Payload, payload) || v.Packets != packets || v.Key.Tunnel != flow.TunnelVXLAN || v.Key.Tenant != 7 {
			t.Errorf("%s: outcome %d, %d packets, tunnel %v, tenant %d, %d bytes", name, o, v.Packets, v.Key.Tunnel, v.Key.Tenant, len(v.Payload))
		}
	}
	check("outer", feed(cutIP(wrap(7, inner)[0], 1, 1024)...), 4)
	check("inner", feed(wrap(7, cutIP(inner, 1, 1024)...)...), 3)
	var both [][]byte
	for i, ip := range wrap(7, cutIP(inner, 2, 1024)...) {
		both = append(both, cutIP(ip, uint32(10+i), 512)...)
	}
	check("both", feed(both...), uint32(len(both)))
	// Two tenants' datagrams do not complete each other.
	one, two := wrap(7, cutIP(inner, 3, 2048)...), wrap(8, cutIP(inner, 3, 2048)...)
	if o := feed(one[0], two[1]); o != Held {
		t.Errorf("tenants mix: outcome %d", o)
	}
	check("after the other tenant", feed(one[1]), 2)
	// A malformed datagram inside: the last packet goes to the outer flow, the others are dropped.
	bad := pcapgen.IP(client4.Addr(), server4.Addr(), 6, make([]byte, 64))
	before := d.Stats().Dropped.Malformed
	if o := feed(wrap(7, cutIP(bad, 4, 16)...)...); o != OK || v.Key.Tunnel != 0 || v.Packets != 1 || d.Stats().Dropped.Malformed != before+3 {
		t.Errorf("outcome %d, %+v, %+v", o, v, d.Stats())
	}
	// A malformed inside of an outer packet in fragments: all of them go to the outer flow.
	if o := feed(cutIP(wrap(7, bad)[0], 5, 48)...); o != OK || v.Key.Tunnel != 0 || v.Packets != 3 {
		t.Errorf("outcome %d, %+v", o, v)
	}
	d.Flush()
	c.check(t, d)
}

func FuzzTunnels(f *testing.F) {
	for _, c := range carriers() {
		f.Add(c.ip[9], c.ip[20:], uint8(0))
	}
	f.Fuzz(func(t *testing.T, proto byte, body []byte, cut uint8) {
		body = body[:min(len(body), 2000)]
		ip := overIP(proto, body)
		n := len(ip) - min(int(cut), len(ip))
		d, c := NewDecoder(DefaultConfig()), tally{}
		var v View
		for range 2 { // again, with what the first one left behind
			p := &pcap.Packet{Data: ip[:n:n], WireLen: uint32(len(ip)), Link: pcap.LinkRaw}
			o := d.Decode(&v, p)
			c.count(o, &v)
			checkView(t, d, &v, p, o)
			if n >= 48 && o == Malformed && proto != ProtocolTCP {
				t.Errorf("a packet with whole outer headers is lost: %+v", v)
			}
		}
		d.Flush()
		c.check(t, d)
	})
}

func (v *View) equal(w *View) bool {
	return v.Key == w.Key && v.Time == w.Time && v.Forward == w.Forward && v.Truncated == w.Truncated && v.Flags == w.Flags && v.Window == w.Window &&
		v.Packets == w.Packets && v.Bytes == w.Bytes && v.Length == w.Length && v.Seq == w.Seq && v.Ack == w.Ack && bytes.Equal(v.Payload, w.Payload) && bytes.Equal(v.IP, w.IP)
}

// checkView demands what holds for every View.
func checkView(t *testing.T, d *Decoder, v *View, p *pcap.Packet, o Outcome) {
	t.Helper()
	if d.depth != 0 || d.strict || d.scope != 0 || d.packets != 1 || d.used != 0 {
		t.Errorf("decoder left in depth %d", d.depth)
	}
	if o != OK {
		return
	}
	if int(v.Length) < len(v.Payload) || v.Key == (flow.Key{}) || v.Packets == 0 || v.Length > v.Bytes && v.Packets == 1 {
		t.Errorf("%+v", v)
	}
	if len(v.IP) < 20 || v.IP[0]>>4 != v.Key.Version || v.Packets == 1 && (len(v.IP) > int(v.Bytes) || !v.Truncated && len(v.IP) != int(v.Bytes)) {
		t.Errorf("IP of %d bytes: %+v", len(v.IP), v)
	}
	a, b := flow.Endpoint{Addr: v.Key.A, Port: v.Key.PortA}, flow.Endpoint{Addr: v.Key.B, Port: v.Key.PortB}
	if k := v.Key; !k.SetEndpoints(&a, &b) || k != v.Key {
		t.Errorf("not canonical: %+v", v.Key)
	}
	if w := *v; p.Link == pcap.LinkEthernet && len(p.Data) >= plainBytes && w.plain((*[plainBytes]byte)(p.Data), p.Data) {
		var slow View
		slow.Time, slow.Packets = v.Time, v.Packets
		if o := d.ethernet(&slow, p.Data, int(p.WireLen)); o != OK || !slow.equal(v) {
			t.Errorf("outcome %d without the short way\n got %+v\nwant %+v", o, *v, slow)
		}
	}
	if spread, ok := Steer(p); ok && spread != v.Key.Spread() {
		t.Errorf("steered to %x, decoded to %x: %+v", spread, v.Key.Spread(), v)
	}
}
