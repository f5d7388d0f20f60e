package packet

import (
	"net/netip"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// gtpUser sends packets of one user through two tunnels between two outer ends.
type gtpUser struct {
	d        *Decoder
	enb, upf netip.AddrPort
	up, down uint32 // TEIDs
}

var (
	ueA = netip.MustParseAddrPort("10.0.0.1:5000")
	ueB = netip.MustParseAddrPort("10.0.0.1:5001") // another conversation
	web = netip.MustParseAddrPort("198.51.100.7:443")
)

func user(d *Decoder, up, down uint32) gtpUser {
	return gtpUser{d, netip.MustParseAddrPort("203.0.113.1:2152"), netip.MustParseAddrPort("203.0.113.2:2152"), up, down}
}

func (u gtpUser) decode(t *testing.T, ip []byte) flow.Key {
	t.Helper()
	var v View
	if o := u.d.Decode(&v, raw(ip)); o != OK || v.Key.Tunnel != flow.TunnelGTPU || v.Key.Tenant == 0 {
		t.Fatalf("outcome %d, %+v", o, v)
	}
	return v.Key
}

func (u gtpUser) sends(t *testing.T, from netip.AddrPort) flow.Key {
	t.Helper()
	return u.decode(t, pcapgen.UDP(u.enb, u.upf, gtpu(u.up, hello(from, web))))
}

func (u gtpUser) receives(t *testing.T, to netip.AddrPort) flow.Key {
	t.Helper()
	return u.decode(t, pcapgen.UDP(u.upf, u.enb, gtpu(u.down, hello(web, to))))
}

func gtpDecoder(limit int) *Decoder {
	cfg := DefaultConfig()
	cfg.GTPTunnels = limit
	return NewDecoder(cfg)
}

func TestBothTunnelsOfAUserAreOneTenant(t *testing.T) {
	t.Parallel()
	for name, teids := range map[string][2]uint32{"two": {1000, 77}, "the same both ways": {5, 5}, "zero": {0, 0}} {
		u := user(gtpDecoder(100), teids[0], teids[1])
		if a, b := u.sends(t, ueA), u.receives(t, ueA); a != b {
			t.Errorf("%s, up first: %v and %v", name, a, b)
		}
		u.d = gtpDecoder(100)
		if a, b := u.receives(t, ueA), u.sends(t, ueA); a != b {
			t.Errorf("%s, down first: %v and %v", name, a, b)
		}
		// The next conversation belongs to the same pair from its first packet on, whoever begins.
		if a, b := u.receives(t, ueB), u.sends(t, ueB); a != b || a.Tenant != u.sends(t, ueA).Tenant {
			t.Errorf("%s, second conversation: %v and %v", name, a, b)
		}
	}
}

func TestTenantsWithEqualAddressesStayApart(t *testing.T) {
	t.Parallel()
	d := gtpDecoder(100)
	one, two := user(d, 1, 11), user(d, 2, 12)
	a := one.sends(t, ueA)
	if b := one.receives(t, ueA); a != b {
		t.Errorf("first user: %v and %v", a, b)
	}
	b := two.sends(t, ueA) // the same conversation to look at
	if c := two.receives(t, ueA); b != c || a == b {
		t.Errorf("second user: %v and %v, first one %v", b, c, a)
	}
	if one.sends(t, ueA) != a || one.receives(t, ueA) != a || two.sends(t, ueA) != b || two.receives(t, ueA) != b {
		t.Error("not for long")
	}
	// The same identifiers at other ends are others.
	three := user(d, 1, 11)
	three.upf = netip.MustParseAddrPort("203.0.113.3:2152")
	if c := three.sends(t, ueA); c == a || c == b {
		t.Errorf("third user: %v", c)
	}
}

func TestAmbiguousConversationsPairNobody(t *testing.T) {
	t.Parallel()
	d := gtpDecoder(100)
	one, two := user(d, 1, 11), user(d, 2, 12)
	a, b := one.sends(t, ueA), two.sends(t, ueA)
	c, e := one.receives(t, ueA), two.receives(t, ueA) // which is whose?
	seen := map[flow.Key]bool{a: true, b: true, c: true, e: true}
	if len(seen) != 4 {
		t.Errorf("mixed: %v", seen)
	}
	// A conversation that only one of them has tells.
	if f, g := two.sends(t, ueB), two.receives(t, ueB); f != g {
		t.Errorf("%v and %v", f, g)
	}
	if f, g := one.sends(t, netip.AddrPortFrom(ueA.Addr(), 9)), one.receives(t, netip.AddrPortFrom(ueA.Addr(), 9)); f != g || f.Tenant == two.sends(t, ueB).Tenant {
		t.Errorf("%v and %v", f, g)
	}
}

// TestMatesThatMeetLate begins with one conversation in each direction that has no answer.
func TestMatesThatMeetLate(t *testing.T) {
	t.Parallel()
	u := user(gtpDecoder(100), 1, 11)
	a, b := u.sends(t, ueA), u.receives(t, ueB)
	if a.Tenant == b.Tenant {
		t.Fatal("one tenant before anything says so")
	}
	if c := u.receives(t, ueA); c != a { // the answer at last
		t.Errorf("%v, want %v", c, a)
	}
	if u.sends(t, ueA) != a || u.receives(t, ueA) != a || u.sends(t, ueB) != b || u.receives(t, ueB) != b {
		t.Error("flows that had begun are torn")
	}
	other := netip.AddrPortFrom(ueA.Addr(), 6000)
	if u.sends(t, other) != u.receives(t, other) {
		t.Error("a new flow is torn")
	}
}

func TestMemoryOfTunnelsIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 64
	d := gtpDecoder(limit)
	kept := user(d, 1, 2)
	want := kept.sends(t, ueA)
	kept.receives(t, ueA)
	for i := range uint32(5000) {
		u := user(d, 10+i, 10+i)
		u.sends(t, netip.AddrPortFrom(ueB.Addr(), uint16(10+i)))
		if n, m := len(d.gtp.tunnels.young)+len(d.gtp.tunnels.old), len(d.gtp.talks.young)+len(d.gtp.talks.old); n > limit || m > limit {
			t.Fatalf("%d tunnels, %d conversations", n, m)
		}
		if i%8 == 0 && (kept.sends(t, ueA) != want || kept.receives(t, ueA) != want) {
			t.Fatalf("after %d others a tunnel in use is forgotten", i)
		}
	}
	if s := d.Stats(); s.GTPForgotten < 2*(5000-limit)-limit {
		t.Errorf("%+v", s)
	}
}

