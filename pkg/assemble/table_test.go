package assemble

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:49152")
	server = netip.MustParseAddrPort("198.51.100.7:443")
)

const (
	second = int64(time.Second)
	start  = 1_600_000_000 * second
)

// bench feeds a table and collects deep copies of its flows.
type bench struct {
	t     *Table
	dec   *packet.Decoder
	flows []flow.Flow
}

func newBench(edit func(*Config)) *bench {
	cfg := DefaultConfig()
	if edit != nil {
		edit(&cfg)
	}
	b := &bench{dec: packet.NewDecoder(packet.DefaultConfig())}
	b.t = New(cfg, func(f *flow.Flow) {
		c := *f
		c.Packets, c.Records, c.VLAN = slices.Clone(f.Packets), slices.Clone(f.Records), slices.Clone(f.VLAN)
		c.Resolution = bytes.Clone(f.Resolution)
		for i := range c.Half {
			c.Half[i].Handshake = bytes.Clone(f.Half[i].Handshake)
		}
		b.flows = append(b.flows, c)
	})
	return b
}

func (b *bench) ip(at int64, data []byte) {
	var v packet.View
	if o := b.dec.Decode(&v, &pcap.Packet{Time: start + at, Data: data, WireLen: uint32(len(data)), Link: pcap.LinkRaw}); o != packet.OK {
		panic("test packet does not decode")
	}
	b.t.Add(&v)
}

func (b *bench) c2s(at int64, seq uint32, flags byte, payload []byte) {
	b.ip(at, pcapgen.Segment{Src: client, Dst: server, Seq: seq, Flags: flags, Payload: payload}.IP())
}

func (b *bench) s2c(at int64, seq uint32, flags byte, payload []byte) {
	b.ip(at, pcapgen.Segment{Src: server, Dst: client, Seq: seq, Flags: flags, Payload: payload}.IP())
}

// open makes a three-way handshake of 20 ms from time at.
func (b *bench) open(at int64, isn uint32) {
	b.c2s(at, isn, pcapgen.SYN, nil)
	b.s2c(at+second/100, 5000, pcapgen.SYN|pcapgen.ACK, nil)
	b.c2s(at+second/50, isn+1, pcapgen.ACK, nil)
}

