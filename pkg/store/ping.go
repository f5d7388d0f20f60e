package store

import (
	"context"
	"fmt"
	"time"
)

// pingTimeout is how long a server may take that can be written to.
const pingTimeout = 3 * time.Second

// Ping returns nil when a server answers.
func (w *Writer) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := w.conn.Ping(ctx); err != nil {
		return fmt.Errorf("clickhouse at %v: %w", w.cfg.Addr, explain(err))
	}
	return nil
}
