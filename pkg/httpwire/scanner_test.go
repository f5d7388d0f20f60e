package httpwire

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// walked is what a Scanner said of one side.
type walked struct {
	heads []string // whole ones
	parts string   // for each byte: h of a head, b of a body, and . for what is after the end
}

// scan walks the pieces of a side. headOnly says for each response whether its
// request was HEAD.
func scan(t testing.TB, headOnly []bool, pieces ...[]byte) walked {
	var s Scanner
	var out walked
	var head, parts []byte
	ended := false
	for _, p := range pieces {
		for len(p) > 0 {
			n, part := s.Next(p)
			switch {
			case n > len(p) || (n == 0) != (part == End) || ended && part != End:
				t.Fatalf("consumed %d of %d as %d, ended %v", n, len(p), part, ended)
			case part == End:
				ended = true
				parts = append(parts, strings.Repeat(".", len(p))...)
				n = len(p)
			case part == Body:
				parts = append(parts, strings.Repeat("b", n)...)
			default:
				parts = append(parts, strings.Repeat("h", n)...)
				head = append(head, p[:n]...)
			}
			if part == HeadEnd {
				i := len(out.heads)
				s.Begin(head, i < len(headOnly) && headOnly[i])
				out.heads = append(out.heads, string(head))
				head = head[:0]
			}
			p = p[n:]
		}
	}
	out.parts = string(parts)
	return out
}

