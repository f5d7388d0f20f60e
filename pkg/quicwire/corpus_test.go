package quicwire_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"trench/pkg/internal/corpus"
	"trench/pkg/internal/corpus/traffic"
	"trench/pkg/quicwire"
)

func isQUIC(payload []byte) bool {
	return quicwire.LooksLikeLongHeader(payload) || quicwire.IsPublicHeader(payload)
}

// clients returns the directions of those who sent first.
func clients(d traffic.Datagrams) []corpus.Way {
	var out []corpus.Way
	for _, w := range d.Ways {
		if !slices.Contains(out, w.Reverse()) {
			out = append(out, w)
		}
	}
	return out
}

// offer is what a ClientHello tells of a connection.
type offer struct {
	way          corpus.Way
	version, sni string
}

// tsharkOffers returns what tshark found in the ClientHellos of a capture.
func tsharkOffers(t *testing.T, packets []corpus.TsharkRow) map[offer]bool {
	t.Helper()
	out := map[offer]bool{}
	for _, p := range packets {
		if p["quic.version"] == "" || p.First("tls.handshake.type") != "1" {
			continue
		}
		version, err := strconv.ParseUint(p.First("quic.version"), 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		out[offer{p.Way("udp"), quicwire.VersionName(uint32(version)), p.First("tls.handshake.extensions_server_name")}] = true
	}
	return out
}

func TestEveryHelloThatTsharkShowsIsFound(t *testing.T) {
	t.Parallel()
	var c quicwire.Connection
	compared, captures := 0, 0
	for capture, packets := range corpus.Tshark(t) {
		want := tsharkOffers(t, packets)
		if len(want) == 0 {
			continue
		}
		captures++
		got := map[offer]bool{}
		sent := traffic.ReadDatagrams(t, capture, isQUIC)
		for _, client := range clients(sent) {
			c.Parse(sent.Rows[client], sent.Rows[client.Reverse()])
			h := hello(&c)
			if !h.ClientSeen || h.Client.Incomplete {
				continue
			}
			if c.Reversed {
				client = client.Reverse()
			}
			// A hello that led to version negotiation was said in the version offered.
			for _, v := range []uint32{c.Version, c.Offered} {
				got[offer{client, quicwire.VersionName(v), string(h.Client.SNI)}] = true
			}
		}
		for one := range want {
			compared++
			if !got[one] {
				t.Errorf("%s: tshark shows %v", capture, one)
			}
		}
	}
	t.Logf("%d hellos in %d captures", compared, captures)
	if compared < 400 {
		t.Errorf("compared %d hellos only", compared)
	}
}

// TestGoogleHellosOfTheCorpus names what the captures of nDPI's and Arkime's
// tests hold, as their expected results have it.
func TestGoogleHellosOfTheCorpus(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	for _, w := range []struct{ capture, version, sni, agent string }{
		{"arkime/quic24-wireshark.pcap", "Q024", "www.google.fr", "canary Chrome/44.0.2375.0"},
		{"arkime/quic33-wireshark.pcap", "Q033", "www.google.com", ""},
		{"nDPI/quic_q39.pcap", "Q039", "s.youtube.com", "com.google.android.youtube Cronet/63.0.3223.7"},
		{"nDPI/quic_q43.pcap", "Q043", "dns.google.com", ""},
		{"nDPI/quic_q46_b.pcap", "Q046", "upload.youtube.com", "com.google.android.youtube Cronet/76.0.3809.0"},
		{"nDPI/quic046.pcap", "Q046", "i.ytimg.com", "Chrome/80.0.3987.132 Windows NT 6.3; Win64; x64"},
		{"nDPI/quic_q50.pcap", "Q050", "www.googletagmanager.com", "Chrome/83.0.4103.101 Android 8.0.0; LDN-L21"},
		{"nDPI/gquic.pcap", "Q050", "www.gstatic.com", "canary Chrome/85.0.4169.0 Windows NT 10.0; Win64; x64"},
	} {
		sent := traffic.ReadDatagrams(t, filepath.Join(root, "protocol-tests", w.capture), isQUIC)
		for _, client := range clients(sent) {
			var c quicwire.Connection
			c.Parse(sent.Rows[client], sent.Rows[client.Reverse()])
			if g := c.Google; !c.GQUIC || !g.Seen || string(g.SNI) != w.sni || string(g.UserAgent) != w.agent ||
				quicwire.VersionName(c.Version) != w.version || quicwire.VersionName(g.Version) != w.version || len(g.Tags) < 6 || c.Client != nil {
				t.Errorf("%s: SNI %q, agent %q, %+v", w.capture, g.SNI, g.UserAgent, c)
			}
		}
	}
}
