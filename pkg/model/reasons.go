package model

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// column says what may be told of one column of the schema: under which code
// its contribution counts, and in which words its value is stated.
type column struct {
	code string
	// what names the quantity; it is all there is to say when it was not observed.
	what string
	// say is the sentence around a value, with one %s; empty means "what: value".
	say string
	// yes and no are the sentences for a flag.
	yes, no string
	form    form
	// when gives certain values a code of their own.
	when map[float64]string
}

// form writes a value with its unit.
type form func(v float64) string

// codes lists every reason code with the ATT&CK technique that it is evidence
// for, empty where none fits without a stretch.
func codes() map[string]string {
	return map[string]string{
		"sni-absent":              "",
		"sni-address":             "",
		"sni-shape":               "",
		"sni-randomness":          "T1568.002", // Dynamic Resolution: Domain Generation Algorithms
		"sni-dynamic-dns":         "T1568",     // Dynamic Resolution
		"client-suites":           "T1573.002", // Encrypted Channel: Asymmetric Cryptography
		"client-extensions":       "T1573.002",
		"client-hello-shape":      "T1573.002",
		"server-hello":            "T1573.002",
		"handshake":               "T1573.002",
		"tls-alerts":              "",
		"certificate-self-signed": "T1587.003", // Develop Capabilities: Digital Certificates
		"certificate-age":         "",
		"certificate-name":        "",
		"certificate-shape":       "",
		"certificate-absent":      "",
		"record-lengths":          "T1071.001", // Application Layer Protocol: Web Protocols
		"record-counts":           "T1071.001",
		"packet-lengths":          "T1071.001",
		"length-transitions":      "T1071.001",
		"bursts":                  "T1071.001",
		"byte-distribution":       "",
		"volume":                  "",
		"duration":                "",
		"timing":                  "",
		"retransmissions":         "",
		"flow-end":                "",
		"dns-answer":              "",
		"dns-failures":            "T1568.002",
		"quic":                    "",
		"other":                   "",
	}
}

// codeFor is the code under which value v counts.
func (c *column) codeFor(v float64) string {
	if code, ok := c.when[v]; ok { // NaN is equal to no key
		return code
	}
	return c.code
}

// text states what is true of value v, and what is usual in benign traffic.
func (c *column) text(v float64, ref reference) string {
	if math.IsNaN(v) {
		t := c.what + ": not observed or not applicable"
		if ref.NaN != nil {
			t += fmt.Sprintf(" (so in %s of benign flows)", share(*ref.NaN))
		}
		return t
	}
	lo, hi, known := ref.usual()
	if c.yes != "" && (v == 0 || v == 1) {
		t := c.no
		if v == 1 {
			t = c.yes
		}
		switch {
		case !known:
			return t
		case lo == v && hi == v:
			return t + " (usual in benign traffic too)"
		case lo == hi:
			return t + " (unusual in benign traffic)"
		}
		return t + " (both are usual in benign traffic)"
	}
	write := c.form
	if write == nil {
		write = number
	}
	t := c.what + ": " + write(v)
	if c.say != "" {
		t = fmt.Sprintf(c.say, write(v))
	}
	if !known {
		return t
	}
	from, to := write(lo), write(hi)
	if from == to {
		return t + " (usual in benign traffic: " + from + ")"
	}
	return t + " (usual in benign traffic: " + from + " to " + to + ")"
}

// told is a column of the model with what its reasons need.
type told struct {
	column    column
	reference reference
	value     float64
	// gate is the place in the vector of the flag whose 0 says why the column is missing,
	// -1 without one: no SNI leaves the sn columns empty, no certificate the ct columns.
	gate            int
	closed          column
	closedReference reference
}

func tell(names []string, ref map[string]reference, s Schema) []told {
	table := reasonTable()
	gates := map[string]string{"sn_": "sn_present", "ct_": "ct_seen"}
	out := make([]told, len(names))
	for i, name := range names {
		out[i] = told{column: columnFor(table, name), reference: ref[name], gate: -1}
		gate, ok := gates[name[:min(3, len(name))]]
		if !ok || gate == name {
			continue
		}
		if at, ok := s.Index(gate); ok {
			out[i].gate, out[i].closed, out[i].closedReference = at, table[gate], ref[gate]
		}
	}
	return out
}