func TestFragmentsInGTPHaveTheirFlow(t *testing.T) {
	t.Parallel()
	u := user(gtpDecoder(100), 1, 11)
	want := u.sends(t, ueA)
	big := pcapgen.Segment{Src: web, Dst: ueA, Payload: make([]byte, 3000)}.IP()
	var v View
	for i, f := range cutIP(big, 1, 1000) {
		o := u.d.Decode(&v, raw(pcapgen.UDP(u.upf, u.enb, gtpu(u.down, f))))
		if i < 3 && o != Held {
			t.Errorf("piece %d: outcome %d", i, o)
		}
	}
	if v.Key != want || v.Length != 3000 || v.Packets != 4 {
		t.Errorf("%+v, want %v", v, want)
	}
}

func TestGTPAllocatesNothingInSteadyState(t *testing.T) {
	u := user(gtpDecoder(1000), 1, 11)
	up := raw(pcapgen.UDP(u.enb, u.upf, gtpu(u.up, hello(ueA, web))))
	down := raw(pcapgen.UDP(u.upf, u.enb, gtpu(u.down, hello(web, ueA))))
	alone := raw(pcapgen.UDP(u.enb, u.upf, gtpu(77, hello(ueB, web))))
	var v View
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range []*pcap.Packet{up, down, alone} {
			u.d.Decode(&v, p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
