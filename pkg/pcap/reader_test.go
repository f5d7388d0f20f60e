package pcap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"trench/pkg/internal/pcapgen"
)

// readAll returns copies of all packets and the error that ended them.
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

func TestCompressedFilesReadAlike(t *testing.T) {
	t.Parallel()
	in := packets(300)
	file := pcapgen.Classic{Order: binary.LittleEndian, Link: 101}.File(in)
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := w.Write(file); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range map[string][]byte{"gzip": gz.Bytes(), "zstd": zs.Bytes()} {
		got, err := readAll(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !same(expected(in, LinkRaw), got) {
			t.Errorf("%s: %d packets, want %d with the same contents", name, len(got), len(in))
		}
		if _, err := readAll(bytes.NewReader(b[:len(b)-9])); err == nil {
			t.Errorf("%s cut: no error", name)
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
	n := &pcapgen.NG{Order: binary.BigEndian}
	n.Section()
	n.Interface(1, 9, 5)
	n.Packet(0, 77, []byte("payload"), 99)
	f.Add(n.Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(bytes.NewReader(b))
		slow, serr := readAll(iotest.OneByteReader(bytes.NewReader(b)))
		if (err == nil) != (serr == nil) || !same(got, slow) {
			t.Errorf("at once: %d packets, %v; byte by byte: %d packets, %v", len(got), err, len(slow), serr)
		}
		for _, p := range got {
			if int(p.WireLen) < len(p.Data) {
				t.Errorf("wire length %d below captured %d", p.WireLen, len(p.Data))
			}
		}
	})
}
