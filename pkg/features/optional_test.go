package features

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"trench/pkg/dnswire"
	"trench/pkg/flow"
	"trench/pkg/record"
)

// readFacts returns the facts of a flow, ready for optional columns.
func readFacts(f *flow.Flow) *facts {
	e := NewExtractor(Config{CertificateCache: 8})
	e.Extract(new(record.Record), f)
	x := &e.facts
	x.flow, x.c, x.s = f, &f.Half[0], &f.Half[1]
	return x
}

// optionalValues computes columns of a flow by name.
func optionalValues(f *flow.Flow, columns []optionalColumn, edits ...func(o *optionalFacts)) map[string]float64 {
	o := new(optionalFacts)
	for _, edit := range edits {
		edit(o)
	}
	var answer *dnswire.Message
	if len(f.Resolution) > 0 {
		answer = new(dnswire.Message)
		_ = dnswire.Parse(answer, f.Resolution) // a damaged message is used as far as it goes
	}
	o.read(readFacts(f), answer)
	values := map[string]float64{}
	for _, c := range columns {
		values[c.name] = float64(finite(c.value(o)))
	}
	return values
}

// checkAll is check, and says which columns want does not name.
func checkAll(t testing.TB, got, want map[string]float64) {
	t.Helper()
	check(t, got, want)
	for name := range got {
		if _, named := want[name]; !named {
			t.Errorf("the test says nothing about %s", name)
		}
	}
}

// allAre is a value for every column.
func allAre(columns []optionalColumn, v float64) map[string]float64 {
	m := map[string]float64{}
	for _, c := range columns {
		m[c.name] = v
	}
	return m
}

func TestProfilesHaveTheirColumnsInOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, groups string
		columns      int
	}{
		{"trench-v1", "", 372},
		{"trench-v1+mt", "mt", 472},
		{"trench-v1+ht", "ht", 382},
		{"trench-v1+xs", "xs", 379},
		{"trench-v1+mt+xs", "mt xs", 479},
		{"trench-v1+mt+ht+xs", "mt ht xs", 489},
	} {
		s, err := Profile(c.name)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var groups []string
		for _, column := range s.Columns()[372:] {
			groups = append(groups, column.Group)
		}
		if got := strings.Join(slices.Compact(groups), " "); s.Name() != c.name || len(s.Names()) != c.columns || got != c.groups {
			t.Errorf("%s is %s with %d columns and the groups %q, want %d and %q", c.name, s.Name(), len(s.Names()), got, c.columns, c.groups)
		}
		if d := cmp.Diff(Default().Names(), s.Names()[:372]); d != "" {
			t.Errorf("%s does not begin as trench-v1: %s", c.name, d)
		}
		own, err := s.Hash(Default().Names())
		if want, _ := Default().Hash(Default().Names()); err != nil || own != want {
			t.Errorf("%s: hash over the columns of trench-v1 is %s, %v, want %s", c.name, own, err, want)
		}
	}
	for _, bad := range []string{"trench", "trench-v2", "trench-v1+", "trench-v1+pr", "trench-v1+mtx", "trench-v1+xs+mt", "trench-v1+mt+mt", "+mt", "cisco2016+mt", "TRENCH-V1"} {
		if s, err := Profile(bad); err == nil {
			t.Errorf("Profile(%q) is %s with %d columns, want an error", bad, s.Name(), len(s.Names()))
		}
	}
}

func TestNamesOfOptionalColumns(t *testing.T) {
	t.Parallel()
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("mt_%d_%d", i/10, i%10))
	}
	want = append(want, strings.Fields("ht_n_req_5m ht_has_ua ht_ua_len ht_n_hdr ht_n_ctypes ht_exe_seen ht_srv_class ht_err_ratio ht_post_ratio ht_referer_ratio "+
		"xs_dport xs_dport_class xs_sport xs_sni_rank_log xs_dns_rank_log xs_syn_rtt_ms xs_hop_est")...)
	s, err := Profile("trench-v1+mt+ht+xs")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, s.Names()[372:]); d != "" {
		t.Error(d)
	}
}

