//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"trench/pkg/app"
	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/features"
	"trench/pkg/internal/corpus"
	"trench/pkg/internal/e2e"
	"trench/pkg/internal/local"
	"trench/pkg/record"
	"trench/pkg/store"
	"trench/pkg/wire"
)

// corpusCaptures is how many captures of the corpus are run besides the demo,
// each no larger than corpusBytes.
const (
	corpusCaptures = 60
	corpusBytes    = 2 << 20
)

// shortReports makes flows be reported again and again while they are open.
const shortReports = "TRENCH_CAPTURE_ACTIVE=500ms"

// TestTheClusterGivesTheRowsOfTheLaptop runs the same captures through `trench
// analyze` and through the four services, a real Kafka and a real ClickHouse, and
// compares what comes out, row for row and column for column.
func TestTheClusterGivesTheRowsOfTheLaptop(t *testing.T) {
	root := repository(t)
	bin := build(t, root, "trench", "capture", "features", "scoring", "sink")
	paths := captures(t, root)
	parts := local.StartCopy(t, local.KafkaPart, local.ClickHousePart)
	for _, c := range []struct {
		protocol string
		env      []string
	}{
		{store.Native, nil}, {store.HTTP, []string{shortReports}},
	} {
		t.Run(c.protocol, func(t *testing.T) {
			p := &pipeline{
				bin: bin, parts: parts.Parts, protocol: c.protocol, database: "trench_" + c.protocol, paths: paths, env: c.env,
				want: analyze(t, bin, paths, c.env),
			}
			p.test(t)
		})
	}
}

// analysis is what `trench analyze` said.
type analysis struct {
	rows  []e2e.Row
	exit  int
	twice map[string]bool // flows that are in several of the captures
	// vectors are the feature vectors by flow, as bits.
	vectors map[string]string
}

func analyze(t *testing.T, bin string, paths, env []string) analysis {
	t.Helper()
	out := filepath.Join(t.TempDir(), "x.ndjson")
	args := append([]string{"analyze", "-o", out}, paths...)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "trench"), args...)
	cmd.Stderr, cmd.Env = &stderr, append(os.Environ(), env...)
	a := analysis{exit: exitCode(cmd.Run()), twice: map[string]bool{}, vectors: vectorsOf(t, paths)}
	if a.exit != 0 && a.exit != 3 {
		t.Fatalf("analyze: exit code %d\n%s", a.exit, &stderr)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := e2e.ReadNDJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range lines {
		row := e2e.FromNDJSON(l)
		id := row["flow_id"].(string)
		a.twice[id] = seen[id]
		seen[id] = true
		a.rows = append(a.rows, row)
	}
	verdicts, apps := map[any]int{}, map[any]int{}
	for _, r := range a.rows {
		verdicts[r["verdict"]]++
		apps[r["app_proto"]]++
	}
	t.Logf("analyze: %d captures, %d flows, verdicts %v, protocols %v", len(paths), len(a.rows), verdicts, apps)
	if len(a.rows) == 0 {
		t.Fatal("analyze found no flow")
	}
	return a
}

// once leaves out flows that several captures hold: which of them is the last to
// arrive is chance.
func (a analysis) once(rows []e2e.Row) []e2e.Row {
	return slices.DeleteFunc(slices.Clone(rows), func(r e2e.Row) bool { return a.twice[fmt.Sprint(r["flow_id"])] })
}

// pipeline is the four services between Kafka and ClickHouse.
type pipeline struct {
	bin, protocol, database string
	parts                   local.Parts
	paths, env              []string // captures; further variables
	want                    analysis
}

func (p *pipeline) test(t *testing.T) {
	p.command(t, "migrate")
	p.command(t, "topics")
	features, scoring, sink := p.start(t, "features"), p.start(t, "scoring"), p.start(t, "sink")
	for _, s := range []*process{features, scoring, sink} {
		s.waitReady(t)
	}

	start := time.Now()
	sent := p.capture(t)
	sink.waitRecords(t, "sink", sent)
	took := time.Since(start)
	t.Logf("%d flow records of %d flows from captures to rows in %v: %.0f/s", sent, len(p.want.rows), took.Round(time.Millisecond), float64(sent)/took.Seconds())
	p.compare(t)

	if slices.Contains(p.env, shortReports) && sent <= len(p.want.rows) {
		t.Errorf("%d records of %d flows: no open flow was reported", sent, len(p.want.rows))
	}
	if again := p.capture(t); again != sent {
		t.Errorf("the second time %d flow records were sent, the first time %d", again, sent)
	}
	sink.waitRecords(t, "sink", 2*sent)
	p.compare(t)

	p.poison(t)
	sink.waitRecords(t, "sink-deadletters", 4)
	p.compareDeadLetters(t)
	p.compare(t)

	for _, s := range []*process{features, scoring, sink} {
		s.stop(t)
	}
}

