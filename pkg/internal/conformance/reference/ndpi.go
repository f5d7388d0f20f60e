package reference

import (
	"regexp"
	"strconv"
	"strings"

	"trench/pkg/record"
)

func readNDPI(c *Corpus) ([]*Expectation, error) {
	return readEntries(c, c.of("ndpi", ""), func(data []byte, captures []string) ([]*Expectation, error) {
		return parseNDPI(data, captures), nil
	})
}

// ndpiFlow matches a flow's line: number, transport, two ends and the attributes.
var ndpiFlow = regexp.MustCompile(`^\t\d+\t(TCP|UDP) (\S+) (?:<->|->) (\S+) (.*)$`)

// ndpiVersion matches the version, an attribute without a name.
var ndpiVersion = regexp.MustCompile(`\[((?:D?TLSv|SSLv)[0-9.]+)(?: \([^)]*\))?\]`)

// ndpiCounts matches the packets of both directions.
var ndpiCounts = regexp.MustCompile(`\[(\d+) pkts/\d+ bytes <?-> (\d+) pkts/\d+ bytes\]`)

// parseNDPI reads the flows of ndpiReader's output: what a handshake shows, and the
// packets of all flows between the same ends.
func parseNDPI(data []byte, captures []string) []*Expectation {
	var out []*Expectation
	var sums []*ndpiSum
	byEnds := make(map[string]*ndpiSum)
	n := numbering{}
	for _, line := range strings.Split(string(data), "\n") {
		m := ndpiFlow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		src, ok1 := ndpiEnd(m[2])
		dst, ok2 := ndpiEnd(m[3])
		if !ok1 || !ok2 {
			continue
		}
		ft, ok := parseEnds(src[0], src[1], dst[0], dst[1])
		if !ok {
			continue
		}
		proto := strings.ToLower(m[1])
		key := proto + " " + ft.Key().String()
		sum := byEnds[key]
		if sum == nil {
			sum = &ndpiSum{proto: proto, ends: ft}
			byEnds[key], sums = sum, append(sums, sum)
		}
		if c := ndpiCounts.FindStringSubmatch(m[4]); c != nil {
			sum.add(ft, c[1], c[2])
		}
		a := ndpiAttributes(m[4])
		if a.get("JA3C") == "" && a.get("JA3S") == "" && a.get("JA4") == "" && !strings.HasPrefix(a.get("QUIC ver"), "Q") {
			continue
		}
		e := &Expectation{Reference: "ndpi", Captures: captures, Proto: proto, Ends: []Ends{ft}, Ordinal: n.next(proto, ft)}
		a.handshake(e)
		out = append(out, e)
	}
	for _, s := range sums {
		e := &Expectation{Reference: "ndpi", Captures: captures, Kind: AllFlows, Proto: s.proto, Ends: []Ends{s.ends}}
		if s.ends.Client != s.ends.Server {
			e.Values = append(e.Values, summed("packets", s.sent, s.ends.Client, packets), summed("packets back", s.back, s.ends.Server, packets))
		}
		out = append(out, e)
	}
	return out
}

// ndpiSum is the packets of all flows between the same ends.
type ndpiSum struct {
	proto      string
	ends       Ends
	sent, back uint64
}

func (s *ndpiSum) add(e Ends, sent, back string) {
	n, _ := strconv.ParseUint(sent, 10, 64) // digits, by the pattern
	m, _ := strconv.ParseUint(back, 10, 64)
	if e.Client != s.ends.Client {
		n, m = m, n
	}
	s.sent, s.back = s.sent+n, s.back+m
}

func (a ndpiAttributes) handshake(e *Expectation) {
	e.set("sni", a.get("Hostname/SNI"), sni)
	e.set("ja3", a.get("JA3C"), ja3)
	s, _, _ := strings.Cut(a.get("JA3S"), " ") // a remark may follow: (WEAK)
	e.set("ja3s", s, ja3s)
	e.setJA4(a.get("JA4"))
	e.set("cipher", a.get("Cipher"), cipher)
	if v := ndpiVersion.FindStringSubmatch(string(a)); v != nil {
		e.set("version", versionName(v[1]), version)
	}
	offered := strings.ReplaceAll(a.get("(Advertised) ALPNs"), ";", ",")
	e.set("client ALPN", offered, details(clientALPN))
	if p := a.get("(Negotiated) ALPN"); p != "" {
		e.set("alpn", p, alpn)
	} else {
		e.set("alpn", first(offered), alpn)
	}
	e.set("certificate SHA-1", plainHex(a.get("Certificate SHA-1")), leaf(sha1Of))
	if s := a.get("Subject"); s != "" {
		e.set("certificate subject", canonicalName(s), leaf(subjectOf))
		e.set("certificate issuer", canonicalName(a.get("Issuer")), leaf(issuerOf))
	}
	if from, until, ok := strings.Cut(a.get("Validity"), " - "); ok {
		e.set("certificate validity", from+" to "+until, leaf(func(c *record.Certificate) string {
			return strings.Replace(fromOf(c)+" to "+untilOf(c), "T", " ", 2)
		}))
	}
	e.set("quic version", ndpiQUIC(a.get("QUIC ver")), quicVersionOf)
}

type ndpiAttributes string

// get returns the value of [name: value]. A value may have brackets of its own.
func (a ndpiAttributes) get(name string) string {
	_, rest, ok := strings.Cut(string(a), "["+name+": ")
	if !ok {
		return ""
	}
	depth := 0
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '[':
			depth++
		case ']':
			if depth == 0 {
				return rest[:i]
			}
			depth--
		}
	}
	return rest
}

// ndpiEnd splits 192.0.2.1:443 and [2001:db8::1]:443.
func ndpiEnd(s string) ([2]string, bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return [2]string{}, false
	}
	return [2]string{strings.Trim(s[:i], "[]"), s[i+1:]}, true
}

// ndpiQUIC turns V-1 and Draft-29 into Trench's spelling; Q046 is the same.
func ndpiQUIC(s string) string {
	if v, ok := strings.CutPrefix(s, "V-"); ok {
		return v
	}
	if v, ok := strings.CutPrefix(s, "Draft-"); ok {
		return "draft-" + v
	}
	return s
}
