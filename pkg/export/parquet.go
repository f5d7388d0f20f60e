package export

import (
	"io"
	"math"
	"time"

	"github.com/parquet-go/parquet-go"

	"trench/pkg/record"
)

// row is a record as Parquet stores it; the tags are the column names.
type row struct {
	Source              string        `parquet:"source,optional,dict"`
	FlowID              string        `parquet:"flow_id"`
	Part                uint32        `parquet:"part"`
	Final               bool          `parquet:"final"`
	TS                  time.Time     `parquet:"ts,timestamp(nanosecond)"`
	TSEnd               time.Time     `parquet:"ts_end,timestamp(nanosecond)"`
	Proto               string        `parquet:"proto,optional,dict"`
	AppProto            string        `parquet:"app_proto,optional,dict"`
	ClientIP            string        `parquet:"client_ip,dict"`
	ClientPort          uint32        `parquet:"client_port"`
	ServerIP            string        `parquet:"server_ip,dict"`
	ServerPort          uint32        `parquet:"server_port"`
	VLAN                []uint32      `parquet:"vlan,list"`
	Tunnel              string        `parquet:"tunnel,optional,dict"`
	RTT                 *float64      `parquet:"rtt,optional"`
	RetransC2S          uint64        `parquet:"retrans_c2s"`
	RetransS2C          uint64        `parquet:"retrans_s2c"`
	Gaps                uint64        `parquet:"gaps"`
	Truncated           bool          `parquet:"truncated"`
	PacketsC2S          uint64        `parquet:"packets_c2s"`
	PacketsS2C          uint64        `parquet:"packets_s2c"`
	BytesC2S            uint64        `parquet:"bytes_c2s"`
	BytesS2C            uint64        `parquet:"bytes_s2c"`
	PayloadC2S          uint64        `parquet:"payload_c2s"`
	PayloadS2C          uint64        `parquet:"payload_s2c"`
	EndReason           string        `parquet:"end_reason,optional,dict"`
	SPLT                []packet      `parquet:"splt,list"`
	EntropyC2S          *float64      `parquet:"entropy_c2s,optional"`
	EntropyS2C          *float64      `parquet:"entropy_s2c,optional"`
	ByteDist            []uint32      `parquet:"byte_dist,list"`
	TLSVersion          string        `parquet:"tls_version,optional,dict"`
	TLSCipher           string        `parquet:"tls_cipher,optional,dict"`
	TLSSNI              string        `parquet:"tls_sni,optional,dict"`
	TLSALPN             string        `parquet:"tls_alpn,optional,dict"`
	TLSResumed          bool          `parquet:"tls_resumed"`
	TLSEstablished      bool          `parquet:"tls_established"`
	TLSIncomplete       bool          `parquet:"tls_incomplete"`
	TLSECH              bool          `parquet:"tls_ech"`
	StartTLS            string        `parquet:"starttls,optional,dict"`
	QUICVersion         string        `parquet:"quic_version,optional,dict"`
	TLSClientCiphers    []uint32      `parquet:"tls_client_ciphers,list"`
	TLSClientExtensions []uint32      `parquet:"tls_client_extensions,list"`
	TLSServerExtensions []uint32      `parquet:"tls_server_extensions,list"`
	TLSKeyBits          uint32        `parquet:"tls_key_bits"`
	JA3                 string        `parquet:"ja3,optional,dict"`
	JA3S                string        `parquet:"ja3s,optional,dict"`
	JA4                 string        `parquet:"ja4,optional,dict"`
	JA4S                string        `parquet:"ja4s,optional,dict"`
	JA4X                string        `parquet:"ja4x,optional,dict"`
	JA4H                string        `parquet:"ja4h,optional,dict"`
	JA4T                string        `parquet:"ja4t,optional,dict"`
	JA4TS               string        `parquet:"ja4ts,optional,dict"`
	TLS                 *tls          `parquet:"tls,optional"`
	QUIC                *quic         `parquet:"quic,optional"`
	CertChain           []certificate `parquet:"cert_chain,list"`
	DNS                 *dns          `parquet:"dns,optional"`
	HTTP                *http         `parquet:"http,optional"`
	HASSH               string        `parquet:"hassh,optional,dict"`
	SSH                 *ssh          `parquet:"ssh,optional"`
	DHCP                *dhcp         `parquet:"dhcp,optional"`
	CommunityID         string        `parquet:"community_id,optional"`
	Score               *float64      `parquet:"score,optional"`
	Verdict             string        `parquet:"verdict,dict"`
	VerdictNote         string        `parquet:"verdict_note,optional,dict"`
	Margin              *float64      `parquet:"margin,optional"`
	ModelID             string        `parquet:"model_id,optional,dict"`
	SchemaHash          string        `parquet:"schema_hash,optional,dict"`
	Reasons             []reason      `parquet:"reasons,list"`
	Shadow              []shadow      `parquet:"shadow,list"`
}

