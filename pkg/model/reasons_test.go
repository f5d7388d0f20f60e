package model

import (
	flags "flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flags.Bool("update", false, "write the golden files anew")

// Without a name or a certificate, all of that group's columns tell one thing.
func TestExplainNamesTheCauseOfMissingGroups(t *testing.T) {
	t.Parallel()
	b := load(t)
	s := b.NewScorer()
	schema := newSchema(t)
	place := func(name string) int { i, _ := schema.Index(name); return i }
	absent := map[string]int{}
	for _, v := range goldenVectors(t, b) {
		for i, name := range schema.names {
			if strings.HasPrefix(name, "sn_") || strings.HasPrefix(name, "ct_") {
				v[i] = float32(math.NaN())
			}
		}
		v[place("sn_present")], v[place("ct_seen")] = 0, 0
		for _, r := range s.Explain(v, 1000) {
			switch {
			case r.Code == "sni-absent" && r.Feature == "sn_present" && r.Value == 0 && strings.HasPrefix(r.Text, "the client names no server (no SNI"):
			case r.Code == "certificate-absent" && r.Feature == "ct_seen" && r.Value == 0 && strings.HasPrefix(r.Text, "the full handshake showed no certificate"):
			case strings.HasPrefix(r.Code, "record-") || r.Code == "volume":
			default:
				t.Fatalf("%+v", r)
			}
			absent[r.Code]++
		}
	}
	if absent["sni-absent"] == 0 || absent["certificate-absent"] == 0 {
		t.Errorf("reasons %v", absent)
	}
}

func TestEveryColumnHasWords(t *testing.T) {
	t.Parallel()
	table, known := reasonTable(), codes()
	names := newSchema(t).names
	if len(names) != 372 || len(table) != 372 {
		t.Errorf("%d names, %d rows in the table, want 372 of both", len(names), len(table))
	}
	used := map[string]bool{"other": true}
	for _, name := range names {
		c, ok := table[name]
		if !ok {
			t.Errorf("%s has no row", name)
			continue
		}
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 1, 2, 0.5, 7, 771, 1e9, 3e38} {
			lo, hi, nan := 0.25, 3.0, 0.5
			for _, ref := range []reference{{}, {P05: &lo, P95: &hi, NaN: &nan}} {
				text := c.text(v, ref)
				if text == "" || strings.Contains(text, "%!") || strings.Contains(text, "NaN") {
					t.Errorf("%s at %v: %q", name, v, text)
				}
				if math.IsNaN(v) != strings.HasPrefix(text, "not observed") {
					t.Errorf("%s at %v: %q", name, v, text)
				}
			}
			if _, ok := known[c.codeFor(v)]; !ok {
				t.Errorf("%s at %v has code %q, which is not listed", name, v, c.codeFor(v))
			}
			used[c.codeFor(v)] = true
		}
		if c.joins != "" {
			if _, ok := table[c.joins]; !ok || !slices.Contains(names, c.joins) {
				t.Errorf("%s joins %s, which is no column", name, c.joins)
			}
			if _, ok := known[c.joined]; !ok {
				t.Errorf("%s joins code %q, which is not listed", name, c.joined)
			}
			used[c.joined] = true
		}
	}
	for code := range known {
		if !used[code] {
			t.Errorf("code %s is never used", code)
		}
	}
	if c := columnFor(table, "xs_dport"); c.code != "other" || c.text(443, reference{}) != "xs_dport is 443" {
		t.Errorf("an unknown column: %+v", c)
	}
}

