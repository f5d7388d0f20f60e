package reference

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"trench/pkg/record"
	"trench/pkg/tlswire"
)

const (
	pstatsLength = 30 // packets that ipfixprobe lists per record
	burstGap     = time.Second
	burstPackets = 3 // fewer are no burst
)

// ipfixRecord is one line of ipfixprobe's output.
type ipfixRecord struct {
	columns map[string]int
	fields  []string
	start   time.Time
	proto   string
	ends    Ends
}

func (r *ipfixRecord) get(name string) string {
	if i, ok := r.columns[name]; ok && i < len(r.fields) {
		return r.fields[i]
	}
	return ""
}

// list splits [a|b|c].
func (r *ipfixRecord) list(name string) []string {
	s := strings.Trim(r.get(name), "[]")
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

func (r *ipfixRecord) count(name string) uint64 {
	n, err := strconv.ParseUint(r.get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func readIPFIXProbe(c *Corpus) ([]*Expectation, error) {
	var out []*Expectation
	for _, e := range c.of("ipfixprobe", "") {
		names := []string{path.Base(e.result)}
		if plugin, others, ok := strings.Cut(names[0], "("); ok {
			names = append([]string{plugin}, strings.Split(strings.Trim(others, "+)"), ",")...)
		}
		for _, name := range names {
			captures := e.captures
			if name == "basicplus" { // listed with another capture than its own
				captures = []string{path.Dir(e.captures[0]) + "/http.pcap"}
			}
			data, err := c.read("golden/ipfixprobe/outputs/" + name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // nothing was put out
			}
			if err != nil {
				return nil, err
			}
			list, err := parseIPFIXProbe(data, name, captures)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.result, err)
			}
			out = append(out, list...)
		}
	}
	return out, nil
}

// parseIPFIXProbe reads the records of TCP and UDP of one plugin. ipfixprobe ends a
// record after 30 seconds without a packet and after 300 in all, so the records
// between the same ends are taken together, as are Trench's flows.
func parseIPFIXProbe(data []byte, plugin string, captures []string) ([]*Expectation, error) {
	records, err := ipfixRecords(data)
	if err != nil {
		return nil, err
	}
	var out []*Expectation
	groups := make(map[string][]*ipfixRecord)
	var order []string
	n := numbering{}
	for _, r := range records {
		key := r.proto + " " + r.ends.Key().String()
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], r)
		e := &Expectation{Reference: "ipfixprobe", Captures: captures, Proto: r.proto, Ends: []Ends{r.ends}}
		switch plugin {
		case "tls":
			r.tls(e)
		case "quic":
			r.quic(e)
		}
		if len(e.Values) > 0 {
			e.Ordinal = n.next(r.proto, r.ends)
			out = append(out, e)
		}
	}
	for _, key := range order {
		group := groups[key]
		e := &Expectation{Reference: "ipfixprobe", Captures: captures, Kind: AllFlows, Proto: group[0].proto, Ends: []Ends{group[0].ends}}
		counters(e, group)
		switch plugin {
		case "pstats":
			sequences(e, group)
		case "phists":
			histograms(e, group)
		case "bstats":
			bursts(e, group)
		}
		out = append(out, e)
	}
	return out, nil
}

func ipfixRecords(data []byte) ([]*ipfixRecord, error) {
	in := csv.NewReader(strings.NewReader(string(data)))
	in.FieldsPerRecord, in.LazyQuotes = -1, true
	rows, err := in.ReadAll()
	if err != nil {
		return nil, err
	}
	columns := make(map[string]int)
	var out []*ipfixRecord
	for _, row := range rows {
		if strings.HasPrefix(row[0], "ipaddr ") { // the template, anywhere in the sorted file
			for i, f := range row {
				_, name, _ := strings.Cut(f, " ")
				columns[name] = i
			}
			continue
		}
		out = append(out, &ipfixRecord{columns: columns, fields: row})
	}
	return slices.DeleteFunc(sorted(out), func(r *ipfixRecord) bool { return r.proto == "" || !r.ends.Client.IsValid() }), nil
}

// sorted reads what every record has, and sorts by start.
func sorted(records []*ipfixRecord) []*ipfixRecord {
	for _, r := range records {
		r.start, _ = time.Parse("2006-01-02T15:04:05.999999", r.get("TIME_FIRST"))
		r.ends, _ = parseEnds(r.get("SRC_IP"), r.get("SRC_PORT"), r.get("DST_IP"), r.get("DST_PORT"))
		switch r.get("PROTOCOL") {
		case "6":
			r.proto = "tcp"
		case "17":
			r.proto = "udp"
		}
	}
	slices.SortStableFunc(records, func(a, b *ipfixRecord) int { return a.start.Compare(b.start) })
	return records
}

func (r *ipfixRecord) tls(e *Expectation) {
	e.set("sni", r.get("TLS_SNI"), sni)
	e.set("ja3", r.get("TLS_JA3"), ja3)
	e.setJA4(r.get("TLS_JA4"))
	e.set("alpn", r.get("TLS_ALPN"), alpn)
	if v := r.get("TLS_VERSION"); v != "0" {
		e.set("version", tlswire.VersionName(number(v)), version)
	}
	e.set("client extensions", strings.Join(r.list("TLS_EXT_TYPE"), ","), func(r *record.Record) string { return numbers(r.TLSClientExtensions) })
}

