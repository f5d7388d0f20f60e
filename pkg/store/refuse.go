package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
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
// k of n cost about 2·k·log n inserts. When the error is nil all rows but
// these are in; after an error the batch can be delivered again.
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
	err = halve(ctx, w, t, rows, err, refused)
	w.metrics.refuse(t.name, len(refused))
	return refused, err
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
	return fmt.Errorf("%w: the server refuses %d of %d rows that were tried one by one: %w", ErrPermanent, samples, samples, err)
}

// refusals are the server's codes that say that a row is not to its liking.
var refusals = map[int32]string{
	6: "CANNOT_PARSE_TEXT", 25: "CANNOT_PARSE_ESCAPE_SEQUENCE", 26: "CANNOT_PARSE_QUOTED_STRING", 27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
	38: "CANNOT_PARSE_DATE", 41: "CANNOT_PARSE_DATETIME", 69: "ARGUMENT_OUT_OF_BOUND", 70: "CANNOT_CONVERT_TYPE", 72: "CANNOT_PARSE_NUMBER",
	117: "INCORRECT_DATA", 128: "TOO_LARGE_ARRAY_SIZE", 131: "TOO_LARGE_STRING_SIZE", 321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
	349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", 395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", 407: "DECIMAL_OVERFLOW",
	469: "VIOLATED_CONSTRAINT", 691: "UNKNOWN_ELEMENT_OF_ENUM",
}

// passing are codes of faults that pass by themselves.
var passing = map[int32]string{
	3: "UNEXPECTED_END_OF_FILE", 23: "CANNOT_READ_FROM_ISTREAM", 24: "CANNOT_WRITE_TO_OSTREAM", 32: "ATTEMPT_TO_READ_AFTER_EOF", 33: "CANNOT_READ_ALL_DATA",
	74: "CANNOT_READ_FROM_FILE_DESCRIPTOR", 75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR", 76: "CANNOT_OPEN_FILE", 159: "TIMEOUT_EXCEEDED",
	160: "TOO_SLOW", 173: "CANNOT_ALLOCATE_MEMORY", 201: "QUOTA_EXCEEDED", 202: "TOO_MANY_SIMULTANEOUS_QUERIES", 203: "NO_FREE_CONNECTION",
	209: "SOCKET_TIMEOUT", 210: "NETWORK_ERROR", 225: "NO_ZOOKEEPER", 236: "ABORTED", 241: "MEMORY_LIMIT_EXCEEDED", 242: "TABLE_IS_READ_ONLY",
	243: "NOT_ENOUGH_SPACE", 252: "TOO_MANY_PARTS", 285: "TOO_FEW_LIVE_REPLICAS", 319: "UNKNOWN_STATUS_OF_INSERT", 394: "QUERY_WAS_CANCELLED",
	425: "SYSTEM_ERROR", 473: "DEADLOCK_AVOIDED", 999: "KEEPER_EXCEPTION", 1000: "POCO_EXCEPTION", 1001: "STD_EXCEPTION", 1002: "UNKNOWN_EXCEPTION",
}

func code(err error) (int32, bool) {
	var e *clickhouse.Exception
	if !errors.As(err, &e) || errors.Is(err, ErrPermanent) {
		return 0, false
	}
	return e.Code, true
}

// refusal reports whether the server will never take these rows.
func refusal(err error) bool {
	c, ok := code(err)
	if !ok {
		return false
	}
	_, passes := passing[c]
	return !passes
}

// unknown reports whether err is a refusal only because nothing is known of its code.
func unknown(err error) bool {
	c, ok := code(err)
	_, known := refusals[c]
	return ok && !known && refusal(err)
}
