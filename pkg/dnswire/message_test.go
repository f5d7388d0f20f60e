package dnswire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// name encodes labels; without any it is the root.
func name(labels ...string) []byte {
	var out []byte
	for _, l := range labels {
		out = append(out, byte(len(l)))
		out = append(out, l...)
	}
	return append(out, 0)
}

func numbers(v ...uint16) []byte {
	var out []byte
	for _, n := range v {
		out = binary.BigEndian.AppendUint16(out, n)
	}
	return out
}

func record(owner []byte, typ uint16, ttl uint16, data []byte) []byte {
	return slices.Concat(owner, numbers(typ, 1, 0, ttl, uint16(len(data))), data)
}

// toQuestion points to the name of the first question.
var toQuestion = []byte{0xc0, 12}

func response(answers ...[]byte) []byte {
	return slices.Concat(numbers(0xbeef, 0x8180, 1, uint16(len(answers)), 0, 0),
		name("www", "example", "com"), numbers(TypeA, 1), slices.Concat(answers...))
}

func TestResponseIsReadWhole(t *testing.T) {
	t.Parallel()
	msg := response(
		record(toQuestion, TypeCNAME, 300, append([]byte{4}, "edge\xc0\x10"...)),
		record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1}),
		record(toQuestion, TypeAAAA, 60, append([]byte{0x20, 1, 0xd, 0xb8}, make([]byte, 12)...)),
		record(toQuestion, TypeMX, 1, append([]byte{0, 10}, name("mail")...)),
		record(toQuestion, TypeSRV, 1, append([]byte{0, 1, 0, 2, 1, 0xbb}, name("srv", "example")...)),
		record(toQuestion, TypeTXT, 1, append([]byte{5}, "v=\"a.\x03b c"...)),
		record(toQuestion, TypeSOA, 1, slices.Concat(name("ns"), name("admin"), make([]byte, 16), []byte{0, 0, 1, 0})),
		record(toQuestion, TypeHTTPS, 1, slices.Concat([]byte{0, 1}, name(), numbers(1, 3), []byte{2, 'h', '2'}, numbers(3, 2, 443), numbers(4, 4), []byte{192, 0, 2, 9})),
		record(toQuestion, TypeSVCB, 1, slices.Concat([]byte{0, 0}, name("svc"))),
		record(toQuestion, 4242, 1, []byte{1, 2}),
		record(toQuestion, TypeA, 1, []byte{1, 2}),
		record(toQuestion, TypePTR, 1, name()),
	)
	var got Message
	for range 2 {
		if err := Parse(&got, msg); err != nil {
			t.Fatal(err)
		}
	}
	owner := "www.example.com"
	want := Message{
		ID: 0xbeef, Response: true, RecursionDesired: true, RecursionAvailable: true,
		Questions: []Question{{Name: owner, Type: TypeA, Class: 1}},
		Answers: []RR{
			{Name: owner, Type: TypeCNAME, Class: 1, TTL: 300, Data: "edge.example.com"},
			{Name: owner, Type: TypeA, Class: 1, TTL: 60, Data: "192.0.2.1"},
			{Name: owner, Type: TypeAAAA, Class: 1, TTL: 60, Data: "2001:db8::"},
			{Name: owner, Type: TypeMX, Class: 1, TTL: 1, Data: "10 mail"},
			{Name: owner, Type: TypeSRV, Class: 1, TTL: 1, Data: "1 2 443 srv.example"},
			{Name: owner, Type: TypeTXT, Class: 1, TTL: 1, Data: `"v=\"a." "b c"`},
			{Name: owner, Type: TypeSOA, Class: 1, TTL: 1, Data: "ns admin 0 0 0 0 256"},
			{Name: owner, Type: TypeHTTPS, Class: 1, TTL: 1, Data: "1 . alpn=h2 port=443 ipv4hint=192.0.2.9"},
			{Name: owner, Type: TypeSVCB, Class: 1, TTL: 1, Data: "0 svc"},
			{Name: owner, Type: 4242, Class: 1, TTL: 1, Data: `\# 2 0102`},
			{Name: owner, Type: TypeA, Class: 1, TTL: 1, Data: `\# 2 0102`},
			{Name: owner, Type: TypePTR, Class: 1, TTL: 1, Data: "."},
		},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Message{})); d != "" {
		t.Error(d)
	}
}

