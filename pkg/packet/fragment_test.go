package packet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// cutIP cuts an IP packet without options into fragments with up to size bytes.
func cutIP(ip []byte, id uint32, size int) [][]byte {
	var out [][]byte
	if ip[0]>>4 == 4 {
		for at, body := 0, ip[20:]; at < len(body); at += size {
			out = append(out, piece4(ip, uint16(id), at, body[at:min(at+size, len(body))], at+size < len(body)))
		}
		return out
	}
	for at, body := 0, ip[40:]; at < len(body); at += size {
		out = append(out, piece6(ip, id, at, body[at:min(at+size, len(body))], at+size < len(body)))
	}
	return out
}

func piece4(ip []byte, id uint16, at int, data []byte, more bool) []byte {
	p := join(ip[:20], data)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[4:], id)
	f := uint16(at / 8)
	if more {
		f |= 0x2000
	}
	binary.BigEndian.PutUint16(p[6:], f)
	return p
}

func piece6(ip []byte, id uint32, at int, data []byte, more bool) []byte {
	f := uint16(at)
	if more {
		f |= 1
	}
	p := join(ip[:40], []byte{ip[6], 0}, u16(f), u32(id), data)
	p[6] = 44
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	return p
}

func datagrams(n int) (four, six []byte) {
	payload := make([]byte, n)
	for i := range payload {
		payload[i] = byte(i ^ i>>8)
	}
	return pcapgen.UDP(client4, server4, payload), pcapgen.UDP(client6, server6, payload)
}

func TestFragmentsBecomeTheirDatagramInAnyOrder(t *testing.T) {
	t.Parallel()
	four, six := datagrams(5000)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, ip := range [][]byte{four, six} {
		for _, size := range []int{8, 16, 1000, 1480, 4096} {
			d, c := NewDecoder(DefaultConfig()), tally{}
			pieces := cutIP(ip, 77, size)
			var sum uint32
			for _, p := range pieces {
				sum += uint32(len(p))
			}
			rng.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
			var v View
			for i, p := range pieces {
				o := d.Decode(&v, raw(p))
				c.count(o, &v)
				c.check(t, d)
				if want := map[bool]Outcome{true: OK, false: Held}[i == len(pieces)-1]; o != want {
					t.Fatalf("size %d, piece %d: outcome %d", size, i, o)
				}
			}
			src, dst := v.ends()
			head := len(ip) - 5000
			if !bytes.Equal(v.Payload, ip[head:]) || v.Length != 5000 || v.Packets != uint32(len(pieces)) || v.Bytes != sum || v.Truncated {
				t.Errorf("size %d: %d payload bytes of %d, %d packets, %d bytes, want %d", size, len(v.Payload), v.Length, v.Packets, v.Bytes, sum)
			}
			if src.Port() != 49152 || dst.Port() != 443 || v.Key.Protocol != ProtocolUDP {
				t.Errorf("size %d: %v to %v, protocol %d", size, src, dst, v.Key.Protocol)
			}
			if s := d.Stats(); s.Reassembled != 1 || s.Held != 0 || s.Overlaps != 0 || d.frags.used != 0 || len(d.frags.byKey) != 0 {
				t.Errorf("size %d: %+v, %d bytes used", size, s, d.frags.used)
			}
		}
	}
}

func TestDatagramsDoNotMix(t *testing.T) {
	t.Parallel()
	four, six := datagrams(64)
	other := bytes.Clone(four)
	other[19]++ // another destination
	icmp := bytes.Clone(four)
	icmp[9] = ProtocolICMP
	d := NewDecoder(DefaultConfig())
	var v View
	first := func(ip []byte, id uint32, vlan ...uint16) {
		if o := d.Decode(&v, &pcap.Packet{Data: pcapgen.Ethernet(cutIP(ip, id, 32)[0], vlan...), Link: pcap.LinkEthernet}); o != Held {
			t.Fatalf("outcome %d", o)
		}
	}
	first(other, 5)
	first(icmp, 5)
	first(four, 6)
	first(four, 5, 9)
	first(six, 6)
	for i, p := range cutIP(four, 5, 32)[1:] {
		if o := d.Decode(&v, raw(p)); o != Held {
			t.Errorf("piece %d of IPv4 completes another's datagram: %d", i, o)
		}
	}
	for i, p := range cutIP(six, 5, 32)[1:] {
		if o := d.Decode(&v, raw(p)); o != Held {
			t.Errorf("piece %d of IPv6 completes another's datagram: %d", i, o)
		}
	}
	if o := d.Decode(&v, raw(cutIP(four, 5, 32)[0])); o != OK || !bytes.Equal(v.Payload, four[28:]) {
		t.Errorf("the first piece at last: outcome %d", o)
	}
}