// tlsRecord returns a record of n equal bytes.
func tlsRecord(typ byte, body ...byte) []byte {
	return append([]byte{typ, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

func TestConnectionIsOneFlow(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 100)
	hello := tlsRecord(22, 1, 0, 0, 1, 9)
	answer := tlsRecord(22, 2, 0, 0, 1, 9)
	data := tlsRecord(23, bytes.Repeat([]byte{7}, 300)...)
	b.c2s(second/10, 101, pcapgen.PSH|pcapgen.ACK, hello)
	b.s2c(second/5, 5001, pcapgen.PSH|pcapgen.ACK, append(slices.Clone(answer), data...))
	b.c2s(second/4, 101+uint32(len(hello)), pcapgen.FIN|pcapgen.ACK, nil)
	b.s2c(second/3, 5001+uint32(len(answer)+len(data)), pcapgen.FIN|pcapgen.ACK, nil)
	b.c2s(second/3+1, 102+uint32(len(hello)), pcapgen.ACK, nil)
	b.t.Flush(0)
	if len(b.flows) != 1 {
		t.Fatalf("%d flows", len(b.flows))
	}
	f := b.flows[0]
	if f.Client != client || f.Server != server || f.End != flow.EndFIN || !f.Final || f.Part != 0 || f.App != flow.AppTLS || f.RTT != second/50 {
		t.Errorf("%v to %v, end %v, final %v, part %d, app %v, rtt %d", f.Client, f.Server, f.End, f.Final, f.Part, f.App, f.RTT)
	}
	c, s := f.Half[0], f.Half[1]
	if c.Packets != 5 || s.Packets != 3 || c.Payload != uint64(len(hello)) || s.Payload != uint64(len(answer)+len(data)) || c.Bytes != 5*40+c.Payload {
		t.Errorf("client %d packets %d bytes %d payload, server %d packets %d payload", c.Packets, c.Bytes, c.Payload, s.Packets, s.Payload)
	}
	if d := cmp.Diff([]flow.Packet{{Length: 10, Offset: second / 10}, {Length: -315, Offset: second / 5}}, f.Packets); d != "" {
		t.Errorf("packets (-want +got):\n%s", d)
	}
	want := []flow.Record{
		{Direction: flow.ClientToServer, Type: 22, Length: 5, Offset: second / 10},
		{Direction: flow.ServerToClient, Type: 22, Length: 5, Offset: second / 5},
		{Direction: flow.ServerToClient, Type: 23, Length: 300, Offset: second / 5},
	}
	if d := cmp.Diff(want, f.Records); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
	if !bytes.Equal(c.Handshake, hello) || !bytes.Equal(s.Handshake, answer) {
		t.Errorf("handshake %x and %x: application data must not be kept", c.Handshake, s.Handshake)
	}
	if s.AppRecords != 1 || s.AppBytes != 300 || s.AppByteCounts[7] != 300 || s.ByteCounts[7] != 300 || c.ByteCounts[22] != 1 {
		t.Errorf("application data: %d records, %d bytes, counts %d and %d", s.AppRecords, s.AppBytes, s.AppByteCounts[7], s.ByteCounts[7])
	}
}

func TestDirectionWithoutSYNComesFromTheHello(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.s2c(0, 5001, pcapgen.ACK, tlsRecord(22, 2, 0, 0, 1, 9))
	b.c2s(1, 101, pcapgen.ACK, tlsRecord(22, 16, 0, 0, 1, 9))
	b.t.Flush(0)
	if f := b.flows[0]; f.Client != client || f.Packets[0].Length >= 0 || f.Packets[1].Length <= 0 || f.Records[0].Direction != flow.ServerToClient {
		t.Errorf("client %v, packets %v", f.Client, f.Packets)
	}
}

func TestTimeOuts(t *testing.T) {
	t.Parallel()
	type step struct {
		at    int64
		flags byte
	}
	for name, c := range map[string]struct {
		steps []step
		ends  []flow.EndReason
	}{
		"idle":              {[]step{{0, pcapgen.ACK}, {300 * second, pcapgen.ACK}, {600*second + 1, pcapgen.ACK}}, []flow.EndReason{flow.EndIdle, flow.EndEOF}},
		"reset, then quiet": {[]step{{0, pcapgen.RST}, {5 * second, pcapgen.ACK}, {10*second + 1, pcapgen.ACK}}, []flow.EndReason{flow.EndRST, flow.EndEOF}},
		"one FIN":           {[]step{{0, pcapgen.FIN}, {200 * second, pcapgen.ACK}}, []flow.EndReason{flow.EndEOF}},
		"back in time":      {[]step{{100 * second, pcapgen.ACK}, {0, pcapgen.ACK}, {100 * second, pcapgen.ACK}}, []flow.EndReason{flow.EndEOF}},
	} {
		b := newBench(nil)
		for _, s := range c.steps {
			b.c2s(s.at, 1, s.flags, nil)
		}
		b.t.Flush(0)
		var ends []flow.EndReason
		for _, f := range b.flows {
			ends = append(ends, f.End)
		}
		if !slices.Equal(ends, c.ends) {
			t.Errorf("%s: ends %v, want %v", name, ends, c.ends)
		}
	}
}

func TestExpireEndsSilentFlowsOnly(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	other := netip.MustParseAddrPort("192.0.2.9:53")
	b.c2s(0, 1, pcapgen.ACK, nil)
	b.ip(10*second, pcapgen.UDP(other, server, []byte("x")))
	b.t.Expire(start + 132*second) // UDP: 120 s, TCP: 300 s
	if len(b.flows) != 1 || b.flows[0].Client != other || b.flows[0].End != flow.EndIdle {
		t.Fatalf("%d flows after expiry", len(b.flows))
	}
	if got := b.t.Stats(); got.Open != 1 || got.Flows != 1 {
		t.Errorf("stats %+v", got)
	}
}

func TestPortsUsedAgainMakeNewFlows(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 100)
	b.c2s(second, 100, pcapgen.SYN, nil) // the SYN once more: same flow
	b.open(2*second, 900)
	b.c2s(3*second, 901, pcapgen.RST, nil)
	b.open(4*second, 7000)
	b.t.Flush(0)
	var ends []flow.EndReason
	ids := make(map[flow.ID]bool)
	for _, f := range b.flows {
		ends = append(ends, f.End)
		ids[f.ID] = true
	}
	if !slices.Equal(ends, []flow.EndReason{flow.EndReuse, flow.EndRST, flow.EndEOF}) || len(ids) != 3 {
		t.Errorf("ends %v, %d ids", ends, len(ids))
	}
}

func TestFlowsThatTieHaveDifferentIDs(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	for isn := range uint32(3) {
		b.c2s(0, isn*1000, pcapgen.SYN, nil)
	}
	b.t.Flush(0)
	if len(b.flows) != 3 || b.flows[0].ID == b.flows[1].ID || b.flows[1].ID == b.flows[2].ID {
		t.Errorf("%d flows", len(b.flows))
	}
}

func TestFlowIDIsDeterministic(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.c2s(0, 1, pcapgen.SYN, nil)
	b.t.Flush(0)
	const want = "ce7fe5a21f789409eec7abdedce05fc1" // pinned: rows of earlier versions must still collapse
	if got := b.flows[0].ID.String(); got != want {
		t.Errorf("flow id %s, want %s", got, want)
	}
}

func TestActiveTimeOutReportsTheFlowSoFar(t *testing.T) {
	t.Parallel()
	for _, reports := range []bool{true, false} {
		b := newBench(func(c *Config) { c.Reports = reports })
		for i := range int64(8) {
			b.c2s(i*100*second, uint32(1+i*10), pcapgen.ACK, []byte("0123456789"))
		}
		b.t.Flush(0)
		var parts []uint32
		for _, f := range b.flows {
			parts = append(parts, f.Part)
		}
		want := []uint32{2}
		if reports {
			want = []uint32{0, 1, 2}
		}
		last := b.flows[len(b.flows)-1]
		if !slices.Equal(parts, want) || !last.Final || last.Half[0].Payload != 80 {
			t.Errorf("reports %v: parts %v, last %v with %d bytes", reports, parts, last.Final, last.Half[0].Payload)
		}
		if reports && (b.flows[0].End != flow.EndActive || b.flows[0].Final || b.flows[0].Half[0].Payload != 30 || b.flows[0].ID != last.ID) {
			t.Errorf("first report: %+v", b.flows[0].End)
		}
	}
}

func TestFullTableEvictsTheLongestSilentFlow(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.MaxFlows = 16 })
	for i := range 20 {
		b.ip(int64(i), pcapgen.UDP(netip.AddrPortFrom(client.Addr(), uint16(1000+i)), server, []byte("x")))
	}
	if s := b.t.Stats(); s.Evicted != 4 || s.Open != 16 || len(b.flows) != 4 || b.flows[0].Client.Port() != 1000 || b.flows[0].End != flow.EndEvicted {
		t.Errorf("%+v, first evicted %v", s, b.flows[0].Client)
	}
}