func TestSidesAreWalked(t *testing.T) {
	t.Parallel()
	const (
		get     = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
		post    = "POST /b HTTP/1.1\r\ncontent-LENGTH: 5\r\n\r\n"
		ok      = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
		coded   = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
		chunks  = "4\r\nwiki\r\n00A;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
		connect = "CONNECT c.example:443 HTTP/1.1\r\n\r\n"
	)
	for what, c := range map[string]struct {
		side     string
		heads    []string
		after    string // what the walk does not reach
		headOnly []bool
	}{
		"pipelined":              {side: get + get + "\r\n" + get, heads: []string{get, get, get}},
		"with bodies":            {side: post + "hello" + get, heads: []string{post, get}},
		"a body like a head":     {side: post + "GET /" + get, heads: []string{post, get}},
		"chunked":                {side: coded + chunks + ok + "body" + ok, heads: []string{coded, ok, ok}},
		"chunked, LF alone":      {side: coded + strings.ReplaceAll(chunks, "\r", "") + ok, heads: []string{coded, ok}},
		"interim":                {side: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok, heads: []string{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", ok}},
		"not modified":           {side: "HTTP/1.1 304 x\r\nContent-Length: 99\r\n\r\n" + ok, heads: []string{"HTTP/1.1 304 x\r\nContent-Length: 99\r\n\r\n", ok}},
		"no content":             {side: "HTTP/1.1 204 x\r\n\r\n" + ok, heads: []string{"HTTP/1.1 204 x\r\n\r\n", ok}},
		"answer to HEAD":         {side: ok + coded + ok, heads: []string{ok, coded, ok}, headOnly: []bool{true, true}},
		"answer to unknown HEAD": {side: ok + ok, heads: []string{ok}, after: ok[4:]},
		"up to the close":        {side: "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", heads: []string{"HTTP/1.1 200 OK\r\n\r\n"}, after: "HTTP/1.1 200 OK\r\n\r\n"},
		"coded up to the close":  {side: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxyz", heads: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"}, after: "xyz"},
		"coding wins":            {side: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + ok, heads: []string{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ok}},
		"the same length twice":  {side: "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\nContent-Length: 1\r\n\r\nx" + get, heads: []string{"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\nContent-Length: 1\r\n\r\n", get}},
		"two lengths":            {side: "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx" + get, heads: []string{"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}, after: "x" + get},
		"no length":              {side: "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nx", heads: []string{"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"}, after: "x"},
		"a chunk without size":   {side: coded + "x\r\n", heads: []string{coded}, after: "x\r\n"},
		"a chunk too large":      {side: coded + "0123456789abcdef\r\n", heads: []string{coded}, after: "ef\r\n"},
		"a chunk without end":    {side: coded + "1\r\nxx\r\n", heads: []string{coded}, after: "x\r\n"},
		"a chunk with two ends":  {side: coded + "1\r\nx\r\r\n", heads: []string{coded}, after: "\r\n"},
		"tunnel":                 {side: connect + "\x16\x03\x01\x02\x00", heads: []string{connect}, after: "\x16\x03\x01\x02\x00"},
		"refused tunnel":         {side: connect + connect, heads: []string{connect, connect}},
		"tunnel opened":          {side: "HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x03", heads: []string{"HTTP/1.1 200 Connection established\r\n\r\n"}, after: "\x16\x03\x03"},
		"websocket":              {side: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello", heads: []string{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"}, after: "\x81\x05hello"},
		"HTTP/2 after Upgrade":   {side: get + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", heads: []string{get, "PRI * HTTP/2.0\r\n\r\n"}, after: "SM\r\n\r\n"},
		"a request in responses": {side: ok + "body" + get, heads: []string{ok}, after: get},
		"a response in requests": {side: get + ok, heads: []string{get}, after: ok[4:]},
		"HTTP/2 in responses":    {side: "HTTP/2 200\r\n", after: "2 200\r\n"},
		"no message":             {side: "\x00\x01", after: "\x00\x01"},
		"no method":              {side: strings.Repeat("A", 30) + " / HTTP/1.1\r\n\r\n", after: strings.Repeat("A", 10) + " / HTTP/1.1\r\n\r\n"},
		"text":                   {side: "Hello world\r\n\r\nx", heads: []string{"Hello world\r\n\r\n"}, after: "x"},
	} {
		got := scan(t, c.headOnly, []byte(c.side))
		if d := cmp.Diff(c.heads, got.heads); d != "" {
			t.Errorf("%s: %s", what, d)
		}
		if i := len(c.side) - len(c.after); strings.IndexByte(got.parts+".", '.') != i {
			t.Errorf("%s: %s ends before %d", what, got.parts, i)
		}
		for n := 1; n < 5; n++ {
			if d := cmp.Diff(got, scan(t, c.headOnly, slices.Collect(slices.Chunk([]byte(c.side), n))...), cmp.AllowUnexported(walked{})); d != "" {
				t.Errorf("%s by %d bytes: %s", what, n, d)
			}
		}
	}
}

func TestScannerIsSmall(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(Scanner{}); n > 16 {
		t.Errorf("%d bytes", n)
	}
}

// A walk without Begin ends, and Begin elsewhere changes nothing.
func TestBeginIsAskedForOnce(t *testing.T) {
	t.Parallel()
	const get = "GET / HTTP/1.1\r\n\r\n"
	var s Scanner
	s.Begin([]byte("HTTP/1.1 101 x\r\n\r\n"), false)
	if n, part := s.Next([]byte(get + get)); n != len(get) || part != HeadEnd {
		t.Fatal(n, part)
	}
	if n, part := s.Next([]byte(get)); n != 0 || part != End {
		t.Fatal(n, part)
	}
	if n, part := s.Next(nil); n != 0 || part == HeadEnd {
		t.Fatal(n, part)
	}
}

func TestForeignProtocolsAreNotHTTP(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"OPTIONS rtsp://example.com/":               false,
		"OPTIONS rts":                               false,
		"OPTIONS sip:example.com":                   false,
		"OPTIONS icap://example.com/x":              false,
		"OPTIONS icap://example.com/x ICAP/1.0\r\n": false,
		"OPTIONS * RTSP/1":                          false,
		"OPTIONS * HTTP":                            true,
		"OPTIONS *":                                 true,
		"GET http://example.com/":                   true,
		"GET ftp://example.com/":                    true,
		"CONNECT example.com:443":                   true,
	} {
		if got := LooksLikeRequest([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00": true,
		"PRI * HTTP/2.0\r\n\r\n":               false,
		"GET / HTTP/1.1\r\n\r\n":               false,
	} {
		if got := IsHTTP2Preface([]byte(text)); got != want {
			t.Errorf("preface %q: %v", text, got)
		}
	}
}

func TestScannerDoesNotAllocate(t *testing.T) {
	head := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 5, 5\r\n\r\n")
	body := []byte("5\r\nhello\r\n0\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() {
		var s Scanner
		s.Next(head)
		s.Begin(head, false)
		for in := body; len(in) > 0; {
			n, part := s.Next(in)
			if part != Body {
				t.Fatal(part)
			}
			in = in[n:]
		}
	}); n != 0 {
		t.Errorf("allocates %v times, want 0", n)
	}
}

// In any segmentation a side is walked as in one piece.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.0\nContent-Length: 3\n\nabcGET / HTTP/1.1\r\n\r\n"), uint64(1))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nT: x\r\n\r\nHTTP/1.1 304 x\r\n\r\nHTTP/1.1 101 x\r\n\r\nx"), uint64(2))
	f.Add([]byte("CONNECT c:443 HTTP/1.1\r\n\r\n\x16\x03\x01"), uint64(3))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		whole := scan(t, nil, b)
		r := rand.New(rand.NewPCG(seed, 0))
		var pieces [][]byte
		for in := b; len(in) > 0; {
			n := 1 + r.IntN(min(len(in), 1+r.IntN(16)))
			pieces = append(pieces, in[:n])
			in = in[n:]
		}
		if d := cmp.Diff(whole, scan(t, nil, pieces...), cmp.AllowUnexported(walked{})); d != "" {
			t.Error(d)
		}
		for _, h := range whole.heads {
			if end := HeaderEnd([]byte(h)); end != len(h) {
				t.Errorf("head %q ends at %d", h, end)
			}
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/html\r\nContent-Length: 14000\r\n\r\n")
	body := bytes.Repeat([]byte("x"), 1400)
	b.SetBytes(int64(len(head) + 10*len(body)))
	b.ReportAllocs()
	var s Scanner
	for b.Loop() {
		s.Next(head)
		s.Begin(head, false)
		for range 10 {
			s.Next(body)
		}
	}
}