type packet struct {
	Length int32   `parquet:"length"`
	Delta  float64 `parquet:"delta"`
}

type certificate struct {
	SHA1       string    `parquet:"sha1"`
	SHA256     string    `parquet:"sha256"`
	Subject    string    `parquet:"subject"`
	Issuer     string    `parquet:"issuer"`
	Serial     string    `parquet:"serial"`
	NotBefore  time.Time `parquet:"not_before,timestamp(millisecond)"`
	NotAfter   time.Time `parquet:"not_after,timestamp(millisecond)"`
	SANs       []string  `parquet:"sans,list"`
	KeyType    string    `parquet:"key_type"`
	KeyBits    uint32    `parquet:"key_bits"`
	Signature  string    `parquet:"signature"`
	SelfSigned bool      `parquet:"self_signed"`
	CA         bool      `parquet:"ca"`
	SCTs       uint32    `parquet:"scts"`
	Policies   []string  `parquet:"policies,list"`
	Validation string    `parquet:"validation,optional"`
}

type tls struct {
	Group              string         `parquet:"group,optional"`
	ClientVersions     []uint32       `parquet:"client_versions,list"`
	ClientGroups       []uint32       `parquet:"client_groups,list"`
	ClientKeyShares    []uint32       `parquet:"client_key_shares,list"`
	ClientSignatures   []uint32       `parquet:"client_signatures,list"`
	ClientALPN         []string       `parquet:"client_alpn,list"`
	HelloRetry         bool           `parquet:"hello_retry"`
	SessionOffered     bool           `parquet:"session_offered"`
	EarlyData          bool           `parquet:"early_data"`
	Ticket             bool           `parquet:"ticket"`
	OCSPStaple         bool           `parquet:"ocsp_staple"`
	Compressed         bool           `parquet:"compressed"`
	CertificateRequest bool           `parquet:"certificate_request"`
	ClientCertificate  string         `parquet:"client_certificate,optional"`
	Renegotiation      bool           `parquet:"renegotiation"`
	ECHConfig          uint32         `parquet:"ech_config"`
	ECHPayload         uint32         `parquet:"ech_payload"`
	RecordSizeLimit    uint32         `parquet:"record_size_limit"`
	Heartbeats         uint32         `parquet:"heartbeats"`
	HeartbeatOverread  bool           `parquet:"heartbeat_overread"`
	Alerts             []record.Alert `parquet:"alerts,list"`
}

type quic struct {
	DCIDLength  uint32   `parquet:"dcid_length"`
	SCIDLength  uint32   `parquet:"scid_length"`
	TokenLength uint32   `parquet:"token_length"`
	Retry       bool     `parquet:"retry"`
	ZeroRTT     bool     `parquet:"zero_rtt"`
	Versions    []string `parquet:"versions,list"`
	Parameters  []uint64 `parquet:"parameters,list"`
	UserAgent   string   `parquet:"user_agent,optional"`
}

type ssh struct {
	Client      string `parquet:"client,optional"`
	Server      string `parquet:"server,optional"`
	HASSHServer string `parquet:"hassh_server,optional"`
}

type dhcp struct {
	Message    string   `parquet:"message,optional"`
	Host       string   `parquet:"host,optional"`
	FQDN       string   `parquet:"fqdn,optional"`
	Vendor     string   `parquet:"vendor,optional"`
	ClientID   string   `parquet:"client_id,optional"`
	Parameters []uint32 `parquet:"parameters,list"`
	Address    string   `parquet:"address,optional"`
}

