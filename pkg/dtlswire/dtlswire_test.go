package dtlswire_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/dtlswire"
	"trench/pkg/tlswire"
)

// permutations calls visit with every order of list.
func permutations[T any](list []T, visit func([]T)) {
	var place func(n int)
	place = func(n int) {
		if n == len(list) {
			visit(list)
			return
		}
		for i := n; i < len(list); i++ {
			list[n], list[i] = list[i], list[n]
			place(n + 1)
			list[n], list[i] = list[i], list[n]
		}
	}
	place(0)
}

func TestFragmentsComeInEveryOrder(t *testing.T) {
	t.Parallel()
	certificate, done := noise(1, 90), []byte{}
	datagrams := [][]byte{
		clear(part(11, 1, certificate, 0, 40)),
		clear(part(11, 1, certificate, 30, 30)), // overlaps both neighbours
		clear(part(11, 1, certificate, 50, 40)),
		clear(part(11, 1, certificate, 35, 10)), // brings nothing
		clear(part(2, 0, noise(2, 50), 0, 50), part(14, 2, done, 0, 0)),
		clear(part(2, 0, noise(2, 50), 0, 50)), // sent again
	}
	want := []string{
		fmt.Sprintf("message 2: %x", noise(2, 50)),
		fmt.Sprintf("message 11: %x", certificate),
		"message 14: ",
	}
	var r dtlswire.Reassembler
	permutations(datagrams, func(order [][]byte) {
		row, incomplete := r.Records(nil, kept(order...))
		if lines, _ := read(row); !slices.Equal(lines, want) {
			t.Fatal(cmp.Diff(want, lines))
		}
		if incomplete {
			t.Fatal("nothing is missing, and the direction is said to be incomplete")
		}
	})
}

func TestAppendsToWhatIsThere(t *testing.T) {
	t.Parallel()
	var r dtlswire.Reassembler
	row, _ := r.Records([]byte("before"), kept(message(14, 0, nil)))
	if want := "before\x16\x03\x03\x00\x04\x0e\x00\x00\x00"; string(row) != want {
		t.Errorf("got %q, want %q", row, want)
	}
}

func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	body, later := noise(3, 60), noise(4, 20)
	whole := func(typ uint8, b []byte) string { return fmt.Sprintf("message %d: %x", typ, b) }
	for _, c := range []struct {
		name    string
		in      []byte
		want    []string
		missing int
	}{
		{"a message", kept(message(2, 0, body), message(14, 2, later)), []string{whole(2, body), whole(14, later)}, 0},
		{"the first message", kept(message(1, 1, body)), []string{whole(1, body)}, 0},
		{"the end of a message", kept(clear(part(11, 0, body, 0, 50)), message(14, 1, later)),
			[]string{whole(14, later), fmt.Sprintf("cut message 11: %x", body[:50])}, 10},
		{"the middle of a message", kept(clear(part(11, 0, body, 0, 20)), clear(part(11, 0, body, 30, 30)), message(14, 1, later)),
			[]string{whole(14, later), fmt.Sprintf("cut message 11: %x", body[:20])}, 40},
		{"the beginning of a message", kept(clear(part(11, 0, body, 20, 40)), message(14, 1, later)), []string{whole(14, later)}, 0},
		{"the ends of two messages", kept(clear(part(11, 0, body, 0, 50)), clear(part(12, 1, later, 0, 5))),
			[]string{fmt.Sprintf("cut message 11: %x", body[:50])}, 10},
		{"the end of a datagram", kept(message(11, 0, body))[:2+13+12+45], []string{fmt.Sprintf("cut message 11: %x", body[:45])}, 15},
		{"the end of a record", kept(message(11, 0, body)[:13+12+45], message(14, 1, later)),
			[]string{whole(14, later), fmt.Sprintf("cut message 11: %x", body[:45])}, 15},
		{"the end of a fragment header", kept(message(11, 0, body)[:13+5], message(14, 0, later)), []string{whole(14, later)}, 0},
		{"half a length", append(kept(message(14, 0, later)), 1), []string{whole(14, later)}, 0},
		{"the ChangeCipherSpec", kept(message(14, 0, later), sent(22, v12, 1, body...)), []string{whole(14, later)}, 0},
		{"everything but noise", kept(body), nil, 0},
	} {
		var r dtlswire.Reassembler
		row, incomplete := r.Records(nil, c.in)
		lines, missing := read(row)
		if !slices.Equal(lines, c.want) {
			t.Errorf("%s is missing: %s", c.name, cmp.Diff(c.want, lines))
		}
		if missing != c.missing {
			t.Errorf("%s is missing: the row lacks %d bytes, want %d", c.name, missing, c.missing)
		}
		if !incomplete {
			t.Errorf("%s is missing, and the direction is said to be complete", c.name)
		}
	}
}

