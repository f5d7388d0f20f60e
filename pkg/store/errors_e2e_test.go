//go:build e2e

package store_test

import (
	"fmt"
	"testing"

	"trench/pkg/fault"
	"trench/pkg/internal/e2e"
	"trench/pkg/internal/local"
)

func TestTheTableOfErrorsHasTheServersNames(t *testing.T) {
	t.Parallel()
	_, http := local.ClickHouse(t)
	rows, err := e2e.Query(http, "default", "SELECT number AS code, errorCodeToName(toUInt32(number)) AS name FROM numbers(1100) WHERE name != ''")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, r := range rows {
		names[fmt.Sprint(r["code"])] = fmt.Sprint(r["name"])
	}
	for _, c := range fault.Codes() {
		if c.System == fault.ClickHouse && names[fmt.Sprint(c.Number)] != c.Name {
			t.Errorf("%d is %q here, the server says %q", c.Number, c.Name, names[fmt.Sprint(c.Number)])
		}
	}
}
