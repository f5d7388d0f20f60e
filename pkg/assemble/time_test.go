package assemble

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
)

const year = 365 * 24 * 3600 * second

func TestAJumpOfTheClockJoinsNoFlows(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]int64{"ahead": 5 * year, "back": -5 * year, "a while": 301 * second, "a while back": -301 * second} {
		b := newBench(nil)
		b.ip(0, pcapgen.UDP(client, server, []byte("before")))
		b.c2s(0, 100, pcapgen.ACK, []byte("before"))
		b.t.Expire(start)
		b.ip(jump, pcapgen.UDP(client, server, []byte("after")))
		b.c2s(jump, 0x10000000, pcapgen.ACK, []byte("after")) // another connection
		b.t.Expire(start + jump)
		b.t.Flush(start + jump)
		ids := map[flow.ID]bool{}
		for _, f := range b.flows {
			ids[f.ID] = true
			if f.Half[0].Packets != 1 {
				t.Errorf("%s: %d packets", name, f.Half[0].Packets)
			}
		}
		if len(b.flows) != 4 || len(ids) != 4 {
			t.Errorf("%s: %d flows, %d ids", name, len(b.flows), len(ids))
		}
	}
}

// TestAConnectionOutlivesAJumpOfTheClock gives one packet of a connection, or all
// from one on, a time of another year.
func TestAConnectionOutlivesAJumpOfTheClock(t *testing.T) {
	t.Parallel()
	hello := tlsRecord(22, 1, 0, 0, 1, 9)
	for name, at := range map[string][4]int64{
		"the SYN-ACK back":     {0, -21 * year, 2 * second, 3 * second},
		"the SYN-ACK ahead":    {0, 21 * year, 2 * second, 3 * second},
		"the SYN back":         {-21 * year, second, 2 * second, 3 * second},
		"back for good":        {0, second, -year, -year + second},
		"ahead for good":       {0, second, year, year + second},
		"two days, for good":   {0, second, 48 * 3600 * second, 48*3600*second + second},
		"ten minutes and back": {600 * second, 0, second, 2 * second},
	} {
		b := newBench(nil)
		b.c2s(at[0], 100, pcapgen.SYN, nil)
		b.ip(at[1], pcapgen.Segment{Src: server, Dst: client, Seq: 5000, Ack: 101, Flags: pcapgen.SYN | pcapgen.ACK}.IP())
		b.ip(at[2], pcapgen.Segment{Src: client, Dst: server, Seq: 101, Ack: 5001, Flags: pcapgen.ACK}.IP())
		b.t.Expire(start + at[2])
		b.ip(at[3], pcapgen.Segment{Src: client, Dst: server, Seq: 101, Ack: 5001, Flags: pcapgen.ACK, Payload: hello}.IP())
		b.t.Flush(start + at[3])
		if len(b.flows) != 1 {
			t.Errorf("%s: %d flows", name, len(b.flows))
			continue
		}
		f := b.flows[0]
		if f.App != flow.AppTLS || f.End != flow.EndEOF || f.First != start+at[0] || f.Last < f.First || f.Last > f.First+3*second || f.Packets[0].Offset < 0 || f.Packets[0].Offset > 3*second {
			t.Errorf("%s: %v ends %v after %d s, data at %d s", name, f.App, f.End, (f.Last-f.First)/second, f.Packets[0].Offset/second)
		}
	}
}

// TestFlowsAheadOfTheClockHideNothing leaves flows of a later year in the table
// when the clock has gone back: those of now still end by idleness.
func TestFlowsAheadOfTheClockHideNothing(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	for i := range 100 {
		b.ip(year, pcapgen.UDP(netip.AddrPortFrom(client.Addr(), uint16(1000+i)), server, []byte("x")))
	}
	other := netip.MustParseAddrPort("192.0.2.9:53")
	b.ip(0, pcapgen.UDP(other, server, []byte("x")))
	b.t.Expire(start + 500*second)
	if len(b.flows) != 1 || b.flows[0].Client != other || b.t.Stats().Open != 100 {
		t.Errorf("%d flows ended, %d open", len(b.flows), b.t.Stats().Open)
	}
}