func TestRetransmissionsAreLeftOutOfTheSequence(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.c2s(0, 100, pcapgen.ACK, []byte("aaaaa"))
	b.c2s(1, 105, pcapgen.ACK, []byte("bbbbb"))
	b.c2s(2, 100, pcapgen.ACK, []byte("aaaaa")) // again
	b.c2s(3, 109, pcapgen.ACK, []byte("b"))     // keep-alive
	b.c2s(4, 120, pcapgen.ACK, []byte("ddddd")) // a hole before it
	b.c2s(5, 115, pcapgen.ACK, []byte("ccccc")) // fills half of it: out of order, but new
	b.c2s(6, 115, pcapgen.ACK, []byte("ccccc")) // again
	b.c2s(7, 110, pcapgen.ACK, []byte("bbbbb")) // fills the rest
	b.t.Flush(0)
	h := b.flows[0].Half[0]
	if h.Retransmitted != 2 || h.DataPackets != 5 || len(b.flows[0].Packets) != 5 || h.Gaps != 0 || h.LengthSum != 25 || h.Payload != 36 {
		t.Errorf("%d retransmitted, %d data packets, %d gaps", h.Retransmitted, h.DataPackets, h.Gaps)
	}
}

func TestSequenceNumbersWrap(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 0xfffffff0)
	payload := tlsRecord(22, append([]byte{1, 0, 0, 60}, bytes.Repeat([]byte{5}, 60)...)...)
	b.c2s(second, 25, pcapgen.ACK, payload[40:]) // 0xfffffff1 + 40
	b.c2s(second+1, 0xfffffff1, pcapgen.ACK, payload[:40])
	b.t.Flush(0)
	if f := b.flows[0]; !bytes.Equal(f.Half[0].Handshake, payload) || f.Half[0].Retransmitted != 0 {
		t.Errorf("handshake %x", f.Half[0].Handshake)
	}
}

