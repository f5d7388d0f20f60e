package local

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPartsNamedByTheEnvironmentAreNotStarted(t *testing.T) {
	t.Parallel()
	both := []string{KafkaPart, ClickHousePart}
	for _, tc := range []struct {
		name    string
		env     map[string]string
		ask     []string
		parts   Parts
		missing []string
	}{
		{name: "nothing named", ask: both, missing: both},
		{
			name:  "everything named",
			env:   map[string]string{brokersVar: "a:1,b:2", nativeVar: "c:3", httpVar: "c:4"},
			ask:   both,
			parts: Parts{KafkaBrokers: []string{"a:1", "b:2"}, ClickHouseNative: "c:3", ClickHouseHTTP: "c:4"},
		},
		{
			name:    "half of a part is not that part",
			env:     map[string]string{brokersVar: "a:1", nativeVar: "c:3"},
			ask:     both,
			parts:   Parts{KafkaBrokers: []string{"a:1"}},
			missing: []string{ClickHousePart},
		},
		{
			name: "what was not asked for is not returned",
			env:  map[string]string{brokersVar: "a:1", nativeVar: "c:3", httpVar: "c:4"},
			ask:  []string{KafkaPart}, parts: Parts{KafkaBrokers: []string{"a:1"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			parts, missing := given(func(name string) string { return tc.env[name] }, tc.ask)
			if diff := cmp.Diff(tc.parts, parts); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.missing, missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnvFileWithoutAnAssignmentIsRefused(t *testing.T) {
	t.Parallel()
	got, err := assignments([]byte("A=1\nB=x=y\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A": "1", "B": "x=y"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := assignments([]byte("A=1\nnonsense\n")); err == nil {
		t.Error("a line without = is accepted")
	}
}
