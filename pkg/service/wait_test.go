package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trench/pkg/fault"
	"trench/pkg/obs"
)

// logged returns what w says, without the times.
func logged(w *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestWaitingSaysWhatForOnceInAWhileAndWhenItIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		w := &waiting{log: logged(&b)}
		start := time.Now()
		after := func(d time.Duration) obs.Check {
			return func(context.Context) error {
				if time.Since(start) < d {
					return errors.New("connection refused")
				}
				return nil
			}
		}
		done := make(chan error, 1)
		go func() {
			done <- w.all(t.Context(), map[string]obs.Check{"kafka": after(12 * time.Second), "clickhouse": after(0)})
		}()
		time.Sleep(time.Second)
		if err := w.ready(t.Context()); err == nil || err.Error() != "waiting for kafka: connection refused" {
			t.Errorf("ready: %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := `level=WARN msg=waiting for=kafka since=0s err="connection refused"
level=WARN msg=waiting for=kafka since=10s err="connection refused"
level=INFO msg="what was waited for is there" for=kafka after=12s
`
		if b.String() != want {
			t.Errorf("logged:\n%swant:\n%s", b.String(), want)
		}
		if err := w.ready(t.Context()); err == nil || err.Error() != "starting" {
			t.Errorf("ready: %v", err)
		}
	})
}

func TestWaitingNamesEverythingThatIsMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &waiting{log: slog.New(slog.DiscardHandler)}
		away := func(what string) obs.Check { return func(context.Context) error { return errors.New(what) } }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- w.all(ctx, map[string]obs.Check{"kafka": away("refused"), "clickhouse": away("no tables")})
		}()
		synctest.Wait()
		if err := w.ready(ctx); err == nil || err.Error() != "waiting for clickhouse: no tables\nwaiting for kafka: refused" {
			t.Errorf("ready: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("err = %v, want none: it was told to stop", err)
		}
	})
}

func TestALookThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &waiting{log: slog.New(slog.DiscardHandler)}
		tries := 0
		err := w.all(t.Context(), map[string]obs.Check{"kafka": func(ctx context.Context) error {
			if tries++; tries == 1 {
				<-ctx.Done()
			}
			return ctx.Err()
		}})
		if err != nil || tries != 2 {
			t.Errorf("err = %v after %d tries", err, tries)
		}
	})
}

func TestAWrongConfigurationIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &waiting{log: slog.New(slog.DiscardHandler)}
		wrong := &fault.Error{Code: fault.Lookup(fault.ClickHouse, 516), Err: errors.New("authentication failed")}
		err := w.all(t.Context(), map[string]obs.Check{
			"clickhouse": func(context.Context) error { return fmt.Errorf("clickhouse: %w", wrong) },
			"kafka":      func(context.Context) error { return errors.New("refused") },
		})
		if !errors.Is(err, wrong) {
			t.Errorf("err = %v", err)
		}
	})
}
