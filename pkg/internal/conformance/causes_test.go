package main

import (
	"strings"
	"testing"
)

func TestWildcards(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"a/b.pcap", "a/b.pcap", true}, {"a/b.pcap", "a/b.pcapng", false}, {"*", "", true}, {"a/*.pcap", "a/b/c.pcap", true},
		{"t??d*h2_*", "t13d1516h2_x_y", true}, {"t??d*h2_*", "t13i1516h2_x_y", false}, {"?", "", false}, {"*b*", "abc", true},
	} {
		if got := wildcard(c.pattern, c.s); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.s, got)
		}
	}
}

func TestCausesExplainAndGoStale(t *testing.T) {
	t.Parallel()
	causes, err := parseCauses([]byte(`
- title: One
  cause: Because.
  right: trench
  differences:
    - {references: [ndpi], fields: [ja4], ours: ['t*']}
    - {references: [zeek]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if explain(causes, difference{reference: "ndpi", field: "ja4", ours: "q13"}) != nil {
		t.Error("a difference of another value was explained")
	}
	if c := explain(causes, difference{reference: "ndpi", field: "ja4", ours: "t13"}); c == nil || c.Title != "One" {
		t.Errorf("got %v", c)
	}
	if got := stale(causes, []string{"ndpi"}); len(got) != 0 {
		t.Errorf("stale %q, want none: zeek was not run", got)
	}
	if got := stale(causes, []string{"ndpi", "zeek"}); len(got) != 1 || got[0] != "One, difference 2" {
		t.Errorf("stale %q", got)
	}
}

func TestCausesNeedAllParts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"- {title: a, cause: b, right: nobody, differences: [{references: [x]}]}", "- {title: a, cause: b, right: trench}",
		"- {title: a, right: trench, differences: [{references: [x]}]}", "- {title: a, causes: b}",
	} {
		if _, err := parseCauses([]byte(text)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

func TestLongValuesAreShownFromWhereTheyPart(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("1234,", 20)
	if a, b := part(long+"5,6", long+"7"); a != "…5,6" || b != "…7" {
		t.Errorf("got %q and %q", a, b)
	}
	if a, b := part("x", "y"); a != "x" || b != "y" {
		t.Errorf("got %q and %q", a, b)
	}
}
