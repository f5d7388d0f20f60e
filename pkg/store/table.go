package store

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"trench/pkg/record"
	"trench/pkg/wire"
)

// table is a table that is written.
type table[R any] struct {
	name    string
	columns []column[R]
	// month returns the part of the table that a row falls into.
	month func(*R) int
}

func (t table[R]) insert(database string) string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return "INSERT INTO " + database + "." + t.name + " (" + strings.Join(names, ", ") + ")"
}

// names are what is inserted, as the client wants it over HTTP.
func (t table[R]) names() []clickhouse.ColumnNameAndType {
	out := make([]clickhouse.ColumnNameAndType, len(t.columns))
	for i, c := range t.columns {
		out[i] = clickhouse.ColumnNameAndType{Name: c.name, Type: c.typ}
	}
	return out
}

// row is a record on its way into the tables.
type row struct {
	*record.Record
	version version
}

// contents are the columns of the table flows that say what the flow is, by the
// same names as in every other form of the row. short writes the texts that repeat.
func contents(short func(func(*row) string) codec[row]) []column[row] {
	type r = row
	return []column[r]{
		{"source", short(func(r *r) string { return r.Source })},
		{"flow_id", flowID(func(r *r) []byte { return r.FlowID[:] })},
		{"part", integer(func(r *r) uint32 { return r.Part })},
		{"final", boolean(func(r *r) bool { return r.Final })},
		{"ts", instant(func(r *r) int64 { return r.TS })},
		{"ts_end", instant(func(r *r) int64 { return r.TSEnd })},
		{"proto", short(func(r *r) string { return r.Proto })},
		{"app_proto", short(func(r *r) string { return r.AppProto })},
		{"client_ip", address(func(r *r) netip.Addr { return r.ClientIP })},
		{"client_port", integer(func(r *r) uint16 { return r.ClientPort })},
		{"server_ip", address(func(r *r) netip.Addr { return r.ServerIP })},
		{"server_port", integer(func(r *r) uint16 { return r.ServerPort })},
		{"vlan", integers(func(r *r) []uint16 { return r.VLAN })},
		{"tunnel", short(func(r *r) string { return r.Tunnel })},
		{"rtt", maybe(func(r *r) float64 { return r.RTT })},
		{"retrans_c2s", integer(func(r *r) uint64 { return r.RetransC2S })},
		{"retrans_s2c", integer(func(r *r) uint64 { return r.RetransS2C })},
		{"gaps", integer(func(r *r) uint64 { return r.Gaps })},
		{"truncated", boolean(func(r *r) bool { return r.Truncated })},
		{"packets_c2s", integer(func(r *r) uint64 { return r.PacketsC2S })},
		{"packets_s2c", integer(func(r *r) uint64 { return r.PacketsS2C })},
		{"bytes_c2s", integer(func(r *r) uint64 { return r.BytesC2S })},
		{"bytes_s2c", integer(func(r *r) uint64 { return r.BytesS2C })},
		{"payload_c2s", integer(func(r *r) uint64 { return r.PayloadC2S })},
		{"payload_s2c", integer(func(r *r) uint64 { return r.PayloadS2C })},
		{"end_reason", short(func(r *r) string { return r.EndReason })},
		{"splt", list(func(r *r) []record.Packet { return r.SPLT }, tuple(
			column[record.Packet]{"length", integer(func(p *record.Packet) int32 { return p.Length })},
			column[record.Packet]{"delta", real(func(p *record.Packet) float64 { return p.Delta })}))},
		{"entropy_c2s", maybe(func(r *r) float64 { return r.EntropyC2S })},
		{"entropy_s2c", maybe(func(r *r) float64 { return r.EntropyS2C })},
		{"byte_dist", integers(func(r *r) []uint32 { return r.ByteDist })},
		{"tls_version", short(func(r *r) string { return r.TLSVersion })},
		{"tls_cipher", short(func(r *r) string { return r.TLSCipher })},
		{"tls_sni", text(func(r *r) string { return r.TLSSNI })},
		{"tls_alpn", short(func(r *r) string { return r.TLSALPN })},
		{"tls_resumed", boolean(func(r *r) bool { return r.TLSResumed })},
		{"tls_established", boolean(func(r *r) bool { return r.TLSEstablished })},
		{"tls_incomplete", boolean(func(r *r) bool { return r.TLSIncomplete })},
		{"tls_ech", boolean(func(r *r) bool { return r.TLSECH })},
		{"starttls", short(func(r *r) string { return r.StartTLS })},
		{"quic_version", short(func(r *r) string { return r.QUICVersion })},
		{"tls_client_ciphers", integers(func(r *r) []uint16 { return r.TLSClientCiphers })},
		{"tls_client_extensions", integers(func(r *r) []uint16 { return r.TLSClientExtensions })},
		{"tls_server_extensions", integers(func(r *r) []uint16 { return r.TLSServerExtensions })},
		{"tls_key_bits", integer(func(r *r) uint32 { return r.TLSKeyBits })},
		{"ja3", text(func(r *r) string { return r.JA3 })},
		{"ja3s", short(func(r *r) string { return r.JA3S })},
		{"ja4", short(func(r *r) string { return r.JA4 })},
		{"ja4s", short(func(r *r) string { return r.JA4S })},
		{"ja4x", short(func(r *r) string { return r.JA4X })},
		{"ja4h", short(func(r *r) string { return r.JA4H })},
		{"ja4t", short(func(r *r) string { return r.JA4T })},
		{"ja4ts", short(func(r *r) string { return r.JA4TS })},
		{"tls", within(func(r *r) *record.TLS { return r.TLS }, record.TLS{}, details())},
		{"quic", within(func(r *r) *record.QUIC { return r.QUIC }, record.QUIC{}, transport())},
		{"cert_chain", list(func(r *r) []record.Certificate { return r.CertChain }, certificate())},
		{"dns", within(func(r *r) *record.DNS { return r.DNS }, record.DNS{Age: math.NaN()}, resolution())},
		{"http", within(func(r *r) *record.HTTP { return r.HTTP }, record.HTTP{}, messages())},
		{"hassh", short(func(r *r) string { return r.HASSH })},
		{"ssh", within(func(r *r) *record.SSH { return r.SSH }, record.SSH{}, banners())},
		{"dhcp", within(func(r *r) *record.DHCP { return r.DHCP }, record.DHCP{}, lease())},
		{"community_id", text(func(r *r) string { return r.CommunityID })},
		{"score", maybe(func(r *r) float64 { return r.Score })},
		{"verdict", as("Enum8('unscored' = 0, 'benign' = 1, 'suspicious' = 2, 'malicious' = 3)", integer(func(r *r) record.Verdict { return r.Verdict }))},
		{"verdict_note", text(func(r *r) string { return r.VerdictNote })},
		{"margin", maybe(func(r *r) float64 { return r.Margin })},
		{"model_id", short(func(r *r) string { return r.ModelID })},
		{"schema_hash", short(func(r *r) string { return r.SchemaHash })},
		{"reasons", list(func(r *r) []record.Reason { return r.Reasons }, reason())},
		{"shadow", list(func(r *r) []record.Shadow { return r.Shadow }, shadow())},
	}
}

