//go:build e2e

package store_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"trench/pkg/app"
	"trench/pkg/features"
	"trench/pkg/internal/local"
	"trench/pkg/obs"
	"trench/pkg/record"
	"trench/pkg/scoring"
	"trench/pkg/store"
	"trench/pkg/wire"
)

// BenchmarkWrite inserts the rows of the capture that TRENCH_BENCH_CAPTURE names, and
// reports the client's CPU time a row.
func BenchmarkWrite(b *testing.B) {
	path := os.Getenv("TRENCH_BENCH_CAPTURE")
	if path == "" {
		b.Skip("TRENCH_BENCH_CAPTURE names no capture")
	}
	const wanted, batch = 40_000, 10_000
	all := analyzed(b, path, wanted)
	var tls []*record.Record
	for _, r := range all {
		if len(r.Vector) > 0 {
			tls = append(tls, r)
		}
	}
	native, http := local.ClickHouse(b)
	s := server{native, http}
	for _, protocol := range []string{store.Native, store.HTTP} {
		for _, c := range []struct {
			compression, rows string
			of                []*record.Record
		}{{"none", "all", all}, {"lz4", "all", all}, {"zstd", "all", all}, {"lz4", "with vectors", tls}} {
			b.Run(protocol+"/"+c.compression+"/"+c.rows, func(b *testing.B) {
				rows := c.of
				cfg := s.config(b, protocol)
				cfg.Compression = c.compression
				if _, err := store.Migrate(b.Context(), cfg, migrations(b)); err != nil {
					b.Fatal(err)
				}
				w, err := store.NewWriter(cfg)
				if err != nil {
					b.Fatal(err)
				}
				defer w.Close()
				n, spent := 0, time.Duration(0)
				for i := 0; b.Loop(); i++ {
					at := i * batch % len(rows)
					part := rows[at:min(at+batch, len(rows))]
					start := cpu(b)
					if err := w.Write(b.Context(), part); err != nil {
						b.Fatal(err)
					}
					spent += cpu(b) - start
					n += len(part)
				}
				b.ReportMetric(float64(spent.Microseconds())/float64(n), "cpu-µs/row")
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// cpu is the time that this process has computed.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var errEnough = errors.New("enough rows")

// analyzed returns the first rows of a capture as the sink reads them.
func analyzed(b *testing.B, path string, n int) (rows []*record.Record) {
	b.Helper()
	cfg := features.DefaultConfig()
	if err := cfg.Open(); err != nil {
		b.Fatal(err)
	}
	source, err := scoring.Open("", scoring.DefaultConfig(), cfg.Schema(), obs.NewLogger(obs.DefaultLogConfig(), os.Stderr), obs.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	a := &app.Analysis{Workers: 1, Last: app.StageScoring, Features: cfg, Capture: app.DefaultConfig(), Scoring: source}
	a.Rows = func(batch []*record.Record) error {
		for _, r := range batch {
			v, err := wire.MarshalVerdict(nil, r)
			if err != nil {
				return err
			}
			c := &record.Record{}
			if err := wire.UnmarshalVerdict(v, c); err != nil {
				return err
			}
			if rows = append(rows, c); len(rows) == n {
				return errEnough
			}
		}
		return nil
	}
	if _, err := a.Run(b.Context(), []string{path}); err != nil && !errors.Is(err, errEnough) {
		b.Fatal(err)
	}
	return rows
}
