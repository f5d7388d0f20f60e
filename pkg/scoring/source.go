package scoring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/policy"
)

// MaxShadows is how many models may run beside the one that counts.
const MaxShadows = 4

// Config says what takes part in verdicts besides the model.
type Config struct {
	// Lists are files of allow and deny entries, as package policy describes them.
	Lists []string `yaml:"lists"`
	// Shadow are folders of bundles that score the same rows and never alert.
	Shadow []string `yaml:"shadow"`
	// Reload is how often model, shadow models and lists are looked at for changes.
	Reload time.Duration `yaml:"reload"`
}

// DefaultConfig returns no lists, no shadow models, and a look every ten seconds.
func DefaultConfig() Config { return Config{Reload: 10 * time.Second} }

// Validate reports every fault at once, those of the lists with file and line.
func (c Config) Validate() error {
	var errs []error
	if len(c.Shadow) > MaxShadows {
		errs = append(errs, fmt.Errorf("shadow: %d models, the limit is %d", len(c.Shadow), MaxShadows))
	}
	if slices.Contains(c.Shadow, "") || slices.Contains(c.Shadow, NoModel) {
		errs = append(errs, errors.New("shadow: must be folders"))
	}
	if c.Reload < 100*time.Millisecond || c.Reload > 24*time.Hour {
		errs = append(errs, fmt.Errorf("reload: %v is not between 100ms and 24h", c.Reload))
	}
	if _, err := policy.Load(c.Lists); err != nil {
		errs = append(errs, fmt.Errorf("lists: %w", err))
	}
	return errors.Join(errs...)
}

// Source is what stages score with: the model, its shadows and the lists. It can
// be exchanged while they run: a stage takes the batch in hand to its end with what
// it began with, and begins the next one with what is there by then.
//
//	folder, file ─► changed? ─► load and check all of it ─┬─► serve
//	                                                      └─► refuse: say why, the one before goes on
type Source struct {
	serving atomic.Pointer[served]
	schema  *features.Schema
	log     *slog.Logger
	metrics *metrics

	model, lists watched
	shadows      []watched
	ended        int // entries of lists that have ended, as last told
}

// served never changes.
type served struct {
	bundle  *model.Bundle   // nil: nothing is scored
	shadows []*model.Bundle // nil: one that was refused so far
	lists   *policy.Set
}

// Fixed returns a source that stays as it is. Without a bundle nothing is scored,
// without lists none is asked.
func Fixed(b *model.Bundle, shadows []*model.Bundle, lists *policy.Set) *Source {
	if lists == nil {
		lists = policy.NewSet(nil)
	}
	s := &Source{log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil)}
	s.serve(&served{b, shadows, lists})
	return s
}

// Open loads everything. A shadow model that can not be loaded is told of and left
// out until its folder changes; any other fault is an error. dir is as LoadModel
// takes it.
func Open(dir string, cfg Config, schema *features.Schema, log *slog.Logger, reg prometheus.Registerer) (*Source, error) {
	s := &Source{schema: schema, log: log, metrics: newMetrics(reg), lists: watched{paths: cfg.Lists}}
	if dir != "" && dir != NoModel {
		s.model.paths = []string{dir}
	}
	s.model.changed()
	s.lists.changed()
	bundle, err := LoadModel(dir, schema)
	if err != nil {
		return nil, err
	}
	lists, err := policy.Load(cfg.Lists)
	if err != nil {
		return nil, fmt.Errorf("lists: %w", err)
	}
	if bundle == nil {
		log.Warn("no model: flows are not scored")
	} else {
		log.Info("model loaded", "model", bundle.ID(), "entries", lists.Len())
	}
	s.serve(&served{bundle, make([]*model.Bundle, len(cfg.Shadow)), lists})
	for i, dir := range cfg.Shadow {
		w := watched{paths: []string{dir}}
		w.changed()
		s.shadows = append(s.shadows, w)
		s.exchangeShadow(i)
	}
	return s, nil
}

// Run looks for changes every so often, and reads everything again when now says
// so, until ctx ends.
func (s *Source) Run(ctx context.Context, every time.Duration, now <-chan os.Signal) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.reload(false)
		case <-now:
			s.reload(true)
		}
	}
}

// Beside runs work, and until it is done looks for changes every so often and on
// SIGHUP.
func (s *Source) Beside(ctx context.Context, every time.Duration, work func(context.Context) error) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	watching, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends with watching
		defer close(done)
		s.Run(watching, every, hangup)
	}()
	err := work(ctx)
	stop()
	<-done
	return err
}

