package app

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// feed is a ring that a test fills.
type feed struct {
	packets chan []byte
	lost    atomic.Uint64
	err     error // returned after the last packet
}

func newFeed() *feed { return &feed{packets: make(chan []byte, 100)} }

func (f *feed) ReadBlock(_ context.Context, b *pcap.Block) error {
	b.Packets = b.Packets[:0]
	select {
	case ip, ok := <-f.packets:
		if !ok {
			return f.err
		}
		b.Packets = append(b.Packets, pcap.Packet{Time: time.Now().UnixNano(), Data: ip, WireLen: uint32(len(ip)), Link: pcap.LinkRaw})
	case <-time.After(5 * time.Millisecond):
	}
	return nil
}

func (f *feed) Lost() uint64 { return f.lost.Load() }

// sensor runs a live capture over rings and collects flows.
type sensor struct {
	c     Capture
	mu    sync.Mutex
	flows []flow.Flow
	stop  func()
	done  chan error
	sum   *Summary
}

func runSensor(t *testing.T, edit func(*Config), rings ...Ring) *sensor {
	t.Helper()
	s := &sensor{c: Capture{Config: DefaultConfig()}, done: make(chan error, 1)}
	edit(&s.c.Config)
	s.c.Emit = func(_ int, f *flow.Flow) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := *f
		c.Resolution = append([]byte(nil), f.Resolution...)
		s.flows = append(s.flows, c)
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	go func() { // ends with ctx
		var err error
		s.sum, err = s.c.RunLive(ctx, "office:eth0", rings)
		s.done <- err
	}()
	return s
}

func (s *sensor) ended(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flows) >= n
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestLiveFlowsEndByTheClockWithoutPackets(t *testing.T) {
	t.Parallel()
	ring := newFeed()
	s := runSensor(t, func(c *Config) { c.UDPIdle = 50 * time.Millisecond }, ring)
	ring.packets <- pcapgen.UDP(client, server, []byte("ping"))
	eventually(t, "the flow ends", func() bool { return s.ended(1) })
	ring.packets <- c2s(1, pcapgen.SYN, "").IP()
	eventually(t, "the packet is read", func() bool { return s.c.Counts().Packets == 2 })
	ring.lost.Store(7)
	s.stop()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	if f := s.flows; len(f) != 2 || f[0].End != flow.EndIdle || f[1].End != flow.EndEOF || f[0].Source != "office:eth0" || s.sum.InFlows != 2 || s.sum.Lost != 7 {
		t.Errorf("%d flows, %d packets in flows, %d lost", len(f), s.sum.InFlows, s.sum.Lost)
	}
}

// TestWorkersTellEachOtherDNSAnswers gives the answer to one ring and the
// connection to the other.
func TestWorkersTellEachOtherDNSAnswers(t *testing.T) {
	t.Parallel()
	answer := []byte{0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'n', 'e', 't', 0, 0, 1, 0, 1,
		0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4}
	four := server.Addr().As4()
	answer = append(answer, four[:]...)
	a, b := newFeed(), newFeed()
	s := runSensor(t, func(*Config) {}, a, b)
	a.packets <- pcapgen.UDP(netip.MustParseAddrPort("192.0.2.53:53"), netip.AddrPortFrom(client.Addr(), 5000), answer)
	eventually(t, "the answer is read", func() bool { return s.c.Counts().Packets == 1 })
	b.packets <- c2s(1, pcapgen.SYN, "").IP()
	eventually(t, "the connection is read", func() bool { return s.c.Counts().Packets == 2 })
	s.stop()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	for _, f := range s.flows {
		if f.Protocol == 6 && string(f.Resolution) != string(answer) {
			t.Errorf("the connection's resolution has %d bytes, want %d", len(f.Resolution), len(answer))
		}
	}
	if len(s.flows) != 2 {
		t.Errorf("%d flows", len(s.flows))
	}
}

func TestAFailingRingEndsTheRun(t *testing.T) {
	t.Parallel()
	failure := errors.New("no such ring")
	bad, good := newFeed(), newFeed()
	bad.err = failure
	close(bad.packets)
	s := runSensor(t, func(*Config) {}, good, bad)
	if err := <-s.done; !errors.Is(err, failure) {
		t.Errorf("err = %v", err)
	}
}
