package features

import (
	"math"
	"slices"
	"testing"

	"trench/pkg/flow"
)

// TestACutHandshakeShowsLessAndNothingElse cuts real handshakes at every byte. What a
// part of a handshake does not show is NaN: no column may have another value than
// for the whole, 0 above all.
func TestACutHandshakeShowsLessAndNothingElse(t *testing.T) {
	t.Parallel()
	// What is seen so far, by definition: a part has less of it.
	grows := []string{"sh_seen", "sh_hs_complete", "sh_alert_level", "sh_hs_rounds"}
	whole12, _ := real(t, 0x0303, "host.example")
	whole13, _ := real(t, 0x0304, "host.example")
	whole12.Resolution, whole13.DNS = dnsMessage(1, true, "host.example", 60), flow.DNSContext{Responses: 2, Negative: 1}
	for name, f := range map[string]*flow.Flow{
		"TLS 1.2": whole12, "TLS 1.3": whole13, "by hand 1.2": full12(t), "by hand 1.3": full13(),
		"QUIC": quicFlow(datagrams(example(t, "rfc9001-a2-client")), datagrams(example(t, "rfc9001-a3-server"))),
		"DTLS": dtlsFlow(),
	} {
		want := vector(t, f)
		for side := range f.Half {
			bytes := f.Half[side].Handshake
			for n := range bytes {
				f.Half[side].Handshake = bytes[:n]
				for column, v := range vector(t, f) {
					group := column[:2]
					if !slices.Contains([]string{"ch", "sh", "ct", "sn", "dn", "qu"}, group) || slices.Contains(grows, column) {
						continue
					}
					if w := want[column]; !math.IsNaN(v) && v != w {
						t.Errorf("%s, side %d cut at %d of %d: %s is %v, want NaN or %v", name, side, n, len(bytes), column, v, w)
					}
				}
			}
			f.Half[side].Handshake = bytes
		}
	}
}
