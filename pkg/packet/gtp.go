package packet

import (
	"encoding/binary"

	"trench/pkg/flow"
)

// gtpu decodes the packets of users in GTPv1-U (3GPP TS 29.281):
//
//	version 1(3) PT 1 - E S PN | type ff | length (2) | TEID (4)
//	| sequence (2), N-PDU number, next extension type if E, S or PN | extensions … | IP …
//
// An extension is: words | … | next extension type.
func (d *Decoder) gtpu(v *View, b []byte, wire int) Outcome {
	if len(b) < 8 || b[0]&0xf8 != 0x30 || b[1] != 255 {
		return OK
	}
	if n := int(binary.BigEndian.Uint16(b[2:])) + 8; n > wire {
		return OK
	} else if n < wire {
		b, wire = b[:min(n, len(b))], n
	}
	teid, head := binary.BigEndian.Uint32(b[4:]), 8
	if b[0]&7 != 0 {
		head = 12
		if len(b) < head {
			return OK
		}
		next := b[11]
		if b[0]&4 == 0 {
			next = 0
		}
		for next != 0 {
			if len(b) <= head || b[head] == 0 || len(b) < head+int(b[head])*4 {
				return OK
			}
			head += int(b[head]) * 4
			next = b[head-1]
		}
	}
	if len(b) < head {
		return OK
	}
	way := v.way()
	m, ok := d.enter(v, flow.TunnelGTPU, mix(uint64(teid), mix(way.dst[0], way.dst[1])))
	if !ok {
		return OK
	}
	o := d.content(v, etherAny, b[head:], wire-head)
	switch o {
	case OK:
		inner := v.Key
		inner.VLAN, inner.Tunnel = [2]uint16{}, 0
		v.Key.Tenant = mixTenant(d.gtp.tenant(way, teid, &inner), v.Key.Tenant)
		d.leave(&m)
	case Held:
		d.leave(&m)
		return Held
	default:
		d.restore(v, &m)
	}
	return OK
}

// way is a direction between two addresses.
type way struct{ src, dst [2]uint64 }

func (w way) back() way { return way{src: w.dst, dst: w.src} }

// way returns the direction of v.
func (v *View) way() way {
	a := [2]uint64{binary.LittleEndian.Uint64(v.Key.A[:]), binary.LittleEndian.Uint64(v.Key.A[8:])}
	b := [2]uint64{binary.LittleEndian.Uint64(v.Key.B[:]), binary.LittleEndian.Uint64(v.Key.B[8:])}
	if v.Forward {
		return way{a, b}
	}
	return way{b, a}
}

// gtpTunnels pairs the two tunnels of a user. Each end chooses the TEID under
// which it receives, so the two directions of a flow come under different TEIDs, and only the
// control plane says which belong together. Here a conversation says it: when a tunnel without a
// mate carries the conversation that one of the opposite direction between the same ends has carried, the two are
// mates and share the tenant of the one seen first. A tunnel without a mate is a tenant of its own.
//
// Two tenants may have conversations that look the same. When two tunnels of the
// same direction, both without a mate, carry it, it pairs nobody.
//
// Both memories have two generations: when the young one is half of the
// limit, it becomes the old one and the old one is forgotten. What is used moves to
// the young one.
type gtpTunnels struct {
	tunnels generations[gtpEnd, *gtpTunnel]
	talks   generations[gtpTalk, *talk]
}

// gtpEnd names a tunnel: who receives it, and as what.
type gtpEnd struct {
	way  way
	teid uint32
	_    uint32
}

type gtpTunnel struct {
	tenant uint32
	// mixed says that the tenant of it or of its mate was another one before they
	// met: conversations from then keep theirs.
	mixed bool
	mate  *gtpTunnel
}

// gtpTalk is a conversation in one direction of the outer ends.
type gtpTalk struct {
	way   way
	inner flow.Key // canonical, so both directions have the same
}

type talk struct {
	tunnel    *gtpTunnel
	tenant    uint32
	ambiguous bool
}

func (g *gtpTunnels) init(limit int, stats *Stats) {
	g.tunnels.init(limit, &stats.GTPForgotten)
	g.talks.init(limit, &stats.GTPForgotten)
}

// tenant returns what stands for the tunnel of a packet with the given inner key.
func (g *gtpTunnels) tenant(w way, teid uint32, inner *flow.Key) uint32 {
	end := gtpEnd{way: w, teid: teid}
	t, known := g.tunnels.get(end)
	if known && t.mate != nil && !t.mixed {
		return t.tenant
	}
	if !known {
		// The receiver is part of it, as another one may have chosen the same TEID.
		h := mix(mix(w.dst[0], w.dst[1]), uint64(teid))
		t = &gtpTunnel{tenant: max(1, uint32(h^h>>32))}
		g.tunnels.put(end, t)
	}
	here := gtpTalk{way: w, inner: *inner}
	same, _ := g.talks.get(here)
	other, _ := g.talks.get(gtpTalk{way: w.back(), inner: *inner})
	switch {
	case t.mate != nil:
		if same != nil && same.tunnel == t {
			return same.tenant
		}
		if other != nil && other.tunnel == t.mate {
			return other.tenant
		}
	case other != nil && !other.ambiguous && other.tunnel.mate == nil && (same == nil || !same.ambiguous):
		mate := other.tunnel
		t.mate, mate.mate = mate, t
		t.mixed, mate.mixed = known, known
		t.tenant = mate.tenant
	case same == nil:
		g.talks.put(here, &talk{tunnel: t, tenant: t.tenant})
	case same.tunnel == t:
	case same.tunnel.mate != nil:
		*same = talk{tunnel: t, tenant: t.tenant}
	default:
		same.ambiguous = true
	}
	return t.tenant
}

// generations is a map that forgets what has not been used for long.
type generations[K comparable, V any] struct {
	young, old map[K]V
	half       int
	forgotten  *uint64
}

func (g *generations[K, V]) init(limit int, forgotten *uint64) {
	g.young, g.old = make(map[K]V), make(map[K]V)
	g.half, g.forgotten = max(1, limit/2), forgotten
}

func (g *generations[K, V]) get(k K) (V, bool) {
	v, ok := g.young[k]
	if !ok && len(g.old) > 0 {
		if v, ok = g.old[k]; ok {
			delete(g.old, k)
			g.put(k, v)
		}
	}
	return v, ok
}

func (g *generations[K, V]) put(k K, v V) {
	if len(g.young) >= g.half {
		*g.forgotten += uint64(len(g.old))
		clear(g.old)
		g.young, g.old = g.old, g.young
	}
	g.young[k] = v
}
