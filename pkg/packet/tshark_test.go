//go:build e2e

package packet

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"trench/pkg/pcap"
)

// TestTunnelsAgreeWithTshark compares the innermost addresses and ports of every packet of
// the corpus's captures that have tunnels in them.
func TestTunnelsAgreeWithTshark(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	type seen struct {
		src, dst netip.AddrPort
		tunnel   string
		n        int
	}
	var (
		d       *Decoder
		v       View
		path    string
		number  int
		views   []seen
		tunnels int
	)
	compared, different := 0, 0
	compare := func() {
		if tunnels == 0 {
			return
		}
		want := innermost(t, path)
		for _, s := range views {
			w, ok := want[s.n]
			if !ok {
				continue
			}
			compared++
			if w[0] != s.src || w[1] != s.dst {
				different++
				t.Errorf("%s, packet %d (%s): %v to %v, tshark has %v to %v", path, s.n, s.tunnel, s.src, s.dst, w[0], w[1])
			}
		}
		t.Logf("%s: %d packets in tunnels", path, tunnels)
	}
	eachCapture(t, func(p string) {
		compare()
		d, path, number, views, tunnels = NewDecoder(DefaultConfig()), p, 0, nil, 0
	}, func(p *pcap.Packet) {
		number++
		if d.Decode(&v, p) == OK && v.Packets == 1 && (v.Key.Protocol == ProtocolTCP || v.Key.Protocol == ProtocolUDP) {
			s := seen{tunnel: v.Key.Tunnel.String(), n: number}
			s.src, s.dst = v.ends()
			views = append(views, s)
		}
		if v.Key.Tunnel != 0 {
			tunnels++
		}
	})
	compare()
	t.Logf("%d packets compared, %d differ", compared, different)
	if compared == 0 {
		t.Error("no capture with tunnels")
	}
}

// innermost returns the ends of the last TCP or UDP header in each packet as tshark sees them.
func innermost(t *testing.T, path string) map[int][2]netip.AddrPort {
	out, err := exec.Command("tshark", "-n", "-r", path, "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE",
		"-T", "fields", "-E", "occurrence=l", "-e", "frame.number", "-e", "frame.protocols", "-e", "ip.src", "-e", "ip.dst", "-e", "ipv6.src", "-e", "ipv6.dst",
		"-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "udp.srcport", "-e", "udp.dstport").Output()
	if err != nil {
		t.Logf("tshark %s: %v", path, err) // a cut capture; what it printed counts
	}
	ends := map[int][2]netip.AddrPort{}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		f := strings.Split(s.Text(), "\t")
		if len(f) != 10 {
			continue
		}
		protocols := strings.Split(f[1], ":")
		last := func(names ...string) (at int, name string) {
			at = -1
			for i, p := range protocols {
				for _, n := range names {
					if p == n {
						at, name = i, n
					}
				}
			}
			return at, name
		}
		ipAt, ip := last("ip", "ipv6")
		at, transport := last("tcp", "udp")
		if at < ipAt || ipAt < 0 {
			continue
		}
		addr := f[2:4]
		if ip == "ipv6" {
			addr = f[4:6]
		}
		ports := f[6:8]
		if transport == "udp" {
			ports = f[8:10]
		}
		n, _ := strconv.Atoi(f[0])
		var e [2]netip.AddrPort
		for i := range e {
			a, err1 := netip.ParseAddr(addr[i])
			p, err2 := strconv.ParseUint(ports[i], 10, 16)
			if err1 != nil || err2 != nil {
				continue
			}
			e[i] = netip.AddrPortFrom(a, uint16(p))
		}
		ends[n] = e
	}
	return ends
}
