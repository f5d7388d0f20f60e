package assemble

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
)

var resolver = netip.MustParseAddrPort("192.0.2.53:53")

// dnsQuery asks for the address of example.net.
func dnsQuery() []byte {
	b := dnsResponse(server.Addr())[:29]
	b = bytes.Clone(b)
	b[2], b[3], b[7] = 1, 0, 0
	return b
}

func TestAnsweredDNSFlowsEndAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	query, answer := dnsQuery(), dnsResponse(server.Addr())
	b.ip(0, pcapgen.UDP(client, resolver, query))
	b.ip(1, pcapgen.UDP(client, resolver, query)) // A and AAAA from one port
	b.ip(2, pcapgen.UDP(resolver, client, answer))
	if len(b.flows) != 0 {
		t.Fatal("ended with one of two queries open")
	}
	b.ip(3, pcapgen.UDP(resolver, client, answer))
	if len(b.flows) != 1 || b.flows[0].End != flow.EndDone || b.flows[0].Client != client || b.t.Stats().Open != 0 {
		t.Fatalf("ends %v", ends(b.flows))
	}
	b.ip(4, pcapgen.UDP(client, resolver, query)) // the same ports again
	b.ip(5, pcapgen.UDP(resolver, client, answer))
	if len(b.flows) != 2 || b.flows[1].ID == b.flows[0].ID || b.flows[1].Half[0].Packets != 1 {
		t.Errorf("ends %v", ends(b.flows))
	}
}

func TestAnnouncementsAreNotAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	group := netip.MustParseAddrPort("224.0.0.251:5353")
	host := netip.MustParseAddrPort("192.0.2.1:5353")
	b.ip(0, pcapgen.UDP(host, group, dnsQuery()))
	b.ip(1, pcapgen.UDP(host, group, dnsResponse(server.Addr())))
	if len(b.flows) != 0 {
		t.Errorf("ends %v", ends(b.flows))
	}
}

// split takes datagrams apart that are kept behind their length.
func split(t *testing.T, b []byte) (out [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b))
		out, b = append(out, b[2:2+n]), b[2+n:]
	}
	return out
}

func TestTheFirstHandshakeDatagramsAreKeptWhole(t *testing.T) {
	t.Parallel()
	initial := append([]byte{0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x9e}, make([]byte, 1182)...)
	short := append([]byte{0x40}, make([]byte, 100)...)
	dtls := func(typ byte) []byte {
		return append([]byte{typ, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 112, 1, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 100}, make([]byte, 100)...)
	}
	for name, c := range map[string]struct {
		app        flow.App
		kept, left []byte
	}{
		"QUIC": {flow.AppQUIC, initial, short},
		"DTLS": {flow.AppDTLS, dtls(22), dtls(23)},
	} {
		b := newBench(func(c *Config) { c.Datagrams = 3 })
		for i := range int64(5) {
			b.ip(2*i, pcapgen.UDP(client, server, c.kept))
			b.ip(2*i+1, pcapgen.UDP(client, server, c.left))
		}
		b.t.Flush(start)
		f := b.flows[0]
		got := split(t, f.Half[0].Handshake)
		if f.App != c.app || len(got) != 3 || !bytes.Equal(got[2], c.kept) {
			t.Errorf("%s: %v, %d datagrams kept", name, f.App, len(got))
		}
	}
}

func TestDNSAnswersAreForgottenWithTime(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.DNSAnswers = 100 })
	answer := func(at int64, n byte) {
		b.ip(at, pcapgen.UDP(resolver, client, dnsResponse(netip.AddrFrom4([4]byte{198, 51, 100, n}))))
	}
	for i := range 90 {
		answer(int64(i)*second, byte(i))
	}
	if b.t.dns.order.n != 90 || len(b.t.dns.byPair) != 90 {
		t.Fatalf("%d answers remembered", b.t.dns.order.n)
	}
	b.t.Expire(start + 341*second) // 5 minutes after the 40th, and slack
	if b.t.dns.order.n != 50 || len(b.t.dns.byPair) != 50 || b.t.Stats().DNSDrops != 0 {
		t.Errorf("%d answers remembered, %d given up", b.t.dns.order.n, b.t.Stats().DNSDrops)
	}
	for i := range 120 {
		answer(342*second, byte(i))
	}
	if b.t.dns.order.n != 100 || len(b.t.dns.byPair) > 100 || b.t.Stats().DNSDrops != 67 { // three are 300 s old
		t.Errorf("%d answers remembered, %d given up, want 100 and 67", b.t.dns.order.n, b.t.Stats().DNSDrops)
	}
}
