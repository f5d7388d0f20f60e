package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Parts is how many parts the month of a table has that has most of them. Every
// insert makes one or more, the server merges them; it slows inserts down at Delay and
// refuses them at Throw.
type Parts struct {
	Table        string
	Most         uint64
	Delay, Throw uint64
}

// near says from which share of Delay on a table is worth a warning.
const near = 0.5

// Crowded reports whether the table comes near the server's limit.
func (p Parts) Crowded() bool { return p.Delay > 0 && float64(p.Most) >= near*float64(p.Delay) }

// Parts counts the parts of the tables.
func (w *Writer) Parts(ctx context.Context) ([]Parts, error) {
	rows, err := w.conn.Query(ctx, `WITH
			(SELECT toUInt64(any(value)) FROM system.merge_tree_settings WHERE name = 'parts_to_delay_insert') AS d,
			(SELECT toUInt64(any(value)) FROM system.merge_tree_settings WHERE name = 'parts_to_throw_insert') AS t
		SELECT table, max(parts), assumeNotNull(d), assumeNotNull(t)
		FROM (SELECT table, partition_id, count() AS parts FROM system.parts WHERE database = ? AND active GROUP BY table, partition_id)
		GROUP BY table ORDER BY table`, w.cfg.Database)
	if err != nil {
		return nil, fmt.Errorf("count parts: %w", explain(err))
	}
	defer rows.Close()
	var out []Parts
	for rows.Next() {
		var p Parts
		if err := rows.Scan(&p.Table, &p.Most, &p.Delay, &p.Throw); err != nil {
			return nil, fmt.Errorf("count parts: %w", err)
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count parts: %w", explain(err))
	}
	return out, nil
}

// Watch counts the parts of the tables every so often, for the metrics, and warns
// when they come near the server's limit. It ends with ctx.
func (w *Writer) Watch(ctx context.Context, every time.Duration, log *slog.Logger) {
	for {
		parts, err := w.Parts(ctx)
		if err != nil && ctx.Err() == nil {
			log.Debug("parts not counted", "err", err) // the stage itself says when the server is away
		}
		for _, p := range parts {
			w.metrics.counted(p.Table, p.Most)
			if p.Crowded() {
				log.Warn("many parts: insert fewer and larger batches, or give merges more room",
					"table", p.Table, "parts", p.Most, "slowed_at", p.Delay, "refused_at", p.Throw)
			}
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return
		}
	}
}
