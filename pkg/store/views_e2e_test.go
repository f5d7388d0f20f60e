//go:build e2e

package store_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"trench/pkg/internal/local"
	"trench/pkg/record"
	"trench/pkg/store"
	"trench/pkg/wire"
)

// TestTheOrderOfRecordsShowsNowhere inserts the same records in several orders, some
// of them often, in batches cut at random, with merges in between: every view and
// every panel of the dashboards must give the same answer.
func TestTheOrderOfRecordsShowsNowhere(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	seed := uint64(time.Now().UnixNano())
	t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		records, letters := reports(rnd, 60), failures(rnd, 20)
		var want map[string]string
		for order := range 3 {
			protocol := []string{store.Native, store.HTTP}[order%2]
			cfg, w := s.migrated(t, protocol)
			shuffled(t, rnd, records, func(batch []*record.Record) error {
				for i, r := range batch {
					c := *r // what the sink adds is not part of the record
					c.Trace = append(slices.Clone(c.Trace), record.Hop{Stage: store.StageSink, Micros: time.Now().UnixMicro(), Partition: order, Offset: rnd.Int64()})
					batch[i] = &c
				}
				return w.Write(t.Context(), batch)
			}, func() { s.merge(t, cfg, rnd, "flows", "feature_vectors") })
			shuffled(t, rnd, letters, func(batch []*wire.DeadLetter) error { return w.WriteDeadLetters(t.Context(), batch) },
				func() { s.merge(t, cfg, rnd, "dead_letters") })
			got := s.answers(t, cfg)
			if want == nil {
				want = got
				if len(want) < 17 {
					t.Errorf("%d questions, want 3 views, 14 panels and more", len(want))
				}
			}
			for question, answer := range want {
				if got[question] != answer {
					t.Errorf("%s\norder 0: %.2000s\norder %d: %.2000s", question, answer, order, got[question])
				}
			}
		}
		if n := strings.Count(want["flows_latest"], "\n"); n != 60 {
			t.Errorf("%d flows, want 60", n)
		}
	})
}

// reports returns the reports of n flows: of some several, of some of these the same
// part scored again by another model or in another capture.
func reports(rnd *rand.Rand, n int) (out []*record.Record) {
	add := func(r record.Record, made int64) {
		r.Trace = []record.Hop{{Stage: "scoring", Micros: made, Partition: 0, Offset: 1}}
		out = append(out, &r)
	}
	for i := range n {
		r := *full(i)
		if i%3 == 0 {
			r = *bare(i)
		}
		r.TS += rnd.Int64N(int64(100 * 24 * time.Hour))
		made := int64(1764003680000000 + i)
		for part := range uint32(1 + rnd.IntN(4)) {
			r.Part, r.PacketsC2S, r.TSEnd = part, rnd.Uint64N(1000), r.TS+int64(part)
			r.Verdict, r.Score = record.Verdict(rnd.IntN(4)), rnd.Float64()
			if rnd.IntN(2) == 0 {
				r.ClientIP, r.ServerIP = r.ServerIP, r.ClientIP
			}
			add(r, made)
			if rnd.IntN(3) == 0 { // scored again
				r.ModelID, r.Verdict, r.Vector = "other", record.Verdict(rnd.IntN(4)), []float32{float32(part)}
				add(r, made+rnd.Int64N(2)) // perhaps in the same microsecond
			}
			if rnd.IntN(3) == 0 { // in another capture, and nothing else differs
				r.Source = fmt.Sprintf("again%d.pcap", rnd.IntN(9))
				add(r, made)
			}
		}
	}
	return out
}

func failures(rnd *rand.Rand, n int) (out []*wire.DeadLetter) {
	for i := range n {
		for range 1 + rnd.IntN(3) {
			out = append(out, &wire.DeadLetter{
				Stage: "features", Topic: wire.TopicFlows, Offset: int64(i), Time: time.Unix(1700000000, 0), Failed: time.Unix(1700000100, rnd.Int64N(1e9)),
				Error: fmt.Sprint(rnd.Uint64()), Value: []byte{byte(i)},
			})
		}
	}
	return out
}

// shuffled gives all to write in batches, in any order and some of them again.
func shuffled[T any](t *testing.T, rnd *rand.Rand, all []*T, write func([]*T) error, between func()) {
	t.Helper()
	list := slices.Clone(all)
	for range len(all) {
		list = append(list, all[rnd.IntN(len(all))])
	}
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for len(list) > 0 {
		n := min(1+rnd.IntN(90), len(list))
		if err := write(slices.Clone(list[:n])); err != nil {
			t.Fatal(err)
		}
		list = list[n:]
		between()
	}
}