// profiles are all columns that there are.
func profiles(t testing.TB) []*Schema {
	t.Helper()
	var out []*Schema
	for _, name := range []string{"trench-v1+mt+ht+xs", CiscoName} {
		s, err := Profile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func TestOptionalColumnsAreDefined(t *testing.T) {
	t.Parallel()
	for _, s := range profiles(t) {
		seen := map[string]string{}
		for _, c := range s.Columns() {
			if c.Unit == "" || len(c.Doc) < 10 || strings.Contains(c.Doc, "\n") || columnRange(c.Name, c.Unit) == "" {
				t.Errorf("column %+v lacks unit, definition or range", c)
			}
			if other, twice := seen[c.Doc]; twice {
				t.Errorf("%s and %s have the same definition", other, c.Name)
			}
			seen[c.Doc] = c.Name
		}
	}
}

// inRange reports whether a value is NaN or in a range as columnRange writes it.
func inRange(text string, v float64) bool {
	number := func(s string) float64 {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	first, other, _ := strings.Cut(strings.Replace(text, " or ", " to ", 1), ", ")
	from, to, whole := strings.Cut(first, " to ")
	switch {
	case v != v || text == "any":
		return true
	case whole:
		return v == math.Trunc(v) && number(from) <= v && v <= number(to) || other != "" && v == number(other)
	case text[0] == '[':
		return number(first[1:]) <= v && v <= number(strings.TrimSuffix(other, "]"))
	case strings.HasPrefix(text, "≥ "):
		return v >= number(strings.TrimPrefix(text, "≥ "))
	}
	return v <= number(strings.TrimPrefix(text, "≤ "))
}

func TestRangesAreRead(t *testing.T) {
	t.Parallel()
	for text, values := range map[string][2]float64{"any": {-1, math.NaN()}, "≥ 0": {0, -1}, "≤ 0": {-1, 1}, "[0, 127.5]": {127.5, 128}, "0 or 1": {1, .5}, "1 to 4, 9": {9, 5}, "0 to 3": {3, 4}} {
		if !inRange(text, values[0]) || values[1] == values[1] && inRange(text, values[1]) {
			t.Errorf("range %s has not %v, or has %v", text, values[0], values[1])
		}
	}
}

func TestValuesStayInTheirRange(t *testing.T) {
	t.Parallel()
	seeds, schemas := seedFlows(t), profiles(t)
	ranks := readRanks(t, "example.org\n")
	e := NewExtractor(Config{CertificateCache: 8})
	o := &optionalFacts{ranks: ranks}
	columns := slices.Concat(timeColumns(), httpColumns(), shortcutColumns(), ciscoColumns())
	rapid.Check(t, func(t *rapid.T) {
		f := drawFlow(t, seeds)
		h := new(flow.HTTPContext)
		n := rapid.Uint32Range(0, 3)
		h.Requests, h.Responses = n.Draw(t, "requests"), n.Draw(t, "responses")
		upTo := func(most uint32) uint32 { return rapid.Uint32Range(0, most).Draw(t, "of them") }
		h.UserAgents, h.Posts, h.Referers, h.Errors, h.ContentTypes = upTo(h.Requests), upTo(h.Requests), upTo(h.Requests), upTo(h.Responses), upTo(h.Responses)
		f.Half[1].TTL = rapid.Uint8().Draw(t, "ttl")
		e.Extract(new(record.Record), f)
		if f.App != flow.AppTLS && f.App != flow.AppDTLS && f.App != flow.AppQUIC {
			return
		}
		x := &e.facts
		x.flow, x.c, x.s = f, &f.Half[0], &f.Half[1]
		o.read(x, nil)
		o.http = nil
		if rapid.Bool().Draw(t, "http watched") {
			o.http = h
		}
		values := map[string]float64{}
		for i, v := range schemas[0].values[:372] {
			values[schemas[0].names[i]] = v(x)
		}
		for _, c := range columns {
			values[c.name] = c.value(o)
		}
		for _, s := range schemas {
			for _, c := range s.columns {
				if r := columnRange(c.Name, c.Unit); !inRange(r, values[c.Name]) {
					t.Fatalf("%s = %v, want %s", c.Name, values[c.Name], r)
				}
			}
		}
		for _, c := range ciscoColumns() {
			if v := values[c.name]; math.IsNaN(v) {
				t.Fatalf("%s is NaN, which Joy has nowhere", c.name)
			}
		}
	})
}

func TestBoundColumnsReadTheFlow(t *testing.T) {
	t.Parallel()
	f := full12(t)
	addPackets(f, shaped().Packets...)
	f.RTT = 10 * ms
	x := readFacts(f)
	for _, columns := range [][]optionalColumn{timeColumns(), httpColumns(), shortcutColumns(), ciscoColumns()} {
		want := optionalValues(f, columns)
		got := map[string]float64{}
		for _, entry := range bind(columns) {
			got[entry.name] = entry.value(x)
		}
		checkAll(t, got, want)
	}
}

// paced are packets with these whole ms between them, the first after the start.
func paced(gaps ...int64) (packets []flow.Packet) {
	var at int64
	for i, gap := range gaps {
		at += gap * ms
		packets = append(packets, flow.Packet{Length: int32(100 - 200*(i%2)), Offset: at})
	}
	return packets
}

func TestTimeMatrixIsJoys(t *testing.T) {
	t.Parallel()
	columns := timeColumns()
	for _, c := range []struct {
		what    string
		packets []flow.Packet
		want    map[string]float64
	}{
		{"Joy's example", paced(0, 23, 0, 1, 12, 40, 55, 700), map[string]float64{"mt_0_0": 5. / 6, "mt_0_1": 1. / 6, "mt_1_9": 1}},
		{"the first counts from the flow's start", paced(120, 60), map[string]float64{"mt_2_1": 1}},
		{"a single packet", paced(449), map[string]float64{"mt_8_8": 1}},
		{"the last bin", paced(450), map[string]float64{"mt_9_9": 1}},
		{"parts of a ms are cut", []flow.Packet{{Length: 1, Offset: 50*ms - 1}, {Length: 1, Offset: 100*ms - 1}}, map[string]float64{"mt_0_1": 1}},
		{"time that goes back", []flow.Packet{{Length: 1, Offset: 100 * ms}, {Length: 1, Offset: 10 * ms}}, map[string]float64{"mt_2_0": 1}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			want := allAre(columns, 0)
			for name, v := range c.want {
				want[name] = v
			}
			checkAll(t, optionalValues(&flow.Flow{App: flow.AppTLS, Packets: c.packets}, columns), want)
		})
	}
	checkAll(t, optionalValues(&flow.Flow{App: flow.AppTLS}, columns), allAre(columns, math.NaN()))
}

func TestHTTPColumns(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	columns := httpColumns()
	with := func(edits map[string]float64) map[string]float64 {
		m := allAre(columns, nan)
		for name, v := range edits {
			m[name] = v
		}
		return m
	}
	for _, c := range []struct {
		what string
		http *flow.HTTPContext
		want map[string]float64
	}{
		{"nothing was watched", nil, with(nil)},
		{"no HTTP in the window", &flow.HTTPContext{}, with(map[string]float64{"ht_n_req_5m": 0})},
		{"requests and responses", &flow.HTTPContext{
			Requests: 8, UserAgents: 4, UserAgentBytes: 90, Fields: 44, Posts: 2, Referers: 6,
			Responses: 5, Errors: 1, ContentTypes: 3, Programs: 1, Server: "nginx/1.24.0",
		}, map[string]float64{"ht_n_req_5m": 8, "ht_has_ua": 1, "ht_ua_len": 22.5, "ht_n_hdr": 5.5, "ht_n_ctypes": 3, "ht_exe_seen": 1, "ht_srv_class": 1,
			"ht_err_ratio": .2, "ht_post_ratio": .25, "ht_referer_ratio": .75}},
		{"requests without an answer", &flow.HTTPContext{Requests: 2, Fields: 2}, with(map[string]float64{
			"ht_n_req_5m": 2, "ht_has_ua": 0, "ht_n_hdr": 1, "ht_exe_seen": 0, "ht_post_ratio": 0, "ht_referer_ratio": 0})},
		{"answers without a request", &flow.HTTPContext{Responses: 4}, with(map[string]float64{
			"ht_n_req_5m": 0, "ht_n_ctypes": 0, "ht_exe_seen": 0, "ht_srv_class": 0, "ht_err_ratio": 0})},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			checkAll(t, optionalValues(&flow.Flow{App: flow.AppTLS, HTTP: c.http}, columns), c.want)
		})
	}
}