func TestQueryFlags(t *testing.T) {
	t.Parallel()
	var m Message
	if err := Parse(&m, slices.Concat(numbers(1, 0x2a03, 1, 0, 0, 0), name("x"), numbers(TypeHTTPS, 1))); err != nil {
		t.Fatal(err)
	}
	if m.Response || m.Opcode != 5 || m.RCode != 3 || !m.Truncated || TypeName(m.Questions[0].Type) != "HTTPS" {
		t.Errorf("%+v", m)
	}
}

func TestNamesAreValidUTF8(t *testing.T) {
	t.Parallel()
	for want, labels := range map[string][]string{
		`a\.b.c\\d`:       {"a.b", `c\d`},
		`\000\255\032x`:   {"\x00\xff x"},
		`bücher.example`:  {"bücher", "example"},
		`\195.\188x`:      {"\xc3", "\xbcx"},
		`\226\128\142sly`: {"\u200esly"}, // a mark that is not to be seen
		`.`:               nil,
	} {
		got, next, ok := appendName(nil, name(labels...), 0)
		if string(got) != want || !ok || next != len(name(labels...)) || !utf8.Valid(got) {
			t.Errorf("%q: got %s, %d, %v; want %s", labels, got, next, ok, want)
		}
	}
}

func TestPointersDoNotLoop(t *testing.T) {
	t.Parallel()
	header := numbers(1, 0x8000, 1, 0, 0, 0)
	for what, body := range map[string][]byte{
		"to itself":         {0xc0, 12},
		"to each other":     {0xc0, 14, 0xc0, 12},
		"through a label":   {1, 'a', 0xc0, 12},
		"beyond the end":    {0xff, 0xff},
		"cut":               {0xc0},
		"extended label":    {0x41, 0},
		"label past end":    {9, 'a'},
		"name without root": {1, 'a'},
	} {
		var m Message
		err := Parse(&m, append(slices.Clone(header), body...))
		var damage *DamageError
		if !errors.As(err, &damage) || damage.Offset < 12 || len(m.Questions) != 0 {
			t.Errorf("%s: %v, %+v", what, err, m)
		}
	}
}

func TestLongNamesAreRefused(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	if _, _, ok := appendName(nil, name(label, label, label, label[:61]), 0); !ok {
		t.Error("a name of 255 bytes is allowed")
	}
	if _, _, ok := appendName(nil, name(label, label, label, label[:62]), 0); ok {
		t.Error("a name of 256 bytes is not")
	}
}

func TestDamageKeepsWhatWasRead(t *testing.T) {
	t.Parallel()
	msg := response(record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1}), record(toQuestion, TypeA, 60, []byte{192, 0, 2, 2}))
	for n := range msg {
		var m Message
		err := Parse(&m, msg[:n])
		var damage *DamageError
		if !errors.As(err, &damage) || damage.Offset > n || !strings.Contains(err.Error(), fmt.Sprint(damage.Offset)) {
			t.Fatalf("cut to %d: %v", n, err)
		}
		if wantQ, wantA := n >= 33, n >= 49; len(m.Questions) == 1 != wantQ || len(m.Answers) == 1 != wantA {
			t.Fatalf("cut to %d: %d questions, %d answers", n, len(m.Questions), len(m.Answers))
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	answer := record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1})
	var m Message
	if err := Parse(&m, response(slices.Repeat([][]byte{answer}, MaxAnswers+5)...)); err != nil {
		t.Fatal(err)
	}
	if len(m.Answers) != MaxAnswers || m.Omitted != 5 {
		t.Errorf("%d answers, %d omitted", len(m.Answers), m.Omitted)
	}
	question := append(name("x"), numbers(1, 1)...)
	if err := Parse(&m, append(numbers(1, 0, 40, 0, 0, 0), slices.Repeat(question, 40)...)); err != nil {
		t.Fatal(err)
	}
	if len(m.Questions) != MaxQuestions || m.Omitted != 8 {
		t.Errorf("%d questions, %d omitted", len(m.Questions), m.Omitted)
	}
}

