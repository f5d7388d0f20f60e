//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"trench/pkg/internal/local"
	"trench/pkg/store"
)

// TestNothingIsLostWhenPartsDie kills each of the services, the broker and the
// store while flows are on their way.
func TestNothingIsLostWhenPartsDie(t *testing.T) {
	root := repository(t)
	bin := build(t, root, "trench", "capture", "features", "scoring", "sink")
	parts := local.StartCopy(t, local.KafkaPart, local.ClickHousePart)
	p := &pipeline{
		bin: bin, parts: parts.Parts, protocol: store.Native, database: "trench_faults", paths: captures(t, root),
	}
	p.want = analyze(t, bin, p.paths, nil)
	p.command(t, "migrate")
	p.command(t, "topics")
	running := map[string]*process{}
	for _, name := range []string{"features", "scoring", "sink"} {
		running[name] = p.start(t, name)
		running[name].waitReady(t)
	}
	kill := func(name string) func(*testing.T) {
		return func(t *testing.T) {
			running[name].cmd.Process.Kill()
			<-running[name].done
			running[name] = p.start(t, name)
		}
	}
	crash := func(part string) func(*testing.T) {
		return func(t *testing.T) {
			before := parts.Parts
			if err := parts.Kill(part); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if err := parts.Up(part); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(before) != fmt.Sprint(parts.Parts) {
				t.Fatalf("the ports changed from %v to %v", before, parts.Parts)
			}
		}
	}
	faults := []struct {
		name string
		do   func(*testing.T)
	}{
		{"features is killed", kill("features")}, {"scoring is killed", kill("scoring")}, {"sink is killed", kill("sink")},
		{"the broker is killed", crash(local.KafkaPart)}, {"the store is killed", crash(local.ClickHousePart)}, {"nothing happens", func(*testing.T) {}},
	}
	ids := len(p.want.twice) // flows, each counted once
	for i, f := range faults {
		start := time.Now()
		var sent int
		var err error
		done := make(chan struct{})
		// Each sensor's flows have ids of their own.
		one := *p
		one.env = []string{fmt.Sprintf("TRENCH_SENSOR=sensor-%d", i)}
		go func() { // ends with the capture
			defer close(done)
			sent, err = one.send(t.Context())
		}()
		time.Sleep(150 * time.Millisecond)
		f.do(t)
		if <-done; err != nil {
			t.Fatal(err)
		}
		p.awaitRows(t, (i+1)*ids)
		t.Logf("%s: %d records sent, all %d flows of the sensor are rows after %v", f.name, sent, ids, time.Since(start).Round(100*time.Millisecond))
	}
	if letters := p.query(t, "SELECT count() AS n FROM dead_letters_latest"); fmt.Sprint(letters[0]["n"]) != "0" {
		t.Errorf("%v dead letters, want none", letters[0]["n"])
	}
	if early := p.query(t, "SELECT count() AS n FROM flows_latest WHERE NOT final"); fmt.Sprint(early[0]["n"]) != "0" {
		t.Errorf("%v rows are not final", early[0]["n"])
	}
}

// awaitRows waits until the table has exactly n flows.
func (p *pipeline) awaitRows(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		got := fmt.Sprint(p.query(t, "SELECT count() AS n FROM flows_latest")[0]["n"])
		if got == fmt.Sprint(n) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s flows after two minutes, want %d", got, n)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
