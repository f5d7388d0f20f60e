//go:build e2e && linux

package afpacket

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"trench/pkg/internal/netlab"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// BenchmarkRate has tcpreplay send as fast as it can, or at a rate, over a veth
// pair of this machine, while one ring is read. Sender and reader share its CPUs.
func BenchmarkRate(b *testing.B) {
	netlab.Need(b, "tcpreplay")
	for _, size := range []int{60, 1000} {
		for _, rate := range []int{100_000, 200_000, 400_000, 0} {
			name := fmt.Sprintf("bytes=%d/rate=%d", size, rate)
			if rate == 0 {
				name = fmt.Sprintf("bytes=%d/rate=top", size)
			}
			b.Run(name, func(b *testing.B) {
				const frames = 10_000
				lab := netlab.New(b, netlab.Options{Quiet: true})
				cfg := DefaultConfig()
				cfg.Interface = lab.Server.Interface
				r := open(b, lab.Server, cfg, 1)[0]
				var packets []pcapgen.Packet
				for i := range frames {
					f := pcapgen.Ethernet(datagram(false, i, i+1, string(bytes.Repeat([]byte("x"), size-42))))
					packets = append(packets, pcapgen.Packet{Time: 1e18 + int64(i)*1000, Data: f})
				}
				file := filepath.Join(b.TempDir(), "frames.pcap")
				if err := os.WriteFile(file, pcapgen.Classic{Order: binary.LittleEndian, Link: 1}.File(packets), 0o600); err != nil {
					b.Fatal(err)
				}
				speed := []string{"--topspeed"}
				if rate > 0 {
					speed = []string{"--pps", strconv.Itoa(rate), "--pps-multi", "100"}
				}
				loops := max(b.N/frames, 1)
				args := append([]string{"-q", "-K", "-i", lab.Client.Interface, "--loop", strconv.Itoa(loops)}, speed...)
				b.ResetTimer()
				start := time.Now()
				sent := make(chan error, 1)
				go func() {
					out, err := lab.Client.Command(b.Context(), "tcpreplay", append(args, file)...).CombinedOutput()
					if err != nil {
						err = fmt.Errorf("%w: %s", err, out)
					}
					sent <- err
				}()
				var block pcap.Block
				got, want := 0, loops*frames
				var first, last int64
				for idle := 0; got < want && idle < 20; {
					if err := r.ReadBlock(context.Background(), &block); err != nil {
						b.Fatal(err)
					}
					if n := len(block.Packets); n > 0 {
						if got == 0 {
							first = block.Packets[0].Time
						}
						got, last, idle = got+n, block.Packets[n-1].Time, 0
					} else if time.Since(start) > time.Second {
						idle++
					}
				}
				if err := <-sent; err != nil {
					b.Fatal(err)
				}
				s, err := r.Stats()
				if err != nil || s.Packets+s.Drops != uint64(want) || int(s.Packets) != got {
					b.Errorf("counters %+v, %v; %d sent, %d read", s, err, want, got)
				}
				b.ReportMetric(float64(want)/(float64(last-first)/1e9), "packets/s")
				b.ReportMetric(float64(s.Drops), "drops")
			})
		}
	}
}
