package reference

import (
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"

	"trench/pkg/record"
)

func readZeek(c *Corpus) ([]*Expectation, error) {
	var out []*Expectation
	for _, e := range c.of("zeek", "") {
		files, err := c.list(strings.TrimSuffix(e.result, "/"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			data, err := c.read(name)
			if err != nil {
				return nil, err
			}
			if path.Base(name) == ".stdout" && path.Base(e.result) == "scripts.base.protocols.ssl.tls-1.2-ciphers" {
				out = append(out, parseZeekCiphers(data, e.captures))
				continue
			}
			out = append(out, parseZeek(data, path.Base(name), e.captures)...)
		}
	}
	return out, nil
}

// parseZeek reads a log, or several one after the other, each with its header. A
// log that was cut to some columns has their names in a first line and none of the
// flow's ends.
func parseZeek(data []byte, name string, captures []string) []*Expectation {
	var out []*Expectation
	var columns []string
	log, cut := "", false
	n, ordinals := numbering{}, make(map[string]int)
	for _, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "#separator"):
			n, ordinals = numbering{}, make(map[string]int)
			continue
		case strings.HasPrefix(line, "#path"):
			_, log, _ = strings.Cut(line, "\t")
			continue
		case strings.HasPrefix(line, "#fields\t"):
			columns, cut = strings.Split(line, "\t")[1:], false
			continue
		case strings.HasPrefix(line, "ts\tuid\t"):
			columns, cut = strings.Split(line, "\t"), true
			log, _, _ = strings.Cut(name, ".")
			continue
		case strings.HasPrefix(line, "#") || columns == nil:
			continue
		}
		row := zeekRow{columns: columns, fields: strings.Split(line, "\t")}
		e := &Expectation{Reference: "zeek", Captures: captures}
		if !cut && log != "x509" {
			ft, ok := parseEnds(row.get("id.orig_h"), row.get("id.orig_p"), row.get("id.resp_h"), row.get("id.resp_p"))
			if !ok {
				continue
			}
			e.Ends = []Ends{ft}
		}
		switch log {
		case "ssl":
			row.ssl(e)
		case "quic":
			row.quic(e)
		case "x509":
			row.x509(e)
		case "conn":
			if cut {
				continue
			}
			row.conn(e)
		default:
			continue
		}
		if len(e.Ends) > 0 {
			uid := row.get("uid")
			ordinal, known := ordinals[uid]
			if !known { // a connection of QUIC has a line for every connection id of its client
				ordinal = n.next(e.Proto, e.Ends[0])
				ordinals[uid] = ordinal
			}
			e.Ordinal = ordinal
		}
		if len(e.Values) > 0 || len(e.Ends) > 0 {
			out = append(out, e)
		}
	}
	return out
}

type zeekRow struct {
	columns, fields []string
}

// get returns a field, empty when it is unset.
func (r zeekRow) get(name string) string {
	for i, c := range r.columns {
		if c == name && i < len(r.fields) && r.fields[i] != "-" && r.fields[i] != "(empty)" {
			return r.fields[i]
		}
	}
	return ""
}

func (r zeekRow) ssl(e *Expectation) {
	if v := r.get("version"); v != "" {
		e.set("version", versionName(v), version)
		e.set("cipher", r.get("cipher"), cipher)
		e.set("resumed", zeekBool(r.get("resumed")), resumed)
		e.set("established", zeekBool(r.get("established")), func(r *record.Record) string { return yes(r.TLSEstablished) })
	}
	e.set("sni", r.get("server_name"), sni)
	e.set("alpn", r.get("next_protocol"), alpn)
	e.set("chain, SHA-256", r.get("cert_chain_fps"), chain(sha256Of))
	e.set("certificate SHA-1", r.get("server_cert_sha1"), leaf(sha1Of))
	e.set("client certificate, SHA-256", first(r.get("client_cert_chain_fps")), details(clientCertificate))
	e.set("group", strings.ToLower(r.get("curve")), details(group))
	e.set("last alert", r.get("last_alert"), details(lastAlert))
	e.set("client groups", r.get("client_curves"), details(clientGroups))
	e.set("client versions", r.get("client_supported_versions"), details(clientVersions))
	e.set("client ALPN", r.get("orig_alpn"), details(clientALPN))
	e.set("client ciphers", r.get("client_ciphers"), func(r *record.Record) string { return numbers(r.TLSClientCiphers) })
	e.set("client extensions", r.get("ssl_client_exts"), func(r *record.Record) string { return numbers(r.TLSClientExtensions) })
	e.set("server extensions", r.get("ssl_server_exts"), func(r *record.Record) string { return numbers(r.TLSServerExtensions) })
}

func zeekBool(s string) string {
	switch s {
	case "T":
		return "yes"
	case "F":
		return "no"
	}
	return ""
}

func (r zeekRow) quic(e *Expectation) {
	e.Proto = "udp"
	e.set("quic version", zeekQUIC(r.get("version")), quicVersionOf)
	e.set("sni", r.get("server_name"), sni)
	e.set("alpn", r.get("client_protocol"), alpn)
}

// zeekQUIC turns Zeek's spellings into Trench's.
func zeekQUIC(s string) string {
	if s == "quicv2" {
		return "2"
	}
	if digits, ok := strings.CutPrefix(s, "unknown-"); ok {
		if n, err := strconv.ParseUint(digits, 16, 32); err == nil {
			return quicVersion(uint32(n))
		}
	}
	return s
}

func (r zeekRow) x509(e *Expectation) {
	e.Kind, e.Digest = Certificate, r.get("fingerprint")
	if len(e.Digest) != 64 {
		return // SHA-1, in some scripts
	}
	of := func(get func(*record.Certificate) string) func(*record.Record) string {
		return digested(func(c *record.Certificate) bool { return c.SHA256 == e.Digest }, get)
	}
	e.set("certificate serial", canonicalSerial(r.get("certificate.serial")), of(serialOf))
	e.set("certificate subject", canonicalName(r.get("certificate.subject")), of(subjectOf))
	e.set("certificate issuer", canonicalName(r.get("certificate.issuer")), of(issuerOf))
	e.set("certificate validity", zeekDate(r.get("certificate.not_valid_before"))+" to "+zeekDate(r.get("certificate.not_valid_after")),
		of(func(c *record.Certificate) string { return fromOf(c) + " to " + untilOf(c) }))
	e.set("certificate key bits", r.get("certificate.key_length"), of(func(c *record.Certificate) string { return fmt.Sprint(c.KeyBits) }))
	e.set("certificate names", r.get("san.dns"), of(func(c *record.Certificate) string { return strings.Join(c.SANs, ",") }))
}

func zeekDate(s string) string {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return date(int64(math.Floor(f)))
}

func (r zeekRow) conn(e *Expectation) {
	e.Kind, e.Proto = AnyFlow, r.get("proto")
	client, server := e.Ends[0].Client, e.Ends[0].Server
	e.set("packets", r.get("orig_pkts"), oriented(client, packets))
	e.set("packets back", r.get("resp_pkts"), oriented(server, packets))
	e.set("bytes", r.get("orig_ip_bytes"), oriented(client, octets))
	e.set("bytes back", r.get("resp_ip_bytes"), oriented(server, octets))
}

// parseZeekCiphers reads the client's suites as a test script prints them, by name.
func parseZeekCiphers(data []byte, captures []string) *Expectation {
	var names []string
	for _, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, "TLS_") {
			names = append(names, line)
		}
	}
	e := &Expectation{Reference: "zeek", Captures: captures}
	e.set("client cipher names", strings.Join(names, ","), cipherNames)
	return e
}
