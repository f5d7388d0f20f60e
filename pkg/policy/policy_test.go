package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trench/pkg/policy"
	"trench/pkg/record"
)

var now = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)

// row is a TLS flow that shows something of every kind.
func row() *record.Record {
	return &record.Record{
		ClientIP: netip.MustParseAddr("10.1.2.3"), ServerIP: netip.MustParseAddr("2001:db8::9"), TLSSNI: "www.Example.com", Vector: []float32{1},
		JA3: strings.Repeat("a", 32), JA3S: strings.Repeat("b", 32), JA4: "t13d1516h2_8daaf6152771_02713d6af862", JA4S: "t130200_1301_234ea6891581",
		CertChain: []record.Certificate{
			{SHA1: strings.Repeat("1", 40), SHA256: strings.Repeat("2", 64), SANs: []string{"cdn.example.net"}},
			{SHA1: strings.Repeat("3", 40), SHA256: strings.Repeat("4", 64), SANs: []string{"ca.example.net"}},
		},
		TLS: &record.TLS{ClientCertificate: strings.Repeat("5", 64)},
		DNS: &record.DNS{Queries: []record.Query{{Name: "looked.up.example.org"}}},
	}
}

func TestWhatAnEntryMatches(t *testing.T) {
	t.Parallel()
	dns := &record.Record{ClientIP: netip.MustParseAddr("10.1.2.3"), ServerIP: netip.MustParseAddr("10.0.0.53"), DNS: &record.DNS{Queries: []record.Query{{Name: "Evil.example."}}}}
	http := &record.Record{HTTP: &record.HTTP{Requests: []record.Request{{Host: "plain.example:8080"}}}}
	nameless := row()
	nameless.TLSSNI = ""
	mapped := &record.Record{ServerIP: netip.MustParseAddr("::ffff:192.0.2.1")}
	scoped := &record.Record{ServerIP: netip.MustParseAddr("fe80::1%eth0")}
	for _, c := range []struct {
		entry string
		row   *record.Record
		deny  bool // matches in a deny list
		allow bool // matches in an allow list
	}{
		{"address: 10.1.2.3", row(), true, true},
		{"address: 10.1.2.3, direction: client", row(), true, true},
		{"address: 10.1.2.3, direction: server", row(), false, false},
		{"address: '2001:db8::9', direction: server", row(), true, true},
		{"address: 2001:db8:0::8", row(), false, false},
		{"address: 192.0.2.1", mapped, true, true},
		{"address: 'fe80::1'", scoped, true, true},
		{"network: 10.0.0.0/8", row(), true, true},
		{"network: 0.0.0.0/0, direction: server", row(), false, false},
		{"network: '::/0', direction: server", row(), true, true},
		{"network: '::/0', direction: server", mapped, false, false},
		{"domain: www.example.com", row(), true, true},
		{"domain: example.com", row(), false, false},
		{"domain: '*.example.com'", row(), true, true},
		{"domain: '*.www.example.com'", row(), false, false},
		{"domain: '*.com', direction: server", row(), true, true},
		{"domain: cdn.example.net", row(), false, false}, // the SNI says what was asked for
		{"domain: cdn.example.net", nameless, true, true},
		{"domain: ca.example.net", nameless, false, false}, // not the leaf's
		{"domain: '*.example.org'", nameless, true, true},
		{"domain: '*.example.org'", row(), false, false},
		{"domain: evil.example", dns, true, true},
		{"domain: plain.example", http, true, true},
		{"ja3: " + strings.Repeat("a", 32), row(), true, true},
		{"ja3: " + strings.Repeat("a", 32) + ", direction: server", row(), false, false},
		{"ja3: " + strings.Repeat("b", 32) + ", direction: server", row(), true, true},
		{"ja4: t13d1516h2_8daaf6152771_02713d6af862", row(), true, true},
		{"ja4: t13d1516h2_8daaf6152771_*", row(), true, true},
		{"ja4: t13d1516h2_*", row(), true, true},
		{"ja4: t13d1516h1_*", row(), false, false},
		{"ja4: t130200_1301_*, direction: server", row(), true, true},
		{"certificate: " + strings.Repeat("1", 40), row(), true, true},
		{"certificate: " + strings.Repeat("2", 64), row(), true, true},
		{"certificate: " + strings.Repeat("4", 64), row(), true, false}, // anyone can send a CA's certificate
		{"certificate: " + strings.Repeat("2", 64) + ", direction: client", row(), false, false},
		{"certificate: " + strings.Repeat("5", 64) + ", direction: client", row(), true, true},
		{"address: 10.1.2.3, until: 2027-01-15", row(), true, true},
		{"address: 10.1.2.3, until: 2027-01-14", row(), false, false},
		{"address: 10.1.2.3, until: '2027-01-15T12:00:00Z'", row(), false, false},
		{"address: 10.1.2.3", &record.Record{}, false, false},
	} {
		for _, effect := range []policy.Effect{policy.Allow, policy.Deny} {
			set := policy.NewSet(parse(t, fmt.Sprintf("%s: [{%s, author: a, reason: r}]", effect, c.entry)))
			m := set.Match(c.row, now)
			if got := [2]bool{m.Allow != nil, m.Deny != nil}; got != [2]bool{c.allow && effect == policy.Allow, c.deny && effect == policy.Deny} {
				t.Errorf("%s %s: allow %t, deny %t", effect, c.entry, got[0], got[1])
			}
		}
	}
}

