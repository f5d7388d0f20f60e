//go:build e2e

package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trench/pkg/internal/local"
	"trench/pkg/store"
)

// TestServicesStartInAnyOrder starts the services last to first, before there is
// anything that they need, and brings that one by one.
func TestServicesStartInAnyOrder(t *testing.T) {
	root := repository(t)
	bin := build(t, root, "trench", "capture", "features", "scoring", "sink")
	parts := local.StartCopy(t, local.KafkaPart, local.ClickHousePart)
	p := &pipeline{
		bin: bin, parts: parts.Parts, protocol: store.Native, database: "trench_order",
		paths: []string{filepath.Join(root, "testdata", "pcap", "demo.pcap")},
		env:   []string{"TRENCH_TOPICS_PARTITIONS=5", "TRENCH_INPUT_STAY=true"},
	}
	p.want = analyze(t, bin, p.paths, nil)
	if err := parts.Down(); err != nil {
		t.Fatal(err)
	}
	running := map[string]*process{}
	says := func(service, text string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(running[service].log.String(), text); time.Sleep(50 * time.Millisecond) {
			select {
			case <-running[service].done:
				t.Fatalf("%s has ended", service)
			default:
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not say %q in a minute", service, text)
			}
		}
	}
	order := []string{"sink", "scoring", "features", "capture"}
	for _, name := range order {
		running[name] = p.start(t, name)
	}
	for _, name := range order {
		says(name, "msg=waiting service="+name+" for=kafka")
		if _, err := running[name].get("/readyz"); err == nil || !strings.Contains(err.Error(), "waiting for kafka") {
			t.Errorf("%s is ready: %v", name, err)
		}
		if body, err := running[name].get("/healthz"); err != nil || body != "ok\n" {
			t.Errorf("%s is not healthy: %s, err = %v", name, body, err)
		}
	}
	says("sink", "msg=waiting service=sink for=clickhouse")

	bring := func(part string) {
		t.Helper()
		if err := parts.Up(part); err != nil {
			t.Fatal(err)
		}
	}
	bring(local.KafkaPart)
	for _, name := range order {
		says(name, "is missing: run `trench topics`")
	}
	one := *p
	one.env = []string{"TRENCH_TOPICS_PARTITIONS=3"}
	one.command(t, "topics")
	for _, name := range []string{"scoring", "features", "capture"} {
		says(name, `msg="what was waited for is there" service=`+name+" for=kafka")
		says(name, "has 3 partitions, not 5")
	}
	bring(local.ClickHousePart)
	says("sink", "has no tables (run `trench migrate`)")
	p.command(t, "migrate")
	says("sink", `msg="what was waited for is there" service=sink for=clickhouse`)
	p.awaitRows(t, len(p.want.rows))
	p.compare(t)
	for _, name := range order {
		running[name].waitReady(t)
	}

	// With nothing on its way the sink says, too, that it could not go on.
	for _, do := range []struct{ harm, mend func(string) error }{
		{parts.Freeze, parts.Thaw}, {func(name string) error { return parts.Down(name) }, func(name string) error { return parts.Up(name) }},
	} {
		if err := do.harm(local.ClickHousePart); err != nil {
			t.Fatal(err)
		}
		if body, err := running["sink"].get("/readyz"); err == nil || !strings.Contains(err.Error(), "clickhouse at") {
			t.Errorf("sink without ClickHouse is ready: %s, err = %v", body, err)
		}
		if _, err := running["sink"].get("/healthz"); err != nil {
			t.Errorf("sink without ClickHouse is not healthy: %v", err)
		}
		if err := do.mend(local.ClickHousePart); err != nil {
			t.Fatal(err)
		}
		running["sink"].waitReady(t)
	}
	for _, name := range order {
		running[name].stop(t)
	}
}
