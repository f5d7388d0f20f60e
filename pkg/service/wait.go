package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"trench/pkg/fault"
	"trench/pkg/obs"
)

// How often what is waited for is looked for, how long a look may take, and how
// often it is said that it is not there.
const (
	lookEvery = 500 * time.Millisecond
	lookFor   = 10 * time.Second
	sayEvery  = 10 * time.Second
	sayNews   = 2 * time.Second // when the reason is another one
)

// waiting is what a program still waits for.
type waiting struct {
	log *slog.Logger

	mu      sync.Mutex
	missing map[string]error // by what is waited for
}

// all waits until every need is there or ctx ends, which is no error. It fails when
// waiting will not help.
func (w *waiting) all(ctx context.Context, needs map[string]obs.Check) error {
	g, ctx := errgroup.WithContext(ctx)
	for name, check := range needs {
		g.Go(func() error { return w.one(ctx, name, check) }) // ends with ctx
	}
	return g.Wait()
}

func (w *waiting) one(ctx context.Context, name string, check obs.Check) error {
	start := time.Now()
	said, reason := time.Time{}, ""
	for {
		err := look(ctx, check)
		if ctx.Err() != nil {
			return nil
		}
		w.note(name, err)
		switch {
		case err == nil && said.IsZero():
			return nil
		case err == nil:
			w.log.Info("what was waited for is there", "for", name, "after", time.Since(start).Round(100*time.Millisecond))
			return nil
		case fault.Of(err) == fault.Configuration:
			return err
		case time.Since(said) >= sayEvery || time.Since(said) >= sayNews && err.Error() != reason:
			said, reason = time.Now(), err.Error()
			w.log.Warn("waiting", "for", name, "since", time.Since(start).Round(100*time.Millisecond), "err", err)
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

func look(ctx context.Context, check obs.Check) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	return check(ctx)
}

func (w *waiting) note(name string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		delete(w.missing, name)
		return
	}
	if w.missing == nil {
		w.missing = map[string]error{}
	}
	w.missing[name] = err
}

// ready says what is waited for.
func (w *waiting) ready(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.missing) == 0 {
		return errors.New("starting")
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(w.missing)) {
		lines = append(lines, fmt.Sprintf("waiting for %s: %v", name, w.missing[name]))
	}
	return errors.New(strings.Join(lines, "\n"))
}
