package reference

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"trench/pkg/record"
	"trench/pkg/tlswire"
)

// suricataTest is a test.yaml of suricata-verify.
type suricataTest struct {
	Requires struct {
		Before string `yaml:"lt-version"`
	}
	Checks []struct {
		Filter struct {
			Count int
			Match map[string]any
		}
	}
}

func readSuricata(c *Corpus) ([]*Expectation, error) {
	var out []*Expectation
	for _, e := range c.of("suricata-verify", "") {
		data, err := c.read(strings.TrimSuffix(e.result, "/") + "/test.yaml")
		if err != nil {
			return nil, err
		}
		list, err := parseSuricata(data, e.captures)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.result, err)
		}
		out = append(out, list...)
	}
	return out, nil
}

// parseSuricata reads the filters over Suricata's events that must match. What a
// filter asks of TLS or QUIC is an expectation of one flow; tests for versions
// before 8 hold what was corrected since and are left out.
func parseSuricata(data []byte, captures []string) ([]*Expectation, error) {
	var test suricataTest
	if err := yaml.Unmarshal(data, &test); err != nil {
		return nil, err
	}
	if test.Requires.Before != "" {
		return nil, nil
	}
	var out []*Expectation
	for _, check := range test.Checks {
		if check.Filter.Count == 0 {
			continue
		}
		m := suricataMatch(check.Filter.Match)
		e := &Expectation{Reference: "suricata", Captures: captures, Proto: strings.ToLower(m.text("proto"))}
		if ft, ok := parseEnds(m.text("src_ip"), m.text("src_port"), m.text("dest_ip"), m.text("dest_port")); ok {
			e.Ends = []Ends{ft}
		}
		m.tls(e)
		m.quic(e)
		if len(e.Values) > 0 {
			out = append(out, e)
		}
	}
	return out, nil
}

type suricataMatch map[string]any

func (m suricataMatch) text(key string) string {
	if v, ok := m[key]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

func (m suricataMatch) list(key string) string {
	return strings.Trim(strings.ReplaceAll(m.text(key), " ", ","), "[]")
}

func (m suricataMatch) tls(e *Expectation) {
	e.set("sni", m.text("tls.sni"), sni)
	e.set("version", versionName(m.text("tls.version")), version)
	e.set("ja3", m.text("tls.ja3.hash"), ja3)
	if s := m.text("tls.ja3.string"); s != "" {
		e.set("ja3", digest(s), ja3)
	}
	e.set("ja3s", m.text("tls.ja3s.hash"), ja3s)
	if s := m.text("tls.ja3s.string"); s != "" {
		e.set("ja3s", digest(s), ja3s)
	}
	e.set("ja4", m.text("tls.ja4"), ja4)
	if p := m.text("tls.server_alpns[0]"); p != "" {
		e.set("alpn", p, alpn)
	} else {
		e.set("alpn", m.text("tls.client_alpns[0]"), alpn)
	}
	e.set("certificate SHA-1", plainHex(m.text("tls.fingerprint")), leaf(sha1Of))
	e.set("certificate subject", canonicalName(m.text("tls.subject")), leaf(subjectOf))
	e.set("certificate issuer", canonicalName(m.text("tls.issuerdn")), leaf(issuerOf))
	if s := m.text("tls.serial"); s != "" {
		e.set("certificate serial", canonicalSerial(s), leaf(serialOf))
	}
	e.set("certificate not before", m.text("tls.notbefore"), leaf(fromOf))
	e.set("certificate not after", m.text("tls.notafter"), leaf(untilOf))
	if m.text("tls.session_resumed") == "true" {
		e.set("resumed", "yes", resumed)
	}
	e.set("starttls", m.text("tls.from_proto"), starttls)
	e.set("client ciphers", m.list("tls.client_handshake.ciphers"), func(r *record.Record) string { return numbers(r.TLSClientCiphers) })
	e.set("client extensions", m.list("tls.client_handshake.exts"), func(r *record.Record) string { return numbers(r.TLSClientExtensions) })
	e.set("client signatures", m.list("tls.client_handshake.sig_algs"), details(clientSignatures))
	e.set("server extensions", m.list("tls.server_handshake.exts"), func(r *record.Record) string { return numbers(r.TLSServerExtensions) })
	if s := m.text("tls.server_handshake.cipher"); s != "" {
		e.set("cipher", tlswire.CipherName(number(s)), cipher)
	}
	names := m.indexed("tls.subjectaltname[%d]")
	for i, n := range names {
		e.set("certificate names", n, func(r *record.Record) string {
			if len(r.CertChain) > 0 && i < len(r.CertChain[0].SANs) {
				return r.CertChain[0].SANs[i]
			}
			return ""
		})
	}
}

// indexed returns the values of keys with a running index.
func (m suricataMatch) indexed(format string) []string {
	var out []string
	for i := 0; ; i++ {
		v := m.text(fmt.Sprintf(format, i))
		if v == "" {
			return out
		}
		out = append(out, v)
	}
}

func (m suricataMatch) quic(e *Expectation) {
	if m.text("event_type") != "quic" {
		return
	}
	e.Proto = "udp"
	e.set("ja4", m.text("quic.ja4"), ja4)
	e.set("ja3", m.text("quic.ja3.hash"), ja3)
	e.set("sni", m.text("quic.sni"), sni)
	// extensions are given one by one, by their place
	var places []int
	for key := range m {
		var i int
		if _, err := fmt.Sscanf(key, "quic.extensions[%d].name", &i); err == nil {
			places = append(places, i)
		}
	}
	slices.Sort(places)
	for _, i := range places {
		name := m.text(fmt.Sprintf("quic.extensions[%d].name", i))
		e.set("extension", fmt.Sprintf("%d %s", i, name), func(r *record.Record) string {
			// an event is of the client's hello or of the server's
			client, server := extensionAt(r.TLSClientExtensions, i), extensionAt(r.TLSServerExtensions, i)
			if server == name {
				client = server
			}
			return fmt.Sprintf("%d %s", i, client)
		})
		val := m.text(fmt.Sprintf("quic.extensions[%d].values[0]", i))
		switch name {
		case "alpn":
			e.set("alpn", val, alpn)
		case "server_name":
			e.set("sni", val, sni)
		}
	}
}

func extensionAt(list []uint16, i int) string {
	if i >= len(list) {
		return ""
	}
	return extensionName(list[i])
}

// extensionName names the extensions that the results name.
func extensionName(id uint16) string {
	switch id {
	case 0:
		return "server_name"
	case 5:
		return "status_request"
	case 10:
		return "supported_groups"
	case 13:
		return "signature_algorithms"
	case 16:
		return "alpn"
	case 23:
		return "extended_master_secret"
	case 43:
		return "supported_versions"
	case 45:
		return "psk_key_exchange_modes"
	case 51:
		return "key_share"
	case 57:
		return "quic_transport_parameters"
	}
	return fmt.Sprint(id)
}

func cipherNames(r *record.Record) string {
	var out []string
	for _, id := range r.TLSClientCiphers {
		out = append(out, tlswire.CipherName(id))
	}
	return strings.Join(out, ",")
}
