package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"trench/pkg/flow"
	"trench/pkg/store"
	"trench/pkg/wire"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestMomentsAreTimesDatesOrAges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"": {}, "90m": noon.Add(-90 * time.Minute), "2026-01-30": noon.Add(-36 * time.Hour),
		"2026-01-31T13:00:00+02:00": noon.Add(-time.Hour), "2026-01-31 11:59:00": noon.Add(-time.Minute),
	} {
		got, err := moment(text, noon)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, err = %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "2026-13-01", "12"} {
		if got, err := moment(text, noon); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func TestWrongChoicesOfDeadLettersAreWrongUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"deadletter show", "requires at least 1 arg"},
		{"deadletter show xyz", "no id of a dead letter"},
		{"deadletter list --since never", "--since"},
		{"deadletter list --flow 12", "--flow: flow_id"},
		{"deadletter list --limit -1", "--limit"},
		{"deadletter replay", "take --all"},
		{"deadletter replay --all --stage sink", "take --all"},
		{"trace", "accepts 1 arg"},
		{"trace 0123", "32 hex digits"},
		{"trace 0123456789abcdef0123456789abcdeg", "invalid byte"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(c.args), nil, &bytes.Buffer{}, &stderr); code != 2 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: exit code %d, %s", c.args, code, &stderr)
		}
	}
}

func TestALetterIsShownWithWhatCanBeDone(t *testing.T) {
	t.Parallel()
	id := flow.ID{1, 2, 3}
	value, err := wire.MarshalFlow(nil, &flow.Flow{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	letter := func(change func(*store.Letter)) string {
		l := store.Letter{ID: "00112233445566aa", DeadLetter: wire.DeadLetter{
			Stage: "features", Error: "bad\x1b[2J", Topic: wire.TopicFlows, Partition: 3, Offset: 17, Time: noon, Failed: noon.Add(time.Second),
			Key: id[:], Value: value, ValueBytes: uint64(len(value)),
			Headers: []wire.DeadLetterHeader{{Key: wire.HeaderTrace, Value: []byte("capture=1764003680123456 features=+5210,3:18822")}, {Key: "h", Value: []byte("x")}},
		}}
		change(&l)
		var b bytes.Buffer
		if err := showLetter(&b, &l); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, c := range []struct {
		change func(*store.Letter)
		want   []string
	}{
		{func(*store.Letter) {}, []string{"error      bad·[2J", "trench.flows.v1 3:17", "flow_id    010203", "this version can read it", "read from partition 3 offset 18822", `header     h: "x"`, "00000000  "}},
		{func(l *store.Letter) { l.Value = []byte{0xff}; l.ValueBytes = 1 }, []string{"can not read it either"}},
		{func(l *store.Letter) { l.ValueBytes += 100 }, []string{"can not be replayed: it holds"}},
		{func(l *store.Letter) { l.Key = make([]byte, wire.MaxKey) }, []string{"can not be replayed: it holds"}},
		{func(l *store.Letter) { l.Headers[1].Value = make([]byte, 4<<10) }, []string{"can not be replayed: it holds"}},
		{func(l *store.Letter) { l.Partition, l.Offset, l.Value, l.ValueBytes = -1, -1, nil, 0 }, []string{"for trench.flows.v1", "the record never came to be"}},
		{func(l *store.Letter) { l.Topic = "other" }, []string{"none of trench's"}},
		{func(l *store.Letter) { l.Key = []byte("k"); l.Replayed = noon }, []string{"key        6b", "replayed   2026-01-31T12:00:00Z"}},
	} {
		got := letter(c.change)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in\n%s", want, got)
			}
		}
	}
}
