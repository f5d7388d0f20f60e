//go:build e2e && linux

package torture_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/internal/e2e"
	"trench/pkg/internal/local"
	"trench/pkg/internal/torture"
	"trench/pkg/wire"
)

var (
	minutes = flag.Float64("torture.minutes", 3, "about how long the run takes; from 10 on it is the long form")
	report  = flag.String("torture.report", "", "document whose table between its markers is replaced by this run's")
	drop    = flag.Bool("torture.drop", false, "deliberately delete one row of each phase: the test must fail")
)

const (
	database = "trench_torture"
	copies   = 8    // of the capture in each file
	rate     = 2000 // flows a second
	patience = 3 * time.Minute
)

// TestTorture is described in docs/reliability.md.
func TestTorture(t *testing.T) {
	r := setUp(t)
	long := *minutes >= 10
	for _, p := range phases(long) {
		r.phase(t, p)
	}
	r.tearDown(t, long)
	table := torture.Table(r.lines)
	t.Logf("flows of %d capture files at %d flows/s:\n%s", r.files, rate, table)
	if *report != "" && !t.Failed() {
		flows := 0
		for _, l := range r.lines {
			flows += l.Flows
		}
		heading := fmt.Sprintf("%d capture files, %d flows, %d flows a second; %s", r.files, flows, rate, time.Now().UTC().Format(time.DateOnly))
		if err := torture.WriteReport(*report, heading, table); err != nil {
			t.Error(err)
		}
	}
}

// run is everything that is alive, and what was found so far.
type run struct {
	parts             *local.Copy
	broker, store     *torture.Proxy
	traffic           *torture.Traffic
	flowsPerFile      int
	bin, watched      string
	env               []string
	services          []*torture.Service // the first four, one of each
	spare             []*torture.Service // second workers, mostly down
	watch             *torture.Watch
	lines             []torture.Line
	files, phaseCount int
	deadFlows         int // dead letters of flows so far
	rng               *rand.Rand
}

func setUp(t *testing.T) *run {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &run{bin: filepath.Join(dir, "bin"), watched: filepath.Join(dir, "watched"), rng: rand.New(rand.NewPCG(1, 2))}
	logs := filepath.Join(dir, "logs")
	for _, d := range []string{r.watched, logs} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"build", "-o", r.bin + "/", "./services/trench"}
	for _, s := range torture.Services() {
		args = append(args, "./services/"+s)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0") // as released
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	if r.traffic, err = torture.ReadTraffic(filepath.Join(root, "testdata", "pcap", "demo.pcap"), copies); err != nil {
		t.Fatal(err)
	}
	r.broker, r.store = proxy(t), proxy(t)
	r.parts = local.StartCopyBehind(t, r.broker.Addr(), local.KafkaPart, local.ClickHousePart)
	r.retarget()
	r.env = []string{
		"TRENCH_KAFKA_BROKERS=" + r.broker.Addr(), "TRENCH_CLICKHOUSE_ADDR=" + r.store.Addr(), "TRENCH_CLICKHOUSE_DATABASE=" + database,
		"TRENCH_HTTP_LISTEN=127.0.0.1:0", "TRENCH_LOG_FORMAT=text", "TRENCH_KAFKA_SESSION_TIMEOUT=3s",
		"TRENCH_INPUT_WATCH_DIRECTORY=" + r.watched, "TRENCH_INPUT_WATCH_STATE=" + filepath.Join(dir, "state.json"),
		"TRENCH_INPUT_WATCH_SETTLE=100ms", "TRENCH_CAPTURE_ACTIVE=500ms",
	}
	r.command(t, "migrate")
	r.command(t, "topics")
	for _, name := range torture.Services() {
		r.services = append(r.services, torture.NewService(r.bin, name, "", logs, r.env))
		if name != "capture" {
			r.spare = append(r.spare, torture.NewService(r.bin, name, "-2", logs, r.env))
		}
	}
	t.Cleanup(func() {
		for _, s := range append(r.services, r.spare...) {
			if _, _, ok := s.Alive(); ok {
				s.Kill()
			}
			if t.Failed() && s.Ran() {
				t.Logf("%s said at last:\n%s", s.Name, s.Tail())
			}
		}
	})
	r.watch = torture.NewWatch(append(r.services, r.spare...))
	t.Cleanup(r.watch.Close)
	for _, s := range r.services {
		r.start(t, s)
	}
	probe := filepath.Join(t.TempDir(), "probe.pcap")
	if err := r.traffic.File(probe, phaseStart(0), false); err != nil {
		t.Fatal(err)
	}
	r.flowsPerFile = r.analyze(t, []string{probe}, filepath.Join(dir, "probe.ndjson")).Flows()
	for _, s := range r.services {
		r.eventually(t, s.Name+" is ready", time.Minute, func() error { _, err := s.Get("/readyz"); return err })
	}
	t.Logf("set up: %d flows in each file", r.flowsPerFile)
	return r
}

