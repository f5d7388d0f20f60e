package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trench/pkg/flow"
	"trench/pkg/internal/pcapgen"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:49152")
	server = netip.MustParseAddrPort("198.51.100.7:443")
)

const (
	second = int64(time.Second)
	start  = 1_600_000_000 * second
)

// write makes a capture of segments of one connection, a second apart.
func write(t *testing.T, path string, at int64, segments ...pcapgen.Segment) {
	t.Helper()
	var packets []pcapgen.Packet
	for i, s := range segments {
		packets = append(packets, pcapgen.Packet{Time: start + at + int64(i)*second, Data: pcapgen.Ethernet(s.IP())})
	}
	file := pcapgen.Classic{Order: binary.LittleEndian, Nanos: true, Link: 1}.File(packets)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}

func c2s(seq uint32, flags byte, payload string) pcapgen.Segment {
	return pcapgen.Segment{Src: client, Dst: server, Seq: seq, Flags: flags, Payload: []byte(payload)}
}

// script is a queue that logs what happens.
type script struct {
	paths []string
	log   *[]string
	mu    *sync.Mutex
	end   error
}

func (s *script) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.log = append(*s.log, fmt.Sprintf(format, args...))
}

func (s *script) Next(context.Context) (string, error) {
	if len(s.paths) == 0 {
		return "", s.end
	}
	p := s.paths[0]
	s.paths = s.paths[1:]
	s.say("next %s", filepath.Base(p))
	return p, nil
}

func (s *script) Done(path string) error { s.say("done %s", filepath.Base(path)); return nil }

// three files hold one connection and a second one.
func three(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}
	write(t, paths[0], 0, c2s(1, pcapgen.SYN, ""), c2s(2, pcapgen.ACK, "one"))
	write(t, paths[1], 10*second, c2s(5, pcapgen.ACK, "two"), c2s(8, pcapgen.RST, ""))
	write(t, paths[2], 400*second, c2s(9, pcapgen.ACK, "three"))
	return paths
}

func TestFlowsEndWithTheirFileUnlessContinuous(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2, 3} {
		for continuous, want := range map[bool][]string{
			false: {
				"next a", "flow of a, 2 packets, eof", "flush", "done a",
				"next b", "flow of b, 2 packets, rst", "flush", "done b",
				"next c", "flow of c, 1 packets, eof", "flush", "done c",
			},
			true: {
				"next a", // has an open flow: it is not done
				"next b",
				"next c", "flow of a, 4 packets, rst", "flush", "done a", "done b",
				"flow of c, 1 packets, eof", "flush", "done c",
			},
		} {
			var (
				log []string
				mu  sync.Mutex
			)
			q := &script{paths: three(t), log: &log, mu: &mu, end: io.EOF}
			unsent := make([]int, workers)
			c := &Capture{Config: DefaultConfig(), Workers: workers,
				Emit: func(worker int, f *flow.Flow) error {
					unsent[worker]++
					q.say("flow of %s, %d packets, %s", filepath.Base(f.Source), f.Half[0].Packets, f.End)
					return nil
				},
				Flush: func(worker int) error {
					if unsent[worker] > 0 {
						unsent[worker] = 0
						q.say("flush")
					}
					return nil
				},
			}
			c.Config.Continuous = continuous
			sum, err := c.RunQueue(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(log, want) || sum.Packets != 5 || sum.InFlows != 5 || sum.Files != 3 {
				t.Errorf("%d workers, continuous %v: %d packets\n%s\nwant\n%s", workers, continuous, sum.Packets, strings.Join(log, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

func TestWhatIsNotFlushedIsNotDone(t *testing.T) {
	t.Parallel()
	failure := errors.New("the bus is away")
	for _, workers := range []int{1, 2} {
		var (
			log []string
			mu  sync.Mutex
		)
		q := &script{paths: three(t), log: &log, mu: &mu, end: io.EOF}
		c := &Capture{Config: DefaultConfig(), Workers: workers, Emit: func(int, *flow.Flow) error { return nil },
			Flush: func(int) error { return failure }}
		if _, err := c.RunQueue(t.Context(), q); !errors.Is(err, failure) {
			t.Errorf("%d workers: err = %v", workers, err)
		}
		if slices.ContainsFunc(log, func(s string) bool { return strings.HasPrefix(s, "done") }) {
			t.Errorf("%d workers: %q", workers, log)
		}
	}
}

func TestAnOpenFlowEndsWhenAContinuousRunIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var (
		log []string
		mu  sync.Mutex
	)
	q := &stopping{script: script{paths: three(t)[:1], log: &log, mu: &mu}, cancel: cancel}
	c := &Capture{Config: DefaultConfig(), Workers: 1, Emit: func(_ int, f *flow.Flow) error { q.say("flow, %s", f.End); return nil }}
	c.Config.Continuous = true
	_, err := c.RunQueue(ctx, q)
	if want := []string{"next a", "flow, eof", "done a"}; !errors.Is(err, context.Canceled) || !slices.Equal(log, want) {
		t.Errorf("%v, %q", err, log)
	}
}

// stopping is a queue during whose wait the run is stopped.
type stopping struct {
	script
	cancel func()
}

func (s *stopping) Next(ctx context.Context) (string, error) {
	if len(s.paths) == 0 {
		s.cancel()
		return "", ctx.Err()
	}
	return s.script.Next(ctx)
}

func TestDuplicatesAndFilteredPacketsAreCounted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.pcap")
	var packets []pcapgen.Packet
	add := func(at int64, ip []byte) {
		packets = append(packets, pcapgen.Packet{Time: start + at, Data: pcapgen.Ethernet(ip)})
	}
	seg := c2s(1, pcapgen.ACK, "data").IP()
	far := bytes.Clone(seg)
	far[8]-- // one hop later
	add(0, seg)
	add(1e6, far)
	add(5e9, seg) // a retransmission
	add(6e9, pcapgen.UDP(client, server, []byte("left out")))
	add(6e9, pcapgen.UDP(client, server, []byte("left out")))
	if err := os.WriteFile(path, pcapgen.Classic{Order: binary.LittleEndian, Nanos: true, Link: 1}.File(packets), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		var retransmitted uint64
		c := &Capture{Config: DefaultConfig(), Workers: workers, Emit: func(_ int, f *flow.Flow) error {
			retransmitted += f.Half[0].Retransmitted + f.Half[1].Retransmitted
			return nil
		}}
		c.Config.Dedup.Window = 10 * time.Millisecond
		c.Config.Filter = "tcp"
		s, err := c.Run(t.Context(), []string{path})
		if err != nil {
			t.Fatal(err)
		}
		if s.Packets != 5 || s.InFlows != 2 || s.Duplicate != 1 || s.Filtered != 2 || retransmitted != 1 {
			t.Errorf("%d workers: %d packets, %d in flows, %d duplicate, %d filtered, %d retransmitted", workers, s.Packets, s.InFlows, s.Duplicate, s.Filtered, retransmitted)
		}
	}
}
