package httpwire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPipelinedRequests(t *testing.T) {
	t.Parallel()
	got := ParseRequests([]byte("GET /a b HTTP/1.1\r\nHost: example.com\r\nUser-Agent:  curl/8 \r\nX:\r\n\r\n" +
		"\r\nPOST http://p/ HTTP/1.0\nhOST: second\n folded\n\n" +
		"CONNECT c2.example:443 HTTP/1.1\r\n\r\n"))
	want := []Request{
		{Method: "GET", Target: "/a b", Version: "HTTP/1.1", Host: "example.com", UserAgent: "curl/8",
			Headers: []Header{{"Host", "example.com"}, {"User-Agent", "curl/8"}, {"X", ""}}},
		{Method: "POST", Target: "http://p/", Version: "HTTP/1.0", Host: "second folded", Headers: []Header{{"hOST", "second folded"}}},
		{Method: "CONNECT", Target: "c2.example:443", Version: "HTTP/1.1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	got := ParseResponses([]byte("HTTP/1.1 100\r\n\r\nHTTP/1.0 404 Not Found\r\nServer: n\xffx\r\nSERVER: other\r\n\r\n"))
	want := []Response{
		{Status: 100, Version: "HTTP/1.1"},
		{Status: 404, Version: "HTTP/1.0", Server: "n\xffx", Headers: []Header{{"Server", "n\xffx"}, {"SERVER", "other"}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRubbishEndsReading(t *testing.T) {
	t.Parallel()
	got := ParseRequests([]byte("GET / HTTP/1.1\r\nno field\r\nA: 1\r\n\r\n\x16\x03\x01rubbish GET / HTTP/1.1\r\n\r\n"))
	want := []Request{{Method: "GET", Target: "/", Version: "HTTP/1.1", Headers: []Header{{"A", "1"}}, Incomplete: true}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r := ParseResponses([]byte("HTTP/2 200\r\n\r\n")); r != nil {
		t.Errorf("read %+v", r)
	}
}

func TestEveryTruncationKeepsWhatWasRead(t *testing.T) {
	t.Parallel()
	const head = "GET /index.html HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n"
	for n := range len(head) {
		got := ParseRequests([]byte(head[:n]))
		if n < len("GET /") {
			if len(got) != 0 {
				t.Fatalf("cut to %d: read %+v", n, got)
			}
			continue
		}
		if len(got) != 1 || !got[0].Incomplete || got[0].Method != "GET" {
			t.Fatalf("cut to %d: read %+v", n, got)
		}
		if host := got[0].Host; n >= strings.Index(head, "\r\nAccept") && host != "example.com" {
			t.Fatalf("cut to %d: host %q", n, host)
		}
	}
	const answer = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"
	for n := range len(answer) {
		if got := ParseResponses([]byte(answer[:n])); len(got) != 0 && (!got[0].Incomplete || got[0].Status != 200) {
			t.Fatalf("cut to %d: read %+v", n, got)
		}
	}
}

func TestHeadsAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("GET / HTTP/1.1\r\n")
	for i := range MaxHeaders + 10 {
		fmt.Fprintf(&b, "X-%d: y\r\n", i)
	}
	b.WriteString("\r\nGET /next HTTP/1.1\r\n\r\n")
	got := ParseRequests([]byte(b.String()))
	if len(got) != 2 || len(got[0].Headers) != MaxHeaders || !got[0].Incomplete || got[1].Target != "/next" {
		t.Errorf("%d heads: %+v", len(got), got)
	}
	got = ParseRequests([]byte("GET / HTTP/1.1\r\nLong: " + strings.Repeat("x", MaxHeadLen) + "\r\nShort: 1\r\n\r\n"))
	if len(got) != 1 || len(got[0].Headers) != 1 || got[0].Headers[0].Name != "Short" || !got[0].Incomplete {
		t.Errorf("%d heads", len(got))
	}
	if got := ParseRequests([]byte(strings.Repeat("GET / HTTP/1.1\r\n\r\n", MaxMessages+1))); len(got) != MaxMessages {
		t.Errorf("%d heads, want %d", len(got), MaxMessages)
	}
}

func TestRecognition(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"GET / HTTP/1.1\r\n":          true,
		"GET /a-long-path-that-is-cu": true,
		"M-SEARCH * HTTP/1.1\r\n":     true,
		"BREW /pot HTTP/1.1\n":        true,
		"BREW /pot HTT":               false,
		"GET / RTSP/1.0\r\n":          false,
		"GET  / HTTP/1.1\r\n":         false,
		"GET / HTTP/2.0\r\n":          false,
		"GET":                         false,
		"":                            false,
		" / HTTP/1.1\r\n":             false,
		"SSH-2.0-OpenSSH_9.6 x\r\n":   false,
		"HTTP/1.1 200 OK\r\n":         false,
	} {
		if got := LooksLikeRequest([]byte(text)); got != want {
			t.Errorf("request %q: %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"HTTP/1.1 200 OK\r\n": true,
		"HTTP/1.0 302":        true,
		"HTTP/1.1 2000\r\n":   false,
		"HTTP/1.1 20":         false,
		"HTTP/2 200 OK\r\n":   false,
		"HTTP/1.1 abc\r\n":    false,
	} {
		if got := LooksLikeResponse([]byte(text)); got != want {
			t.Errorf("response %q: %v, want %v", text, got, want)
		}
	}
}

func TestHeaderEnd(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\nbody": 18,
		"a\n\nb":                     3,
		"a\r\n\nb":                   4,
		"a\n\r\nb":                   4,
		"a\r\n\r":                    -1,
		"a\r\nb: c\r\n":              -1,
		"":                           -1,
	} {
		if got := HeaderEnd([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func FuzzHeads(f *testing.F) {
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: x\r\n y\r\n\r\nPOST / HTTP/1.0\n\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range ParseRequests(b) {
			kept := 0
			for _, h := range r.Headers {
				kept += len(h.Name) + len(h.Value)
			}
			if len(r.Headers) > MaxHeaders || kept > MaxHeadLen {
				t.Errorf("%d fields of %d bytes", len(r.Headers), kept)
			}
		}
		for _, r := range ParseResponses(b) {
			if r.Status < 100 || r.Status > 999 {
				t.Errorf("status %d", r.Status)
			}
		}
		if n := HeaderEnd(b); n > len(b) || n == 0 {
			t.Errorf("the head ends at %d of %d", n, len(b))
		}
	})
}

func BenchmarkParseRequests(b *testing.B) {
	in := []byte("GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		ParseRequests(in)
	}
}
