// Package store keeps flows in ClickHouse: it creates and upgrades the schema,
// checks that it is the one this program was built for, and inserts batches. All
// tables are idempotent: the same rows inserted again, in any order, collapse to
// one, so a batch whose fate is not known is simply inserted again.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"trench/pkg/fault"
	"trench/pkg/record"
	"trench/pkg/wire"
)

// Writer inserts batches. It is safe for use by several goroutines.
type Writer struct {
	cfg     Config
	conn    driver.Conn
	flows   table[row]
	vectors table[row]
	letters table[wire.DeadLetter]
	sums    summer
	fillers sync.Pool // of *filler
	metrics *metrics
}

// NewWriter prepares a writer; nothing is reached before its first use.
func NewWriter(cfg Config) (*Writer, error) {
	// Tables are named with their database: a session in a database that is not
	// there yet could not even ask.
	conn, err := cfg.open("default")
	if err != nil {
		return nil, err
	}
	return &Writer{
		cfg: cfg, conn: conn, flows: flows(), vectors: featureVectors(), letters: deadLetters(), sums: newSummer(),
		fillers: sync.Pool{New: func() any { return newFiller() }}, metrics: newMetrics(nil),
	}, nil
}

// Register makes the writer's metrics known to reg, before its first use.
func (w *Writer) Register(reg prometheus.Registerer) { w.metrics = newMetrics(reg) }

// Close ends the connections.
func (w *Writer) Close() error { return w.conn.Close() }

// Check returns nil when the server answers and its tables have every column that
// is written, with the type that is written. It lists all differences at once, in an
// error that wraps fault.ErrConfiguration.
func (w *Writer) Check(ctx context.Context) error {
	rows, err := w.conn.Query(ctx, "SELECT table, name, type FROM system.columns WHERE database = ?", w.cfg.Database)
	if err != nil {
		return fmt.Errorf("clickhouse at %v: %w", w.cfg.Addr, explain(err))
	}
	defer rows.Close()
	found := map[string]map[string]string{}
	for rows.Next() {
		var t, name, typ string
		if err := rows.Scan(&t, &name, &typ); err != nil {
			return fmt.Errorf("clickhouse at %v: %w", w.cfg.Addr, err)
		}
		if found[t] == nil {
			found[t] = map[string]string{}
		}
		found[t][name] = typ
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("clickhouse at %v: %w", w.cfg.Addr, explain(err))
	}
	if len(found) == 0 {
		return fmt.Errorf("%w: database %s at %v has no tables (run `trench migrate`)", ErrNotMigrated, w.cfg.Database, w.cfg.Addr)
	}
	faults := compare(found, w.flows)
	faults = append(faults, compare(found, w.vectors)...)
	faults = append(faults, compare(found, w.letters)...)
	if len(faults) > 0 {
		return fmt.Errorf("%w: database %s at %v is not as this version needs it (run `trench migrate`):\n%w",
			fault.ErrConfiguration, w.cfg.Database, w.cfg.Addr, errors.Join(faults...))
	}
	return nil
}

// Applied returns the number of the last migration that the database has seen. Columns
// that a newer one added get their defaults from the server.
func (w *Writer) Applied(ctx context.Context) (version uint32, err error) {
	if err := w.conn.QueryRow(ctx, "SELECT max(version) FROM "+w.cfg.Database+".schema_migrations").Scan(&version); err != nil {
		return 0, fmt.Errorf("read schema_migrations: %w", explain(err))
	}
	return version, nil
}

func compare[R any](found map[string]map[string]string, t table[R]) (faults []error) {
	columns, ok := found[t.name]
	if !ok {
		return []error{fmt.Errorf("table %s: missing", t.name)}
	}
	for _, c := range t.columns {
		switch typ, ok := columns[c.name]; {
		case !ok:
			faults = append(faults, fmt.Errorf("table %s: column %s: missing", t.name, c.name))
		case oneLine(typ) != c.typ:
			faults = append(faults, fmt.Errorf("table %s: column %s: is %s, not %s", t.name, c.name, oneLine(typ), c.typ))
		}
	}
	return faults
}

// oneLine undoes the line breaks with which the server shows long tuples.
func oneLine(typ string) string {
	typ = strings.Join(strings.Fields(typ), " ")
	return strings.ReplaceAll(typ, "( ", "(")
}

// Write inserts rows and their feature vectors, the vectors first, so that a row
// that is seen has one. With a *RefusedError all rows but those it lists are in;
// after any other error rows may be there, and the batch can be written again.
func (w *Writer) Write(ctx context.Context, records []*record.Record) error {
	var failed RefusedError
	rows := make([]row, len(records))
	all, with := make([]*row, 0, len(records)), make([]*row, 0, len(records))
	for i, r := range records {
		rows[i].Record = r
		if err := checkRow(r); err != nil {
			failed.Rows = append(failed.Rows, RowError{i, err})
			continue
		}
		if all = append(all, &rows[i]); len(r.Vector) > 0 {
			with = append(with, &rows[i])
		}
	}
	w.sums.setVersions(all)
	refused, err := deliver(ctx, w, w.vectors, with)
	if err != nil {
		return err
	}
	if len(refused) > 0 {
		all = slices.DeleteFunc(all, func(r *row) bool { return refused[r] != nil })
	}
	others, err := deliver(ctx, w, w.flows, all)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := cmp.Or(refused[&rows[i]], others[&rows[i]]); err != nil {
			failed.Rows = append(failed.Rows, RowError{i, err})
		}
	}
	return failed.orNil()
}

// WriteDeadLetters inserts dead letters, with errors as Write.
func (w *Writer) WriteDeadLetters(ctx context.Context, letters []*wire.DeadLetter) error {
	refused, err := deliver(ctx, w, w.letters, letters)
	if err != nil {
		return err
	}
	var failed RefusedError
	for i, l := range letters {
		if err := refused[l]; err != nil {
			failed.Rows = append(failed.Rows, RowError{i, err})
		}
	}
	return failed.orNil()
}