func TestTheFirstOfSeveralEntriesIsNamed(t *testing.T) {
	t.Parallel()
	const rest = ", author: a, reason: r}"
	for want, others := range map[string][]string{
		"certificate: " + strings.Repeat("2", 64): {"ja4: t13d1516h2_*", "domain: www.example.com", "address: 10.1.2.3"},
		"ja4: t13d1516h2_8daaf6152771_*":          {"ja4: t13d1516h2_*", "ja3: " + strings.Repeat("a", 32)},
		"domain: '*.example.com'":                 {"domain: '*.com'", "address: 10.1.2.3"},
		"domain: www.example.com":                 {"domain: '*.example.com'"},
		"network: '2001:db8::/32'":                {"network: '2001::/16'", "address: 10.1.2.3"},
		"address: 10.1.2.3":                       {"network: 10.1.2.0/24", "network: 10.0.0.0/8"},
	} {
		text := "deny:\n"
		for _, o := range append(others, want) {
			text += "  - {" + o + rest + "\n"
		}
		m := policy.NewSet(parse(t, text)).Match(row(), now)
		if m.Deny == nil || m.Deny.Line != len(others)+2 {
			t.Errorf("want %s: %v", want, m.Deny)
		}
	}
}

func TestAnEntryThatEndedHidesNoWiderOne(t *testing.T) {
	t.Parallel()
	set := policy.NewSet(parse(t, `deny:
  - {address: 10.1.2.3, until: 2020-01-01, author: a, reason: r}
  - {network: 10.0.0.0/8, author: a, reason: r}
allow:
  - {network: 10.1.0.0/16, author: a, reason: r}
`))
	m := set.Match(row(), now)
	if m.Deny == nil || m.Deny.Line != 3 || m.Allow == nil || m.Allow.Line != 5 {
		t.Errorf("%+v", m)
	}
	if got := fmt.Sprint(set.Counts(now)); got != "[{l.yaml deny 1 1} {l.yaml allow 1 0}]" {
		t.Errorf("counts %v", got)
	}
}

// address draws addresses of which many share long prefixes.
func address() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		b := make([]byte, size)
		for i := range b {
			b[i] = rapid.SampledFrom([]byte{0, 0, 0, 1, 0x7f, 0x80, 0xff, 0xff}).Draw(t, "byte")
		}
		a, _ := netip.AddrFromSlice(b)
		return a
	})
}

func TestNetworksMatchAsANaiveLoopDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var nets []netip.Prefix
		seen := map[netip.Prefix]bool{}
		text.WriteString("deny:\n")
		for range rapid.IntRange(0, 40).Draw(t, "networks") {
			a := address().Draw(t, "network")
			n, _ := a.Prefix(rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
			if seen[n] || n.Addr().Is4In6() {
				continue
			}
			seen[n] = true
			nets = append(nets, n)
			fmt.Fprintf(&text, "  - {network: '%v', author: a, reason: r}\n", n)
		}
		entries, err := policy.Parse("l", []byte(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		set := policy.NewSet(entries)
		for range 20 {
			a := address().Draw(t, "address")
			want := ""
			bits := -1
			for _, n := range nets {
				if n.Contains(a.Unmap()) && n.Bits() > bits {
					want, bits = n.String(), n.Bits()
				}
			}
			got := ""
			if m := set.Match(&record.Record{ServerIP: a}, now); m.Deny != nil {
				got = m.Deny.Value
			}
			if got != want {
				t.Fatalf("%v is in %q, want %q, of %v", a, got, want, nets)
			}
		}
	})
}

// spread returns an address from 20.0.0.0 on.
func spread(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(20 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)})
}