func (r *ipfixRecord) quic(e *Expectation) {
	e.set("sni", r.get("QUIC_SNI"), sni)
	if v := r.count("QUIC_VERSION"); v != 0 {
		e.set("quic version", quicVersion(uint32(v)), quicVersionOf)
	}
	e.set("client extensions", strings.Join(r.list("QUIC_TLS_EXT_TYPE"), ","), func(r *record.Record) string { return numbers(r.TLSClientExtensions) })
}

// counters compares the sums of packets and of bytes from the IP header on.
func counters(e *Expectation, group []*ipfixRecord) {
	client, server := e.Ends[0].Client, e.Ends[0].Server
	var sent, back, bytes, bytesBack uint64
	for _, r := range group {
		p, q, b, c := r.count("PACKETS"), r.count("PACKETS_REV"), r.count("BYTES"), r.count("BYTES_REV")
		if r.ends.Client != client {
			p, q, b, c = q, p, c, b
		}
		sent, back, bytes, bytesBack = sent+p, back+q, bytes+b, bytesBack+c
	}
	if client == server {
		return // both directions look the same
	}
	e.Values = append(e.Values,
		summed("packets", sent, client, packets), summed("packets back", back, server, packets),
		summed("bytes", bytes, client, octets), summed("bytes back", bytesBack, server, octets))
}

func summed(field string, want uint64, end netip.AddrPort, get func(*record.Record) (c2s, s2c uint64)) Value {
	return Value{field, fmt.Sprint(want), func(rows []*record.Record) string {
		var sum uint64
		for _, r := range rows {
			n, m := get(r)
			if EndsOf(r).Client != end {
				n = m
			}
			sum += n
		}
		return fmt.Sprint(sum)
	}}
}

// sequences compares the lengths and times of the packets with payload, as far as
// both list them.
func sequences(e *Expectation, group []*ipfixRecord) {
	want, whole, at := []packet(nil), true, time.Time{}
	var perDirection [2]int
	for _, r := range group {
		lengths, directions, times := r.list("PPI_PKT_LENGTHS"), r.list("PPI_PKT_DIRECTIONS"), r.list("PPI_PKT_TIMES")
		for i := range min(len(lengths), len(directions), len(times)) {
			n, _ := strconv.Atoi(lengths[i])
			t, _ := time.Parse("2006-01-02T15:04:05.999999", times[i])
			d := 0
			if (directions[i] == "-1") == (r.ends.Client == e.Ends[0].Client) {
				n, d = -n, 1
			}
			if perDirection[d]++; perDirection[d] > spltLength {
				whole = false
				break
			}
			p := packet{length: n}
			if len(want) > 0 {
				p.delta = t.Sub(at).Microseconds()
			}
			at = t
			want = append(want, p)
		}
		if whole = whole && len(lengths) < pstatsLength; !whole {
			break // the rest of the record is not listed
		}
	}
	if len(want) == 0 {
		return
	}
	limit := len(want)
	if whole {
		limit = -1
	}
	e.Values = append(e.Values,
		Value{"lengths", lengthList(want), func(rows []*record.Record) string {
			return lengthList(splt(rows, e.Ends[0].Client, limit))
		}},
		Value{"times", timeList(want), func(rows []*record.Record) string {
			got := splt(rows, e.Ends[0].Client, limit)
			for i := range min(len(got), len(want)) {
				if d := got[i].delta - want[i].delta; got[i].delta < 0 || d >= -1 && d <= 1 {
					got[i].delta = want[i].delta // the clock of the capture is finer, or the row cannot say
				}
			}
			return timeList(got)
		}})
}

// histograms compares the histograms of packet lengths and of the times between
// packets of one direction with those of the row's sequence, where that has all packets.
func histograms(e *Expectation, group []*ipfixRecord) {
	if len(group) != 1 || group[0].count("PACKETS") > spltLength || group[0].count("PACKETS_REV") > spltLength {
		return
	}
	r := group[0]
	for _, h := range []struct {
		field, column string
		forward, time bool
	}{
		{"length histogram", "S_PHISTS_SIZES", true, false}, {"length histogram", "D_PHISTS_SIZES", false, false},
		{"time histogram", "S_PHISTS_IPT", true, true}, {"time histogram", "D_PHISTS_IPT", false, true},
	} {
		e.Values = append(e.Values, Value{h.field, strings.Join(r.list(h.column), " "), func(rows []*record.Record) string {
			return histogram(splt(rows, e.Ends[0].Client, -1), h.forward, h.time)
		}})
	}
}

// bursts compares runs of at least three packets of one direction less than a
// second apart, as far as the row's sequence shows their end.
func bursts(e *Expectation, group []*ipfixRecord) {
	if len(group) != 1 || e.Ends[0].Client == e.Ends[0].Server {
		return
	}
	r := group[0]
	for _, d := range []struct {
		prefix  string
		forward bool
	}{{"SBI", true}, {"DBI", false}} {
		counts, bytes := r.list(d.prefix+"_BRST_PACKETS"), r.list(d.prefix+"_BRST_BYTES")
		var want []string
		for i := range min(len(counts), len(bytes)) {
			want = append(want, counts[i]+"/"+bytes[i])
		}
		text := strings.Join(want, " ")
		e.Values = append(e.Values, Value{"bursts", text, func(rows []*record.Record) string {
			got := burstsOf(splt(rows, e.Ends[0].Client, -1), d.forward)
			if len(got) <= len(want) && slices.Equal(got, want[:len(got)]) {
				return text
			}
			return strings.Join(got, " ")
		}})
	}
}
