package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/bus/kafka/recordbatch"
)

// network is the way to a broker, for a test to spoil. It is the broker's listener,
// so that the address the broker advertises leads through it.
type network struct {
	mu     sync.Mutex
	conns  map[*flaky]struct{}
	frozen chan struct{} // closed when bytes may pass again; nil: they may
	slow   atomic.Int64  // nanoseconds that every read takes longer
}

func newNetwork() *network { return &network{conns: map[*flaky]struct{}{}} }

func (n *network) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &flakyListener{l, n}, err
}

// cut closes all connections.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.Conn.Close()
	}
}

// freeze stops all bytes until thaw.
func (n *network) freeze() (thaw func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ch := make(chan struct{})
	n.frozen = ch
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.frozen = nil
		close(ch)
	})
}

// strand lets no more bytes through the connections there are; new ones work.
func (n *network) strand() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.stranded.Store(true)
	}
}

type flakyListener struct {
	net.Listener
	network *network
}

func (l *flakyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f := &flaky{Conn: c, network: l.network, closed: make(chan struct{})}
	l.network.mu.Lock()
	l.network.conns[f] = struct{}{}
	l.network.mu.Unlock()
	return f, nil
}

type flaky struct {
	net.Conn
	network  *network
	stranded atomic.Bool
	once     sync.Once
	closed   chan struct{}
}

func (c *flaky) pass() error {
	time.Sleep(time.Duration(c.network.slow.Load()))
	c.network.mu.Lock()
	wait := c.network.frozen
	c.network.mu.Unlock()
	if c.stranded.Load() {
		wait = make(chan struct{})
	}
	if wait == nil {
		return nil
	}
	select {
	case <-wait:
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *flaky) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil {
		err = c.pass()
	}
	return n, err
}

func (c *flaky) Write(b []byte) (int, error) {
	if err := c.pass(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *flaky) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}

func flakyFake(t *testing.T, opts ...kfake.Opt) (*network, *kfake.Cluster, kafka.Config) {
	t.Helper()
	n := newNetwork()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.ListenFn(n.listen))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg := quick(c.ListenAddrs()...)
	cfg.RequestTimeout = time.Second
	return n, c, cfg
}

func makeTopic(t *testing.T, cfg kafka.Config, partitions int) string {
	t.Helper()
	topic := kafka.Topic{Name: fmt.Sprintf("t-%d", time.Now().UnixNano()), Partitions: partitions, Replication: 1, Retention: time.Hour, MaxMessage: 1 << 20}
	if _, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{topic}); err != nil {
		t.Fatal(err)
	}
	return topic.Name
}

var quiet = slog.New(slog.DiscardHandler)

func producer(t *testing.T, cfg kafka.Config, m *kafka.Metrics) *kafka.Producer {
	t.Helper()
	p := kafka.NewProducer(cfg, quiet, m)
	t.Cleanup(func() { p.Close() })
	return p
}

// sequence follows what comes of numbered records: each must come, and for the first
// time in the order of its key.
type sequence struct {
	keys, total int
	last        map[string]int
	seen        map[int]int
}

func newSequence(keys, total int) *sequence {
	return &sequence{keys: keys, total: total, last: map[string]int{}, seen: map[int]int{}}
}

func (s *sequence) record(topic string, i int) bus.Record {
	return bus.Record{Topic: topic, Key: fmt.Append(nil, "key-", i%s.keys), Value: fmt.Append(nil, i)}
}

func (s *sequence) take(t *testing.T, records []bus.Record) (done bool) {
	for _, r := range records {
		var i int
		fmt.Sscan(string(r.Value), &i)
		if s.seen[i]++; s.seen[i] > 1 {
			continue
		}
		if last, ok := s.last[string(r.Key)]; ok && i < last {
			t.Errorf("key %s: %d came after %d", r.Key, i, last)
		}
		s.last[string(r.Key)] = i
	}
	return len(s.seen) == s.total
}

