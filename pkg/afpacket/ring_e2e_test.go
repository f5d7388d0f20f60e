//go:build e2e && linux

package afpacket

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"trench/pkg/internal/netlab"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

const patience = 15 * time.Second

func testConfig(name string) Config {
	c := DefaultConfig()
	// Replay ends before reading begins: the blocks have to last that long on a busy
	// machine, one for each 10 ms.
	c.Interface, c.BlockSize, c.Blocks, c.BlockTimeout, c.PollInterval = name, 2*minBlock, 256, 10*time.Millisecond, 50*time.Millisecond
	return c
}

func open(tb testing.TB, ns *netlab.Namespace, cfg Config, n int, program ...bpf.Instruction) []*Ring {
	tb.Helper()
	var raw []bpf.RawInstruction
	if len(program) > 0 {
		var err error
		if raw, err = bpf.Assemble(program); err != nil {
			tb.Fatal(err)
		}
	}
	var rings []*Ring
	if err := ns.Do(func() (err error) { rings, err = Open(cfg, n, raw, nil); return err }); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		for _, r := range rings {
			if err := r.Close(); err != nil {
				tb.Error(err)
			}
		}
	})
	return rings
}

// read returns copies of the packets of a ring: until there are as many as
// wanted and then nothing for two intervals.
func read(tb testing.TB, r *Ring, want int) []pcap.Packet {
	tb.Helper()
	var got []pcap.Packet
	var b pcap.Block
	for end, idle := time.Now().Add(patience), 0; (len(got) < want || idle < 2) && time.Now().Before(end); idle++ {
		if err := r.ReadBlock(context.Background(), &b); err != nil {
			tb.Fatal(err)
		}
		for _, p := range b.Packets {
			p.Data = bytes.Clone(p.Data)
			got = append(got, p)
			idle = -1
		}
	}
	return got
}

// replay writes a capture and has tcpreplay send it.
func replay(tb testing.TB, ns *netlab.Namespace, frames [][]byte, args ...string) {
	tb.Helper()
	netlab.Need(tb, "tcpreplay")
	var packets []pcapgen.Packet
	for i, f := range frames {
		packets = append(packets, pcapgen.Packet{Time: 1e18 + int64(i)*1000, Data: f})
	}
	file := filepath.Join(tb.TempDir(), "frames.pcap")
	if err := os.WriteFile(file, pcapgen.Classic{Order: binary.LittleEndian, Link: 1}.File(packets), 0o600); err != nil {
		tb.Fatal(err)
	}
	args = append(append([]string{"-q", "-i", ns.Interface}, args...), file)
	if out, err := ns.Command(tb.Context(), "tcpreplay", args...).CombinedOutput(); err != nil {
		tb.Fatalf("tcpreplay: %v: %s", err, out)
	}
}

func compare(tb testing.TB, want [][]byte, got []pcap.Packet) {
	tb.Helper()
	if len(got) != len(want) {
		tb.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i, p := range got {
		if !bytes.Equal(p.Data, want[i]) || int(p.WireLen) != len(want[i]) {
			tb.Fatalf("packet %d of %d bytes on the wire:\n%s", i, p.WireLen, cmp.Diff(want[i], p.Data))
		}
		if i > 0 && p.Time < got[i-1].Time {
			tb.Errorf("packet %d is %d ns before the one before", i, got[i-1].Time-p.Time)
		}
	}
}

func noLoss(tb testing.TB, r *Ring, packets int) {
	tb.Helper()
	if s, err := r.Stats(); err != nil || s != (Stats{Packets: uint64(packets)}) {
		tb.Errorf("counters %+v, %v, want %d packets", s, err, packets)
	}
}

// demo returns the frames of the capture that the documentation uses.
func demo(tb testing.TB) [][]byte {
	tb.Helper()
	f, err := os.Open("../../testdata/pcap/demo.pcap")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	r, err := pcap.NewReader(f, "demo.pcap")
	if err != nil {
		tb.Fatal(err)
	}
	var frames [][]byte
	var b pcap.Block
	for {
		err := r.ReadBlock(&b)
		for _, p := range b.Packets {
			frames = append(frames, bytes.Clone(p.Data))
		}
		if err != nil {
			return frames
		}
	}
}

func addr(v6 bool, host int) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 14: byte(host >> 8), 15: byte(host)})
	}
	return netip.AddrFrom4([4]byte{198, 18, byte(host >> 8), byte(host)})
}

func datagram(v6 bool, from, to int, payload string) []byte {
	return pcapgen.UDP(netip.AddrPortFrom(addr(v6, from), 4000), netip.AddrPortFrom(addr(v6, to), 53), []byte(payload))
}

func TestPacketsAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	o := netlab.Options{Quiet: true, MTU: 65000}
	lab := netlab.New(t, o)
	frames := demo(t)
	if len(frames) < 1000 {
		t.Fatalf("%d frames only", len(frames))
	}
	in, out := open(t, lab.Server, testConfig(lab.Server.Interface), 1)[0], open(t, lab.Client, testConfig(lab.Client.Interface), 1)[0]
	replay(t, lab.Client, frames, "--topspeed")
	for _, r := range []*Ring{in, out} {
		compare(t, frames, read(t, r, len(frames)))
		noLoss(t, r, len(frames))
	}
}

func TestTagsAreInPlace(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	ip := datagram(false, 1, 2, "tagged")
	var frames [][]byte
	for _, tags := range [][]uint16{{}, {5}, {0}, {0xe005}, {5, 6}, {1, 2, 3}} {
		frames = append(frames, pcapgen.Ethernet(ip, tags...))
	}
	qinq := pcapgen.Ethernet(ip, 7, 8)
	binary.BigEndian.PutUint16(qinq[12:], 0x88a8)
	frames = append(frames, qinq)
	r := open(t, lab.Server, testConfig(lab.Server.Interface), 1)[0]
	cut := open(t, lab.Server, testConfig(lab.Server.Interface), 1, bpf.RetConstant{Val: 20})[0]
	replay(t, lab.Client, frames)
	compare(t, frames, read(t, r, len(frames)))
	for i, p := range read(t, cut, len(frames)) {
		n := 20
		if len(frames[i]) > len(frames[0]) {
			n += vlanTag // the kernel counts without
		}
		if !bytes.Equal(p.Data, frames[i][:n]) || int(p.WireLen) != len(frames[i]) {
			t.Errorf("cut packet %d: %x of %d bytes", i, p.Data, p.WireLen)
		}
	}
}

func TestRingsDivideByHosts(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	var frames [][]byte
	pairs := 0
	pair := func(tags []uint16, v6 bool) {
		a, b := 1+pairs, 2+pairs+pairs%7
		name := fmt.Sprintf("#%04d", pairs)
		pairs++
		for _, ip := range [][]byte{
			datagram(v6, a, b, name), datagram(v6, b, a, "answer"+name),
			pcapgen.IP(addr(v6, a), addr(v6, b), 132, []byte("no ports"+name)),
			pcapgen.Segment{Src: netip.AddrPortFrom(addr(v6, b), 443), Dst: netip.AddrPortFrom(addr(v6, a), 9), Payload: []byte(name)}.IP(),
		} {
			frames = append(frames, pcapgen.Ethernet(ip, tags...))
			if !v6 { // the rest of a fragmented datagram
				ip = pcapgen.IP(addr(v6, a), addr(v6, b), 17, []byte("later fragment"+name))
				binary.BigEndian.PutUint16(ip[6:], 185)
				frames = append(frames, pcapgen.Ethernet(ip, tags...))
			}
		}
	}
	for _, tags := range [][]uint16{nil, {5}, {5, 6}, {5, 6, 7}} {
		for i := range 64 {
			pair(tags, i%2 == 1)
		}
	}
	const n = 4
	incoming, outgoing := open(t, lab.Server, testConfig(lab.Server.Interface), n), open(t, lab.Client, testConfig(lab.Client.Interface), n)
	replay(t, lab.Client, frames)
	ring := map[string]int{}
	for side, rings := range [][]*Ring{incoming, outgoing} {
		total := 0
		var share [n]int
		for i, r := range rings {
			got := read(t, r, 1)
			noLoss(t, r, len(got))
			total += len(got)
			for _, p := range got {
				name := string(p.Data[bytes.LastIndexByte(p.Data, '#'):])
				if before, ok := ring[name]; !ok {
					ring[name] = i
					share[i]++
				} else if before != i {
					t.Errorf("hosts %s: ring %d, before %d (side %d)", name, i, before, side)
				}
			}
		}
		if total != len(frames) {
			t.Errorf("%d packets, want %d", total, len(frames))
		}
		for i, c := range share {
			if side == 0 && (c < pairs/n/2 || c > pairs/n*2) {
				t.Errorf("ring %d has %d of %d pairs", i, c, pairs)
			}
		}
		t.Logf("side %d: pairs first seen by ring: %v", side, share)
	}
}

func TestKernelFilters(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	var frames, want [][]byte
	for i := range 50 {
		f := pcapgen.Ethernet(datagram(false, i, i%5, "x"))
		if frames = append(frames, f); i%5 == 3 {
			want = append(want, f)
		}
	}
	r := open(t, lab.Server, testConfig(lab.Server.Interface), 1,
		bpf.LoadAbsolute{Off: 33, Size: 1}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 3, SkipFalse: 1}, bpf.RetConstant{Val: 1 << 18}, bpf.RetConstant{})[0]
	replay(t, lab.Client, frames)
	compare(t, want, read(t, r, len(want)))
	noLoss(t, r, len(want))
}

