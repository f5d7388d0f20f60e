package packet

import (
	"bytes"
	"encoding/binary"
	"testing"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// linked is a frame of some link type with a packet inside.
type linked struct {
	name string
	link pcap.LinkType
	data []byte
	vlan [2]uint16
	v6   bool
}

func le16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func frames() []linked {
	four, six := hello(client4, server4), hello(client6, server6)
	zero := make([]byte, 256)
	sll := func(typ uint16, b []byte) []byte { return join(zero[:14], u16(typ), b) }
	sll2 := func(typ uint16, b []byte) []byte { return join(u16(typ), zero[:18], b) }
	snap := func(typ uint16, b []byte) []byte { return join([]byte{0xaa, 0xaa, 3, 0, 0, 0}, u16(typ), b) }
	length := func(b []byte) []byte { return join(zero[:12], u16(uint16(len(b))), b) }
	pppoe := func(b []byte) []byte { return join([]byte{0x11, 0, 0, 1}, u16(uint16(len(b))), b) }
	wifi := func(control uint16, more ...[]byte) []byte { return join(u16(control), zero[:22], join(more...)) }
	radiotap := func(present uint32, fields []byte, b []byte) []byte {
		return join([]byte{0, 0}, le16(uint16(8+len(fields))), le32(present), fields, b)
	}
	data4, data6 := wifi(0x0801, snap(0x0800, four)), wifi(0x8802, []byte{0, 0}, snap(0x86dd, six))
	bottom := []byte{0, 1, 1, 64}
	none := [2]uint16{}
	eth, ppp := pcap.LinkEthernet, pcap.LinkPPP
	return []linked{
		{"Ethernet", eth, pcapgen.Ethernet(four), none, false},
		{"Ethernet IPv6", eth, pcapgen.Ethernet(six), none, true},
		{"Ethernet padded", eth, join(pcapgen.Ethernet(four), zero[:6]), none, false},
		{"VLAN", eth, pcapgen.Ethernet(four, 12), [2]uint16{12}, false},
		{"VLAN priority", eth, pcapgen.Ethernet(four, 0, 12), [2]uint16{12}, false},
		{"QinQ", eth, pcapgen.Ethernet(six, 12, 13), [2]uint16{12, 13}, true},
		{"five tags", eth, pcapgen.Ethernet(six, 12, 13, 14, 15, 16), [2]uint16{12, 13}, true},
		{"QinQ of two kinds", eth, ethernet(etherQinQ, join(u16(0x3007), u16(etherOld), u16(8), u16(etherIPv4), four)), [2]uint16{7, 8}, false},
		{"802.3 SNAP", eth, length(snap(0x0800, four)), none, false},
		{"802.3 SNAP padded", eth, join(length(snap(0x0800, four)), zero[:9]), none, false},
		{"802.3 SNAP with VLAN", eth, length(snap(0x8100, join(u16(5), u16(0x86dd), six))), [2]uint16{5}, true},
		{"802.1H", eth, length(join([]byte{0xaa, 0xaa, 3, 0, 0, 0xf8}, u16(0x0800), four)), none, false},
		{"802.3 LLC", eth, length(join([]byte{6, 6, 3}, four)), none, false},
		{"PPPoE", eth, ethernet(etherPPPoE, pppoe(join(u16(0x0021), four))), none, false},
		{"PPPoE IPv6", eth, ethernet(etherPPPoE, pppoe(join(u16(0x0057), six))), none, true},
		{"PPPoE padded in VLAN", eth, ethernet(etherVLAN, join(u16(3), u16(etherPPPoE), pppoe(join(u16(0x0021), four)), zero[:8])), [2]uint16{3}, false},
		{"MPLS", eth, ethernet(etherMPLS, join(bottom, four)), none, false},
		{"MPLS of three labels", eth, ethernet(etherMPLSUp, join(zero[:4], zero[:4], bottom, six)), none, true},
		{"MPLS pseudowire", eth, ethernet(etherMPLS, join(bottom, zero[:4], pcapgen.Ethernet(four, 12))), [2]uint16{12}, false},
		{"MPLS pseudowire without control word", eth, ethernet(etherMPLS, join(bottom, []byte{0x40}, pcapgen.Ethernet(six)[1:])), none, true},
		{"MPLS pseudowire with sequence", eth, ethernet(etherMPLS, join(bottom, u32(9), pcapgen.Ethernet(six))), none, true},
		{"MPLS pseudowire of MPLS", eth, ethernet(etherMPLS, join(bottom, zero[:4], ethernet(etherMPLS, join(bottom, four)))), none, false},
		{"SLL", pcap.LinkSLL, sll(0x0800, four), none, false},
		{"SLL VLAN", pcap.LinkSLL, sll(0x8100, join(u16(6), u16(0x0800), four)), [2]uint16{6}, false},
		{"SLL LLC", pcap.LinkSLL, sll(4, snap(0x0800, four)), none, false},
		{"SLL2 IPv6", pcap.LinkSLL2, sll2(0x86dd, six), none, true},
		{"raw", pcap.LinkRaw, four, none, false},
		{"raw of BSD", pcap.LinkRawBSD, six, none, true},
		{"raw of OpenBSD", pcap.LinkRawOpenBSD, six, none, true},
		{"IPv4", pcap.LinkIPv4, four, none, false},
		{"IPv6", pcap.LinkIPv6, six, none, true},
		{"null little endian", pcap.LinkNull, join(le32(2), four), none, false},
		{"null big endian", pcap.LinkNull, join(u32(30), six), none, true},
		{"loop", pcap.LinkLoop, join(u32(2), four), none, false},
		{"loop IPv6 of OpenBSD", pcap.LinkLoop, join(u32(24), six), none, true},
		{"PPP", ppp, join([]byte{0xff, 3, 0, 0x21}, four), none, false},
		{"PPP without address", ppp, join([]byte{0, 0x57}, six), none, true},
		{"PPP with a short protocol", ppp, join([]byte{0xff, 3, 0x21}, four), none, false},
		{"PPP with MPLS", ppp, join([]byte{0xff, 3, 2, 0x81}, bottom, four), none, false},
		{"PPP in HDLC", pcap.LinkPPPHDLC, join([]byte{0xff, 3, 0, 0x57}, six), none, true},
		{"PPP in HDLC, Cisco's", pcap.LinkPPPHDLC, join([]byte{0x0f, 0, 8, 0}, four), none, false},
		{"PPP over Ethernet", pcap.LinkPPPEther, pppoe(join(u16(0x0021), four)), none, false},
		{"PPP with direction", pcap.LinkPPPWithDir, join([]byte{1, 0xff, 3, 0, 0x21}, four), none, false},
		{"Cisco HDLC", pcap.LinkCiscoHDLC, join([]byte{0x0f, 0, 8, 0}, four), none, false},
		{"Cisco HDLC multicast", pcap.LinkCiscoHDLC, join([]byte{0x8f, 0, 0x86, 0xdd}, six), none, true},
		{"FDDI", pcap.LinkFDDI, join([]byte{0x57}, zero[:12], snap(0x0800, four)), none, false},
		{"PFLOG", pcap.LinkPFLog, join([]byte{61, 2}, zero[:62], four), none, false},
		{"PFLOG IPv6", pcap.LinkPFLog, join([]byte{100, 24}, zero[:98], six), none, true},
		{"PPI", pcap.LinkPPI, join([]byte{0, 0}, le16(12), le32(1), zero[:4], pcapgen.Ethernet(four, 9)), [2]uint16{9}, false},
		{"802.11", pcap.LinkIEEE80211, data4, none, false},
		{"802.11 QoS", pcap.LinkIEEE80211, data6, none, true},
		{"802.11 between access points", pcap.LinkIEEE80211, wifi(0x0803, zero[:6], snap(0x0800, four)), none, false},
		{"802.11 with HT control", pcap.LinkIEEE80211, wifi(0x8881, zero[:6], snap(0x0800, four)), none, false},
		{"802.11 aggregate", pcap.LinkIEEE80211, wifi(0x8801, []byte{0x80, 0}, zero[:12], u16(uint16(8+len(four))), snap(0x0800, four), zero[:50]), none, false},
		{"radiotap", pcap.LinkRadiotap, radiotap(0, nil, data4), none, false},
		{"radiotap with checksum", pcap.LinkRadiotap, radiotap(2, []byte{wifiFCS, 0}, join(data6, zero[:4])), none, true},
		{"radiotap with time and padding", pcap.LinkRadiotap, radiotap(3, join(zero[:8], []byte{wifiPad}), wifi(0x8801, zero[:4], snap(0x0800, four))), none, false},
		{"radiotap of three words", pcap.LinkRadiotap, radiotap(1<<31|3, join(le32(1<<31), le32(0), zero[:8], []byte{wifiFCS}), join(data4, zero[:4])), none, false},
		{"Prism", pcap.LinkPrism, join(le32(0x44), le32(144), zero[:136], data4), none, false},
		{"Prism big endian", pcap.LinkPrism, join(u32(0x44), u32(144), zero[:136], data6), none, true},
		{"AVS", pcap.LinkAVS, join(u32(0x80211001), u32(64), zero[:56], data4), none, false},
		{"AVS under Prism", pcap.LinkPrism, join(u32(0x80211001), u32(64), zero[:56], data6), none, true},
	}
}

func TestLinkLayersLeadToTheSameFlow(t *testing.T) {
	t.Parallel()
	for _, c := range frames() {
		v, o := decode(t, c.data, c.link)
		if o != OK {
			t.Errorf("%s: outcome %d", c.name, o)
			continue
		}
		src, dst, length := client4, server4, uint32(45)
		if c.v6 {
			src, dst, length = client6, server6, 65
		}
		if a, b := v.ends(); a != src || b != dst || v.Key.VLAN != c.vlan || v.Key.Protocol != ProtocolTCP || v.Key.Tunnel != 0 || v.Key.Tenant != 0 {
			t.Errorf("%s: %v to %v, %+v", c.name, a, b, v.Key)
		}
		if string(v.Payload) != "hello" || v.Length != 5 || v.Bytes != length || v.Truncated || v.Seq != 7 || v.Ack != 9 || v.Flags != PSH|ACK || v.Window != 65535 || v.Packets != 1 {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestFramesMayBeCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, c := range frames() {
		whole := bytes.Index(c.data, []byte("hello"))
		for n := range len(c.data) {
			var v View
			p := &pcap.Packet{Data: c.data[:n:n], WireLen: uint32(len(c.data)), Link: c.link}
			o := NewDecoder(DefaultConfig()).Decode(&v, p)
			if n >= whole != (o == OK) {
				t.Errorf("%s, %d of %d bytes: outcome %d", c.name, n, len(c.data), o)
			}
			if o == OK && (v.Length != 5 || v.Truncated != (n < whole+5)) {
				t.Errorf("%s, %d of %d bytes: %+v", c.name, n, len(c.data), v)
			}
		}
	}
}

func TestFramesWithoutReadableIP(t *testing.T) {
	t.Parallel()
	wifi := func(control uint16, rest ...byte) []byte { return join(u16(control), make([]byte, 22), rest) }
	llc := []byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45}
	later := wifi(0x0801, llc...)
	later[22] = 1
	for name, c := range map[string]struct {
		link pcap.LinkType
		data []byte
		want Outcome
	}{
		"beacon":                 {pcap.LinkIEEE80211, wifi(0x8000), NotIP},
		"acknowledgement":        {pcap.LinkIEEE80211, []byte{0xd4, 0, 0, 0, 1, 2, 3, 4, 5, 6}, NotIP},
		"null data":              {pcap.LinkIEEE80211, wifi(0x4801), NotIP},
		"protected":              {pcap.LinkIEEE80211, wifi(0x0841, llc...), NotIP},
		"802.11 later fragment":  {pcap.LinkIEEE80211, later, NotIP},
		"802.11 IP cut":          {pcap.LinkIEEE80211, wifi(0x0801, llc...), Malformed},
		"radiotap version 1":     {pcap.LinkRadiotap, []byte{1, 0, 8, 0, 0, 0, 0, 0, 8, 0}, NotIP},
		"radiotap of 7 bytes":    {pcap.LinkRadiotap, []byte{0, 0, 7, 0, 0, 0, 0, 0, 8, 0}, Malformed},
		"radiotap endless":       {pcap.LinkRadiotap, bytes.Repeat([]byte{0, 0, 8, 0, 0xff, 0xff, 0xff, 0xff}, 3), Malformed},
		"STP":                    {pcap.LinkEthernet, join(make([]byte, 12), u16(38), []byte{0x42, 0x42, 3}, make([]byte, 43)), NotIP},
		"CDP":                    {pcap.LinkEthernet, join(make([]byte, 12), u16(40), []byte{0xaa, 0xaa, 3, 0, 0, 12, 0x20, 0}), NotIP},
		"LLC cut":                {pcap.LinkEthernet, join(make([]byte, 12), u16(2), []byte{0xaa, 0xaa}), Malformed},
		"PPPoE discovery":        {pcap.LinkEthernet, ethernet(0x8863, make([]byte, 20)), NotIP},
		"PPPoE of no session":    {pcap.LinkEthernet, ethernet(etherPPPoE, []byte{0x11, 9, 0, 0, 0, 0}), NotIP},
		"PPP LCP":                {pcap.LinkPPP, []byte{0xff, 3, 0xc0, 0x21, 1, 1, 0, 4}, NotIP},
		"Cisco SLARP":            {pcap.LinkCiscoHDLC, join([]byte{0x8f, 0, 0x80, 0x35}, make([]byte, 14)), NotIP},
		"FDDI management":        {pcap.LinkFDDI, join([]byte{0x41}, make([]byte, 30)), NotIP},
		"MPLS of something":      {pcap.LinkEthernet, ethernet(etherMPLS, join([]byte{0, 1, 1, 64}, make([]byte, 40))), NotIP},
		"MPLS of IP, broken":     {pcap.LinkEthernet, ethernet(etherMPLS, join([]byte{0, 1, 1, 64}, []byte{0x45, 0, 0, 99}, make([]byte, 40))), Malformed},
		"MPLS without an end":    {pcap.LinkEthernet, ethernet(etherMPLS, make([]byte, 40)), Malformed},
		"PPI of USB":             {pcap.LinkPPI, join([]byte{0, 0}, le16(8), le32(189)), Refused},
		"PPI in PPI":             {pcap.LinkPPI, join([]byte{0, 0}, le16(8), le32(192), make([]byte, 20)), NotIP},
		"PFLOG of an odd family": {pcap.LinkPFLog, join([]byte{61, 7}, make([]byte, 90)), NotIP},
		"SLL 802.3":              {pcap.LinkSLL, join(make([]byte, 14), u16(1), make([]byte, 20)), NotIP},
		"Bluetooth":              {201, make([]byte, 40), Refused},
	} {
		if v, o := decode(t, c.data, c.link); o != c.want {
			t.Errorf("%s: outcome %d, want %d: %+v", name, o, c.want, v)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range frames() {
		f.Add(c.data, uint16(c.link), uint32(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, link uint16, wire uint32) {
		d, c := NewDecoder(DefaultConfig()), tally{}
		var v View
		p := &pcap.Packet{Data: b, WireLen: max(uint32(len(b)), wire%(1<<20)), Link: pcap.LinkType(link)}
		for range 2 {
			o := d.Decode(&v, p)
			c.count(o, &v)
			checkView(t, d, &v, p, o)
		}
		d.Flush()
		c.check(t, d)
	})
}
