package dtlswire_test

import (
	"regexp"
	"strings"
	"testing"

	"trench/pkg/dtlswire"
	"trench/pkg/fingerprint"
	"trench/pkg/internal/corpus"
	"trench/pkg/internal/corpus/traffic"
	"trench/pkg/tlswire"
)

func isDTLS(payload []byte) bool {
	_, _, _, ok := dtlswire.LooksLikeRecord(payload)
	return ok
}

func TestClientHellosThatTsharkShows(t *testing.T) {
	t.Parallel()
	var r dtlswire.Reassembler
	var h tlswire.Handshake
	found := 0
	for capture, packets := range corpus.Tshark(t) {
		want := map[corpus.Way]bool{}
		for _, p := range packets { // with DTLS its columns of TLS and QUIC are empty
			if p["udp.srcport"] != "" && p["tls.handshake.type"] == "" && p["quic.version"] == "" {
				want[p.Way("udp")] = true
			}
		}
		if len(want) == 0 {
			continue
		}
		sent := traffic.ReadDatagrams(t, capture, isDTLS)
		for w := range want {
			row, incomplete := r.Records(nil, sent.Rows[w])
			if h.ParseDTLS(row, nil); !h.ClientSeen || h.Client.Incomplete {
				t.Errorf("%s: %v: no whole ClientHello, incomplete %v", capture, w, incomplete)
			}
			found++
		}
	}
	t.Logf("%d directions with a ClientHello", found)
	if found < 34 {
		t.Error("fewer than before")
	}
}

var ndpiJA3 = regexp.MustCompile(`\[JA3C: ([0-9a-f]{32})\]`)

func TestJA3AgreesWithNDPI(t *testing.T) {
	t.Parallel()
	var r dtlswire.Reassembler
	var h tlswire.Handshake
	compared := 0
	for capture, flows := range corpus.NDPI(t) {
		var sent traffic.Datagrams
		for _, f := range flows {
			m := ndpiJA3.FindStringSubmatch(f.Line)
			if m == nil || !strings.Contains(f.Protocol, "DTLS") {
				continue
			}
			if sent.Rows == nil {
				sent = traffic.ReadDatagrams(t, capture, isDTLS)
			}
			client, _ := r.Records(nil, sent.Rows[f.Way])
			server, _ := r.Records(nil, sent.Rows[f.Way.Reverse()])
			h.ParseDTLS(client, server)
			compared++
			if got := fingerprint.JA3(&h.Client); got != m[1] {
				t.Errorf("%s: %v: JA3 %s, nDPI has %s", capture, f.Way, got, m[1])
			}
		}
	}
	t.Logf("%d compared", compared)
	if compared < 16 {
		t.Error("fewer than before")
	}
}