func TestServerClasses(t *testing.T) {
	t.Parallel()
	class := serverClassifier()
	for server, want := range map[string]float64{
		"": 0, "nginx": 1, "openresty/1.21": 1, "Apache/2.4.57 (Debian)": 2, "Microsoft-IIS/10.0": 3, "cloudflare": 4, "AkamaiGHost": 4, "Google Frontend": 4,
		"LiteSpeed": 5, "SimpleHTTP/0.6 Python/3.8": 6, "Werkzeug/2.0": 6, "x-own": 9, "ngin": 9,
	} {
		if got := class(server); got != want {
			t.Errorf("class of %q is %v, want %v", server, got, want)
		}
	}
}

func readRanks(t testing.TB, list string) *Ranks {
	t.Helper()
	r, err := ReadRanks(strings.NewReader(list))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestShortcutColumns(t *testing.T) {
	t.Parallel()
	columns := shortcutColumns()
	f := full12(t) // to port 443, for www.example.org
	f.RTT, f.Half[1].TTL = 12_500_000, 52
	f.Resolution = dnsMessage(1, true, "CDN.Example.net", 60)
	ranks := readRanks(t, "a.example\nexample.net\nexample.org\n")
	listed := func(o *optionalFacts) { o.ranks = ranks }
	checkAll(t, optionalValues(f, columns, listed), map[string]float64{
		"xs_dport": 443, "xs_dport_class": 1, "xs_sport": 40000, "xs_sni_rank_log": math.Log(3), "xs_dns_rank_log": math.Log(2), "xs_syn_rtt_ms": 12.5, "xs_hop_est": 12,
	})
	nan := math.NaN()
	check(t, optionalValues(f, columns), map[string]float64{"xs_dport": 443, "xs_sni_rank_log": nan, "xs_dns_rank_log": nan})
	checkAll(t, optionalValues(&flow.Flow{App: flow.AppTLS}, columns, listed), allAre(columns, nan))

	address := tlsFlow(rec(22, clientHello(0x0303, nil, []int{0xc02b}, serverName("192.0.2.7"))), nil)
	check(t, optionalValues(address, columns, listed), map[string]float64{"xs_sni_rank_log": nan})
	unlisted := tlsFlow(rec(22, clientHello(0x0303, nil, []int{0xc02b}, serverName("elsewhere.test"))), nil)
	unlisted.Resolution = []byte("junk")
	check(t, optionalValues(unlisted, columns, listed), map[string]float64{"xs_sni_rank_log": math.Log(4), "xs_dns_rank_log": nan})
}

func TestPortClasses(t *testing.T) {
	t.Parallel()
	for port, want := range map[uint16]float64{443: 1, 465: 2, 853: 2, 9443: 2, 0: 3, 22: 3, 1023: 3, 1024: 4, 4444: 4, 49151: 4, 49152: 5, 65535: 5} {
		f := &flow.Flow{App: flow.AppTLS, Server: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port)}
		check(t, optionalValues(f, shortcutColumns()), map[string]float64{"xs_dport": float64(port), "xs_dport_class": want})
	}
}

