package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/internal/e2e"
)

func TestDifferencesAreFoundAndNamed(t *testing.T) {
	t.Parallel()
	read := func(s string) []e2e.Row {
		rows, err := e2e.ReadNDJSON(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	ndjson := read(`{"flow_id":"a","ts":"2024-01-02T03:04:05.100000Z","splt":[[5,0],[-7,0.25]],"score":null,"bytes_c2s":18446744073709551615,"dns":{"rcode":"NOERROR"}}
{"flow_id":"b","tls_sni":"x"}`)
	clickhouse := read(`{"flow_id":"a","ts":"2024-01-02T03:04:05.100000000Z","splt":[{"length":5,"delta":0},{"length":-7,"delta":0.25}],"score":null,"bytes_c2s":18446744073709551615,"dns":{"rcode":"NOERROR","age":null,"queries":[]},"http":{"requests":[]},"ja3":"","ingested":"now"}
{"flow_id":"c"}`)
	var want, got []e2e.Row
	for i := range ndjson {
		want, got = append(want, e2e.FromNDJSON(ndjson[i])), append(got, e2e.FromClickHouse(clickhouse[i]))
	}
	if d := cmp.Diff([]string{"flow b is missing", "flow c is not wanted"}, e2e.Differences(want, got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	got[0]["splt"], got[1] = []any{[]any{5.0, 0.0}}, e2e.Row{"flow_id": "b", "tls_sni": "y"}
	if d := cmp.Diff([]string{
		`column splt differs in 1 rows: flow a: want [[5,0],[-7,0.25]], got [[5,0]]`,
		`column tls_sni differs in 1 rows: flow b: want "x", got "y"`,
	}, e2e.Differences(want, got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
