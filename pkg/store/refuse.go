package store

import (
	"context"
	"fmt"

	"trench/pkg/fault"
)

// RefusedError lists the rows that can not be stored; all others are in.
type RefusedError struct{ Rows []RowError }

// RowError is a row that can not be stored.
type RowError struct {
	Index int
	Err   error
}

// Error implements error.
func (e *RefusedError) Error() string {
	if len(e.Rows) == 0 {
		return "no row refused"
	}
	return fmt.Sprintf("%d rows refused, the first: row %d: %v", len(e.Rows), e.Rows[0].Index, e.Rows[0].Err)
}

// orNil returns e when it lists rows.
func (e *RefusedError) orNil() error {
	if len(e.Rows) == 0 {
		return nil
	}
	return e
}

// A batch of this many rows is not searched for refused ones when the server
// refuses each of some that are spread over it: then it is the table that is wrong,
// and a stage that made dead letters of everything would hide it.
const (
	manyRows = 64
	samples  = 16
)

// deliver inserts rows and finds those that the server refuses: by halving, so that
// k of n cost about 2·k·log n inserts. A caller that halves batches by itself would
// send both tables anew each time, and could not tell a wrong table from wrong rows.
// When the error is nil all rows but these are in; after an error the batch can be
// delivered again.
func deliver[R any](ctx context.Context, w *Writer, t table[R], rows []*R) (refused map[*R]error, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	err = insert(ctx, w, t, rows)
	if unknown(err) { // what is wrong only now is not wrong twice
		err = insert(ctx, w, t, rows)
	}
	if !refusal(err) {
		return nil, err
	}
	if len(rows) >= manyRows {
		if err := sample(ctx, w, t, rows); err != nil {
			return nil, err
		}
	}
	refused = map[*R]error{}
	if err := halve(ctx, w, t, rows, err, refused); err != nil {
		return nil, err
	}
	if len(refused) == len(rows) && unknown(err) { // nothing says that it is the rows
		return nil, err
	}
	w.metrics.refuse(t.name, len(refused))
	return refused, nil
}

// halve finds the rows that make the server refuse rows, which it does because of why.
func halve[R any](ctx context.Context, w *Writer, t table[R], rows []*R, why error, refused map[*R]error) error {
	if len(rows) == 1 {
		refused[rows[0]] = why
		return nil
	}
	half := len(rows) / 2
	for _, part := range [][]*R{rows[:half], rows[half:]} {
		switch err := insert(ctx, w, t, part); {
		case refusal(err):
			if err := halve(ctx, w, t, part, err, refused); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// sample returns an error when the server refuses all of some rows.
func sample[R any](ctx context.Context, w *Writer, t table[R], rows []*R) (err error) {
	for i := range samples {
		n := i * len(rows) / samples
		if err = insert(ctx, w, t, rows[n:n+1]); !refusal(err) {
			return err
		}
	}
	if unknown(err) {
		return err
	}
	return fmt.Errorf("%w: the server refuses %d of %d rows that were tried one by one: %w", fault.ErrConfiguration, samples, samples, err)
}

// refusal reports whether the server will never take these rows: it says so, or it
// says what nobody knows. The rest of a batch shows whether it is the rows.
func refusal(err error) bool { return fault.Of(err) == fault.Refused || unknown(err) }

// unknown reports whether nothing is known of the server's code.
func unknown(err error) bool {
	code, ok := fault.CodeOf(err)
	return ok && code.System == fault.ClickHouse && code.Name == ""
}
