// Package store keeps flows in ClickHouse: it creates and upgrades the schema,
// checks that it is the one this program was built for, and inserts batches. All
// tables are idempotent: the same rows inserted again, in any order, collapse to
// one, so a batch whose fate is not known is simply inserted again.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"trench/pkg/record"
	"trench/pkg/wire"
)

// Writer inserts batches. It is safe for use by several goroutines.
type Writer struct {
	cfg     Config
	conn    driver.Conn
	flows   table[record.Record]
	vectors table[record.Record]
	letters table[wire.DeadLetter]
}

// NewWriter prepares a writer; nothing is reached before its first use.
func NewWriter(cfg Config) (*Writer, error) {
	// Tables are named with their database: a session in a database that is not
	// there yet could not even ask.
	conn, err := cfg.open("default")
	if err != nil {
		return nil, err
	}
	return &Writer{cfg: cfg, conn: conn, flows: flows(), vectors: featureVectors(), letters: deadLetters()}, nil
}

// Close ends the connections.
func (w *Writer) Close() error { return w.conn.Close() }

// Check returns nil when the server answers and its tables have every column that
// is written, with the type that is written. It lists all differences at once.
func (w *Writer) Check(ctx context.Context) error {
	rows, err := w.conn.Query(ctx, "SELECT table, name, type FROM system.columns WHERE database = ?", w.cfg.Database)
	if err != nil {
		return fmt.Errorf("clickhouse at %v: %w", w.cfg.Addr, classify(err))
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
		return fmt.Errorf("clickhouse at %v: %w", w.cfg.Addr, classify(err))
	}
	if len(found) == 0 {
		return fmt.Errorf("%w: database %s at %v has no tables (run `trench migrate`)", ErrNotMigrated, w.cfg.Database, w.cfg.Addr)
	}
	faults := compare(found, w.flows)
	faults = append(faults, compare(found, w.vectors)...)
	faults = append(faults, compare(found, w.letters)...)
	if len(faults) > 0 {
		return fmt.Errorf("%w: database %s at %v is not as this version needs it (run `trench migrate`):\n%w",
			ErrPermanent, w.cfg.Database, w.cfg.Addr, errors.Join(faults...))
	}
	return nil
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
// that is seen has one. With a *RowError nothing was inserted; after any other
// error rows may be there, and the batch can be written again.
func (w *Writer) Write(ctx context.Context, rows []*record.Record) error {
	with := make([]*record.Record, 0, len(rows))
	for i, r := range rows {
		if err := checkRow(r); err != nil {
			return &RowError{i, err}
		}
		if len(r.Vector) > 0 {
			with = append(with, r)
		}
	}
	if err := insert(ctx, w, w.vectors, with); err != nil {
		return err
	}
	return insert(ctx, w, w.flows, rows)
}

// WriteDeadLetters inserts dead letters.
func (w *Writer) WriteDeadLetters(ctx context.Context, letters []*wire.DeadLetter) error {
	return insert(ctx, w, w.letters, letters)
}

func insert[R any](ctx context.Context, w *Writer, t table[R], rows []*R) error {
	if len(rows) == 0 {
		return nil
	}
	// A capture may hold the flows of many months: let one insert make as many parts.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_partitions_per_insert_block": 0}))
	batch, err := w.conn.PrepareBatch(ctx, t.insert(w.cfg.Database))
	if err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", len(rows), t.name, classify(err))
	}
	defer batch.Close()
	for i, c := range t.columns {
		if err := c.fill(batch.Column(i), rows); err != nil {
			return fmt.Errorf("%w: insert into %s: column %s: %w", ErrPermanent, t.name, c.name, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", len(rows), t.name, classify(err))
	}
	return nil
}
