package afpacket

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/pcap"
)

var order = binary.NativeEndian

type frame struct {
	data []byte
	wire uint32
	vlan bool
	tci  uint16
	tpid uint16
}

// makeBlock lays frames out as the kernel does.
func makeBlock(frames ...frame) []byte {
	b := make([]byte, blockHead)
	order.PutUint32(b[12:], uint32(len(frames)))
	order.PutUint32(b[16:], blockHead)
	for i, f := range frames {
		const data = 98 // 82 and the room asked for
		h := make([]byte, data, data+len(f.data)+16)
		order.PutUint32(h[4:], 7)
		order.PutUint32(h[8:], uint32(i))
		order.PutUint32(h[12:], uint32(len(f.data)))
		order.PutUint32(h[16:], max(f.wire, uint32(len(f.data))))
		order.PutUint16(h[24:], data)
		if f.vlan {
			order.PutUint32(h[20:], 1|statusVLAN|statusTPID)
			order.PutUint32(h[32:], uint32(f.tci))
			order.PutUint16(h[36:], f.tpid)
		}
		binary.BigEndian.PutUint16(h[50:], 0x0800)
		order.PutUint32(h[52:], 3)
		order.PutUint16(h[56:], hwPPP)
		h[58] = outgoing
		h = append(h, f.data...)
		for len(h)%8 != 0 {
			h = append(h, 0)
		}
		if i < len(frames)-1 {
			order.PutUint32(h, uint32(len(h)))
		}
		b = append(b, h...)
	}
	return b
}

func TestTagComesBackWhereItWas(t *testing.T) {
	t.Parallel()
	plain := []byte("aaaaaabbbbbb\x08\x00payload")
	var out pcap.Block
	k := Kind{Link: pcap.LinkEthernet}
	if lost := k.parse(makeBlock(frame{data: plain}, frame{data: plain, wire: 900, vlan: true, tci: 0x6005, tpid: 0x88a8}), &out); lost != 0 {
		t.Fatalf("%d packets lost", lost)
	}
	want := []pcap.Packet{
		{Time: 7e9, Data: plain, WireLen: uint32(len(plain)), Link: pcap.LinkEthernet},
		{Time: 7e9 + 1, Data: []byte("aaaaaabbbbbb\x88\xa8\x60\x05\x08\x00payload"), WireLen: 904, Link: pcap.LinkEthernet},
	}
	if d := cmp.Diff(want, out.Packets); d != "" {
		t.Error(d)
	}
}

func TestPseudoHeaderIsThatOfSLL2(t *testing.T) {
	t.Parallel()
	var out pcap.Block
	k, err := kindOf(hwPPP)
	if err != nil {
		t.Fatal(err)
	}
	if lost := k.parse(makeBlock(frame{data: []byte("IP")}), &out); lost != 0 || len(out.Packets) != 1 {
		t.Fatalf("%d packets lost, %d found", lost, len(out.Packets))
	}
	want := append([]byte{8, 0, 0, 0, 0, 0, 0, 3, 2, 0, outgoing, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "IP"...)
	if d := cmp.Diff(want, out.Packets[0].Data); d != "" {
		t.Error(d)
	}
}

func TestBrokenOffsetsEndTheBlock(t *testing.T) {
	t.Parallel()
	k := Kind{Link: pcap.LinkEthernet}
	for name, c := range map[string]struct {
		at    int
		value uint32
		found int
	}{
		"first packet outside":       {16, 1 << 30, 0},
		"first packet in the header": {16, 8, 0},
		"longer than the block":      {blockHead + 12, 1 << 31, 0},
		"data before its header":     {blockHead + 24, 4, 0},
		"next outside":               {blockHead, 0xfffffff0, 1},
		"next in itself":             {blockHead, 16, 1},
		"more than there are":        {12, 9, 2},
	} {
		b := makeBlock(frame{data: make([]byte, 60)}, frame{data: make([]byte, 60)})
		order.PutUint32(b[c.at:], c.value)
		n := order.Uint32(b[12:])
		var out pcap.Block
		if lost := k.parse(b, &out); len(out.Packets) != c.found || int(lost)+c.found != int(n) {
			t.Errorf("%s: %d packets and %d lost of %d", name, len(out.Packets), lost, n)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	b := makeBlock(frame{data: make([]byte, 60), vlan: true}, frame{data: make([]byte, 60)})
	k := Kind{Link: pcap.LinkEthernet}
	var out pcap.Block
	if n := testing.AllocsPerRun(100, func() { out.Packets = out.Packets[:0]; k.parse(b, &out) }); n != 0 {
		t.Errorf("parse allocates %v times, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(makeBlock(frame{data: []byte("aaaaaabbbbbb\x08\x00payload"), vlan: true, tpid: 0x8100}, frame{data: make([]byte, 60)}), true)
	f.Add(makeBlock(frame{data: make([]byte, 20)}), false)
	f.Fuzz(func(t *testing.T, b []byte, ethernet bool) {
		k := Kind{Link: pcap.LinkSLL2}
		if ethernet {
			k.Link = pcap.LinkEthernet
		}
		announced := uint32(0)
		if len(b) >= blockHead {
			announced = order.Uint32(b[12:])
		}
		var out pcap.Block
		if lost := k.parse(b, &out); uint32(len(out.Packets))+lost != announced {
			t.Errorf("%d packets and %d lost of %d", len(out.Packets), lost, announced)
		}
		for _, p := range out.Packets {
			if int(p.WireLen) < len(p.Data) {
				t.Errorf("packet of %d bytes, %d on the wire", len(p.Data), p.WireLen)
			}
		}
	})
}