func (p *pipeline) compare(t *testing.T) {
	t.Helper()
	got := p.query(t, "SELECT * FROM flows_latest")
	rows := make([]e2e.Row, len(got))
	for i := range got {
		for _, c := range record.Columns() {
			if _, ok := got[i][c.Name]; !ok {
				t.Fatalf("the table flows has no column %s", c.Name)
			}
		}
		rows[i] = e2e.FromClickHouse(got[i])
	}
	want, have := p.want.once(p.want.rows), p.want.once(rows)
	for _, d := range e2e.Differences(want, have) {
		t.Error(d)
	}
	if t.Failed() {
		t.FailNow()
	}
	p.compareVectors(t)
	t.Logf("%d rows are equal in %d columns (%d flows in several captures left out)", len(have), len(record.Columns()), len(p.want.rows)-len(want))
}

// compareVectors compares the stored vectors with those of one process, bit for bit.
func (p *pipeline) compareVectors(t *testing.T) {
	t.Helper()
	stored, differ := p.query(t, "SELECT flow_id, arrayStringConcat(arrayMap(x -> toString(reinterpretAsUInt32(x)), vector), ' ') AS bits FROM feature_vectors FINAL"), 0
	for _, r := range stored {
		id := fmt.Sprint(r["flow_id"])
		want, known := p.want.vectors[id]
		if !known || !p.want.twice[id] && r["bits"] != want {
			if differ++; differ <= 3 {
				t.Errorf("vector of flow %s is %.200v, want %.200v", id, r["bits"], want)
			}
		}
	}
	if len(stored) != len(p.want.vectors) || differ > 0 {
		t.Errorf("%d vectors, of which %d differ, want %d", len(stored), differ, len(p.want.vectors))
	}
}

// vectorsOf returns the feature vectors of the captures by flow, as bits.
func vectorsOf(t *testing.T, paths []string) map[string]string {
	t.Helper()
	vectors := map[string]string{}
	a := &app.Analysis{Capture: app.DefaultConfig(), Features: features.DefaultConfig(), Workers: 2, Last: app.StageFeatures, Rows: func(rows []*record.Record) error {
		for _, r := range rows {
			bits := make([]string, len(r.Vector))
			for i, v := range r.Vector {
				bits[i] = strconv.FormatUint(uint64(math.Float32bits(v)), 10)
			}
			if len(bits) > 0 {
				vectors[r.FlowID.String()] = strings.Join(bits, " ")
			}
		}
		return nil
	}}
	if _, err := a.Run(t.Context(), paths); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// poison puts records on the topics that nobody can read.
func (p *pipeline) poison(t *testing.T) {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = p.parts.KafkaBrokers
	producer := kafka.NewProducer(cfg, slog.New(slog.DiscardHandler), nil)
	defer producer.Close()
	records := []bus.Record{
		{Topic: wire.TopicFlows, Key: []byte("k"), Value: []byte("\xff\x00 no protobuf")},
		{Topic: wire.TopicFeatures, Value: nil},
		{Topic: wire.TopicVerdicts, Key: []byte("k"), Value: []byte("\x0a\x00"), Headers: []bus.Header{{Key: "h", Value: []byte("x")}}},
		{Topic: wire.TopicDeadLetter, Key: []byte("k"), Value: []byte("not even a dead letter")},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := producer.Write(ctx, records); err != nil {
		t.Fatal(err)
	}
}

func (p *pipeline) compareDeadLetters(t *testing.T) {
	t.Helper()
	var got []string
	deadline := time.Now().Add(time.Minute)
	want := []string{
		"features trench.flows.v1 FF00206E6F2070726F746F627566",
		"scoring trench.features.v1 ",
		"sink trench.verdicts.v1 0A00",
		"sink-deadletters trench.deadletter.v1 6E6F74206576656E20612064656164206C6574746572",
	}
	for { // the dead letter of a dead letter takes another turn
		got = nil
		for _, r := range p.query(t, "SELECT stage, topic, hex(value) AS value, error FROM dead_letters_latest ORDER BY stage") {
			got = append(got, fmt.Sprintf("%s %s %s", r["stage"], r["topic"], r["value"]))
			if r["error"] == "" {
				t.Errorf("no error in %v", r)
			}
		}
		if slices.Equal(want, got) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("dead letters:\n got %q\nwant %q", got, want)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *pipeline) query(t *testing.T, q string) []e2e.Row {
	t.Helper()
	rows, err := e2e.Query(p.parts.ClickHouseHTTP, p.database, q)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return rows
}

// environment is the configuration of all programs, as TRENCH_ variables.
func (p *pipeline) environment() []string {
	addr := p.parts.ClickHouseNative
	if p.protocol == store.HTTP {
		addr = p.parts.ClickHouseHTTP
	}
	return append(append(os.Environ(), p.env...),
		"TRENCH_KAFKA_BROKERS="+strings.Join(p.parts.KafkaBrokers, ","), "TRENCH_HTTP_LISTEN=127.0.0.1:0", "TRENCH_LOG_FORMAT=text",
		"TRENCH_CLICKHOUSE_ADDR="+addr, "TRENCH_CLICKHOUSE_PROTOCOL="+p.protocol, "TRENCH_CLICKHOUSE_DATABASE="+p.database,
		"TRENCH_INPUT_PATHS="+strings.Join(p.paths, ","), "TRENCH_STAGE_BATCH_AGE=100ms", "TRENCH_KAFKA_SESSION_TIMEOUT=3s",
	)
}

func (p *pipeline) command(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(p.bin, "trench"), args...)
	cmd.Env = p.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("trench %v: %v\n%s", args, err, out)
	}
}

var sentFlows = regexp.MustCompile(`everything is read and sent.* flows=(\d+)`)

// capture runs the capture service over all captures and returns how many flow
// records it sent.
func (p *pipeline) capture(t *testing.T) int {
	t.Helper()
	n, err := p.send(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p *pipeline) send(ctx context.Context) (int, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "capture"))
	cmd.Env = p.environment()
	out, err := cmd.CombinedOutput()
	if code := exitCode(err); code != p.want.exit {
		return 0, fmt.Errorf("capture: exit code %d, analyze's was %d\n%s", code, p.want.exit, out)
	}
	m := sentFlows.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("capture does not say what it sent:\n%s", out)
	}
	return strconv.Atoi(string(m[1]))
}