// flows is the table of rows.
func flows() table[row] {
	return table[row]{"flows", append(contents(short[row]),
		column[row]{"trace", list(func(r *row) []record.Hop { return r.Trace }, hop())},
		column[row]{"version", wide(func(r *row) version { return r.version })},
	), (*row).month}
}

// vectorContents are the columns of feature_vectors that are not of the row too.
func vectorContents() []column[row] {
	return []column[row]{
		{"schema_hash", short(func(r *row) string { return r.VectorSchema })},
		{"vector", reals(func(r *row) []float32 { return r.Vector })},
	}
}

func featureVectors() table[row] {
	return table[row]{"feature_vectors", append(vectorContents(),
		column[row]{"flow_id", flowID(func(r *row) []byte { return r.FlowID[:] })},
		column[row]{"ts", instant(func(r *row) int64 { return r.TS })},
		column[row]{"part", integer(func(r *row) uint32 { return r.Part })},
		column[row]{"version", wide(func(r *row) version { return r.version })},
	), (*row).month}
}

func deadLetters() table[wire.DeadLetter] {
	type d = wire.DeadLetter
	type h = wire.DeadLetterHeader
	moment := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixNano()
	}
	return table[d]{"dead_letters", []column[d]{
		{"stage", short(func(d *d) string { return d.Stage })},
		{"error", text(func(d *d) string { return d.Error })},
		{"topic", short(func(d *d) string { return d.Topic })},
		{"partition", integer(func(d *d) int32 { return int32(d.Partition) })},
		{"offset", integer(func(d *d) int64 { return d.Offset })},
		{"time", instant(func(d *d) int64 { return moment(d.Time) })},
		{"failed", instant(func(d *d) int64 { return moment(d.Failed) })},
		{"key", octets(func(d *d) []byte { return d.Key })}, // as it was, to replay it
		{"value", octets(func(d *d) []byte { return d.Value })},
		{"value_bytes", integer(func(d *d) uint64 { return d.ValueBytes })},
		{"headers", list(func(d *d) []h { return d.Headers }, tuple(
			column[h]{"key", text(func(h *h) string { return h.Key })},
			column[h]{"value", octets(func(h *h) []byte { return h.Value })}))},
	}, func(*d) int { return 0 }}
}

