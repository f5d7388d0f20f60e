package dnswire

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// soa is a start of authority with a TTL of 900 and a minimum of 300 seconds.
var soa = record(name("example", "com"), TypeSOA, 900, slices.Concat(name("ns"), name("admin"), numbers(0, 1, 0, 2, 0, 3, 0, 4, 0, 300)))

// denial asks for www.example.com and answers with a SOA, and the additional
// records.
func denial(flags uint16, additional ...[]byte) []byte {
	return slices.Concat(numbers(1, flags, 1, 0, 1, uint16(len(additional))),
		name("www", "example", "com"), numbers(TypeAAAA, 1), soa, slices.Concat(additional...))
}

// opt is an OPT record for 1232 bytes; high are the higher bits of the rcode.
func opt(high, version uint8, flags uint16, data []byte) []byte {
	return slices.Concat(name(), numbers(typeOPT, 1232), []byte{high, version}, numbers(flags, uint16(len(data))), data)
}

func TestEDNS(t *testing.T) {
	t.Parallel()
	cookie := slices.Concat(numbers(10, 8), []byte("12345678"), numbers(12, 0))
	for _, c := range []struct {
		record []byte
		want   EDNS
		rcode  string
	}{
		{opt(0, 0, 0x8000, cookie), EDNS{Present: true, UDPSize: 1232, DO: true, Options: []uint16{10, 12}}, "NOERROR"},
		{opt(1, 1, 0, nil), EDNS{Present: true, Version: 1, UDPSize: 1232}, "BADVERS"},
		{opt(1, 0, 0, cookie[:9]), EDNS{Present: true, UDPSize: 1232, Options: []uint16{10}}, "BADVERS"}, // the option is cut
	} {
		var m Message
		for range 2 {
			if err := Parse(&m, denial(0x8180, record(name("ns"), TypeA, 60, []byte{192, 0, 2, 1}), c.record)); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(c.want, m.EDNS); d != "" || RCodeName(m.RCode) != c.rcode || m.Additionals != 2 {
			t.Errorf("%s, %s, %d additional records", d, RCodeName(m.RCode), m.Additionals)
		}
	}
	var m Message
	if err := Parse(&m, denial(0x8180, opt(0, 0, 0, make([]byte, 8*MaxOptions)))); err != nil || len(m.EDNS.Options) != MaxOptions {
		t.Errorf("%d options, %v", len(m.EDNS.Options), err)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for flags, want := range map[uint16]Message{
		0x8400: {Response: true, Authoritative: true},
		0x8200: {Response: true, Truncated: true},
		0x0100: {RecursionDesired: true},
		0x8080: {Response: true, RecursionAvailable: true},
		0x8020: {Response: true, AuthenticData: true},
		0x0010: {CheckingDisabled: true},
		0x2800: {Opcode: 5},
		0x8005: {Response: true, RCode: 5},
	} {
		var m Message
		if err := Parse(&m, numbers(0, flags, 0, 0, 0, 0)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, m, cmpopts.IgnoreUnexported(Message{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%04x: %s", flags, d)
		}
	}
}

func TestNegativeAnswers(t *testing.T) {
	t.Parallel()
	question := slices.Concat(name("www", "example", "com"), numbers(TypeAAAA, 1))
	cname := record(toQuestion, TypeCNAME, 60, name("other"))
	ns := record(name("example", "com"), TypeNS, 60, name("ns"))
	for what, c := range map[string]struct {
		msg  []byte
		want Negative
		soa  SOA
		ns   int
	}{
		"no such name":         {denial(0x8183), NXDomain, SOA{true, 300}, 0},
		"no data":              {denial(0x8180), NoData, SOA{true, 300}, 0},
		"no data, no SOA":      {slices.Concat(numbers(1, 0x8180, 1, 0, 0, 0), question), NoData, SOA{}, 0},
		"alias without data":   {slices.Concat(numbers(1, 0x8180, 1, 1, 1, 0), question, cname, soa), NoData, SOA{true, 300}, 0},
		"alias to no name":     {slices.Concat(numbers(1, 0x8183, 1, 1, 1, 0), question, cname, soa), NXDomain, SOA{true, 300}, 0},
		"referral":             {slices.Concat(numbers(1, 0x8000, 1, 0, 2, 0), question, ns, ns), NotNegative, SOA{}, 2},
		"answer":               {slices.Concat(numbers(1, 0x8180, 1, 1, 1, 0), question, record(toQuestion, TypeAAAA, 9, make([]byte, 16)), ns), NotNegative, SOA{}, 1},
		"another type":         {slices.Concat(numbers(1, 0x8180, 1, 1, 0, 0), question, record(toQuestion, TypeTXT, 9, []byte{0})), NotNegative, SOA{}, 0},
		"alias asked for":      {slices.Concat(numbers(1, 0x8180, 1, 1, 0, 0), name("www"), numbers(TypeCNAME, 1), cname), NotNegative, SOA{}, 0},
		"server failure":       {denial(0x8182), NotNegative, SOA{true, 300}, 0},
		"cut by the sender":    {denial(0x8380), NotNegative, SOA{true, 300}, 0},
		"query":                {slices.Concat(numbers(1, 0x0100, 1, 0, 0, 0), question), NotNegative, SOA{}, 0},
		"response of no query": {numbers(1, 0x8183, 0, 0, 0, 0), NotNegative, SOA{}, 0},
	} {
		var m Message
		if err := Parse(&m, c.msg); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := m.Negative(); got != c.want || m.SOA != c.soa || m.NameServers != c.ns {
			t.Errorf("%s: %d, %+v, %d name servers; want %d, %+v, %d", what, got, m.SOA, m.NameServers, c.want, c.soa, c.ns)
		}
	}
}

func TestDamageInLaterSectionsKeepsTheAnswer(t *testing.T) {
	t.Parallel()
	whole := denial(0x8183, opt(0, 0, 0x8000, nil))
	for n := range whole {
		var m Message
		err := Parse(&m, whole[:n])
		var damage *DamageError
		if !errors.As(err, &damage) || damage.Offset > n {
			t.Fatalf("cut to %d: %v", n, err)
		}
		if end := len(whole) - 11; n >= end && (m.Authorities != 1 || !m.SOA.Present || damage.What != "additional record") {
			t.Fatalf("cut to %d: %+v, %v", n, m, err)
		}
	}
}

func TestMulticast(t *testing.T) {
	t.Parallel()
	// A response without question and with several answers (RFC 6762 section 6).
	ptr := record(name("_ipp", "_tcp", "local"), TypePTR, 120, name("Printer 1 (Büro)", "_ipp", "_tcp", "local"))
	a := record(name("printer", "local"), TypeA, 120, []byte{192, 0, 2, 7})
	a[len(name("printer", "local"))+2] |= 0x80
	msg := slices.Concat(numbers(0, 0x8400, 0, 2, 0, 0), ptr, a)
	var m Message
	if err := Parse(&m, msg); err != nil || !LooksLikeMessage(msg) {
		t.Fatal(err, LooksLikeMessage(msg))
	}
	want := []RR{
		{Name: "_ipp._tcp.local", Type: TypePTR, Class: 1, TTL: 120, Data: `Printer\0321\032(Büro)._ipp._tcp.local`},
		{Name: "printer.local", Type: TypeA, Class: 1, CacheFlush: true, TTL: 120, Data: "192.0.2.7"},
	}
	if d := cmp.Diff(want, m.Answers); d != "" || !m.Authoritative || m.Negative() != NotNegative {
		t.Error(d, m)
	}
	query := slices.Concat(numbers(0, 0, 2, 0, 0, 0), name("_ipp", "_tcp", "local"), numbers(TypePTR, 0x8001), name("a", "local"), numbers(TypeA, 1))
	if err := Parse(&m, query); err != nil || !LooksLikeMessage(query) {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Question{{Name: "_ipp._tcp.local", Type: TypePTR, Class: 1, Unicast: true}, {Name: "a.local", Type: TypeA, Class: 1}}, m.Questions); d != "" {
		t.Error(d)
	}
}

func TestServiceBindings(t *testing.T) {
	t.Parallel()
	param := func(key uint16, value string) []byte { return append(numbers(key, uint16(len(value))), value...) }
	v6 := "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	for want, data := range map[string][]byte{
		// RFC 9460 appendix D
		`0 foo.example.com`:                       slices.Concat(numbers(0), name("foo", "example", "com")),
		`1 .`:                                     slices.Concat(numbers(1), name()),
		`16 foo.example.com port=53`:              slices.Concat(numbers(16), name("foo", "example", "com"), param(3, "\x00\x35")),
		`1 foo.example.com key667="hello"`:        slices.Concat(numbers(1), name("foo", "example", "com"), param(667, "hello")),
		`1 foo.example.com key667="hello\210qoo"`: slices.Concat(numbers(1), name("foo", "example", "com"), param(667, "hello\xd2qoo")),
		`1 . ipv6hint=2001:db8::1,2001:db8::1`:    slices.Concat(numbers(1), name(), param(6, v6+v6)),
		`16 a mandatory=alpn,ipv4hint alpn=h2,h3-19 ipv4hint=192.0.2.1`: slices.Concat(numbers(16), name("a"), param(0, "\x00\x01\x00\x04"), param(1, "\x02h2\x05h3-19"), param(4, "\xc0\x00\x02\x01")),
		`16 a alpn=f\\\\oo\\,bar,h2`:                                    slices.Concat(numbers(16), name("a"), param(1, "\x08f\\oo,bar\x02h2")),
		`1 . alpn=h2 no-default-alpn ech=AAEC/w==`:                      slices.Concat(numbers(1), name(), param(1, "\x02h2"), param(2, ""), param(5, "\x00\x01\x02\xff")),
		`1 dns dohpath="/dns-query{?dns}" key9999`:                      slices.Concat(numbers(1), name("dns"), param(7, "/dns-query{?dns}"), param(9999, "")),
	} {
		if got := string(appendData(nil, TypeHTTPS, data, 0, len(data))); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for what, data := range map[string][]byte{
		"port of one byte": slices.Concat(numbers(1), name(), param(3, "x")),
		"cut value":        slices.Concat(numbers(1), name(), numbers(1, 9), []byte("\x02h2")),
		"cut protocol":     slices.Concat(numbers(1), name(), param(1, "\x09h2")),
		"cut hint":         slices.Concat(numbers(1), name(), param(4, "abc")),
	} {
		if got := string(appendData(nil, TypeSVCB, data, 0, len(data))); !strings.HasPrefix(got, `\# `) {
			t.Errorf("%s: %s", what, got)
		}
	}
}

func TestTextIsBounded(t *testing.T) {
	t.Parallel()
	var txt []byte
	for range 40 {
		txt = append(append(txt, 255), strings.Repeat("ü", 128)[:255]...)
	}
	got := string(appendData(nil, TypeTXT, txt, 0, len(txt)))
	if len(got) > maxText+len("…") || !strings.HasSuffix(got, "…") || !strings.HasPrefix(got, `"üü`) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestOmittedAnswersDoNotHideTheRest(t *testing.T) {
	t.Parallel()
	msg := response(slices.Repeat([][]byte{record(toQuestion, TypeA, 60, []byte{192, 0, 2, 1})}, MaxAnswers+5)...)
	binary.BigEndian.PutUint16(msg[10:], 1)
	msg = append(msg, opt(0, 0, 0, nil)...)
	var m Message
	if err := Parse(&m, msg); err != nil || m.Omitted != 5 || !m.EDNS.Present {
		t.Errorf("%v, %d omitted, %+v", err, m.Omitted, m.EDNS)
	}
}