func TestTheFirstCopyOfFragmentsWins(t *testing.T) {
	t.Parallel()
	four, six := datagrams(56) // 64 with the UDP header
	for _, ip := range [][]byte{four, six} {
		head := len(ip) - 64
		evil := bytes.Repeat([]byte{0xee}, 64)
		cut := func(at int, data []byte, more bool) []byte {
			if ip[0]>>4 == 4 {
				return piece4(ip, 3, at, data, more)
			}
			return piece6(ip, 3, at, data, more)
		}
		body := ip[head:]
		d, c := NewDecoder(DefaultConfig()), tally{}
		var v View
		for i, s := range []struct {
			p    []byte
			want Outcome
		}{
			{cut(16, body[16:32], true), Held},
			{cut(8, join(body[8:16], evil[:24], body[40:48]), true), Held}, // brings 8 to 16 and 32 to 48, of which 32 to 40 is evil
			{cut(16, evil[:16], true), Held},                               // nothing new
			{cut(48, body[48:], false), Held},
			{cut(40, evil[:16], false), Malformed}, // another end
			{cut(56, evil[:16], true), Malformed},  // beyond the end
			{cut(0, body[:8], true), OK},
		} {
			o := d.Decode(&v, raw(s.p))
			c.count(o, &v)
			if o != s.want {
				t.Errorf("piece %d: outcome %d, want %d", i, o, s.want)
			}
		}
		want := join(body[8:32], evil[:8], body[40:])
		if !bytes.Equal(v.Payload, want) || v.Packets != 5 {
			t.Errorf("%d packets\n got %x\nwant %x", v.Packets, v.Payload, want)
		}
		if s := d.Stats(); s.Overlaps != 2 {
			t.Errorf("%+v", s)
		}
		c.check(t, d)
	}
}

func TestImpossibleFragmentsAreMalformed(t *testing.T) {
	t.Parallel()
	four, six := datagrams(64)
	d, c := NewDecoder(DefaultConfig()), tally{}
	var v View
	for name, p := range map[string][]byte{
		"ping of death":                piece4(four, 1, 65528, make([]byte, 100), false),
		"ping of death by its header":  piece4(four, 1, 65520, make([]byte, 14), false),
		"ping of death of IPv6":        piece6(six, 1, 65528, make([]byte, 8), false),
		"empty":                        piece4(four, 1, 800, nil, true),
		"below a block":                piece4(four, 1, 0, make([]byte, 7), true),
		"no multiple of 8 in IPv6":     piece6(six, 1, 0, make([]byte, 12), true),
		"empty of IPv6":                piece6(six, 1, 8, nil, false),
		"fragment header cut":          piece6(six, 1, 8, nil, false)[:44],
		"fragment header beyond IPv6":  pcapgen.IP(client6.Addr(), server6.Addr(), 44, []byte{17, 0, 0}),
		"fragments of fragments, last": nil,
	} {
		if p == nil {
			inner := piece6(six, 9, 0, make([]byte, 16), true)[40:] // a fragment header again
			whole := pcapgen.IP(client6.Addr(), server6.Addr(), 44, inner)
			c.count(d.Decode(&v, raw(piece6(whole, 2, 0, inner[:16], true))), &v)
			p = piece6(whole, 2, 16, inner[16:], false)
		}
		o := d.Decode(&v, raw(p))
		c.count(o, &v)
		if o != Malformed {
			t.Errorf("%s: outcome %d", name, o)
		}
		c.check(t, d)
	}
	if s := d.Stats(); s.Oversized != 3 || s.Held != 0 || s.Dropped.Malformed != 1 || len(d.frags.byKey) != 0 {
		t.Errorf("%+v", s)
	}
	// The largest possible one is none of these.
	body := make([]byte, 65515)
	binary.BigEndian.PutUint16(body[4:], 65515)
	big := pcapgen.IP(client4.Addr(), server4.Addr(), 17, body)
	for i, p := range cutIP(big, 4, 1480) {
		if o := d.Decode(&v, raw(p)); o != Held && i < 44 {
			t.Fatalf("piece %d: outcome %d", i, o)
		}
	}
	if len(v.Payload) != 65507 || v.Packets != 45 {
		t.Errorf("%d bytes in %d packets", len(v.Payload), v.Packets)
	}
}

