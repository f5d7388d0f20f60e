package quicwire_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/internal/corpus"
	"trench/pkg/packet"
	"trench/pkg/pcap"
	"trench/pkg/quicwire"
)

// kept bounds what is kept of one side of a connection.
const kept = 64 << 10

// flowRows is what a capture shows of one flow: the rows of its two sides, and
// which side was seen first.
type flowRows struct {
	sides [2][]byte
	first int
}

// readFlows returns the flows of a capture that begin to look like QUIC.
func readFlows(r *pcap.Reader) map[flow.Key]*flowRows {
	out := map[flow.Key]*flowRows{}
	d := packet.NewDecoder(packet.DefaultConfig())
	var block pcap.Block
	var v packet.View
	for {
		err := r.ReadBlock(&block)
		for i := range block.Packets {
			if d.Decode(&v, &block.Packets[i]) != packet.OK || v.Key.Protocol != packet.ProtocolUDP {
				continue
			}
			side := 1
			if v.Forward {
				side = 0
			}
			b := v.Payload
			f := out[v.Key]
			if f == nil {
				if !quicwire.LooksLikeLongHeader(b) && !quicwire.IsPublicHeader(b) {
					continue
				}
				f = &flowRows{first: side}
				out[v.Key] = f
			}
			if len(b) > 0 && (b[0]&0x80 != 0 || quicwire.IsPublicHeader(b)) && len(f.sides[side]) < kept {
				f.sides[side] = append(f.sides[side], row(b)...)
			}
		}
		if err != nil { // the end, or damage
			return out
		}
	}
}

// tsharkHellos returns what tshark found in the ClientHellos of a capture: ports,
// version and server name.
func tsharkHellos(t *testing.T, path string) map[string]bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.Comma, in.LazyQuotes, in.FieldsPerRecord = '\t', true, -1
	lines, err := in.ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	column := func(line []string, name string) string {
		i := slices.Index(lines[0], name)
		if i < 0 || i >= len(line) {
			return ""
		}
		first, _, _ := strings.Cut(line[i], ",")
		return first
	}
	out := map[string]bool{}
	for _, line := range lines[1:] {
		if column(line, "quic.version") == "" || column(line, "tls.handshake.type") != "1" {
			continue
		}
		version, err := strconv.ParseUint(column(line, "quic.version"), 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		out[found(column(line, "udp.srcport"), column(line, "udp.dstport"), uint32(version), column(line, "tls.handshake.extensions_server_name"))] = true
	}
	return out
}

func found(client, server string, version uint32, sni string) string {
	return client + ">" + server + " " + quicwire.VersionName(version) + " " + sni
}

func TestEveryHelloThatTsharkShowsIsFound(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	files, err := filepath.Glob(root + "/golden/tshark/*.tsv")
	if err != nil || len(files) == 0 {
		t.Fatalf("no expectations: %v", err)
	}
	var c quicwire.Connection
	compared, captures := 0, 0
	for _, file := range files {
		want := tsharkHellos(t, file)
		if len(want) == 0 {
			continue
		}
		captures++
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".tsv"), "~", "/")
		got := map[string]bool{}
		corpus.Captures(t, filepath.Join(root, name), func(path string, r *pcap.Reader) bool {
			for k, f := range readFlows(r) {
				c.Parse(f.sides[f.first], f.sides[1-f.first])
				h := hello(&c)
				if !h.ClientSeen || h.Client.Incomplete {
					continue
				}
				ports := [2]string{strconv.Itoa(int(k.PortA)), strconv.Itoa(int(k.PortB))}
				client := f.first
				if c.Reversed {
					client = 1 - client
				}
				// A hello that led to version negotiation was said in the version offered.
				for _, v := range []uint32{c.Version, c.Offered} {
					got[found(ports[client], ports[1-client], v, string(h.Client.SNI))] = true
				}
			}
			return true
		})
		for one := range want {
			compared++
			if !got[one] {
				t.Errorf("%s: tshark shows %s", name, one)
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
		corpus.Captures(t, filepath.Join(root, "protocol-tests", w.capture), func(path string, r *pcap.Reader) bool {
			for _, f := range readFlows(r) {
				var c quicwire.Connection
				c.Parse(f.sides[f.first], f.sides[1-f.first])
				if g := c.Google; !c.GQUIC || !g.Seen || string(g.SNI) != w.sni || string(g.UserAgent) != w.agent ||
					quicwire.VersionName(c.Version) != w.version || quicwire.VersionName(g.Version) != w.version || len(g.Tags) < 6 || c.Client != nil {
					t.Errorf("%s: SNI %q, agent %q, %+v", w.capture, g.SNI, g.UserAgent, c)
				}
			}
			return true
		})
	}
}
