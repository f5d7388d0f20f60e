package quicwire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"trench/pkg/quicwire"
	"trench/pkg/tlswire"
)

// vector reads an example packet of an RFC.
func vector(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile("testdata/" + name + ".hex")
	if err != nil {
		tb.Fatal(err)
	}
	out, err := hex.DecodeString(strings.Join(strings.Fields(string(raw)), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// row puts datagrams behind their lengths.
func row(datagrams ...[]byte) []byte {
	var out []byte
	for _, d := range datagrams {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(d))), d...)
	}
	return out
}

// hello parses what a connection showed of TLS.
func hello(c *quicwire.Connection) *tlswire.Handshake {
	var h tlswire.Handshake
	h.ParseMessages(c.Client, c.Server)
	return &h
}

func TestExamplesOfTheRFCs(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		rfc     string
		version uint32
	}{
		{"rfc9001", quicwire.Version1},
		{"rfc9369", quicwire.Version2},
	} {
		t.Run(v.rfc, func(t *testing.T) {
			t.Parallel()
			var c quicwire.Connection
			c.Parse(row(vector(t, v.rfc+"-a2-client")), row(vector(t, v.rfc+"-a3-server")))
			h := hello(&c)
			if c.Version != v.version || c.Offered != v.version || c.Incomplete || c.Reversed || c.Retry || c.GQUIC ||
				!c.ClientSeen || !c.ServerSeen || c.DCIDLen != 8 || c.SCIDLen != 0 || c.TokenLen != 0 {
				t.Errorf("got %+v", c)
			}
			if !h.ClientSeen || h.Incomplete || string(h.Client.SNI) != "example.com" || len(c.Client) != 241 {
				t.Errorf("client: %x", c.Client)
			}
			if !h.ServerSeen || h.Server.CipherSuite != 0x1301 || len(c.Server) != 90 {
				t.Errorf("server: %x", c.Server)
			}
			c.Parse(row(vector(t, v.rfc+"-a2-client")), row(vector(t, v.rfc+"-a4-retry")))
			if !c.Retry || !c.ServerSeen || c.Version != v.version || c.Incomplete {
				t.Errorf("retry: got %+v", c)
			}
		})
	}
}

// hellos returns the hellos of the example in RFC 9001.
func hellos(tb testing.TB) (client, server []byte) {
	tb.Helper()
	var c quicwire.Connection
	c.Parse(row(vector(tb, "rfc9001-a2-client")), row(vector(tb, "rfc9001-a3-server")))
	return slices.Clone(c.Client), slices.Clone(c.Server)
}

var (
	// Frames that hold nothing of the handshake.
	ping       = []byte{1}
	ack        = []byte{2, 9, 0x40, 0xb9, 2, 0, 1, 2, 3, 4}    // three ranges
	ackECN     = []byte{3, 9, 0, 0, 0, 5, 6, 0x80, 0, 0, 7}    // and three counts
	closeFrame = []byte{0x1c, 0x41, 0x28, 6, 3, 'b', 'a', 'd'} // with a reason
	// Connection ids.
	first      = []byte("first-id")
	ofClient   = []byte("client")
	ofServer   = []byte("the server's")
	afterRetry = []byte("after retry")
)