func TestWhatASnapLengthCutStaysMissing(t *testing.T) {
	t.Parallel()
	four, six := datagrams(3000)
	for _, ip := range [][]byte{four, six} {
		d := NewDecoder(DefaultConfig())
		pieces := cutIP(ip, 8, 1000)
		var v View
		for _, i := range []int{3, 1, 0, 2} {
			p := raw(pieces[i])
			if i == 1 {
				p.Data = p.Data[:500]
			}
			d.Decode(&v, p)
		}
		head := len(ip) - 3000
		captured := 1000 + 500 - (len(pieces[1]) - 1000) - 8
		if !v.Truncated || v.Length != 3000 || !bytes.Equal(v.Payload, ip[head:head+captured]) || v.Packets != 4 {
			t.Errorf("%d packets, %d of %d bytes, want %d", v.Packets, len(v.Payload), v.Length, captured)
		}
	}
}

func TestLimitsOfFragmentsAreKept(t *testing.T) {
	t.Parallel()
	four, _ := datagrams(40000)
	cfg := DefaultConfig()
	cfg.FragmentBytes, cfg.FragmentDatagrams = minFragmentBytes, 40
	d, c := NewDecoder(cfg), tally{}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	var v View
	rng := rand.New(rand.NewPCG(3, 4))
	pieces := cutIP(four, 0, 1480)
	for range 20000 {
		p := bytes.Clone(pieces[rng.IntN(len(pieces))])
		binary.BigEndian.PutUint16(p[4:], uint16(rng.IntN(60)))
		c.count(d.Decode(&v, raw(p)), &v)
		if d.frags.used > cfg.FragmentBytes || len(d.frags.byKey) > cfg.FragmentDatagrams {
			t.Fatalf("%d bytes, %d datagrams", d.frags.used, len(d.frags.byKey))
		}
	}
	c.check(t, d)
	if s := d.Stats(); s.Dropped.Bytes == 0 {
		t.Errorf("%+v", s)
	}
	if n := len(d.frags.pages)*pageCost + len(d.frags.datagrams)*datagramCost + d.frags.used; n > cfg.FragmentBytes || n != d.frags.made {
		t.Errorf("%d bytes in use or free, limit %d", n, cfg.FragmentBytes)
	}
	for id := range 200 { // tiny ones
		c.count(d.Decode(&v, raw(piece4(four, uint16(id+100), 8, four[28:36], true))), &v)
	}
	c.check(t, d)
	if s := d.Stats(); s.Dropped.Datagrams == 0 || s.Held == 0 {
		t.Errorf("%+v", s)
	}
	d.Flush()
	c.check(t, d)
	if s := d.Stats(); s.Held != 0 || s.Dropped.Incomplete == 0 || d.frags.used != 0 {
		t.Errorf("%+v, %d bytes used", s, d.frags.used)
	}
}

