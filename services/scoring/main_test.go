package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trench/pkg/bus"
	"trench/pkg/bus/memory"
	"trench/pkg/features"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/scoring"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// bundle copies the built-in bundle into a folder under another name.
func bundle(t *testing.T, dir, name string) {
	t.Helper()
	from := os.DirFS("../../pkg/model/default")
	if err := os.CopyFS(dir, from); err != nil {
		t.Fatal(err)
	}
	put := func(file string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := fs.ReadFile(from, "schema.json")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := fs.ReadFile(from, "SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	named := bytes.Replace(schema, []byte(`"name": "default"`), fmt.Appendf(nil, `"name": %q`, name), 1)
	put("schema.json", named)
	put("SHA256SUMS", bytes.Replace(sums, fmt.Appendf(nil, "%x", sha256.Sum256(schema)), fmt.Appendf(nil, "%x", sha256.Sum256(named)), 1))
}

func link(t *testing.T, name, to string) {
	t.Helper()
	if err := os.Symlink(to, name+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".next", name); err != nil {
		t.Fatal(err)
	}
}

// While records flow, the model is exchanged, a broken one refused and the lists
// exchanged; every record comes out once, with what was served at its time.
func TestNoRecordIsLostWhileModelAndListsAreExchanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	bundle(t, at("one"), "one")
	bundle(t, at("two"), "two")
	bundle(t, at("broken"), "broken")
	if err := os.Truncate(at("broken/model.txt"), 1000); err != nil {
		t.Fatal(err)
	}
	link(t, at("model"), "one")
	if err := os.WriteFile(at("list.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	schema := features.Default()
	cfg := scoring.Config{Lists: []string{at("list.yaml")}, Shadow: []string{at("two"), at("nowhere")}}
	log := slog.New(slog.DiscardHandler)
	source, err := scoring.Open(at("model"), cfg, schema, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	broker := memory.NewBroker(3)
	runner := &stage.Runner[record.Record]{
		Name: name, Config: stage.DefaultConfig(), Log: log,
		NewConsumer: func() bus.Consumer { return broker.NewConsumer(wire.TopicFeatures, wire.GroupScoring) },
		Decode:      stage.DecodeFeatures,
		NewHandler:  func() stage.Handler[record.Record] { return handler(source, schema, broker.NewProducer()) },
		DeadLetters: broker.NewProducer(),
	}
	runner.Config.Workers, runner.Config.BatchRecords, runner.Config.BatchAge = 2, 50, 5*time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- source.Beside(ctx, 2*time.Millisecond, runner.Run) }()

	sent := 0
	seen := map[flow.ID]*record.Record{}
	send := func() {
		var records []bus.Record
		for range 20 {
			r := &record.Record{
				AppProto: "tls", PayloadC2S: 1, PayloadS2C: 1, TLSSNI: "www.example.com", VectorSchema: schema.Whole(),
				Vector: make([]float32, len(schema.Names())), RTT: math.NaN(), EntropyC2S: math.NaN(), EntropyS2C: math.NaN(),
			}
			binary.BigEndian.PutUint64(r.FlowID[:], uint64(sent))
			sent++
			rec, err := stage.EncodeFeatures(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, rec)
		}
		if err := broker.NewProducer().Write(ctx, records); err != nil {
			t.Fatal(err)
		}
	}
	// until sends records until a verdict is as wanted.
	until := func(what string, wanted func(*record.Record) bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; {
			send()
			time.Sleep(5 * time.Millisecond)
			records := broker.Records(wire.TopicVerdicts)
			var r record.Record
			if n := len(records); n > 0 {
				if err := stage.DecodeVerdict(&records[n-1], &r); err != nil {
					t.Fatal(err)
				}
				if wanted(&r) {
					return
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("never %s; last %v by %q, %q", what, r.Verdict, r.ModelID, r.VerdictNote)
			}
		}
	}
	by := func(name string) func(*record.Record) bool {
		return func(r *record.Record) bool { return strings.HasPrefix(r.ModelID, name+"-") }
	}
	until("model one", by("one"))
	link(t, at("model"), "two")
	until("model two", by("two"))
	link(t, at("model"), "broken")
	for range 20 {
		until("model two still", by("two"))
	}
	link(t, at("model"), "one")
	until("model one again", by("one"))
	if err := os.WriteFile(at("list.yaml"), []byte("deny: [{domain: www.example.com, author: a, reason: r}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	until("denied", func(r *record.Record) bool {
		return r.Verdict == record.Malicious && strings.Contains(r.VerdictNote, "deny list ")
	})
	for deadline := time.Now().Add(30 * time.Second); len(broker.Records(wire.TopicVerdicts)) < sent; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d verdicts", len(broker.Records(wire.TopicVerdicts)), sent)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if dead := broker.Records(wire.TopicDeadLetter); len(dead) != 0 {
		t.Errorf("%d dead letters", len(dead))
	}
	for _, rec := range broker.Records(wire.TopicVerdicts) {
		var r record.Record
		if err := stage.DecodeVerdict(&rec, &r); err != nil {
			t.Fatal(err)
		}
		if seen[r.FlowID] != nil {
			t.Errorf("flow %v comes twice", r.FlowID)
		}
		seen[r.FlowID] = &r
		if !by("one")(&r) && !by("two")(&r) || len(r.Shadow) != 1 || !strings.HasPrefix(r.Shadow[0].ModelID, "two-") || r.Shadow[0].Margin != r.Margin {
			t.Fatalf("%v by %q, shadows %+v", r.Verdict, r.ModelID, r.Shadow)
		}
	}
	if len(seen) != sent {
		t.Errorf("%d of %d records", len(seen), sent)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := put("good.yaml", "deny: [{domain: a.example, author: a, reason: r}]"), put("bad.yaml", "deny:\n  - {domain: a.example, author: a}\n")
	for text, want := range map[string]string{
		"lists: [" + good + "]\nshadow: [a, b]\nreload: 1m": "the configuration is valid",
		"lists: [" + good + ", " + bad + "]":                "bad.yaml: line 2: reason: is missing",
		"shadow: [a, b, c, d, e]":                           "shadow: 5 models, the limit is 4",
		"reload: 1ms":                                       "reload: 1ms is not between 100ms and 24h",
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"-c", put("config.yaml", text), "--check"}, &stderr)
		if ok := strings.Contains(want, "valid"); ok != (code == 0) || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: code %d, %s", text, code, stderr.String())
		}
	}
}