func proxy(t *testing.T) *torture.Proxy {
	t.Helper()
	p, err := torture.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// retarget tells the proxies where the parts are.
func (r *run) retarget() {
	r.broker.SetTarget(r.parts.KafkaBrokers[0])
	r.store.SetTarget(r.parts.ClickHouseNative)
}

func (r *run) command(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(r.bin, "trench"), args...)
	cmd.Env = append(os.Environ(), r.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("trench %v: %v\n%s", args, err, out)
	}
}

func (r *run) start(t *testing.T, s *torture.Service) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

func (r *run) service(name string) *torture.Service {
	for _, s := range r.services {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// eventually asks until there is no error, for at most limit.
func (r *run) eventually(t *testing.T, what string, limit time.Duration, ask func() error) bool {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := ask()
		if err == nil {
			return true
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: not within %v: %v", what, limit, err)
			return false
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// phaseStart is the time of the first packet of a phase: each has a month of its
// own, so that its rows are found quickly.
func phaseStart(n int) time.Time { return time.Date(2024, time.Month(1+n), 3, 0, 0, 0, 0, time.UTC) }

// phase is one kind of harm.
type phase struct {
	name    string
	harm    func(*testing.T, *run) int // does it for its time, returns how often
	jumping bool                       // clocks of the sensor jump
	poison  bool
	spool   bool // capture has a spool on a disk that is too small
}

// phase runs one and enters what it came to.
func (r *run) phase(t *testing.T, p phase) {
	t.Run(p.name, func(t *testing.T) {
		if p.spool {
			r.env = append(r.env, withoutReports)
			defer func() { r.env = r.env[:len(r.env)-1] }()
			defer r.giveSpool(t)()
		}
		r.phaseCount++
		prefix := fmt.Sprintf("%02d-", r.phaseCount)
		line := torture.Line{Phase: p.name}
		records := r.written(t, wire.TopicVerdicts)
		r.watch.Mark()

		feeding, stop := context.WithCancel(t.Context())
		var fed sync.WaitGroup
		var files []string
		var feedErr error
		fed.Go(func() { // ends with feeding
			files, feedErr = r.feed(feeding, prefix, p.jumping)
		})
		var poison *poisoner
		if p.poison {
			poison = r.startPoison(t)
		}
		line.Faults = p.harm(t, r)
		poisoned := poison.stop(t)
		for _, keys := range poisoned {
			line.Faults += len(keys)
		}
		stop()
		fed.Wait()
		if feedErr != nil {
			t.Fatal(feedErr)
		}
		r.files += len(files)
		since := time.Now()

		var ledger *torture.Ledger
		out := filepath.Join(t.TempDir(), "rows.ndjson")
		expected := len(files) * r.flowsPerFile
		if p.jumping { // which flows there are is for capture to say
			ledger = r.analyze(t, files, out)
			expected = ledger.Flows()
		}
		where := fmt.Sprintf("startsWith(source, '%s')", filepath.Join(r.watched, prefix))
		if !p.jumping {
			where += fmt.Sprintf(" AND ts >= '%s' AND ts < '%s'", phaseStart(r.phaseCount).Format(time.DateTime), phaseStart(r.phaseCount+1).Format(time.DateTime))
		}
		r.eventually(t, "everything has arrived", patience, func() (err error) {
			line.Faults += r.revive(t)
			if p.spool {
				if line.Drops, err = r.dropped(); err != nil {
					return err
				}
			}
			return r.arrived(where, expected-line.Drops)
		})
		line.Recovery = time.Since(since)
		if p.spool && line.Drops == 0 {
			t.Error("nothing was dropped: the disk was not full")
		}
		if ledger == nil {
			ledger = r.analyze(t, files, out)
		}
		if *drop {
			r.dropOne(t, where)
		}
		line.Records = r.written(t, wire.TopicVerdicts) - records - poisoned.on(wire.TopicVerdicts)
		line.DeadLetters = r.checkDeadLetters(t, poisoned)
		if err := e2e.QueryEach(r.parts.ClickHouseHTTP, database, "SELECT * FROM flows_latest WHERE "+where, func(row e2e.Row) error {
			return ledger.See(e2e.FromClickHouse(row))
		}); err != nil {
			t.Fatal(err)
		}
		account := ledger.Close()
		if ledger.Flows() != expected {
			t.Errorf("the files hold %d flows, not %d of each", ledger.Flows(), r.flowsPerFile)
		}
		if err := account.Err(line.DeadLetters + line.Drops); err != nil {
			t.Error(err)
			r.explain(t, out, account.WrongFlows)
		}
		for _, s := range append(r.services, r.spare...) {
			if err := s.Died(); err != nil {
				t.Error(err)
				r.start(t, s)
			}
		}
		line.Flows, line.Lost, line.Twice, line.Wrong = account.Flows, max(0, account.Lost-line.DeadLetters-line.Drops), account.Twice, account.Wrong+account.Strange
		line.Collapsed = line.Records - (ledger.Reports() - line.Drops)
		line.Resident, line.Failed = r.watch.Most(), t.Failed()
		r.lines = append(r.lines, line)
		t.Logf("\n%s", torture.Table([]torture.Line{line}))
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Error(err)
			}
		}
	})
}

// feed puts files into the watched folder so that rate flows a second come in.
func (r *run) feed(ctx context.Context, prefix string, jumping bool) (files []string, err error) {
	tick := time.NewTicker(time.Duration(float64(r.flowsPerFile) / rate * float64(time.Second)))
	defer tick.Stop()
	for n := 0; ; n++ {
		path := filepath.Join(r.watched, fmt.Sprintf("%s%05d.pcap", prefix, n))
		start := phaseStart(r.phaseCount).Add(time.Duration(n) * (time.Second + 13*time.Microsecond))
		if err := r.traffic.File(path, start, jumping); err != nil {
			return files, err
		}
		files = append(files, path)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return files, nil
		}
	}
}

// analyze enters what `trench analyze` says of files, undisturbed.
func (r *run) analyze(t *testing.T, files []string, out string) *torture.Ledger {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(r.bin, "trench"), append([]string{"analyze", "-o", out}, files...)...)
	cmd.Env = append(os.Environ(), r.env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("analyze: %v\n%s", err, text)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := torture.NewLedger()
	if err := e2e.EachRow(f, func(row e2e.Row) error { return l.Want(e2e.FromNDJSON(row)) }); err != nil {
		t.Fatal(err)
	}
	return l
}

// arrived returns nil when as many flows as expected have their last row, and no
// stage has anything left to do.
func (r *run) arrived(where string, expected int) error {
	rows, err := e2e.Query(r.parts.ClickHouseHTTP, database, "SELECT uniqExactIf(flow_id, final) AS n FROM flows WHERE "+where)
	if err != nil {
		return err
	}
	if n := fmt.Sprint(rows[0]["n"]); n != fmt.Sprint(expected) {
		return fmt.Errorf("%s of %d flows are there", n, expected)
	}
	return r.idle()
}

// revive starts parts that ended by themselves, which is one more fault to
// live through, and returns how many there were.
func (r *run) revive(t *testing.T) (n int) {
	t.Helper()
	for _, part := range []string{local.KafkaPart, local.ClickHousePart} {
		how := r.parts.Ended(part)
		if how == "" {
			continue
		}
		t.Logf("%s ENDED BY ITSELF and is started again: %s", part, how)
		if err := r.parts.Up(part); err != nil {
			t.Fatal(err)
		}
		r.retarget()
		n++
	}
	return n
}

// groups are the consumer groups with the topics they read.
var groups = map[string]string{
	wire.GroupFeatures: wire.TopicFlows, wire.GroupScoring: wire.TopicFeatures, wire.GroupSink: wire.TopicVerdicts, wire.GroupDeadLetters: wire.TopicDeadLetter,
}

// idle returns nil when every group has committed everything.
func (r *run) idle() error {
	client, done := r.client()
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for group, topic := range groups {
		ends, err := offsets(ctx, client, topic)
		if err != nil {
			return err
		}
		var parts []int
		for p := range ends {
			parts = append(parts, p)
		}
		resp, err := client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: parts}})
		if err == nil {
			err = resp.Error
		}
		if err != nil {
			return fmt.Errorf("group %s: %w", group, err)
		}
		for _, p := range resp.Topics[topic] {
			if left := ends[p.Partition] - max(0, p.CommittedOffset); p.Error != nil || left != 0 {
				return fmt.Errorf("group %s has %d records of partition %d to do (%v)", group, left, p.Partition, p.Error)
			}
		}
	}
	return nil
}

