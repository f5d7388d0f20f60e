package store

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"trench/pkg/record"
	"trench/pkg/wire"
)

// column is one column that is written: its name and type as the server has
// them, and how it is filled from a batch.
type column[R any] struct {
	name, typ string
	fill      func(c driver.BatchColumn, rows []*R) error
}

// table is a table that is written.
type table[R any] struct {
	name    string
	columns []column[R]
}

func (t table[R]) insert(database string) string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return "INSERT INTO " + database + "." + t.name + " (" + strings.Join(names, ", ") + ")"
}

// plain is a column whose values go over as one slice.
func plain[R, T any](name, typ string, get func(*R) T) column[R] {
	return column[R]{name, typ, func(c driver.BatchColumn, rows []*R) error {
		values := make([]T, len(rows))
		for i, r := range rows {
			values[i] = get(r)
		}
		return c.Append(values)
	}}
}

// list is a column of arrays or tuples, which go over one by one.
func list[R, T any](name, typ string, get func(*R) T) column[R] {
	return column[R]{name, typ, func(c driver.BatchColumn, rows []*R) error {
		for _, r := range rows {
			if err := c.AppendRow(get(r)); err != nil {
				return err
			}
		}
		return nil
	}}
}

func text[R any](name string, get func(*R) string) column[R] {
	return plain(name, "String", func(r *R) string { return valid(get(r)) })
}

// short is text that repeats from row to row.
func short[R any](name string, get func(*R) string) column[R] {
	return plain(name, "LowCardinality(String)", func(r *R) string { return valid(get(r)) })
}

func instant[R any](name string, get func(*R) int64) column[R] {
	return plain(name, "DateTime64(9, 'UTC')", func(r *R) time.Time { return time.Unix(0, get(r)).UTC() })
}

// maybe is a number that is NULL when it was not observed.
func maybe[R any](name string, get func(*R) float64) column[R] {
	return plain(name, "Nullable(Float64)", func(r *R) *float64 { return observed(get(r)) })
}

func observed(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}

// valid puts U+FFFD in place of every byte that is not UTF-8, as the row's other
// forms (NDJSON, CSV) do.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// date is RFC 3339 in seconds.
func date(sec int64) string { return time.Unix(sec, 0).UTC().Format("2006-01-02T15:04:05Z") }

