package model

import (
	"fmt"
	"math"
	"slices"
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
	// say is the sentence around a value, with one %s; empty means "what is value".
	say string
	// at has the sentences of single values.
	at map[float64]string
	// flag says that at has the only two values, 0 and 1.
	flag bool
	form form
	// when gives certain values a code of their own.
	when map[float64]string
	// joins names a flag and the code under which this column counts while it is 1.
	joins, joined string
}

// form writes a value with its unit.
type form func(v float64) string

// missing begins what is said of a value that is not there.
const missing = "not observed or not applicable: "

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
		t := missing + c.what
		if ref.NaN != nil {
			t += " (as in " + share(*ref.NaN) + " of benign flows)"
		}
		return t
	}
	t, special := c.at[v]
	unit := "" // of the value, where the sentence has it
	if !special {
		say := c.say
		if say == "" {
			say = c.what + " is %s"
		}
		written := c.write(v)
		t = fmt.Sprintf(say, written)
		_, unit, _ = strings.Cut(written, " ")
	}
	lo, hi, known := ref.usual()
	switch {
	case !known:
		return t
	case c.flag && special && lo == v && hi == v:
		return aside(t, "usual in benign traffic")
	case c.flag && special && lo == hi:
		return aside(t, "rare in benign traffic")
	case c.flag && special:
		return t // both are usual
	}
	return aside(t, "usual: "+c.span(lo, hi, unit))
}

// aside adds a remark in the parentheses that t ends with, else in its own.
func aside(t, remark string) string {
	if open, closed := strings.CutSuffix(t, ")"); closed {
		return open + "; " + remark + ")"
	}
	return t + " (" + remark + ")"
}

func (c *column) write(v float64) string {
	if c.form == nil {
		return number(v)
	}
	return c.form(v)
}

// span writes a range; a unit that both ends have is written once, and not at
// all where it is that of the value already.
func (c *column) span(lo, hi float64, unit string) string {
	from, to := c.write(lo), c.write(hi)
	low, unitLow, _ := strings.Cut(from, " ")
	high, unitHigh, _ := strings.Cut(to, " ")
	if unitLow == unitHigh {
		from = low
		if unit == unitHigh && unit != "%" {
			to = high
		}
	}
	if lo == hi || low == high && unitLow == unitHigh {
		return to
	}
	return from + " to " + to
}

// subjects are beginnings that a sentence says once, longer ones first.
var subjects = [...]string{
	missing,
	"among the first data packets, ", "the first data packets ", "the first application data has ",
	"the server's certificate is ", "the server's certificate has ", "the server's certificate ",
	"the server's application-data ", "the client's application-data ",
	"the server's data packets ", "the client's data packets ",
	"the server name has ", "the server name ", "the DNS answer has ",
	"the client offers ", "the client sends ", "the client ",
	"the server sends ", "the server chose ", "the server ",
	"the ClientHello has ", "the ServerHello has ", "the flow ",
}

// enumerate makes one sentence of clauses; a subject that goes on is said once.
func enumerate(clauses []string) string {
	if len(clauses) == 0 {
		return ""
	}
	shared := func(i int) string { // what clause i has in common with the one before
		if i >= len(clauses) {
			return ""
		}
		for _, s := range subjects {
			if strings.HasPrefix(clauses[i-1], s) && strings.HasPrefix(clauses[i], s) {
				return s
			}
		}
		return ""
	}
	t := clauses[0]
	for i := 1; i < len(clauses); i++ {
		subject := shared(i)
		switch {
		case subject == "":
			t += "; "
		case shared(i+1) == subject:
			t += ", "
		default:
			t += " and "
		}
		t += clauses[i][len(subject):]
	}
	return t
}

// columnFor finds what may be told of a column; unknown ones get plain words.
func columnFor(table map[string]column, name string) column {
	if c, ok := table[name]; ok {
		return c
	}
	return column{code: "other", what: name}
}

// Forms.