func TestClientHelloOverSeveralInitials(t *testing.T) {
	t.Parallel()
	want, server := hellos(t)
	made := func(number uint64, frames ...[]byte) []byte {
		return initial{dcid: first, scid: ofClient, number: number, frames: join(frames...)}.seal(t)
	}
	for name, datagrams := range map[string][][]byte{
		"in order":        {made(0, crypto(want, 0, 100)), made(1, crypto(want, 100, 241))},
		"in other order":  {made(0, crypto(want, 200, 241), ping, crypto(want, 50, 200)), made(1, crypto(want, 0, 50))},
		"overlapping":     {made(0, crypto(want, 90, 150), crypto(want, 0, 120)), made(1, crypto(want, 10, 241))},
		"again":           {made(0, crypto(want, 0, 100)), made(1, crypto(want, 0, 100)), made(2, crypto(want, 100, 241))},
		"among others":    {made(0, ack, crypto(want, 0, 100), ackECN), made(700, closeFrame, ping, crypto(want, 100, 241))},
		"empty frames":    {made(0, crypto(want, 0, 0), crypto(want, 7, 7), crypto(want, 0, 241))},
		"in one datagram": {slices.Concat(made(0, crypto(want, 0, 9)), made(1, crypto(want, 9, 241)))},
		"and other noise": {{0x40, 1, 2, 3}, {}, made(3, crypto(want, 0, 241)), {0xff}},
		"padded outside":  {append(made(0, crypto(want, 0, 241)), make([]byte, 100)...)},
	} {
		var c quicwire.Connection
		answer := initial{keys: first, dcid: ofClient, scid: ofServer, server: true, frames: join(ack, crypto(server, 0, 90))}
		c.Parse(row(datagrams...), row(answer.seal(t)))
		if !bytes.Equal(c.Client, want) || !bytes.Equal(c.Server, server) || c.Incomplete || c.DCIDLen != len(first) || c.SCIDLen != len(ofClient) {
			t.Errorf("%s: %d and %d bytes, %+v", name, len(c.Client), len(c.Server), c)
		}
	}
}

