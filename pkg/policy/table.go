package policy

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// table finds the networks that an address is in. The networks of one family are
// flattened into stretches of addresses that lie next to each other, each with the
// narrowest network that covers it, and every network knows the next wider one:
//
//	10.0.0.0/8      ├──────── A ────────┤
//	10.1.0.0/16          ├─ B ─┤
//	stretches       │ A  │  B  │   A    │ none
//
// So an address costs one binary search, and a step for each network around it.
type table struct {
	starts []key   // first address of each stretch
	owners []int32 // its network, -1 for none
	nets   []network
}

type network struct {
	prefix  netip.Prefix
	wider   int32 // -1 for none
	entries []*Entry
}

// key is an address as a number.
type key struct{ hi, lo uint64 }

func keyOf(a netip.Addr) key {
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) compare(o key) int {
	if k.hi != o.hi {
		return cmp.Compare(k.hi, o.hi)
	}
	return cmp.Compare(k.lo, o.lo)
}

// end is the first address after a network; ok is false when there is none.
func end(p netip.Prefix) (k key, ok bool) {
	k = keyOf(p.Addr())
	host := p.Addr().BitLen() - p.Bits()
	switch {
	case host >= 64:
		if host < 128 {
			k.hi += 1 << (host - 64)
		}
		return k, k.hi != 0 && host < 128
	default:
		before := k.lo
		if k.lo += 1 << host; k.lo < before {
			k.hi++
		}
		return k, k.hi != 0 || k.lo > before
	}
}

// newTable makes a table of masked networks of one family.
func newTable(of map[netip.Prefix][]*Entry) *table {
	t := &table{nets: make([]network, 0, len(of))}
	for p, entries := range of {
		t.nets = append(t.nets, network{p, -1, entries})
	}
	slices.SortFunc(t.nets, func(a, b network) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	open := int32(-1)
	leave := func() {
		n := &t.nets[open]
		open = n.wider
		if next, ok := end(n.prefix); ok {
			t.begin(next, open)
		}
	}
	for i := range t.nets {
		n := &t.nets[i]
		for open >= 0 && !t.nets[open].prefix.Contains(n.prefix.Addr()) {
			leave()
		}
		n.wider, open = open, int32(i)
		t.begin(keyOf(n.prefix.Addr()), open)
	}
	for open >= 0 {
		leave()
	}
	return t
}

// begin starts a stretch, in place of one that begins at the same address.
func (t *table) begin(at key, owner int32) {
	if n := len(t.starts); n > 0 && t.starts[n-1] == at {
		t.owners[n-1] = owner
		return
	}
	t.starts, t.owners = append(t.starts, at), append(t.owners, owner)
}

// find returns the narrowest network that has an address, -1 for none.
func (t *table) find(a netip.Addr) int32 {
	k := keyOf(a)
	lo, hi := 0, len(t.starts)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if t.starts[mid].compare(k) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return -1
	}
	return t.owners[lo-1]
}