func (r *run) client() (*kafkago.Client, func()) {
	transport := &kafkago.Transport{DialTimeout: 5 * time.Second}
	return &kafkago.Client{Addr: kafkago.TCP(r.broker.Addr()), Transport: transport, Timeout: 10 * time.Second}, transport.CloseIdleConnections
}

// offsets returns the end of each partition of a topic.
func offsets(ctx context.Context, client *kafkago.Client, topic string) (map[int]int64, error) {
	meta, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	var ask []kafkago.OffsetRequest
	for _, p := range meta.Topics[0].Partitions {
		ask = append(ask, kafkago.LastOffsetOf(p.ID))
	}
	resp, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{topic: ask}})
	if err != nil {
		return nil, err
	}
	ends := map[int]int64{}
	for _, p := range resp.Topics[topic] {
		if p.Error != nil {
			return nil, p.Error
		}
		ends[p.Partition] = p.LastOffset
	}
	if len(ends) == 0 {
		return nil, fmt.Errorf("topic %s has no partitions", topic)
	}
	return ends, nil
}

// written is how many records a topic ever had.
func (r *run) written(t *testing.T, topic string) int {
	t.Helper()
	n := 0
	r.eventually(t, "offsets of "+topic, time.Minute, func() error {
		client, done := r.client()
		defer done()
		ends, err := offsets(t.Context(), client, topic)
		n = 0
		for _, end := range ends {
			n += int(end)
		}
		return err
	})
	return n
}

