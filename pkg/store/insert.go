package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	client "github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"trench/pkg/fault"
)

// maxMonths bounds the parts that one insert makes, for tables are parted by month
// and a capture may hold the flows of many: more than that go in by several inserts.
const maxMonths = 100

// insert puts rows into t, in one or, when they are of too many months, several
// inserts.
func insert[R any](ctx context.Context, w *Writer, t table[R], rows []*R) error {
	for _, piece := range byMonths(rows, t.month) {
		start := time.Now()
		size, err := send(ctx, w, t, piece.rows)
		if err != nil {
			return fmt.Errorf("insert %d rows into %s: %w", len(piece.rows), t.name, err)
		}
		w.metrics.inserted(t.name, len(piece.rows), size, piece.months, time.Since(start))
	}
	return nil
}

// piece is what goes in at once.
type piece[R any] struct {
	rows   []*R
	months int
}

// byMonths cuts rows so that no piece is of more than maxMonths.
func byMonths[R any](rows []*R, month func(*R) int) []piece[R] {
	months := map[int]int{}
	for _, r := range rows {
		months[month(r)]++
	}
	if len(months) <= maxMonths {
		return []piece[R]{{rows, len(months)}}
	}
	sorted := slices.Clone(rows)
	slices.SortStableFunc(sorted, func(a, b *R) int { return month(a) - month(b) })
	var out []piece[R]
	for len(sorted) > 0 {
		p := piece[R]{}
		n := 0
		for n < len(sorted) && p.months < maxMonths {
			n += months[month(sorted[n])]
			p.months++
		}
		p.rows, sorted = sorted[:n], sorted[n:]
		out = append(out, p)
	}
	return out
}

// send inserts rows as one block and returns how many bytes it has. The client fills
// its columns by reflection, value by value, which costs three times the rest of
// the insert; so they are written here, as the server would send them, and the client reads them.
func send[R any](ctx context.Context, w *Writer, t table[R], rows []*R) (size int, err error) {
	ctx, end := bounded(ctx, w.cfg.Timeout)
	defer func() { err = end(err) }()
	settings := clickhouse.Settings{"max_partitions_per_insert_block": maxMonths}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(settings), clickhouse.WithColumnNamesAndTypes(t.names()))
	batch, err := w.conn.PrepareBatch(ctx, t.insert(w.cfg.Database))
	if err != nil {
		return 0, explain(err)
	}
	defer batch.Close()
	f := w.fillers.Get().(*filler)
	defer w.fillers.Put(f)
	columns := batch.Columns()
	if len(columns) != len(t.columns) {
		return 0, fmt.Errorf("%w: the server wants %d columns, not %d", fault.ErrConfiguration, len(columns), len(t.columns))
	}
	for i, c := range t.columns {
		if typ := oneLine(string(columns[i].Type())); columns[i].Name() != c.name || typ != c.typ {
			return 0, fmt.Errorf("%w: column %s: the server has %s %s, not %s", fault.ErrConfiguration, c.name, columns[i].Name(), typ, c.typ)
		}
		n, err := f.fill(columns[i], func(dst []byte) []byte { return c.append(dst, rows) }, len(rows))
		if err != nil {
			return 0, fmt.Errorf("%w: column %s: %w", fault.ErrConfiguration, c.name, err)
		}
		size += n
	}
	if err := batch.Send(); err != nil {
		return 0, explain(err)
	}
	return size, nil
}

// bounded returns a context for one insert, which ends with ctx and after a time, for the
// client waits without end for the answer. It is not ended when the insert is done:
// the client may only then look whether it is, and would close the connection,
// which by then serves another insert. end is called with the insert's error, and adds
// why the context has ended.
func bounded(ctx context.Context, d time.Duration) (insert context.Context, end func(error) error) {
	insert, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // so it hangs on nothing, and is collected
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	timer := time.AfterFunc(d, func() { cancel(fmt.Errorf("no answer in %v: %w", d, context.DeadlineExceeded)) })
	return insert, func(err error) error {
		stop()
		timer.Stop()
		if err != nil && insert.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(insert), err)
		}
		return err
	}
}

// filler fills columns of the client. Its memory is used for one column after the
// other.
type filler struct {
	column []byte
	rest   []byte // of column, not yet read
	reader *proto.Reader
}

func newFiller() *filler {
	f := &filler{}
	f.reader = proto.NewReader(f)
	return f
}

// errTrailing means that the client reads a column's type in another way than it is
// written here.
var errTrailing = errors.New("it was not read to its end")

// fill fills c with n rows and returns how many bytes they have.
func (f *filler) fill(c client.Interface, write func([]byte) []byte, n int) (int, error) {
	f.column = write(f.column[:0])
	f.rest = f.column
	if err := c.Decode(f.reader, n); err != nil {
		f.reader = proto.NewReader(f)
		return 0, err
	}
	if _, err := f.reader.ReadByte(); err == nil {
		f.reader = proto.NewReader(f)
		return 0, errTrailing
	}
	return len(f.column), nil
}

// Read implements io.Reader, for the client.
func (f *filler) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		return 0, errDrained
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

var errDrained = errors.New("the column ends early")