type dns struct {
	Queries []record.Query  `parquet:"queries,list"`
	Answers []record.Answer `parquet:"answers,list"`
	RCode   string          `parquet:"rcode,optional"`
	Age     *float64        `parquet:"age,optional"`
}

type http struct {
	Requests  []request  `parquet:"requests,list"`
	Responses []response `parquet:"responses,list"`
}

type request struct {
	Method    string          `parquet:"method"`
	Target    string          `parquet:"target"`
	Host      string          `parquet:"host"`
	UserAgent string          `parquet:"user_agent"`
	Version   string          `parquet:"version"`
	Headers   []record.Header `parquet:"headers,list"`
}

type response struct {
	Status  uint32          `parquet:"status"`
	Version string          `parquet:"version"`
	Server  string          `parquet:"server"`
	Headers []record.Header `parquet:"headers,list"`
}

type reason struct {
	Code         string    `parquet:"code"`
	Text         string    `parquet:"text"`
	Feature      string    `parquet:"feature,optional"`
	Value        *float64  `parquet:"value,optional"`
	Usual        []float64 `parquet:"usual,list"`
	Contribution float64   `parquet:"contribution"`
	Attack       string    `parquet:"attack,optional"`
}

type shadow struct {
	ModelID string   `parquet:"model_id"`
	Margin  *float64 `parquet:"margin,optional"`
	Score   *float64 `parquet:"score,optional"`
	Verdict string   `parquet:"verdict"`
}

// rowGroup bounds what a file holds in memory before it is written.
const rowGroup = 1 << 16

type parquetWriter struct {
	file   io.Closer
	out    *parquet.GenericWriter[row]
	rows   []row
	inFile int // rows since the last flush
}

func newParquet(f io.WriteCloser) *parquetWriter {
	return &parquetWriter{file: f, out: parquet.NewGenericWriter[row](f, parquet.Compression(&parquet.Zstd))}
}

func (w *parquetWriter) Write(rows []*record.Record) error {
	w.rows = w.rows[:0]
	for _, r := range rows {
		w.rows = append(w.rows, makeRow(r))
	}
	if _, err := w.out.Write(w.rows); err != nil {
		return err
	}
	if w.inFile += len(rows); w.inFile >= rowGroup {
		w.inFile = 0
		return w.out.Flush()
	}
	return nil
}

func (w *parquetWriter) Close() error {
	if err := w.out.Close(); err != nil {
		_ = w.file.Close() // the write error says more
		return err
	}
	return w.file.Close()
}

