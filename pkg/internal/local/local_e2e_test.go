//go:build e2e

package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/segmentio/kafka-go"
)

// TestPartsAreReal starts both parts once and works down a list of promises;
// the sub-tests depend on each other's data and so on their order.
func TestPartsAreReal(t *testing.T) {
	t.Parallel()
	c := StartCopy(t, KafkaPart, ClickHousePart)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	createTopic(ctx, t, c, "kept")
	produce(ctx, t, c, "kept", "one", "two", "three")
	execute(ctx, t, c, "CREATE DATABASE kept")
	execute(ctx, t, c, "CREATE TABLE kept.rows (n UInt32) ENGINE = MergeTree ORDER BY n")
	execute(ctx, t, c, "INSERT INTO kept.rows SELECT number FROM numbers(1000)")

	steps := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"up twice leaves the same processes", func(t *testing.T) {
			kafkaPID, clickhousePID := pid(t, c, KafkaPart), pid(t, c, ClickHousePart)
			out, err := c.run("up", "--free-ports")
			if err != nil {
				t.Fatalf("second up: %v\n%s", err, out)
			}
			if n := strings.Count(out, "already up"); n != 2 {
				t.Errorf("second up says already up %d times, want 2:\n%s", n, out)
			}
			if k, h := pid(t, c, KafkaPart), pid(t, c, ClickHousePart); k != kafkaPID || h != clickhousePID {
				t.Errorf("processes changed from %d, %d to %d, %d", kafkaPID, clickhousePID, k, h)
			}
		}},
		{"kill -9 of ClickHouse is recorded and its rows survive", func(t *testing.T) {
			killed := pid(t, c, ClickHousePart)
			if err := c.Kill(ClickHousePart); err != nil {
				t.Fatal(err)
			}
			wantExit(t, c, ClickHousePart, fmt.Sprintf(`status=137 signal=SIGKILL pid=%d `, killed), `asked="no"`)
			wantStatus(t, c, 3, "clickhouse down (status=137 signal=SIGKILL", "kafka      up")
			if err := c.Up(ClickHousePart); err != nil {
				t.Fatal(err)
			}
			wantRows(ctx, t, c, 1000)
		}},
		{"kill -9 of Kafka is recorded and its records survive", func(t *testing.T) {
			killed := pid(t, c, KafkaPart)
			if err := c.Kill(KafkaPart); err != nil {
				t.Fatal(err)
			}
			wantExit(t, c, KafkaPart, fmt.Sprintf(`status=137 signal=SIGKILL pid=%d `, killed), `asked="no"`)
			if err := c.Up(KafkaPart); err != nil {
				t.Fatal(err)
			}
			wantRecords(ctx, t, c, "kept", "one", "two", "three")
		}},
		{"a frozen part keeps its connections and goes on", func(t *testing.T) {
			if how := c.Ended(ClickHousePart); how != "" {
				t.Errorf("the server that is up has ended: %s", how)
			}
			if err := c.Freeze(ClickHousePart); err != nil {
				t.Fatal(err)
			}
			db := open(t, c)
			defer db.Close()
			short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			if err := db.Ping(short); err == nil {
				t.Error("a frozen server answers")
			}
			if err := c.Thaw(ClickHousePart); err != nil {
				t.Fatal(err)
			}
			wantRows(ctx, t, c, 1000)
		}},
		{"clients of Kafka are told the address of a proxy", func(t *testing.T) {
			if err := c.Down(KafkaPart); err != nil {
				t.Fatal(err)
			}
			if how := c.Ended(KafkaPart); !strings.Contains(how, "status=143") {
				t.Errorf("the broker that is down ended so: %q", how)
			}
			c.env = []string{"TRENCH_KAFKA_ADVERTISED=localhost:1"}
			if err := c.Up(KafkaPart); err != nil {
				t.Fatal(err)
			}
			conn, err := kafka.DialContext(ctx, "tcp", c.KafkaBrokers[0])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			brokers, err := conn.Brokers()
			if err != nil || len(brokers) != 1 || brokers[0].Host != "localhost" || brokers[0].Port != 1 {
				t.Errorf("brokers %v, err = %v", brokers, err)
			}
			c.env = nil
			if err := errors.Join(c.Down(KafkaPart), c.Up(KafkaPart)); err != nil {
				t.Fatal(err)
			}
		}},
		{"the data survive down and up", func(t *testing.T) {
			if err := c.Down(); err != nil {
				t.Fatal(err)
			}
			wantExit(t, c, ClickHousePart, "status=0 signal=none", `asked="yes"`)
			wantExit(t, c, KafkaPart, "status=143", `asked="yes"`) // what java returns after SIGTERM
			wantStatus(t, c, 3, "kafka      down", "clickhouse down")
			if _, err := os.Stat(filepath.Join(c.Dir, "env")); !os.IsNotExist(err) {
				t.Errorf("env is still there after down: %v", err)
			}
			if err := c.Down(); err != nil {
				t.Errorf("second down: %v", err)
			}
			if err := c.Up(); err != nil {
				t.Fatal(err)
			}
			wantRows(ctx, t, c, 1000)
			wantRecords(ctx, t, c, "kept", "one", "two", "three")
			wantStatus(t, c, 0, "kafka      up", "clickhouse up")
		}},
		{"a lost supervisor takes its part along", func(t *testing.T) {
			old := pid(t, c, ClickHousePart)
			raw, err := os.ReadFile(filepath.Join(c.Dir, "clickhouse.supervisor.pid"))
			if err != nil {
				t.Fatal(err)
			}
			var supervisor int
			if _, err := fmt.Sscan(string(raw), &supervisor); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				if err := syscall.Kill(old, 0); err == nil {
					return fmt.Errorf("process %d still runs", old)
				}
				return nil
			})
			if err := c.Up(ClickHousePart); err != nil {
				t.Fatal(err)
			}
			wantRows(ctx, t, c, 1000)
		}},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.run) {
			t.Fatal("the steps after this one need it")
		}
	}
}