// poisoner writes poison until it is stopped.
type poisoner struct {
	cancel context.CancelFunc
	done   chan struct{}
	sent   poisoned
	err    error
}

// poisoned are the keys that were sent, by topic.
type poisoned map[string][]string

func (p poisoned) on(topic string) int { return len(p[topic]) }

// poisonKey begins the keys of poison of this phase.
func (r *run) poisonKey() string { return fmt.Sprintf("poison-%02d-", r.phaseCount) }

// startPoison puts poison on every topic: for each hundred flows one record.
func (r *run) startPoison(t *testing.T) *poisoner {
	t.Helper()
	samples := map[string][]bus.Record{}
	for _, topic := range groups {
		samples[topic] = r.sample(t, topic)
	}
	source := torture.NewPoison(r.poisonKey(), samples)
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{r.broker.Addr()}
	producer := kafka.NewProducer(cfg, slog.New(slog.DiscardHandler), nil)
	ctx, cancel := context.WithCancel(t.Context())
	p := &poisoner{cancel: cancel, done: make(chan struct{}), sent: poisoned{}}
	go func() { // ends with ctx
		defer close(p.done)
		defer producer.Close()
		tick := time.NewTicker(time.Second / (rate / 100))
		defer tick.Stop()
		for p.err == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			var batch []bus.Record
			for _, topic := range groups {
				rec, err := source.Record(topic)
				if err != nil {
					p.err = err
					return
				}
				batch = append(batch, rec)
				p.sent[topic] = append(p.sent[topic], string(rec.Key))
			}
			p.err = producer.Write(context.WithoutCancel(ctx), batch)
		}
	}()
	return p
}

func (p *poisoner) stop(t *testing.T) poisoned {
	t.Helper()
	if p == nil {
		return nil
	}
	p.cancel()
	<-p.done
	if p.err != nil {
		t.Fatalf("poison: %v", p.err)
	}
	return p.sent
}

