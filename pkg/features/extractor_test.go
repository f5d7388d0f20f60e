package features

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"trench/pkg/flow"
	"trench/pkg/record"
)

// drawFlow makes a flow of any numbers, with handshake bytes that are random or
// a real handshake with random changes.
func drawFlow(t *rapid.T, seeds []*flow.Flow) *flow.Flow {
	f := &flow.Flow{
		App:      rapid.SampledFrom([]flow.App{flow.AppTLS, flow.AppTLS, flow.AppTLS, flow.AppDTLS, flow.AppQUIC, flow.AppDNS, flow.AppHTTP, flow.AppUnknown}).Draw(t, "app"),
		Protocol: rapid.SampledFrom([]uint8{6, 17}).Draw(t, "protocol"), First: rapid.Int64().Draw(t, "first"), Last: rapid.Int64().Draw(t, "last"),
		RTT: rapid.OneOf(rapid.Just(int64(0)), rapid.Int64()).Draw(t, "rtt"), End: flow.EndReason(rapid.Uint8Range(0, 10).Draw(t, "end")),
		Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: netip.MustParseAddrPort("192.0.2.2:2"),
		Resolution: rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "resolution"),
	}
	seed := rapid.SampledFrom(seeds).Draw(t, "seed")
	for d := range f.Half {
		h := &f.Half[d]
		if rapid.Bool().Draw(t, "random bytes") {
			h.Handshake = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "handshake")
		} else {
			h.Handshake = append([]byte(nil), seed.Half[d].Handshake...)
			h.Handshake = h.Handshake[:rapid.IntRange(0, len(h.Handshake)).Draw(t, "cut")]
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				if n := len(h.Handshake); n > 0 {
					h.Handshake[rapid.IntRange(0, n-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
				}
			}
		}
		big := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64())
		for _, p := range []*uint64{&h.Packets, &h.Bytes, &h.Payload, &h.DataPackets, &h.Retransmitted, &h.Gaps, &h.LengthSum, &h.LengthSquares,
			&h.TLSRecords, &h.AppRecords, &h.AppBytes, &h.Alerts, &h.ChangeCipherSpecs, &h.Sizes[0], &h.Sizes[7]} {
			*p = big.Draw(t, "count")
		}
		h.LengthMax = rapid.Uint32().Draw(t, "max")
		for range rapid.IntRange(0, 5).Draw(t, "values") {
			v := rapid.Byte().Draw(t, "value")
			h.ByteCounts[v], h.AppByteCounts[v] = rapid.Uint16().Draw(t, "n"), rapid.Uint16().Draw(t, "n")
		}
	}
	for range rapid.IntRange(0, 20).Draw(t, "packets") {
		f.Packets = append(f.Packets, flow.Packet{Length: rapid.Int32Range(-math.MaxInt32, math.MaxInt32).Draw(t, "length"), Offset: rapid.Int64().Draw(t, "offset")})
	}
	for range rapid.IntRange(0, 20).Draw(t, "records") {
		f.Records = append(f.Records, flow.Record{Direction: flow.Direction(rapid.IntRange(0, 1).Draw(t, "from")), Type: rapid.Uint8Range(19, 25).Draw(t, "type"), Length: rapid.Uint16().Draw(t, "length")})
	}
	return f
}

func seedFlows(t testing.TB) []*flow.Flow {
	var seeds []*flow.Flow
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f, _ := real(t, version, "host.example")
		seeds = append(seeds, f)
	}
	return append(seeds, full12(t), full13())
}