// readAll reads until s is complete.
func readAll(t *testing.T, cfg kafka.Config, topic string, s *sequence) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := kafka.NewConsumer(cfg, topic, "g", quiet, nil).Run(ctx, func(ctx context.Context, cl bus.Claim) error {
		for {
			got, err := cl.Fetch(ctx, nil, 100)
			if err != nil {
				return nil
			}
			next := map[int]int64{}
			for _, r := range got {
				next[r.Partition] = r.Offset + 1
			}
			if s.take(t, got) {
				cancel()
				return nil
			}
			if err := cl.Commit(context.WithoutCancel(ctx), next); err != nil && !errors.Is(err, bus.ErrClaimLost) {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.seen) != s.total {
		t.Errorf("%d of %d records came", len(s.seen), s.total)
	}
}

func TestCutAndSlowConnectionsLoseNothingAndKeepTheOrder(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 4, 12} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			t.Parallel()
			n, _, cfg := flakyFake(t)
			topic := makeTopic(t, cfg, partitions)
			n.slow.Store(int64(200 * time.Microsecond))
			stop := make(chan struct{})
			var faults sync.WaitGroup
			faults.Go(func() { // ends with stop
				for i := range 20 {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(20+i*7%40) * time.Millisecond):
						n.cut()
					}
				}
			})
			s := newSequence(37, 4000)
			faults.Go(func() {
				p := producer(t, cfg, nil)
				for i := 0; i < s.total; i += 100 {
					var batch []bus.Record
					for j := i; j < i+100; j++ {
						batch = append(batch, s.record(topic, j))
					}
					if err := p.Write(t.Context(), batch); err != nil {
						t.Error(err)
						return
					}
				}
			})
			readAll(t, cfg, topic, s)
			close(stop)
			faults.Wait()
		})
	}
}

func TestHalfOpenConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	n, _, cfg := flakyFake(t)
	topic := makeTopic(t, cfg, 4)
	p := producer(t, cfg, nil)
	s := newSequence(20, 200)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := kafka.NewConsumer(cfg, topic, "g", quiet, nil).Run(ctx, func(ctx context.Context, cl bus.Claim) error {
		for i := 0; i < s.total; {
			var batch []bus.Record
			for range 100 {
				batch = append(batch, s.record(topic, i))
				i++
			}
			start := time.Now()
			if err := p.Write(ctx, batch); ctx.Err() != nil {
				return nil // the group's connection is gone, too: all of it again with the next claim
			} else if err != nil {
				return err
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("a write took %v", took)
			}
			for len(s.seen) < i {
				got, err := cl.Fetch(ctx, nil, 100)
				if err != nil {
					return nil // as above
				}
				s.take(t, got)
			}
			n.strand()
		}
		cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.seen) < 100 {
		t.Errorf("%d records came", len(s.seen))
	}
}

