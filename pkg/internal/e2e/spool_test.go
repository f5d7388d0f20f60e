//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka"
	"trench/pkg/flow"
	"trench/pkg/internal/local"
	"trench/pkg/internal/netlab"
	"trench/pkg/stage"
	"trench/pkg/store"
	"trench/pkg/wire"
)

// TestALiveSensorKeepsItsFlowsWhileKafkaIsAway captures from an interface, with Kafka
// away from the start; kills the sensor; and wants every flow once Kafka is there.
func TestALiveSensorKeepsItsFlowsWhileKafkaIsAway(t *testing.T) {
	netlab.NeedRoot(t)
	root := repository(t)
	bin := build(t, root, "trench", "capture")
	parts := local.StartCopy(t, local.KafkaPart)
	parts.ClickHouseNative = "127.0.0.1:9" // trench topics asks for no more than an address
	p := &pipeline{bin: bin, parts: parts.Parts, protocol: store.Native, database: "trench", env: []string{
		"TRENCH_INPUT_INTERFACE_NAME=lo", "TRENCH_CAPTURE_FILTER=tcp and net 127.77.0.0/16", "TRENCH_SENSOR=spooling",
		"TRENCH_SPOOL_DIR=" + filepath.Join(t.TempDir(), "spool"), "TRENCH_SPOOL_SYNC=100ms",
	}}
	p.command(t, "topics")
	if err := parts.Down(local.KafkaPart); err != nil {
		t.Fatal(err)
	}
	server, err := net.Listen("tcp", "127.77.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() { // ends with server
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, "hello")
			conn.Close()
		}
	}()
	connect := func(n int) {
		t.Helper()
		for range n {
			conn, err := net.Dial("tcp", server.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conn.Read(make([]byte, 16))
			conn.Close()
		}
	}
	spooled := func(s *process, n int) {
		t.Helper()
		s.await(t, "/metrics", func(body string) error {
			m := regexp.MustCompile(`(?m)^trench_capture_spool_records (\S+)$`).FindStringSubmatch(body)
			if m == nil {
				return fmt.Errorf("no spool")
			}
			if got, err := strconv.ParseFloat(m[1], 64); err != nil || int(got) < n {
				return fmt.Errorf("%v records are in the spool, want %d", got, n)
			}
			return nil
		})
	}
	capturing := func() *process {
		t.Helper()
		s := p.start(t, "capture")
		for deadline := time.Now().Add(30 * time.Second); !strings.Contains(s.log.String(), "capturing"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("capture does not begin without Kafka:\n%s", s.log.String())
			}
		}
		return s
	}
	const before, after = 300, 100
	first := capturing()
	connect(before)
	spooled(first, before)
	first.cmd.Process.Kill()
	<-first.done
	second := capturing()
	spooled(second, before) // what was left is there again
	connect(after)
	spooled(second, before+after)

	if err := parts.Up(local.KafkaPart); err != nil {
		t.Fatal(err)
	}
	flows := map[flow.ID]bool{}
	cfg := kafka.DefaultConfig()
	cfg.Brokers = parts.KafkaBrokers
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = kafka.NewConsumer(cfg, wire.TopicFlows, "spool-test", slog.New(slog.DiscardHandler), nil).Run(ctx, func(ctx context.Context, claim bus.Claim) error {
		for len(flows) < before+after {
			records, err := claim.Fetch(ctx, nil, 1000)
			if err != nil {
				return nil
			}
			for _, r := range records {
				var f flow.Flow
				if err := stage.DecodeFlow(&r, &f); err != nil {
					return err
				}
				if f.Server.Addr() == netip.MustParseAddr("127.77.0.1") {
					flows[f.ID] = true
				}
			}
		}
		cancel()
		return nil
	})
	if err != nil || len(flows) != before+after {
		t.Errorf("%d flows, want %d; err = %v", len(flows), before+after, err)
	}
	second.await(t, "/metrics", func(body string) error {
		if !strings.Contains(body, "\ntrench_capture_spool_records 0\n") {
			return fmt.Errorf("the spool is not empty")
		}
		if regexp.MustCompile(`trench_capture_flows_dropped_total\{.*\} [1-9]`).MatchString(body) {
			t.Error("flows were dropped")
		}
		return nil
	})
	second.waitReady(t)
	second.stop(t)
}
