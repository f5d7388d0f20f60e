//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"trench/pkg/internal/local"
	"trench/pkg/store"
)

// TestDeadLettersAreReplayedOnceTheCauseIsMended lets ClickHouse refuse some rows,
// mends it, replays the dead letters and finds every row; and follows one flow.
func TestDeadLettersAreReplayedOnceTheCauseIsMended(t *testing.T) {
	root := repository(t)
	bin := build(t, root, "trench", "capture", "features", "scoring", "sink")
	parts := local.StartCopy(t, local.KafkaPart, local.ClickHousePart)
	p := &pipeline{
		bin: bin, parts: parts.Parts, protocol: store.Native, database: "trench_letters",
		paths: []string{filepath.Join(root, "testdata", "pcap", "demo.pcap")},
	}
	p.want = analyze(t, bin, p.paths, nil)
	p.command(t, "migrate")
	p.command(t, "topics")
	p.exec(t, "ALTER TABLE flows ADD CONSTRAINT whim CHECK verdict != 'malicious' OR app_proto != 'tls' OR server_port != 443")
	for _, name := range []string{"features", "scoring", "sink"} {
		p.start(t, name).waitReady(t)
	}
	p.capture(t)

	refused := 0
	for _, r := range p.want.rows {
		if r["verdict"] == "malicious" && r["app_proto"] == "tls" && fmt.Sprint(r["server_port"]) == "443" {
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("the constraint refuses nothing")
	}
	p.awaitRows(t, len(p.want.rows)-refused)
	p.poison(t)
	list := func(args ...string) (out []map[string]any) {
		for line := range strings.Lines(p.output(t, 0, append([]string{"deadletter", "list", "--json", "--limit", "0"}, args...)...)) {
			var l map[string]any
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			out = append(out, l)
		}
		return out
	}
	deadline := time.Now().Add(time.Minute)
	for len(list()) < refused+4 && time.Now().Before(deadline) {
		time.Sleep(200 * time.Millisecond)
	}
	if all, sink := list(), list("--stage", "sink", "--error", "constraint"); len(all) != refused+4 || len(sink) != refused {
		t.Fatalf("%d dead letters, %d of the sink, want %d and %d", len(all), len(sink), refused+4, refused)
	}
	one := list("--stage", "sink", "--error", "constraint")[0]
	id, flowID := fmt.Sprint(one["id"]), fmt.Sprint(one["flow_id"])
	if n := len(list("--flow", flowID)); n != 1 {
		t.Errorf("%d dead letters of flow %s, want 1", n, flowID)
	}
	if n := len(list("--since", "2020-01-01", "--until", "24h")); n != 0 {
		t.Errorf("%d dead letters of yesterday", n)
	}
	shown := p.output(t, 0, "deadletter", "show", id)
	for _, want := range []string{id, "whim", flowID, "this version can read it", "capture ", "features ", "scoring "} {
		if !strings.Contains(shown, want) {
			t.Errorf("show says nothing of %q:\n%s", want, shown)
		}
	}
	if out := p.output(t, 0, "trace", flowID); !strings.Contains(out, "dead letter "+id) || !strings.Contains(out, "done by sink") {
		t.Errorf("trace of a dead letter:\n%s", out)
	}

	p.exec(t, "ALTER TABLE flows DROP CONSTRAINT whim")
	if out := p.output(t, 0, "deadletter", "replay", "--stage", "sink", "--error", "whim", "--dry-run"); !strings.Contains(out, fmt.Sprintf("%d records would be replayed", refused)) {
		t.Errorf("dry run: %s", out)
	}
	if out := p.output(t, 0, "deadletter", "replay", "--stage", "sink", "--error", "whim"); !strings.Contains(out, fmt.Sprintf("%d records replayed", refused)) {
		t.Errorf("replay: %s", out)
	}
	p.awaitRows(t, len(p.want.rows))
	p.compare(t)
	if out := p.output(t, 0, "deadletter", "replay", "--stage", "sink", "--error", "whim"); !strings.Contains(out, "0 records replayed") {
		t.Errorf("a second replay: %s", out)
	}
	if n, all := len(list()), len(list("--replayed")); n != 4 || all != refused+4 {
		t.Errorf("%d dead letters left, %d with those replayed, want 4 and %d", n, all, refused+4)
	}
	out := p.output(t, 0, "trace", flowID)
	hops := regexp.MustCompile(`(?s)in ClickHouse since .*part \d+, final, malicious\n +capture .*\n +features .*read from partition.*\n +scoring .*\n +sink .*done by features`)
	if !hops.MatchString(out) {
		t.Errorf("trace of a row:\n%s", out)
	}
	p.output(t, 1, "trace", strings.Repeat("0", 32))
}

// exec runs a statement of an operator.
func (p *pipeline) exec(t *testing.T, statement string) {
	t.Helper()
	p.query(t, statement)
}

// output runs trench and returns all that it says.
func (p *pipeline) output(t *testing.T, code int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(p.bin, "trench"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.environment(), &stdout, &stderr
	if got := exitCode(cmd.Run()); got != code {
		t.Fatalf("trench %v: exit code %d, want %d\n%s%s", args, got, code, &stdout, &stderr)
	}
	if strings.Contains(strings.Join(args, " "), "--json") {
		return stdout.String()
	}
	return stdout.String() + stderr.String()
}