func flowID[R any](get func(*R) []byte) codec[R] {
	return codec[R]{"FixedString(32)", func(dst []byte, rows []*R) []byte {
		for _, r := range rows {
			dst = hex.AppendEncode(dst, get(r))
		}
		return dst
	}}
}

// address is empty when there is none.
func address[R any](get func(*R) netip.Addr) codec[R] {
	return printed(func(dst []byte, r *R) []byte {
		if a := get(r); a.IsValid() {
			return a.AppendTo(dst)
		}
		return dst
	})
}

// date is a time in s since the Unix epoch, as RFC 3339.
func date[R any](get func(*R) int64) codec[R] {
	return printed(func(dst []byte, r *R) []byte {
		return time.Unix(get(r), 0).UTC().AppendFormat(dst, "2006-01-02T15:04:05Z")
	})
}

func certificate() codec[record.Certificate] {
	type c = record.Certificate
	return tuple(
		column[c]{"sha1", text(func(c *c) string { return c.SHA1 })},
		column[c]{"sha256", text(func(c *c) string { return c.SHA256 })},
		column[c]{"subject", text(func(c *c) string { return c.Subject })},
		column[c]{"issuer", text(func(c *c) string { return c.Issuer })},
		column[c]{"serial", text(func(c *c) string { return c.Serial })},
		column[c]{"not_before", date(func(c *c) int64 { return c.NotBefore })},
		column[c]{"not_after", date(func(c *c) int64 { return c.NotAfter })},
		column[c]{"sans", texts(func(c *c) []string { return c.SANs })},
		column[c]{"key_type", text(func(c *c) string { return c.KeyType })},
		column[c]{"key_bits", integer(func(c *c) uint32 { return c.KeyBits })},
		column[c]{"signature", text(func(c *c) string { return c.Signature })},
		column[c]{"self_signed", boolean(func(c *c) bool { return c.SelfSigned })},
		column[c]{"ca", boolean(func(c *c) bool { return c.CA })},
		column[c]{"scts", integer(func(c *c) uint32 { return c.SCTs })},
		column[c]{"policies", texts(func(c *c) []string { return c.Policies })},
		column[c]{"validation", text(func(c *c) string { return c.Validation })},
	)
}

