package pcap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"trench/pkg/internal/pcapgen"
)

// readAll returns copies of all packets and the error that ended them. It fails
// when the reader holds more memory than the package promises.
func readAll(r io.Reader) ([]Packet, error) {
	p, err := NewReader(r, "test")
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var (
		out []Packet
		b   Block
	)
	for {
		err := p.ReadBlock(&b)
		if n := cap(b.buf) + cap(p.rest); n > 16<<20 {
			return out, fmt.Errorf("the reader holds %d bytes", n)
		}
		for _, k := range b.Packets {
			k.Data = bytes.Clone(k.Data)
			out = append(out, k)
		}
		if err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				var e *Error
				if !errors.As(err, &e) {
					err = nil
				}
			}
			return out, err
		}
	}
}

func packets(n int) []pcapgen.Packet {
	out := make([]pcapgen.Packet, n)
	for i := range out {
		out[i] = pcapgen.Packet{Time: 1_600_000_000_000_000_000 + int64(i)*1_001_000, Data: bytes.Repeat([]byte{byte(i)}, 20+i%1400), Wire: 20 + i%1500}
	}
	return out
}

func expected(in []pcapgen.Packet, link LinkType) []Packet {
	var out []Packet
	for _, p := range in {
		out = append(out, Packet{Time: p.Time, Data: p.Data, WireLen: uint32(max(p.Wire, len(p.Data))), Link: link})
	}
	return out
}

// same reports whether two lists of packets are equal.
func same(a, b []Packet) bool {
	return slices.EqualFunc(a, b, func(x, y Packet) bool {
		return x.Time == y.Time && x.WireLen == y.WireLen && x.Link == y.Link && bytes.Equal(x.Data, y.Data)
	})
}

func TestClassicLayoutsReadAlike(t *testing.T) {
	t.Parallel()
	in := packets(5000) // several blocks
	want := expected(in, LinkEthernet)
	for name, c := range map[string]pcapgen.Classic{
		"little µs":     {Order: binary.LittleEndian, Link: 1},
		"big µs":        {Order: binary.BigEndian, Link: 1},
		"little ns":     {Order: binary.LittleEndian, Nanos: true, Link: 1},
		"big ns":        {Order: binary.BigEndian, Nanos: true, Link: 1},
		"modified":      {Order: binary.LittleEndian, Modified: true, Link: 1},
		"big modified":  {Order: binary.BigEndian, Modified: true, Link: 1},
		"checksum bits": {Order: binary.LittleEndian, Link: 0xf4000001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := c.File(in)
			for reader, r := range map[string]io.Reader{
				"at once": bytes.NewReader(file), "half": iotest.HalfReader(bytes.NewReader(file)), "data with EOF": iotest.DataErrReader(bytes.NewReader(file)),
			} {
				got, err := readAll(r)
				if err != nil {
					t.Fatalf("%s: %v", reader, err)
				}
				if !same(want, got) {
					t.Errorf("%s: %d packets, want %d with the same contents", reader, len(got), len(want))
				}
			}
		})
	}
}