func TestTextsStateTheValue(t *testing.T) {
	t.Parallel()
	table := reasonTable()
	f := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		name string
		v    float64
		ref  reference
		code string
		want string
	}{
		{"sn_present", 0, reference{P05: f(1), P95: f(1)}, "sni-absent", "the client names no server (no SNI; rare in benign traffic)"},
		{"sn_present", 1, reference{P05: f(1), P95: f(1)}, "sni-shape", "the client names the server it wants (SNI; usual in benign traffic)"},
		{"sn_present", 0, reference{P05: f(0), P95: f(1)}, "sni-absent", "the client names no server (no SNI)"},
		{"sn_len", math.NaN(), reference{NaN: f(.034)}, "sni-shape", "not observed or not applicable: length of the server name (SNI) (as in 3.4 % of benign flows)"},
		{"ct_self_signed", 1, reference{P05: f(0), P95: f(1)}, "certificate-self-signed", "the server's certificate is self-signed"},
		{"ct_age_days", 1, reference{P05: f(3), P95: f(300.5)}, "certificate-age", "the server's certificate is 1 day old (usual: 3 to 300 days)"},
		{"ct_age_days", 2, reference{P05: f(3), P95: f(300.5)}, "certificate-age", "the server's certificate is 2 days old (usual: 3 to 300)"},
		{"ct_age_days", 2, reference{P05: f(1), P95: f(300)}, "certificate-age", "the server's certificate is 2 days old (usual: 1 day to 300 days)"},
		{"ch_n_cs", 12, reference{P05: f(17), P95: f(17)}, "client-suites", "the client lists 12 cipher suite values (usual: 17)"},
		{"ch_cs_c02b", 0, reference{}, "client-suites", "the client does not offer TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{"ch_max_ver", 771, reference{P05: f(771), P95: f(772)}, "client-hello-shape", "the client offers TLS 1.2 at most (usual: TLS 1.2 to TLS 1.3)"},
		{"sq_len_01", -1460, reference{P05: f(-1500), P95: f(300)}, "packet-lengths",
			"data packet 2 is 1,460 bytes from the server (usual: 1,500 bytes from the server to 300 bytes from the client)"},
		{"sq_iat_03", math.Log1p(1500), reference{}, "timing", "the gap before data packet 4 is 1.5 s"},
		{"fl_bps_log", math.Log1p(2.5e6), reference{}, "volume", "the flow carries 2.5 Mbit/s"},
		{"fl_pk_ratio", math.Log(.5), reference{P05: f(0), P95: f(math.Log(2))}, "volume",
			"the client sends 0.5 packets per packet of the server (1 added to both counts; usual: 1 to 2)"},
		{"ch_padding_len", math.NaN(), reference{}, "client-extensions", "not observed or not applicable: length of the client's padding extension"},
		{"ct_expired", 1, reference{P05: f(0), P95: f(0)}, "certificate-age", "the server's certificate is expired (rare in benign traffic)"},
		{"sn_dyndns", 1, reference{}, "sni-dynamic-dns", "the server name lies under a dynamic-DNS service"},
		{"ml_9_0", .25, reference{P05: f(0), P95: f(.5)}, "length-transitions",
			"among the first data packets, 25 % of those after one of 1,350 bytes or more have fewer than 150 bytes (usual: 0 to 50 %)"},
		{"hz_c_2", 1, reference{P05: f(0), P95: f(.1)}, "packet-lengths", "all of the client's data packets have 32 to 63 bytes (usual: 0 to 10 %)"},
		{"fl_len_mean_s", 999.7, reference{}, "packet-lengths", "the server's data packets have 1,000 bytes on average"},
		{"rc_len_mode_frac", 1, reference{P05: f(.1), P95: f(1)}, "record-lengths", "all application-data records have one and the same length (usual: 10 to 100 %)"},
		{"bd_00", .05, reference{}, "byte-distribution", "the first application data has 5 % bytes 0x00 to 0x0F (random bytes: 6.25 %)"},
	} {
		col := table[c.name]
		if got := col.text(c.v, c.ref); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if got := col.codeFor(c.v); got != c.code {
			t.Errorf("%s: code %s, want %s", c.name, got, c.code)
		}
	}
}

// row is a vector in which nothing is observed but the columns given.
func row(t *testing.T, set map[string]float32) observer {
	t.Helper()
	s := newSchema(t)
	v := make([]float32, len(s.names))
	for i := range v {
		v[i] = float32(math.NaN())
	}
	for name, x := range set {
		i, ok := s.Index(name)
		if !ok {
			t.Fatalf("no column %s", name)
		}
		v[i] = x
	}
	return observer{s, v}
}

// composed gives the reasons of a model over all columns of which each
// contributes as phi says, with the same usual range for all.
func composed(t *testing.T, o observer, phi func(name string) float64) map[string]*sum {
	t.Helper()
	names := newSchema(t).names
	columns := make([]int, len(names))
	ref := map[string]reference{}
	lo, hi, nan := 0.0, 2.0, 0.25
	for i, n := range names {
		columns[i] = i
		ref[n] = reference{P05: &lo, P95: &hi, NaN: &nan}
	}
	s := &Scorer{b: &Bundle{told: tell(names, ref, o.schema), columns: columns}}
	for _, n := range names {
		s.phi = append(s.phi, phi(n))
	}
	out := map[string]*sum{}
	for _, c := range s.sums(o.vector) {
		c.sort()
		out[c.code] = &c
	}
	return out
}

func TestSentencesSayWhatBelongsTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  map[string]float32
		phi  map[string]float64
		code string
		want string
	}{
		{"self-signed and its age, though the flag itself speaks against", map[string]float32{"ct_seen": 1, "ct_self_signed": 1, "ct_age_days": 2, "ct_valid_days": 3650},
			map[string]float64{"ct_self_signed": -1, "ct_age_days": 2, "ct_valid_days": .1}, "certificate-self-signed",
			"the server's certificate is self-signed and 2 days old (usual: 0 to 2)"},
		{"three of a certificate", map[string]float32{"ct_seen": 1, "ct_self_signed": 1, "ct_age_days": 2, "ct_valid_days": 3650},
			map[string]float64{"ct_self_signed": 1, "ct_age_days": .8, "ct_valid_days": .9}, "certificate-self-signed",
			"the server's certificate is self-signed, made for 3,650 days (usual: 0 to 2) and 2 days old (usual: 0 to 2)"},
		{"age of a certificate of an authority", map[string]float32{"ct_seen": 1, "ct_self_signed": 0, "ct_age_days": 2},
			map[string]float64{"ct_age_days": 2}, "certificate-age", "the server's certificate is 2 days old (usual: 0 to 2)"},
		{"an address as a name", map[string]float32{"sn_present": 1, "sn_is_ip": 1, "sn_digit_ratio": .75, "sn_len": 11},
			map[string]float64{"sn_digit_ratio": 2, "sn_len": .1}, "sni-address", "the server name (SNI) is an IP address and has 75 % digits (usual: 0 to 200 %)"},
		{"no name, no DNS", map[string]float32{"sn_present": 0, "dn_seen": 0}, map[string]float64{"sn_present": 1, "sn_len": 1}, "sni-absent",
			"the client names no server (no SNI); no DNS answer with the server's address was seen before"},
		{"suites", map[string]float32{"ch_cs_0004": 1, "ch_cs_0005": 1, "ch_cs_1301": 0}, map[string]float64{"ch_cs_0004": 2, "ch_cs_0005": 2, "ch_cs_1301": 1}, "client-suites",
			"the client offers TLS_RSA_WITH_RC4_128_SHA and TLS_RSA_WITH_RC4_128_MD5 and does not offer TLS_AES_128_GCM_SHA256"},
		{"a fixed pattern of records", map[string]float32{"rc_len_mode_frac": .5, "rc_app_len_s_0": 304, "rc_app_len_s_1": 85, "rc_app_len_s_2": 304, "rc_app_len_s_3": 85},
			map[string]float64{"rc_len_mode_frac": 2, "rc_app_len_s_1": 1}, "record-lengths",
			"50 % of the application-data records have one and the same length (usual: 0 to 200 %); the server's application-data record 2 has 85 bytes (usual: 0 to 2); " +
				"the server's first application-data records: 304, 85, 304, 85 bytes"},
		{"order of packets", map[string]float32{"ml_3_9": 1, "sq_len_00": 517, "sq_len_01": -1460, "sq_len_02": 93}, map[string]float64{"ml_3_9": 1}, "length-transitions",
			"among the first data packets, all after one of 450 to 599 bytes have 1,350 bytes or more (usual: 0 to 200 %); first data packets: 517, -1460, 93 bytes (- from the server)"},
		{"one packet only", map[string]float32{"ml_3_3": 1, "sq_len_00": 517}, map[string]float64{"ml_3_3": 1}, "length-transitions",
			"the flow has only one data packet, of 517 bytes from the client"},
		{"counts behind a ratio", map[string]float32{"fl_pk_ratio": 0, "fl_pk_c": 6, "fl_pk_s": 6}, map[string]float64{"fl_pk_ratio": 1}, "volume",
			"the client sends as many packets as the server (usual: 1 to 7.39); 6 against 6 packets"},
		{"missing twice", nil, map[string]float64{"dn_ttl_min": 2, "dn_ttl_max": 1}, "dns-answer",
			"not observed or not applicable: shortest time to live in the DNS answer (as in 25 % of benign flows) and longest time to live in the DNS answer (as in 25 % of benign flows)"},
	} {
		o := row(t, c.set)
		got, ok := composed(t, o, func(n string) float64 { return c.phi[n] })[c.code]
		if !ok {
			t.Errorf("%s: no reason %s", c.name, c.code)
		} else if text := got.sentence(o); text != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, text, c.want)
		}
	}
}

