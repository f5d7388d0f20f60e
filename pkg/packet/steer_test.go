package packet

import (
	"net/netip"
	"testing"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// generated returns packets of every kind that the tests here build.
func generated() []pcap.Packet {
	var out []pcap.Packet
	add := func(link pcap.LinkType, data []byte) {
		for _, n := range []int{len(data), len(data) - 3, len(data) / 2, len(data) / 3} { // whole, and cut
			out = append(out, pcap.Packet{Data: data[:n:n], WireLen: uint32(len(data)), Link: link})
		}
	}
	for _, f := range frames() {
		add(f.link, f.data)
	}
	for _, c := range carriers() {
		add(pcap.LinkRaw, c.ip)
		add(pcap.LinkEthernet, pcapgen.Ethernet(c.ip, 4, 5))
	}
	four, six := datagrams(500)
	for _, ip := range append(append(cutIP(four, 1, 64), cutIP(six, 1, 64)...), four, six,
		pcapgen.IP(client4.Addr(), server4.Addr(), 1, []byte{8, 0, 0, 0}), pcapgen.IP(client6.Addr(), server6.Addr(), 0, join([]byte{17, 0}, make([]byte, 6), six[40:]))) {
		add(pcap.LinkEthernet, pcapgen.Ethernet(ip))
		add(pcap.LinkEthernet, pcapgen.Ethernet(ip, 1, 2, 3))
		add(pcap.LinkRaw, ip)
	}
	options := join([]byte{0x48}, four[1:20], make([]byte, 12), four[20:])
	options[3] += 12
	add(pcap.LinkEthernet, pcapgen.Ethernet(options))
	for port := range 1 << 16 {
		ip := pcapgen.UDP(client4, netip.AddrPortFrom(server4.Addr(), uint16(port)), []byte("datagram"))
		out = append(out, pcap.Packet{Data: ip, WireLen: uint32(len(ip)), Link: pcap.LinkRaw})
	}
	return out
}

// steerAgrees decodes packets and compares. It returns how many of those with a flow were steered.
func steerAgrees(t *testing.T, d *Decoder, packets []pcap.Packet) (flows, steered int) {
	t.Helper()
	var v View
	for i := range packets {
		p := &packets[i]
		spread, ok := Steer(p)
		if o := d.Decode(&v, p); o != OK {
			continue
		}
		flows++
		if !ok {
			continue
		}
		steered++
		if v.Key.Tunnel != 0 || v.Packets != 1 || spread != v.Key.Spread() {
			t.Fatalf("packet %d: %x, decoded %x: %+v", i, spread, v.Key.Spread(), v)
		}
	}
	return flows, steered
}

func TestSteerAgreesWithDecode(t *testing.T) {
	t.Parallel()
	flows, steered := steerAgrees(t, NewDecoder(DefaultConfig()), generated())
	t.Logf("%d of %d packets steered", steered, flows)
	if steered < 1<<15 || steered == flows {
		t.Errorf("%d of %d packets steered", steered, flows)
	}
}

func TestPlainPacketsAreSteered(t *testing.T) {
	t.Parallel()
	for _, ip := range [][]byte{hello(client4, server4), hello(client6, server6), pcapgen.UDP(client4, server4, nil), pcapgen.UDP(client6, server6, nil)} {
		for tags := range 3 {
			if _, ok := Steer(&pcap.Packet{Data: pcapgen.Ethernet(ip, []uint16{7, 8}[:tags]...), Link: pcap.LinkEthernet}); !ok {
				t.Errorf("version %d, protocol %d, %d tags: not steered", ip[0]>>4, ip[9], tags)
			}
		}
		if _, ok := Steer(raw(ip)); !ok {
			t.Errorf("raw, version %d: not steered", ip[0]>>4)
		}
	}
	for _, c := range carriers() {
		if _, ok := Steer(raw(c.ip)); ok {
			t.Errorf("%s is steered", c.name)
		}
	}
}

func BenchmarkSteerCorpus(b *testing.B) {
	packets := sample(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		Steer(&packets[i])
		if i++; i == len(packets) {
			i = 0
		}
	}
}