// The elements of lists and tuples, named as in the table.
type (
	packet struct {
		Length int32   `ch:"length"`
		Delta  float64 `ch:"delta"`
	}
	certificate struct {
		SHA1       string   `ch:"sha1"`
		SHA256     string   `ch:"sha256"`
		Subject    string   `ch:"subject"`
		Issuer     string   `ch:"issuer"`
		Serial     string   `ch:"serial"`
		NotBefore  string   `ch:"not_before"`
		NotAfter   string   `ch:"not_after"`
		SANs       []string `ch:"sans"`
		KeyType    string   `ch:"key_type"`
		KeyBits    uint32   `ch:"key_bits"`
		Signature  string   `ch:"signature"`
		SelfSigned bool     `ch:"self_signed"`
		CA         bool     `ch:"ca"`
		SCTs       uint32   `ch:"scts"`
		Policies   []string `ch:"policies"`
		Validation string   `ch:"validation"`
	}
	tls struct {
		Group              string   `ch:"group"`
		ClientVersions     []uint16 `ch:"client_versions"`
		ClientGroups       []uint16 `ch:"client_groups"`
		ClientKeyShares    []uint16 `ch:"client_key_shares"`
		ClientSignatures   []uint16 `ch:"client_signatures"`
		ClientALPN         []string `ch:"client_alpn"`
		HelloRetry         bool     `ch:"hello_retry"`
		SessionOffered     bool     `ch:"session_offered"`
		EarlyData          bool     `ch:"early_data"`
		Ticket             bool     `ch:"ticket"`
		OCSPStaple         bool     `ch:"ocsp_staple"`
		Compressed         bool     `ch:"compressed"`
		CertificateRequest bool     `ch:"certificate_request"`
		ClientCertificate  string   `ch:"client_certificate"`
		Renegotiation      bool     `ch:"renegotiation"`
		ECHConfig          uint32   `ch:"ech_config"`
		ECHPayload         uint32   `ch:"ech_payload"`
		RecordSizeLimit    uint32   `ch:"record_size_limit"`
		Heartbeats         uint32   `ch:"heartbeats"`
		HeartbeatOverread  bool     `ch:"heartbeat_overread"`
		Alerts             []alert  `ch:"alerts"`
	}
	alert struct {
		Sender      string `ch:"sender"`
		Level       string `ch:"level"`
		Code        uint32 `ch:"code"`
		Description string `ch:"description"`
	}
	quic struct {
		DCIDLength  uint32   `ch:"dcid_length"`
		SCIDLength  uint32   `ch:"scid_length"`
		TokenLength uint32   `ch:"token_length"`
		Retry       bool     `ch:"retry"`
		ZeroRTT     bool     `ch:"zero_rtt"`
		Versions    []string `ch:"versions"`
		Parameters  []uint64 `ch:"parameters"`
		UserAgent   string   `ch:"user_agent"`
	}
	ssh struct {
		Client      string `ch:"client"`
		Server      string `ch:"server"`
		HASSHServer string `ch:"hassh_server"`
	}
	dhcp struct {
		Message    string   `ch:"message"`
		Host       string   `ch:"host"`
		FQDN       string   `ch:"fqdn"`
		Vendor     string   `ch:"vendor"`
		ClientID   string   `ch:"client_id"`
		Parameters []uint32 `ch:"parameters"`
		Address    string   `ch:"address"`
	}
	dns struct {
		Queries []query  `ch:"queries"`
		Answers []answer `ch:"answers"`
		RCode   string   `ch:"rcode"`
		Age     *float64 `ch:"age"`
	}
	query struct {
		Name string `ch:"name"`
		Type string `ch:"type"`
	}
	answer struct {
		Name string `ch:"name"`
		Type string `ch:"type"`
		TTL  uint32 `ch:"ttl"`
		Data string `ch:"data"`
	}
	http struct {
		Requests  []request  `ch:"requests"`
		Responses []response `ch:"responses"`
	}
	request struct {
		Method    string   `ch:"method"`
		Target    string   `ch:"target"`
		Host      string   `ch:"host"`
		UserAgent string   `ch:"user_agent"`
		Version   string   `ch:"version"`
		Headers   []header `ch:"headers"`
	}
	response struct {
		Status  uint16   `ch:"status"`
		Version string   `ch:"version"`
		Server  string   `ch:"server"`
		Headers []header `ch:"headers"`
	}
	header struct {
		Name  string `ch:"name"`
		Value string `ch:"value"`
	}
	reason struct {
		Code         string    `ch:"code"`
		Text         string    `ch:"text"`
		Value        *float64  `ch:"value"`
		Contribution float64   `ch:"contribution"`
		Attack       string    `ch:"attack"`
		Feature      string    `ch:"feature"`
		Usual        []float64 `ch:"usual"`
	}
	shadow struct {
		ModelID string   `ch:"model_id"`
		Margin  *float64 `ch:"margin"`
		Score   *float64 `ch:"score"`
		Verdict string   `ch:"verdict"`
	}
	letterHeader struct {
		Key   string `ch:"key"`
		Value string `ch:"value"`
	}
)

const headersType = "headers Array(Tuple(name String, value String))"

func each[S, T any](in []S, convert func(*S) T) []T {
	out := make([]T, len(in))
	for i := range in {
		out[i] = convert(&in[i])
	}
	return out
}