// TestReassemblyEqualsTheSentBytes cuts a TLS stream at random, repeats,
// overlaps and shuffles the pieces, and wants the handshake bytes, the records
// and the byte counts of the stream as it was sent.
func TestReassemblyEqualsTheSentBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var sent, handshake []byte
		var records []flow.Record
		n := rapid.IntRange(1, 12).Draw(t, "records")
		for i := range n {
			typ := byte(22)
			if i > 0 {
				typ = rapid.SampledFrom([]byte{20, 21, 22, 23}).Draw(t, "type")
			}
			body := rapid.SliceOfN(rapid.Byte(), 1, 400).Draw(t, "body")
			if i == 0 {
				body[0] = 1
			}
			r := tlsRecord(typ, body...)
			sent = append(sent, r...)
			records = append(records, flow.Record{Type: typ, Length: uint16(len(body))})
			if typ != 23 {
				handshake = append(handshake, r...)
			}
		}
		type piece struct{ from, to int }
		var pieces []piece
		for at := 0; at < len(sent); {
			to := min(at+rapid.IntRange(1, 300).Draw(t, "cut"), len(sent))
			from := max(at-rapid.IntRange(0, 50).Draw(t, "overlap"), 0)
			pieces = append(pieces, piece{from, to})
			if rapid.IntRange(0, 4).Draw(t, "repeat") == 0 {
				pieces = append(pieces, piece{from, to})
			}
			at = to
		}
		order := rapid.Permutation(pieces).Draw(t, "order")
		isn := rapid.SampledFrom([]uint32{0, 1000, 0xffffff00, 0xffffffff}).Draw(t, "isn")
		b := newBench(nil)
		b.open(0, isn)
		for i, p := range order {
			b.c2s(second+int64(i), isn+1+uint32(p.from), pcapgen.ACK, sent[p.from:p.to])
		}
		b.t.Flush(0)
		f := b.flows[0]
		h := f.Half[0]
		if !bytes.Equal(h.Handshake, handshake) {
			t.Fatalf("handshake of %d bytes, sent %d", len(h.Handshake), len(handshake))
		}
		if len(f.Records) != len(records) || h.Gaps != 0 {
			t.Fatalf("%d records, sent %d; %d bytes missing", len(f.Records), len(records), h.Gaps)
		}
		for i, r := range f.Records {
			if r.Type != records[i].Type || r.Length != records[i].Length {
				t.Fatalf("record %d is %+v, sent %+v", i, r, records[i])
			}
		}
		var counts [256]uint16
		for _, v := range sent[:min(len(sent), flow.CountedBytes)] {
			counts[v]++
		}
		if counts != h.ByteCounts {
			t.Fatal("byte counts differ from the sent bytes")
		}
		if b.t.pending != 0 {
			t.Fatalf("%d bytes still pending", b.t.pending)
		}
	})
}