func TestHops(t *testing.T) {
	t.Parallel()
	for ttl, want := range map[uint8]float64{1: 31, 32: 0, 33: 31, 64: 0, 65: 63, 128: 0, 129: 126, 243: 12, 255: 0} {
		if got := hops(ttl); got != want {
			t.Errorf("hops(%d) = %v, want %v", ttl, got, want)
		}
	}
	if got := hops(0); !math.IsNaN(got) {
		t.Errorf("hops(0) = %v, want NaN", got)
	}
}

func TestRanksAreRead(t *testing.T) {
	t.Parallel()
	plain := readRanks(t, "First.example\n\nsecond.example.\r\nfirst.example\nco\nthird.example")
	ranked := readRanks(t, "1,first.example\r\n70,second.example\r\n5,co\r\n")
	for _, c := range []struct {
		name          string
		plain, ranked float64
	}{
		{"first.example", 1, 1},
		{"www.a.first.example", 1, 1},
		{"second.example", 2, 70},
		{"notsecond.example", 5, 71},
		{"any.co", 5, 71}, // a single label is no domain that anybody registers
		{"co", 5, 71},
		{"", 5, 71},
		{".second.example", 2, 70},
		{"third.example", 4, 71},
		{"third.example.", 5, 71}, // names come without a final dot
	} {
		if a, b := plain.log([]byte(c.name)), ranked.log([]byte(c.name)); a != math.Log(c.plain) || b != math.Log(c.ranked) {
			t.Errorf("%q has the ranks %v and %v, want %v and %v", c.name, math.Exp(a), math.Exp(b), c.plain, c.ranked)
		}
	}
	for _, bad := range []string{"", "\n", "Rank,Domain\n1,a.example", "0,a.example", "-1,a.example", "99999999999,a.example", "1,a.example,b", "1,", "a b", strings.Repeat("a", 2000)} {
		if _, err := ReadRanks(strings.NewReader(bad)); err == nil {
			t.Errorf("the list %.20q is read without an error", bad)
		}
	}
}