func TestWhatFindsNoRoomIsCounted(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	cfg := testConfig(lab.Server.Interface)
	cfg.Blocks, cfg.BlockSize = 2, minBlock
	r := open(t, lab.Server, cfg, 1)[0]
	var frames [][]byte
	for i := range 2000 {
		frames = append(frames, pcapgen.Ethernet(datagram(false, i, 1, strings.Repeat("x", 1000))))
	}
	replay(t, lab.Client, frames, "--topspeed")
	got := read(t, r, 1)
	s, err := r.Stats()
	if err != nil || s.Packets+s.Drops != uint64(len(frames)) || s.Drops == 0 || s.Freezes == 0 || int(s.Packets) != len(got) {
		t.Errorf("counters %+v, %v; %d sent, %d read", s, err, len(frames), len(got))
	}
	// The ring goes on. With two blocks that are handed over every 10 ms it may be full
	// again at once, so several rounds are sent.
	var after []pcap.Packet
	sent := 0
	for range 5 {
		replay(t, lab.Client, frames[:10])
		sent += 10
		if after = append(after, read(t, r, 0)...); len(after) == sent {
			break
		}
	}
	again, err := r.Stats()
	if err != nil || len(after) < 10 || again.Packets-s.Packets+again.Drops-s.Drops != uint64(sent) {
		t.Errorf("counters %+v, %v, after %d packets more than %+v, of which %d were read", again, err, sent, s, len(after))
	}
	for i, p := range after { // any of a round may be lost, none is spoilt
		if !slices.ContainsFunc(frames[:10], func(f []byte) bool { return bytes.Equal(f, p.Data) }) {
			t.Errorf("packet %d is none that was sent: % x", i, p.Data)
		}
	}
}

