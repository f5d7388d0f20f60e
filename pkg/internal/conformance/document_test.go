package main

import (
	"strings"
	"testing"

	"trench/pkg/internal/conformance/reference"
)

func TestTheDocumentShowsCountsAndDifferencesByCause(t *testing.T) {
	t.Parallel()
	known := &cause{Title: "Known", Cause: "Because.", Right: "both"}
	d := difference{reference: "zeek", capture: "protocol-tests/zeek/a.pcap", flow: "192.0.2.1:1 > 192.0.2.2:443", field: "sni", ours: "", theirs: "a|b"}
	second := d
	second.flow = "192.0.2.1:2 > 192.0.2.2:443"
	r := &report{
		references: []reference.Reference{{ID: "zeek", Name: "Zeek"}},
		comparison: &comparison{
			tallies: []*tally{
				{reference: "zeek", field: "flow", equal: 3, compared: 3, captures: map[string]bool{"a": true}},
				{reference: "zeek", field: "sni", equal: 1, compared: 3, captures: map[string]bool{"a": true, "b": true}},
			},
			differences: []difference{d, second},
			hellos:      helloCount{shown: 5, found: 4, captures: 2, more: map[string][]string{"tls": {"x", "y"}, "quic": {"z"}}},
		},
		causes: []*cause{known}, explained: map[*cause][]difference{known: {d, second}},
	}
	text := string(r.document())
	for _, want := range []string{
		"| Zeek | flow | 3 | 3 | 1 |\n|  | sni | 1 | 3 | 2 |\n| **all** | | **4** | **6** |",
		"tshark shows 5 ClientHellos", "the hello for 4 of them", "3 more flows (1 quic, 2 tls)",
		"2 in all (2: both are right by their own definition).",
		"### Known\n\nBecause. *Both are right by their own definition.*",
		"| zeek | zeek/a.pcap | 192.0.2.1:1 > 192.0.2.2:443 and 1 more | sni | – | a\\|b |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "Unexplained") {
		t.Error("a section of unexplained differences, and none is")
	}
	r.unexplained = []difference{d}
	if text := string(r.document()); !strings.Contains(text, "**Without a cause: 1.**") || r.err() == nil {
		t.Error("an unexplained difference does not show")
	}
}