// many makes a list of n entries of all kinds.
func many(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	hex := func(digits int) string {
		s := ""
		for len(s) < digits {
			s += fmt.Sprintf("%016x", r.Uint64())
		}
		return s[:digits]
	}
	var b strings.Builder
	b.WriteString("deny:\n")
	for i := range n {
		v := [...]func() string{
			func() string { return "address: " + spread(i*20011).String() },
			func() string { return "network: " + netip.PrefixFrom(spread(i*78<<8), 24).String() },
			func() string { return fmt.Sprintf("network: '2001:db8:%x:%x::/64'", i>>16, i&0xffff) },
			func() string { return "domain: a" + hex(12) + ".example" },
			func() string { return "domain: '*.b" + hex(12) + ".example'" },
			func() string { return "ja3: " + hex(32) },
			func() string { return "ja4: t13d1516h2_" + hex(12) + "_" + hex(12) },
			func() string { return "certificate: " + hex(64) },
		}[i%8]()
		fmt.Fprintf(&b, "  - {%s, author: soc, reason: feed}\n", v)
	}
	return b.String()
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{0, 100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			entries, err := policy.Parse("l", []byte(many(n)))
			if err != nil {
				b.Fatal(err)
			}
			set := policy.NewSet(entries)
			rows := make([]*record.Record, 1024)
			r := rand.New(rand.NewPCG(3, 4))
			for i := range rows {
				rows[i] = row()
				rows[i].TLSSNI = fmt.Sprintf("www%d.some.shop.example.com", i)
				rows[i].ServerIP = netip.AddrFrom4([4]byte{byte(230 + r.IntN(20)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if m := set.Match(rows[i%len(rows)], now); m.Deny != nil {
					b.Fatal("matched ", m.Deny.Note())
				}
				i++
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	text := []byte(many(100_000))
	for b.Loop() {
		entries, err := policy.Parse("l", text)
		if err != nil {
			b.Fatal(err)
		}
		policy.NewSet(entries)
	}
}

// FuzzParse checks that whatever a file holds is refused with its name, or gives
// entries that match what they say.
func FuzzParse(f *testing.F) {
	f.Add([]byte("allow:\n  - {domain: '*.example.com', direction: server, until: 2030-01-01, author: a, reason: r}\n"))
	f.Add([]byte("deny:\n  - {network: '2001:db8::/32', author: a, reason: r}\n  - {address: [192.0.2.1, '::1'], author: a, reason: r}\n"))
	f.Add([]byte("deny:\n- ja4: t13d1516h2_*\n  author: a\n  reason: r\n- ja3: 6734f37431670b3ab4292b8f60f29984\n  author: a\n  reason: r\n"))
	f.Add([]byte("deny:\n- certificate: 00:11:22:33:44:55:66:77:88:99:00:11:22:33:44:55:66:77:88:99\n  author: a\n  reason: r\n"))
	f.Add([]byte("a: &a [*a, {<<: *a}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := policy.Parse("l", data)
		if err != nil {
			if entries != nil || !strings.HasPrefix(err.Error(), "l: ") {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			return
		}
		set := policy.NewSet(entries)
		for i := range entries {
			e := &entries[i]
			if e.Author == "" || e.Reason == "" || e.Line < 1 {
				t.Fatalf("entry %+v", e)
			}
			if !e.Until.IsZero() && !e.Until.After(now) {
				continue
			}
			m := set.Match(showing(e), now)
			if e.Effect == policy.Allow && m.Allow == nil || e.Effect == policy.Deny && m.Deny == nil {
				t.Fatalf("%q does not match what it says", e.Note())
			}
		}
	})
}

// showing is a row that shows what an entry is about, on the entry's side.
func showing(e *policy.Entry) *record.Record {
	r := &record.Record{}
	client := e.Direction == policy.Client
	switch e.Kind {
	case policy.Address, policy.Network:
		n, err := netip.ParsePrefix(e.Value)
		a := n.Addr()
		if err != nil {
			a = netip.MustParseAddr(e.Value)
		}
		if r.ServerIP = a; client {
			r.ClientIP, r.ServerIP = a, netip.Addr{}
		}
	case policy.Domain:
		r.TLSSNI = strings.Replace(e.Value, "*", "x", 1)
	case policy.JA3:
		if r.JA3S = e.Value; client {
			r.JA3, r.JA3S = e.Value, ""
		}
	case policy.JA4:
		v := strings.Replace(e.Value, "*", "x", 1)
		if r.JA4S = v; strings.IndexByte(v, '_') == 10 {
			r.JA4, r.JA4S = v, ""
		}
	case policy.Certificate:
		if r.CertChain = []record.Certificate{{SHA1: e.Value, SHA256: e.Value}}; client {
			r.TLS, r.CertChain = &record.TLS{ClientCertificate: e.Value}, nil
		}
	}
	return r
}
