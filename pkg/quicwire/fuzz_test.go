package quicwire_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trench/pkg/quicwire"
)

// maxStream is what a Connection keeps of the handshake of one side.
const maxStream = 64 << 10

func FuzzConnection(f *testing.F) {
	client, server := rfcRows(f)
	f.Add(client, server)
	f.Add(server, client)
	f.Add(row(vector(f, "rfc9369-a2-client")), row(vector(f, "rfc9369-a4-retry"), vector(f, "rfc9369-a3-server")))
	f.Add(row(publicPacket("Q043", googleHello(), 0xa0, 1, 0, byte(len(googleHello())))), row([]byte("\x09connctidQ039Q035")))
	f.Add(row(publicPacket("Q025", googleHello(), 0xa4, 1, 4, 0, 9, 0)), row(append(header(0x80, 0, ofClient, first), 0, 0, 0, 1)))
	f.Add(row(slices.Concat(client[2:], varint(header(0xd0, quicwire.Version1, first, ofClient), 0))), []byte{0, 5, 0xc0, 0, 0})
	// What is fuzzed has no seal that fits, so frames are sealed here too.
	whole, _ := hellos(f)
	f.Add(crypto(whole, 100, 241), slices.Concat(ackECN, crypto(whole, 0, 120), closeFrame))
	var c, again quicwire.Connection
	f.Fuzz(func(t *testing.T, a, b []byte) {
		sealed := row(initial{dcid: first, scid: ofClient, frames: a}.seal(t), initial{dcid: first, scid: ofClient, number: 1, frames: b}.seal(t))
		for _, rows := range [][2][]byte{{a, b}, {sealed, row(initial{version: version("Q050"), keys: first, dcid: ofClient, server: true, frames: b}.seal(t))}} {
			was := [2][]byte{bytes.Clone(rows[0]), bytes.Clone(rows[1])}
			c.Parse(rows[0], rows[1])
			if len(c.Client) > maxStream || len(c.Server) > maxStream || len(c.Versions) > 32 || len(c.Google.Tags) > 128 ||
				c.DCIDLen > 255 || c.SCIDLen > 255 || c.TokenLen > len(rows[0])+len(rows[1]) {
				t.Fatalf("without bounds: %+v", c)
			}
			if !bytes.Equal(rows[0], was[0]) || !bytes.Equal(rows[1], was[1]) {
				t.Fatal("the input was changed")
			}
			// What another connection left behind has no effect.
			again.Parse(server, client)
			again.Parse(rows[0], rows[1])
			if d := cmp.Diff(c, again, cmpopts.IgnoreUnexported(quicwire.Connection{}), cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("another result the second time:\n%s", d)
			}
		}
	})
}

func FuzzTransportParameters(f *testing.F) {
	f.Add([]byte(allParameters))
	f.Add([]byte("\x00\x10\x00\x01\x00\x04\x80\x00\x75\x30\x00\x0c\x00\x00\x00\x1b\x00\x00"))
	var p, again quicwire.TransportParameters
	f.Fuzz(func(t *testing.T, ext []byte) {
		quicwire.ParseTransportParameters(ext, &p)
		if len(p.List) > 128 || p.Count > len(p.List) || len(p.Versions) > 32 {
			t.Fatalf("without bounds: %+v", p)
		}
		quicwire.ParseTransportParameters([]byte(allParameters), &again)
		quicwire.ParseTransportParameters(ext, &again)
		if d := cmp.Diff(p, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("another result the second time:\n%s", d)
		}
	})
}
