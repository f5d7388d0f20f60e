//go:build e2e

package filter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"trench/pkg/internal/corpus"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// expressions are compared with tcpdump on real packets.
var expressions = strings.Split(strings.TrimSpace(`
ip
ip6
arp
rarp
tcp
udp
icmp
icmp6
igmp
sctp
pim
esp
ah
vrrp
not ip
not tcp
tcp or udp
tcp and port 443
tcp port 443
udp port 53
port 53
port 80 or 443
port 80 or 443 or 8080
tcp port 80 or 443
tcp port (80 or 443)
tcp src port 443
tcp dst port 443
src port 53
dst port 53
src or dst port 53
src and dst port 5353
not port 53
port http
port https
tcp port ssh
udp port domain
portrange 1-1023
tcp portrange 1024-65535
udp src portrange 100-6000
dst portrange 443-444
host 10.0.0.1
net 10.0.0.0/8
net 10
net 192.168
net 192.168.0.0/16
net 192.168.0.0 mask 255.255.0.0
src net 10.0.0.0/8
dst net 10.0.0.0/8
src and dst net 192.168.0.0/16
src net 192.168 and dst net 10
not net 192.168
ip net 10
arp net 192.168
host 127.0.0.1
src host 127.0.0.1
host 127.0.0.1 or 10.0.2.15
host (127.0.0.1 or 10.0.2.15)
src host (127.0.0.1 or 10.0.2.15) and dst port 53
src 10.0.2.15
dst 10.0.2.15 and not port 443
net 10.0.2.0/24
net 172.16.0.0/12
net 0.0.0.0/0
net 224.0.0.0/4
ip6 net fe80::/10
net fe80::/10
net ff02::/16
net 2000::/3
host ::1
src host ::1 or dst net ff00::/8
ip6 and not net fe80::/10
ether broadcast
ether multicast
broadcast
multicast
ip multicast
ip6 multicast
not ether multicast
ether host ff:ff:ff:ff:ff:ff
ether dst ff:ff:ff:ff:ff:ff
ether src 00:00:00:00:00:00
ether host 01-00-5e-00-00-fb
ether proto 0x0800
ether proto \ip
ether proto \arp
ether proto 0x88cc
ether proto 0x42
ip broadcast
port not 443
host not 10.0.2.15 and tcp
host 10.0.2.15 and (port 80 or 443) or 127.0.0.1
ether proto 0x86dd
ip proto 6
ip proto \tcp
ip proto 47
ip proto gre
ip6 proto 58
ip6 proto \udp
proto 17
proto \udp
proto 41
less 64
greater 1000
len > 500
len <= 100
len = 60
len != 60
len > 100 and len < 200
less 100 and tcp
ip[0] = 0x45
ip[0] & 0xf != 5
ip[8] < 64
ip[9] = 6
ip[2:2] > 1000
ip[6:2] & 0x1fff != 0
ip[6:2] & 0x2000 != 0
ip[12:4] = 0x0a00020f
ip6[6] = 17
ip6[7] = 255
ip6[40:2] = 443
tcp[13] & 2 != 0
tcp[tcpflags] & tcp-syn != 0
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[tcpflags] = tcp-syn
tcp[tcpflags] == tcp-syn|tcp-ack
tcp[tcpflags] & (tcp-rst) != 0 and port 443
(tcp[12] >> 4) * 4 > 20
tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420
tcp[((tcp[12:1] & 0xf0) >> 2):1] = 0x16
tcp port 443 and tcp[((tcp[12] & 0xf0) >> 2)] = 0x16
(ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2)) != 0
tcp[0:2] = 443 or tcp[2:2] = 443
tcp[2:2] < 1024
tcp[14:2] = 0
udp[4:2] > 100
udp[8:1] & 0xc0 = 0xc0
udp[0:2] = udp[2:2]
icmp[icmptype] = icmp-echo
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp[0] = 3
icmp6[icmp6type] = icmp6-echo
icmp6[0] >= 133
ether[0] & 1 = 0
ether[12:2] > 1500
ether[0:4] & 0xffff0000 = 0
link[0] & 1 != 0
ip[1+1:2] > 100
ip[20] ^ ip[21] = 0
ip[8] * 2 = 128
ip[2:2] / 10 = 4
ip[2:2] % 7 = 3
ip[2:2] + 14 != len
100 < len
-1 = 0xffffffff
vlan
vlan and ip
vlan and tcp port 443
vlan 1
vlan 100
vlan 10 or vlan 20
vlan and vlan
vlan and vlan and ip
not vlan
ip or (vlan and ip)
tcp or vlan and tcp
mpls
mpls and ip
mpls 16
mpls and mpls and ip
mpls and tcp
pppoes
pppoes and ip
pppoes and tcp
pppoes 1
pppoed
not (tcp or udp)
!tcp
!(port 53 || port 443)
not tcp and not udp and not arp
tcp && !port 22
ip and not (host 10.0.2.15 and port 443) or arp
(src net 10 or src net 192.168) and (dst port 80 or dst port 443) and tcp[tcpflags] & tcp-push != 0
port 1 or 2 or 3 or 4 or 5 or 6 or 7 or 8 or 9 or 10 or 11 or 12 or 13 or 14 or 15 or 16 or 17 or 18 or 19 or 20 or 443
not (port 1 or 2 or 3 or 4 or 5 or 6 or 7 or 8 or 9 or 10 or 11 or 12 or 13 or 14 or 15 or 16 or 17 or 18 or 19 or 20 or 443)
`), "\n")

