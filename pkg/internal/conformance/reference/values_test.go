package reference

import (
	"net/netip"
	"slices"
	"testing"

	"trench/pkg/record"
)

func row(client, server string, ts int64, splt ...record.Packet) *record.Record {
	c, s := netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)
	return &record.Record{Proto: "tcp", TS: ts, ClientIP: c.Addr(), ClientPort: c.Port(), ServerIP: s.Addr(), ServerPort: s.Port(), SPLT: splt}
}

func TestSequencesJoinRows(t *testing.T) {
	t.Parallel()
	a := row("192.0.2.1:1", "192.0.2.2:443", 0, record.Packet{Length: 100}, record.Packet{Length: -200, Delta: .25}, record.Packet{Length: 30, Delta: .001})
	b := row("192.0.2.2:443", "192.0.2.1:1", 5e9, record.Packet{Length: 7})
	client := netip.MustParseAddrPort("192.0.2.1:1")
	got := splt([]*record.Record{a, b}, client, -1)
	if s := lengthList(got); s != "100 -200 30 -7" {
		t.Errorf("lengths %s", s)
	}
	if s := timeList(got); s != "0 250000 1000 -1" {
		t.Errorf("times over TCP %s, want the last unknown", s)
	}
	a.Proto, b.Proto = "udp", "udp"
	if s := timeList(splt([]*record.Record{a, b}, client, -1)); s != "0 250000 1000 4749000" {
		t.Errorf("times over UDP %s", s)
	}
	if s := histogram(got[:3], true, false); s != "0 1 0 1 0 0 0 0" {
		t.Errorf("histogram of lengths %s", s)
	}
	if s := histogram(got[:3], true, true); s != "0 0 0 0 1 0 0 0" {
		t.Errorf("histogram of times %s", s)
	}
}

func TestBurstsEndWithASecondOfSilence(t *testing.T) {
	t.Parallel()
	list := []packet{{10, 0}, {20, 1e5}, {-5, 1e5}, {30, 1e5}, {40, 2e6}, {50, 0}, {60, 3e6}}
	if got := burstsOf(list, true); !slices.Equal(got, []string{"3/60"}) {
		t.Errorf("got %q, want one burst of three packets and 60 bytes", got)
	}
}

func TestNamesAreMadeComparable(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"TLSv12", "TLS 1.2"}, {"TLSv1", "TLS 1.0"}, {"TLSv10", "TLS 1.0"}, {"TLS 1.3 draft-<16", "TLS 1.3"}, {"TLSv13-draft14", "TLS 1.3"},
		{"DTLSv1.2", "DTLS 1.2"}, {"SSLv3", "SSL 3.0"}, {"unknown-32257", "unknown-32257"},
	} {
		if got := versionName(c[0]); got != c[1] {
			t.Errorf("version %q: %q, want %q", c[0], got, c[1])
		}
	}
	for _, c := range [][2]string{
		{`CN=a\, b,O=c\2b,C=US`, "C=US, CN=a, b, O=c+"}, {"C=US, O=GitHub, Inc., CN=x, Email=y", "C=US, CN=x, EMAIL=y, O=GitHub, Inc."},
		{"emailAddress=y+CN=x", "CN=x, EMAIL=y"},
	} {
		if got := canonicalName(c[0]); got != c[1] {
			t.Errorf("name %q: %q, want %q", c[0], got, c[1])
		}
	}
	if got := canonicalSerial("00:0A:5b"); got != "a5b" {
		t.Errorf("serial %q", got)
	}
	if got := quicVersion(0xff00001d); got != "draft-29" {
		t.Errorf("QUIC version %q", got)
	}
}