// sample reads a few records of a topic, none where it is empty.
func (r *run) sample(t *testing.T, topic string) (out []bus.Record) {
	t.Helper()
	client, done := r.client()
	defer done()
	ends, err := offsets(t.Context(), client, topic)
	if err != nil {
		t.Fatal(err)
	}
	for part, end := range ends {
		reader := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{r.broker.Addr()}, Topic: topic, Partition: part, MaxWait: 100 * time.Millisecond})
		for range min(20, end) {
			m, err := reader.ReadMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rec := bus.Record{Topic: topic, Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				rec.Headers = append(rec.Headers, bus.Header{Key: h.Key, Value: h.Value})
			}
			out = append(out, rec)
		}
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}
	return out
}

// checkDeadLetters wants one dead letter for each record of poison and none of
// anything else; it returns how many there are of flows in this phase.
func (r *run) checkDeadLetters(t *testing.T, sent poisoned) int {
	t.Helper()
	missing := map[string]bool{}
	for topic, keys := range sent {
		for _, k := range keys {
			missing[topic+" "+k] = true
		}
	}
	strange := 0
	query := fmt.Sprintf("SELECT topic, key, count() AS n FROM dead_letters_latest WHERE startsWith(key, '%s') GROUP BY topic, key", r.poisonKey())
	err := e2e.QueryEach(r.parts.ClickHouseHTTP, database, query, func(row e2e.Row) error {
		k := fmt.Sprint(row["topic"], " ", row["key"])
		if !missing[k] || fmt.Sprint(row["n"]) != "1" {
			strange++
			t.Logf("dead letter of %s is there %v times", k, row["n"])
		}
		delete(missing, k)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(missing) > 0 || strange > 0 {
		t.Errorf("%d records of poison have no dead letter, %d not one", len(missing), strange)
	}
	rows, err := e2e.Query(r.parts.ClickHouseHTTP, database, "SELECT topic, count() AS n, any(error) AS why FROM dead_letters_latest WHERE NOT startsWith(key, 'poison-') GROUP BY topic")
	if err != nil {
		t.Fatal(err)
	}
	before := r.deadFlows
	r.deadFlows = 0
	for _, row := range rows {
		n, err := strconv.Atoi(fmt.Sprint(row["n"]))
		if err != nil {
			t.Fatal(err)
		}
		r.deadFlows += n
		t.Logf("%d dead letters of flows on %v so far, as: %v", n, row["topic"], row["why"])
	}
	return r.deadFlows - before
}

// dropOne deletes a row, to see that the test can fail.
func (r *run) dropOne(t *testing.T, where string) {
	t.Helper()
	rows, err := e2e.Query(r.parts.ClickHouseHTTP, database, "SELECT flow_id FROM flows WHERE "+where+" LIMIT 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e2e.Query(r.parts.ClickHouseHTTP, database, fmt.Sprintf("ALTER TABLE flows DELETE WHERE flow_id = '%s' SETTINGS mutations_sync = 1", rows[0]["flow_id"])); err != nil {
		t.Fatal(err)
	}
}

// explain says in which columns flows differ.
func (r *run) explain(t *testing.T, rows string, flows []string) {
	t.Helper()
	if len(flows) == 0 {
		return
	}
	f, err := os.Open(rows)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var want, got []e2e.Row
	err = e2e.EachRow(f, func(row e2e.Row) error {
		for _, id := range flows {
			if row["flow_id"] == id {
				want = append(want, e2e.FromNDJSON(row))
			}
		}
		return nil
	})
	if err == nil {
		err = e2e.QueryEach(r.parts.ClickHouseHTTP, database, "SELECT * FROM flows_latest WHERE flow_id IN ('"+strings.Join(flows, "', '")+"')", func(row e2e.Row) error {
			got = append(got, e2e.FromClickHouse(row))
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range e2e.Differences(want, got) {
		t.Error(d)
	}
}

// tearDown stops the services and looks at what became of their memory.
func (r *run) tearDown(t *testing.T, long bool) {
	t.Helper()
	for _, g := range r.watch.Growth() {
		t.Logf("%s (process %d) lived %v: %d MB after its first minute, %d MB at the end, ratio %.2f", g.Service, g.PID, g.Age.Round(time.Second), g.First>>20, g.Last>>20, g.Ratio())
		if long && g.Ratio() > 1.2 {
			t.Errorf("the memory of %s grew to %.2f of what it was after its first minute", g.Service, g.Ratio())
		}
	}
	for _, s := range r.services {
		if err := s.Stop(30 * time.Second); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