func TestVectorIsFiniteOrNaNAndDependsOnTheFlowAlone(t *testing.T) {
	t.Parallel()
	seeds := seedFlows(t)
	used := NewExtractor(Config{Bytes: true, CertificateCache: 2})
	var reused record.Record
	rapid.Check(t, func(t *rapid.T) {
		f := drawFlow(t, seeds)
		used.Extract(&reused, f)
		for i, v := range reused.Vector {
			if math.IsInf(float64(v), 0) {
				t.Fatalf("%s is %v", Default().Names()[i], v)
			}
		}
		var fresh record.Record
		NewExtractor(Config{Bytes: true, CertificateCache: 2}).Extract(&fresh, f)
		if d := cmp.Diff(fresh, reused, cmpopts.EquateNaNs(), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Fatalf("-fresh +reused:\n%s", d)
		}
		want := 0
		if f.App == flow.AppTLS || f.App == flow.AppDTLS || f.App == flow.AppQUIC {
			want = 372
		}
		if len(fresh.Vector) != want {
			t.Fatalf("vector of %d columns for %v, want %d", len(fresh.Vector), f.App, want)
		}
		for i := range fresh.Vector {
			if math.Float32bits(fresh.Vector[i]) != math.Float32bits(reused.Vector[i]) {
				t.Fatalf("%s is not bit-equal", Default().Names()[i])
			}
		}
	})
}

func TestRatiosAndBitsStayInTheirRange(t *testing.T) {
	t.Parallel()
	columns := Default().Columns()
	for _, f := range seedFlows(t) {
		addPackets(f, shaped().Packets...)
		for i, v := range row(t, f).Vector {
			switch columns[i].Unit {
			case "ratio":
				if v < 0 || v > 1 {
					t.Errorf("%s = %v", columns[i].Name, v)
				}
			case "bit":
				if v == v && v != 0 && v != 1 {
					t.Errorf("%s = %v", columns[i].Name, v)
				}
			}
		}
	}
}

func TestExtractKeepsNothingOfTheFlow(t *testing.T) {
	t.Parallel()
	f := full12(t)
	f.Packets, f.VLAN = shaped().Packets, []uint16{7}
	f.Resolution = dnsMessage(1, true, "www.example.org", 3600)
	want := row(t, f)
	var got record.Record
	e := NewExtractor(DefaultConfig())
	e.Extract(&got, f)
	for d := range f.Half {
		clear(f.Half[d].Handshake)
	}
	clear(f.Packets)
	clear(f.VLAN)
	clear(f.Resolution)
	if d := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Error(d)
	}
	if s := e.CacheStats(); s.Misses != 2 || s.Hits != 0 {
		t.Errorf("cache of certificates: %+v, want two misses", s)
	}
}

// dnsMessage is a query for A, or its answer 192.0.2.1.
func dnsMessage(id uint16, response bool, name string, ttl uint32) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	flags, answers := uint16(0x0100), byte(0)
	if response {
		flags, answers = 0x8180, 1
	}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = append(b, 0, 1, 0, answers, 0, 0, 0, 0)
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0, 0, 1, 0, 1)
	if response {
		b = append(b, 0xc0, 12, 0, 1, 0, 1)
		b = binary.BigEndian.AppendUint32(b, ttl)
		b = append(b, 0, 4, 192, 0, 2, 1)
	}
	return b
}