func (s server) merge(t *testing.T, cfg store.Config, rnd *rand.Rand, tables ...string) {
	t.Helper()
	for _, table := range tables {
		switch rnd.IntN(6) {
		case 0:
			s.query(t, cfg, "OPTIMIZE TABLE "+table)
		case 1:
			s.query(t, cfg, "OPTIMIZE TABLE "+table+" FINAL")
		}
	}
}

// answers asks the database everything that is documented: all rows of each view, the
// panels of the dashboards, and the queries of the documentation. Lines are sorted, for not every question is.
func (s server) answers(t *testing.T, cfg store.Config) map[string]string {
	t.Helper()
	questions := map[string]string{}
	for _, r := range s.query(t, cfg, `SELECT table, arrayStringConcat(groupArray('`+"`' || name || '`"+`'), ', ') AS names FROM system.columns
		WHERE database = currentDatabase() AND name NOT IN ('ingested', 'trace')
		AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%View') GROUP BY table`) {
		questions[fmt.Sprint(r["table"])] = fmt.Sprintf("SELECT %s FROM %s", r["names"], r["table"])
	}
	files, err := filepath.Glob("../../deploy/grafana/dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ RawSQL string }
			}
		}
		if err := json.Unmarshal(raw, &board); err != nil {
			t.Fatal(err)
		}
		for _, p := range board.Panels {
			for i, target := range p.Targets {
				q := regexp.MustCompile(`\$__timeFilter\(\w+\)`).ReplaceAllString(target.RawSQL, "1")
				q = regexp.MustCompile(`\$__timeInterval\((\w+)\)`).ReplaceAllString(q, "toStartOfInterval(toDateTime($1), INTERVAL 3600 second)")
				q = regexp.MustCompile(`\w+ IN \(\$\{\w+:singlequote\}\)`).ReplaceAllString(q, "1")
				questions[fmt.Sprintf("%s %s %d", filepath.Base(file), p.Title, i)] = strings.ReplaceAll(q, "trench.", cfg.Database+".")
			}
		}
	}
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range docs {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllSubmatch(text, -1) {
			questions[fmt.Sprintf("%s %d", filepath.Base(file), i)] = string(m[1])
		}
	}
	out := map[string]string{}
	for name, q := range questions {
		var lines []string
		for _, r := range s.query(t, cfg, q) {
			line, err := json.Marshal(map[string]any(r))
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(line)+"\n")
		}
		if len(lines) == 0 && !strings.Contains(name, ".md") {
			t.Errorf("%s: no rows: %s", name, q)
		}
		slices.Sort(lines)
		out[name] = strings.Join(lines, "")
	}
	return out
}

func TestARowSaysWhereItHasBeen(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	for _, protocol := range []string{store.Native, store.HTTP} {
		cfg, w := s.migrated(t, protocol)
		r := full(1)
		r.Trace = []record.Hop{{Stage: "capture", Micros: 1764003680123456, Partition: -1, Offset: -1}, {Stage: "features", Micros: 1764003680128666, Partition: 3, Offset: 18822}}
		if err := w.Write(t.Context(), []*record.Record{r, bare(2)}); err != nil {
			t.Fatal(err)
		}
		got := s.query(t, cfg, "SELECT arrayMap(h -> (h.stage, toUnixTimestamp64Micro(h.time), h.partition, h.offset), trace) AS hops FROM flows_latest ORDER BY length(trace)")
		if fmt.Sprint(got) != "[map[hops:[]] map[hops:[[capture 1764003680123456 -1 -1] [features 1764003680128666 3 18822]]]]" {
			t.Errorf("%s: %v", protocol, got)
		}
	}
}

func TestSeveralInsertsAtOnce(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	for _, protocol := range []string{store.Native, store.HTTP} {
		cfg, w := s.migrated(t, protocol)
		var all []*record.Record
		var g errgroup.Group
		for k := range 12 {
			var rows []*record.Record
			for i := range 50 {
				rows = append(rows, full(k*50+i))
			}
			all = append(all, rows...)
			g.Go(func() error { return w.Write(t.Context(), rows) })
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		s.same(t, cfg, all)
	}
}
