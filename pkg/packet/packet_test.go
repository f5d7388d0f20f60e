package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

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
	o := NewDecoder(DefaultConfig()).Decode(&v, &pcap.Packet{Time: 42, Data: data, WireLen: uint32(len(data)), Link: link})
	return v, o
}

func TestBothDirectionsHaveOneKey(t *testing.T) {
	t.Parallel()
	there, _ := decode(t, pcapgen.UDP(client6, server6, []byte("q")), pcap.LinkRaw)
	back, _ := decode(t, pcapgen.UDP(server6, client6, []byte("a")), pcap.LinkRaw)
	if there.Key != back.Key || there.Forward == back.Forward || there.Key.Hash(1) != back.Key.Hash(1) || there.Key.Spread() != back.Key.Spread() {
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
		"hop-by-hop":      chain(0, hop(17)),
		"three":           chain(0, hop(43), []byte{60, 0, 0, 0, 0, 0, 0, 0}, hop(17)),
		"authentication":  chain(51, append([]byte{17, 4}, make([]byte, 22)...)),
		"atomic fragment": chain(44, []byte{17, 0, 0, 0, 0, 0, 0, 9}),
	} {
		v, o := decode(t, data, pcap.LinkRaw)
		if o != OK || string(v.Payload) != "data" || v.Key.PortA != 49152 && v.Key.PortB != 49152 {
			t.Errorf("%s: outcome %d, %+v", name, o, v)
		}
	}
	if _, o := decode(t, chain(44, []byte{17, 0, 0, 8, 0, 0, 0, 9}), pcap.LinkRaw); o != Held {
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
		"later fragment":      {edit(6, 0, 1), pcap.LinkRaw, Held},
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
	if o := NewDecoder(DefaultConfig()).Decode(&v, &pcap.Packet{Data: ip[:60], WireLen: uint32(len(ip)), Link: pcap.LinkRaw}); o != OK {
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

// eachCapture calls begin for every capture of the corpus and packet for each packet in it.
func eachCapture(t *testing.T, begin func(path string), packet func(p *pcap.Packet)) {
	t.Helper()
	corpus.Captures(t, corpus.Dir(t), func(path string, r *pcap.Reader) bool {
		begin(path)
		var b pcap.Block
		for r.ReadBlock(&b) == nil {
			for i := range b.Packets {
				packet(&b.Packets[i])
			}
		}
		return true
	})
}

// TestDecodeAgreesWithGopacket compares with an independent decoder on every
// seventh Ethernet packet of the corpus.
func TestDecodeAgreesWithGopacket(t *testing.T) {
	t.Parallel()
	var n, compared, different int
	var name string
	dec := NewDecoder(DefaultConfig())
	eachCapture(t, func(path string) { name = path }, func(p *pcap.Packet) {
		if n++; p.Link != pcap.LinkEthernet || n%7 != 0 {
			return
		}
		compared++
		if why := disagreement(dec, p); why != "" {
			different++
			if different <= 10 {
				t.Logf("%s: %s", name, why)
			}
		}
	})
	t.Logf("%d packets compared, %d differ", compared, different)
	if different > 0 {
		t.Errorf("%d of %d packets decoded differently", different, compared)
	}
}

// TestCorpusIsAccountedFor decodes every packet of the corpus, one decoder for each capture.
func TestCorpusIsAccountedFor(t *testing.T) {
	t.Parallel()
	var (
		d       *Decoder
		c       tally
		v       View
		steered uint64
		tunnels = map[string]int{}
		all     Stats
		sum     tally
	)
	finish := func() {
		if d != nil {
			c.check(t, d)
			d.Flush()
			c.check(t, d)
			all.Add(d.Stats())
			sum.read, sum.inFlows, sum.notIP, sum.malformed, sum.refused = sum.read+c.read, sum.inFlows+c.inFlows, sum.notIP+c.notIP, sum.malformed+c.malformed, sum.refused+c.refused
		}
	}
	eachCapture(t, func(string) {
		finish()
		d, c = NewDecoder(DefaultConfig()), tally{}
	}, func(p *pcap.Packet) {
		o := d.Decode(&v, p)
		c.count(o, &v)
		checkView(t, d, &v, p, o)
		if o == OK {
			if v.Key.Tunnel != 0 {
				tunnels[v.Key.Tunnel.String()]++
			}
			if _, ok := Steer(p); ok {
				steered++
			}
		}
	})
	finish()
	t.Logf("%+v, %d steered, %+v, tunnels %v", sum, steered, all, tunnels)
	if sum.read == 0 || all.Reassembled == 0 || len(tunnels) < 4 || steered*10 < sum.inFlows*9 {
		t.Error("the corpus has more than that")
	}
}

// disagreement says how gopacket sees a packet differently.
func disagreement(d *Decoder, p *pcap.Packet) string {
	var v View
	o := NewDecoder(DefaultConfig()).Decode(&v, p)
	pkt := gopacket.NewPacket(p.Data, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	var src, dst netip.AddrPort
	switch n := pkt.NetworkLayer().(type) {
	case *layers.IPv4:
		src, dst = addresses(n.SrcIP, n.DstIP)
	case *layers.IPv6:
		src, dst = addresses(n.SrcIP, n.DstIP)
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

func addresses(src, dst []byte) (netip.AddrPort, netip.AddrPort) {
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
	dec := NewDecoder(DefaultConfig())
	if n := testing.AllocsPerRun(100, func() { dec.Decode(&v, p) }); n != 0 {
		t.Errorf("Decode allocates %v times, want 0", n)
	}
}