func TestEveryVersionHasItsKeys(t *testing.T) {
	t.Parallel()
	want, _ := hellos(t)
	for _, v := range []uint32{
		quicwire.Version1, quicwire.Version2, 0xfaceb001, 0xfaceb002, 0xff000016, 0xff000017, 0xff00001c, 0xff00001d, 0xff000020, 0xff000021, 0xff000022, 0x1a2a3a4a,
	} {
		var c quicwire.Connection
		c.Parse(row(initial{version: v, dcid: first, frames: join(crypto(want, 0, 241))}.seal(t)), nil)
		if !bytes.Equal(c.Client, want) || c.Version != v || c.Incomplete || c.GQUIC {
			t.Errorf("%s: got %+v", quicwire.VersionName(v), c)
		}
	}
	for _, name := range []string{"T050", "T051"} { // TLS in frames of Google
		var c quicwire.Connection
		frame := append([]byte{8, 0, 0x40, 0xf1}, want...)
		c.Parse(row(initial{version: version(name), dcid: first, frames: join(frame)}.seal(t)), nil)
		if !bytes.Equal(c.Client, want) || c.Version != version(name) || c.Incomplete || c.GQUIC {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}

func TestPacketNumbersAreCompleted(t *testing.T) {
	t.Parallel()
	want, _ := hellos(t)
	for name, p := range map[string]struct {
		short   bool
		numbers [3]uint64
	}{
		"around 32 bits":         {false, [3]uint64{1<<32 - 2, 1<<32 + 1, 1 << 32}},
		"one byte, up and down":  {true, [3]uint64{200, 300, 250}},
		"one byte, in one epoch": {true, [3]uint64{0, 3, 1}},
	} {
		var datagrams [][]byte
		for i, n := range p.numbers {
			datagrams = append(datagrams, initial{dcid: first, number: n, short: p.short, frames: join(crypto(want, 80*i, 80*i+81))}.seal(t))
		}
		var c quicwire.Connection
		c.Parse(row(datagrams...), nil)
		if !bytes.Equal(c.Client, want) || c.Incomplete {
			t.Errorf("%s: got %d bytes", name, len(c.Client))
		}
	}
}

func TestPiecesInAnyOrder(t *testing.T) {
	t.Parallel()
	want, _ := hellos(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var c quicwire.Connection
	for range 200 {
		var frames [][]byte
		for at := 0; at < len(want); {
			to := min(len(want), at+1+rng.IntN(40))
			frames = append(frames, crypto(want, max(0, at-rng.IntN(20)), to))
			at = to
		}
		rng.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
		half := len(frames) / 2
		c.Parse(row(
			initial{dcid: first, number: 0, frames: join(frames[:half]...)}.seal(t),
			initial{dcid: first, number: 1, frames: join(frames[half:]...)}.seal(t),
		), nil)
		if !bytes.Equal(c.Client, want) || c.Incomplete {
			t.Fatalf("got %x", c.Client)
		}
	}
}

func TestOfBytesThatComeTwiceTheFirstStand(t *testing.T) {
	t.Parallel()
	want, _ := hellos(t)
	other := bytes.Repeat([]byte{0xee}, len(want))
	var c quicwire.Connection
	c.Parse(row(initial{dcid: first, frames: join(crypto(want, 50, 241), crypto(other, 40, 60), crypto(want, 0, 40))}.seal(t)), nil)
	if got := slices.Concat(want[:40], other[40:50], want[50:]); !bytes.Equal(c.Client, got) {
		t.Errorf("got %x", c.Client)
	}
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	whole, _ := hellos(t)
	made := func(frames ...[]byte) []byte { return initial{dcid: first, frames: join(frames...)}.seal(t) }
	full := made(crypto(whole, 0, 241))
	bent := slices.Clone(full)
	bent[600] ^= 1
	for name, c := range map[string]struct {
		datagram []byte
		kept     int
	}{
		"hole":                {made(crypto(whole, 0, 50), crypto(whole, 60, 241)), 50},
		"start is missing":    {made(crypto(whole, 60, 241)), 0},
		"end is missing":      {made(crypto(whole, 0, 240)), 240},
		"bent":                {bent, 0},
		"cut":                 {full[:1000], 0},
		"cut in the header":   {full[:23], 0},
		"no CRYPTO frame":     {made(ack, closeFrame), 0},
		"forbidden frame":     {made(crypto(whole, 0, 241), []byte{0x1e}), 241},
		"frame that is cut":   {initial{dcid: first, frames: append(crypto(whole, 0, 241), 6, 0x41)}.seal(t), 241},
		"offset out of reach": {made(crypto(whole, 0, 241), []byte{6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1}), 241},
		"keys of another":     {initial{keys: ofServer, dcid: first, frames: join(crypto(whole, 0, 241))}.seal(t), 0},
	} {
		var got quicwire.Connection
		got.Parse(row(c.datagram), nil)
		if !got.Incomplete || len(got.Client) != c.kept || !got.ClientSeen {
			t.Errorf("%s: kept %d bytes, want %d, incomplete %v, seen %v", name, len(got.Client), c.kept, got.Incomplete, got.ClientSeen)
		}
	}
	var c quicwire.Connection
	c.Parse(nil, nil)
	if c.ClientSeen || c.ServerSeen || c.DCIDLen != -1 || c.SCIDLen != -1 || c.TokenLen != -1 || c.Client != nil || c.Version != 0 {
		t.Errorf("of nothing: %+v", c)
	}
}

func TestConnectionIDsAndKeys(t *testing.T) {
	t.Parallel()
	client, server := hellos(t)
	a, b := join(crypto(client, 0, 120)), join(crypto(client, 120, 241))
	retry := append(header(0xf0, quicwire.Version1, ofClient, afterRetry), make([]byte, 40)...)
	answer := initial{keys: first, dcid: ofClient, scid: ofServer, server: true, frames: join(crypto(server, 0, 90))}
	answerAfterRetry := answer
	answerAfterRetry.keys = afterRetry
	token := bytes.Repeat([]byte{7}, 24)
	for name, p := range map[string]struct {
		client, server [][]byte
		check          func(c *quicwire.Connection) bool
	}{
		"the client changes to the server's id": {
			[][]byte{
				initial{dcid: first, scid: ofClient, frames: a}.seal(t),
				initial{keys: first, dcid: ofServer, scid: ofClient, number: 1, frames: b}.seal(t),
			},
			[][]byte{answer.seal(t)},
			func(c *quicwire.Connection) bool { return c.DCIDLen == len(first) && c.TokenLen == 0 && !c.Retry },
		},
		"retry": {
			[][]byte{
				initial{dcid: first, scid: ofClient, frames: a}.seal(t),
				initial{dcid: afterRetry, scid: ofClient, token: token, number: 1, frames: a}.seal(t),
				initial{dcid: afterRetry, scid: ofClient, token: token, number: 2, frames: b}.seal(t),
			},
			[][]byte{retry, answerAfterRetry.seal(t)},
			func(c *quicwire.Connection) bool { return c.DCIDLen == len(first) && c.TokenLen == 24 && c.Retry },
		},
		"retry with the whole hello before it": {
			[][]byte{initial{dcid: first, scid: ofClient, frames: join(crypto(client, 0, 241))}.seal(t)},
			[][]byte{retry, answerAfterRetry.seal(t)},
			func(c *quicwire.Connection) bool { return c.TokenLen == 0 && c.Retry },
		},
		"retry whose first Initial is lost": {
			[][]byte{
				initial{dcid: afterRetry, scid: ofClient, token: token, number: 1, frames: a}.seal(t),
				initial{dcid: afterRetry, scid: ofClient, token: token, number: 2, frames: b}.seal(t),
			},
			[][]byte{retry, answerAfterRetry.seal(t)},
			func(c *quicwire.Connection) bool { return c.TokenLen == 24 && c.Retry },
		},
		"0-RTT in the datagram of the Initial": {
			[][]byte{
				append(initial{dcid: first, scid: ofClient, frames: a}.seal(t), varint(header(0xd0, quicwire.Version1, first, ofClient), 0)...),
				initial{dcid: first, scid: ofClient, number: 1, frames: b}.seal(t),
			},
			[][]byte{append(answer.seal(t), append(varint(header(0xe0, quicwire.Version1, ofClient, ofServer), 30), make([]byte, 30)...)...)},
			func(c *quicwire.Connection) bool { return c.ZeroRTT },
		},
		"the server changes to version 2": {
			[][]byte{
				initial{dcid: first, scid: ofClient, frames: a}.seal(t),
				initial{version: quicwire.Version2, keys: first, dcid: ofServer, scid: ofClient, number: 1, frames: b}.seal(t),
			},
			[][]byte{initial{version: quicwire.Version2, keys: first, dcid: ofClient, scid: ofServer, server: true, frames: join(crypto(server, 0, 90))}.seal(t)},
			func(c *quicwire.Connection) bool {
				return c.Offered == quicwire.Version1 && c.Version == quicwire.Version2
			},
		},
		"version negotiation": {
			[][]byte{
				initial{version: quicwire.Version2, dcid: []byte("another one"), scid: ofClient, frames: join(crypto(server, 0, 90))}.seal(t),
				initial{dcid: first, scid: ofClient, frames: a}.seal(t),
				initial{dcid: first, scid: ofClient, number: 1, frames: b}.seal(t),
			},
			[][]byte{
				append(header(0x80, 0, ofClient, []byte("another one")), 0, 0, 0, 1, 0x0a, 0x1a, 0x2a, 0x3a),
				answer.seal(t),
			},
			func(c *quicwire.Connection) bool {
				return c.VersionNegotiation && c.Offered == quicwire.Version2 && c.Version == quicwire.Version1 &&
					slices.Equal(c.Versions, []uint32{1, 0x0a1a2a3a})
			},
		},
	} {
		for _, reversed := range []bool{false, true} {
			var c quicwire.Connection
			if reversed {
				c.Parse(row(p.server...), row(p.client...))
			} else {
				c.Parse(row(p.client...), row(p.server...))
			}
			if !bytes.Equal(c.Client, client) || !bytes.Equal(c.Server, server) || c.Incomplete || c.Reversed != reversed || !c.ServerSeen || !p.check(&c) {
				t.Errorf("%s, reversed %v: client %d, server %d bytes, %+v", name, reversed, len(c.Client), len(c.Server), c)
			}
		}
	}
}

func TestHelloRetryRequestBringsASecondHello(t *testing.T) {
	t.Parallel()
	client, server := hellos(t)
	again := slices.Clone(server)
	copy(again[6:], "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c")
	both, answers := slices.Concat(client, client), slices.Concat(again, server)
	var c quicwire.Connection
	c.Parse(row(
		initial{dcid: first, scid: ofClient, frames: join(crypto(both, 0, 241))}.seal(t),
		initial{keys: first, dcid: ofServer, scid: ofClient, number: 1, frames: join(ack, crypto(both, 241, 482))}.seal(t),
	), row(
		initial{keys: first, dcid: ofClient, scid: ofServer, server: true, frames: join(crypto(answers, 0, 90))}.seal(t),
		initial{keys: first, dcid: ofClient, scid: ofServer, server: true, number: 1, frames: join(crypto(answers, 90, 180))}.seal(t),
	))
	if !bytes.Equal(c.Client, both) || !bytes.Equal(c.Server, answers) || c.Incomplete {
		t.Errorf("client %d, server %d bytes, incomplete %v", len(c.Client), len(c.Server), c.Incomplete)
	}
}

func TestUnknownVersionsAreNoted(t *testing.T) {
	t.Parallel()
	var c quicwire.Connection
	unknown := append(header(0xc0, 0x12345678, first, ofClient), make([]byte, 1200)...)
	c.Parse(row(unknown), row(append(header(0xc0, 0, ofClient, first), 0, 0, 0, 1)))
	if c.Offered != 0x12345678 || c.Version != 0x12345678 || !c.VersionNegotiation || !c.Incomplete || !c.ServerSeen || c.TokenLen != -1 || c.DCIDLen != 8 {
		t.Errorf("got %+v", c)
	}
}

func TestGivesUpOnPacketsThatDoNotOpen(t *testing.T) {
	t.Parallel()
	want, _ := hellos(t)
	bad := initial{keys: ofServer, dcid: first, frames: ping}.seal(t)
	good := initial{dcid: first, frames: join(crypto(want, 0, 241))}.seal(t)
	var c quicwire.Connection
	c.Parse(row(bytes.Repeat(bad, 20), good), nil)
	if !bytes.Equal(c.Client, want) || !c.Incomplete {
		t.Errorf("behind 20: %d bytes", len(c.Client))
	}
	c.Parse(row(bytes.Repeat(bad, 200), good), nil)
	if c.Client != nil || !c.Incomplete {
		t.Errorf("behind 200: %d bytes", len(c.Client))
	}
}

func TestOtherTrafficOnTheSamePorts(t *testing.T) {
	t.Parallel()
	client, server := rfcRows(t)
	rtp := row([]byte("\x80\x60\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x22"), append([]byte{0x80, 0, 0, 0, 0, 1, 1}, make([]byte, 98)...))
	var c quicwire.Connection
	c.Parse(slices.Concat(client, rtp), slices.Concat(server, rtp))
	if c.Version != quicwire.Version1 || c.Incomplete || c.VersionNegotiation || len(c.Client) != 241 {
		t.Errorf("got %+v", c)
	}
}

// rfcRows returns the example of RFC 9001 as the rows of a connection.
func rfcRows(tb testing.TB) (client, server []byte) {
	tb.Helper()
	return row(vector(tb, "rfc9001-a2-client")), row(vector(tb, "rfc9001-a3-server"))
}

func TestAllocations(t *testing.T) {
	client, server := rfcRows(t)
	google := row(publicPacket("Q043", googleHello(), 0x80, 1))
	parameters := []byte(allParameters)
	var c quicwire.Connection
	var p quicwire.TransportParameters
	for name, one := range map[string]struct {
		most float64
		run  func()
	}{
		"both sides: two AES blocks and one GCM each": {6, func() { c.Parse(client, server) }},
		"Google's hello in clear":                     {0, func() { c.Parse(google, nil) }},
		"transport parameters":                        {0, func() { quicwire.ParseTransportParameters(parameters, &p) }},
		"LooksLikeInitial":                            {0, func() { quicwire.LooksLikeInitial(client[2:]) }},
	} {
		if n := testing.AllocsPerRun(100, one.run); n > one.most {
			t.Errorf("%s: %v allocations, want at most %v", name, n, one.most)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	client, server := rfcRows(b)
	for _, bench := range []struct {
		name           string
		client, server []byte
	}{
		{"client", client, nil},
		{"both", client, server},
		{"handshake again", slices.Concat(client, client, client, client), server},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			var c quicwire.Connection
			for b.Loop() {
				c.Parse(bench.client, bench.server)
			}
		})
	}
}

func BenchmarkLooksLikeInitial(b *testing.B) {
	quic := vector(b, "rfc9001-a2-client")
	other := bytes.Repeat([]byte{0xa5}, 1200)
	b.Run("QUIC", func(b *testing.B) {
		for b.Loop() {
			quicwire.LooksLikeInitial(quic)
		}
	})
	b.Run("other", func(b *testing.B) {
		for b.Loop() {
			quicwire.LooksLikeInitial(other)
		}
	})
}
