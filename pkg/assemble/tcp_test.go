package assemble

import (
	"bytes"
	"slices"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/tlswire"
)

func ends(flows []flow.Flow) (out []flow.EndReason) {
	for _, f := range flows {
		out = append(out, f.End)
	}
	return out
}

func TestResetsOfTheRightSequenceEndAFlow(t *testing.T) {
	t.Parallel()
	refused := func(ack uint32) func(*bench) {
		return func(b *bench) {
			b.c2s(0, 100, pcapgen.SYN, nil)
			b.ip(1, pcapgen.Segment{Src: server, Dst: client, Ack: ack, Flags: pcapgen.RST | pcapgen.ACK}.IP())
		}
	}
	// The client has sent up to 111, of which the server acknowledged 106.
	running := func(seq uint32) func(*bench) {
		return func(b *bench) {
			b.open(0, 100)
			b.c2s(second, 101, pcapgen.ACK, []byte("0123456789"))
			b.ip(second+1, pcapgen.Segment{Src: server, Dst: client, Seq: 5001, Ack: 106, Flags: pcapgen.ACK}.IP())
			b.c2s(second+2, seq, pcapgen.RST, nil)
		}
	}
	for name, c := range map[string]struct {
		packets func(*bench)
		want    flow.EndReason
	}{
		"next":                          {running(111), flow.EndRST},
		"what was acknowledged":         {running(106), flow.EndRST},
		"a segment further":             {running(1500), flow.EndRST},
		"ahead":                         {running(5111), flow.EndEOF},
		"far ahead":                     {running(111 + 1<<20), flow.EndEOF},
		"half the numbers away":         {running(111 + 1<<31), flow.EndEOF},
		"long ago":                      {running(0xfffe_0000), flow.EndEOF},
		"refusal of the SYN":            {refused(101), flow.EndRST},
		"refusal of a SYN that was not": {refused(909_000), flow.EndEOF},
		"first packet of the flow":      {func(b *bench) { b.c2s(0, 7, pcapgen.RST, nil) }, flow.EndRST},
		"after lost segments, as the peer acknowledged": {func(b *bench) {
			b.open(0, 100)
			b.ip(second, pcapgen.Segment{Src: server, Dst: client, Seq: 5001, Ack: 90_101, Flags: pcapgen.ACK}.IP())
			b.c2s(second+1, 90_101, pcapgen.RST, nil)
		}, flow.EndRST},
	} {
		b := newBench(nil)
		c.packets(b)
		b.t.Flush(start)
		if got := ends(b.flows); !slices.Equal(got, []flow.EndReason{c.want}) {
			t.Errorf("%s: ends %v, want %v", name, got, c.want)
		}
	}
}

func TestAForgedResetDoesNotStopTheWalk(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 100)
	hello := tlsRecord(22, 1, 0, 0, 1, 9)
	b.c2s(second, 101, pcapgen.ACK, hello)
	b.s2c(second+1, 0xdeadbeef, pcapgen.RST, nil)
	b.c2s(100*second, 101+uint32(len(hello)), pcapgen.ACK, tlsRecord(23, 1, 2, 3)) // later than Linger
	b.t.Flush(start)
	if len(b.flows) != 1 || b.flows[0].Half[0].AppRecords != 1 || b.flows[0].End != flow.EndEOF {
		t.Errorf("%d flows, %+v", len(b.flows), ends(b.flows))
	}
}

func TestKeepAlivesAndWindowProbesChangeNothing(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 100)
	b.c2s(1*second, 101, pcapgen.ACK, []byte("abc"))
	b.c2s(2*second, 103, pcapgen.ACK, []byte{0})   // keep-alive with a byte of garbage
	b.c2s(3*second, 103, pcapgen.ACK, nil)         // and without
	b.c2s(4*second, 104, pcapgen.ACK, []byte("d")) // probes a closed window with the next byte
	b.c2s(5*second, 104, pcapgen.ACK, []byte("defg"))
	b.t.Flush(start)
	f := b.flows[0]
	if len(b.flows) != 1 || f.Half[0].Retransmitted != 0 || f.Half[0].DataPackets != 3 || f.Half[0].ByteCounts[0] != 0 || f.Half[0].Gaps != 0 {
		t.Errorf("%d flows, %d retransmitted, %d data packets", len(b.flows), f.Half[0].Retransmitted, f.Half[0].DataPackets)
	}
	for _, c := range "abcdefg" {
		if f.Half[0].ByteCounts[c] != 1 {
			t.Errorf("%c counted %d times", c, f.Half[0].ByteCounts[c])
		}
	}
}

func TestSimultaneousOpenIsOneFlow(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.c2s(0, 100, pcapgen.SYN, nil)
	b.s2c(1, 900, pcapgen.SYN, nil)
	b.c2s(2, 100, pcapgen.SYN|pcapgen.ACK, nil)
	b.s2c(3, 900, pcapgen.SYN|pcapgen.ACK, nil)
	b.c2s(4, 101, pcapgen.ACK, []byte("hello"))
	b.s2c(5, 901, pcapgen.ACK, []byte("there"))
	b.t.Flush(start)
	if f := b.flows[0]; len(b.flows) != 1 || f.Half[0].Packets+f.Half[1].Packets != 6 || f.Half[0].Payload != 5 || f.Half[0].Gaps != 0 {
		t.Errorf("%d flows, the first with %d packets", len(b.flows), f.Half[0].Packets+f.Half[1].Packets)
	}
}

