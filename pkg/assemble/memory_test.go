package assemble

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"trench/pkg/flow"
)

func TestEntriesReadBackWhatWasAdded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var (
			p                pool
			packets, records entries
			wantP            []flow.Packet
			wantR            []flow.Record
		)
		at := int64(0)
		for range rapid.IntRange(0, 100).Draw(t, "n") {
			at += rapid.Int64Range(-1e9, 4*3600*1e9).Draw(t, "step")
			length := rapid.Int64Range(-packetLengthMax, packetLengthMax).Draw(t, "length")
			packets.add(&p, at, packetBits, uint64(length))
			wantP = append(wantP, flow.Packet{Length: int32(length), Offset: at})
			r := flow.Record{
				Direction: flow.Direction(rapid.IntRange(0, 1).Draw(t, "side")), Type: rapid.Uint8Range(20, 24).Draw(t, "type"),
				Length: rapid.Uint16Range(0, 1<<15-1).Draw(t, "record"), Offset: at,
			}
			records.add(&p, at, recordBits, recordValue(int(r.Direction), r.Type, r.Length))
			wantR = append(wantR, r)
		}
		if d := cmp.Diff(wantP, packets.packets(nil)); d != "" {
			t.Fatalf("packets (-want +got):\n%s", d)
		}
		if d := cmp.Diff(wantR, records.records(nil)); d != "" {
			t.Fatalf("records (-want +got):\n%s", d)
		}
	})
}

func TestEntriesSaturate(t *testing.T) {
	t.Parallel()
	var (
		p pool
		e entries
	)
	const day = 24 * 3600 * second
	e.add(&p, day, packetBits, 1)
	e.add(&p, day+second, packetBits, 2)
	got := e.packets(nil)
	if limit := int64(1)<<45 - 1; got[0].Offset != limit || got[1].Offset != 2*limit && got[1].Offset != day+second {
		t.Errorf("%+v", got)
	}
}

func TestByteCounterCountsEveryValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c byteCounter
		var want, got [256]uint16
		n := 0
		for range rapid.IntRange(0, 12).Draw(t, "chunks") {
			chunk := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 700), rapid.SliceOfN(rapid.ByteRange(7, 8), 0, 2000)).Draw(t, "chunk")
			for _, v := range chunk {
				if n < flow.CountedBytes {
					want[v]++
					n++
				}
			}
			c.add(chunk)
		}
		c.counts(&got)
		if got != want || c.full() != (n == flow.CountedBytes) {
			t.Fatalf("counts differ after %d bytes", n)
		}
	})
}

// TestIndexFindsWhatIsInIt plays random changes against a map, with hashes that
// collide often.
func TestIndexFindsWhatIsInIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex()
		want := make(map[flow.Key]*conn)
		key := func(n int) (k flow.Key, hash uint64) {
			k.PortA = uint16(n)
			return k, uint64(n%7) * (firstSlots - 2) // runs that wrap around the end
		}
		for range rapid.IntRange(0, 2000).Draw(t, "changes") {
			n := rapid.IntRange(0, 1500).Draw(t, "key")
			k, h := key(n)
			c := x.get(h, &k)
			if c != want[k] {
				t.Fatalf("key %d: found %v", n, c != nil)
			}
			if c == nil {
				c = &conn{key: k, hash: h}
				x.put(c)
				want[k] = c
			} else {
				x.remove(c)
				delete(want, k)
			}
		}
		if x.n != len(want) {
			t.Fatalf("%d entries, want %d", x.n, len(want))
		}
		for k, c := range want {
			if x.get(c.hash, &k) != c {
				t.Fatalf("%d is lost", k.PortA)
			}
		}
	})
}

func TestBufferClassesHoldWhatTheySay(t *testing.T) {
	t.Parallel()
	for n := 1; n < 1<<20; n += 1 + n/100 {
		i := bufferClass(n)
		if i >= bufferClasses {
			continue
		}
		if c := bufferCap(i); c < n || i > 0 && bufferCap(i-1) >= n {
			t.Fatalf("%d bytes get class %d of %d", n, i, c)
		}
	}
	for i := range bufferClasses {
		if got := bufferClass(bufferCap(i)); got != i {
			t.Fatalf("class %d has %d bytes, which are of class %d", i, bufferCap(i), got)
		}
	}
}

func TestKeyHashTellsTenantsApart(t *testing.T) {
	t.Parallel()
	var k flow.Key
	a, b := flow.Endpoint{Port: 1}, flow.Endpoint{Port: 2}
	a.Addr, b.Addr = netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8::2").As16()
	k.Version, k.Protocol = 6, 6
	k.SetEndpoints(&a, &b)
	seen := map[uint64]bool{k.Hash(1): true}
	for _, other := range []func(*flow.Key){
		func(k *flow.Key) { k.Tenant = 7 }, func(k *flow.Key) { k.VLAN[0] = 7 }, func(k *flow.Key) { k.VLAN[1] = 7 },
		func(k *flow.Key) { k.Tunnel = flow.TunnelVXLAN }, func(k *flow.Key) { k.Protocol = 17 }, func(k *flow.Key) { k.A[15]++ }, func(k *flow.Key) { k.PortB++ },
	} {
		o := k
		other(&o)
		if seen[o.Hash(1)] {
			t.Error("hashes collide")
		}
		seen[o.Hash(1)] = true
	}
	if seen[k.Hash(2)] {
		t.Error("the seed does not count")
	}
}