func TestOldDatagramsExpire(t *testing.T) {
	t.Parallel()
	four, _ := datagrams(64)
	age := int64(DefaultConfig().FragmentAge)
	at := func(when int64, id uint32, i int) *pcap.Packet {
		p := raw(cutIP(four, id, 32)[i])
		p.Time = when
		return p
	}
	const start = int64(1_700_000_000e9)
	for name, c := range map[string]struct {
		expire []int64
		held   uint64
	}{
		"young":                {[]int64{start + age}, 2},
		"old":                  {[]int64{start + age + 10}, 0},
		"one of them old":      {[]int64{start + age + 3}, 1},
		"an odd time":          {[]int64{start, start + 1000*age, start + 1}, 2},
		"a jump":               {[]int64{start, start + 1000*age, start + 1000*age}, 0},
		"an odd time backward": {[]int64{start, start - 1000*age, start + 1}, 2},
		"a jump backward":      {[]int64{start, -1 << 63, -1<<63 + 5}, 0},
		"both ends of time":    {[]int64{start, -1 << 63, 1<<63 - 1, start}, 2},
	} {
		d := NewDecoder(DefaultConfig())
		var v View
		d.Decode(&v, at(start, 1, 0))
		d.Decode(&v, at(start+5, 2, 0))
		for _, now := range c.expire {
			d.Expire(now)
		}
		if s := d.Stats(); s.Held != c.held || s.Dropped.Expired != 2-c.held {
			t.Errorf("%s: %+v", name, s)
		}
	}
	// An identification that comes round does not complete an old datagram, whatever the clock does.
	for _, later := range []int64{start + age + 1, start - age - 1, -1 << 63, 1<<63 - 1} {
		d := NewDecoder(DefaultConfig())
		var v View
		d.Decode(&v, at(start, 1, 0))
		d.Decode(&v, at(start, 1, 1))
		if o := d.Decode(&v, at(later, 1, 2)); o != Held {
			t.Errorf("%d ns later: outcome %d", later-start, o)
		}
		if s := d.Stats(); s.Dropped.Expired != 2 || s.Held != 1 {
			t.Errorf("%+v", s)
		}
	}
}

func TestAMalformedDatagramIsAccountedFor(t *testing.T) {
	t.Parallel()
	for name, ip := range map[string][]byte{
		"TCP of 16 bytes":       pcapgen.IP(client4.Addr(), server4.Addr(), 6, make([]byte, 16)),
		"TCP with a bad offset": pcapgen.IP(client6.Addr(), server6.Addr(), 6, make([]byte, 64)),
		"headers beyond":        pcapgen.IP(client6.Addr(), server6.Addr(), 60, join([]byte{17, 200}, make([]byte, 62))),
	} {
		d, c := NewDecoder(DefaultConfig()), tally{}
		var v View
		for _, p := range cutIP(ip, 1, 8) {
			c.count(d.Decode(&v, raw(p)), &v)
			c.check(t, d)
		}
		if s := d.Stats(); c.malformed != 1 || s.Dropped.Malformed != c.read-1 || s.Held != 0 {
			t.Errorf("%s: %+v, %+v", name, c, s)
		}
	}
}

// naive puts a datagram together byte by byte, the slow and obvious way.
type naive struct {
	bytes map[int]byte
	end   int
	high  int
}

// add returns whether the fragment is one, and the payload when it is whole.
func (n *naive) add(at int, data []byte, more bool) (ok bool, whole []byte) {
	end := at + len(data)
	if len(data) == 0 || end > maxDatagram || n.end >= 0 && end > n.end || !more && (end < n.high || n.end >= 0 && end != n.end) {
		return false, nil
	}
	if !more {
		n.end = end
	}
	n.high = max(n.high, end)
	for i, b := range data {
		if _, there := n.bytes[at+i]; !there {
			n.bytes[at+i] = b
		}
	}
	if n.end < 0 || len(n.bytes) < n.end {
		return true, nil
	}
	for i := range n.end {
		whole = append(whole, n.bytes[i])
	}
	return true, whole
}