// The rows of demo.tsv are flows of testdata/pcap/demo.pcap, named by the client's port.
func TestSentencesOfRealFlows(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/demo.tsv")
	if err != nil {
		t.Fatal(err)
	}
	schema := newSchema(t)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if got := strings.Split(lines[0], "\t")[1:]; !slices.Equal(got, schema.names) {
		t.Fatal("demo.tsv has other columns")
	}
	var out strings.Builder
	for k, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		o := observer{schema, make([]float32, len(schema.names))}
		for i, cell := range cells[1:] {
			v, err := strconv.ParseFloat(cell, 32)
			if err != nil {
				t.Fatal(err)
			}
			o.vector[i] = float32(v)
		}
		// Within a code the columns weigh 1, 1/2, 1/4, … from another column on in each row, so that all have their turn.
		table, turn, weight := reasonTable(), map[string]int{}, map[string]float64{}
		order := slices.Concat(schema.names[37*k:], schema.names[:37*k])
		for _, name := range order {
			code := table[name].code
			weight[name] = math.Pow(2, -float64(turn[code]))
			turn[code]++
		}
		sums := composed(t, o, func(n string) float64 { return weight[n] })
		var codes []string
		for code := range sums {
			codes = append(codes, code)
		}
		slices.Sort(codes)
		fmt.Fprintf(&out, "flow from port %s\n", cells[0])
		for _, code := range codes {
			fmt.Fprintf(&out, "  %-24s %s\n", code, sums[code].sentence(o))
		}
	}
	const golden = "testdata/demo.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("texts differ from %s (-update writes it anew):\n%s", golden, out.String())
	}
}

func TestEveryCodeHasADecidedTechnique(t *testing.T) {
	t.Parallel()
	wellFormed := regexp.MustCompile(`^T1[0-9]{3}(\.[0-9]{3})?$`)
	doc, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, c := range codes() {
		if c.id != "" && !wellFormed.MatchString(c.id) || c.id == "" && c.fits != nil {
			t.Errorf("%s: technique %q", code, c.id)
		}
		documented := fmt.Sprintf("| `%s` |", code)
		row, ok := "", false
		for line := range strings.Lines(string(doc)) {
			if strings.HasPrefix(line, documented) {
				row, ok = line, true
			}
		}
		if !ok || strings.Contains(row, "T1") != (c.id != "") || !strings.Contains(row, c.id) {
			t.Errorf("docs/reasons.md says of %s with technique %q: %q", code, c.id, row)
		}
	}
}

func TestTechniquesAskTheRow(t *testing.T) {
	t.Parallel()
	lo, hi := 1.0, 10.0
	usual := reference{P05: &lo, P95: &hi}
	for _, c := range []struct {
		code, feature string
		value         float64
		set           map[string]float32
		want          bool
	}{
		{"certificate-self-signed", "ct_age_days", 5, nil, true},
		{"sni-dynamic-dns", "sn_dyndns", 1, nil, true},
		{"client-suites", "ch_n_cs", 5, nil, false},
		{"client-suites", "ch_n_cs", 11, nil, true},
		{"client-suites", "ch_n_cs", 0, nil, true},
		{"client-suites", "ch_n_cs", 10.000001, nil, false}, // 10 that lost digits
		{"sni-randomness", "sn_entropy", 11, nil, true},
		{"sni-randomness", "sn_entropy", 0, nil, false}, // few letters are not random
		{"sni-randomness", "sn_bigram_ll", 0, nil, true},
		{"sni-randomness", "sn_bigram_ll", 11, nil, false},
		{"record-lengths", "rc_app_len_s_0", 11, map[string]float32{"ch_alpn_class": 2}, true},
		{"record-lengths", "rc_app_len_s_0", 5, map[string]float32{"ch_alpn_class": 2}, false},
		{"record-lengths", "rc_app_len_s_0", 11, map[string]float32{"ch_alpn_class": 2, "sh_alpn_class": 5}, false},
		{"record-lengths", "rc_app_len_s_0", 11, nil, false},
		{"volume", "fl_by_c", 11, map[string]float32{"fl_by_c": 11, "fl_by_s": 5}, true},
		{"volume", "fl_by_c", 11, map[string]float32{"fl_by_c": 11, "fl_by_s": 50}, false},
		{"volume", "fl_by_s", 11, map[string]float32{"fl_by_c": 11, "fl_by_s": 5}, false},
		{"dns-failures", "dn_nx_rate_5m", 11, nil, true},
		{"dns-failures", "dn_nx_rate_5m", 0, nil, false},
	} {
		e := &evidence{feature: c.feature, value: c.value, reference: usual, observed: row(t, c.set).value}
		tech := codes()[c.code]
		if got := tech.id != "" && (tech.fits == nil || tech.fits(e)); got != c.want {
			t.Errorf("%s: %s = %v, row %v: technique %v, want %v", c.code, c.feature, c.value, c.set, got, c.want)
		}
		e.reference = reference{}
		if tech.fits != nil && tech.fits(e) {
			t.Errorf("%s: technique without a known usual range", c.code)
		}
	}
}
