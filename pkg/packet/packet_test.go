package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"trench/pkg/flow"
	"trench/pkg/internal/corpus"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

var (
	client4 = netip.MustParseAddrPort("192.0.2.1:49152")
	server4 = netip.MustParseAddrPort("198.51.100.7:443")
	client6 = netip.MustParseAddrPort("[2001:db8::1]:49152")
	server6 = netip.MustParseAddrPort("[2001:db8::2]:443")
)

func decode(t *testing.T, data []byte, link pcap.LinkType) (View, Outcome) {
	t.Helper()
	var v View
	o := Decode(&v, &pcap.Packet{Time: 42, Data: data, WireLen: uint32(len(data)), Link: link})
	return v, o
}

func TestLinkLayersLeadToTheSameFlow(t *testing.T) {
	t.Parallel()
	four := pcapgen.Segment{Src: client4, Dst: server4, Seq: 7, Ack: 9, Flags: pcapgen.PSH | pcapgen.ACK, Payload: []byte("hello")}.IP()
	six := pcapgen.Segment{Src: client6, Dst: server6, Seq: 7, Ack: 9, Flags: pcapgen.PSH | pcapgen.ACK, Payload: []byte("hello")}.IP()
	sll := func(ip []byte, typ uint16) []byte {
		return append(binary.BigEndian.AppendUint16(make([]byte, 14), typ), ip...)
	}
	sll2 := func(ip []byte, typ uint16) []byte {
		return append(append(binary.BigEndian.AppendUint16(nil, typ), make([]byte, 18)...), ip...)
	}
	for name, c := range map[string]struct {
		data []byte
		link pcap.LinkType
		vlan [2]uint16
		v6   bool
	}{
		"Ethernet":           {pcapgen.Ethernet(four), pcap.LinkEthernet, [2]uint16{}, false},
		"Ethernet padded":    {append(pcapgen.Ethernet(four), 0, 0, 0, 0, 0, 0), pcap.LinkEthernet, [2]uint16{}, false},
		"VLAN":               {pcapgen.Ethernet(four, 12), pcap.LinkEthernet, [2]uint16{12}, false},
		"QinQ":               {pcapgen.Ethernet(six, 12, 13), pcap.LinkEthernet, [2]uint16{12, 13}, true},
		"Ethernet IPv6":      {pcapgen.Ethernet(six), pcap.LinkEthernet, [2]uint16{}, true},
		"SLL":                {sll(four, 0x0800), pcap.LinkSLL, [2]uint16{}, false},
		"SLL2 IPv6":          {sll2(six, 0x86dd), pcap.LinkSLL2, [2]uint16{}, true},
		"raw":                {four, pcap.LinkRaw, [2]uint16{}, false},
		"raw of BSD":         {six, pcap.LinkRawBSD, [2]uint16{}, true},
		"null little endian": {append([]byte{2, 0, 0, 0}, four...), pcap.LinkNull, [2]uint16{}, false},
		"null big endian":    {append([]byte{0, 0, 0, 30}, six...), pcap.LinkNull, [2]uint16{}, true},
		"loop":               {append([]byte{0, 0, 0, 2}, four...), pcap.LinkLoop, [2]uint16{}, false},
		"PPP":                {append([]byte{0xff, 3, 0, 0x21}, four...), pcap.LinkPPP, [2]uint16{}, false},
		"PPPoE IPv6":         {ethernet(0x8864, append([]byte{0x11, 0, 0, 1, 0, byte(len(six) + 2), 0, 0x57}, six...)), pcap.LinkEthernet, [2]uint16{}, true},
		"MPLS":               {ethernet(0x8847, append([]byte{0, 1, 1, 64}, four...)), pcap.LinkEthernet, [2]uint16{}, false},
	} {
		v, o := decode(t, c.data, c.link)
		if o != OK {
			t.Errorf("%s: outcome %d", name, o)
			continue
		}
		src, dst := client4, server4
		ip := four
		if c.v6 {
			src, dst, ip = client6, server6, six
		}
		a, b := v.Key.Ends()
		if !v.Forward {
			a, b = b, a
		}
		if a != src || b != dst || v.Key.VLAN != c.vlan || v.Key.Protocol != ProtocolTCP {
			t.Errorf("%s: %v to %v, VLAN %v, protocol %d", name, a, b, v.Key.VLAN, v.Key.Protocol)
		}
		if string(v.Payload) != "hello" || v.Length != 5 || v.Bytes != uint32(len(ip)) || v.Truncated || v.Seq != 7 || v.Ack != 9 || v.Flags != PSH|ACK {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// ethernet puts an Ethernet header of any type in front of a payload.
func ethernet(typ uint16, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 12), typ), payload...)
}