// flows is the table of rows; its columns are the row's, by the same names.
func flows() table[record.Record] {
	type r = record.Record
	return table[r]{"flows", []column[r]{
		short("source", func(r *r) string { return r.Source }),
		plain("flow_id", "FixedString(32)", func(r *r) string { return r.FlowID.String() }),
		plain("part", "UInt32", func(r *r) uint32 { return r.Part }),
		plain("final", "Bool", func(r *r) bool { return r.Final }),
		instant("ts", func(r *r) int64 { return r.TS }),
		instant("ts_end", func(r *r) int64 { return r.TSEnd }),
		short("proto", func(r *r) string { return r.Proto }),
		short("app_proto", func(r *r) string { return r.AppProto }),
		text("client_ip", func(r *r) string { return address(r.ClientIP) }),
		plain("client_port", "UInt16", func(r *r) uint16 { return r.ClientPort }),
		text("server_ip", func(r *r) string { return address(r.ServerIP) }),
		plain("server_port", "UInt16", func(r *r) uint16 { return r.ServerPort }),
		list("vlan", "Array(UInt16)", func(r *r) []uint16 { return r.VLAN }),
		short("tunnel", func(r *r) string { return r.Tunnel }),
		maybe("rtt", func(r *r) float64 { return r.RTT }),
		plain("retrans_c2s", "UInt64", func(r *r) uint64 { return r.RetransC2S }),
		plain("retrans_s2c", "UInt64", func(r *r) uint64 { return r.RetransS2C }),
		plain("gaps", "UInt64", func(r *r) uint64 { return r.Gaps }),
		plain("truncated", "Bool", func(r *r) bool { return r.Truncated }),
		plain("packets_c2s", "UInt64", func(r *r) uint64 { return r.PacketsC2S }),
		plain("packets_s2c", "UInt64", func(r *r) uint64 { return r.PacketsS2C }),
		plain("bytes_c2s", "UInt64", func(r *r) uint64 { return r.BytesC2S }),
		plain("bytes_s2c", "UInt64", func(r *r) uint64 { return r.BytesS2C }),
		plain("payload_c2s", "UInt64", func(r *r) uint64 { return r.PayloadC2S }),
		plain("payload_s2c", "UInt64", func(r *r) uint64 { return r.PayloadS2C }),
		short("end_reason", func(r *r) string { return r.EndReason }),
		list("splt", "Array(Tuple(length Int32, delta Float64))", func(r *r) []packet {
			return each(r.SPLT, func(p *record.Packet) packet { return packet(*p) })
		}),
		maybe("entropy_c2s", func(r *r) float64 { return r.EntropyC2S }),
		maybe("entropy_s2c", func(r *r) float64 { return r.EntropyS2C }),
		list("byte_dist", "Array(UInt32)", func(r *r) []uint32 { return r.ByteDist }),
		short("tls_version", func(r *r) string { return r.TLSVersion }),
		short("tls_cipher", func(r *r) string { return r.TLSCipher }),
		text("tls_sni", func(r *r) string { return r.TLSSNI }),
		short("tls_alpn", func(r *r) string { return r.TLSALPN }),
		plain("tls_resumed", "Bool", func(r *r) bool { return r.TLSResumed }),
		plain("tls_established", "Bool", func(r *r) bool { return r.TLSEstablished }),
		plain("tls_incomplete", "Bool", func(r *r) bool { return r.TLSIncomplete }),
		plain("tls_ech", "Bool", func(r *r) bool { return r.TLSECH }),
		short("starttls", func(r *r) string { return r.StartTLS }),
		short("quic_version", func(r *r) string { return r.QUICVersion }),
		list("tls_client_ciphers", "Array(UInt16)", func(r *r) []uint16 { return r.TLSClientCiphers }),
		list("tls_client_extensions", "Array(UInt16)", func(r *r) []uint16 { return r.TLSClientExtensions }),
		list("tls_server_extensions", "Array(UInt16)", func(r *r) []uint16 { return r.TLSServerExtensions }),
		plain("tls_key_bits", "UInt32", func(r *r) uint32 { return r.TLSKeyBits }),
		text("ja3", func(r *r) string { return r.JA3 }),
		short("ja3s", func(r *r) string { return r.JA3S }),
		short("ja4", func(r *r) string { return r.JA4 }),
		short("ja4s", func(r *r) string { return r.JA4S }),
		short("ja4x", func(r *r) string { return r.JA4X }),
		short("ja4h", func(r *r) string { return r.JA4H }),
		short("ja4t", func(r *r) string { return r.JA4T }),
		short("ja4ts", func(r *r) string { return r.JA4TS }),
		list("tls", "Tuple(group String, client_versions Array(UInt16), client_groups Array(UInt16), client_key_shares Array(UInt16), "+
			"client_signatures Array(UInt16), client_alpn Array(String), hello_retry Bool, session_offered Bool, early_data Bool, "+
			"ticket Bool, ocsp_staple Bool, compressed Bool, certificate_request Bool, client_certificate String, renegotiation Bool, "+
			"ech_config UInt32, ech_payload UInt32, record_size_limit UInt32, heartbeats UInt32, heartbeat_overread Bool, alerts "+
			"Array(Tuple(sender String, level String, code UInt32, description String)))", details),
		list("quic", "Tuple(dcid_length UInt32, scid_length UInt32, token_length UInt32, retry Bool, zero_rtt Bool, versions Array(String), "+
			"parameters Array(UInt64), user_agent String)", transport),
		list("cert_chain", "Array(Tuple(sha1 String, sha256 String, subject String, issuer String, serial String, not_before String, "+
			"not_after String, sans Array(String), key_type String, key_bits UInt32, signature String, self_signed Bool, "+
			"ca Bool, scts UInt32, policies Array(String), validation String))", chain),
		list("dns", "Tuple(queries Array(Tuple(name String, type String)), answers Array(Tuple(name String, type String, ttl UInt32, "+
			"data String)), rcode String, age Nullable(Float64))", resolution),
		list("http", "Tuple(requests Array(Tuple(method String, target String, host String, user_agent String, version String, "+headersType+")), "+
			"responses Array(Tuple(status UInt16, version String, server String, "+headersType+")))", messages),
		short("hassh", func(r *r) string { return r.HASSH }),
		list("ssh", "Tuple(client String, server String, hassh_server String)", banners),
		list("dhcp", "Tuple(message String, host String, fqdn String, vendor String, client_id String, parameters Array(UInt32), address "+
			"String)", lease),
		text("community_id", func(r *r) string { return r.CommunityID }),
		maybe("score", func(r *r) float64 { return r.Score }),
		plain("verdict", "Enum8('unscored' = 0, 'benign' = 1, 'suspicious' = 2, 'malicious' = 3)", func(r *r) int8 { return int8(r.Verdict) }),
		text("verdict_note", func(r *r) string { return r.VerdictNote }),
		maybe("margin", func(r *r) float64 { return r.Margin }),
		short("model_id", func(r *r) string { return r.ModelID }),
		short("schema_hash", func(r *r) string { return r.SchemaHash }),
		list("reasons", "Array(Tuple(code String, text String, value Nullable(Float64), contribution Float64, attack String, "+
			"feature String, usual Array(Float64)))", func(r *r) []reason {
			return each(r.Reasons, func(x *record.Reason) reason {
				return reason{valid(x.Code), valid(x.Text), observed(x.Value), x.Contribution, valid(x.Attack), valid(x.Feature), x.Usual.Ends()}
			})
		}),
		list("shadow", "Array(Tuple(model_id String, margin Nullable(Float64), score Nullable(Float64), verdict String))", func(r *r) []shadow {
			return each(r.Shadow, func(s *record.Shadow) shadow {
				return shadow{valid(s.ModelID), observed(s.Margin), observed(s.Score), s.Verdict.String()}
			})
		}),
	}}
}