func TestLoopbackPacketsComeOnce(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	all, some := open(t, lab.Client, testConfig("lo"), 2), open(t, lab.Client, testConfig("lo"), 1, bpf.LoadAbsolute{Off: 23, Size: 1}, bpf.RetA{})[0]
	to, err := lab.Client.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	const n = 100
	for i := range n {
		if _, err := to.WriteTo([]byte{byte(i)}, to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range read(t, some, n) {
		if len(p.Data) != 17 || p.WireLen != 14+20+8+1 || p.Link != pcap.LinkEthernet {
			t.Errorf("packet cut to its protocol number: %+v", p)
		}
	}
	noLoss(t, some, n)
	if both := len(read(t, all[0], 0)) + len(read(t, all[1], 0)); both != n {
		t.Errorf("%d packets of %d", both, n)
	}
}

// TestWholeTransferIsSeen sends bytes by TCP, whose segments pass as frames far
// above the MTU, and puts them together again from either end's ring.
func TestWholeTransferIsSeen(t *testing.T) {
	t.Parallel()
	for _, big := range []bool{false, true} {
		t.Run(fmt.Sprintf("big=%t", big), func(t *testing.T) {
			t.Parallel()
			lab := netlab.New(t, netlab.Options{})
			listen, head := lab.Server.IPv4.String()+":0", 34
			if big { // frames above 64 KB, jumbograms
				listen, head = "["+lab.Server.IPv6.String()+"]:0", 54
				for _, n := range []*netlab.Namespace{lab.Client, lab.Server} {
					n.IP(t, "link", "set", n.Interface, "gso_max_size", "180000", "gro_max_size", "180000")
				}
			}
			sent := make([]byte, 16<<20)
			for i := range len(sent) / 8 {
				binary.LittleEndian.PutUint64(sent[8*i:], uint64(i)*0x9e3779b97f4a7c15)
			}
			cfg := testConfig("")
			cfg.BlockSize, cfg.Blocks = 1<<20, 64 // frames are up to a fifth of a block
			var rings []*Ring
			for _, n := range []*netlab.Namespace{lab.Client, lab.Server} {
				cfg.Interface = n.Interface
				rings = append(rings, open(t, n, cfg, 1)...)
			}
			l, err := lab.Server.Listen("tcp", listen)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				if c, err := lab.Client.Dial("tcp", l.Addr().String()); err == nil {
					c.Write(sent)
					c.Close()
				}
			}()
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			received := new(bytes.Buffer)
			if _, err := received.ReadFrom(c); err != nil || !bytes.Equal(received.Bytes(), sent) {
				t.Fatalf("%d bytes received, %v", received.Len(), err)
			}
			port := uint16(c.RemoteAddr().(*net.TCPAddr).Port)
			for i, r := range rings {
				got, seen, longest := make([]byte, len(sent)), 0, 0
				var start uint32
				for _, p := range read(t, r, 1) {
					if len(p.Data) < head+20 || p.Data[12] != 0x08 && p.Data[12] != 0x86 {
						continue
					}
					if int(p.WireLen) != len(p.Data) {
						t.Fatalf("frame of %d bytes cut to %d", p.WireLen, len(p.Data))
					}
					tcp, proto := p.Data[head:], p.Data[23]
					if big {
						if proto = p.Data[20]; proto == 0 { // hop-by-hop options: length of a jumbogram
							tcp, proto = p.Data[head+8:], p.Data[head]
						}
					}
					if proto != 6 || binary.BigEndian.Uint16(tcp) != port {
						continue
					}
					seq := binary.BigEndian.Uint32(tcp[4:])
					if tcp[13]&pcapgen.SYN != 0 {
						start = seq + 1
						continue
					}
					payload := tcp[tcp[12]>>4*4:]
					if off := int(seq - start); off+len(payload) <= len(got) {
						copy(got[off:], payload)
						seen += len(payload)
					}
					longest = max(longest, len(p.Data))
				}
				s, err := r.Stats()
				if err != nil || s.Drops != 0 || !bytes.Equal(got, sent) || seen < len(sent) {
					t.Errorf("ring %d: %+v, %v; %d bytes seen of %d, equal %t", i, s, err, seen, len(sent), bytes.Equal(got, sent))
				}
				t.Logf("ring %d: %d packets, longest %d bytes, %d bytes of payload", i, s.Packets, longest, seen)
				if limit := map[bool]int{false: 1514, true: 65550}[big]; longest <= limit {
					t.Errorf("longest frame has %d bytes, offload does not work here", longest)
				}
			}
		})
	}
}

func TestLinksWithoutEthernet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hardware int
		link     pcap.LinkType
	}{"raw IP": {hwNone, pcap.LinkRaw}, "PPP": {hwPPP, pcap.LinkSLL2}, "GRE": {hwIPGRE, pcap.LinkSLL2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netlab.New(t, netlab.Options{Quiet: true})
			var tun *os.File
			if err := lab.Client.Do(func() (err error) { tun, err = openTun(c.hardware); return err }); err != nil {
				t.Fatal(err)
			}
			defer tun.Close()
			lab.Client.IP(t, "link", "set", "tun7", "up")
			rings := open(t, lab.Client, testConfig("tun7"), 2)
			only := open(t, lab.Client, testConfig("tun7"), 1, bpf.LoadAbsolute{Size: 1}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x60, SkipTrue: 1},
				bpf.RetConstant{}, bpf.RetConstant{Val: 1 << 18})[0]
			var four, six int
			for i := range 40 {
				ip := datagram(i%2 == 1, i+1, i/2+500, "hello")
				if _, err := tun.Write(ip); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range rings {
				got := read(t, r, 1)
				if len(got) == 0 {
					t.Error("a ring has no packet")
				}
				for _, p := range got {
					ip := p.Data
					if p.Link == pcap.LinkSLL2 {
						typ, hw := binary.BigEndian.Uint16(ip), int(binary.BigEndian.Uint16(ip[8:]))
						if ip = ip[sll2Head:]; hw != c.hardware || (typ == 0x86dd) != (ip[0]>>4 == 6) {
							t.Errorf("pseudo header %x", p.Data[:sll2Head])
						}
					}
					if p.Link != c.link || !bytes.HasSuffix(ip, []byte("hello")) || int(p.WireLen) != len(p.Data) {
						t.Errorf("%s packet %x", p.Link, p.Data)
					}
					if ip[0]>>4 == 6 {
						six++
					} else {
						four++
					}
				}
			}
			if four != 20 || six != 20 {
				t.Errorf("%d IPv4 and %d IPv6 packets", four, six)
			}
			if n := len(read(t, only, 20)); n != 20 {
				t.Errorf("filter let %d pass", n)
			}
		})
	}
}

// openTun makes a tun interface of a hardware type.
func openTun(hardware int) (*os.File, error) {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	var req [unsafe.Sizeof(unix.Ifreq{})]byte
	copy(req[:], "tun7")
	binary.NativeEndian.PutUint16(req[unix.IFNAMSIZ:], unix.IFF_TUN|unix.IFF_NO_PI)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return nil, errors.Join(errno, f.Close())
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.TUNSETLINK, hardware); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t, netlab.Options{Quiet: true})
	lab.Client.IP(t, "link", "set", lab.Client.Interface, "down")
	for name, want := range map[string]string{"nothing0": "nothing0: interface is away: no such interface; there are client0, lo", lab.Client.Interface: "it is down"} {
		err := lab.Client.Do(func() error { _, err := Open(testConfig(name), 2, nil, nil); return err })
		if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