func TestBothDirectionsHaveOneKey(t *testing.T) {
	t.Parallel()
	there, _ := decode(t, pcapgen.UDP(client6, server6, []byte("q")), pcap.LinkRaw)
	back, _ := decode(t, pcapgen.UDP(server6, client6, []byte("a")), pcap.LinkRaw)
	if there.Key != back.Key || there.Forward == back.Forward || there.Key.Hash() != back.Key.Hash() {
		t.Errorf("there %+v, back %+v", there, back)
	}
}

func TestExtensionHeadersAreWalked(t *testing.T) {
	t.Parallel()
	udp := pcapgen.UDP(client6, server6, []byte("data"))[40:]
	chain := func(first byte, headers ...[]byte) []byte {
		return pcapgen.IP(client6.Addr(), server6.Addr(), first, append(bytes.Join(headers, nil), udp...))
	}
	hop := func(next byte) []byte { return []byte{next, 0, 5, 2, 0, 0, 1, 0} }
	for name, data := range map[string][]byte{
		"hop-by-hop":         chain(0, hop(17)),
		"three":              chain(0, hop(43), []byte{60, 0, 0, 0, 0, 0, 0, 0}, hop(17)),
		"authentication":     chain(51, append([]byte{17, 4}, make([]byte, 22)...)),
		"first of fragments": chain(44, []byte{17, 0, 0, 1, 0, 0, 0, 9}),
	} {
		v, o := decode(t, data, pcap.LinkRaw)
		if o != OK || string(v.Payload) != "data" || v.Key.PortA != 49152 && v.Key.PortB != 49152 {
			t.Errorf("%s: outcome %d, %+v", name, o, v)
		}
	}
	if _, o := decode(t, chain(44, []byte{17, 0, 0, 8, 0, 0, 0, 9}), pcap.LinkRaw); o != Fragment {
		t.Errorf("later fragment: outcome %d", o)
	}
}

func TestOddPacketsHaveOneOutcome(t *testing.T) {
	t.Parallel()
	tcp := pcapgen.Segment{Src: client4, Dst: server4, Payload: make([]byte, 100)}.IP()
	edit := func(at int, v ...byte) []byte { b := bytes.Clone(tcp); copy(b[at:], v); return b }
	for name, c := range map[string]struct {
		data []byte
		link pcap.LinkType
		want Outcome
	}{
		"ARP":                 {append(make([]byte, 12), 8, 6, 0, 1), pcap.LinkEthernet, NotIP},
		"Ethernet cut":        {make([]byte, 13), pcap.LinkEthernet, Malformed},
		"VLAN cut":            {append(make([]byte, 12), 0x81, 0, 0), pcap.LinkEthernet, Malformed},
		"USB":                 {make([]byte, 64), 189, Refused},
		"IPv4 cut":            {tcp[:19], pcap.LinkRaw, Malformed},
		"header of 16 bytes":  {edit(0, 0x44), pcap.LinkRaw, Malformed},
		"length below header": {edit(2, 0, 19), pcap.LinkRaw, Malformed},
		"later fragment":      {edit(6, 0, 1), pcap.LinkRaw, Fragment},
		"TCP cut":             {tcp[:39], pcap.LinkRaw, Malformed},
		"TCP offset 16":       {edit(32, 0x40), pcap.LinkRaw, Malformed},
		"IPv6 header cut":     {append([]byte{0x60}, make([]byte, 38)...), pcap.LinkRaw, Malformed},
		"PPP control":         {[]byte{0xff, 3, 0xc0, 0x21, 1, 1, 0, 4}, pcap.LinkPPP, NotIP},
		"PPP cut":             {[]byte{}, pcap.LinkPPP, Malformed},
		"version 5":           {edit(0, 0x55), pcap.LinkRaw, NotIP},
		"null with rubbish":   {append([]byte{9, 9, 9, 9}, tcp...), pcap.LinkNull, NotIP},
	} {
		if _, got := decode(t, c.data, c.link); got != c.want {
			t.Errorf("%s: outcome %d, want %d", name, got, c.want)
		}
	}
}

func TestCutPacketsCountByWireLength(t *testing.T) {
	t.Parallel()
	ip := pcapgen.Segment{Src: client4, Dst: server4, Payload: make([]byte, 1000)}.IP()
	var v View
	if o := Decode(&v, &pcap.Packet{Data: ip[:60], WireLen: uint32(len(ip)), Link: pcap.LinkRaw}); o != OK {
		t.Fatalf("outcome %d", o)
	}
	if !v.Truncated || v.Length != 1000 || len(v.Payload) != 20 || v.Bytes != 1040 {
		t.Errorf("%+v", v)
	}
}

func TestOffloadFramesTakeTheirLengthFromTheFrame(t *testing.T) {
	t.Parallel()
	ip := pcapgen.Segment{Src: client4, Dst: server4, Payload: make([]byte, 30000)}.IP()
	binary.BigEndian.PutUint16(ip[2:], 0)
	if v, o := decode(t, pcapgen.Ethernet(ip), pcap.LinkEthernet); o != OK || v.Length != 30000 || v.Truncated {
		t.Errorf("outcome %d, length %d", o, v.Length)
	}
}

