package store_test

import (
	"context"
	"io/fs"
	"net"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/record"
	"trench/pkg/store"
	"trench/schemas"
)

func TestStatementsAreSplitOutsideQuotesAndComments(t *testing.T) {
	t.Parallel()
	got := store.Statements(`-- a; comment
SELECT ';' AS a, "x;y", ` + "`z;`" + ` -- inside; too
, 'it''s \'; fine';
/* nothing; here */ ;
-- why
-- if: SELECT ';'
SELECT 2`)
	want := []store.Statement{{SQL: "SELECT ';' AS a, \"x;y\", `z;` -- inside; too\n, 'it''s \\'; fine'"}, {SQL: "SELECT 2", If: "SELECT ';'"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestEmbeddedMigrationsAreInOrder(t *testing.T) {
	t.Parallel()
	ms, err := store.Migrations(schemas.ClickHouse, "clickhouse")
	if err != nil || len(ms) == 0 || ms[0].Name != "flows" {
		t.Errorf("migrations = %v, err = %v", ms, err)
	}
}

func TestMigrationsWithAGapOrAStrangeNameAreRefused(t *testing.T) {
	t.Parallel()
	file := &fstest.MapFile{Data: []byte("SELECT 1")}
	for want, files := range map[string]fstest.MapFS{
		"should be 0002":            {"d/0001_a.sql": file, "d/0003_b.sql": file},
		"is not named":              {"d/1_a.sql": file},
		"its number should be 0001": {"d/0002_a.sql": file},
	} {
		if _, err := store.Migrations(files, "d"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want it to say %q", err, want)
		}
	}
}

func TestColumnsOfTheTableAreThoseOfTheRow(t *testing.T) {
	t.Parallel()
	var want []string
	for _, c := range record.Columns() {
		want = append(want, c.Name)
	}
	if d := cmp.Diff(want, store.Columns()); d != "" {
		t.Errorf("(-row +table):\n%s", d)
	}
}

func TestEveryWrittenColumnIsInAMigration(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	files, err := fs.Glob(schemas.ClickHouse, "clickhouse/*.sql")
	if err != nil || len(files) < 2 {
		t.Fatalf("migrations %v, %v", files, err)
	}
	for _, name := range files {
		sql, err := schemas.ClickHouse.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(sql)
	}
	for _, name := range store.Columns() {
		if !strings.Contains(all.String(), "\n    "+name+" ") && !strings.Contains(all.String(), "ADD COLUMN IF NOT EXISTS "+name+" ") {
			t.Errorf("column %s is not in any migration", name)
		}
	}
}

func TestWritingGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, protocol := range []string{store.Native, store.HTTP} {
		cfg := store.DefaultConfig()
		cfg.Addr, cfg.Protocol, cfg.DialTimeout = []string{l.Addr().String()}, protocol, 300*time.Millisecond
		w, err := store.NewWriter(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		start := time.Now()
		err = w.Write(ctx, []*record.Record{{}})
		cancel()
		if err == nil || time.Since(start) > 5*time.Second {
			t.Errorf("%s: err = %v after %v", protocol, err, time.Since(start))
		}
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	if err := store.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	err := store.Config{Addr: []string{"nowhere"}, Protocol: "smoke", Database: "a b", Compression: "lzma"}.Validate()
	for _, want := range []string{"addr:", "protocol:", "database:", "compression:", "dial_timeout:", "timeout:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}
