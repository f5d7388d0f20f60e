package identify_test

import (
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/dnswire"
	"trench/pkg/flow"
	"trench/pkg/httpwire"
	"trench/pkg/identify"
	"trench/pkg/internal/corpus"
	"trench/pkg/internal/corpus/traffic"
	"trench/pkg/packet"
	"trench/pkg/pcap"
	"trench/pkg/tlswire"
)

// conversation is what the golden tests know of a flow: the first bytes of either
// side and the name that was found.
type conversation struct {
	next  [2]uint32
	begun [2]bool
	first [2][]byte
	name  string
	count int
}

const keptOfSide = 256

func (c *conversation) add(v *packet.View) {
	side := 0
	if !v.Forward {
		side = 1
	}
	if v.Key.Protocol == packet.ProtocolUDP {
		if c.count++; c.name == "" && c.count <= 16 {
			c.name = datagramName(v.Payload)
		}
		return
	}
	if v.Flags&packet.SYN != 0 {
		c.begun[side], c.next[side] = true, v.Seq+1
		return
	}
	if len(v.Payload) == 0 || len(c.first[side]) >= keptOfSide {
		return
	}
	if !c.begun[side] {
		c.begun[side], c.next[side] = true, v.Seq
	}
	if v.Seq != c.next[side] {
		return
	}
	c.next[side] += uint32(len(v.Payload))
	c.first[side] = append(c.first[side], v.Payload...)
	if c.name == "" {
		c.name = streamName(c.first[side])
	}
}

// streamName names a stream like the assembler, which recognises some protocols
// by itself.
func streamName(b []byte) string {
	switch {
	case len(b) > tlswire.RecordHeaderLen && tlswire.LooksLikeRecord(b):
		return "tls"
	case strings.HasPrefix(string(b), "SSH-"):
		return "ssh"
	case httpwire.LooksLikeRequest(b), httpwire.LooksLikeResponse(b):
		return "http"
	}
	p, _ := identify.Stream(b)
	return p.String()
}

func datagramName(b []byte) string {
	if len(b) >= 13 && b[0] >= 20 && b[0] <= 25 && (b[1] == 0xfe && (b[2] == 0xff || b[2] == 0xfd) || b[1] == 1 && b[2] == 0) {
		return "dtls"
	}
	if len(b) > 7 && b[0]&0xc0 == 0xc0 && (binary.BigEndian.Uint32(b[1:]) == 1 || b[1] == 'Q' || b[1] == 0xff || b[1] == 'T' || binary.BigEndian.Uint32(b[1:]) == 0x6b3343cf) {
		return "quic"
	}
	if dnswire.LooksLikeMessage(b) {
		return "dns"
	}
	p, _ := identify.Datagram(b)
	return p.String()
}

// follow visits the packets of a capture that have a payload or open a connection, with
// what is known of their flows by then.
func follow(r *pcap.Reader, visit func(v *packet.View, c *conversation)) {
	flows := map[flow.Key]*conversation{}
	traffic.Packets(r, func(_ int, v *packet.View) {
		if v.Key.Protocol != packet.ProtocolTCP && v.Key.Protocol != packet.ProtocolUDP || len(v.Payload) == 0 && v.Flags&packet.SYN == 0 {
			return
		}
		c := flows[v.Key]
		if c == nil {
			c = &conversation{}
			flows[v.Key] = c
		}
		c.add(v)
		visit(v, c)
	})
}

// ciphertext counts probes of what is encrypted, and those that got a name.
type ciphertext struct{ probes, named int }

// probe gives Stream and Datagram every stretch of 64 bytes of a packet.
func (c *ciphertext) probe(tb testing.TB, b []byte) {
	for ; len(b) >= 64; b = b[64:] {
		c.probes++
		p, _ := identify.Stream(b[:64])
		q, _ := identify.Datagram(b[:64])
		if p != flow.AppUnknown || q != flow.AppUnknown {
			c.named++
			tb.Logf("%x: stream %q, datagram %q", b[:64], p, q)
		}
	}
}

// What TLS and QUIC encrypt has no name, wherever one begins to read it.
func TestCiphertextIsNotNamed(t *testing.T) {
	t.Parallel()
	var c ciphertext
	corpus.Captures(t, filepath.Join(corpus.Dir(t), "benign"), func(_ string, r *pcap.Reader) bool {
		follow(r, func(v *packet.View, f *conversation) {
			switch {
			case f.name == "quic" && v.Payload[0]&0xc0 == 0x40:
				c.probe(t, v.Payload[9:])
				if p, _ := identify.Datagram(v.Payload); p != flow.AppUnknown {
					t.Logf("a datagram of QUIC, %x, is named %q", cut(v.Payload), p)
					c.named++
				}
			case f.name == "tls" && len(v.Payload) > 64 && v.Payload[0] == tlswire.RecordApplicationData && v.Payload[1] == 3:
				c.probe(t, v.Payload[tlswire.RecordHeaderLen+8:])
			}
		})
		return true
	})
	t.Logf("%d of %d named", c.named, c.probes)
	if c.probes < 100_000 || c.named > c.probes/1_000_000 {
		t.Errorf("%d of %d named", c.named, c.probes)
	}
}

// ndpiNames gives the names of flows that nDPI names, as name by nDPI, space, name
// here. The flows that nDPI names by their server's address or
// by what was in the flow later on are left out, as are TLS, QUIC, DNS and HTTP.
var ndpiNames = map[string]int{
	"DHCP dhcp": 10, "DHCPV6 dhcpv6": 2, "DTLS stun": 9, "NTP ntp": 6, "NetBIOS netbios-dgm": 2, "NetBIOS netbios-ns": 3,
	"SIP sip": 1, "SOCKS socks5": 5, "SRTP stun": 4, "SSDP ssdp": 24, "STUN stun": 37,
}

func TestNDPI(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	for capture, flows := range corpus.NDPI(t) {
		names := map[string]*conversation{}
		corpus.Captures(t, capture, func(_ string, r *pcap.Reader) bool {
			follow(r, func(v *packet.View, c *conversation) { names[ends(v.Key.Ends())] = c })
			return true
		})
		for _, f := range flows {
			if c := names[ends(f.Way.Src, f.Way.Dst)]; c != nil {
				want, _, _ := strings.Cut(f.Protocol, ".")
				got[want+" "+c.name]++
			}
		}
	}
	for pair, n := range got {
		want, name, _ := strings.Cut(pair, " ")
		switch name {
		case "tls", "dtls", "quic", "dns", "http", "ssh":
			delete(got, pair)
		case "":
			switch want {
			case "DHCP", "NTP", "NetBIOS", "SIP", "SOCKS", "SSDP", "STUN":
				t.Errorf("%d flows that nDPI names %s have no name", n, want)
			}
			delete(got, pair)
		}
	}
	if d := cmp.Diff(ndpiNames, got); d != "" {
		t.Error(d)
	}
}

func cut(b []byte) []byte { return b[:min(len(b), 40)] }

// ends is the same for both directions of a flow.
func ends(a, b netip.AddrPort) string {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return a.String() + " " + b.String()
}