func details() codec[record.TLS] {
	type t = record.TLS
	type a = record.Alert
	return tuple(
		column[t]{"group", text(func(t *t) string { return t.Group })},
		column[t]{"client_versions", integers(func(t *t) []uint16 { return t.ClientVersions })},
		column[t]{"client_groups", integers(func(t *t) []uint16 { return t.ClientGroups })},
		column[t]{"client_key_shares", integers(func(t *t) []uint16 { return t.ClientKeyShares })},
		column[t]{"client_signatures", integers(func(t *t) []uint16 { return t.ClientSignatures })},
		column[t]{"client_alpn", texts(func(t *t) []string { return t.ClientALPN })},
		column[t]{"hello_retry", boolean(func(t *t) bool { return t.HelloRetry })},
		column[t]{"session_offered", boolean(func(t *t) bool { return t.SessionOffered })},
		column[t]{"early_data", boolean(func(t *t) bool { return t.EarlyData })},
		column[t]{"ticket", boolean(func(t *t) bool { return t.Ticket })},
		column[t]{"ocsp_staple", boolean(func(t *t) bool { return t.OCSPStaple })},
		column[t]{"compressed", boolean(func(t *t) bool { return t.Compressed })},
		column[t]{"certificate_request", boolean(func(t *t) bool { return t.CertificateRequest })},
		column[t]{"client_certificate", text(func(t *t) string { return t.ClientCertificate })},
		column[t]{"renegotiation", boolean(func(t *t) bool { return t.Renegotiation })},
		column[t]{"ech_config", integer(func(t *t) uint32 { return t.ECHConfig })},
		column[t]{"ech_payload", integer(func(t *t) uint32 { return t.ECHPayload })},
		column[t]{"record_size_limit", integer(func(t *t) uint32 { return t.RecordSizeLimit })},
		column[t]{"heartbeats", integer(func(t *t) uint32 { return t.Heartbeats })},
		column[t]{"heartbeat_overread", boolean(func(t *t) bool { return t.HeartbeatOverread })},
		column[t]{"alerts", list(func(t *t) []a { return t.Alerts }, tuple(
			column[a]{"sender", text(func(a *a) string { return a.Sender })},
			column[a]{"level", text(func(a *a) string { return a.Level })},
			column[a]{"code", integer(func(a *a) uint32 { return a.Code })},
			column[a]{"description", text(func(a *a) string { return a.Description })}))},
	)
}

func transport() codec[record.QUIC] {
	type q = record.QUIC
	return tuple(
		column[q]{"dcid_length", integer(func(q *q) uint32 { return q.DCIDLength })},
		column[q]{"scid_length", integer(func(q *q) uint32 { return q.SCIDLength })},
		column[q]{"token_length", integer(func(q *q) uint32 { return q.TokenLength })},
		column[q]{"retry", boolean(func(q *q) bool { return q.Retry })},
		column[q]{"zero_rtt", boolean(func(q *q) bool { return q.ZeroRTT })},
		column[q]{"versions", texts(func(q *q) []string { return q.Versions })},
		column[q]{"parameters", integers(func(q *q) []uint64 { return q.Parameters })},
		column[q]{"user_agent", text(func(q *q) string { return q.UserAgent })},
	)
}

func banners() codec[record.SSH] {
	type s = record.SSH
	return tuple(
		column[s]{"client", text(func(s *s) string { return s.Client })},
		column[s]{"server", text(func(s *s) string { return s.Server })},
		column[s]{"hassh_server", text(func(s *s) string { return s.HASSHServer })},
	)
}

func lease() codec[record.DHCP] {
	type d = record.DHCP
	return tuple(
		column[d]{"message", text(func(d *d) string { return d.Message })},
		column[d]{"host", text(func(d *d) string { return d.Host })},
		column[d]{"fqdn", text(func(d *d) string { return d.FQDN })},
		column[d]{"vendor", text(func(d *d) string { return d.Vendor })},
		column[d]{"client_id", text(func(d *d) string { return d.ClientID })},
		column[d]{"parameters", integers(func(d *d) []uint32 { return d.Parameters })},
		column[d]{"address", text(func(d *d) string { return d.Address })},
	)
}