func makeRow(r *record.Record) row {
	o := row{
		Source: r.Source, FlowID: r.FlowID.String(), Part: r.Part, Final: r.Final,
		TS: time.Unix(0, r.TS).UTC(), TSEnd: time.Unix(0, r.TSEnd).UTC(), Proto: r.Proto, AppProto: r.AppProto,
		ClientIP: r.ClientIP.String(), ClientPort: uint32(r.ClientPort), ServerIP: r.ServerIP.String(), ServerPort: uint32(r.ServerPort),
		VLAN: widen(r.VLAN), Tunnel: r.Tunnel, RTT: optional(r.RTT), RetransC2S: r.RetransC2S, RetransS2C: r.RetransS2C,
		Gaps: r.Gaps, Truncated: r.Truncated, PacketsC2S: r.PacketsC2S, PacketsS2C: r.PacketsS2C,
		BytesC2S: r.BytesC2S, BytesS2C: r.BytesS2C, PayloadC2S: r.PayloadC2S, PayloadS2C: r.PayloadS2C, EndReason: r.EndReason,
		EntropyC2S: optional(r.EntropyC2S), EntropyS2C: optional(r.EntropyS2C), ByteDist: r.ByteDist,
		TLSVersion: r.TLSVersion, TLSCipher: r.TLSCipher, TLSSNI: r.TLSSNI, TLSALPN: r.TLSALPN,
		TLSResumed: r.TLSResumed, TLSEstablished: r.TLSEstablished, TLSIncomplete: r.TLSIncomplete, TLSECH: r.TLSECH,
		StartTLS: r.StartTLS, QUICVersion: r.QUICVersion, TLSClientCiphers: widen(r.TLSClientCiphers),
		TLSClientExtensions: widen(r.TLSClientExtensions), TLSServerExtensions: widen(r.TLSServerExtensions),
		TLSKeyBits: r.TLSKeyBits, JA3: r.JA3, JA3S: r.JA3S, JA4: r.JA4, JA4S: r.JA4S, JA4X: r.JA4X, JA4H: r.JA4H, JA4T: r.JA4T, JA4TS: r.JA4TS, HASSH: r.HASSH, CommunityID: r.CommunityID,
		Score: optional(r.Score), Verdict: r.Verdict.String(), VerdictNote: r.VerdictNote, Margin: optional(r.Margin),
		ModelID: r.ModelID, SchemaHash: r.SchemaHash,
	}
	for _, p := range r.SPLT {
		o.SPLT = append(o.SPLT, packet(p))
	}
	for _, c := range r.CertChain {
		o.CertChain = append(o.CertChain, certificate{
			SHA1: c.SHA1, SHA256: c.SHA256, Subject: c.Subject, Issuer: c.Issuer, Serial: c.Serial,
			NotBefore: time.Unix(c.NotBefore, 0).UTC(), NotAfter: time.Unix(c.NotAfter, 0).UTC(), SANs: c.SANs,
			KeyType: c.KeyType, KeyBits: c.KeyBits, Signature: c.Signature, SelfSigned: c.SelfSigned,
			CA: c.CA, SCTs: c.SCTs, Policies: c.Policies, Validation: c.Validation,
		})
	}
	if t := r.TLS; t != nil {
		o.TLS = &tls{
			Group: t.Group, ClientVersions: widen(t.ClientVersions), ClientGroups: widen(t.ClientGroups), ClientKeyShares: widen(t.ClientKeyShares),
			ClientSignatures: widen(t.ClientSignatures), ClientALPN: t.ClientALPN, HelloRetry: t.HelloRetry, SessionOffered: t.SessionOffered,
			EarlyData: t.EarlyData, Ticket: t.Ticket, OCSPStaple: t.OCSPStaple, Compressed: t.Compressed, CertificateRequest: t.CertificateRequest,
			ClientCertificate: t.ClientCertificate, Renegotiation: t.Renegotiation, ECHConfig: t.ECHConfig, ECHPayload: t.ECHPayload,
			RecordSizeLimit: t.RecordSizeLimit, Heartbeats: t.Heartbeats, HeartbeatOverread: t.HeartbeatOverread, Alerts: t.Alerts,
		}
	}
	if q := r.QUIC; q != nil {
		v := quic(*q)
		o.QUIC = &v
	}
	if s := r.SSH; s != nil {
		v := ssh(*s)
		o.SSH = &v
	}
	if d := r.DHCP; d != nil {
		v := dhcp(*d)
		o.DHCP = &v
	}
	if d := r.DNS; d != nil {
		o.DNS = &dns{Queries: d.Queries, Answers: d.Answers, RCode: d.RCode, Age: optional(d.Age)}
	}
	if h := r.HTTP; h != nil {
		o.HTTP = &http{}
		for _, q := range h.Requests {
			o.HTTP.Requests = append(o.HTTP.Requests, request(q))
		}
		for _, s := range h.Responses {
			o.HTTP.Responses = append(o.HTTP.Responses, response{uint32(s.Status), s.Version, s.Server, s.Headers})
		}
	}
	for _, x := range r.Reasons {
		o.Reasons = append(o.Reasons, reason{x.Code, x.Text, x.Feature, optional(x.Value), x.Usual.Ends(), x.Contribution, x.Attack})
	}
	for _, s := range r.Shadow {
		o.Shadow = append(o.Shadow, shadow{s.ModelID, optional(s.Margin), optional(s.Score), s.Verdict.String()})
	}
	return o
}

// optional turns NaN, which means not observed, into null.
func optional(f float64) *float64 {
	if math.IsNaN(f) {
		return nil
	}
	return &f
}

func widen(in []uint16) []uint32 {
	if len(in) == 0 {
		return nil
	}
	out := make([]uint32, len(in))
	for i, v := range in {
		out[i] = uint32(v)
	}
	return out
}
