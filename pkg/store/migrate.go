package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Migration is one numbered step of the schema.
type Migration struct {
	Version  uint32
	Name     string
	Checksum string // SHA-256 of the file, hex
	sql      string
}

var migrationName = regexp.MustCompile(`^([0-9]{4})_([a-z0-9_]+)\.sql$`)

// Migrations reads the files NNNN_name.sql of a directory. Their numbers must be
// 1, 2, 3 and so on.
func Migrations(files fs.FS, dir string) ([]Migration, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	var out []Migration
	for _, e := range entries {
		m := migrationName.FindStringSubmatch(e.Name())
		if m == nil {
			return nil, fmt.Errorf("migration %s: is not named NNNN_name.sql", e.Name())
		}
		sql, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		n, _ := strconv.ParseUint(m[1], 10, 32)
		sum := sha256.Sum256(sql)
		out = append(out, Migration{Version: uint32(n), Name: m[2], Checksum: hex.EncodeToString(sum[:]), sql: string(sql)})
	}
	slices.SortFunc(out, func(a, b Migration) int { return cmp.Compare(a.Version, b.Version) })
	for i, m := range out {
		if m.Version != uint32(i+1) {
			return nil, fmt.Errorf("migration %04d_%s: its number should be %04d", m.Version, m.Name, i+1)
		}
	}
	return out, nil
}

const createMigrations = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    checksum String COMMENT 'SHA-256 of the migration',
    applied DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(applied)
ORDER BY version`

// migrationTimeout bounds one statement: some copy whole tables.
const migrationTimeout = 48 * time.Hour

// Migrate creates the database when it is missing and applies what is not yet
// applied, in order. It can be run at any time, also by several at once, and again
// after it was interrupted. It returns what it applied.
func Migrate(ctx context.Context, cfg Config, migrations []Migration) ([]Migration, error) {
	if err := createDatabase(ctx, cfg); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	cfg.Timeout = migrationTimeout
	conn, err := cfg.open(cfg.Database)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close()
	if err := conn.Exec(ctx, createMigrations); err != nil {
		return nil, fmt.Errorf("migrate: create schema_migrations: %w", err)
	}
	applied, err := appliedMigrations(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	for v, a := range applied {
		if int(v) > len(migrations) {
			return nil, fmt.Errorf("migrate: database %s has migration %04d_%s, which this version of trench does not know: use the newer one",
				cfg.Database, v, a.Name)
		}
		if m := migrations[v-1]; m.Checksum != a.Checksum {
			return nil, fmt.Errorf("migrate: migration %04d_%s was changed after it was applied to database %s", v, m.Name, cfg.Database)
		}
	}
	var done []Migration
	for _, m := range migrations {
		if _, ok := applied[m.Version]; ok {
			continue
		}
		statements := Statements(m.sql)
		for i, s := range statements {
			if err := s.run(ctx, conn); err != nil {
				return done, fmt.Errorf("migrate: %04d_%s: statement %d of %d (%s): %w", m.Version, m.Name, i+1, len(statements), firstLine(s.SQL), err)
			}
		}
		if err := conn.Exec(ctx, "INSERT INTO schema_migrations (version, name, checksum) VALUES (?, ?, ?)", m.Version, m.Name, m.Checksum); err != nil {
			return done, fmt.Errorf("migrate: %04d_%s: note it as applied: %w", m.Version, m.Name, err)
		}
		done = append(done, m)
	}
	return done, nil
}

func createDatabase(ctx context.Context, cfg Config) error {
	conn, err := cfg.open("default")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+cfg.Database+" ENGINE = Atomic"); err != nil {
		return fmt.Errorf("clickhouse at %v: create database %s: %w", cfg.Addr, cfg.Database, err)
	}
	return nil
}

func appliedMigrations(ctx context.Context, conn driver.Conn) (map[uint32]Migration, error) {
	rows, err := conn.Query(ctx, "SELECT version, name, checksum FROM schema_migrations FINAL")
	if err != nil {
		return nil, fmt.Errorf("read schema_migrations: %w", err)
	}
	defer rows.Close()
	out := map[uint32]Migration{}
	for rows.Next() {
		var m Migration
		if err := rows.Scan(&m.Version, &m.Name, &m.Checksum); err != nil {
			return nil, fmt.Errorf("read schema_migrations: %w", err)
		}
		out[m.Version] = m
	}
	return out, rows.Err()
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Statement is one statement of a migration.
type Statement struct {
	SQL string
	If  string // a query that returns 1 when the statement is to be run; empty for always
}

// run runs the statement, if it is to be run.
func (s Statement) run(ctx context.Context, conn driver.Conn) error {
	if s.If != "" {
		var n uint64
		if err := conn.QueryRow(ctx, s.If).Scan(&n); err != nil {
			return fmt.Errorf("if: %w", err)
		}
		if n != 1 {
			return nil
		}
	}
	return conn.Exec(ctx, s.SQL)
}

// Statements splits a script at the semicolons that are not in quotes or comments.
// Comments before a statement are dropped, but for the condition in a line
//
//	-- if: SELECT count() FROM …
func Statements(script string) []Statement {
	var out []Statement
	start, i := 0, 0
	flush := func(end int) {
		comments, sql := cutComments(script[start:end])
		if sql = strings.TrimSpace(sql); sql == "" {
			return
		}
		s := Statement{SQL: sql}
		for line := range strings.Lines(comments) {
			if query, ok := strings.CutPrefix(line, "-- if: "); ok {
				s.If = strings.TrimSpace(query)
			}
		}
		out = append(out, s)
	}
	for i < len(script) {
		if n := skip(script[i:]); n > 0 {
			i += n
			continue
		}
		if script[i] == ';' {
			flush(i)
			start = i + 1
		}
		i++
	}
	flush(len(script))
	return out
}

// skip returns the length of the quoted text or comment that s begins with.
func skip(s string) int {
	until := func(from int, end string) int {
		if n := strings.Index(s[from:], end); n >= 0 {
			return from + n + len(end)
		}
		return len(s)
	}
	switch {
	case strings.HasPrefix(s, "--"):
		return until(2, "\n")
	case strings.HasPrefix(s, "/*"):
		return until(2, "*/")
	case s[0] == '\'' || s[0] == '"' || s[0] == '`':
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case s[0]: // a doubled quote reads as two strings, which comes to the same
				return i + 1
			}
		}
		return len(s)
	}
	return 0
}

// cutComments splits s after the comments and blank lines that it begins with.
func cutComments(s string) (comments, rest string) {
	rest = s
	for {
		rest = strings.TrimLeft(rest, " \t\r\n")
		if !strings.HasPrefix(rest, "--") && !strings.HasPrefix(rest, "/*") {
			return s[:len(s)-len(rest)], rest
		}
		rest = rest[skip(rest):]
	}
}