// reload exchanges what has changed, or everything.
func (s *Source) reload(all bool) {
	if s.model.due(all) {
		s.exchange(roleModel, s.model.paths[0], s.serving.Load().bundle, func(next *served, b *model.Bundle) { next.bundle = b })
	}
	for i := range s.shadows {
		if s.shadows[i].due(all) {
			s.exchangeShadow(i)
		}
	}
	if s.lists.due(all) {
		s.exchangeLists()
	}
	s.count()
}

// exchange serves the bundle in a folder, unless it is refused. place puts it where
// it belongs.
func (s *Source) exchange(role, dir string, before *model.Bundle, place func(*served, *model.Bundle)) {
	had := "none"
	if before != nil {
		had = before.ID()
	}
	b, err := loadFolder(dir, s.schema)
	if err == nil {
		next := *s.serving.Load()
		place(&next, b)
		s.serve(&next)
	}
	s.metrics.reloaded(role, err)
	if err != nil {
		s.log.Error("model refused, the one before goes on", "role", role, "dir", dir, "before", had, "err", err)
		return
	}
	s.log.Info("model exchanged", "role", role, "dir", dir, "model", b.ID(), "before", had)
}

func (s *Source) exchangeShadow(i int) {
	s.exchange(roleShadow, s.shadows[i].paths[0], s.serving.Load().shadows[i], func(next *served, b *model.Bundle) {
		next.shadows = slices.Clone(next.shadows)
		next.shadows[i] = b
	})
}

func (s *Source) exchangeLists() {
	next := *s.serving.Load()
	before := next.lists.Len()
	lists, err := policy.Load(s.lists.paths)
	if err == nil {
		next.lists = lists
		s.serve(&next)
	}
	s.metrics.reloaded(roleLists, err)
	if err != nil {
		s.log.Error("lists refused, those before go on", "entries", before, "err", err)
		return
	}
	s.log.Info("lists exchanged", "entries", lists.Len(), "before", before)
}

// loadFolder follows links first, so that all files are of one folder even when a
// link is set to another one meanwhile.
func loadFolder(dir string, schema *features.Schema) (*model.Bundle, error) {
	folder, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	return LoadModel(folder, schema)
}

func (s *Source) serve(next *served) {
	s.serving.Store(next)
	s.metrics.serve(next)
	s.count()
}

// count shows how many entries the lists have, and tells when some have ended.
func (s *Source) count() {
	ended := 0
	for _, c := range s.serving.Load().lists.Counts(time.Now()) {
		s.metrics.entries(c)
		ended += c.Ended
	}
	if ended > s.ended {
		s.log.Warn("entries of lists have ended, they are ignored", "entries", ended)
	}
	s.ended = ended
}

// watched is something on disk, and what it looked like when it was last read.
type watched struct {
	paths []string
	seen  string
}

// due reports whether it is to be read again.
func (w *watched) due(all bool) bool { return w.changed() || all && len(w.paths) > 0 }

// changed looks at it, and reports whether it looks other than the last time.
func (w *watched) changed() bool {
	var b strings.Builder
	for _, p := range w.paths {
		look(&b, p)
	}
	before := w.seen
	w.seen = b.String()
	return w.seen != before
}

// look writes what tells one state of a file or folder from another: sizes and
// times, of the files in a folder too, and for a bundle the sums of its files. It
// follows links first: half of one folder and half of another would be a state that
// never comes again.
func look(b *strings.Builder, path string) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		fmt.Fprintln(b, err)
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		fmt.Fprintln(b, err)
		return
	}
	fmt.Fprintln(b, path, info.Size(), info.ModTime().UnixNano())
	if !info.IsDir() {
		return
	}
	files, err := os.ReadDir(path)
	fmt.Fprintln(b, len(files), err)
	for _, f := range files[:min(len(files), maxLooked)] {
		if info, err := f.Info(); err == nil {
			fmt.Fprintln(b, f.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	sums, err := os.ReadFile(filepath.Join(path, "SHA256SUMS"))
	fmt.Fprintln(b, string(sums[:min(len(sums), maxSums)]), err)
}

// Limits of what is looked at; a bundle has less.
const (
	maxLooked = 1024
	maxSums   = 64 << 10 // bytes
)
