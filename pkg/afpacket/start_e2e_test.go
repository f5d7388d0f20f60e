//go:build e2e && linux

package afpacket

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"trench/pkg/internal/netlab"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// flood sends one frame over and over until the returned function is called,
// which says how many went out.
func flood(tb testing.TB, ns *netlab.Namespace, frame []byte) (stop func() int) {
	tb.Helper()
	fd := -1
	err := ns.Do(func() (err error) {
		d, err := net.InterfaceByName(ns.Interface)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: d.Index})
	})
	if err != nil {
		tb.Fatal(err)
	}
	quit, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-quit:
				unix.Close(fd)
				sent <- n
				return
			default:
			}
			if _, err := unix.Write(fd, frame); err == nil {
				n++
			}
		}
	}()
	return func() int { close(quit); return <-sent }
}

func TestNothingGetsByTheFilterAtTheStart(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	frame := pcapgen.Ethernet(datagram(false, 1, 2, "unwanted"))
	program, err := bpf.Assemble([]bpf.Instruction{ // ARP only
		bpf.LoadAbsolute{Off: 12, Size: 2}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x0806, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 18}, bpf.RetConstant{},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(lab.Server.Interface)
	cfg.Blocks = 2
	stop := flood(t, lab.Client, frame)
	var seen uint64
	for range 8 {
		for _, p := range [][]bpf.RawInstruction{program, nil} { // nil shows that packets pass meanwhile
			var rings []*Ring
			if err := lab.Server.Do(func() (err error) { rings, err = Open(cfg, 2, p, nil); return err }); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
			for i, r := range rings {
				s, err := r.Stats()
				if err != nil {
					t.Error(err)
				}
				if p == nil {
					seen += s.Packets + s.Drops
				} else if s != (Stats{}) {
					t.Errorf("ring %d: %+v got by the filter", i, s)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if sent := stop(); seen < 1000 {
		t.Errorf("%d packets sent, %d seen without a filter: no flood", sent, seen)
	}
}

// TestTagsOfForwardedPacketsAreInPlace captures at the port by which packets leave
// a bridge: on their way out, too, the kernel keeps the tag beside the frame.
func TestTagsOfForwardedPacketsAreInPlace(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	s := lab.Server
	s.IP(t, "link", "add", "name", "bridge0", "type", "bridge", "mcast_snooping", "0") // no queries of its own
	s.IP(t, "link", "add", "name", "out0", "type", "veth", "peer", "name", "out1")
	for _, port := range []string{s.Interface, "out0"} {
		s.IP(t, "link", "set", port, "master", "bridge0")
	}
	for _, name := range []string{"bridge0", "out0", "out1"} {
		s.IP(t, "link", "set", name, "up")
	}
	tagged := func(typ uint16, ip []byte, tags ...uint16) []byte {
		if ip[0]>>4 == 4 { // the bridge may have netfilter check it
			var sum uint32
			ip[10], ip[11] = 0, 0
			for at := 0; at < 20; at += 2 {
				sum += uint32(binary.BigEndian.Uint16(ip[at:]))
			}
			sum = sum>>16 + sum&0xffff
			binary.BigEndian.PutUint16(ip[10:], ^uint16(sum>>16+sum))
		}
		f := pcapgen.Ethernet(ip, tags...)
		f[11] = 1 // a bridge keeps back what goes to the address it comes from
		if len(tags) > 0 {
			binary.BigEndian.PutUint16(f[12:], typ)
		}
		return f
	}
	const hosts = 32
	var frames [][]byte
	for i := range hosts {
		there, back := datagram(i%2 == 1, i+1, 3*i+40, fmt.Sprintf("#%d", i)), datagram(i%2 == 1, 3*i+40, i+1, fmt.Sprintf("#%d", i))
		frames = append(frames, tagged(0, there), tagged(0x8100, back, 5), tagged(0x88a8, there, 0xe007), tagged(0x88a8, back, 7, 8), tagged(0x8100, there, 1, 2, 3))
	}
	whole := open(t, s, testConfig("out0"), 1)[0]
	leaving, arriving := open(t, s, testConfig("out0"), 2), open(t, s, testConfig("out1"), 2)
	replay(t, lab.Client, frames)
	compare(t, frames, read(t, whole, len(frames)))
	noLoss(t, whole, len(frames))
	ring := map[string]int{}
	for side, rings := range [][]*Ring{leaving, arriving} {
		total := 0
		for i, r := range rings {
			got := read(t, r, 1)
			noLoss(t, r, len(got))
			if total += len(got); len(got) == 0 {
				t.Errorf("side %d: ring %d has nothing", side, i)
			}
			for _, p := range got {
				name := string(p.Data[bytes.LastIndexByte(p.Data, '#'):])
				if before, ok := ring[name]; ok && before != i {
					t.Errorf("side %d: hosts %s come by ring %d and %d", side, name, before, i)
				}
				ring[name] = i
			}
		}
		if total != len(frames) {
			t.Errorf("side %d: %d packets, want %d", side, total, len(frames))
		}
	}
}

func TestReadBlockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	r := open(t, lab.Server, testConfig(lab.Server.Interface), 1)[0]
	for _, gone := range []bool{false, true} {
		if gone {
			lab.Client.IP(t, "link", "del", lab.Client.Interface)
		}
		b := pcap.Block{Packets: make([]pcap.Packet, 3)}
		for range 5 { // idle; then also away
			if err := r.ReadBlock(t.Context(), &b); err != nil || len(b.Packets) != 0 {
				t.Fatalf("gone %t: %v, %d packets of nothing", gone, err, len(b.Packets))
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan time.Time, 1)
		time.AfterFunc(20*time.Millisecond, func() { ended <- time.Now(); stop() })
		var err error
		for err == nil {
			err = r.ReadBlock(ctx, &b)
		}
		if late := time.Since(<-ended); !errors.Is(err, context.Canceled) || late > time.Second {
			t.Errorf("gone %t: %v, %v after the end", gone, err, late)
		}
	}
	if s, err := r.Stats(); err != nil || s.Outages != 1 {
		t.Errorf("%+v, %v, want one outage", s, err)
	}
}

func TestReadBlockDoesNotAllocate(t *testing.T) {
	lab := netlab.New(t, netlab.Options{Quiet: true})
	cfg := testConfig(lab.Server.Interface)
	cfg.BlockTimeout = time.Millisecond
	r := open(t, lab.Server, cfg, 1)[0]
	stop := flood(t, lab.Client, pcapgen.Ethernet(datagram(false, 1, 2, "x"), 5))
	defer stop()
	var b pcap.Block
	packets := 0
	step := func() {
		if err := r.ReadBlock(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		packets += len(b.Packets)
	}
	for range 200 {
		step()
	}
	packets = 0
	per := testing.AllocsPerRun(200, step)
	if packets < 1000 {
		t.Fatalf("%d packets only", packets)
	}
	t.Logf("%v allocations for each block, %d packets in 201 blocks", per, packets)
	if per > 1 {
		t.Errorf("a block of %d packets allocates %v times", packets/201, per)
	}
}
