package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is written by a command and read by a test.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// watchConfig is a sensor that watches a directory.
func watchConfig(t *testing.T) (path, dir, rows string) {
	t.Helper()
	base := t.TempDir()
	dir, rows = filepath.Join(base, "captures"), filepath.Join(base, "rows.ndjson")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(base, "sensor.yaml")
	text := fmt.Sprintf("input:\n  watch: {directory: %s, state: %s, settle: 50ms}\noutput:\n  files: [%s]\nhttp: {listen: \"127.0.0.1:0\"}\n",
		dir, filepath.Join(base, "state.json"), rows)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, dir, rows
}

// watchUntil runs the sensor until its file has so many rows, and a little longer.
func watchUntil(t *testing.T, config, rows string, want int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stderr := &output{}
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"run", "-c", config}, nil, &output{}, stderr) }()
	for deadline := time.Now().Add(30 * time.Second); lines(t, rows) < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d rows, want %d\n%s", lines(t, rows), want, stderr)
		}
	}
	time.Sleep(300 * time.Millisecond)
	stop()
	if code := <-done; code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	if got := lines(t, rows); got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
}

func lines(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

func TestRunReadsEachFileOfADirectoryOnce(t *testing.T) {
	t.Parallel()
	config, dir, rows := watchConfig(t)
	demo, err := os.ReadFile("../../testdata/pcap/demo.pcap")
	if err != nil {
		t.Fatal(err)
	}
	drop := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), demo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	drop("one.pcap")
	const flows = 136
	watchUntil(t, config, rows, flows)
	watchUntil(t, config, rows, flows) // nothing new after a restart
	demo[28] ^= 1                      // another capture, by a microsecond of the first packet's time
	drop("two.pcap")
	watchUntil(t, config, rows, 2*flows)
}

func TestRunRefusesConfigurationsThatMeanNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "exactly one of paths, watch.directory and interface.name must be given, not 0",
		"input: {paths: [a], interface: {name: eth0}}\noutput: {files: [a.ndjson]}": "not 2",
		"input: {paths: [a]}": "output: neither files nor clickhouse.addr are given",
		"input: {interface: {name: eth0, rings: 0}}\noutput: {files: [a.ndjson]}":            "interface.rings: 0 is not between 1",
		"input: {paths: [a], user: nobody}\noutput: {files: [a.ndjson]}":                     "user: goes with interface.name",
		"input: {paths: [a]}\noutput: {files: [a.ndjson]}\ncapture: {filter: port}":          `expected a port after "port"`,
		"input: {paths: [a]}\noutput: {files: [a.ndjson]}\ncapture: {udp_idle: -1s}":         "udp_idle: -1s is not above 0",
		"input: {paths: [a]}\noutput: {files: [a.ndjson]}\ncapture: {decode: {nesting: 99}}": "nesting: 99 is not within",
	} {
		path := filepath.Join(t.TempDir(), "sensor.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		stderr := &output{}
		if code := run(t.Context(), []string{"run", "--check", "-c", path}, nil, &output{}, stderr); code != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: exit code %d, %q, want %q", text, code, stderr, want)
		}
	}
}
