package sshwire_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"trench/pkg/internal/corpus"
	"trench/pkg/packet"
	"trench/pkg/pcap"
	"trench/pkg/sshwire"
)

// way is one direction between two ends.
type way struct{ src, dst netip.AddrPort }

type segment struct {
	off  uint32 // from the first segment seen
	data []byte
}

// streams reads the directions of a capture's TCP connections, each up to its first gap.
func streams(t *testing.T, path string) map[way][]byte {
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
	first := map[way]uint32{}
	segments := map[way][]segment{}
	d := packet.NewDecoder(packet.DefaultConfig())
	var block pcap.Block
	var v packet.View
	for err == nil {
		err = r.ReadBlock(&block)
		for i := range block.Packets {
			if d.Decode(&v, &block.Packets[i]) != packet.OK || v.Key.Protocol != packet.ProtocolTCP || len(v.Payload) == 0 {
				continue
			}
			var w way
			if w.src, w.dst = v.Key.Ends(); !v.Forward {
				w.src, w.dst = w.dst, w.src
			}
			if _, ok := first[w]; !ok {
				first[w] = v.Seq
			}
			segments[w] = append(segments[w], segment{v.Seq - first[w], bytes.Clone(v.Payload)})
		}
	}
	out := map[way][]byte{}
	for w, list := range segments {
		slices.SortStableFunc(list, func(a, b segment) int { return cmp.Compare(a.off, b.off) })
		var b []byte
		for _, s := range list {
			if int(s.off) > len(b) {
				break
			}
			if end := int(s.off) + len(s.data); end > len(b) {
				b = append(b, s.data[len(b)-int(s.off):]...)
			}
		}
		out[w] = b
	}
	return out
}

// expected is what the JA4 reference says of one stream.
type expected struct {
	Src, Dst  netip.Addr
	SrcPort   uint16 `yaml:"src_port"`
	DstPort   uint16 `yaml:"dst_port"`
	SSHExtras *struct {
		HASSH          string
		HASSHServer    string `yaml:"hassh_server"`
		ProtocolClient string `yaml:"ssh_protocol_client"`
		ProtocolServer string `yaml:"ssh_protocol_server"`
	} `yaml:"ssh_extras"`
}

func TestAgreesWithTheJA4Reference(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	f, err := os.Open(filepath.Join(root, "golden/map.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, row := range rows {
		name, capture := row[1], row[2]
		if !strings.HasPrefix(name, "golden/ja4/rust/") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(strings.TrimPrefix(string(raw), "---\n"), "\n---\n")
		var want []expected
		if err := yaml.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want = slices.DeleteFunc(want, func(e expected) bool { return e.SSHExtras == nil })
		if len(want) == 0 {
			continue
		}
		sent := streams(t, filepath.Join(root, capture))
		for _, e := range want {
			w := way{netip.AddrPortFrom(e.Src, e.SrcPort), netip.AddrPortFrom(e.Dst, e.DstPort)}
			var client, server sshwire.Side
			client.Parse(sent[w])
			server.Parse(sent[way{w.dst, w.src}])
			for _, c := range []struct{ what, got, want string }{
				{"client", string(client.Banner), e.SSHExtras.ProtocolClient},
				{"server", string(server.Banner), e.SSHExtras.ProtocolServer},
				{"HASSH", sshwire.HASSH(&client.Kex), e.SSHExtras.HASSH},
				{"HASSH of the server", sshwire.HASSHServer(&server.Kex), e.SSHExtras.HASSHServer},
			} {
				compared++
				if c.got != c.want {
					t.Errorf("%s: %v: %s: got %q, want %q", capture, w, c.what, c.got, c.want)
				}
			}
		}
	}
	t.Logf("%d compared", compared)
	if compared < 48 {
		t.Error("fewer than before")
	}
}

func TestAgreesWithTshark(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	for capture, want := range map[string]map[uint16]string{ // by source port
		"joy/ssh-dropbear-default.pcap":   {54006: "7742887e2a57712bdb91a772093f54ce", 22: "8cc1fefeb6ee94a1d6c81bc3ee13c62c"},
		"joy/kali-normal-ssh.pcap":        {59070: "0df0d56bb50c6b2426d8d40234bf1826", 22: "ba6d3d2aecbd0d91b01dfa7828110d70"},
		"joy/ssh-gex-sha256.pcap":         {56683: "953757c11fbb1d6ba5d5b3d40269a16b", 22: "8cc1fefeb6ee94a1d6c81bc3ee13c62c"},
		"mercury/ssh_direction_asym.pcap": {53949: "78c05d999799066a2b4554ce7b1585a6"},
		"mercury/ssh_frag.pcap":           {53949: "78c05d999799066a2b4554ce7b1585a6", 22: "41ff3ecd1458b0bf86e1b4891636213e"},
	} {
		seen := 0
		for w, stream := range streams(t, filepath.Join(root, "protocol-tests", capture)) {
			var s sshwire.Side
			s.Parse(stream)
			got := sshwire.HASSH(&s.Kex)
			if w.src.Port() == 22 {
				got = sshwire.HASSHServer(&s.Kex)
			}
			if got == "" {
				continue // a connection that began before the capture
			}
			seen++
			if got != want[w.src.Port()] {
				t.Errorf("%s: %v: got %s, want %s", capture, w, got, want[w.src.Port()])
			}
		}
		if seen != len(want) {
			t.Errorf("%s: %d sides seen, want %d", capture, seen, len(want))
		}
	}
}