func resolution() codec[record.DNS] {
	type d = record.DNS
	type q = record.Query
	type a = record.Answer
	return tuple(
		column[d]{"queries", list(func(d *d) []q { return d.Queries }, tuple(
			column[q]{"name", text(func(q *q) string { return q.Name })},
			column[q]{"type", text(func(q *q) string { return q.Type })}))},
		column[d]{"answers", list(func(d *d) []a { return d.Answers }, tuple(
			column[a]{"name", text(func(a *a) string { return a.Name })},
			column[a]{"type", text(func(a *a) string { return a.Type })},
			column[a]{"ttl", integer(func(a *a) uint32 { return a.TTL })},
			column[a]{"data", text(func(a *a) string { return a.Data })}))},
		column[d]{"rcode", text(func(d *d) string { return d.RCode })},
		column[d]{"age", maybe(func(d *d) float64 { return d.Age })},
	)
}

func messages() codec[record.HTTP] {
	type m = record.HTTP
	type q = record.Request
	type p = record.Response
	type h = record.Header
	headers := tuple(
		column[h]{"name", text(func(h *h) string { return h.Name })},
		column[h]{"value", text(func(h *h) string { return h.Value })})
	return tuple(
		column[m]{"requests", list(func(m *m) []q { return m.Requests }, tuple(
			column[q]{"method", text(func(q *q) string { return q.Method })},
			column[q]{"target", text(func(q *q) string { return q.Target })},
			column[q]{"host", text(func(q *q) string { return q.Host })},
			column[q]{"user_agent", text(func(q *q) string { return q.UserAgent })},
			column[q]{"version", text(func(q *q) string { return q.Version })},
			column[q]{"headers", list(func(q *q) []h { return q.Headers }, headers)}))},
		column[m]{"responses", list(func(m *m) []p { return m.Responses }, tuple(
			column[p]{"status", integer(func(p *p) uint16 { return p.Status })},
			column[p]{"version", text(func(p *p) string { return p.Version })},
			column[p]{"server", text(func(p *p) string { return p.Server })},
			column[p]{"headers", list(func(p *p) []h { return p.Headers }, headers)}))},
	)
}

func reason() codec[record.Reason] {
	type r = record.Reason
	type end = float64
	return tuple(
		column[r]{"code", text(func(r *r) string { return r.Code })},
		column[r]{"text", text(func(r *r) string { return r.Text })},
		column[r]{"value", maybe(func(r *r) float64 { return r.Value })},
		column[r]{"contribution", real(func(r *r) float64 { return r.Contribution })},
		column[r]{"attack", text(func(r *r) string { return r.Attack })},
		column[r]{"feature", text(func(r *r) string { return r.Feature })},
		column[r]{"usual", list(func(r *r) []end { return r.Usual.Ends() }, real(func(e *end) float64 { return *e }))},
	)
}

func shadow() codec[record.Shadow] {
	type s = record.Shadow
	return tuple(
		column[s]{"model_id", text(func(s *s) string { return s.ModelID })},
		column[s]{"margin", maybe(func(s *s) float64 { return s.Margin })},
		column[s]{"score", maybe(func(s *s) float64 { return s.Score })},
		column[s]{"verdict", text(func(s *s) string { return s.Verdict.String() })},
	)
}

func hop() codec[record.Hop] {
	type h = record.Hop
	return tuple(
		column[h]{"stage", short(func(h *h) string { return h.Stage })},
		column[h]{"time", as("DateTime64(6, 'UTC')", integer(func(h *h) int64 { return h.Micros }))},
		column[h]{"partition", integer(func(h *h) int32 { return int32(h.Partition) })},
		column[h]{"offset", integer(func(h *h) int64 { return h.Offset })},
	)
}

// Columns returns the names of the columns of the table flows that say what the
// flow is.
func Columns() []string {
	var out []string
	for _, c := range contents(text[row]) {
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
		if t.ns < earliest || t.ns > latest {
			return fmt.Errorf("%s: %s is beyond what DateTime64 holds", t.name, time.Unix(0, t.ns).UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// The times that DateTime64(9) holds, in ns since the Unix epoch.
var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	latest   = time.Date(2262, 4, 11, 23, 47, 16, 0, time.UTC).UnixNano()
)