func TestSegmentsFromNowhereAreLeftOut(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 100)
	hello := tlsRecord(22, 1, 0, 0, 1, 9)
	for i, ahead := range []uint32{1 << 31, 1<<31 + 5, 1<<31 - 5, 3 << 30, 1<<30 + 1} {
		b.c2s(int64(i+1), 101+ahead, pcapgen.ACK, []byte("from nowhere"))
	}
	b.c2s(10, 101+uint32(len(hello)), pcapgen.ACK, hello)
	b.c2s(11, 101, pcapgen.ACK, hello)
	b.t.Flush(0)
	if f := b.flows[0]; !bytes.Equal(f.Half[0].Handshake, append(slices.Clone(hello), hello...)) || f.Half[0].Gaps != 0 {
		t.Errorf("handshake %x, %d bytes missing", f.Half[0].Handshake, f.Half[0].Gaps)
	}
}

func TestFirstCopyWinsWhereSegmentsOverlap(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 100)
	b.c2s(1, 111, pcapgen.ACK, []byte("BBBBBBBBBB")) // waits
	b.c2s(2, 106, pcapgen.ACK, []byte("xxxxxyyyyyyyyyyzzzzz"))
	b.c2s(3, 101, pcapgen.ACK, []byte("AAAAA"))
	b.t.Flush(0)
	c := b.flows[0].Half[0].ByteCounts
	if c['A'] != 5 || c['x'] != 5 || c['B'] != 10 || c['y'] != 0 || c['z'] != 5 {
		t.Errorf("A %d x %d B %d y %d z %d", c['A'], c['x'], c['B'], c['y'], c['z'])
	}
}

func TestLossInsideARecordKeepsTheWalkGoing(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.PendingBytes = 64 })
	b.open(0, 0)
	hello := tlsRecord(22, 1, 0, 0, 0)
	data := tlsRecord(23, make([]byte, 1000)...)
	alert := tlsRecord(21, 1, 0)
	stream := slices.Concat(hello, data, alert)
	b.c2s(1, 1, pcapgen.ACK, stream[:100])
	b.c2s(2, 1+500, pcapgen.ACK, stream[500:]) // 400 bytes of the body are lost
	b.t.Flush(0)
	f := b.flows[0]
	if len(f.Records) != 3 || f.Records[2].Type != 21 || f.Half[0].Gaps != 400 || b.t.Stats().PendingDrops != 1 {
		t.Errorf("records %+v, gaps %d, %+v", f.Records, f.Half[0].Gaps, b.t.Stats())
	}
}

func TestHTTPBodiesAreNotKept(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	head := "POST /login HTTP/1.1\r\nHost: example.net\r\nContent-Length: 11\r\n\r\n"
	b.c2s(0, 1, pcapgen.ACK, []byte(head[:30]))
	b.c2s(1, 31, pcapgen.ACK, []byte(head[30:]+"password=42"))
	b.t.Flush(0)
	if f := b.flows[0]; f.App != flow.AppHTTP || string(f.Half[0].Handshake) != head {
		t.Errorf("%v: kept %q", f.App, f.Half[0].Handshake)
	}
}

func TestUnknownPayloadIsNotKept(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.c2s(0, 1, pcapgen.ACK, []byte("sec"))
	b.c2s(1, 4, pcapgen.ACK, []byte("ret things of no known protocol"))
	b.ip(2, pcapgen.UDP(client, server, []byte("more of them")))
	b.t.Flush(0)
	for _, f := range b.flows {
		if f.App != flow.AppUnknown || len(f.Half[0].Handshake) != 0 {
			t.Errorf("%v: kept %q", f.App, f.Half[0].Handshake)
		}
	}
}