// script plays fragments, of which each is four bytes of b: datagram, offset, length and flags.
func script(tb testing.TB, b []byte) {
	cfg := DefaultConfig()
	d, c := NewDecoder(cfg), tally{}
	models := map[[2]int]*naive{}
	_, six := datagrams(8)
	four, _ := datagrams(8)
	var v View
	for ; len(b) >= 4; b = b[4:] {
		id, at, n, flags := int(b[0]&3), int(b[1])*8, int(b[2]), b[3]
		if flags&8 != 0 {
			at *= 33
		}
		more := flags&1 != 0
		version := 4
		if flags&2 != 0 {
			version = 6
		}
		if at == 0 && !more {
			continue // no fragment
		}
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(len(b)) ^ byte(i) // differs from copy to copy
		}
		var p []byte
		var tooLong bool
		if version == 4 {
			at &= 0x1fff * 8
			tooLong = at+n+20 > maxDatagram
			p = piece4(four, uint16(id), at, data, more)
			p[9] = 253
			if more {
				data = data[:n&^7]
				tooLong = at+n&^7+20 > maxDatagram
			}
		} else {
			at &= 0xfff8
			tooLong = at+n > maxDatagram
			p = piece6(six, uint32(id), at, data, more)
			p[40] = 253
			if more && n%8 != 0 {
				data = nil
			}
		}
		m := models[[2]int{version, id}]
		if m == nil {
			m = &naive{bytes: map[int]byte{}, end: -1}
		}
		want, payload := Malformed, []byte(nil)
		if !tooLong {
			ok, whole := m.add(at, data, more)
			switch {
			case ok && whole != nil:
				want, payload = OK, whole
				delete(models, [2]int{version, id})
			case ok:
				want = Held
				models[[2]int{version, id}] = m
			}
		}
		o := d.Decode(&v, raw(p))
		c.count(o, &v)
		if o != want || o == OK && !bytes.Equal(v.Payload, payload) {
			tb.Fatalf("version %d, id %d, at %d, %d bytes, more %v: outcome %d, want %d\n got %x\nwant %x", version, id, at, n, more, o, want, v.Payload, payload)
		}
		c.check(tb, d)
	}
	d.Flush()
	c.check(tb, d)
	if d.frags.used != 0 {
		tb.Errorf("%d bytes in use after all", d.frags.used)
	}
}

func TestFragmentsAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [4]byte {
			return [4]byte{
				rapid.ByteRange(0, 1).Draw(t, "datagram"), rapid.ByteRange(0, 8).Draw(t, "offset"),
				rapid.SampledFrom([]byte{8, 8, 16, 24, 40, 5, 13}).Draw(t, "length"), rapid.SampledFrom([]byte{0, 1, 1, 1, 2, 3, 3, 3}).Draw(t, "flags"),
			}
		}), 1, 60).Draw(rt, "fragments")
		var b []byte
		for _, s := range steps {
			b = append(b, s[:]...)
		}
		script(t, b)
	})
}

func FuzzFragments(f *testing.F) {
	f.Add([]byte{0, 0, 16, 1, 0, 2, 16, 1, 0, 1, 24, 1, 0, 4, 5, 0})
	f.Add([]byte{1, 4, 5, 2, 1, 0, 16, 3, 1, 1, 24, 3})
	f.Add([]byte{2, 248, 255, 9, 2, 0, 8, 1, 2, 250, 8, 8})
	f.Fuzz(func(t *testing.T, b []byte) { script(t, b[:min(len(b), 4000)]) })
}

func TestReassemblyAllocatesNothingInSteadyState(t *testing.T) {
	four, six := datagrams(4000)
	pieces := append(cutIP(four, 1, 1480), cutIP(six, 1, 1448)...)
	d := NewDecoder(DefaultConfig())
	var v View
	p := raw(nil)
	whole := 0
	if n := testing.AllocsPerRun(200, func() {
		for _, b := range pieces {
			p.Data, p.WireLen = b, uint32(len(b))
			if d.Decode(&v, p) == OK {
				whole++
			}
		}
	}); n != 0 || whole != 2*201 {
		t.Errorf("%v allocations a round, %d datagrams", n, whole)
	}
}

func BenchmarkFragments(b *testing.B) {
	body := make([]byte, 65512)
	ip := pcapgen.IP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 253, body)
	for name, size := range map[string]int{"1480": 1480, "8": 8} {
		b.Run(name, func(b *testing.B) {
			pieces := cutIP(ip, 1, size)
			rand.New(rand.NewPCG(1, 1)).Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
			d := NewDecoder(DefaultConfig())
			var v View
			p := raw(nil)
			b.ReportAllocs()
			start := time.Now()
			for b.Loop() {
				for _, f := range pieces {
					p.Data, p.WireLen = f, uint32(len(f))
					d.Decode(&v, p)
				}
			}
			b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(b.N*len(pieces)), "ns/fragment")
		})
	}
}
