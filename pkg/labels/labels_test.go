package labels

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const header = "path,proto,client_ip,client_port,server_ip,server_port,first_ts,label,role,family\n"

func write(t *testing.T, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	client = netip.MustParseAddrPort("10.0.0.1:1234")
	server = netip.MustParseAddrPort("10.0.0.2:443")
)

func TestLabelsJoinBySuffixTupleAndTime(t *testing.T) {
	t.Parallel()
	labels := write(t, "labels.csv", header+
		"a/b.pcap,tls,10.0.0.1,1234,10.0.0.2,443,1.000000001,malicious,c2,x\n"+
		"deep/a/b.pcap,tls,10.0.0.1,1234,10.0.0.2,443,1.0,benign,,\n"+
		"q.pcap,quic,10.0.0.1,1234,10.0.0.2,443,2,benign,background,\n"+
		"other.pcap,tls,10.0.0.1,1234,10.0.0.2,443,2,benign,,\n")
	manifest := write(t, "manifest.csv", "path,group,source_repo,split,note\na/b.pcap,g1,r1,train,\"with, comma\"\n")
	s, err := Load(labels, manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source         string
		client, server netip.AddrPort
		proto          uint8
		first          int64
		want           string
	}{
		{"/x/a/b.pcap", client, server, 6, 1_000_001_002, ""},          // 1,001 ns apart
		{"/x/a/b.pcap", client, server, 17, 1_000_000_000, ""},         // another protocol
		{"/x/aa/b.pcap", client, server, 6, 1_000_000_001, ""},         // no whole element of the path
		{"/x/a/b.pcap", server, client, 6, 1_000_001_001, "malicious"}, // the other way round, 1,000 ns apart
		{"/x/a/b.pcap", client, server, 6, 1_000_000_001, ""},          // given already
		{"/x/deep/a/b.pcap", client, server, 6, 1_000_000_000, "benign"},
		{"q.pcap", client, server, 17, 2_000_000_000, "benign"},
	} {
		l, ok := s.Find(c.source, c.client, c.server, c.proto, c.first)
		if l.Label != c.want || ok != (c.want != "") {
			t.Errorf("%s %d at %d: %+v, want %q", c.source, c.proto, c.first, l, c.want)
		}
		switch l.Label {
		case "malicious":
			if l.Group != "g1" || l.Repository != "r1" || l.Split != "train" || l.Capture != "a/b.pcap" || l.Role != "c2" || l.Family != "x" {
				t.Errorf("%+v", l)
			}
		case "benign":
			if l.Group != l.Capture { // not in the manifest: a group of its own
				t.Errorf("%+v", l)
			}
		}
	}
	if read, others := s.Unused(); read != 0 || others != 1 || s.Len() != 4 {
		t.Errorf("%d unused in captures read, %d of others, %d in all", read, others, s.Len())
	}
}

func TestFaultsNameFileAndLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"path,proto\n": `no column "client_ip"`,
		"":             "header: EOF",
		header + "p,tls,10.0.0.1,1234,10.0.0.2,443,1,benign,,\np,tls,10.0.0,1,10.0.0.2,443,1,benign,,\n": "line 3",
		header + "p,tls,10.0.0.1,70000,10.0.0.2,443,1,benign,,\n":                                        `port "70000"`,
		header + "p,carrier pigeon,10.0.0.1,1,10.0.0.2,443,1,benign,,\n":                                 `protocol "carrier pigeon"`,
		header + "p,tls,10.0.0.1,1,10.0.0.2,443,noon,benign,,\n":                                         `time "noon"`,
	} {
		_, err := Load(write(t, "labels.csv", text), "")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "labels.csv") {
			t.Errorf("%.60q: error %v, want %q", text, err, want)
		}
	}
}