// TestPartsEndWithTheirOwner is about test processes that die without
// cleaning up.
func TestPartsEndWithTheirOwner(t *testing.T) {
	t.Parallel()
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.Command("sleep", "600")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	c := &Copy{Dir: t.TempDir(), script: filepath.Join(root, "deploy", "local", "local.sh")}
	t.Cleanup(func() {
		if out, err := c.run("down"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	if out, err := c.run("up", "--free-ports", "--while", fmt.Sprint(owner.Process.Pid), ClickHousePart); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // killed above
	wantExit(t, c, ClickHousePart, "status=0", fmt.Sprintf(`asked="process %d is gone"`, owner.Process.Pid))
}

func TestStartGivesBothParts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	parts := Start(t)
	conn, err := kafka.DialContext(ctx, "tcp", parts.KafkaBrokers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ApiVersions(); err != nil {
		t.Error(err)
	}
	for protocol, addr := range map[clickhouse.Protocol]string{
		clickhouse.Native: parts.ClickHouseNative,
		clickhouse.HTTP:   parts.ClickHouseHTTP,
	} {
		db, err := clickhouse.Open(&clickhouse.Options{Addr: []string{addr}, Protocol: protocol})
		if err != nil {
			t.Fatal(err)
		}
		var version string
		if err := db.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
			t.Errorf("%v: %v", protocol, err)
		}
		if !strings.HasPrefix(version, "26.7.") {
			t.Errorf("%v: version %q, want 26.7", protocol, version)
		}
		db.Close()
	}
}

func pid(t *testing.T, c *Copy, name string) int {
	t.Helper()
	n, err := c.PID(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func wantExit(t *testing.T, c *Copy, name string, want ...string) {
	t.Helper()
	eventually(t, func() error {
		raw, err := os.ReadFile(filepath.Join(c.Dir, name+".exit"))
		if err != nil {
			return err
		}
		for _, w := range want {
			if !strings.Contains(string(raw), w) {
				return fmt.Errorf("%s.exit is %q, want %q in it", name, raw, w)
			}
		}
		return nil
	})
}

func wantStatus(t *testing.T, c *Copy, code int, want ...string) {
	t.Helper()
	out, err := c.run("status")
	got := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			t.Fatal(err)
		}
		got = exit.ExitCode()
	}
	if got != code {
		t.Errorf("status exits with %d, want %d:\n%s", got, code, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("status does not say %q:\n%s", w, out)
		}
	}
}

func execute(ctx context.Context, t *testing.T, c *Copy, sql string) {
	t.Helper()
	db := open(t, c)
	defer db.Close()
	if err := db.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func wantRows(ctx context.Context, t *testing.T, c *Copy, want uint64) {
	t.Helper()
	db := open(t, c)
	defer db.Close()
	var got uint64
	if err := db.QueryRow(ctx, "SELECT count() FROM kept.rows").Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
}

func open(t *testing.T, c *Copy) clickhouse.Conn {
	t.Helper()
	db, err := clickhouse.Open(&clickhouse.Options{Addr: []string{c.ClickHouseNative}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func createTopic(ctx context.Context, t *testing.T, c *Copy, topic string) {
	t.Helper()
	conn, err := kafka.DialContext(ctx, "tcp", c.KafkaBrokers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.CreateTopics(kafka.TopicConfig{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
}

func produce(ctx context.Context, t *testing.T, c *Copy, topic string, values ...string) {
	t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{
		Addr: kafka.TCP(c.KafkaBrokers...), Topic: topic, RequiredAcks: kafka.RequireAll,
		BatchTimeout: 10 * time.Millisecond, Transport: transport,
	}
	defer w.Close()
	var msgs []kafka.Message
	for _, v := range values {
		msgs = append(msgs, kafka.Message{Value: []byte(v)})
	}
	// A topic made a moment ago may be unknown to the writer's first attempts.
	eventually(t, func() error { return w.WriteMessages(ctx, msgs...) })
}

func wantRecords(ctx context.Context, t *testing.T, c *Copy, topic string, want ...string) {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: c.KafkaBrokers, Topic: topic, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	for i, w := range want {
		msg, err := r.ReadMessage(ctx)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if string(msg.Value) != w {
			t.Errorf("record %d is %q, want %q", i, msg.Value, w)
		}
	}
}
