package dtlswire_test

import (
	"bufio"
	"cmp"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"trench/pkg/dtlswire"
	"trench/pkg/fingerprint"
	"trench/pkg/internal/corpus"
	"trench/pkg/packet"
	"trench/pkg/pcap"
	"trench/pkg/tlswire"
)

// way is one direction between two ends.
type way struct{ src, dst netip.AddrPort }

// directions returns the UDP payloads of a capture that are DTLS by content, each behind
// its length.
func directions(t *testing.T, path string) map[way][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcap.NewReader(f, path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[way][]byte{}
	d := packet.NewDecoder(packet.DefaultConfig())
	var block pcap.Block
	var v packet.View
	for err == nil {
		err = r.ReadBlock(&block)
		for i := range block.Packets {
			if d.Decode(&v, &block.Packets[i]) != packet.OK || v.Key.Protocol != packet.ProtocolUDP {
				continue
			}
			if _, _, _, ok := dtlswire.LooksLikeRecord(v.Payload); !ok {
				continue
			}
			var w way
			if w.src, w.dst = v.Key.Ends(); !v.Forward {
				w.src, w.dst = w.dst, w.src
			}
			out[w] = append(out[w], kept(v.Payload)...)
		}
	}
	return out
}

// shown reads the ends of the packets in which tshark found DTLS hellos: its columns of
// TLS and QUIC are empty there.
func shown(t *testing.T, path string) map[way]bool {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	names := strings.Split(lines[0], "\t")
	out := map[way]bool{}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, v := range strings.Split(line, "\t") {
			row[names[i]] = v
		}
		if row["udp.srcport"] == "" || row["tls.handshake.type"] != "" || row["quic.version"] != "" {
			continue
		}
		end := func(side string) netip.AddrPort {
			addr := cmp.Or(row["ip."+side], row["ipv6."+side])
			addr = addr[strings.LastIndexByte(addr, ',')+1:] // the innermost
			port := row["udp."+side+"port"]
			port = port[strings.LastIndexByte(port, ',')+1:]
			p, err := netip.ParseAddrPort("[" + addr + "]:" + port)
			if strings.Contains(addr, ".") {
				p, err = netip.ParseAddrPort(addr + ":" + port)
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			return p
		}
		out[way{end("src"), end("dst")}] = true
	}
	return out
}

func TestClientHellosThatTsharkShows(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	files, err := filepath.Glob(filepath.Join(root, "golden/tshark/*.tsv"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no expectations: %v", err)
	}
	var r dtlswire.Reassembler
	var h tlswire.Handshake
	found := 0
	for _, file := range files {
		want := shown(t, file)
		if len(want) == 0 {
			continue
		}
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".tsv"), "~", "/")
		sent := directions(t, filepath.Join(root, name))
		for w := range want {
			row, d := r.Records(nil, sent[w])
			if h.ParseDTLS(row, nil); !h.ClientSeen || h.Client.Incomplete {
				t.Errorf("%s: %v: no whole ClientHello: %+v", name, w, d)
			}
			found++
		}
	}
	t.Logf("%d directions with a ClientHello", found)
	if found < 34 {
		t.Error("fewer than before")
	}
}

// nDPI's line of one flow, as far as it is of use.
var ndpiFlow = regexp.MustCompile(`UDP (\S+) <?-> (\S+) .*DTLS.*\[JA3C: ([0-9a-f]{32})\]`)

func TestJA3AgreesWithNDPI(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	captures, err := filepath.Glob(filepath.Join(root, "*/nDPI/*"))
	if err != nil {
		t.Fatal(err)
	}
	var r dtlswire.Reassembler
	var h tlswire.Handshake
	compared := 0
	for _, capture := range captures {
		f, err := os.Open(filepath.Join(root, "golden/ndpi/default", filepath.Base(capture)+".out"))
		if err != nil {
			continue
		}
		defer f.Close()
		var sent map[way][]byte
		for in := bufio.NewScanner(f); in.Scan(); {
			m := ndpiFlow.FindStringSubmatch(in.Text())
			if m == nil {
				continue
			}
			if sent == nil {
				sent = directions(t, capture)
			}
			a, errA := netip.ParseAddrPort(m[1])
			b, errB := netip.ParseAddrPort(m[2])
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			client, _ := r.Records(nil, sent[way{a, b}])
			server, _ := r.Records(nil, sent[way{b, a}])
			h.ParseDTLS(client, server) // nDPI takes who sent first for the client
			compared++
			if got := fingerprint.JA3(&h.Client); got != m[3] {
				t.Errorf("%s: %s: JA3 %s, nDPI has %s", capture, m[0][:60], got, m[3])
			}
		}
	}
	t.Logf("%d compared", compared)
	if compared < 16 {
		t.Error("fewer than before")
	}
}