// columnFor finds what may be told of a column; unknown ones get plain words.
func columnFor(table map[string]column, name string) column {
	if c, ok := table[name]; ok {
		return c
	}
	return column{code: "other", what: name}
}

// Forms.

func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	if math.Abs(v) >= 1000 && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func unit(one, many string) form {
	return func(v float64) string {
		if v == 1 {
			return "1 " + one
		}
		return number(v) + " " + many
	}
}

func share(v float64) string {
	p := 100 * v
	switch {
	case p != 0 && math.Abs(p) < 0.1:
		return strconv.FormatFloat(p, 'g', 2, 64) + " %"
	case p == math.Trunc(p):
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}

// logMS is for log1p of milliseconds.
func logMS(v float64) string { return milliseconds(math.Expm1(v)) }

func milliseconds(ms float64) string {
	switch {
	case math.IsInf(ms, 0) || math.Abs(ms) >= 1e12:
		return number(ms) + " ms"
	case math.Abs(ms) < 1:
		return strconv.FormatFloat(ms, 'g', 2, 64) + " ms"
	}
	return time.Duration(ms * 1e6).Round(time.Millisecond).String()
}

// logBits is for log1p of bits per second.
func logBits(v float64) string {
	r := math.Expm1(v)
	for _, u := range []struct {
		from float64
		name string
	}{{1e9, "Gbit/s"}, {1e6, "Mbit/s"}, {1e3, "kbit/s"}} {
		if r >= u.from && r < 1e15 {
			return strconv.FormatFloat(r/u.from, 'g', 3, 64) + " " + u.name
		}
	}
	return number(r) + " bit/s"
}

// logRatio is for the logarithm of client over server.
func logRatio(v float64) string {
	return strconv.FormatFloat(math.Exp(v), 'g', 3, 64)
}

// signed is for payload lengths, positive from the client.
func signed(v float64) string {
	switch {
	case v < 0:
		return number(-v) + " bytes from the server"
	case v > 0:
		return number(v) + " bytes from the client"
	}
	return "0 bytes"
}

// oneOf is for enumerations; an unknown value is stated as a number.
func oneOf(names map[float64]string) form {
	return func(v float64) string {
		if n, ok := names[v]; ok {
			return n
		}
		return "class " + number(v)
	}
}

// tlsVersion is for versions as they are on the wire.
func tlsVersion(v float64) string {
	switch v {
	case 0x0002:
		return "SSL 2.0"
	case 0x0300:
		return "SSL 3.0"
	case 0x0301:
		return "TLS 1.0"
	case 0x0302:
		return "TLS 1.1"
	case 0x0303:
		return "TLS 1.2"
	case 0x0304:
		return "TLS 1.3"
	case 0xfeff:
		return "DTLS 1.0"
	case 0xfefd:
		return "DTLS 1.2"
	case 0xfefc:
		return "DTLS 1.3"
	}
	return "version number " + number(v)
}

func bytesRange(from, to int) string {
	switch {
	case to < 0:
		return strconv.Itoa(from) + " bytes or more"
	case from == 0:
		return "fewer than " + strconv.Itoa(to) + " bytes"
	}
	return strconv.Itoa(from) + " to " + strconv.Itoa(to-1) + " bytes"
}

// reasonTable has a row for every column of schema trench-v1.
func reasonTable() map[string]column {
	t := make(map[string]column, 400)
	bytes, days, packets := unit("byte", "bytes"), unit("day", "days"), unit("packet", "packets")
	records, labels := unit("record", "records"), unit("label", "labels")
	rtts := unit("handshake round trip", "handshake round trips")
	// The numbers are those of the lists in pkg/features.
	alpn := map[float64]string{0: "none", 1: "HTTP/1", 2: "HTTP/2", 3: "HTTP/3", 4: "SPDY or early gRPC", 5: "a mail, news or file protocol",
		6: "STUN or WebRTC", 7: "another known one", 9: "an unknown one"}
	sides := map[string]string{"c": "client", "s": "server"}

	// Flow.
	t["fl_dur_log"] = column{code: "duration", what: "flow duration", say: "the flow lasts %s", form: logMS}
	t["fl_by_ratio"] = column{code: "volume", what: "bytes of the client per byte of the server (1 added to both)", form: logRatio}
	t["fl_pk_ratio"] = column{code: "volume", what: "packets of the client per packet of the server (1 added to both)", form: logRatio}
	t["fl_bps_log"] = column{code: "volume", what: "data rate of the flow", form: logBits}
	t["fl_iat_rtt_p50"] = column{code: "timing", what: "median gap between the first data packets", form: rtts}
	t["fl_iat_rtt_p90"] = column{code: "timing", what: "90 % quantile of the gaps between the first data packets", form: rtts}
	t["fl_retrans_ratio"] = column{code: "retransmissions", what: "share of retransmitted packets", form: share}
	t["fl_end_class"] = column{code: "flow-end", what: "end of the flow (FIN, RST, idle or evicted)", form: oneOf(map[float64]string{
		0: "closed by FIN", 1: "reset by RST", 2: "went idle", 3: "evicted from the flow table"})}
	for d, side := range sides {
		t["fl_pk_"+d] = column{code: "volume", what: "packets of the " + side, say: "the " + side + " sends %s", form: packets}
		t["fl_by_"+d] = column{code: "volume", what: "bytes of the " + side, say: "the " + side + " sends %s (from the IP header on)", form: bytes}
		t["fl_dpk_"+d] = column{code: "volume", what: "data packets of the " + side, form: packets}
		t["fl_len_mean_"+d] = column{code: "packet-lengths", what: "mean payload of the " + side + "'s data packets", form: bytes}
		t["fl_len_std_"+d] = column{code: "packet-lengths", what: "standard deviation of the payload of the " + side + "'s data packets", form: bytes}
		t["fl_len_max_"+d] = column{code: "packet-lengths", what: "largest payload of the " + side + "'s data packets", form: bytes}
		edges := []int{0, 16, 32, 64, 128, 256, 512, 1024, -1}
		for i := range 8 {
			t[fmt.Sprintf("hz_%s_%d", d, i)] = column{code: "packet-lengths", form: share,
				what: "share of the " + side + "'s data packets with " + bytesRange(edges[i], edges[i+1])}
		}
		t["bu_by_mean_"+d] = column{code: "bursts", what: "mean burst of the " + side, form: bytes}
		t["bu_by_max_"+d] = column{code: "bursts", what: "largest burst of the " + side, form: bytes}
		t["bu_pk_mean_"+d] = column{code: "bursts", what: "mean burst of the " + side, form: packets}
		t["rc_n_"+d] = column{code: "record-counts", what: "TLS records of the " + side, say: "the " + side + " sends %s of TLS", form: records}
		t["rc_app_n_"+d] = column{code: "record-counts", what: "application-data records of the " + side, form: records}
		t["rc_app_by_"+d] = column{code: "record-counts", what: "application data of the " + side, form: bytes}
		t["rc_app_len_std_"+d] = column{code: "record-lengths", what: "standard deviation of the " + side + "'s application-data record lengths", form: bytes}
		for i := range 4 {
			t[fmt.Sprintf("rc_app_len_%s_%d", d, i)] = column{code: "record-lengths", form: bytes,
				what: "length of application-data record " + strconv.Itoa(i+1) + " of the " + side}
		}
	}
	// Sequence of data packets.
	for i := range 16 {
		gap := fmt.Sprintf("gap before data packet %d", i+1)
		if i == 0 {
			gap = "time from the flow's first packet to its first data packet"
		}
		t[fmt.Sprintf("sq_len_%02d", i)] = column{code: "packet-lengths", what: fmt.Sprintf("data packet %d", i+1), form: signed}
		t[fmt.Sprintf("sq_iat_%02d", i)] = column{code: "timing", what: gap, form: logMS}
	}
	// Markov matrix of lengths.
	for i := range 10 {
		for j := range 10 {
			from, to := bytesRange(i*150, i*150+150), bytesRange(j*150, j*150+150)
			if i == 9 {
				from = bytesRange(1350, -1)
			}
			if j == 9 {
				to = bytesRange(1350, -1)
			}
			t[fmt.Sprintf("ml_%d_%d", i, j)] = column{code: "length-transitions", form: share,
				what: "payload length transitions from " + from + " that go to " + to}
		}
	}
	// Bursts.
	t["bu_n"] = column{code: "bursts", what: "number of bursts (runs of the first data packets in one direction)"}
	t["bu_turns"] = column{code: "bursts", what: "changes of direction between bursts"}
	t["bu_gap_rtt_p50"] = column{code: "bursts", what: "median gap between bursts", form: rtts}
	t["bu_first_c_bytes"] = column{code: "bursts", what: "first burst of the client", form: bytes}
	// Records.
	t["rc_srv_flight_est"] = column{code: "record-lengths", what: "estimated length of the certificates in the server's first flight", form: bytes}
	t["rc_alert_n"] = column{code: "tls-alerts", what: "TLS alert records of both sides", form: records}
	t["rc_ccs_n"] = column{code: "handshake", what: "ChangeCipherSpec records of both sides", form: records}
	t["rc_len_distinct_ratio"] = column{code: "record-lengths", what: "distinct lengths per application-data record", form: share}
	t["rc_len_mode_frac"] = column{code: "record-lengths", what: "share of application-data records with their most frequent length", form: share}
	t["rc_len_mod16_frac"] = column{code: "record-lengths", what: "share of application-data records whose length is a multiple of 16", form: share}
	// Byte distribution.
	for i := range 16 {
		t[fmt.Sprintf("bd_%02d", i)] = column{code: "byte-distribution", form: share,
			what: fmt.Sprintf("share of bytes 0x%X0 to 0x%XF in the first application data", i, i)}
	}
	t["bd_mean"] = column{code: "byte-distribution", what: "mean byte value of the first application data"}
	t["bd_std"] = column{code: "byte-distribution", what: "standard deviation of the byte values of the first application data"}
	t["bd_entropy"] = column{code: "byte-distribution", what: "entropy of the first application data", form: unit("bit per byte", "bits per byte")}
	t["bd_chi2"] = column{code: "byte-distribution", what: "chi-square of the first application data against uniform bytes (about 255 when random)"}
	// ClientHello.
	for id, name := range suiteNames() {
		t["ch_cs_"+id] = flag("client-suites", "client's cipher suites",
			"the client offers "+name, "the client does not offer "+name)
	}
	for id, name := range extensionNames() {
		t["ch_ext_"+id] = flag("client-extensions", "client's extensions",
			"the client sends extension "+name+" ("+id+")", "the client does not send extension "+name+" ("+id+")")
	}
	t["ch_len"] = column{code: "client-hello-shape", what: "length of the ClientHello", say: "the ClientHello has %s", form: bytes}
	t["ch_legacy_ver"] = column{code: "client-hello-shape", what: "version field of the ClientHello", form: tlsVersion}
	t["ch_max_ver"] = column{code: "client-hello-shape", what: "highest version that the client offers", form: tlsVersion}
	t["ch_n_cs"] = column{code: "client-suites", what: "number of cipher suite values that the client lists", say: "the client lists %s", form: unit("cipher suite value", "cipher suite values")}
	t["ch_n_ext"] = column{code: "client-extensions", what: "number of extensions that the client sends", say: "the client sends %s", form: unit("extension", "extensions")}
	t["ch_n_groups"] = column{code: "client-hello-shape", what: "number of key exchange groups that the client offers", say: "the client offers %s", form: unit("key exchange group", "key exchange groups")}
	t["ch_n_sigalgs"] = column{code: "client-hello-shape", what: "number of signature algorithms that the client offers", say: "the client offers %s", form: unit("signature algorithm", "signature algorithms")}
	t["ch_n_alpn"] = column{code: "client-hello-shape", what: "number of application protocols (ALPN) that the client offers", say: "the client offers %s", form: unit("application protocol (ALPN)", "application protocols (ALPN)")}
	t["ch_alpn_class"] = column{code: "client-hello-shape", what: "application protocol (ALPN) that the client offers first", form: oneOf(alpn)}
	t["ch_sid_len"] = column{code: "client-hello-shape", what: "length of the client's session id", form: bytes}
	t["ch_grease"] = flag("client-extensions", "GREASE values in the ClientHello", "the client sends GREASE values", "the client sends no GREASE values")
	t["ch_n_weak_cs"] = column{code: "client-suites", what: "number of weak cipher suites that the client offers", say: "the client offers %s", form: unit("weak cipher suite", "weak cipher suites")}
	t["ch_frac_aead"] = column{code: "client-suites", what: "share of AEAD suites in the client's offer", form: share}
	t["ch_frac_pfs"] = column{code: "client-suites", what: "share of suites with forward secrecy in the client's offer", form: share}
	t["ch_n_keyshares"] = column{code: "client-hello-shape", what: "number of key shares that the client sends", say: "the client sends %s", form: unit("key share", "key shares")}
	t["ch_keyshare_bytes"] = column{code: "client-hello-shape", what: "length of the client's key shares", form: bytes}
	t["ch_pq_hybrid"] = flag("client-hello-shape", "post-quantum key exchange in the ClientHello", "the client offers a post-quantum hybrid key exchange", "the client offers no post-quantum hybrid key exchange")
	t["ch_ext_unknown_n"] = column{code: "client-extensions", what: "number of unknown extensions that the client sends", say: "the client sends %s neither registered nor in known use", form: unit("extension", "extensions")}
	t["ch_padding_len"] = column{code: "client-extensions", what: "length of the client's padding extension", form: bytes}
	t["ch_scsv"] = flag("client-suites", "signalling values (SCSV) among the client's suites", "the client sends a signalling suite value (SCSV)", "the client sends no signalling suite value (SCSV)")
	// ServerHello and handshake.
	t["sh_seen"] = flag("server-hello", "ServerHello", "a ServerHello was seen", "no ServerHello was seen")
	t["sh_ver"] = column{code: "server-hello", what: "version that the server chose", form: tlsVersion}
	t["sh_cs_class"] = column{code: "server-hello", what: "kind of cipher suite that the server chose", form: oneOf(map[float64]string{
		0: "unknown", 1: "without encryption or authentication or of export strength", 2: "with a broken cipher or an MD5 MAC", 3: "with SHA-1", 4: "with SHA-2",
		5: "authenticated encryption without forward secrecy", 6: "authenticated encryption with forward secrecy", 7: "TLS 1.3"})}
	t["sh_cs_aead"] = flag("server-hello", "cipher suite that the server chose", "the server chose an AEAD suite", "the server chose a suite without AEAD")
	t["sh_cs_pfs"] = flag("server-hello", "cipher suite that the server chose", "the server chose a suite with forward secrecy", "the server chose a suite without forward secrecy")
	t["sh_cs_weak"] = flag("server-hello", "cipher suite that the server chose", "the server chose a weak suite", "the server did not choose a weak suite")
	t["sh_n_ext"] = column{code: "server-hello", what: "number of extensions in the ServerHello", say: "the ServerHello has %s", form: unit("extension", "extensions")}
	t["sh_alpn_class"] = column{code: "server-hello", what: "application protocol (ALPN) that the server chose", form: oneOf(alpn)}
	t["sh_group_class"] = column{code: "server-hello", what: "key exchange group that the server chose", form: oneOf(map[float64]string{
		1: "X25519 or X448", 2: "a NIST curve", 3: "a finite field", 4: "a post-quantum hybrid", 5: "post-quantum alone", 6: "another curve", 9: "unknown"})}
	t["sh_keyshare_len"] = column{code: "server-hello", what: "length of the server's key share", form: bytes}
	t["sh_hrr"] = flag("server-hello", "HelloRetryRequest", "the server asked for another ClientHello", "the server did not ask for another ClientHello")
	t["sh_resumed"] = flag("handshake", "session resumption", "the session was resumed", "the session was not resumed")
	t["sh_ticket"] = flag("handshake", "session ticket of the server", "the server issued a session ticket in clear", "the server issued no session ticket in clear")
	t["sh_ocsp_staple"] = flag("server-hello", "stapled certificate status", "the server staples a certificate status", "the server staples no certificate status")
	t["sh_ske_len"] = column{code: "handshake", what: "length of the ServerKeyExchange", form: bytes}
	t["sh_cke_bits"] = column{code: "handshake", what: "length of the ClientKeyExchange", form: unit("bit", "bits")}
	t["sh_alert_level"] = column{code: "tls-alerts", what: "highest level of a TLS alert in clear", form: oneOf(map[float64]string{0: "none", 1: "warning", 2: "fatal"})}
	t["sh_hs_complete"] = flag("handshake", "end of the handshake", "the handshake was completed", "the handshake was not completed")
	t["sh_hs_rounds"] = column{code: "handshake", what: "flights of the handshake (runs of handshake records in one direction)"}
	t["sh_cert_req"] = flag("handshake", "request for a client certificate", "the server asked for a client certificate in clear", "the server did not ask for a client certificate in clear")
	// Certificates.
	t["ct_seen"] = flag("certificate-shape", "certificate chain (it is encrypted in TLS 1.3 and not sent when a session is resumed)",
		"the server's certificates were seen", "the full handshake showed no certificate")
	t["ct_seen"] = withCode(t["ct_seen"], 0, "certificate-absent")
	t["ct_chain_n"] = column{code: "certificate-shape", what: "certificates in the chain", say: "the chain has %s", form: unit("certificate", "certificates")}
	t["ct_chain_bytes"] = column{code: "certificate-shape", what: "length of the certificate chain", form: bytes}
	t["ct_leaf_bytes"] = column{code: "certificate-shape", what: "length of the server's certificate", form: bytes}
	t["ct_valid_days"] = column{code: "certificate-age", what: "whole validity of the server's certificate", form: days}
	t["ct_age_days"] = column{code: "certificate-age", what: "age of the server's certificate at the time of the flow", form: days}
	t["ct_remain_days"] = column{code: "certificate-age", what: "remaining validity of the server's certificate at the time of the flow", form: days}
	t["ct_expired"] = flag("certificate-age", "expiry of the server's certificate", "the server's certificate had expired at the time of the flow", "the server's certificate had not expired at the time of the flow")
	t["ct_self_signed"] = flag("certificate-shape", "issuer of the server's certificate", "the server's certificate is its own issuer (self-signed)", "the server's certificate has another issuer (not self-signed)")
	t["ct_self_signed"] = withCode(t["ct_self_signed"], 1, "certificate-self-signed")
	t["ct_ca_flag"] = flag("certificate-shape", "CA flag of the server's certificate", "the server's certificate says it is a CA", "the server's certificate does not say that it is a CA")
	t["ct_san_n"] = column{code: "certificate-name", what: "alternative names in the server's certificate", say: "the server's certificate has %s", form: unit("alternative name", "alternative names")}
	t["ct_san_wild_n"] = column{code: "certificate-name", what: "wildcard names in the server's certificate", say: "the server's certificate has %s", form: unit("wildcard name", "wildcard names")}
	t["ct_sni_match"] = flag("certificate-name", "match of the server's certificate with the server name (SNI)", "the server's certificate is for the server name (SNI)", "the server's certificate is not for the server name (SNI)")
	t["ct_subj_rdn_n"] = column{code: "certificate-name", what: "parts of the certificate's subject name", say: "the certificate's subject has %s", form: unit("name part", "name parts")}
	t["ct_issuer_rdn_n"] = column{code: "certificate-name", what: "parts of the certificate's issuer name", say: "the certificate's issuer has %s", form: unit("name part", "name parts")}
	t["ct_cn_len"] = column{code: "certificate-name", what: "length of the certificate's common name", form: bytes}
	t["ct_cn_is_ip"] = flag("certificate-name", "common name of the certificate", "the certificate's common name is an IP address", "the certificate's common name is not an IP address")
	t["ct_cn_entropy"] = column{code: "certificate-name", what: "entropy of the certificate's common name", form: unit("bit per byte", "bits per byte")}
	t["ct_key_type"] = column{code: "certificate-shape", what: "kind of the certificate's key", form: oneOf(map[float64]string{
		0: "unknown", 1: "RSA", 2: "ECDSA", 3: "Curve25519 or Curve448", 4: "DSA or DH", 5: "GOST", 6: "ML-DSA"})}
	t["ct_key_bits"] = column{code: "certificate-shape", what: "length of the certificate's key", form: unit("bit", "bits")}
	t["ct_sig_weak"] = flag("certificate-shape", "signature of the server's certificate", "the certificate is signed with MD2, MD4, MD5 or SHA-1", "the certificate is not signed with MD2, MD4, MD5 or SHA-1")
	t["ct_sct_n"] = column{code: "certificate-shape", what: "certificate transparency timestamps", say: "the certificate has %s", form: unit("transparency timestamp", "transparency timestamps")}
	// Server name.
	t["sn_present"] = flag("sni-shape", "server name (SNI)", "the client names the server it wants (SNI)", "the client names no server (no SNI)")
	t["sn_present"] = withCode(t["sn_present"], 0, "sni-absent")
	t["sn_is_ip"] = flag("sni-shape", "server name", "the server name (SNI) is an IP address", "the server name (SNI) is not an IP address")
	t["sn_is_ip"] = withCode(t["sn_is_ip"], 1, "sni-address")
	t["sn_len"] = column{code: "sni-shape", what: "length of the server name", say: "the server name has %s", form: bytes}
	t["sn_labels"] = column{code: "sni-shape", what: "labels of the server name", say: "the server name has %s", form: labels}
	t["sn_maxlabel_len"] = column{code: "sni-shape", what: "longest label of the server name", form: bytes}
	t["sn_digit_ratio"] = column{code: "sni-randomness", what: "share of digits in the server name", form: share}
	t["sn_hyphen_n"] = column{code: "sni-shape", what: "hyphens in the server name", say: "the server name has %s", form: unit("hyphen", "hyphens")}
	t["sn_entropy"] = column{code: "sni-randomness", what: "entropy of the server name", form: unit("bit per byte", "bits per byte")}
	t["sn_vowel_ratio"] = column{code: "sni-randomness", what: "share of vowels in the letters of the server name", form: share}
	t["sn_max_cons_run"] = column{code: "sni-randomness", what: "longest run of consonants in the server name", form: unit("letter", "letters")}
	t["sn_bigram_ll"] = column{code: "sni-randomness", what: "likeness of the server name's letter pairs to English words (mean binary logarithm of their probability)"}
	t["sn_punycode"] = flag("sni-shape", "punycode in the server name", "the server name is in punycode", "the server name is not in punycode")
	t["sn_tld_class"] = column{code: "sni-shape", what: "kind of the server name's top-level domain", form: oneOf(map[float64]string{
		0: "none", 1: "an old generic one", 2: "another country code", 3: "a cheap and often abused one", 4: "another one", 5: "for special use"})}
	t["sn_dyndns"] = flag("sni-shape", "dynamic-DNS service in the server name", "the server name lies under a dynamic-DNS service", "the server name lies under no known dynamic-DNS service")
	t["sn_dyndns"] = withCode(t["sn_dyndns"], 1, "sni-dynamic-dns")
	for name, c := range t {
		if strings.HasPrefix(name, "sn_") && name != "sn_present" {
			c.what += " (SNI)"
			t[name] = c
		}
	}
	// DNS answer that led here.
	t["dn_seen"] = flag("dns-answer", "DNS answer with the server's address", "a DNS answer with the server's address was seen before", "no DNS answer with the server's address was seen before")
	t["dn_age_s"] = column{code: "dns-answer", what: "age of the DNS answer", form: unit("second", "seconds")}
	t["dn_name_eq_sni"] = flag("dns-answer", "DNS name against the server name", "the DNS name equals the server name (SNI)", "the DNS name differs from the server name (SNI)")
	t["dn_n_a"] = column{code: "dns-answer", what: "IPv4 addresses in the DNS answer"}
	t["dn_n_aaaa"] = column{code: "dns-answer", what: "IPv6 addresses in the DNS answer"}
	t["dn_cname_depth"] = column{code: "dns-answer", what: "aliases (CNAME) in the DNS answer"}
	t["dn_ttl_min"] = column{code: "dns-answer", what: "shortest time to live in the DNS answer", form: unit("second", "seconds")}
	t["dn_ttl_max"] = column{code: "dns-answer", what: "longest time to live in the DNS answer", form: unit("second", "seconds")}
	t["dn_name_len"] = column{code: "dns-answer", what: "length of the DNS name", form: bytes}
	t["dn_digit_n"] = column{code: "dns-answer", what: "digits in the DNS name"}
	t["dn_nonalnum_n"] = column{code: "dns-answer", what: "characters of the DNS name that are neither letter nor digit"}
	t["dn_nx_rate_5m"] = column{code: "dns-failures", what: "share of the DNS answers to the client in the five minutes before that say there is no such name", form: share}
	// QUIC.
	t["qu_is_quic"] = flag("quic", "QUIC", "the flow is QUIC", "the flow is not QUIC")
	t["qu_version_class"] = column{code: "quic", what: "QUIC version", form: oneOf(map[float64]string{1: "version 1", 2: "version 2", 3: "a draft", 4: "Google's", 9: "another one"})}
	t["qu_dcid_len"] = column{code: "quic", what: "length of the QUIC destination connection id", form: bytes}
	t["qu_scid_len"] = column{code: "quic", what: "length of the QUIC source connection id", form: bytes}
	t["qu_token_len"] = column{code: "quic", what: "length of the QUIC token", form: bytes}
	t["qu_retry"] = flag("quic", "QUIC Retry", "the server sent a QUIC Retry", "the server sent no QUIC Retry")
	t["qu_zero_rtt"] = flag("quic", "QUIC 0-RTT", "the client sent QUIC 0-RTT data", "the client sent no QUIC 0-RTT data")
	t["qu_tp_n"] = column{code: "quic", what: "QUIC transport parameters of the client", form: unit("parameter", "parameters")}
	return t
}

func flag(code, what, yes, no string) column {
	return column{code: code, what: what, yes: yes, no: no}
}

func withCode(c column, v float64, code string) column {
	c.when = map[float64]string{v: code}
	return c
}

// suiteNames has the suites that are columns, by their hexadecimal number.
func suiteNames() map[string]string {
	return map[string]string{
		"1301": "TLS_AES_128_GCM_SHA256", "1302": "TLS_AES_256_GCM_SHA384", "1303": "TLS_CHACHA20_POLY1305_SHA256",
		"c02b": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "c02f": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"c02c": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "c030": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"cca9": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "cca8": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		"c013": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "c014": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
		"c009": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "c00a": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
		"c023": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "c024": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
		"c027": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "c028": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
		"009c": "TLS_RSA_WITH_AES_128_GCM_SHA256", "009d": "TLS_RSA_WITH_AES_256_GCM_SHA384",
		"002f": "TLS_RSA_WITH_AES_128_CBC_SHA", "0035": "TLS_RSA_WITH_AES_256_CBC_SHA",
		"003c": "TLS_RSA_WITH_AES_128_CBC_SHA256", "003d": "TLS_RSA_WITH_AES_256_CBC_SHA256",
		"000a": "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "0005": "TLS_RSA_WITH_RC4_128_SHA", "0004": "TLS_RSA_WITH_RC4_128_MD5",
		"009e": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "009f": "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
		"0033": "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "0039": "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
		"0067": "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", "006b": "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
	}
}

// extensionNames has the extensions that are columns, by their number.
func extensionNames() map[string]string {
	return map[string]string{
		"5": "status_request", "10": "supported_groups", "11": "ec_point_formats", "13": "signature_algorithms",
		"16": "application_layer_protocol_negotiation", "18": "signed_certificate_timestamp", "21": "padding",
		"22": "encrypt_then_mac", "23": "extended_master_secret", "27": "compress_certificate", "28": "record_size_limit",
		"34": "delegated_credential", "35": "session_ticket", "41": "pre_shared_key", "42": "early_data",
		"43": "supported_versions", "45": "psk_key_exchange_modes", "49": "post_handshake_auth",
		"50": "signature_algorithms_cert", "51": "key_share", "13172": "next_protocol_negotiation",
		"17513": "application_settings or 17613", "65037": "encrypted_client_hello", "65281": "renegotiation_info",
	}
}