// lax are expressions of which libpcap forgets what a part of them implies: in a sum
// it drops that tcp[…] means TCP, unless it stands first.
var lax = map[string]bool{"(ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2)) != 0": true}

// subset reports whether all of a is in b; both are sorted.
func subset(a, b []int) bool {
	for _, n := range a {
		if _, ok := slices.BinarySearch(b, n); !ok {
			return false
		}
	}
	return true
}

// perCapture and perLink bound the packets that are taken of each; those with tags,
// labels or PPPoE all count.
const (
	perCapture = 40
	perLink    = 60_000
)

// TestAcceptsWhatTcpdumpAccepts puts packets of the corpus into one file for each
// link type, where a packet's time is its number, and has tcpdump filter it.
func TestAcceptsWhatTcpdumpAccepts(t *testing.T) {
	t.Parallel()
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED: tcpdump is not here, filters are not compared with it")
	}
	packets, captures, encapsulated := gather(t, corpus.Dir(t))
	var (
		mu        sync.Mutex
		compared  int
		different []string
		refused   = map[string]int{}
	)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for link, list := range packets {
		file := filepath.Join(t.TempDir(), "packets.pcap")
		if err := os.WriteFile(file, pcapgen.Classic{Order: binary.LittleEndian, Link: uint32(link)}.File(list), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, expr := range expressions {
			g.Go(func() error {
				want, theirs := accepts(tcpdump, file, expr)
				got, ours := matches(expr, link, list)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case ours != nil && (theirs != nil || errors.Is(ours, errLink)):
					refused[link.String()]++
				case ours == nil && theirs == nil && lax[expr]:
					compared++
					if !subset(got, want) {
						different = append(different, link.String()+": "+expr+": we accept what tcpdump does not")
					}
				case ours != nil || theirs != nil:
					different = append(different, link.String()+": "+expr+": we say "+say(ours)+", tcpdump says "+say(theirs))
				case !slices.Equal(got, want):
					different = append(different, link.String()+": "+expr+": "+first(got, want))
				default:
					compared++
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(different)
	n := 0
	for link, list := range packets {
		t.Logf("%s: %d packets, %d expressions that have no meaning or that both refuse", link, len(list), refused[link.String()])
		n += len(list)
	}
	t.Logf("%d expressions, %d packets of %d captures, %d of them with VLAN, MPLS or PPPoE: %d pairs of expression and link type are equal, %d differ", len(expressions), n, captures, encapsulated, compared, len(different))
	for _, d := range different {
		t.Error(d)
	}
	if compared < 2*len(expressions) {
		t.Errorf("%d pairs compared only", compared)
	}
}

func say(err error) string {
	if err == nil {
		return "yes"
	}
	return strings.TrimSpace(err.Error())
}

// rareTypes are EtherTypes that move what stands behind them.
var rareTypes = []uint16{etherVLAN, etherQinQ, etherOld, etherMPLS, etherPPPoE, etherPPPoD}

// gather takes packets of all captures, by link type.
func gather(t *testing.T, dir string) (out map[pcap.LinkType][]pcapgen.Packet, captures, encapsulated int) {
	t.Helper()
	out = make(map[pcap.LinkType][]pcapgen.Packet)
	corpus.Captures(t, dir, func(_ string, r *pcap.Reader) bool {
		captures++
		var b pcap.Block
		if r.ReadBlock(&b) != nil {
			return true
		}
		for i, p := range b.Packets {
			if _, err := layoutOf(p.Link); err != nil || len(out[p.Link]) == perLink || p.Link == pcap.LinkCiscoHDLC {
				continue
			}
			rare := p.Link == pcap.LinkEthernet && len(p.Data) > 14 && slices.Contains(rareTypes, binary.BigEndian.Uint16(p.Data[12:]))
			if i >= perCapture && !rare {
				continue
			}
			if rare {
				encapsulated++
			}
			n := int64(len(out[p.Link]))
			out[p.Link] = append(out[p.Link], pcapgen.Packet{Time: n * 1e9, Data: bytes.Clone(p.Data), Wire: int(p.WireLen)})
		}
		return true
	})
	return out, captures, encapsulated
}

// accepts returns the numbers of the packets that tcpdump takes.
func accepts(tcpdump, file, expr string) ([]int, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(tcpdump, "-r", file, "-w", "-", "--", expr)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && strings.Contains(stderr.String(), "rejects all packets") {
		return []int{}, nil
	}
	if err != nil {
		return nil, errors.New(stderr.String())
	}
	r, err := pcap.NewReader(bytes.NewReader(out), "tcpdump")
	if err != nil {
		return nil, err
	}
	numbers := []int{}
	var b pcap.Block
	for {
		if err := r.ReadBlock(&b); err != nil {
			if errors.Is(err, io.EOF) {
				return numbers, nil
			}
			return nil, err
		}
		for _, p := range b.Packets {
			numbers = append(numbers, int(p.Time/1e9))
		}
	}
}

func matches(expr string, link pcap.LinkType, list []pcapgen.Packet) ([]int, error) {
	p, err := Compile(expr, link)
	if err != nil {
		return nil, err
	}
	numbers := []int{}
	for i, pkt := range list {
		if p.Match(pkt.Data, uint32(max(pkt.Wire, len(pkt.Data)))) {
			numbers = append(numbers, i)
		}
	}
	return numbers, nil
}

// first says where two lists of numbers part.
func first(got, want []int) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	tell := func(l []int) any {
		if i < len(l) {
			return l[i]
		}
		return "none"
	}
	return fmt.Sprintf("we accept %d packets, tcpdump %d; the first to differ: %v and %v", len(got), len(want), tell(got), tell(want))
}