func address(a interface {
	IsValid() bool
	String() string
}) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func chain(r *record.Record) []certificate {
	return each(r.CertChain, func(c *record.Certificate) certificate {
		return certificate{
			valid(c.SHA1), valid(c.SHA256), valid(c.Subject), valid(c.Issuer), valid(c.Serial), date(c.NotBefore), date(c.NotAfter),
			texts(c.SANs), valid(c.KeyType), c.KeyBits, valid(c.Signature), c.SelfSigned, c.CA, c.SCTs, texts(c.Policies), valid(c.Validation),
		}
	})
}

func texts(list []string) []string { return each(list, func(s *string) string { return valid(*s) }) }

func details(r *record.Record) tls {
	t := r.TLS
	if t == nil {
		return tls{}
	}
	return tls{
		Group: valid(t.Group), ClientVersions: t.ClientVersions, ClientGroups: t.ClientGroups, ClientKeyShares: t.ClientKeyShares,
		ClientSignatures: t.ClientSignatures, ClientALPN: texts(t.ClientALPN), HelloRetry: t.HelloRetry, SessionOffered: t.SessionOffered,
		EarlyData: t.EarlyData, Ticket: t.Ticket, OCSPStaple: t.OCSPStaple, Compressed: t.Compressed, CertificateRequest: t.CertificateRequest,
		ClientCertificate: valid(t.ClientCertificate), Renegotiation: t.Renegotiation, ECHConfig: t.ECHConfig, ECHPayload: t.ECHPayload,
		RecordSizeLimit: t.RecordSizeLimit, Heartbeats: t.Heartbeats, HeartbeatOverread: t.HeartbeatOverread,
		Alerts: each(t.Alerts, func(a *record.Alert) alert {
			return alert{valid(a.Sender), valid(a.Level), a.Code, valid(a.Description)}
		}),
	}
}

func transport(r *record.Record) quic {
	q := r.QUIC
	if q == nil {
		return quic{}
	}
	return quic{q.DCIDLength, q.SCIDLength, q.TokenLength, q.Retry, q.ZeroRTT, texts(q.Versions), q.Parameters, valid(q.UserAgent)}
}

