package sshwire_test

import (
	"path/filepath"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"

	"trench/pkg/internal/corpus"
	"trench/pkg/internal/corpus/traffic"
	"trench/pkg/sshwire"
)

// expected is what the JA4 reference says of one stream.
type expected struct {
	corpus.JA4Ends `yaml:",inline"`

	SSHExtras *struct {
		HASSH          string
		HASSHServer    string `yaml:"hassh_server"`
		ProtocolClient string `yaml:"ssh_protocol_client"`
		ProtocolServer string `yaml:"ssh_protocol_server"`
	} `yaml:"ssh_extras"`
}

func TestAgreesWithTheJA4Reference(t *testing.T) {
	t.Parallel()
	compared := 0
	for capture, raw := range corpus.JA4(t, "rust") {
		var want []expected
		if err := yaml.Unmarshal(raw, &want); err != nil {
			t.Fatalf("%s: %v", capture, err)
		}
		want = slices.DeleteFunc(want, func(e expected) bool { return e.SSHExtras == nil })
		if len(want) == 0 {
			continue
		}
		sent := traffic.Streams(t, capture)
		for _, e := range want {
			w := e.Way()
			var client, server sshwire.Side
			client.Parse(sent[w])
			server.Parse(sent[w.Reverse()])
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
		for w, stream := range traffic.Streams(t, filepath.Join(root, "protocol-tests", capture)) {
			var s sshwire.Side
			s.Parse(stream)
			got := sshwire.HASSH(&s.Kex)
			if w.Src.Port() == 22 {
				got = sshwire.HASSHServer(&s.Kex)
			}
			if got == "" {
				continue // a connection that began before the capture
			}
			seen++
			if got != want[w.Src.Port()] {
				t.Errorf("%s: %v: got %s, want %s", capture, w, got, want[w.Src.Port()])
			}
		}
		if seen != len(want) {
			t.Errorf("%s: %d sides seen, want %d", capture, seen, len(want))
		}
	}
}
