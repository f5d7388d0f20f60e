package scoring_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"trench/pkg/features"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// site is a folder with bundles one and two, a link model to one of them and a list.
type site struct {
	t      *testing.T
	dir    string
	source *scoring.Source
	reg    *prometheus.Registry
	log    *buffer
	now    chan os.Signal
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newSite(t *testing.T, shadow ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), reg: prometheus.NewRegistry(), log: &buffer{}, now: make(chan os.Signal)}
	allSuspicious.write(t, s.path("one"))
	allMalicious.write(t, s.path("two"))
	s.link("model", "one")
	s.put("list.yaml", "")
	cfg := scoring.DefaultConfig()
	cfg.Lists = []string{s.path("list.yaml")}
	for _, d := range shadow {
		cfg.Shadow = append(cfg.Shadow, s.path(d))
	}
	var err error
	s.source, err = scoring.Open(s.path("model"), cfg, features.Default(), slog.New(slog.NewTextHandler(s.log, nil)), s.reg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// put sets a file in one step: an empty list half way would be a good one.
func (s *site) put(name, text string) {
	s.t.Helper()
	next := s.path(name) + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// link sets a link in one step, as deployments do.
func (s *site) link(name, to string) {
	s.t.Helper()
	next := s.path(name + ".next")
	if err := os.Symlink(to, next); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// run watches every so often until the test ends.
func (s *site) run(every time.Duration) {
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.source.Run(ctx, every, s.now)
	}()
	s.t.Cleanup(func() { stop(); <-done })
}

// until waits until the log has a line with all of these.
func (s *site) until(words ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		for line := range strings.Lines(s.log.String()) {
			if all(line, words) {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no line with %q in\n%s", words, s.log)
		}
	}
}

func all(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

func (s *site) score() *record.Record {
	r := tlsRow(s.t)
	s.source.NewStage(features.Default()).Process([]*record.Record{r})
	return r
}

func (s *site) reloads(role, result string) float64 {
	s.t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "trench_scoring_reloads_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == result && m.GetLabel()[1].GetValue() == role || m.GetLabel()[1].GetValue() == result && m.GetLabel()[0].GetValue() == role {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestABundleIsExchangedByItsLink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(5 * time.Millisecond)
	if r := s.score(); r.Verdict != record.Suspicious || !strings.HasPrefix(r.ModelID, "all-suspicious-") {
		t.Fatalf("%v by %s", r.Verdict, r.ModelID)
	}
	s.link("model", "two")
	s.until("model exchanged", "role=model", "model=all-malicious-", "before=all-suspicious-")
	if r := s.score(); r.Verdict != record.Malicious || !strings.HasPrefix(r.ModelID, "all-malicious-") {
		t.Errorf("%v by %s", r.Verdict, r.ModelID)
	}
	if got := s.reloads("model", "ok"); got != 1 {
		t.Errorf("%v reloads", got)
	}
	info := `
# HELP trench_scoring_model_info 1 for the model that scores and for each shadow model, with the hash over its columns.
# TYPE trench_scoring_model_info gauge
trench_scoring_model_info{hash="` + s.score().SchemaHash + `",model_id="` + s.score().ModelID + `",role="model"} 1
`
	if err := testutil.GatherAndCompare(s.reg, strings.NewReader(info), "trench_scoring_model_info"); err != nil {
		t.Error(err)
	}
}

func TestABrokenBundleIsRefusedAndTakenOnceItIsWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(5 * time.Millisecond)
	whole, err := os.ReadFile(s.path("two/card.md"))
	if err != nil {
		t.Fatal(err)
	}
	s.put("two/card.md", "half of")
	s.link("model", "two")
	s.until("level=ERROR", "model refused, the one before goes on", "before=all-suspicious-", "card.md: SHA-256 is")
	time.Sleep(50 * time.Millisecond)
	if r := s.score(); r.Verdict != record.Suspicious {
		t.Errorf("%v by %s", r.Verdict, r.ModelID)
	}
	if got := s.reloads("model", "refused"); got != 1 { // and not tried again until something changes
		t.Errorf("%v refused", got)
	}
	s.put("two/card.md", string(whole))
	s.until("model exchanged", "model=all-malicious-")
	if err := os.RemoveAll(s.path("two")); err != nil {
		t.Fatal(err)
	}
	s.until("model refused", "no such file or directory")
	if r := s.score(); r.Verdict != record.Malicious {
		t.Errorf("%v by %s", r.Verdict, r.ModelID)
	}
}

func TestListsAreExchangedOrRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(time.Hour)
	hangUp := func() { s.now <- syscall.SIGHUP; s.now <- syscall.SIGHUP } // the second one is taken when the first is done
	s.put("list.yaml", "allow: [{domain: www.example.com, author: a, reason: r}, {domain: old.example, until: 2020-01-01, author: a, reason: r}]")
	hangUp()
	s.until("lists exchanged", "entries=2", "before=0")
	s.until("entries of lists have ended, they are ignored", "entries=1")
	if r := s.score(); r.Verdict != record.Benign {
		t.Errorf("%v %q", r.Verdict, r.VerdictNote)
	}
	s.put("list.yaml", "allow: [{domain: www.example.com, author: a}]\ndeni: []")
	hangUp()
	s.until("lists refused, those before go on", "list.yaml: line 1: reason: is missing", "list.yaml: line 2: unknown key deni")
	if r := s.score(); r.Verdict != record.Benign {
		t.Errorf("%v %q", r.Verdict, r.VerdictNote)
	}
	if n := strings.Count(s.log.String(), "have ended"); n != 1 {
		t.Errorf("told %d times of what has ended", n)
	}
	list := s.path("list.yaml")
	want := `
# HELP trench_scoring_list_entries Entries of a list; those that have ended are ignored.
# TYPE trench_scoring_list_entries gauge
trench_scoring_list_entries{effect="allow",list="` + list + `",state="ended"} 1
trench_scoring_list_entries{effect="allow",list="` + list + `",state="live"} 1
# HELP trench_scoring_list_matches_total Rows whose verdict an entry of a list decided.
# TYPE trench_scoring_list_matches_total counter
trench_scoring_list_matches_total{effect="allow",list="` + list + `"} 2
`
	if err := testutil.GatherAndCompare(s.reg, strings.NewReader(want), "trench_scoring_list_entries", "trench_scoring_list_matches_total"); err != nil {
		t.Error(err)
	}
}

func TestAShadowThatFailsHurtsNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, "two", "three")
	s.run(5 * time.Millisecond)
	s.until("level=ERROR", "model refused", "role=shadow", "three: no such file")
	r := s.score()
	if r.Verdict != record.Suspicious || len(r.Shadow) != 1 || !strings.HasPrefix(r.Shadow[0].ModelID, "all-malicious-") {
		t.Fatalf("%v, shadows %+v", r.Verdict, r.Shadow)
	}
	allBenign.write(t, s.path("three.new"))
	s.link("three", "three.new")
	s.until("model exchanged", "role=shadow", "model=all-benign-")
	if r := s.score(); r.Verdict != record.Suspicious || len(r.Shadow) != 2 || r.Shadow[1].Verdict != record.Benign {
		t.Errorf("%v, shadows %+v", r.Verdict, r.Shadow)
	}
}