func banners(r *record.Record) ssh {
	s := r.SSH
	if s == nil {
		return ssh{}
	}
	return ssh{valid(s.Client), valid(s.Server), valid(s.HASSHServer)}
}

func lease(r *record.Record) dhcp {
	d := r.DHCP
	if d == nil {
		return dhcp{}
	}
	return dhcp{valid(d.Message), valid(d.Host), valid(d.FQDN), valid(d.Vendor), valid(d.ClientID), d.Parameters, valid(d.Address)}
}

func resolution(r *record.Record) dns {
	if r.DNS == nil {
		return dns{}
	}
	return dns{
		Queries: each(r.DNS.Queries, func(q *record.Query) query { return query{valid(q.Name), valid(q.Type)} }),
		Answers: each(r.DNS.Answers, func(a *record.Answer) answer {
			return answer{valid(a.Name), valid(a.Type), a.TTL, valid(a.Data)}
		}),
		RCode: valid(r.DNS.RCode), Age: observed(r.DNS.Age),
	}
}

func messages(r *record.Record) http {
	if r.HTTP == nil {
		return http{}
	}
	fields := func(h *record.Header) header { return header{valid(h.Name), valid(h.Value)} }
	return http{
		each(r.HTTP.Requests, func(q *record.Request) request {
			return request{valid(q.Method), valid(q.Target), valid(q.Host), valid(q.UserAgent), valid(q.Version), each(q.Headers, fields)}
		}),
		each(r.HTTP.Responses, func(p *record.Response) response {
			return response{p.Status, valid(p.Version), valid(p.Server), each(p.Headers, fields)}
		}),
	}
}

func featureVectors() table[record.Record] {
	type r = record.Record
	return table[r]{"feature_vectors", []column[r]{
		plain("flow_id", "FixedString(32)", func(r *r) string { return r.FlowID.String() }),
		instant("ts", func(r *r) int64 { return r.TS }),
		plain("part", "UInt32", func(r *r) uint32 { return r.Part }),
		short("schema_hash", func(r *r) string { return r.VectorSchema }),
		list("vector", "Array(Float32)", func(r *r) []float32 { return r.Vector }),
	}}
}

func deadLetters() table[wire.DeadLetter] {
	type d = wire.DeadLetter
	moment := func(name string, get func(*d) time.Time) column[d] {
		return instant(name, func(x *d) int64 {
			if t := get(x); !t.IsZero() {
				return t.UnixNano()
			}
			return 0
		})
	}
	return table[d]{"dead_letters", []column[d]{
		short("stage", func(d *d) string { return d.Stage }),
		text("error", func(d *d) string { return d.Error }),
		short("topic", func(d *d) string { return d.Topic }),
		plain("partition", "Int32", func(d *d) int32 { return int32(d.Partition) }),
		plain("offset", "Int64", func(d *d) int64 { return d.Offset }),
		moment("time", func(d *d) time.Time { return d.Time }),
		moment("failed", func(d *d) time.Time { return d.Failed }),
		plain("key", "String", func(d *d) string { return string(d.Key) }), // as it was, to replay it
		plain("value", "String", func(d *d) string { return string(d.Value) }),
		plain("value_bytes", "UInt64", func(d *d) uint64 { return d.ValueBytes }),
		list("headers", "Array(Tuple(key String, value String))", func(x *d) []letterHeader {
			return each(x.Headers, func(h *wire.DeadLetterHeader) letterHeader { return letterHeader{h.Key, string(h.Value)} })
		}),
	}}
}

// Columns returns the names of the columns of the table flows that are written.
func Columns() []string {
	var out []string
	for _, c := range flows().columns {
		out = append(out, c.name)
	}
	return out
}

// checkRow refuses what ClickHouse's types can not hold.
func checkRow(r *record.Record) error {
	for _, t := range []struct {
		name string
		ns   int64
	}{{"ts", r.TS}, {"ts_end", r.TSEnd}} {
		if at := time.Unix(0, t.ns).UTC(); at.Before(earliest) || at.After(latest) {
			return fmt.Errorf("%s: %s is beyond what DateTime64 holds", t.name, at.Format(time.RFC3339))
		}
	}
	return nil
}

// The times that DateTime64(9) holds.
var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2262, 4, 11, 23, 47, 16, 0, time.UTC)
)
