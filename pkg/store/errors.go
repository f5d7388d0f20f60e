package store

import (
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ErrPermanent is wrapped by errors of the server that trying again will not end:
// a missing table or column, a wrong user, a missing right.
var ErrPermanent = errors.New("permanent fault")

// ErrNotMigrated is wrapped by Check's error for a database that is not there or
// has no tables yet.
var ErrNotMigrated = errors.New("not migrated")

// permanent holds the server's codes that an operator has to deal with.
var permanent = map[int32]string{
	16: "NO_SUCH_COLUMN_IN_TABLE", 44: "ILLEGAL_COLUMN", 47: "UNKNOWN_IDENTIFIER", 50: "UNKNOWN_TYPE", 53: "TYPE_MISMATCH",
	60: "UNKNOWN_TABLE", 62: "SYNTAX_ERROR", 81: "UNKNOWN_DATABASE", 115: "UNKNOWN_SETTING", 164: "READONLY",
	192: "UNKNOWN_USER", 193: "WRONG_PASSWORD", 194: "REQUIRED_PASSWORD", 452: "SETTING_CONSTRAINT_VIOLATION",
	497: "ACCESS_DENIED", 516: "AUTHENTICATION_FAILED",
}

func classify(err error) error {
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		if _, ok := permanent[e.Code]; ok {
			return fmt.Errorf("%w: %w", ErrPermanent, err)
		}
	}
	return err
}
