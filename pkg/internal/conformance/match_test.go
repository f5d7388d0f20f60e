package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"trench/pkg/internal/conformance/reference"
	"trench/pkg/record"
)

func row(client, server string, ts int64, change func(*record.Record)) *record.Record {
	c, s := netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)
	r := &record.Record{Source: "some.pcap", Proto: "tcp", TS: ts, ClientIP: c.Addr(), ClientPort: c.Port(), ServerIP: s.Addr(), ServerPort: s.Port()}
	if change != nil {
		change(r)
	}
	return r
}

func fieldJA3(want string) reference.Value {
	return reference.Value{Field: "ja3", Want: want, Got: func(rows []*record.Record) string { return rows[0].JA3 }}
}

func fieldSNI(want string) reference.Value {
	return reference.Value{Field: "sni", Want: want, Got: func(rows []*record.Record) string { return rows[0].TLSSNI }}
}

func want(client, server string, ordinal int, ja3 string) *reference.Expectation {
	return &reference.Expectation{Reference: "tshark", Captures: []string{"some.pcap"}, Proto: "tcp", Ordinal: ordinal, Hellos: 1,
		Ends:   []reference.Ends{{Client: netip.MustParseAddrPort(client), Server: netip.MustParseAddrPort(server)}},
		Values: []reference.Value{fieldJA3(ja3)}}
}

func TestFlowsAreMatchedInEitherDirectionAndInOrder(t *testing.T) {
	t.Parallel()
	tls := func(ja3 string) func(*record.Record) {
		return func(r *record.Record) { r.AppProto, r.JA3, r.JA4 = "tls", ja3, "t" }
	}
	rows := map[string][]*record.Record{"some.pcap": {
		row("192.0.2.1:1", "192.0.2.2:443", 1, nil), // a connection without TLS does not count
		row("192.0.2.1:1", "192.0.2.2:443", 2, tls("a")),
		row("192.0.2.2:443", "192.0.2.1:1", 3, tls("b")),
		row("192.0.2.9:9", "192.0.2.2:443", 4, tls("more")),
	}}
	c := compare(rows, []*reference.Expectation{
		want("192.0.2.1:1", "192.0.2.2:443", 0, "a"),
		want("192.0.2.1:1", "192.0.2.2:443", 0, "a"), // told twice, counts once
		want("192.0.2.1:1", "192.0.2.2:443", 1, "c"),
		want("192.0.2.1:1", "192.0.2.2:443", 2, "d"),
	})
	var got []string
	for _, d := range c.differences {
		got = append(got, strings.Join([]string{d.flow, d.field, d.ours, d.theirs}, " | "))
	}
	wanted := []string{
		"192.0.2.1:1 > 192.0.2.2:443 #2 | ja3 | b | c",
		"192.0.2.1:1 > 192.0.2.2:443 #3 | flow | none | seen",
		"192.0.2.1:1 > 192.0.2.2:443 #3 | hello | none | seen",
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("got %q, want %q", got, wanted)
	}
	if c.hellos.shown != 4 || c.hellos.found != 3 || len(c.hellos.more["tls"]) != 1 {
		t.Errorf("hellos: %+v", c.hellos)
	}
	for _, tally := range c.tallies {
		if tally.field == "ja3" && (tally.compared != 2 || tally.equal != 1) {
			t.Errorf("ja3: %d of %d equal, want 1 of 2", tally.equal, tally.compared)
		}
	}
}

func TestARowIsFoundByCertificateAndByAgreement(t *testing.T) {
	t.Parallel()
	rows := map[string][]*record.Record{"some.pcap": {
		row("192.0.2.1:1", "192.0.2.2:443", 1, func(r *record.Record) { r.AppProto, r.JA3, r.TLSSNI = "tls", "a", "x" }),
		row("192.0.2.1:2", "192.0.2.2:443", 2, func(r *record.Record) {
			r.AppProto, r.JA3, r.TLSSNI = "tls", "a", "y"
			r.CertChain = []record.Certificate{{SHA256: "s"}}
		}),
	}}
	cert := &reference.Expectation{Reference: "zeek", Captures: []string{"some.pcap"}, Kind: reference.Certificate, Digest: "s",
		Values: []reference.Value{fieldSNI("y")}}
	loose := &reference.Expectation{Reference: "suricata", Captures: []string{"some.pcap"}, Values: []reference.Value{fieldJA3("a"), fieldSNI("y")}}
	if c := compare(rows, []*reference.Expectation{cert, loose}); len(c.differences) != 0 {
		t.Errorf("differences: %v", c.differences)
	}
}
