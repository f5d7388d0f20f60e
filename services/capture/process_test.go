package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"trench/pkg/app"
	"trench/pkg/flow"
	"trench/pkg/wire"
)

// sensor is a capture service in a process of its own that watches a folder, and a
// bus that comes later.
type sensor struct {
	dir  string // of the captures
	port int
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{}

	mu   sync.Mutex
	seen map[flow.ID]bool
}

func newSensor(t *testing.T) *sensor {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // and nobody listens there until kafka does
	home := t.TempDir()
	s := &sensor{dir: filepath.Join(home, "captures"), port: l.Addr().(*net.TCPAddr).Port, seen: map[flow.ID]bool{}}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
sensor: s
input: {watch: {directory: %s, state: %s, settle: 10ms, rescan: 50ms}}
spool: {dir: %s, segment_bytes: 262144, sync: 20ms, files: true}
queue: 4
workers: 2
kafka: {brokers: ["127.0.0.1:%d"]}
http: {listen: ""}
`, s.dir, s.state(), s.spool(), s.port)
	path := filepath.Join(home, "capture.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{"-c", path}
	return s
}

func (s *sensor) state() string { return filepath.Join(s.dir, "..", "state.json") }
func (s *sensor) spool() string { return filepath.Join(s.dir, "..", "spool") }

func (s *sensor) start(t *testing.T) {
	t.Helper()
	s.cmd, s.done = exec.Command(os.Args[0], s.args...), make(chan struct{})
	s.cmd.Env, s.cmd.Stderr = append(os.Environ(), childEnv+"=1"), &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, done := s.cmd, s.done
	go func() { // ends with the process
		defer close(done)
		_ = cmd.Wait() // its state says how it ended
	}()
	t.Cleanup(func() { cmd.Process.Kill(); <-done })
}

func (s *sensor) end(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	<-s.done
}

// capture writes n flows of one packet each, 10 ms apart, and returns their ids.
func (s *sensor) capture(t *testing.T, file string, n int) map[flow.ID]bool {
	t.Helper()
	b := datagrams(n, file[0])
	path := filepath.Join(s.dir, file)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[flow.ID]bool{}
	c := &app.Capture{Config: app.DefaultConfig(), Emit: func(_ int, f *flow.Flow) error { want[f.ID] = true; return nil }}
	c.Config.Sensor, c.Config.Reports = "s", true
	if _, err := c.Run(t.Context(), []string{path}); err != nil || len(want) != n {
		t.Fatalf("%d flows, err = %v", len(want), err)
	}
	return want
}

// datagrams is a pcap file of n UDP datagrams, each of another address
// in a network.
func datagrams(n int, network byte) []byte {
	le, be := binary.LittleEndian, binary.BigEndian
	b := le.AppendUint32(nil, 0xa1b23c4d) // with nanoseconds
	b = append(le.AppendUint16(le.AppendUint16(b, 2), 4), make([]byte, 8)...)
	b = le.AppendUint32(le.AppendUint32(b, 1<<16), 101) // raw IP
	const size = 28
	for i := range n {
		b = le.AppendUint32(le.AppendUint32(b, uint32(1e9+i/100)), uint32(i%100*1e7))
		b = le.AppendUint32(le.AppendUint32(b, size), size)
		b = append(be.AppendUint16(append(b, 0x45, 0), size), 0, 0, 0, 0, 64, 17, 0, 0)
		b = be.AppendUint32(be.AppendUint32(b, uint32(network)<<24|uint32(i)), 11<<24|1)
		b = be.AppendUint16(be.AppendUint16(b, 999), 777)
		b = append(be.AppendUint16(b, size-20), 0, 0)
	}
	return b
}

// kafka starts a bus and notes what comes.
func (s *sensor) kafka(t *testing.T) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(s.port), kfake.SeedTopics(2, wire.TopicFlows, wire.TopicDeadLetter))
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(wire.TopicFlows), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // ends with the test
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				s.mu.Lock()
				s.seen[flow.ID(r.Key)] = true
				s.mu.Unlock()
			})
		}
	}()
	t.Cleanup(func() { cancel(); <-done; client.Close(); c.Close() })
}

func (s *sensor) arrived() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

func (s *sensor) complete(t *testing.T, want map[flow.ID]bool) {
	t.Helper()
	until(t, "every flow arrives", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for id := range want {
			if !s.seen[id] {
				return false
			}
		}
		return true
	})
}

func (s *sensor) finished(file string) bool {
	b, _ := os.ReadFile(s.state())
	return strings.Contains(string(b), file)
}

// segments is how many files the spool has.
func (s *sensor) segments() int {
	paths, _ := filepath.Glob(filepath.Join(s.spool(), "*.spool"))
	return len(paths)
}

func TestKillingTheServiceLosesNoFlowOfAFile(t *testing.T) {
	t.Parallel()
	s := newSensor(t)
	defer func() {
		if t.Failed() {
			t.Log(s.log.String())
		}
	}()
	const n = 40_000
	want := s.capture(t, "a.pcap", n)
	// Without Kafka, in the middle of the file: what is not safe is read again.
	s.start(t)
	until(t, "segments", func() bool { return s.segments() > 1 })
	s.end(t, syscall.SIGKILL)
	if s.finished("a.pcap") {
		t.Log("the first kill came late")
	}
	// Without Kafka, after the file: everything is in the spool.
	s.start(t)
	until(t, "the file is done", func() bool { return s.finished("a.pcap") })
	s.end(t, syscall.SIGKILL)
	if err := os.Remove(filepath.Join(s.dir, "a.pcap")); err != nil {
		t.Fatal(err)
	}
	// With Kafka, while the spool is sent.
	s.kafka(t)
	s.start(t)
	until(t, "the first flows arrive", func() bool { return s.arrived() > 0 })
	s.end(t, syscall.SIGKILL)
	s.start(t)
	s.complete(t, want)
	until(t, "the spool is empty", func() bool { return s.segments() == 0 })
	// With Kafka, in the middle of a file.
	before := s.arrived()
	more := s.capture(t, "b.pcap", n)
	until(t, "the first flows of b.pcap arrive", func() bool { return s.arrived() > before })
	s.end(t, syscall.SIGKILL)
	s.start(t)
	s.complete(t, more)
	until(t, "the file is done", func() bool { return s.finished("b.pcap") })
	s.end(t, syscall.SIGTERM)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := s.arrived(); got != 2*n {
		t.Errorf("%d flows, want %d", got, 2*n)
	}
}
