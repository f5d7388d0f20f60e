//go:build e2e

package store_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"trench/pkg/internal/local"
	"trench/pkg/record"
	"trench/pkg/store"
)

// TestAServerThatIsAway kills and freezes the server under a writer.
func TestAServerThatIsAway(t *testing.T) {
	parts := local.StartCopy(t, local.ClickHousePart)
	s := server{parts.ClickHouseNative, parts.ClickHouseHTTP}
	var rows []*record.Record
	for i := range 2000 {
		rows = append(rows, full(i))
	}
	for _, protocol := range []string{store.Native, store.HTTP} {
		t.Run("nothing grows while it is down over "+protocol, func(t *testing.T) {
			cfg, w := s.migrated(t, protocol)
			if err := w.Write(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			if err := parts.Kill(local.ClickHousePart); err != nil {
				t.Fatal(err)
			}
			fail := func(times int) {
				for range times {
					if err := w.Write(t.Context(), rows); err == nil {
						t.Fatal("a server that is down takes rows")
					}
				}
			}
			fail(20)
			heap, goroutines := heapAndGoroutines()
			fail(300)
			if h, g := heapAndGoroutines(); h > heap+8<<20 || g > goroutines+5 {
				t.Errorf("from %d MB and %d goroutines to %d and %d", heap>>20, goroutines, h>>20, g)
			}
			if err := parts.Up(local.ClickHousePart); err != nil {
				t.Fatal(err)
			}
			if s.native != parts.ClickHouseNative || s.http != parts.ClickHouseHTTP {
				t.Fatal("the ports changed")
			}
			writes(t, w, rows)
			s.same(t, cfg, rows)
		})
		t.Run("it is not waited for without end over "+protocol, func(t *testing.T) {
			cfg, _ := s.migrated(t, protocol)
			cfg.Timeout = time.Second
			w, err := store.NewWriter(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			writes(t, w, rows[:1])
			pid, err := parts.PID(local.ClickHousePart)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			err = w.Write(t.Context(), rows)
			took := time.Since(start)
			if thaw := syscall.Kill(pid, syscall.SIGCONT); thaw != nil {
				t.Fatal(thaw)
			}
			if err == nil || took > 15*time.Second {
				t.Errorf("err = %v after %v", err, took)
			}
			writes(t, w, rows)
			s.same(t, cfg, rows)
		})
	}
}

// writes tries until rows are in.
func writes(t *testing.T, w *store.Writer, rows []*record.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := w.Write(ctx, rows)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func heapAndGoroutines() (heap uint64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

func TestPartsAreCounted(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	for _, protocol := range []string{store.Native, store.HTTP} {
		cfg, w := s.migrated(t, protocol)
		s.query(t, cfg, "SYSTEM STOP MERGES flows")
		for i := range 4 {
			r := bare(i)
			if i == 0 {
				r.TS += int64(40 * 24 * time.Hour)
			}
			if err := w.Write(t.Context(), []*record.Record{r}); err != nil {
				t.Fatal(err)
			}
		}
		parts, err := w.Parts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, p := range parts {
			found = found || p.Table == "flows" && p.Most == 3 && p.Delay > 100 && p.Throw > p.Delay && !p.Crowded()
			p.Most = p.Delay/2 + 1
			if !p.Crowded() {
				t.Errorf("%+v is not said to be crowded", p)
			}
		}
		if !found {
			t.Errorf("%s: %+v, want 3 parts in a month of flows", protocol, parts)
		}
	}
}

func TestANewerSchemaIsWrittenTo(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	for _, protocol := range []string{store.Native, store.HTTP} {
		cfg, w := s.migrated(t, protocol)
		for _, q := range []string{
			"ALTER TABLE flows ADD COLUMN later Array(Tuple(a String, b UInt8)) AFTER source, ADD COLUMN latest LowCardinality(String) FIRST",
			"INSERT INTO schema_migrations (version, name, checksum) VALUES (99, 'later', 'x')",
		} {
			s.query(t, cfg, q)
		}
		if err := w.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if v, err := w.Applied(t.Context()); v != 99 || err != nil {
			t.Errorf("version %d, err = %v", v, err)
		}
		if err := w.Write(t.Context(), []*record.Record{full(1)}); err != nil {
			t.Error(err)
		}
		if n := s.query(t, cfg, "SELECT count() AS n FROM flows WHERE later = [] AND latest = ''"); fmt.Sprint(n[0]["n"]) != "1" {
			t.Errorf("%v rows", n)
		}
		// A type that changes while the program runs.
		s.query(t, cfg, "ALTER TABLE flows MODIFY COLUMN tls_key_bits UInt64")
		err := w.Write(t.Context(), []*record.Record{full(2)})
		if protocol == store.Native && (err == nil || !strings.Contains(err.Error(), "column tls_key_bits: the server has tls_key_bits UInt64, not UInt32")) {
			t.Errorf("%s: err = %v, want it to name the column", protocol, err)
		}
		if protocol == store.HTTP && err != nil { // the server converts
			t.Error(err)
		}
	}
}