// A peer that contradicts itself is believed what it said first.
func TestContradictions(t *testing.T) {
	t.Parallel()
	a, b := noise(5, 40), noise(6, 50)
	beyond := part(11, 1, a, 0, 40)
	beyond[8] = 10 // offset 10 and 40 bytes of 40
	for _, c := range []struct {
		name string
		in   []byte
		want []string
	}{
		{"two lengths", kept(message(2, 0, a), message(2, 0, b)), []string{fmt.Sprintf("message 2: %x", a)}},
		{"two types", kept(message(2, 0, a), message(3, 0, a)), []string{fmt.Sprintf("message 2: %x", a)}},
		{"a fragment past the end", kept(message(2, 0, a), clear(beyond), message(14, 1, nil)),
			[]string{fmt.Sprintf("message 2: %x", a)}},
	} {
		var r dtlswire.Reassembler
		row, incomplete := r.Records(nil, c.in)
		if lines, _ := read(row); !slices.Equal(lines, c.want) || !incomplete {
			t.Errorf("%s: incomplete %v, %s", c.name, incomplete, cmp.Diff(c.want, lines))
		}
	}
}

func TestAfterTheHandshakeInClear(t *testing.T) {
	t.Parallel()
	datagrams := [][]byte{
		message(16, 0, noise(1, 20)),
		sent(20, v12, 0, 1),
		sent(22, v12, 1, noise(2, 40)...), // Finished
		sent(21, v12, 1, noise(3, 26)...),
		sent(21, v12, 0, 1, 100),
		sent(23, v12, 1, noise(4, 100)...),
		append(sent(24, v12, 1, noise(5, 30)...), sent(20, v12, 0, 1)...),
	}
	want := []string{
		fmt.Sprintf("message 16: %x", noise(1, 20)),
		"record 21: 0164",
		"record 20: 01",
		fmt.Sprintf("record 22: %x", noise(2, 40)),
		fmt.Sprintf("record 21: %x", noise(3, 26)),
	}
	var r dtlswire.Reassembler
	permutations(datagrams, func(order [][]byte) {
		row, incomplete := r.Records(nil, kept(order...))
		if lines, _ := read(row); !slices.Equal(lines, want) {
			t.Fatal(cmp.Diff(want, lines))
		}
		if incomplete {
			t.Fatal("nothing is missing, and the direction is said to be incomplete")
		}
	})
}