// number writes thousands apart, as 12,345, and three digits of a fraction.
func number(v float64) string {
	if math.Abs(v) >= 1e15 || math.IsNaN(v) || v != math.Trunc(v) && math.Abs(v) < 100 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	t := []byte(strconv.FormatFloat(v, 'f', 0, 64))
	for i := len(t) - 3; i > 0 && t[i-1] != '-'; i -= 3 {
		t = slices.Insert(t, i, ',')
	}
	return string(t)
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
	case math.Abs(ms) < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case math.Abs(ms) < 60_000:
		return strconv.FormatFloat(ms/1000, 'g', 3, 64) + " s"
	}
	return time.Duration(ms * 1e6).Round(time.Second).String()
}

// logBits is for log1p of bits per second.
func logBits(v float64) string {
	r := math.Expm1(v)
	for _, u := range []struct {
		from float64
		name string
	}{{1e9, "Gbit/s"}, {1e6, "Mbit/s"}, {1e3, "kbit/s"}} {
		if r >= u.from && r < 1e15 {
			return number(r/u.from) + " " + u.name
		}
	}
	return number(r) + " bit/s"
}

// logRatio is for the logarithm of client over server.
func logRatio(v float64) string {
	return number(math.Exp(v))
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
		return number(float64(from)) + " bytes or more"
	case from == 0:
		return "fewer than " + number(float64(to)) + " bytes"
	}
	return number(float64(from)) + " to " + number(float64(to-1)) + " bytes"
}