func TestSegmentationOffloadFramesAreWhole(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 100)
	hello := tlsRecord(22, append([]byte{1, 0, 0, 60}, make([]byte, 60)...)...)
	var sent []byte
	sent = append(sent, hello...)
	for range 4 {
		sent = append(sent, tlsRecord(23, make([]byte, 15_000)...)...)
	}
	b.c2s(second, 101, pcapgen.ACK, sent)
	b.t.Flush(start)
	f := b.flows[0]
	if !bytes.Equal(f.Half[0].Handshake, hello) || f.Half[0].AppRecords != 4 || f.Half[0].AppBytes != 60_000 || f.Packets[0].Length != int32(len(sent)) {
		t.Errorf("%d records, %d bytes, first packet %d of %d", f.Half[0].AppRecords, f.Half[0].AppBytes, f.Packets[0].Length, len(sent))
	}
}

// TestTheWalkResumesAtTheNextRecord loses a whole record and the head of the next.
func TestTheWalkResumesAtTheNextRecord(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.PendingBytes = 64 })
	b.open(0, 0)
	hello := tlsRecord(22, 1, 0, 0, 0)
	data := tlsRecord(23, make([]byte, 1000)...)
	alert := tlsRecord(21, 1, 0)
	stream := slices.Concat(hello, data, data, data, data, alert)
	at := func(i int) int { return len(hello) + i*len(data) }
	b.c2s(1, 1, pcapgen.ACK, stream[:at(1)])
	b.c2s(2, 1+uint32(at(2)+500), pcapgen.ACK, stream[at(2)+500:at(3)]) // not the start of a record
	b.c2s(3, 1+uint32(at(3)), pcapgen.ACK, stream[at(3):])
	b.t.Flush(start)
	f := b.flows[0]
	var types []uint8
	for _, r := range f.Records {
		types = append(types, r.Type)
	}
	if !slices.Equal(types, []uint8{22, 23, 23, 21}) || f.Half[0].Gaps != uint64(len(data)+500) || !bytes.Equal(f.Half[0].Handshake, slices.Concat(hello, alert)) {
		t.Errorf("records %v, gaps %d, kept %x", types, f.Half[0].Gaps, f.Half[0].Handshake)
	}
}

func TestALostHandshakeRecordIsMarkedAndTheNextOneKept(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.PendingBytes = 64 })
	b.open(0, 0)
	first := tlsRecord(22, append([]byte{2, 0, 0, 200}, make([]byte, 200)...)...)
	lost := tlsRecord(22, append([]byte{11, 0, 0, 200}, make([]byte, 200)...)...)
	later := tlsRecord(22, append([]byte{14, 0, 0, 100}, make([]byte, 100)...)...)
	gap := []byte{tlswire.RecordGap, 0, 0, 0, 0}
	b.s2c(1, 5001, pcapgen.ACK, first)
	b.s2c(2, 5001+uint32(len(first)+len(lost)), pcapgen.ACK, later)
	b.t.Flush(start)
	if h := b.flows[0].Half[1]; !bytes.Equal(h.Handshake, slices.Concat(first, gap, later)) || h.TLSRecords != 2 || h.Gaps != uint64(len(lost)) {
		t.Errorf("kept %d bytes, %d records, gaps %d", len(h.Handshake), h.TLSRecords, h.Gaps)
	}
}

func TestARecordWithAHoleEndsWhereTheHoleBegins(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.open(0, 0)
	hole := tlsRecord(22, append([]byte{11, 0, 0, 200}, make([]byte, 200)...)...)
	later := tlsRecord(22, 14, 0, 0, 0)
	b.s2c(1, 5001, pcapgen.ACK, hole[:100])
	b.s2c(2, 5001+uint32(len(hole)-20), pcapgen.ACK, hole[len(hole)-20:])
	b.s2c(3, 5001+uint32(len(hole)), pcapgen.ACK, later)
	b.t.Flush(start)
	want := slices.Concat([]byte{22, 3, 3, 0, 95}, hole[5:100], []byte{tlswire.RecordGap, 0, 0, 0, 0}, later)
	if h := b.flows[0].Half[1]; !bytes.Equal(h.Handshake, want) || h.TLSRecords != 2 {
		t.Errorf("kept %x, want %x; %d records", h.Handshake, want, h.TLSRecords)
	}
}

func TestAGapBeforeTheFirstBytesDoesNotHideTheProtocol(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.PendingBytes = 64 })
	b.open(0, 0)
	b.c2s(1, 1, pcapgen.ACK, []byte{22, 3, 1})
	b.c2s(2, 600, pcapgen.ACK, tlsRecord(23, make([]byte, 300)...))
	b.t.Flush(start)
	if f := b.flows[0]; f.App != flow.AppTLS || f.Half[0].AppRecords != 1 || f.Half[0].Gaps != 596 {
		t.Errorf("%v, %d records, gaps %d", f.App, f.Half[0].AppRecords, f.Half[0].Gaps)
	}
}