func TestRankDoesNotAllocate(t *testing.T) {
	r, name := readRanks(t, "a.example\n"), []byte("www.long.name.under.a.example")
	if n := testing.AllocsPerRun(100, func() { r.log(name) }); n != 0 {
		t.Errorf("log allocates %v times, want 0", n)
	}
}

func FuzzReadRanks(f *testing.F) {
	for _, s := range []string{"a.example\nb.example\n", "1,a.example\r\n2,b.example\r\n", "4294967295,a.example", ",", ".", "1,.", "a..b\n\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		r, err := ReadRanks(bytes.NewReader(list))
		if err != nil {
			return
		}
		for domain, place := range r.places {
			if got := r.log([]byte(domain)); strings.Contains(domain, ".") && domain[0] != '.' && math.Abs(got-math.Log(float64(place))) > 1e-12 {
				t.Fatalf("%q of rank %d has the value %v", domain, place, got)
			}
			if got := r.log([]byte(domain)); got < 0 || got > math.Log(float64(r.last)+1) {
				t.Fatalf("%q has the value %v with %d ranks", domain, got, r.last)
			}
		}
	})
}

func TestOptionalColumnsDoNotAllocate(t *testing.T) {
	f := full12(t)
	addPackets(f, shaped().Packets...)
	x := readFacts(f)
	f.HTTP = &flow.HTTPContext{Requests: 1, Responses: 1, Server: "Nginx"}
	o := &optionalFacts{ranks: readRanks(t, "example.org\n")}
	answer := &dnswire.Message{Questions: []dnswire.Question{{Name: "WWW.Example.Org."}}}
	columns := slices.Concat(timeColumns(), httpColumns(), shortcutColumns(), ciscoColumns())
	if n := testing.AllocsPerRun(100, func() {
		o.read(x, answer)
		for _, c := range columns {
			c.value(o)
		}
	}); n != 0 {
		t.Errorf("%v allocations a flow, want 0", n)
	}
}

func BenchmarkCisco(b *testing.B) {
	f := full12(b)
	addPackets(f, shaped().Packets...)
	x, o, columns := readFacts(f), new(optionalFacts), ciscoColumns()
	b.ReportAllocs()
	for b.Loop() {
		o.read(x, nil)
		for _, c := range columns {
			c.value(o)
		}
	}
}
