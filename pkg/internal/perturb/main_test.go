package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("198.51.100.7:443")
)

func TestOnlyTheFirstPacketsOfEachConnectionStay(t *testing.T) {
	t.Parallel()
	var in []pcapgen.Packet
	for i := range 9 {
		in = append(in, segment(i, client, server, uint32(i), 0, pcapgen.ACK, "x"))
		other := netip.AddrPortFrom(client.Addr(), 40001)
		in = append(in, segment(i, server, other, uint32(i), 0, pcapgen.ACK, "y"))
	}
	arp := make([]byte, 42)
	binary.BigEndian.PutUint16(arp[12:], 0x0806)
	for range 4 {
		in = append(in, pcapgen.Packet{Time: at(9), Data: arp})
	}
	out := perturb(t, in, "first=3")
	if len(out) != 3+3+4 {
		t.Fatalf("%d packets are left, want 3 of each connection and 4 without", len(out))
	}
	for i, p := range out[:6] {
		if p.Time != in[i].Time || !bytes.Equal(p.Data, in[i].Data) {
			t.Errorf("packet %d is changed or another one", i)
		}
	}
}

func TestLossKeepsFirstPacketsAndRepeats(t *testing.T) {
	t.Parallel()
	const flows, each = 200, 20
	var in []pcapgen.Packet
	for i := range each {
		for f := range flows {
			in = append(in, segment(i, netip.AddrPortFrom(client.Addr(), uint16(1000+f)), server, uint32(i), 0, pcapgen.ACK, "x"))
		}
	}
	few, many, again := perturb(t, in, "loss=.05"), perturb(t, in, "loss=.3"), perturb(t, in, "loss=.3")
	if n := len(in) - len(many); n < len(in)/4 || n > len(in)/3 {
		t.Errorf("%d of %d packets are lost at 30 %%", n, len(in))
	}
	if !slices.EqualFunc(many, again, func(a, b pcap.Packet) bool { return a.Time == b.Time && bytes.Equal(a.Data, b.Data) }) {
		t.Error("the same seed loses other packets")
	}
	for _, out := range [][]pcap.Packet{few, many} {
		firsts := 0
		for _, p := range out {
			if p.Time == at(0) {
				firsts++
			}
		}
		if firsts != flows {
			t.Errorf("%d of %d first packets are left", firsts, flows)
		}
	}
	left := map[string]bool{}
	for _, p := range few {
		left[string(p.Data)] = true
	}
	for _, p := range many {
		if !left[string(p.Data)] {
			t.Fatal("a packet is lost at 5 % and not at 30 %")
		}
	}
}

func TestDelaysComeBeforeTheClientsTurnsOnly(t *testing.T) {
	t.Parallel()
	in := session("request", "answer")
	out := perturb(t, in, "delay=2s")
	if len(out) != len(in) {
		t.Fatalf("%d packets, want %d", len(out), len(in))
	}
	for i := 1; i < len(in); i++ {
		gap, was := out[i].Time-out[i-1].Time, in[i].Time-in[i-1].Time
		turn := i == 3 || i == 5 // the ClientHello, the request
		if turn && (gap <= was || gap > was+int64(2*time.Second)) {
			t.Errorf("packet %d comes %v after the one before, want a wait of up to 2 s", i, time.Duration(gap))
		} else if !turn && gap != was {
			t.Errorf("packet %d comes %v after the one before, want %v", i, time.Duration(gap), time.Duration(was))
		}
	}
	if out[0].Time != in[0].Time {
		t.Error("the first packet is moved")
	}
}

func TestPaddingGrowsRecordsAndNumbersFollow(t *testing.T) {
	t.Parallel()
	request, answer := string(make([]byte, 300)), string(make([]byte, 1400))
	in := session(request, answer)
	// What is sent again, and a close behind it.
	last := uint32(2000 + len(hello) + 5 + len(answer))
	in = append(in, in[6], segment(20, server, client, last, uint32(1000+len(hello)+5+len(request)), pcapgen.FIN|pcapgen.ACK, ""))
	in[len(in)-2].Time = at(19)
	out := perturb(t, in, "pad=1000")
	var data [2][]byte
	var next [2]uint32
	decoder := packet.NewDecoder(packet.DefaultConfig())
	for i, p := range out {
		var v packet.View
		if o := decoder.Decode(&v, &p); o != packet.OK || v.Truncated || int(v.Length) != len(v.Payload) {
			t.Fatalf("packet %d: outcome %v, %d of %d bytes", i, o, len(v.Payload), v.Length)
		}
		if len(v.Payload) > segmentSize {
			t.Errorf("packet %d carries %d bytes", i, len(v.Payload))
		}
		d := side(v.Forward)
		if v.Flags&packet.SYN != 0 {
			next[d] = v.Seq + 1
			continue
		}
		if v.Flags&packet.ACK != 0 && v.Ack != next[1-d] {
			t.Errorf("packet %d acknowledges %d, want %d", i, v.Ack, next[1-d])
		}
		if v.Time == at(19) {
			if int32(v.Seq+v.Length-next[d]) > 0 {
				t.Errorf("packet %d brings new bytes", i)
			}
			continue
		}
		if v.Seq != next[d] {
			t.Errorf("packet %d begins at %d, want %d", i, v.Seq, next[d])
		}
		next[d] += v.Length
		data[d] = append(data[d], v.Payload...)
	}
	for d, want := range [2]int{1000, 2000} {
		rest, ok := bytes.CutPrefix(data[d], []byte(hello))
		if !ok {
			t.Fatalf("direction %d: the handshake is changed", d)
		}
		if n := int(binary.BigEndian.Uint16(rest[3:])); n != want || len(rest) != 5+want {
			t.Errorf("direction %d: a body of %d bytes in %d, want %d", d, n, len(rest)-5, want)
		}
	}
}

