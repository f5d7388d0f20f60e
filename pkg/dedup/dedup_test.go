package dedup

import (
	"bytes"
	"testing"
	"time"
)

func ipv4(id, ttl byte, payload string) []byte {
	b := append(make([]byte, 20), payload...)
	b[0], b[5], b[8], b[9] = 0x45, id, ttl, 17
	b[10], b[11] = ttl, ^ttl // stands for the checksum
	return b
}

func ipv6(hops byte, payload string) []byte {
	b := append(make([]byte, 40), payload...)
	b[0], b[6], b[7] = 0x60, 17, hops
	return b
}

func TestCopiesWithinTheWindowAreDuplicates(t *testing.T) {
	t.Parallel()
	const ms = int64(time.Millisecond)
	type step struct {
		ip   []byte
		at   int64
		want bool
	}
	for name, steps := range map[string][]step{
		"same bytes":             {{ipv4(1, 64, "a"), 0, false}, {ipv4(1, 64, "a"), ms, true}, {ipv4(1, 64, "a"), 2 * ms, true}},
		"one hop later":          {{ipv4(1, 64, "a"), 0, false}, {ipv4(1, 63, "a"), ms, true}},
		"IPv6, one hop later":    {{ipv6(64, "a"), 0, false}, {ipv6(63, "a"), ms, true}, {ipv6(64, "b"), ms, false}},
		"copy with earlier time": {{ipv4(1, 64, "a"), 5 * ms, false}, {ipv4(1, 64, "a"), 4 * ms, true}},
		"other identification":   {{ipv4(1, 64, "a"), 0, false}, {ipv4(2, 64, "a"), ms, false}},
		"other payload":          {{ipv4(1, 64, "a"), 0, false}, {ipv4(1, 64, "b"), ms, false}},
		"after the window":       {{ipv4(1, 64, "a"), 0, false}, {ipv4(1, 64, "a"), 11 * ms, false}, {ipv4(1, 64, "a"), 12 * ms, true}},
		"cut short":              {{ipv4(1, 64, "")[:7], 0, false}, {ipv4(1, 64, "")[:7], 0, true}, {nil, 0, false}},
	} {
		w := New(Config{Window: 10 * time.Millisecond, Packets: 100})
		for i, s := range steps {
			if got := w.Seen(s.ip, s.at); got != s.want {
				t.Errorf("%s: packet %d: duplicate %v, want %v", name, i, got, s.want)
			}
		}
	}
}

func TestTheWindowIsBounded(t *testing.T) {
	t.Parallel()
	w := New(Config{Window: time.Second, Packets: 16})
	packet := func(i int) []byte { return ipv4(byte(i), 64, string(bytes.Repeat([]byte{byte(i >> 8)}, 9))) }
	for i := range 1000 {
		if w.Seen(packet(i), int64(i)) {
			t.Fatalf("packet %d is no duplicate", i)
		}
	}
	if len(w.last) > 16 || w.Forgotten() != 1000-16 {
		t.Errorf("%d remembered, %d forgotten", len(w.last), w.Forgotten())
	}
	for i := 1000 - 16; i < 1000; i++ {
		if !w.Seen(packet(i), 1000) {
			t.Errorf("packet %d is a duplicate", i)
		}
	}
}

func TestSeenDoesNotAllocateInSteadyState(t *testing.T) {
	w := New(Config{Window: time.Second, Packets: 64})
	b := ipv4(0, 64, "0123456789")
	n := uint16(0)
	round := func() {
		for range 64 {
			n++
			b[20], b[21] = byte(n), byte(n>>8)
			w.Seen(b, int64(n))
		}
	}
	round()
	round()
	if allocs := testing.AllocsPerRun(100, round); allocs > 0 {
		t.Errorf("%v allocations for 64 packets", allocs)
	}
}

func BenchmarkSeen(b *testing.B) {
	w := New(Config{Window: time.Second, Packets: 1 << 16})
	ip := ipv4(0, 64, string(make([]byte, 580)))
	b.SetBytes(int64(len(ip)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ip[20], ip[21], ip[22] = byte(i), byte(i>>8), byte(i>>16)
		w.Seen(ip, int64(i))
	}
}