func TestTimesAtTheEndsOfTheScaleDoNotOverflow(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	for i, at := range []int64{math.MinInt64 + 1, math.MaxInt64, 0, math.MinInt64 + 1} {
		b.ip(at-start, pcapgen.UDP(client, server, []byte("x")))
		b.c2s(at-start, uint32(i), pcapgen.ACK, []byte("x"))
		b.t.Expire(at)
	}
	b.t.Flush(0)
	if len(b.flows) < 4 {
		t.Errorf("%d flows, want 4 of UDP and one or more of TCP", len(b.flows))
	}
}

// TestTheLastReportEqualsTheUncutFlow compares a long connection with and without
// reports at the active time-out.
func TestTheLastReportEqualsTheUncutFlow(t *testing.T) {
	t.Parallel()
	play := func(reports bool) []flow.Flow {
		b := newBench(func(c *Config) { c.Reports = reports })
		b.open(0, 100)
		hello, answer := tlsRecord(22, 1, 0, 0, 1, 9), tlsRecord(22, 2, 0, 0, 1, 9)
		b.c2s(second, 101, pcapgen.ACK, hello)
		b.s2c(2*second, 5001, pcapgen.ACK, answer)
		seq := 101 + uint32(len(hello))
		for i := range int64(40) { // a beacon of an hour and more
			data := tlsRecord(23, bytes.Repeat([]byte{byte(i)}, 100+int(i))...)
			b.c2s((100+i*100)*second, seq, pcapgen.ACK, data)
			seq += uint32(len(data))
		}
		b.t.Flush(start)
		return b.flows
	}
	cut, uncut := play(true), play(false)
	if len(uncut) != 1 || len(cut) < 10 {
		t.Fatalf("%d and %d reports", len(uncut), len(cut))
	}
	for i, f := range cut {
		if f.ID != uncut[0].ID || f.Part != uint32(i) || f.Final != (i == len(cut)-1) || f.First != uncut[0].First {
			t.Errorf("report %d: part %d, final %v", i, f.Part, f.Final)
		}
		if i > 0 && (f.Half[0].Packets <= cut[i-1].Half[0].Packets || !slices.Equal(f.Packets[:len(cut[i-1].Packets)], cut[i-1].Packets)) {
			t.Errorf("report %d does not go on from the one before", i)
		}
	}
	if d := cmp.Diff(uncut[0], cut[len(cut)-1], cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Errorf("(-uncut +last report):\n%s", d)
	}
}

func TestIdleTimeOutsAreByProtocol(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) {
		c.TCPIdle, c.UDPIdle, c.SCTPIdle, c.ICMPIdle, c.OtherIdle = 50*1e9, 40*1e9, 30*1e9, 20*1e9, 10*1e9
	})
	body := make([]byte, 20)
	body[12] = 5 << 4
	for _, proto := range []byte{6, 17, 132, 1, 47} {
		b.ip(0, pcapgen.IP(client.Addr(), server.Addr(), proto, body))
	}
	for i, proto := range []uint8{47, 1, 132, 17, 6} {
		b.t.Expire(start + int64(i+1)*10*second + slack)
		if len(b.flows) != i {
			t.Fatalf("%d flows ended at %d s", len(b.flows), (i+1)*10)
		}
		b.t.Expire(start + int64(i+1)*10*second + slack + 1)
		if len(b.flows) != i+1 || b.flows[i].Protocol != proto || b.flows[i].End != flow.EndIdle {
			t.Fatalf("after %d s: %d flows ended, the last of protocol %d", (i+1)*10, len(b.flows), b.flows[len(b.flows)-1].Protocol)
		}
	}
}