func TestWhatIsNotTLSOrTaggedIsNotPadded(t *testing.T) {
	t.Parallel()
	plain := session("request", "answer")
	for i := range plain {
		plain[i].Data = bytes.ReplaceAll(plain[i].Data, []byte(hello), []byte("220 ready"))
	}
	tagged := session("request", "answer")
	for i := range tagged {
		tagged[i].Data = pcapgen.Ethernet(tagged[i].Data[14:], 7)
	}
	for name, in := range map[string][]pcapgen.Packet{"plain": plain, "tagged": tagged} {
		for i, p := range perturb(t, in, "stuff=512") {
			if !bytes.Equal(p.Data, in[i].Data) {
				t.Errorf("%s: packet %d is changed", name, i)
			}
		}
	}
}

func TestFaultsAreNamed(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, bytes.Repeat([]byte("no capture "), 9), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"usage":              {"-how", "first=3"},
		"unknown":            {"-how", "last=3", "-o", empty, empty},
		"probability":        {"-how", "loss=2", "-o", empty, empty},
		"a number from 1":    {"-how", "pad=0", "-o", empty, empty},
		"such as 2s":         {"-how", "delay=2", "-o", empty, empty},
		"no captures in":     {"-how", "first=3", "-o", empty, empty},
		"notes.txt":          {"-how", "first=3", "-o", empty, file},
		"no such file or di": {"-how", "first=3", "-o", empty, filepath.Join(empty, "absent")},
	} {
		if err := run(args); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%q: error %v, want one with %q", args, err, want)
		}
	}
}

// FuzzPadding plans padding for any bytes: what is inserted stands at ends of
// records that say so.
func FuzzPadding(f *testing.F) {
	f.Add([]byte(hello+"\x17\x03\x03\x00\x05abcde\x17\x03\x03\x00\x01f\x17\x03\x03\x10"), uint8(64))
	f.Add([]byte(hello+"\x17\x03\x03\x41\x00"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, n uint8) {
		data := bytes.Clone(in)
		ins := padTo(int(n)+1)(data, rand.New(rand.NewPCG(1, 1)))
		var grown []byte
		at := 0
		for _, i := range ins {
			if i.at <= at || i.at > len(data) {
				t.Fatalf("insertion at %d behind %d of %d", i.at, at, len(data))
			}
			grown = append(append(grown, data[at:i.at]...), i.bytes...)
			at = i.at
		}
		grown = append(grown, data[at:]...)
		if again := padTo(int(n)+1)(grown, rand.New(rand.NewPCG(1, 1))); len(again) > 0 {
			t.Fatalf("padded records can be padded again: %v", again[0].at)
		}
	})
}

// hello is a record that begins a direction.
const hello = "\x16\x03\x01\x00\x04\x01\x00\x00\x00"

// session is a TCP connection with a handshake record each way, a request and an answer.
func session(request, answer string) []pcapgen.Packet {
	record := func(body string) string {
		return string(binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(body)))) + body
	}
	c, s := uint32(1000), uint32(2000)
	c2, s2 := c+uint32(len(hello)), s+uint32(len(hello))
	c3 := c2 + uint32(len(record(request)))
	return []pcapgen.Packet{
		segment(0, client, server, c-1, 0, pcapgen.SYN, ""),
		segment(1, server, client, s-1, c, pcapgen.SYN|pcapgen.ACK, ""),
		segment(2, client, server, c, s, pcapgen.ACK, ""),
		segment(3, client, server, c, s, pcapgen.ACK, hello),
		segment(4, server, client, s, c2, pcapgen.ACK, hello),
		segment(5, client, server, c2, s2, pcapgen.ACK, record(request)),
		segment(6, server, client, s2, c3, pcapgen.ACK, record(answer)),
		segment(7, client, server, c3, s2+uint32(len(record(answer))), pcapgen.ACK, ""),
	}
}

func at(i int) int64 { return 1_600_000_000_000_000_000 + int64(i)*int64(50*time.Millisecond) }

func segment(i int, src, dst netip.AddrPort, seq, ack uint32, flags byte, payload string) pcapgen.Packet {
	s := pcapgen.Segment{Src: src, Dst: dst, Seq: seq, Ack: ack, Flags: flags, Payload: []byte(payload)}
	return pcapgen.Packet{Time: at(i), Data: pcapgen.Ethernet(s.IP())}
}

// perturb writes a capture, has it rewritten and reads the result.
func perturb(t *testing.T, in []pcapgen.Packet, how string) []pcap.Packet {
	t.Helper()
	dir, out := t.TempDir(), t.TempDir()
	file := pcapgen.Classic{Order: binary.LittleEndian, Link: uint32(pcap.LinkEthernet)}.File(in)
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "b.pcap"), file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-how", how, "-o", out, dir}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(out, "a", "b.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcap.NewReader(f, f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var packets []pcap.Packet
	for {
		var b pcap.Block
		if err := r.ReadBlock(&b); errors.Is(err, io.EOF) {
			return packets
		} else if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, b.Packets...)
	}
}