// process is a service that runs.
type process struct {
	name string
	cmd  *exec.Cmd
	log  logBuffer
	done chan struct{}
}

// logBuffer can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (p *pipeline) start(t *testing.T, name string) *process {
	t.Helper()
	s := &process{name: name, cmd: exec.Command(filepath.Join(p.bin, name)), done: make(chan struct{})}
	s.cmd.Env, s.cmd.Stderr = p.environment(), &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		select {
		case <-s.done:
		default:
			s.cmd.Process.Kill()
			<-s.done
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, s.log.String())
		}
	})
	return s
}

var servingAt = regexp.MustCompile(`serving health and metrics.* address=(\S+)`)

// get asks the process's HTTP server.
func (s *process) get(path string) (string, error) {
	m := servingAt.FindStringSubmatch(s.log.String())
	if m == nil {
		return "", errors.New("no server yet")
	}
	resp, err := http.Get("http://" + m[1] + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(b.String()))
	}
	return b.String(), nil
}

// await asks until ok, for at most two minutes.
func (s *process) await(t *testing.T, path string, ok func(string) error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		body, err := s.get(path)
		if err == nil {
			err = ok(body)
		}
		if err == nil {
			return
		}
		select {
		case <-s.done:
			t.Fatalf("%s ended: %v", s.name, s.cmd.ProcessState)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s%s: not within two minutes: %v", s.name, path, err)
		}
	}
}

func (s *process) waitReady(t *testing.T) {
	t.Helper()
	s.await(t, "/readyz", func(string) error { return nil })
}

// waitRecords waits until a stage has committed n records.
func (s *process) waitRecords(t *testing.T, stage string, n int) {
	t.Helper()
	metric := regexp.MustCompile(`(?m)^trench_stage_records_total\{stage="` + stage + `"\} (\S+)$`)
	s.await(t, "/metrics", func(body string) error {
		m := metric.FindStringSubmatch(body)
		if m == nil {
			return errors.New("no such metric")
		}
		have, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return err
		}
		if int(have) < n {
			return fmt.Errorf("%v of %d records", have, n)
		}
		return nil
	})
}

// stop asks the process to drain and end.
func (s *process) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s: exit code %d after SIGTERM", s.name, code)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("%s does not end after SIGTERM", s.name)
	}
}

func exitCode(err error) int {
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.ExitCode()
	}
	return -1
}

func repository(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

func build(t *testing.T, root string, names ...string) string {
	t.Helper()
	bin := t.TempDir()
	args := []string{"build", "-o", bin + string(filepath.Separator)}
	for _, n := range names {
		args = append(args, "./services/"+n)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as released
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return bin
}

// captures lists the demo and, when a corpus is named, some captures out of all of it.
func captures(t *testing.T, root string) []string {
	t.Helper()
	paths := []string{filepath.Join(root, "testdata", "pcap", "demo.pcap")}
	dir, err := corpus.Unpack()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("corpus: %v", err)
	} else if err != nil {
		t.Logf("ONLY THE DEMO IS TESTED: the corpus is not there: %v", err)
		return paths
	}
	var all []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() <= corpusBytes && slices.Contains([]string{".pcap", ".pcapng", ".cap"}, filepath.Ext(path)) && !strings.Contains(path, ",") {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n := min(corpusCaptures, len(all))
	for i := range n {
		paths = append(paths, all[i*len(all)/n])
	}
	return paths
}
