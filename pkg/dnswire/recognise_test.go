package dnswire

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMessagesAreRecognised(t *testing.T) {
	t.Parallel()
	query := slices.Concat(numbers(1, 0x0100, 1, 0, 0, 1), name("www", "example", "com"), numbers(TypeHTTPS, 1), name(), numbers(41, 1232, 0, 0, 0))
	for what, b := range map[string][]byte{"query": query, "response": response(record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1}))} {
		if !LooksLikeMessage(b) {
			t.Errorf("%s is not recognised", what)
		}
	}
	for what, b := range map[string][]byte{
		"QUIC":    slices.Concat([]byte{0xc0, 0, 0, 0, 1, 8}, slices.Repeat([]byte{0x5a}, 60)),
		"zeros":   make([]byte, 64),
		"NTP":     append([]byte{0x23, 0, 6, 0xec}, slices.Repeat([]byte{0}, 44)...),
		"text":    []byte("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n"),
		"short":   query[:14],
		"NetBIOS": slices.Concat(numbers(1, 0x0110, 1, 0, 0, 0), name("EFFIEBENFAEMEFCACACACACACACACACA"), numbers(32, 1)),
	} {
		if LooksLikeMessage(b) {
			t.Errorf("%s is taken for DNS", what)
		}
	}
}

// row is messages as DNS over TCP has them.
func row(msgs ...[]byte) []byte {
	var out []byte
	for _, m := range msgs {
		out = append(out, byte(len(m)>>8), byte(len(m)))
		out = append(out, m...)
	}
	return out
}

func TestStreamsAreRecognised(t *testing.T) {
	t.Parallel()
	query := slices.Concat(numbers(1, 0x0100, 1, 0, 0, 1), name("www", "example", "com"), numbers(TypeHTTPS, 1), name(), numbers(41, 1232, 0, 0, 0))
	answer := response(slices.Repeat([][]byte{record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1})}, 100)...)
	for what, b := range map[string][]byte{
		"query":         row(query),
		"two queries":   row(query, query),
		"long response": row(answer),
		"its beginning": row(answer)[:40],
	} {
		if !LooksLikeStream(b) {
			t.Errorf("%s is not recognised", what)
		}
	}
	for what, b := range map[string][]byte{
		"without length":   query,
		"wrong length":     append([]byte{0, 20}, query...),
		"cut in question":  row(query)[:30],
		"length alone":     row(query)[:2],
		"two questions":    row(slices.Concat(numbers(1, 0x0100, 2, 0, 0, 0), name("a"), numbers(1, 1), name("b"), numbers(1, 1))),
		"NetBIOS session":  append([]byte{0, 0, 0, 0x44}, bytes.Repeat([]byte("A"), 68)...),
		"zeros":            make([]byte, 64),
		"TLS client hello": append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 64)...),
	} {
		if LooksLikeStream(b) {
			t.Errorf("%s is taken for DNS over TCP", what)
		}
	}
	r := rand.NewChaCha8([32]byte{})
	var b [64]byte
	for range 1_000_000 {
		if r.Read(b[:]); LooksLikeStream(b[:]) || LooksLikeMessage(b[:]) {
			t.Errorf("%x is taken for DNS", b)
		}
	}
}

func TestRowsAreCut(t *testing.T) {
	t.Parallel()
	rest := append(row([]byte("one"), nil, []byte("three")), 0, 9, 'c', 'u', 't')
	for _, want := range []string{"one", "", "three"} {
		var msg []byte
		var whole bool
		if msg, rest, whole = CutMessage(rest); string(msg) != want || !whole {
			t.Fatalf("got %q, %v, want %q", msg, whole, want)
		}
	}
	if msg, rest, whole := CutMessage(rest); string(msg) != "cut" || rest != nil || whole {
		t.Errorf("got %q, %q, %v", msg, rest, whole)
	}
	if msg, rest, whole := CutMessage([]byte{0}); msg != nil || rest != nil || whole {
		t.Errorf("got %q, %q, %v", msg, rest, whole)
	}
}

func TestSummaryReadsTheHeader(t *testing.T) {
	t.Parallel()
	if response, rcode, ok := Summary(denial(0x8183)); !response || rcode != 3 || !ok {
		t.Errorf("%v %d %v", response, rcode, ok)
	}
	query := slices.Concat(numbers(1, 0x0100, 1, 0, 0, 0), name("x"), numbers(1, 1))
	if response, rcode, ok := Summary(query); response || rcode != 0 || !ok {
		t.Errorf("%v %d %v", response, rcode, ok)
	}
	for _, b := range [][]byte{query[:11], query[:12], make([]byte, 40), []byte("GET / HTTP/1.1\r\n")} {
		if _, _, ok := Summary(b); ok {
			t.Errorf("%q has a summary", b)
		}
	}
}

func TestRecognitionDoesNotAllocate(t *testing.T) {
	msg := denial(0x8183)
	stream := row(msg)
	if n := testing.AllocsPerRun(100, func() {
		Summary(msg)
		LooksLikeMessage(msg)
		LooksLikeStream(stream)
		CutMessage(stream)
	}); n != 0 {
		t.Errorf("allocates %v times, want 0", n)
	}
}