func TestFinishedBehindAConnectionID(t *testing.T) {
	t.Parallel()
	finished := sent(25, v12, 1, noise(1, 50)...)
	copy(finished[5:11], make([]byte, 6)) // the first of its epoch
	finished = slices.Insert(finished, 11, []byte("12345")...)
	data := slices.Insert(sent(25, v12, 1, noise(2, 60)...), 11, []byte("12345")...)
	var r dtlswire.Reassembler
	row, incomplete := r.Records(nil, kept(sent(20, v12, 0, 1), append(finished, data...)))
	want := []string{"record 20: 01", fmt.Sprintf("record 22: %x", noise(1, 50))}
	if lines, _ := read(row); !slices.Equal(lines, want) || incomplete {
		t.Errorf("incomplete %v, %s", incomplete, cmp.Diff(want, lines))
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	cookie := noise(7, 20)
	verify := append([]byte{0xfe, 0xff, byte(len(cookie))}, cookie...)
	var r dtlswire.Reassembler
	row, _ := r.Records(nil, kept(message(1, 0, hello(nil)), message(1, 1, hello(cookie))))
	var h tlswire.Handshake
	if h.ParseDTLS(row, nil); h.Client.CookieLen != 0 || !h.SecondHello || h.Second.CookieLen != 20 {
		t.Errorf("client: cookies of %d and %d bytes, want 0 and 20", h.Client.CookieLen, h.Second.CookieLen)
	}
	row, incomplete := r.Records(nil, kept(message(3, 0, verify), message(3, 0, verify)))
	if lines, _ := read(row); !slices.Equal(lines, []string{fmt.Sprintf("message 3: %x", verify)}) || incomplete {
		t.Errorf("server: got %q, want one request sent twice, incomplete %v", lines, incomplete)
	}
}

func TestLongMessageTakesSeveralRecords(t *testing.T) {
	t.Parallel()
	certificate := append([]byte{0, 0x9c, 0x40, 0, 0x9c, 0x3d}, noise(8, 0x9c3d)...)
	var datagrams [][]byte
	for off := 0; off < len(certificate); off += 1200 {
		datagrams = append(datagrams, clear(part(11, 0, certificate, off, min(1200, len(certificate)-off))))
	}
	var r dtlswire.Reassembler
	row, incomplete := r.Records(nil, kept(datagrams...))
	var h tlswire.Handshake
	h.ParseDTLS(nil, row)
	if incomplete || h.Incomplete || len(h.Certificates) != 1 || !slices.Equal(h.Certificates[0], certificate[6:]) {
		t.Errorf("incomplete %v, and %d certificates", incomplete, len(h.Certificates))
	}
}

// The row of a handshake with a cut certificate still tells all that follows it.
func TestCutMessageHidesNothing(t *testing.T) {
	t.Parallel()
	hello := append(append([]byte{0xfe, 0xfd}, noise(1, 32)...), 0, 0xc0, 0x2b, 0)
	certificate := append([]byte{0, 3, 0xeb, 0, 3, 0xe8}, noise(2, 1000)...)
	var r dtlswire.Reassembler
	row, incomplete := r.Records(nil, kept(message(2, 0, hello), clear(part(11, 1, certificate, 0, 600)), message(14, 2, nil),
		sent(20, v12, 0, 1), sent(22, v12, 1, noise(3, 40)...)))
	var h tlswire.Handshake
	h.ParseDTLS(nil, row)
	if !h.ServerSeen || h.CertificateBytes != len(certificate) || !h.ServerHelloDone || !h.ServerCCS || !h.ServerFinished || !h.Incomplete || !incomplete {
		t.Errorf("hello %v, certificate of %d bytes, done %v, ChangeCipherSpec %v, Finished %v, incomplete %v",
			h.ServerSeen, h.CertificateBytes, h.ServerHelloDone, h.ServerCCS, h.ServerFinished, h.Incomplete)
	}
}

func TestOldestVersion(t *testing.T) {
	t.Parallel()
	var r dtlswire.Reassembler
	row, incomplete := r.Records(nil, kept(sent(22, 0x0100, 0, part(1, 0, hello(nil), 0, len(hello(nil)))...), sent(20, 0x0100, 0, 1, 0, 1)))
	want := []string{fmt.Sprintf("message 1: %x", hello(nil)), "record 20: 010001"}
	if lines, _ := read(row); !slices.Equal(lines, want) || incomplete {
		t.Errorf("incomplete %v, %s", incomplete, cmp.Diff(want, lines))
	}
}

func TestReuseDoesNotAllocate(t *testing.T) {
	certificate := noise(1, 3000)
	in := kept(message(2, 0, noise(2, 80)), clear(part(11, 1, certificate, 1200, 1800)), clear(part(11, 1, certificate, 0, 1200)),
		sent(20, v12, 0, 1), sent(22, v12, 1, noise(3, 40)...))
	var r dtlswire.Reassembler
	row, _ := r.Records(nil, in)
	if n := testing.AllocsPerRun(100, func() { row, _ = r.Records(row[:0], in) }); n != 0 {
		t.Errorf("Records allocates %v times, want 0", n)
	}
	cid := slices.Insert(sent(25, v12, 1, noise(2, 60)...), 11, []byte("12345")...)
	bytes := 0
	if n := testing.AllocsPerRun(100, func() {
		dtlswire.Walk(cid, func(_ uint8, _ uint16, body []byte) { bytes += len(body) })
		if _, _, _, ok := dtlswire.LooksLikeRecord(cid); !ok {
			bytes = -1 << 20
		}
	}); n != 0 || bytes <= 0 {
		t.Errorf("Walk and LooksLikeRecord allocate %v times, want 0", n)
	}
}

func BenchmarkRecords(b *testing.B) {
	certificate := noise(1, 3000)
	in := kept(message(2, 0, noise(2, 80)), clear(part(11, 1, certificate, 1200, 1800)), clear(part(11, 1, certificate, 0, 1200)),
		message(14, 2, nil), sent(20, v12, 0, 1), sent(22, v12, 1, noise(3, 40)...))
	var r dtlswire.Reassembler
	var row []byte
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		row, _ = r.Records(row[:0], in)
	}
}