// reasonTable has a row for every column of schema trench-v1.
func reasonTable() map[string]column {
	t := make(map[string]column, 400)
	bytes, days, packets := unit("byte", "bytes"), unit("day", "days"), unit("packet", "packets")
	records, labels, dataPackets := unit("record", "records"), unit("label", "labels"), unit("data packet", "data packets")
	rtts := unit("handshake round trip", "handshake round trips")
	// The numbers are those of the lists in pkg/features.
	alpn := map[float64]string{0: "none", 1: "HTTP/1", 2: "HTTP/2", 3: "HTTP/3", 4: "SPDY or early gRPC", 5: "a mail, news or file protocol",
		6: "STUN or WebRTC", 7: "another known one", 9: "an unknown one"}
	sides := map[string]string{"c": "client", "s": "server"}

	// Flow.
	t["fl_dur_log"] = column{code: "duration", what: "flow duration", say: "the flow lasts %s", form: logMS}
	t["fl_by_ratio"] = column{code: "volume", what: "bytes of the client per byte of the server", form: logRatio,
		say: "the client sends %s bytes per byte of the server (1 added to both counts)", at: map[float64]string{0: "the client sends as many bytes as the server"}}
	t["fl_pk_ratio"] = column{code: "volume", what: "packets of the client per packet of the server", form: logRatio,
		say: "the client sends %s packets per packet of the server (1 added to both counts)", at: map[float64]string{0: "the client sends as many packets as the server"}}
	t["fl_bps_log"] = column{code: "volume", what: "data rate of the flow", say: "the flow carries %s", form: logBits}
	t["fl_iat_rtt_p50"] = column{code: "timing", what: "median gap between the first data packets", say: "the median gap between the first data packets is %s", form: rtts}
	t["fl_iat_rtt_p90"] = column{code: "timing", what: "90 % quantile of the gaps between the first data packets", form: rtts,
		say: "one in ten gaps between the first data packets is longer than %s"}
	t["fl_retrans_ratio"] = column{code: "retransmissions", what: "share of retransmitted packets", say: "%s of the packets are retransmissions", form: share}
	t["fl_end_class"] = column{code: "flow-end", what: "end of the flow (FIN, RST, idle or evicted)", say: "the flow ends: %s", form: oneOf(map[float64]string{
		0: "closed by FIN", 1: "reset by RST", 2: "went idle", 3: "evicted from the flow table"})}
	for d, side := range sides {
		t["fl_pk_"+d] = column{code: "volume", what: "packets of the " + side, say: "the " + side + " sends %s", form: packets}
		t["fl_by_"+d] = column{code: "volume", what: "bytes of the " + side, say: "the " + side + " sends %s (from the IP header on)", form: bytes}
		t["fl_dpk_"+d] = column{code: "volume", what: "data packets of the " + side, say: "the " + side + " sends %s", form: dataPackets}
		t["fl_len_mean_"+d] = column{code: "packet-lengths", what: "mean payload of the " + side + "'s data packets", say: "the " + side + "'s data packets have %s on average", form: bytes}
		t["fl_len_std_"+d] = column{code: "packet-lengths", what: "spread of the payload of the " + side + "'s data packets",
			say: "the " + side + "'s data packets differ in length by %s (standard deviation)", form: bytes,
			at: map[float64]string{0: "the " + side + "'s data packets all have the same length"}}
		t["fl_len_max_"+d] = column{code: "packet-lengths", what: "largest payload of the " + side + "'s data packets", say: "the " + side + "'s data packets have %s at most", form: bytes}
		edges := []int{0, 16, 32, 64, 128, 256, 512, 1024, -1}
		for i := range 8 {
			size := bytesRange(edges[i], edges[i+1])
			t[fmt.Sprintf("hz_%s_%d", d, i)] = column{code: "packet-lengths", form: share,
				what: "share of the " + side + "'s data packets with " + size,
				say:  "%s of the " + side + "'s data packets have " + size,
				at:   map[float64]string{0: "none of the " + side + "'s data packets has " + size, 1: "all of the " + side + "'s data packets have " + size}}
		}
		t["bu_by_mean_"+d] = column{code: "bursts", what: "mean burst of the " + side, say: "the " + side + "'s bursts have %s on average", form: bytes}
		t["bu_by_max_"+d] = column{code: "bursts", what: "largest burst of the " + side, say: "the " + side + "'s largest burst has %s", form: bytes}
		t["bu_pk_mean_"+d] = column{code: "bursts", what: "packets in a burst of the " + side, say: "the " + side + "'s bursts have %s on average", form: packets}
		t["rc_n_"+d] = column{code: "record-counts", what: "TLS records of the " + side, say: "the " + side + " sends %s of TLS", form: records}
		t["rc_app_n_"+d] = column{code: "record-counts", what: "application-data records of the " + side, say: "the " + side + " sends %s",
			form: unit("application-data record", "application-data records")}
		t["rc_app_by_"+d] = column{code: "volume", what: "application data of the " + side, say: "the " + side + " sends %s of application data", form: bytes}
		t["rc_app_len_std_"+d] = column{code: "record-lengths", what: "spread of the " + side + "'s application-data record lengths", form: bytes,
			say: "the " + side + "'s application-data records differ in length by %s (standard deviation)",
			at:  map[float64]string{0: "the " + side + "'s application-data records all have the same length"}}
		for i := range 4 {
			t[fmt.Sprintf("rc_app_len_%s_%d", d, i)] = column{code: "record-lengths", form: bytes,
				what: "length of application-data record " + strconv.Itoa(i+1) + " of the " + side,
				say:  "the " + side + "'s application-data record " + strconv.Itoa(i+1) + " has %s"}
		}
	}
	// Sequence of data packets.
	for i := range 16 {
		gap := fmt.Sprintf("the gap before data packet %d", i+1)
		if i == 0 {
			gap = "the time from the flow's first packet to its first data packet"
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
				what: "payload length transitions from " + from + " that go to " + to,
				say:  "among the first data packets, %s of those after one of " + from + " have " + to,
				at: map[float64]string{
					0: "among the first data packets, none of " + to + " follows one of " + from,
					1: "among the first data packets, all after one of " + from + " have " + to,
				}}
		}
	}
	// Bursts.
	t["bu_n"] = column{code: "bursts", what: "bursts (runs of the first data packets in one direction)", say: "the first data packets come in %s (runs in one direction)",
		form: unit("burst", "bursts")}
	t["bu_turns"] = column{code: "bursts", what: "changes of direction among the first data packets", say: "the first data packets change direction %s", form: unit("time", "times")}
	t["bu_gap_rtt_p50"] = column{code: "bursts", what: "median gap between bursts", say: "the median gap between bursts is %s", form: rtts}
	t["bu_first_c_bytes"] = column{code: "bursts", what: "first burst of the client", say: "the client's first burst has %s", form: bytes}
	// Records.
	t["rc_srv_flight_est"] = column{code: "record-lengths", what: "estimated length of the certificates in the server's first flight",
		say: "the server's first flight carries certificates of about %s", form: bytes,
		at: map[float64]string{0: "the server's first flight is too short for certificates"}}
	t["rc_alert_n"] = column{code: "tls-alerts", what: "TLS alert records of both sides", say: "the two sides send %s", form: unit("TLS alert record", "TLS alert records"),
		at: map[float64]string{0: "no TLS alert was seen"}}
	t["rc_ccs_n"] = column{code: "handshake", what: "ChangeCipherSpec records of both sides", say: "the two sides send %s", form: unit("ChangeCipherSpec record", "ChangeCipherSpec records"),
		at: map[float64]string{0: "no ChangeCipherSpec was seen"}}
	t["rc_len_distinct_ratio"] = column{code: "record-lengths", what: "distinct lengths among the application-data records", form: share,
		say: "application-data records repeat lengths: distinct lengths are %s of their number",
		at:  map[float64]string{1: "every application-data record has a length of its own"}}
	t["rc_len_mode_frac"] = column{code: "record-lengths", what: "share of application-data records with their most frequent length", form: share,
		say: "%s of the application-data records have one and the same length",
		at:  map[float64]string{1: "all application-data records have one and the same length"}}
	t["rc_len_mod16_frac"] = column{code: "record-lengths", what: "share of application-data records whose length is a multiple of 16", form: share,
		say: "%s of the application-data records have a length that is a multiple of 16",
		at: map[float64]string{
			0: "no application-data record has a length that is a multiple of 16",
			1: "all application-data records have lengths that are multiples of 16",
		}}
	// Byte distribution.
	for i := range 16 {
		t[fmt.Sprintf("bd_%02d", i)] = column{code: "byte-distribution", form: share,
			what: fmt.Sprintf("share of bytes 0x%X0 to 0x%XF in the first application data", i, i),
			say:  fmt.Sprintf("the first application data has %%s bytes 0x%X0 to 0x%XF (random bytes: 6.25 %%%%)", i, i)}
	}
	t["bd_mean"] = column{code: "byte-distribution", what: "mean byte value of the first application data", say: "the first application data has a mean byte value of %s (random bytes: 127.5)"}
	t["bd_std"] = column{code: "byte-distribution", what: "spread of the byte values of the first application data",
		say: "the first application data has byte values with a standard deviation of %s (random bytes: 73.9)"}
	t["bd_entropy"] = column{code: "byte-distribution", what: "entropy of the first application data", say: "the first application data has an entropy of %s", form: unit("bit per byte", "bits per byte")}
	t["bd_chi2"] = column{code: "byte-distribution", what: "chi-square of the first application data against uniform bytes",
		say: "the first application data has a chi-square of %s against uniform bytes (random bytes: about 255)"}
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
	t["ch_legacy_ver"] = column{code: "client-hello-shape", what: "version field of the ClientHello", say: "the ClientHello has the version field of %s", form: tlsVersion}
	t["ch_max_ver"] = column{code: "client-hello-shape", what: "highest version that the client offers", say: "the client offers %s at most", form: tlsVersion}
	t["ch_n_cs"] = column{code: "client-suites", what: "number of cipher suite values that the client lists", say: "the client lists %s", form: unit("cipher suite value", "cipher suite values")}
	t["ch_n_ext"] = column{code: "client-extensions", what: "number of extensions that the client sends", say: "the client sends %s", form: unit("extension", "extensions")}
	t["ch_n_groups"] = column{code: "client-hello-shape", what: "number of key exchange groups that the client offers", say: "the client offers %s", form: unit("key exchange group", "key exchange groups")}
	t["ch_n_sigalgs"] = column{code: "client-hello-shape", what: "number of signature algorithms that the client offers", say: "the client offers %s", form: unit("signature algorithm", "signature algorithms")}
	t["ch_n_alpn"] = column{code: "client-hello-shape", what: "number of application protocols (ALPN) that the client offers", say: "the client offers %s", form: unit("application protocol (ALPN)", "application protocols (ALPN)")}
	t["ch_alpn_class"] = column{code: "client-hello-shape", what: "application protocol (ALPN) that the client offers first", say: "the first application protocol (ALPN) that the client offers: %s", form: oneOf(alpn)}
	t["ch_sid_len"] = column{code: "client-hello-shape", what: "length of the client's session id", say: "the client sends a session id of %s", form: bytes}
	t["ch_grease"] = flag("client-extensions", "GREASE values in the ClientHello", "the client sends GREASE values", "the client sends no GREASE values")
	t["ch_n_weak_cs"] = column{code: "client-suites", what: "number of weak cipher suites that the client offers", say: "the client offers %s", form: unit("weak cipher suite", "weak cipher suites")}
	t["ch_frac_aead"] = column{code: "client-suites", what: "share of AEAD suites in the client's offer", form: share,
		say: "the client offers suites of which %s are AEAD"}
	t["ch_frac_pfs"] = column{code: "client-suites", what: "share of suites with forward secrecy in the client's offer", form: share,
		say: "the client offers suites of which %s have forward secrecy"}
	t["ch_n_keyshares"] = column{code: "client-hello-shape", what: "number of key shares that the client sends", say: "the client sends %s", form: unit("key share", "key shares")}
	t["ch_keyshare_bytes"] = column{code: "client-hello-shape", what: "length of the client's key shares", say: "the client sends key shares of %s", form: bytes}
	t["ch_pq_hybrid"] = flag("client-hello-shape", "post-quantum key exchange in the ClientHello", "the client offers a post-quantum hybrid key exchange", "the client offers no post-quantum hybrid key exchange")
	t["ch_ext_unknown_n"] = column{code: "client-extensions", what: "number of unknown extensions that the client sends", say: "the client sends %s neither registered nor in known use", form: unit("extension", "extensions")}
	t["ch_padding_len"] = column{code: "client-extensions", what: "length of the client's padding extension", say: "the client sends padding of %s", form: bytes}
	t["ch_scsv"] = flag("client-suites", "signalling values (SCSV) among the client's suites", "the client sends a signalling suite value (SCSV)", "the client sends no signalling suite value (SCSV)")
	// ServerHello and handshake.
	t["sh_seen"] = flag("server-hello", "ServerHello", "a ServerHello was seen", "no ServerHello was seen")
	t["sh_ver"] = column{code: "server-hello", what: "version that the server chose", say: "the server chose %s", form: tlsVersion}
	t["sh_cs_class"] = column{code: "server-hello", what: "kind of cipher suite that the server chose", say: "the server chose a suite %s", form: oneOf(map[float64]string{
		0: "of an unknown kind", 1: "without encryption or authentication or of export strength", 2: "with a broken cipher or an MD5 MAC", 3: "with SHA-1", 4: "with SHA-2",
		5: "with authenticated encryption but no forward secrecy", 6: "with authenticated encryption and forward secrecy", 7: "of TLS 1.3"})}
	t["sh_cs_aead"] = flag("server-hello", "cipher suite that the server chose", "the server chose an AEAD suite", "the server chose a suite without AEAD")
	t["sh_cs_pfs"] = flag("server-hello", "cipher suite that the server chose", "the server chose a suite with forward secrecy", "the server chose a suite without forward secrecy")
	t["sh_cs_weak"] = flag("server-hello", "cipher suite that the server chose", "the server chose a weak suite", "the server did not choose a weak suite")
	t["sh_n_ext"] = column{code: "server-hello", what: "number of extensions in the ServerHello", say: "the ServerHello has %s", form: unit("extension", "extensions")}
	t["sh_alpn_class"] = column{code: "server-hello", what: "application protocol (ALPN) that the server chose", say: "the application protocol (ALPN) that the server chose: %s", form: oneOf(alpn)}
	t["sh_group_class"] = column{code: "server-hello", what: "key exchange group that the server chose", say: "the server chose for the key exchange: %s", form: oneOf(map[float64]string{
		1: "X25519 or X448", 2: "a NIST curve", 3: "a finite field", 4: "a post-quantum hybrid", 5: "post-quantum alone", 6: "another curve", 9: "unknown"})}
	t["sh_keyshare_len"] = column{code: "server-hello", what: "length of the server's key share", say: "the server sends a key share of %s", form: bytes}
	t["sh_hrr"] = flag("server-hello", "HelloRetryRequest", "the server asked for another ClientHello", "the server did not ask for another ClientHello")
	t["sh_resumed"] = flag("handshake", "session resumption", "the session was resumed", "the session was not resumed")
	t["sh_ticket"] = flag("handshake", "session ticket of the server", "the server issued a session ticket in clear", "the server issued no session ticket in clear")
	t["sh_ocsp_staple"] = flag("server-hello", "stapled certificate status", "the server staples a certificate status", "the server staples no certificate status")
	t["sh_ske_len"] = column{code: "handshake", what: "length of the ServerKeyExchange", say: "the server sends a ServerKeyExchange of %s", form: bytes}
	t["sh_cke_bits"] = column{code: "handshake", what: "length of the ClientKeyExchange", say: "the client sends a ClientKeyExchange of %s", form: unit("bit", "bits")}
	t["sh_alert_level"] = column{code: "tls-alerts", what: "highest level of a TLS alert in clear", say: "the highest level of a TLS alert in clear: %s", form: oneOf(map[float64]string{0: "none", 1: "warning", 2: "fatal"})}
	t["sh_hs_complete"] = flag("handshake", "end of the handshake", "the handshake was completed", "the handshake was not completed")
	t["sh_hs_rounds"] = column{code: "handshake", what: "flights of the handshake (runs of handshake records in one direction)", say: "the handshake takes %s (runs of records in one direction)", form: unit("flight", "flights")}
	t["sh_cert_req"] = flag("handshake", "request for a client certificate", "the server asked for a client certificate in clear", "the server did not ask for a client certificate in clear")
	// Certificates.
	t["ct_seen"] = flag("certificate-shape", "certificate chain (it is encrypted in TLS 1.3 and not sent when a session is resumed)",
		"the server's certificates were seen", "the full handshake showed no certificate")
	t["ct_seen"] = withCode(t["ct_seen"], 0, "certificate-absent")
	t["ct_chain_n"] = column{code: "certificate-shape", what: "certificates in the chain", say: "the chain has %s", form: unit("certificate", "certificates")}
	t["ct_chain_bytes"] = column{code: "certificate-shape", what: "length of the certificate chain", say: "the chain has %s", form: bytes}
	t["ct_leaf_bytes"] = column{code: "certificate-shape", what: "length of the server's certificate", say: "the server's certificate has %s", form: bytes}
	t["ct_valid_days"] = column{code: "certificate-age", what: "whole validity of the server's certificate", say: "the server's certificate is made for %s", form: days}
	t["ct_age_days"] = column{code: "certificate-age", what: "age of the server's certificate at the time of the flow", say: "the server's certificate is %s old", form: days}
	t["ct_remain_days"] = column{code: "certificate-age", what: "remaining validity of the server's certificate at the time of the flow", say: "the server's certificate is valid for another %s", form: days}
	t["ct_expired"] = flag("certificate-age", "expiry of the server's certificate", "the server's certificate is expired", "the server's certificate is not expired")
	t["ct_self_signed"] = flag("certificate-shape", "issuer of the server's certificate", "the server's certificate is self-signed", "the server's certificate is not self-signed")
	t["ct_self_signed"] = withCode(t["ct_self_signed"], 1, "certificate-self-signed")
	t["ct_ca_flag"] = flag("certificate-shape", "CA flag of the server's certificate", "the server's certificate says it is a CA", "the server's certificate does not say that it is a CA")
	t["ct_san_n"] = column{code: "certificate-name", what: "alternative names in the server's certificate", say: "the server's certificate has %s", form: unit("alternative name", "alternative names")}
	t["ct_san_wild_n"] = column{code: "certificate-name", what: "wildcard names in the server's certificate", say: "the server's certificate has %s", form: unit("wildcard name", "wildcard names")}
	t["ct_sni_match"] = flag("certificate-name", "match of the server's certificate with the server name (SNI)", "the server's certificate is for the server name (SNI)", "the server's certificate is not for the server name (SNI)")
	t["ct_subj_rdn_n"] = column{code: "certificate-name", what: "parts of the certificate's subject name", say: "the server's certificate has %s of its subject", form: unit("name part", "name parts")}
	t["ct_issuer_rdn_n"] = column{code: "certificate-name", what: "parts of the certificate's issuer name", say: "the server's certificate has %s of its issuer", form: unit("name part", "name parts")}
	t["ct_cn_len"] = column{code: "certificate-name", what: "length of the certificate's common name", say: "the server's certificate has a common name of %s", form: bytes}
	t["ct_cn_is_ip"] = flag("certificate-name", "common name of the certificate", "the server's certificate has an IP address as its common name", "the server's certificate has no IP address as its common name")
	t["ct_cn_entropy"] = column{code: "certificate-name", what: "entropy of the certificate's common name", say: "the server's certificate has a common name with an entropy of %s", form: unit("bit per byte", "bits per byte")}
	t["ct_key_type"] = column{code: "certificate-shape", what: "kind of the certificate's key", say: "the server's certificate has a key of this kind: %s", form: oneOf(map[float64]string{
		0: "unknown", 1: "RSA", 2: "ECDSA", 3: "Curve25519 or Curve448", 4: "DSA or DH", 5: "GOST", 6: "ML-DSA"})}
	t["ct_key_bits"] = column{code: "certificate-shape", what: "length of the certificate's key", say: "the server's certificate has a key of %s", form: unit("bit", "bits")}
	t["ct_sig_weak"] = flag("certificate-shape", "signature of the server's certificate", "the server's certificate is signed with MD2, MD4, MD5 or SHA-1", "the server's certificate is not signed with MD2, MD4, MD5 or SHA-1")
	t["ct_sct_n"] = column{code: "certificate-shape", what: "certificate transparency timestamps", say: "the server's certificate has %s", form: unit("transparency timestamp", "transparency timestamps")}
	// Server name.
	t["sn_present"] = flag("sni-shape", "server name (SNI)", "the client names the server it wants (SNI)", "the client names no server (no SNI)")
	t["sn_present"] = withCode(t["sn_present"], 0, "sni-absent")
	t["sn_is_ip"] = flag("sni-shape", "server name", "the server name (SNI) is an IP address", "the server name (SNI) is not an IP address")
	t["sn_is_ip"] = withCode(t["sn_is_ip"], 1, "sni-address")
	t["sn_len"] = column{code: "sni-shape", what: "length of the server name", say: "the server name has %s", form: bytes}
	t["sn_labels"] = column{code: "sni-shape", what: "labels of the server name", say: "the server name has %s", form: labels}
	t["sn_maxlabel_len"] = column{code: "sni-shape", what: "longest label of the server name", say: "the server name has a longest label of %s", form: bytes}
	t["sn_digit_ratio"] = column{code: "sni-randomness", what: "share of digits in the server name", say: "the server name has %s digits", form: share, at: map[float64]string{0: "the server name has no digits"}}
	t["sn_hyphen_n"] = column{code: "sni-shape", what: "hyphens in the server name", say: "the server name has %s", form: unit("hyphen", "hyphens")}
	t["sn_entropy"] = column{code: "sni-randomness", what: "entropy of the server name", say: "the server name has an entropy of %s", form: unit("bit per byte", "bits per byte")}
	t["sn_vowel_ratio"] = column{code: "sni-randomness", what: "share of vowels in the letters of the server name", say: "the server name has %s vowels among its letters", form: share}
	t["sn_max_cons_run"] = column{code: "sni-randomness", what: "longest run of consonants in the server name", say: "the server name has a longest run of consonants of %s", form: unit("letter", "letters")}
	t["sn_bigram_ll"] = column{code: "sni-randomness", what: "likeness of the server name's letter pairs to English words",
		say: "the server name has a likeness to English words of %s (mean binary logarithm of the probability of its letter pairs; the lower, the less alike)"}
	t["sn_punycode"] = flag("sni-shape", "punycode in the server name", "the server name is in punycode", "the server name is not in punycode")
	t["sn_tld_class"] = column{code: "sni-shape", what: "kind of the server name's top-level domain", say: "the server name has a top-level domain of this kind: %s", form: oneOf(map[float64]string{
		0: "none", 1: "an old generic one", 2: "another country code", 3: "a cheap and often abused one", 4: "another one", 5: "for special use"})}
	t["sn_dyndns"] = flag("sni-shape", "dynamic-DNS service in the server name", "the server name lies under a dynamic-DNS service", "the server name lies under no known dynamic-DNS service")
	t["sn_dyndns"] = withCode(t["sn_dyndns"], 1, "sni-dynamic-dns")
	for name, c := range t {
		if strings.HasPrefix(name, "sn_") && name != "sn_present" {
			c.what += " (SNI)"
			// The digits of an address tell nothing of how a name was made.
			c.joins, c.joined = "sn_is_ip", "sni-address"
			t[name] = c
		}
		if c.code == "certificate-age" {
			c.joins, c.joined = "ct_self_signed", "certificate-self-signed"
			t[name] = c
		}
	}
	// DNS answer that led here.
	t["dn_seen"] = flag("dns-answer", "DNS answer with the server's address", "a DNS answer with the server's address was seen before", "no DNS answer with the server's address was seen before")
	t["dn_age_s"] = column{code: "dns-answer", what: "age of the DNS answer", say: "the DNS answer with the server's address was %s old", form: unit("second", "seconds")}
	t["dn_name_eq_sni"] = flag("dns-answer", "DNS name against the server name", "the DNS name equals the server name (SNI)", "the DNS name differs from the server name (SNI)")
	t["dn_n_a"] = column{code: "dns-answer", what: "IPv4 addresses in the DNS answer", say: "the DNS answer has %s", form: unit("IPv4 address", "IPv4 addresses")}
	t["dn_n_aaaa"] = column{code: "dns-answer", what: "IPv6 addresses in the DNS answer", say: "the DNS answer has %s", form: unit("IPv6 address", "IPv6 addresses")}
	t["dn_cname_depth"] = column{code: "dns-answer", what: "aliases (CNAME) in the DNS answer", say: "the DNS answer has %s", form: unit("alias (CNAME)", "aliases (CNAME)")}
	t["dn_ttl_min"] = column{code: "dns-answer", what: "shortest time to live in the DNS answer", say: "the DNS answer has a shortest time to live of %s", form: unit("second", "seconds")}
	t["dn_ttl_max"] = column{code: "dns-answer", what: "longest time to live in the DNS answer", say: "the DNS answer has a longest time to live of %s", form: unit("second", "seconds")}
	t["dn_name_len"] = column{code: "dns-answer", what: "length of the DNS name", say: "the DNS name has %s", form: bytes}
	t["dn_digit_n"] = column{code: "dns-answer", what: "digits in the DNS name", say: "the DNS name has %s", form: unit("digit", "digits")}
	t["dn_nonalnum_n"] = column{code: "dns-answer", what: "characters of the DNS name that are neither letter nor digit", say: "the DNS name has %s neither letter nor digit", form: unit("character", "characters")}
	t["dn_nx_rate_5m"] = column{code: "dns-failures", what: "share of failed DNS answers to the client in the five minutes before", form: share,
		say: "%s of the DNS answers to the client in the five minutes before say that there is no such name"}
	// QUIC.
	t["qu_is_quic"] = flag("quic", "QUIC", "the flow is QUIC", "the flow is not QUIC")
	t["qu_version_class"] = column{code: "quic", what: "QUIC version", say: "the flow is QUIC of this version: %s", form: oneOf(map[float64]string{1: "version 1", 2: "version 2", 3: "a draft", 4: "Google's", 9: "another one"})}
	t["qu_dcid_len"] = column{code: "quic", what: "length of the QUIC destination connection id", form: bytes}
	t["qu_scid_len"] = column{code: "quic", what: "length of the QUIC source connection id", form: bytes}
	t["qu_token_len"] = column{code: "quic", what: "length of the QUIC token", form: bytes}
	t["qu_retry"] = flag("quic", "QUIC Retry", "the server sent a QUIC Retry", "the server sent no QUIC Retry")
	t["qu_zero_rtt"] = flag("quic", "QUIC 0-RTT", "the client sent QUIC 0-RTT data", "the client sent no QUIC 0-RTT data")
	t["qu_tp_n"] = column{code: "quic", what: "QUIC transport parameters of the client", say: "the client sends %s", form: unit("QUIC transport parameter", "QUIC transport parameters")}
	return t
}

func flag(code, what, yes, no string) column {
	return column{code: code, what: what, flag: true, at: map[float64]string{1: yes, 0: no}}
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
