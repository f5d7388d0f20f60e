//go:build e2e

package store_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"trench/pkg/internal/local"
	"trench/pkg/record"
	"trench/pkg/store"
	"trench/schemas"
)

// TestRowsInPlaceGetVersions migrates tables that hold rows, interrupted after every
// statement.
func TestRowsInPlaceGetVersions(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	script, err := schemas.ClickHouse.ReadFile("clickhouse/0005_versions.sql")
	if err != nil {
		t.Fatal(err)
	}
	statements := store.Statements(string(script))
	id := func(n int) string { return fmt.Sprintf("%032d", n) }
	for stop := range len(statements) + 1 {
		t.Run(fmt.Sprintf("interrupted after %d of %d statements", stop, len(statements)), func(t *testing.T) {
			t.Parallel()
			cfg := s.config(t, store.Native)
			if _, err := store.Migrate(t.Context(), cfg, migrations(t)[:4]); err != nil {
				t.Fatal(err)
			}
			insert := func(n, part int, note string) {
				s.query(t, cfg, fmt.Sprintf("INSERT INTO flows (flow_id, part, ts, client_ip, server_ip, verdict_note) VALUES ('%s', %d, '2026-0%d-02 03:04:05.000000001', 'a', 'b', '%s')", id(n), part, n, note))
				s.query(t, cfg, fmt.Sprintf("INSERT INTO feature_vectors (flow_id, part, ts, vector) VALUES ('%s', %d, '2026-0%d-02 03:04:05', [%d])", id(n), part, n, part))
			}
			insert(1, 0, "first")
			insert(1, 2, "third")
			insert(1, 1, "second")
			insert(2, 0, "scored")
			insert(2, 0, "scored again")
			before := fmt.Sprint(s.query(t, cfg, "SELECT flow_id, part, ts, verdict_note FROM flows FINAL ORDER BY flow_id"))

			// A migration that ends too early, and one that does not.
			var part []string
			for _, st := range statements[:stop] {
				if st.If != "" {
					part = append(part, "-- if: "+st.If)
				}
				part = append(part, st.SQL+";")
			}
			files := fstest.MapFS{}
			for _, m := range migrations(t)[:4] {
				name := fmt.Sprintf("%04d_%s.sql", m.Version, m.Name)
				sql, err := schemas.ClickHouse.ReadFile("clickhouse/" + name)
				if err != nil {
					t.Fatal(err)
				}
				files["d/"+name] = &fstest.MapFile{Data: sql}
			}
			files["d/0005_versions.sql"] = &fstest.MapFile{Data: []byte(strings.Join(part, "\n") + "\nSELECT throwIf(1, 'stopped')")}
			early, err := store.Migrations(files, "d")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Migrate(t.Context(), cfg, early); err == nil || !strings.Contains(err.Error(), "stopped") {
				t.Fatalf("err = %v, want it to stop", err)
			}
			// A sink of the version before goes on.
			insert(3, 0, "meanwhile")
			for range 2 {
				if _, err := store.Migrate(t.Context(), cfg, migrations(t)); err != nil {
					t.Fatal(err)
				}
				s.query(t, cfg, "TRUNCATE TABLE schema_migrations")
			}
			after := fmt.Sprint(s.query(t, cfg, "SELECT flow_id, part, ts, verdict_note FROM flows_latest WHERE verdict_note != 'meanwhile' ORDER BY flow_id"))
			if after != before {
				t.Errorf("before %s\nafter  %s", before, after)
			}
			if n := s.query(t, cfg, "SELECT flow_id, vector[1] AS v FROM vectors_latest ORDER BY flow_id"); fmt.Sprint(n) !=
				fmt.Sprintf("[map[flow_id:%s v:2] map[flow_id:%s v:0] map[flow_id:%s v:0]]", id(1), id(2), id(3)) {
				t.Errorf("vectors %v", n)
			}
			w, err := store.NewWriter(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := w.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if err := w.Write(t.Context(), []*record.Record{full(9)}); err != nil {
				t.Error(err)
			}
			tables := s.query(t, cfg, "SELECT name, engine_full LIKE 'ReplacingMergeTree(version)%' AS versioned FROM system.tables WHERE database = currentDatabase() AND name LIKE 'f%' AND engine != 'View' ORDER BY name")
			if got := fmt.Sprint(tables); got != "[map[name:feature_vectors versioned:1] map[name:flows versioned:1]]" {
				t.Errorf("tables %s", got)
			}
			indexes := s.query(t, cfg, "SELECT table, count() AS n FROM system.data_skipping_indices WHERE database = currentDatabase() GROUP BY table ORDER BY table")
			if got := fmt.Sprint(indexes); got != "[map[n:1 table:feature_vectors] map[n:5 table:flows]]" {
				t.Errorf("indexes %s", got)
			}
		})
	}
}