func TestOldAndForeignFileHeadersReadAlike(t *testing.T) {
	t.Parallel()
	in := packets(40)
	want := expected(in, LinkEthernet)
	swapLengths := func(file []byte, which func(captured, wire uint32) bool) []byte {
		for at := 24; at < len(file); {
			captured, wire := binary.BigEndian.Uint32(file[at+8:]), binary.BigEndian.Uint32(file[at+12:])
			if which(captured, wire) {
				binary.BigEndian.PutUint32(file[at+8:], wire)
				binary.BigEndian.PutUint32(file[at+12:], captured)
			}
			at += 16 + int(captured)
		}
		return file
	}
	lcap := func(order binary.ByteOrder, magic uint32, nanos bool) []byte {
		file := pcapgen.Classic{Order: order, Nanos: nanos, Link: 1}.File(in)
		order.PutUint32(file, magic)
		return slices.Insert(file, 24, 1, 2, 3, 4)
	}
	minor := func(v byte) []byte {
		file := pcapgen.Classic{Order: binary.BigEndian, Link: 1}.File(in)
		file[7] = v
		return file
	}
	for name, file := range map[string][]byte{
		"lcap little ns": lcap(binary.LittleEndian, 0x1c0001ac, true),
		"lcap big µs":    lcap(binary.BigEndian, 0x1c0001ab, false),
		"version 2.2":    swapLengths(minor(2), func(uint32, uint32) bool { return true }),
		"version 2.3":    swapLengths(minor(3), func(captured, _ uint32) bool { return captured%3 == 0 }),
	} {
		got, err := readAll(bytes.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !same(want, got) {
			t.Errorf("%s: %d packets, want %d with the same contents", name, len(got), len(want))
		}
	}
}

// noisy gives packets whose bytes do not compress, so that a cut hits them.
func noisy(n int) []pcapgen.Packet {
	r := rand.New(rand.NewPCG(1, 2))
	out := packets(n)
	for i := range out {
		for j := range out[i].Data {
			out[i].Data[j] = byte(r.Uint32())
		}
	}
	return out
}

func compress(t *testing.T, format string, b []byte) []byte {
	t.Helper()
	var (
		buf bytes.Buffer
		w   io.WriteCloser = gzip.NewWriter(&buf)
		err error
	)
	if format == "zstd" {
		if w, err = zstd.NewWriter(&buf); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = w.Write(b); err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestCompressedFilesReadAlike(t *testing.T) {
	t.Parallel()
	in := noisy(1500)
	want := expected(in, LinkRaw)
	file := pcapgen.Classic{Order: binary.LittleEndian, Link: 101}.File(in)
	for _, format := range []string{"gzip", "zstd"} {
		whole := compress(t, format, file)
		parts := slices.Concat(compress(t, format, file[:10_000]), compress(t, format, nil), compress(t, format, file[10_000:]))
		inputs := map[string][]byte{"one piece": whole, "three pieces": parts}
		if format == "zstd" {
			inputs["frame to skip"] = slices.Concat([]byte{0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9}, whole)
		}
		for name, b := range inputs {
			got, err := readAll(bytes.NewReader(b))
			if err != nil {
				t.Errorf("%s, %s: %v", format, name, err)
			}
			if !same(want, got) {
				t.Errorf("%s, %s: %d packets, want %d with the same contents", format, name, len(got), len(want))
			}
		}
	}
}

func TestCutCompressedFilesGiveWhatCameBefore(t *testing.T) {
	t.Parallel()
	in := noisy(1500) // 1 MB
	want := expected(in, LinkRaw)
	file := pcapgen.Classic{Order: binary.LittleEndian, Link: 101}.File(in)
	for format, lost := range map[string]int{"gzip": 0, "zstd": 128 << 10} { // at most, of what would decompress
		whole := compress(t, format, file)
		for _, cut := range []int{len(whole) - 3, len(whole) * 3 / 4, len(whole) / 2} {
			got, err := readAll(bytes.NewReader(whole[:cut]))
			if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), format+" input is cut") {
				t.Errorf("%s cut at %d: error %v, want one that says so", format, cut, err)
			}
			if !same(want[:len(got)], got) {
				t.Errorf("%s cut at %d: packets differ from the first ones", format, cut)
			}
			bytes := 0
			for _, p := range got {
				bytes += 16 + len(p.Data)
			}
			// Noise is stored as it is, so the cut is at nearly the same offset in both.
			if least := cut - lost - 2048; bytes < least {
				t.Errorf("%s cut at %d: %d bytes of packets, want at least %d", format, cut, bytes, least)
			}
		}
	}
	for _, head := range [][]byte{{0x1f, 0x8b}, {0x1f, 0x8b, 8, 0, 0}} {
		if _, err := readAll(bytes.NewReader(head)); err == nil || !strings.Contains(err.Error(), "gzip input is cut") {
			t.Errorf("%d bytes of gzip: error %v, want one that says that the input is cut", len(head), err)
		}
	}
}

func TestNextGenerationSectionsAndInterfaces(t *testing.T) {
	t.Parallel()
	n := &pcapgen.NG{Order: binary.LittleEndian}
	n.Section()
	n.Interface(1, -1, 0)          // µs
	n.Interface(101, 9, 0)         // ns
	n.Interface(113, 0x80|10, 100) // 1/1024 s, 100 s later
	n.Block(10, []byte("TLSK secrets are none of our business"))
	n.Packet(0, 1_000_001, []byte("a"), 0)
	n.Packet(1, 2_000_000_003, []byte("bb"), 60)
	n.Packet(2, 3*1024+512, []byte("ccc"), 0)
	n.Block(3, append(binary.LittleEndian.AppendUint32(nil, 4), "dddd"...))
	n.Block(5, make([]byte, 12))
	n.Order = binary.BigEndian
	n.Section()
	n.Interface(276, 6, 0)
	n.Packet(0, 5_000_000, []byte("eeeee"), 0)
	want := []Packet{
		{Time: 1_000_001_000, Data: []byte("a"), WireLen: 1, Link: LinkEthernet},
		{Time: 2_000_000_003, Data: []byte("bb"), WireLen: 60, Link: LinkRaw},
		{Time: 103_500_000_000, Data: []byte("ccc"), WireLen: 3, Link: LinkSLL},
		{Time: 103_500_000_000, Data: []byte("dddd"), WireLen: 4, Link: LinkEthernet},
		{Time: 5_000_000_000, Data: []byte("eeeee"), WireLen: 5, Link: LinkSLL2},
	}
	got, err := readAll(bytes.NewReader(n.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// option appends one option.
func option(order binary.AppendByteOrder, b []byte, code uint16, value ...byte) []byte {
	b = order.AppendUint16(order.AppendUint16(b, code), uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func TestDropCountersOfAllSectionsAddUp(t *testing.T) {
	t.Parallel()
	le, be := binary.LittleEndian, binary.BigEndian
	enhanced := func(order binary.AppendByteOrder, id uint32, data string, drops ...uint64) []byte {
		var b []byte
		for _, v := range []uint32{id, 0, 1, uint32(len(data)), uint32(len(data))} {
			b = order.AppendUint32(b, v)
		}
		b = append(b, data...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		b = option(order, b, 1, []byte("a comment")...)
		for _, d := range drops {
			b = option(order, b, 4, order.AppendUint64(nil, d)...)
		}
		return option(order, b, 0)
	}
	obsolete := func(id, drops uint16) []byte {
		return append(le.AppendUint16(le.AppendUint16(nil, id), drops), make([]byte, 16)...)
	}
	statistics := func(order binary.AppendByteOrder, id uint32, ifdrop, osdrop int64) []byte {
		b := append(order.AppendUint32(nil, id), make([]byte, 8)...)
		b = option(order, b, 4, order.AppendUint64(nil, 1_000_000)...) // isb_ifrecv
		if ifdrop >= 0 {
			b = option(order, b, 5, order.AppendUint64(nil, uint64(ifdrop))...)
		}
		if osdrop >= 0 {
			b = option(order, b, 7, order.AppendUint64(nil, uint64(osdrop))...)
		}
		return b
	}
	n := &pcapgen.NG{Order: le}
	n.Section()
	n.Interface(1, -1, 0)
	n.Interface(1, -1, 0)
	n.Interface(1, -1, 0)
	n.Block(6, enhanced(le, 0, "five.", 100)) // not counted: statistics follow
	n.Block(5, statistics(le, 0, 3, 4))
	n.Block(5, statistics(le, 0, 5, 40)) // 45 in all
	n.Block(6, enhanced(le, 1, "x", 7, 1))
	n.Block(5, statistics(le, 1, -1, -1)) // says nothing of drops
	n.Block(2, obsolete(2, 0xffff))       // not known
	n.Block(2, obsolete(2, 600))
	n.Block(5, statistics(le, 9, 1, 1)) // of no interface
	first := len(n.Bytes)
	n.Order = be
	n.Section()
	n.Interface(1, -1, 0)
	n.Block(6, enhanced(be, 0, "yy", 9000))
	for _, c := range []struct {
		bytes   int
		packets int
		want    uint64
	}{{first, 4, 45 + 8 + 600}, {len(n.Bytes), 5, 45 + 8 + 600 + 9000}} {
		p, err := NewReader(bytes.NewReader(n.Bytes[:c.bytes]), "test")
		if err != nil {
			t.Fatal(err)
		}
		var b Block
		packets := 0
		for err == nil {
			err = p.ReadBlock(&b)
			packets += len(b.Packets)
		}
		if !errors.Is(err, io.EOF) || packets != c.packets || p.Dropped() != c.want {
			t.Errorf("%d packets, %d dropped, %v; want %d, %d", packets, p.Dropped(), err, c.packets, c.want)
		}
	}
}

func TestBlocksOfAnyLengthAreSkipped(t *testing.T) {
	t.Parallel()
	n := &pcapgen.NG{Order: binary.LittleEndian}
	n.Section()
	n.Interface(1, -1, 0)
	n.Packet(0, 1, []byte("before"), 0)
	for _, typ := range []uint32{4, 9, 10, 0xbad, 0x40000bad, 0x80000001} { // names, journal, secrets, custom, unknown
		n.Block(typ, make([]byte, 3*blockSize))
	}
	cut := len(n.Bytes) - 100
	n.Packet(0, 2, []byte("after"), 0)
	got, err := readAll(bytes.NewReader(n.Bytes))
	if err != nil || len(got) != 2 || string(got[1].Data) != "after" {
		t.Errorf("%d packets, %v; want the one before and the one after", len(got), err)
	}
	got, err = readAll(bytes.NewReader(n.Bytes[:cut]))
	if len(got) != 1 || err == nil || !strings.Contains(err.Error(), "cut: 100 bytes of a block are missing") {
		t.Errorf("cut: %d packets, %v; want one and that 100 bytes are missing", len(got), err)
	}
}

func TestReadingAllocatesNothingInSteadyState(t *testing.T) {
	in := packets(3000)
	ng := &pcapgen.NG{Order: binary.BigEndian}
	ng.Section()
	ng.Interface(1, -1, 0)
	for _, p := range in {
		ng.Packet(0, uint64(p.Time/1000), p.Data, p.Wire)
	}
	for name, file := range map[string][]byte{"pcap": pcapgen.Classic{Order: binary.BigEndian, Link: 1}.File(in), "pcapng": ng.Bytes} {
		head := 24
		if name == "pcapng" {
			head = 28 + 20
		}
		endless := &loop{head: file[:head], body: file[head:]}
		p, err := NewReader(endless, name)
		if err != nil {
			t.Fatal(err)
		}
		var b Block
		packets := 0
		read := func() {
			if err := p.ReadBlock(&b); err != nil {
				t.Fatal(err)
			}
			packets += len(b.Packets)
		}
		for range 50 {
			read()
		}
		packets = 0
		if n := testing.AllocsPerRun(200, read); n != 0 {
			t.Errorf("%s: %v allocations a block, want 0", name, n)
		}
		if packets < 10_000 {
			t.Errorf("%s: %d packets only", name, packets)
		}
	}
}

// loop is a capture whose packets come again and again.
type loop struct {
	head, body []byte
	at         int
}

func (l *loop) Read(b []byte) (int, error) {
	if len(l.head) > 0 {
		n := copy(b, l.head)
		l.head = l.head[n:]
		return n, nil
	}
	n := copy(b, l.body[l.at:])
	l.at = (l.at + n) % len(l.body)
	return n, nil
}

func TestBrokenFilesNameOffsetAndCause(t *testing.T) {
	t.Parallel()
	whole := pcapgen.Classic{Order: binary.LittleEndian, Link: 1}.File(packets(3))
	ng := &pcapgen.NG{Order: binary.LittleEndian}
	ng.Section()
	ng.Interface(1, -1, 0)
	good := len(ng.Bytes)
	ng.Packet(0, 1, []byte("x"), 0)
	ng.Packet(7, 1, []byte("x"), 0)
	huge := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(huge[24+8:], 1<<30)
	unequal := bytes.Clone(ng.Bytes[:good])
	unequal[good-1]++
	for name, c := range map[string]struct {
		in      []byte
		packets int
		offset  int64
		cause   string
		format  bool
	}{
		"empty":               {nil, 0, 0, "empty file", true},
		"three bytes":         {whole[:3], 0, 0, "3 bytes only", true},
		"no capture":          {[]byte("GIF89a, surely"), 0, 0, "magic 47494638", true},
		"cut header":          {whole[:20], 0, 20, "cut after 20 of 24 bytes", false},
		"cut record":          {whole[:len(whole)-1], 2, int64(len(whole) - 38), "cut: 37 bytes of an incomplete record", false},
		"huge record":         {huge, 0, 24, "record of 1073741824 bytes", false},
		"unknown interface":   {ng.Bytes, 1, int64(good + 36), "packet of interface 7, 1 are described", false},
		"lengths differ":      {unequal, 0, 28, "lengths 20 and 16777236 differ", false},
		"section version 2":   {slices.Concat([]byte{10, 13, 13, 10, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 2, 0, 1, 0}, make([]byte, 8), []byte{28, 0, 0, 0}), 0, 0, "section header of version 2.1", false},
		"no byte order":       {append([]byte{10, 13, 13, 10, 28, 0, 0, 0}, make([]byte, 20)...), 0, 0, "byte-order magic", false},
		"block of four bytes": {append(bytes.Clone(ng.Bytes[:good]), 6, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0), 0, int64(good), "block type 0x6 with length 4", false},
	} {
		got, err := readAll(bytes.NewReader(c.in))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v, want an *Error", name, err)
			continue
		}
		if e.Name != "test" || e.Offset != c.offset || !strings.Contains(e.Error(), c.cause) || errors.Is(err, ErrFormat) != c.format {
			t.Errorf("%s: %v (offset %d), want offset %d and %q", name, err, e.Offset, c.offset, c.cause)
		}
		if len(got) != c.packets {
			t.Errorf("%s: %d packets before the fault, want %d", name, len(got), c.packets)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(pcapgen.Classic{Order: binary.LittleEndian, Link: 1}.File(packets(4)))
	f.Add(pcapgen.Classic{Order: binary.BigEndian, Nanos: true, Link: 113}.File(packets(2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(bytes.NewReader(b))
		slow, serr := readAll(iotest.OneByteReader(bytes.NewReader(b)))
		if fmt.Sprint(err) != fmt.Sprint(serr) || !same(got, slow) {
			t.Errorf("at once: %d packets, %v; byte by byte: %d packets, %v", len(got), err, len(slow), serr)
		}
		for _, p := range got {
			if int(p.WireLen) < len(p.Data) {
				t.Errorf("wire length %d below captured %d", p.WireLen, len(p.Data))
			}
		}
	})
}