func TestRowOfDNS(t *testing.T) {
	t.Parallel()
	f := &flow.Flow{App: flow.AppDNS, Protocol: 17, Client: netip.MustParseAddrPort("192.0.2.1:5353"), Server: netip.MustParseAddrPort("192.0.2.53:53")}
	query, answer := dnsMessage(1, false, "a.example", 0), dnsMessage(1, true, "a.example", 60)
	f.Half[0].Handshake = join(vec16(query), vec16(query)) // asked twice
	f.Half[1].Handshake = vec16(answer)
	r := row(t, f)
	want := &record.DNS{Queries: []record.Query{{Name: "a.example", Type: "A"}}, Answers: []record.Answer{{Name: "a.example", Type: "A", TTL: 60, Data: "192.0.2.1"}}, RCode: "NOERROR", Age: math.NaN()}
	if d := cmp.Diff(want, r.DNS, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	if len(r.Vector) != 0 || r.AppProto != "dns" {
		t.Errorf("vector of %d columns, protocol %q", len(r.Vector), r.AppProto)
	}
	f.Half[1].Handshake = []byte{0, 99, 1}
	if r := row(t, f); r.DNS == nil || len(r.DNS.Answers) != 0 || r.DNS.RCode != "" {
		t.Errorf("without an answer: %+v", r.DNS)
	}
	f.Half[0].Handshake = nil
	if r := row(t, f); r.DNS != nil {
		t.Errorf("of damaged messages: %+v", r.DNS)
	}
}

func TestAnswerThatLedHere(t *testing.T) {
	t.Parallel()
	f := full12(t)
	f.Resolution, f.ResolutionAge = dnsMessage(9, true, "www.example.org", 30), 250*ms
	want := &record.DNS{Queries: []record.Query{{Name: "www.example.org", Type: "A"}}, Answers: []record.Answer{{Name: "www.example.org", Type: "A", TTL: 30, Data: "192.0.2.1"}}, RCode: "NOERROR", Age: .25}
	if d := cmp.Diff(want, row(t, f).DNS); d != "" {
		t.Error(d)
	}
}

func TestRowOfHTTP(t *testing.T) {
	t.Parallel()
	f := &flow.Flow{App: flow.AppHTTP, Protocol: 6, Client: netip.MustParseAddrPort("192.0.2.1:5353"), Server: netip.MustParseAddrPort("192.0.2.53:80")}
	f.Half[0].Handshake = []byte("GET /x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: t\xff\r\n\r\n")
	f.Half[1].Handshake = []byte("HTTP/1.1 404 Not Found\r\nServer: s\r\n\r\n")
	want := &record.HTTP{
		Requests: []record.Request{{Method: "GET", Target: "/x", Host: "a.example", UserAgent: `t\xff`, Version: "HTTP/1.1",
			Headers: []record.Header{{Name: "Host", Value: "a.example"}, {Name: "User-Agent", Value: `t\xff`}}}},
		Responses: []record.Response{{Status: 404, Version: "HTTP/1.1", Server: "s", Headers: []record.Header{{Name: "Server", Value: "s"}}}},
	}
	if d := cmp.Diff(want, row(t, f).HTTP); d != "" {
		t.Error(d)
	}
}

func TestTextIsValidUTF8(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a.example": "a.example", "münchen": "münchen", "a\xffb": `a\xffb`, "a\x1b[31m": `a\x1b[31m`, "": ""} {
		if got := text([]byte(in)); got != want {
			t.Errorf("text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestByteDistributionIsFilledOnDemand(t *testing.T) {
	t.Parallel()
	f := full12(t)
	f.Half[0].ByteCounts[65], f.Half[1].ByteCounts[65] = 2, 3
	if r := row(t, f); len(r.ByteDist) != 0 {
		t.Errorf("%d counts without being asked", len(r.ByteDist))
	}
	var r record.Record
	NewExtractor(Config{Bytes: true, CertificateCache: 1}).Extract(&r, f)
	if len(r.ByteDist) != 256 || r.ByteDist[65] != 5 || r.ByteDist[66] != 0 {
		t.Errorf("byte distribution %v", r.ByteDist)
	}
}

func TestConfigFaultsAreNamed(t *testing.T) {
	t.Parallel()
	if err := (Config{}).Validate(); err == nil || err.Error() != "certificate_cache: 0 is below 1" {
		t.Errorf("got %v", err)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestSuiteClasses(t *testing.T) {
	t.Parallel()
	const a, p, w = suiteAEAD, suitePFS, suiteWeak
	for id, want := range map[uint16]uint16{
		0x1301: 7<<4 | a | p, 0x1305: 7<<4 | a | p, 0xc02f: 6<<4 | a | p, 0xcca8: 6<<4 | a | p, 0x009e: 6<<4 | a | p, 0x009c: 5<<4 | a, 0xc09c: 5<<4 | a,
		0x003c: 4 << 4, 0xc027: 4<<4 | p, 0x002f: 3 << 4, 0xc013: 3<<4 | p, 0x0039: 3<<4 | p, 0x000a: 2<<4 | w, 0x0005: 2<<4 | w, 0xc012: 2<<4 | p | w, 0x0004: 2<<4 | w,
		0x0000: 1<<4 | w, 0x0003: 1<<4 | w, 0x0034: 1<<4 | w, 0xc006: 1<<4 | p | w, 0xc0b4: 1<<4 | p | w, 0x00a6: 1<<4 | w, 0xc018: 1<<4 | w,
		0x00ff: suiteSignal, 0x5600: suiteSignal, 0xeeee: 0, 0xc004: 3 << 4, 0xc02d: 5<<4 | a, 0xcc13: 6<<4 | a | p,
	} {
		if got := allLists().suites.at(id) & 0xff; got != want {
			t.Errorf("suite %04x has %02x, want %02x", id, got, want)
		}
	}
}

func TestBigramTableIsAConditionalDistribution(t *testing.T) {
	t.Parallel()
	for i, row := range allLists().bigrams {
		sum := 0.0
		for _, v := range row {
			sum += math.Exp2(v)
		}
		if math.Abs(sum-1) > .02 {
			t.Errorf("probabilities after %q add up to %v", alphabet[i], sum)
		}
	}
}

func TestExtractAllocatesTheStringsOfTheRowOnly(t *testing.T) {
	const strings = 5 // SNI, JA3, JA3S, JA4, community id
	for i, f := range seedFlows(t)[:2] {
		addPackets(f, shaped().Packets...)
		e := NewExtractor(DefaultConfig())
		var r record.Record
		e.Extract(&r, f)
		if n := testing.AllocsPerRun(100, func() { e.Extract(&r, f) }); n > strings {
			t.Errorf("TLS 1.%d: %v allocations a flow, want at most %d", i+2, n, strings)
		}
	}
}

// BenchmarkExtract extracts flows with whole handshakes; certificates come
// from the cache, as they mostly do.
func BenchmarkExtract(b *testing.B) {
	for i, f := range seedFlows(b)[:2] {
		addPackets(f, shaped().Packets...)
		for len(f.Packets) < 100 {
			f.Packets = append(f.Packets, f.Packets[:8]...)
		}
		f.Packets = f.Packets[:100]
		b.Run(fmt.Sprintf("tls1.%d", i+2), func(b *testing.B) {
			e := NewExtractor(DefaultConfig())
			var r record.Record
			e.Extract(&r, f)
			b.ReportAllocs()
			for b.Loop() {
				e.Extract(&r, f)
			}
		})
	}
}

// FuzzExtract gives any bytes as what was kept of a flow.
func FuzzExtract(f *testing.F) {
	for _, seed := range seedFlows(f) {
		f.Add(uint8(flow.AppTLS), seed.Half[0].Handshake, seed.Half[1].Handshake, dnsMessage(1, true, "host.example", 60))
	}
	f.Add(uint8(flow.AppQUIC), datagrams(example(f, "rfc9001-a2-client")), datagrams(example(f, "rfc9001-a3-server")), []byte{})
	f.Add(uint8(flow.AppDTLS), datagrams(dtls(0, 1, []byte{0xfe, 0xfd})), []byte{}, []byte{})
	all, err := Profile(SchemaName + "+mt+ht+xs")
	if err != nil {
		f.Fatal(err)
	}
	used := NewExtractor(Config{CertificateCache: 2, Profile: all.Name(), FoxIO: true})
	var reused record.Record
	f.Fuzz(func(t *testing.T, app uint8, client, server, resolution []byte) {
		x := tlsFlow(client, server)
		x.App, x.Resolution = flow.App(app), resolution
		used.Extract(&reused, x)
		for i, v := range reused.Vector {
			if math.IsInf(float64(v), 0) {
				t.Errorf("%s is %v", all.Names()[i], v)
			}
		}
		var fresh record.Record
		NewExtractor(Config{CertificateCache: 2, Profile: all.Name(), FoxIO: true}).Extract(&fresh, x)
		if d := cmp.Diff(fresh, reused, cmpopts.EquateNaNs(), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("-fresh +reused:\n%s", d)
		}
		var got map[string]any
		if err := json.Unmarshal(fresh.AppendJSON(nil), &got); err != nil {
			t.Error(err)
		}
	})
}
