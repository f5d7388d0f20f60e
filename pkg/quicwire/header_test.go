package quicwire_test

import (
	"slices"
	"testing"

	"trench/pkg/quicwire"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	for v, name := range map[uint32]string{
		quicwire.Version1: "1", quicwire.Version2: "2", 0xff000016: "draft-22", 0xff00001d: "draft-29", 0xff000022: "draft-34",
		0x51303433: "Q043", 0x51303530: "Q050", 0x54303530: "T050", 0x54303531: "T051", 0xfaceb002: "0xfaceb002", 0x1a2a3a4a: "grease",
	} {
		if got := quicwire.VersionName(v); got != name || !quicwire.IsVersion(v) {
			t.Errorf("%#x: got %q, want %q, known %v", v, got, name, quicwire.IsVersion(v))
		}
	}
	for v, name := range map[uint32]string{0: "", 2: "0x00000002", 0xff000015: "0xff000015", 0xff000023: "0xff000023", 0x51303531: "0x51303531", 0x48545450: "0x48545450"} {
		if got := quicwire.VersionName(v); got != name || quicwire.IsVersion(v) {
			t.Errorf("%#x: got %q, want %q, known %v", v, got, name, quicwire.IsVersion(v))
		}
	}
}

func TestLooksLike(t *testing.T) {
	t.Parallel()
	client, server, retry := vector(t, "rfc9001-a2-client"), vector(t, "rfc9001-a3-server"), vector(t, "rfc9001-a4-retry")
	longID := append(header(0xc0, quicwire.Version1, make([]byte, 21), ofClient), make([]byte, 100)...)
	handshake := append(varint(header(0xe0, quicwire.Version1, first, nil), 40), make([]byte, 40)...)
	negotiation := append(header(0x80, 0, ofClient, first), 0, 0, 0, 1, 0x1a, 0x2a, 0x3a, 0x4a)
	for name, c := range map[string]struct {
		datagram      []byte
		initial, long bool
	}{
		"Initial of the client":    {client, true, true},
		"Initial of the server":    {server, true, true},
		"cut by the snap length":   {client[:100], true, true},
		"version 2":                {vector(t, "rfc9369-a2-client"), true, true},
		"Retry":                    {retry, false, true},
		"Retry of version 2":       {vector(t, "rfc9369-a4-retry"), false, true},
		"Handshake":                {handshake, false, true},
		"negotiation":              {negotiation, false, true},
		"negotiation without any":  {negotiation[:len(negotiation)-8], false, false},
		"negotiation that is cut":  {negotiation[:len(negotiation)-1], false, false},
		"negotiation of unknown":   {append(header(0x80, 0, ofClient, first), 0, 0, 0, 9), false, false},
		"too short":                {client[:30], false, false},
		"connection id too long":   {longID, false, false},
		"unknown version":          {append(header(0xc0, 7, first, nil), make([]byte, 100)...), false, false},
		"short header":             {append([]byte{0x41}, client...), false, false},
		"DNS":                      {[]byte("\xc0\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01"), false, false},
		"nothing":                  {nil, false, false},
		"one byte":                 {[]byte{0xc0}, false, false},
		"zeros":                    {make([]byte, 1200), false, false},
		"Q043, a public header":    {publicPacket("Q043", googleHello(), 0x80, 1), true, false},
		"a public header, no more": {publicPacket("Q043", nil)[:14], false, false},
	} {
		if i, l := quicwire.LooksLikeInitial(c.datagram), quicwire.LooksLikeLongHeader(c.datagram); i != c.initial || l != c.long {
			t.Errorf("%s: Initial %v, want %v; long header %v, want %v", name, i, c.initial, l, c.long)
		}
		if p := quicwire.IsPublicHeader(c.datagram); p != slices.Contains([]string{"Q043, a public header", "a public header, no more"}, name) {
			t.Errorf("%s: public header %v", name, p)
		}
	}
}
