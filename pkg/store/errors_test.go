package store

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"trench/pkg/fault"
)

func TestErrorsOfTheServerHaveTheirClass(t *testing.T) {
	t.Parallel()
	for code, want := range map[int32]fault.Class{
		60: fault.Configuration, 516: fault.Configuration, 497: fault.Configuration,
		252: fault.Transient, 241: fault.Transient, 202: fault.Transient, 242: fault.Transient, 31999: fault.Transient,
		131: fault.Refused, 469: fault.Refused,
	} {
		cause := &clickhouse.Exception{Code: code, Message: "no"}
		err := explain(fmt.Errorf("send: %w", cause))
		if got := fault.Of(err); got != want {
			t.Errorf("code %d: class %v, want %v", code, got, want)
		}
		if errors.Is(err, fault.ErrConfiguration) != (want == fault.Configuration) || !errors.Is(err, cause) {
			t.Errorf("code %d: %v", code, err)
		}
		if c, ok := fault.CodeOf(err); !ok || c.Number != int(code) || c.System != fault.ClickHouse {
			t.Errorf("code %d is carried as %+v", code, c)
		}
	}
	if err := explain(&clickhouse.Exception{Code: 60}); !strings.Contains(err.Error(), "run the migrate command") {
		t.Errorf("err = %v, want it to say what to do", err)
	}
	if err := explain(io.EOF); err != io.EOF {
		t.Errorf("err = %v, want EOF as it is", err)
	}
}
