package store

import (
	"errors"

	"github.com/ClickHouse/clickhouse-go/v2"

	"trench/pkg/fault"
)

// ErrNotMigrated is wrapped by Check's error for a database that is not there or
// has no tables yet.
var ErrNotMigrated = errors.New("not migrated")

// explain adds to an error of the server what its code means; see package fault.
func explain(err error) error {
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		return &fault.Error{Code: fault.Lookup(fault.ClickHouse, int(e.Code)), Err: err}
	}
	return fault.Explain(err)
}
