package wire_test

import (
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"trench/pkg/internal/lab/wire"
	"trench/pkg/pcap"
)

var (
	client = netip.MustParseAddr("198.18.0.1")
	near   = netip.MustParseAddr("198.19.0.2")
	far    = netip.MustParseAddr("198.19.16.2")
)

// end is an interface in memory.
type end struct {
	in, out chan []byte
	closed  chan struct{}
}

func newEnd() *end { return &end{make(chan []byte, 64), make(chan []byte, 64), make(chan struct{})} }

func (e *end) Read(b []byte) (int, error) {
	select {
	case p := <-e.in:
		return copy(b, p), nil
	case <-e.closed:
		return 0, io.EOF
	}
}

func (e *end) Write(p []byte) (int, error) { e.out <- p; return len(p), nil }
func (e *end) Close() error                { close(e.closed); return nil }

func datagram(from, to netip.Addr, n byte) []byte {
	p := make([]byte, 40)
	p[0] = 0x45
	copy(p[12:], from.AsSlice())
	copy(p[16:], to.AsSlice())
	p[39] = n
	return p
}

// run starts a wire to near and far and returns its ends.
func run(t *testing.T, w *wire.Wire) (c, n, f *end) {
	c, n, f = newEnd(), newEnd(), newEnd()
	w.Client = c
	w.Servers = []wire.End{{ReadWriteCloser: n, Addresses: netip.MustParsePrefix("198.19.0.0/20")}, {ReadWriteCloser: f, Addresses: netip.MustParsePrefix("198.19.16.0/20")}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c, n, f
}

func TestPacketsArriveInOrderAfterHalfARoundTrip(t *testing.T) {
	t.Parallel()
	const rtt = 60 * time.Millisecond
	var tapped atomic.Int32
	c, n, f := run(t, &wire.Wire{
		Path: func(a netip.Addr) wire.Path {
			if a == far {
				return wire.Path{RTT: rtt}
			}
			return wire.Path{}
		},
		Tap: func(netip.Addr, []byte) error { tapped.Add(1); return nil },
	})
	start := time.Now()
	c.in <- datagram(client, far, 0)
	for i := range byte(10) {
		c.in <- datagram(client, near, i)
	}
	for i := range byte(10) {
		if p := <-n.out; p[39] != i {
			t.Errorf("packet %d came as %d", p[39], i)
		}
	}
	<-f.out
	if d := time.Since(start); d < rtt/2 {
		t.Errorf("there after %v", d)
	}
	f.in <- datagram(far, client, 1)
	<-c.out
	if d := time.Since(start); d < rtt {
		t.Errorf("back after %v", d)
	}
	if got := tapped.Load(); got != 12 {
		t.Errorf("%d packets were shown", got)
	}
}

func TestWhatHasNoWayIsDropped(t *testing.T) {
	t.Parallel()
	c, n, f := run(t, &wire.Wire{Path: func(netip.Addr) wire.Path { return wire.Path{} }})
	c.in <- []byte{0x60, 0, 0} // IPv6, as kernels send it on their own
	c.in <- datagram(client, netip.MustParseAddr("192.0.2.1"), 0)
	c.in <- datagram(client, near, 1)
	if p := <-n.out; p[39] != 1 || len(n.out)+len(f.out) > 0 {
		t.Errorf("packet %d, %d more", p[39], len(n.out)+len(f.out))
	}
}

func TestLossAndRate(t *testing.T) {
	t.Parallel()
	c, n, f := run(t, &wire.Wire{Path: func(a netip.Addr) wire.Path {
		if a == near {
			return wire.Path{Loss: 1}
		}
		return wire.Path{Rate: 40_000} // a packet of 40 bytes a ms
	}})
	start := time.Now()
	for i := range byte(20) {
		c.in <- datagram(client, near, i)
		c.in <- datagram(client, far, i)
	}
	for range 20 {
		<-f.out
	}
	if d := time.Since(start); d < 15*time.Millisecond {
		t.Errorf("20 packets in %v", d)
	}
	if len(n.out) > 0 {
		t.Errorf("%d packets were not lost", len(n.out))
	}
}

func TestRecorderWritesCapturesThatAreRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a/b.pcap")
	r, err := wire.Record(map[netip.Addr]string{near: file, far: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []netip.Addr{near, far, netip.MustParseAddr("192.0.2.1")} { // the last has no capture
		if err := r.Tap(a, datagram(client, a, 9)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := pcap.NewReader(f, file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var b pcap.Block
	packets := 0
	for {
		err := in.ReadBlock(&b)
		for _, p := range b.Packets {
			packets++
			if p.Link != pcap.LinkRaw || binary.BigEndian.Uint32(p.Data[12:]) != binary.BigEndian.Uint32(client.AsSlice()) {
				t.Errorf("packet %+v", p)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if packets != 2 {
		t.Errorf("%d packets", packets)
	}
}
