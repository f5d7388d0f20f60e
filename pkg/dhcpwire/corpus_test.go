package dhcpwire_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/dhcpwire"
	"trench/pkg/internal/corpus"
	"trench/pkg/internal/corpus/traffic"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// datagrams calls visit with the UDP packets of a capture that carry something.
func datagrams(r *pcap.Reader, visit func(v *packet.View)) {
	traffic.Packets(r, func(_ int, v *packet.View) {
		if v.Key.Protocol == packet.ProtocolUDP && len(v.Payload) > 0 {
			visit(v)
		}
	})
}

// What goes to and from the ports of DHCP looks like a message, can be read, and
// nothing else does.
func TestRecognisesMessagesByContent(t *testing.T) {
	t.Parallel()
	const leaseQuery = 14 // RFC 5007, which is not read
	var m dhcpwire.Message
	seen := 0
	corpus.Captures(t, corpus.Dir(t), func(path string, r *pcap.Reader) bool {
		datagrams(r, func(v *packet.View) {
			port := min(v.Key.PortA, v.Key.PortB)
			want := port == 67 || port == 68 || (port == 546 || port == 547) && v.Payload[0] != leaseQuery
			if got := dhcpwire.Version(v.Payload) != 0; got != want {
				t.Errorf("%s: ports %d, %d: got %v, want %v", path, v.Key.PortA, v.Key.PortB, got, want)
			}
			if want {
				seen++
				if !m.Parse(v.Payload) || m.Incomplete {
					t.Errorf("%s: %+v", path, m)
				}
			}
		})
		return true
	})
	t.Logf("%d messages", seen)
	if seen < 1400 {
		t.Error("fewer than before")
	}
}

// messages returns a line for each message of a capture.
func messages(t *testing.T, path string) (lines []string) {
	t.Helper()
	var m dhcpwire.Message
	add := func(v *packet.View) {
		if dhcpwire.Version(v.Payload) == 0 || !m.Parse(v.Payload) {
			return
		}
		id := m.HardwareAddr
		if m.V6 {
			id = m.ClientID
		}
		address := ""
		if m.RequestedAddr.IsValid() {
			address = m.RequestedAddr.String()
		}
		lines = append(lines, fmt.Sprintf("%d %x %s %q %q %v", m.Type, id, address, m.HostName, m.VendorClass, m.ParameterRequest))
	}
	corpus.Captures(t, path, func(_ string, r *pcap.Reader) bool {
		datagrams(r, add)
		return true
	})
	return lines
}

// What tshark shows: type, hardware address or DUID, requested address, host name, vendor
// class, and the options asked for.
func TestAgreesWithTshark(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	for capture, want := range map[string][]string{
		"protocol-tests/ja4/dhcp.pcapng": {
			`1 000b8201fc42 0.0.0.0 "" "" [1 3 6 42]`, `2 000b8201fc42  "" "" []`,
			`3 000b8201fc42 192.168.0.10 "" "" [1 3 6 42]`, `5 000b8201fc42  "" "" []`,
		},
		"protocol-tests/joy/dhcp.pcap": {
			`3 08002783f442 10.0.2.15 "pythagoras" "" [1 28 2 3 15 6 119 12 44 47 26 121 42 121 249 33 252 42]`,
			`5 08002783f442  "" "" []`,
		},
		"benign/IoT_Sentinel/D-LinkSiren/Setup-A-1-STA.pcap": {
			`1 908d78dd0d60  "DCH-S220" "udhcp 1.21.1--LSDK-10.2-00082-4" [1 3 6 12 15 28 42]`,
			`3 908d78dd0d60 10.10.10.39 "DCH-S220" "udhcp 1.21.1--LSDK-10.2-00082-4" [1 3 6 12 15 28 42]`,
			`3 908d78dd0d60 10.10.10.39 "DCH-S220" "udhcp 1.21.1--LSDK-10.2-00082-4" [1 3 6 12 15 28 42]`,
		},
		"protocol-tests/ja4/dhcpv6.pcap": {
			`1 000100011c39cf88080027fe8f95  "" "" [0 23 0 24]`, `2 000100011c39cf88080027fe8f95  "" "" []`,
			`3 000100011c39cf88080027fe8f95  "" "" [0 23 0 24]`, `7 000100011c39cf88080027fe8f95  "" "" []`,
			`8 000100011c39cf88080027fe8f95  "" "" [0 23 0 24]`, `7 000100011c39cf88080027fe8f95  "" "" []`,
		},
	} {
		if diff := cmp.Diff(want, messages(t, filepath.Join(root, capture))); diff != "" {
			t.Errorf("%s (-tshark +got):\n%s", capture, diff)
		}
	}
}