// TestDecodeAgreesWithGopacket compares with an independent decoder on every
// Ethernet packet of the corpus.
func TestDecodeAgreesWithGopacket(t *testing.T) {
	t.Parallel()
	var compared, different int
	err := filepath.WalkDir(corpus.Dir(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		r, err := pcap.NewReader(f, path)
		if err != nil {
			return nil // no capture: expected results lie beside the captures
		}
		defer r.Close()
		var b pcap.Block
		for r.ReadBlock(&b) == nil {
			for i := range b.Packets {
				if p := &b.Packets[i]; p.Link == pcap.LinkEthernet && i%7 == 0 {
					compared++
					if why := disagreement(p); why != "" {
						different++
						if different <= 10 {
							t.Logf("%s: %s", path, why)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	t.Logf("%d packets compared, %d differ", compared, different)
	if different > 0 {
		t.Errorf("%d of %d packets decoded differently", different, compared)
	}
}

// disagreement says how gopacket sees a packet differently.
func disagreement(p *pcap.Packet) string {
	var v View
	o := Decode(&v, p)
	pkt := gopacket.NewPacket(p.Data, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	var src, dst netip.AddrPort
	switch n := pkt.NetworkLayer().(type) {
	case *layers.IPv4:
		src, dst = ends(n.SrcIP, n.DstIP)
	case *layers.IPv6:
		src, dst = ends(n.SrcIP, n.DstIP)
	default:
		if o == OK {
			return "a flow where there is no IP"
		}
		return ""
	}
	if o != OK || tunnelled(pkt) {
		return "" // judged by the tests above; gopacket shows the inner flow of a tunnel
	}
	var payload []byte
	switch l := pkt.TransportLayer().(type) {
	case *layers.TCP:
		src, dst = netip.AddrPortFrom(src.Addr(), uint16(l.SrcPort)), netip.AddrPortFrom(dst.Addr(), uint16(l.DstPort))
		payload = l.Payload
		if l.Seq != v.Seq || l.Ack != v.Ack || l.SYN != (v.Flags&SYN != 0) || l.FIN != (v.Flags&FIN != 0) || l.RST != (v.Flags&RST != 0) {
			return "sequence numbers or flags"
		}
	case *layers.UDP:
		src, dst = netip.AddrPortFrom(src.Addr(), uint16(l.SrcPort)), netip.AddrPortFrom(dst.Addr(), uint16(l.DstPort))
		payload = l.Payload
	default:
		return ""
	}
	a, b := v.Key.Ends()
	if !v.Forward {
		a, b = b, a
	}
	switch {
	case a != src || b != dst:
		return "endpoints " + a.String() + " " + b.String() + ", want " + src.String() + " " + dst.String()
	case !bytes.Equal(payload, v.Payload) && len(payload) != 0:
		return "payload"
	}
	return ""
}

func ends(src, dst []byte) (netip.AddrPort, netip.AddrPort) {
	a, _ := netip.AddrFromSlice(src)
	b, _ := netip.AddrFromSlice(dst)
	return netip.AddrPortFrom(a, 0), netip.AddrPortFrom(b, 0)
}

// tunnelled reports whether there is more than one IP header.
func tunnelled(p gopacket.Packet) bool {
	n := 0
	for _, l := range p.Layers() {
		if t := l.LayerType(); t == layers.LayerTypeIPv4 || t == layers.LayerTypeIPv6 {
			n++
		}
	}
	return n > 1
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	p := &pcap.Packet{Data: pcapgen.Ethernet(pcapgen.Segment{Src: client4, Dst: server4, Payload: make([]byte, 99)}.IP()), Link: pcap.LinkEthernet}
	var v View
	if n := testing.AllocsPerRun(100, func() { Decode(&v, p) }); n != 0 {
		t.Errorf("Decode allocates %v times, want 0", n)
	}
}

func FuzzDecode(f *testing.F) {
	seg := pcapgen.Segment{Src: client6, Dst: server6, Payload: []byte("x")}.IP()
	f.Add(pcapgen.Ethernet(seg, 5), uint16(pcap.LinkEthernet), uint32(0))
	f.Add(seg, uint16(pcap.LinkRaw), uint32(2000))
	f.Add(append(make([]byte, 14), 8, 0), uint16(pcap.LinkSLL), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, link uint16, wire uint32) {
		var v View
		p := &pcap.Packet{Data: b, WireLen: max(uint32(len(b)), wire%(1<<20)), Link: pcap.LinkType(link)}
		if Decode(&v, p) == OK && (int(v.Length) < len(v.Payload) || v.Key == (flow.Key{})) {
			t.Errorf("%+v", v)
		}
	})
}