// dnsResponse answers example.net with one address.
func dnsResponse(addr netip.Addr) []byte {
	b := []byte{0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'n', 'e', 't', 0, 0, 1, 0, 1}
	b = append(b, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
	four := addr.As4()
	return append(b, four[:]...)
}

func TestDNSAnswerThatLedToAFlowIsRemembered(t *testing.T) {
	t.Parallel()
	resolver := netip.MustParseAddrPort("192.0.2.53:53")
	b := newBench(nil)
	msg := dnsResponse(server.Addr())
	b.ip(0, pcapgen.UDP(resolver, netip.AddrPortFrom(client.Addr(), 5353), msg))
	b.c2s(2*second, 1, pcapgen.SYN, nil)
	b.ip(3*second, pcapgen.Segment{Src: netip.MustParseAddrPort("192.0.2.77:49152"), Dst: server, Flags: pcapgen.SYN}.IP())
	b.ip(302*second, pcapgen.UDP(netip.AddrPortFrom(client.Addr(), 9), server, []byte("x")))
	b.t.Flush(0)
	for _, f := range b.flows {
		led := f.Protocol == 6 && f.Client == client
		if led != bytes.Equal(f.Resolution, msg) || led && f.ResolutionAge != 2*second {
			t.Errorf("%v to %v: resolution of %d bytes, age %d", f.Client, f.Server, len(f.Resolution), f.ResolutionAge)
		}
		if f.App == flow.AppDNS && (f.Client.Addr() != client.Addr() || int(binary.BigEndian.Uint16(f.Half[1].Handshake)) != len(msg)) {
			t.Errorf("DNS flow of %v, kept %x", f.Client, f.Half[1].Handshake)
		}
	}
}

func TestAddDoesNotAllocateInSteadyState(t *testing.T) {
	cfg := DefaultConfig()
	table := New(cfg, func(*flow.Flow) {})
	var views []packet.View
	for i := range 64 {
		c := netip.AddrPortFrom(client.Addr(), uint16(2000+i))
		add := func(s pcapgen.Segment) {
			var v packet.View
			packet.NewDecoder(packet.DefaultConfig()).Decode(&v, &pcap.Packet{Data: s.IP(), Link: pcap.LinkRaw})
			views = append(views, v)
		}
		add(pcapgen.Segment{Src: c, Dst: server, Seq: 1, Flags: pcapgen.SYN})
		add(pcapgen.Segment{Src: c, Dst: server, Seq: 2, Flags: pcapgen.ACK, Payload: tlsRecord(22, append([]byte{1}, make([]byte, 400)...)...)})
		add(pcapgen.Segment{Src: server, Dst: c, Seq: 2000, Flags: pcapgen.ACK, Payload: tlsRecord(23, make([]byte, 400)...)})
		add(pcapgen.Segment{Src: server, Dst: c, Seq: 1000, Flags: pcapgen.ACK, Payload: make([]byte, 1000)})
		add(pcapgen.Segment{Src: c, Dst: server, Seq: 407, Flags: pcapgen.RST})
	}
	at := start
	round := func() {
		for i := range views {
			views[i].Time = at
			table.Add(&views[i])
		}
		at += 10 * second
		table.Expire(at)
	}
	round()
	if n := testing.AllocsPerRun(50, round); n != 0 {
		t.Errorf("%v allocations for %d packets, want 0", n, len(views))
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 200, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add(bytes.Repeat([]byte{3, 22, 3, 1, 0, 9, 1, 0}, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		bn := newBench(func(c *Config) { c.PendingBytes, c.TotalPending, c.MaxFlows = 256, 512, 16 })
		var sent uint64
		for at := int64(0); len(b) >= 6; {
			at += int64(b[5]) * second
			n := min(int(b[0]%64), len(b)-6)
			s := pcapgen.Segment{
				Src: client, Dst: netip.AddrPortFrom(server.Addr(), uint16(b[1]%4)), Flags: b[2],
				Seq: uint32(b[3])<<24 | uint32(b[4]), Payload: b[6 : 6+n],
			}
			if b[1]&0x80 != 0 {
				s.Src, s.Dst = s.Dst, s.Src
			}
			bn.ip(at, s.IP())
			sent++
			b = b[6+n:]
		}
		bn.t.Flush(0)
		var got uint64
		for _, fl := range bn.flows {
			got += fl.Half[0].Packets + fl.Half[1].Packets
		}
		if got != sent || bn.t.pending != 0 {
			t.Errorf("%d of %d packets in flows, %d bytes pending", got, sent, bn.t.pending)
		}
	})
}