func TestAnswerAddrs(t *testing.T) {
	t.Parallel()
	v6 := append([]byte{0x20, 1, 0xd, 0xb8}, make([]byte, 12)...)
	msg := response(
		record(toQuestion, TypeCNAME, 300, name("edge")),
		record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1}),
		record(name("edge"), TypeAAAA, 60, v6),
		record(toQuestion, TypeA, 60, []byte{1, 2, 3}),
	)
	var got []netip.Addr
	visit := func(a netip.Addr) { got = append(got, a) }
	if !AnswerAddrs(msg, visit) {
		t.Error("a whole response counts as broken")
	}
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for n := range msg {
		if AnswerAddrs(msg[:n], visit) {
			t.Fatalf("cut to %d bytes and taken for whole", n)
		}
	}
	query := slices.Concat(numbers(1, 0x0100, 1, 0, 0, 0), name("x"), numbers(1, 1))
	if AnswerAddrs(query, visit) {
		t.Error("a query counts as response")
	}
}

func TestAnswerAddrsDoesNotAllocate(t *testing.T) {
	msg := response(record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1}))
	seen := 0
	visit := func(netip.Addr) { seen++ }
	if n := testing.AllocsPerRun(100, func() { AnswerAddrs(msg, visit) }); n != 0 || seen == 0 {
		t.Errorf("allocates %v times for %d addresses, want 0", n, seen)
	}
}

func TestNamesOfNumbers(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		TypeName(TypeAAAA): "AAAA", TypeName(TypeSVCB): "SVCB", TypeName(1234): "TYPE1234",
		RCodeName(3): "NXDOMAIN", RCodeName(0): "NOERROR", RCodeName(14): "RCODE14",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(response(record(toQuestion, TypeCNAME, 300, append([]byte{4}, "edge\xc0\x10"...)), record(toQuestion, TypeTXT, 1, []byte{1, '"'})))
	f.Add(response(record(toQuestion, TypeHTTPS, 1, slices.Concat([]byte{0, 1}, name(), numbers(1, 3), []byte{2, 'h', '2'}))))
	f.Add([]byte{0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12})
	f.Add(denial(0x8183, record(name(), typeOPT, 0x8000, numbers(10, 2, 0))))
	var m Message
	f.Fuzz(func(t *testing.T, b []byte) {
		err := Parse(&m, b)
		for _, rr := range m.Answers {
			if !utf8.ValidString(rr.Name) || !utf8.ValidString(rr.Data) || len(rr.Data) > maxText+len("…") {
				t.Errorf("%q %q", rr.Name, rr.Data)
			}
		}
		if len(m.Questions) > MaxQuestions || len(m.Answers) > MaxAnswers || len(m.EDNS.Options) > MaxOptions {
			t.Errorf("%d questions, %d answers, %d options", len(m.Questions), len(m.Answers), len(m.EDNS.Options))
		}
		if m.Negative() != NotNegative && !m.Response {
			t.Error("a query denies")
		}
		ok := AnswerAddrs(b, func(netip.Addr) {})
		if err == nil && m.Response && m.Omitted == 0 && !ok {
			t.Error("Parse reads the message and AnswerAddrs does not")
		}
		if response, rcode, ok := Summary(b); ok && (response != m.Response || rcode != m.RCode&15) {
			t.Errorf("summary %v %d, message %v %d", response, rcode, m.Response, m.RCode)
		}
		if LooksLikeMessage(b) && len(m.Questions)+len(m.Answers) == 0 && err == nil {
			t.Error("looks like a message and has nothing")
		}
		if _, _, ok := Summary(b); LooksLikeMessage(b) && !ok {
			t.Error("looks like a message and has no summary")
		}
		LooksLikeStream(b)
		for rest, whole := b, true; whole; {
			var msg []byte
			if msg, rest, whole = CutMessage(rest); whole && len(msg)+len(rest)+2 > len(b) {
				t.Errorf("cut %d and %d of %d", len(msg), len(rest), len(b))
			}
		}
	})
}

func BenchmarkAnswerAddrs(b *testing.B) {
	msg := response(record(toQuestion, TypeCNAME, 300, name("edge")), record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1}))
	b.ReportAllocs()
	for b.Loop() {
		AnswerAddrs(msg, func(netip.Addr) {})
	}
}

func BenchmarkParse(b *testing.B) {
	msg := response(record(toQuestion, TypeCNAME, 300, name("edge")), record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1}))
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		if err := Parse(&m, msg); err != nil {
			b.Fatal(err)
		}
	}
}
