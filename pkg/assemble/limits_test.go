package assemble

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
)

// TestAFloodPushesOutItself puts established connections into a table that a flood
// of first packets overflows many times.
func TestAFloodPushesOutItself(t *testing.T) {
	t.Parallel()
	const limit, real, flood = 256, 100, 10_000
	for name, answered := range map[string]bool{"nobody answers": false, "the victim answers": true} {
		b := newBench(func(c *Config) { c.MaxFlows = limit })
		from := func(i int) netip.AddrPort { return netip.AddrPortFrom(client.Addr(), uint16(10_000+i)) }
		segment := func(at int64, src, dst netip.AddrPort, seq uint32, flags byte, payload []byte) {
			b.ip(at, pcapgen.Segment{Src: src, Dst: dst, Seq: seq, Flags: flags, Payload: payload}.IP())
		}
		for i := range real {
			segment(int64(i), from(i), server, 100, pcapgen.SYN, nil)
			segment(int64(i), server, from(i), 5000, pcapgen.SYN|pcapgen.ACK, nil)
			segment(int64(i), from(i), server, 101, pcapgen.ACK, tlsRecord(22, 1, 0, 0, 1, 9))
		}
		for i := range flood {
			spoofed := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 4000)
			segment(second+int64(i), spoofed, server, uint32(i), pcapgen.SYN, nil)
			if answered {
				segment(second+int64(i), server, spoofed, uint32(i), pcapgen.SYN|pcapgen.ACK, nil)
			}
		}
		for i := range real {
			segment(2*second, server, from(i), 5001, pcapgen.ACK, tlsRecord(22, 2, 0, 0, 1, 9))
		}
		if s := b.t.Stats(); s.Open != limit || s.Evicted != real+flood-limit || s.EvictedHalfOpen != s.Evicted {
			t.Errorf("%s: %+v", name, s)
		}
		b.t.Flush(start)
		whole := 0
		for _, f := range b.flows {
			if f.Client.Addr() == client.Addr() {
				if f.End != flow.EndEOF || f.Half[0].Packets != 2 || f.Half[1].Packets != 2 || f.App != flow.AppTLS {
					t.Errorf("%s: %v ends %v with %d and %d packets", name, f.Client, f.End, f.Half[0].Packets, f.Half[1].Packets)
				}
				whole++
			}
		}
		if whole != real {
			t.Errorf("%s: %d real flows of %d", name, whole, real)
		}
	}
}

func TestEvictionTakesHalfOpenThenClosingFlows(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.MaxFlows = 16 })
	from := func(i int) netip.AddrPort { return netip.AddrPortFrom(client.Addr(), uint16(1000+i)) }
	both := func(at int64, i int) { // an exchange makes a flow established
		b.ip(at, pcapgen.UDP(from(i), server, []byte("x")))
		b.ip(at, pcapgen.UDP(server, from(i), []byte("x")))
	}
	both(0, 0)
	b.open(1, 100)
	b.c2s(second, 101, pcapgen.RST, nil)
	b.ip(2*second, pcapgen.UDP(from(1), server, []byte("half open")))
	for i := range 13 {
		both(3*second, 2+i)
	}
	for i := range 3 {
		both(4*second, 100+i)
	}
	if got := ends(b.flows); !slices.Equal(got, []flow.EndReason{flow.EndEvicted, flow.EndRST, flow.EndEvicted}) ||
		b.flows[0].Client != from(1) || b.flows[2].Client != from(0) || b.t.Stats().EvictedHalfOpen != 1 || b.t.Stats().Evicted != 3 {
		t.Errorf("ends %v, %+v", got, b.t.Stats())
	}
}

func TestHandshakeBytesOfAllFlowsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.TotalHandshake = 1 << 16 })
	record := tlsRecord(22, append([]byte{1, 0, 3, 0}, make([]byte, 8000)...)...)
	for i := range 32 {
		b.ip(int64(i), pcapgen.Segment{Src: netip.AddrPortFrom(client.Addr(), uint16(1000+i)), Dst: server, Flags: pcapgen.ACK, Payload: record}.IP())
		if b.t.kept > 1<<16 {
			t.Fatalf("%d bytes kept after %d flows", b.t.kept, i+1)
		}
	}
	if b.t.Stats().HandshakeDrops == 0 {
		t.Error("nothing was counted")
	}
	b.t.Flush(start)
	whole := 0
	for _, f := range b.flows {
		if bytes.Equal(f.Half[0].Handshake, record) {
			whole++
		}
		if f.App != flow.AppTLS || f.Half[0].TLSRecords != 1 {
			t.Errorf("%v: %v, %d records", f.Client, f.App, f.Half[0].TLSRecords)
		}
	}
	if whole != 8 || b.t.kept != 0 {
		t.Errorf("%d handshakes kept, want 8 of 8 KiB; %d bytes still counted", whole, b.t.kept)
	}
}

func TestManySmallSegmentsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.PendingBytes = 4096 })
	b.open(0, 0)
	for i := range 10_000 { // every other byte is missing
		b.c2s(int64(i), uint32(3+2*i), pcapgen.ACK, []byte{'x'})
		if b.t.pending > 4096+segmentOverhead+1 {
			t.Fatalf("%d bytes wait after %d segments", b.t.pending, i+1)
		}
	}
	b.t.Flush(start)
	if f := b.flows[0]; f.Half[0].Gaps == 0 || b.t.Stats().PendingDrops == 0 || b.t.pending != 0 {
		t.Errorf("gaps %d, %+v", f.Half[0].Gaps, b.t.Stats())
	}
}

func TestConfigShareKeepsTheLimits(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	s := c.Share(3)
	if s.MaxFlows*3 > c.MaxFlows || s.TotalPending*3 > c.TotalPending || s.TotalHandshake*3 > c.TotalHandshake || s.MaxFlows < c.MaxFlows/3 {
		t.Errorf("%+v", s)
	}
}