// Stages run while the link goes to and fro, some of the time to a broken bundle.
func TestRowsAreScoredThroughExchanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(time.Millisecond)
	allBenign.write(t, s.path("broken"))
	s.put("broken/model.txt", "tree")
	var scored atomic.Int64
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	template := tlsRow(t)
	for range 2 {
		wg.Go(func() {
			st := s.source.NewStage(features.Default())
			rows := make([]*record.Record, 16)
			for ctx.Err() == nil {
				for i := range rows {
					r := *template
					rows[i] = &r
				}
				st.Process(rows)
				for _, r := range rows {
					ofOne := r.Verdict == record.Suspicious && strings.HasPrefix(r.ModelID, "all-suspicious-")
					ofTwo := r.Verdict == record.Malicious && strings.HasPrefix(r.ModelID, "all-malicious-")
					if !ofOne && !ofTwo || r.ModelID != rows[0].ModelID || len(r.Reasons) == 0 {
						t.Errorf("%v by %s, the batch by %s", r.Verdict, r.ModelID, rows[0].ModelID)
						return
					}
				}
				scored.Add(int64(len(rows)))
			}
		})
	}
	for _, to := range []string{"two", "broken", "one", "two"} {
		exchanges, before := s.reloads("model", "ok")+s.reloads("model", "refused"), scored.Load()
		s.link("model", to)
		for deadline := time.Now().Add(20 * time.Second); s.reloads("model", "ok")+s.reloads("model", "refused") == exchanges || scored.Load() < before+200; time.Sleep(time.Millisecond) {
			if t.Failed() || time.Now().After(deadline) {
				t.Fatalf("nothing happens after the link to %s\n%s", to, s.log)
			}
		}
	}
	stop()
	wg.Wait()
	if r := s.score(); r.Verdict != record.Malicious {
		t.Errorf("%v at the end", r.Verdict)
	}
}

func TestOpenRefusesWhatItCanNotServe(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		dir string
		cfg scoring.Config
	}{
		"model ":           {filepath.Join(t.TempDir(), "none"), scoring.DefaultConfig()},
		"lists: open none": {"none", scoring.Config{Lists: []string{"none.yaml"}}},
	} {
		if _, err := scoring.Open(c.dir, c.cfg, features.Default(), slog.New(slog.DiscardHandler), nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	err := scoring.Config{Shadow: []string{"a", "b", "", "d", "e"}, Lists: []string{"none.yaml"}}.Validate()
	for _, want := range []string{"shadow: 5 models", "shadow: must be folders", "reload: 0s", "lists: open none.yaml"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}