func TestAFrozenBrokerHoldsNothingUp(t *testing.T) {
	t.Parallel()
	n, _, cfg := flakyFake(t)
	topic := makeTopic(t, cfg, 4)
	p := kafka.NewProducer(cfg, quiet, nil)
	if err := p.Write(t.Context(), []bus.Record{{Topic: topic, Value: []byte("before")}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var frozen time.Time
	err := kafka.NewConsumer(cfg, topic, "g", quiet, nil).Run(ctx, func(claim context.Context, cl bus.Claim) error {
		if !frozen.IsZero() {
			return nil
		}
		if _, err := cl.Fetch(claim, nil, 1); err != nil {
			return err
		}
		thaw := n.freeze()
		t.Cleanup(thaw)
		frozen = time.Now()
		short, cancel := context.WithTimeout(claim, 300*time.Millisecond)
		defer cancel()
		if err := p.Write(short, []bus.Record{{Topic: topic, Value: []byte("during")}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("write: err = %v, want a passed deadline", err)
		}
		if took := time.Since(frozen); took > time.Second {
			t.Errorf("a write with 300 ms took %v", took)
		}
		if _, err := cl.Fetch(short, nil, 1); err == nil {
			t.Error("a record came")
		}
		stop()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The group wants to leave: a heartbeat under way, a connection, a request.
	if took := time.Since(frozen); took > 6*time.Second {
		t.Errorf("Run took %v to end", took)
	}
	start := time.Now()
	if err := p.Close(); err != nil || time.Since(start) > time.Second {
		t.Errorf("close: %v after %v", err, time.Since(start))
	}
}

func TestWritesGoOnAfterAFreeze(t *testing.T) {
	t.Parallel()
	n, _, cfg := flakyFake(t)
	topic := makeTopic(t, cfg, 4)
	reg := prometheus.NewRegistry()
	p := producer(t, cfg, kafka.NewMetrics(reg))
	s := newSequence(20, 300)
	for i := 0; i < s.total; i += 100 {
		var batch []bus.Record
		for j := i; j < i+100; j++ {
			batch = append(batch, s.record(topic, j))
		}
		if i == 100 {
			time.AfterFunc(1500*time.Millisecond, n.freeze())
		}
		if err := p.Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	readAll(t, cfg, topic, s)
	if n := metric(t, reg, "trench_bus_errors_total", "operation", "write", "class", "transient"); n < 1 {
		t.Errorf("%v errors are counted", n)
	}
	if n := metric(t, reg, "trench_bus_write_retries_total"); n < 100 {
		t.Errorf("%v records are counted as written again, want 100 at least", n)
	}
}

func TestOnlyTheRecordsThatTheBrokerRefusesAreRefused(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int16{"too large": kerr.MessageTooLarge.Code, "invalid": kerr.InvalidRecord.Code} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cluster, cfg := flakyFake(t)
			topic := makeTopic(t, cfg, 1)
			decoder, err := recordbatch.NewDecoder(topic, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(decoder.Close)
			requests := 0
			cluster.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				requests++
				req := r.(*kmsg.ProduceRequest)
				raw := req.Topics[0].Partitions[0].Records
				h, err := recordbatch.ParseHeader(raw)
				if err != nil {
					return nil, err, true
				}
				records, err := decoder.Decode(raw, h, 0)
				if err != nil {
					return nil, err, true
				}
				for _, rec := range records {
					if string(rec.Key) == "poison" {
						return produced(req, code), nil, true
					}
				}
				return nil, nil, false
			})
			var records []bus.Record
			s := newSequence(1, 997)
			want := map[int]bool{0: true, 500: true, 999: true}
			for i, n := 0, 0; i < 1000; i++ {
				if want[i] {
					records = append(records, bus.Record{Topic: topic, Key: []byte("poison"), Value: []byte("x")})
					continue
				}
				records = append(records, s.record(topic, n))
				n++
			}
			var e *bus.RefusedError
			if err := producer(t, cfg, nil).Write(t.Context(), records); !errors.As(err, &e) {
				t.Fatalf("err = %v, want a RefusedError", err)
			}
			for _, r := range e.Refused {
				if !want[r.Index] || r.Err == nil {
					t.Errorf("refused: %+v", r)
				}
				delete(want, r.Index)
			}
			if len(want) > 0 {
				t.Errorf("not refused: %v", want)
			}
			if requests > 100 {
				t.Errorf("%d requests to find three records of a thousand", requests)
			}
			readAll(t, cfg, topic, s)
			for i, n := range s.seen {
				if n != 1 {
					t.Errorf("record %d came %d times", i, n)
				}
			}
		})
	}
}

// produced answers a produce request with one code for all of its partitions.
func produced(req *kmsg.ProduceRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, rt := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic = rt.Topic
		for _, rp := range rt.Partitions {
			part := kmsg.NewProduceResponseTopicPartition()
			part.Partition, part.ErrorCode = rp.Partition, code
			topic.Partitions = append(topic.Partitions, part)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func TestARecordLargerThanTheTopicTakesIsRefusedAlone(t *testing.T) {
	t.Parallel()
	_, _, cfg := flakyFake(t)
	cfg.Compression = "none"
	topic := kafka.Topic{Name: "small", Partitions: 1, Replication: 1, Retention: time.Hour, MaxMessage: 4000}
	if _, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{topic}); err != nil {
		t.Fatal(err)
	}
	s := newSequence(3, 500)
	var records []bus.Record
	for i := range s.total {
		records = append(records, s.record(topic.Name, i))
	}
	records = append(records, bus.Record{Topic: topic.Name, Key: []byte("big"), Value: make([]byte, 5000)})
	var e *bus.RefusedError
	if err := producer(t, cfg, nil).Write(t.Context(), records); !errors.As(err, &e) || len(e.Refused) != 1 || e.Refused[0].Index != s.total {
		t.Fatalf("err = %v, want the last record refused", err)
	}
	readAll(t, cfg, topic.Name, s)
}

func TestOnlyWhatIsNotAcknowledgedIsSentAgain(t *testing.T) {
	t.Parallel()
	_, cluster, cfg := flakyFake(t)
	topic := makeTopic(t, cfg, 4)
	// The broker takes all partitions but says of the first that it has moved.
	var asked atomic.Int32
	var again atomic.Int32
	cluster.ControlKey(kmsg.Produce.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := r.(*kmsg.ProduceRequest)
		if asked.Add(1) == 1 {
			resp := produced(req, 0).(*kmsg.ProduceResponse)
			resp.Topics[0].Partitions[0].ErrorCode = kerr.NotLeaderForPartition.Code
			return resp, nil, true
		}
		again.Store(int32(len(req.Topics[0].Partitions)))
		return nil, nil, false
	})
	var records []bus.Record
	for i := range 100 {
		records = append(records, newSequence(50, 100).record(topic, i))
	}
	if err := producer(t, cfg, nil).Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 2 || again.Load() != 1 {
		t.Errorf("%d requests, the last for %d partitions, want a second one for 1", asked.Load(), again.Load())
	}
}

func TestABrokerTooOldIsAConfigurationError(t *testing.T) {
	t.Parallel()
	_, _, cfg := flakyFake(t, kfake.MaxVersions(kversion.V2_0_0()))
	topic := makeTopic(t, cfg, 1)
	err := producer(t, cfg, nil).Write(t.Context(), []bus.Record{{Topic: topic, Value: []byte("v")}})
	if !errors.Is(err, bus.ErrConfiguration) {
		t.Errorf("write: err = %v, want ErrConfiguration", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = kafka.NewConsumer(cfg, topic, "g", quiet, nil).Run(ctx, func(ctx context.Context, cl bus.Claim) error {
		if _, err := cl.Fetch(ctx, nil, 1); err == nil {
			t.Error("a record came")
		}
		return nil
	})
	if !errors.Is(err, bus.ErrConfiguration) {
		t.Errorf("run: err = %v, want ErrConfiguration", err)
	}
}

func TestLagIsShownAlsoOfPartitionsThatStandStill(t *testing.T) {
	t.Parallel()
	_, _, cfg := flakyFake(t)
	topic := makeTopic(t, cfg, 1)
	reg := prometheus.NewRegistry()
	m := kafka.NewMetrics(reg)
	p := producer(t, cfg, m)
	s := newSequence(5, 200)
	write := func(from, to int) {
		var batch []bus.Record
		for i := from; i < to; i++ {
			batch = append(batch, s.record(topic, i))
		}
		if err := p.Write(t.Context(), batch); err != nil {
			t.Error(err)
		}
	}
	lag := func() float64 { return metric(t, reg, "trench_bus_lag_records", "topic", topic, "partition", "0") }
	age := func() float64 { return metric(t, reg, "trench_bus_lag_seconds", "topic", topic, "partition", "0") }
	until := func(what string, ok func() bool) {
		t.Helper()
		for start := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Since(start) > 10*time.Second {
				t.Fatalf("%s: lag is %v records, %v s", what, lag(), age())
			}
		}
	}
	for i := 0; i < 100; i += 50 {
		write(i, i+50) // two batches
	}
	c := kafka.NewConsumer(cfg, topic, "g", quiet, m)
	c.RefreshLagEvery(50 * time.Millisecond)
	one(t, c, func(ctx context.Context, cl bus.Claim) error {
		if _, err := cl.Fetch(ctx, nil, 1); err != nil { // the first batch is handed over, the second waits
			return err
		}
		until("one batch of two is fetched", func() bool { return lag() == 50 && age() > 0 })
		write(100, 200) // the partition does not fetch: its goroutine waits
		until("more is written", func() bool { return lag() == 150 })
		for n := 1; n < 200; {
			got, err := cl.Fetch(ctx, nil, 100)
			if err != nil {
				return err
			}
			n += len(got)
		}
		until("everything is fetched", func() bool { return lag() == 0 && age() == 0 })
		return nil
	})
	if n := metric(t, reg, "trench_bus_fetched_records_total", "topic", topic); n != 200 {
		t.Errorf("%v records are counted as fetched, want 200", n)
	}
	in, out := metric(t, reg, "trench_bus_fetched_bytes_total", "topic", topic), metric(t, reg, "trench_bus_written_bytes_total", "topic", topic)
	if out == 0 || in < out {
		t.Errorf("%v bytes written, %v read", out, in)
	}
}

func TestDifferencesNamesWhatIsNotAsDescribed(t *testing.T) {
	t.Parallel()
	cfg := fake(t)
	right := kafka.Topic{Name: "right", Partitions: 2, Replication: 1, Retention: time.Hour, MaxMessage: 1 << 20}
	wrong := right
	wrong.Name = "wrong"
	if _, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{right, wrong}); err != nil {
		t.Fatal(err)
	}
	wrong.Partitions, wrong.MaxMessage = 3, 2<<20
	absent := right
	absent.Name = "absent"
	for range 2 { // it changes nothing
		got, err := kafka.Differences(t.Context(), cfg, []kafka.Topic{right, wrong, absent})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || fmt.Sprint(got[0].Topic.Name, got[0].Differs) != "wrong[has 2 partitions, not 3 takes records of 1048576 bytes, not 2097152]" ||
			fmt.Sprint(got[1].Topic.Name, got[1].Differs) != "absent[is missing]" {
			t.Errorf("differences: %+v", got)
		}
	}
}
