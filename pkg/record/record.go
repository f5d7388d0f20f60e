// Package record defines the one row per flow that Trench shows to the outside:
// the same columns, under the same names, in NDJSON, CSV, Parquet and ClickHouse.
package record

import (
	"net/netip"

	"trench/pkg/flow"
)

// Record is one flow with everything that was found out about it. Strings,
// lists and objects that were not observed are empty; floats are NaN.
type Record struct {
	Source   string
	FlowID   flow.ID
	Part     uint32
	Final    bool
	TS       int64 // ns since the Unix epoch
	TSEnd    int64
	Proto    string
	AppProto string

	ClientIP   netip.Addr
	ClientPort uint16
	ServerIP   netip.Addr
	ServerPort uint16
	VLAN       []uint16
	Tunnel     string

	RTT                    float64 // s
	RetransC2S, RetransS2C uint64
	Gaps                   uint64 // bytes
	Truncated              bool
	PacketsC2S, PacketsS2C uint64
	BytesC2S, BytesS2C     uint64
	PayloadC2S, PayloadS2C uint64
	EndReason              string
	SPLT                   []Packet
	EntropyC2S, EntropyS2C float64  // bits per byte
	ByteDist               []uint32 // 256 counts of both directions, nil unless asked for

	TLSVersion, TLSCipher, TLSSNI, TLSALPN            string
	TLSResumed, TLSEstablished, TLSIncomplete, TLSECH bool
	StartTLS, QUICVersion                             string
	TLSClientCiphers, TLSClientExtensions             []uint16
	TLSServerExtensions                               []uint16
	TLSKeyBits                                        uint32
	JA3, JA3S, JA4                                    string
	JA4S, JA4X, JA4H, JA4T, JA4TS                     string // only when FoxIO's licence was accepted
	TLS                                               *TLS
	QUIC                                              *QUIC
	CertChain                                         []Certificate
	DNS                                               *DNS
	HTTP                                              *HTTP
	HASSH                                             string
	SSH                                               *SSH
	DHCP                                              *DHCP
	CommunityID                                       string

	Score       float64 // calibrated probability, NaN when not scored
	Verdict     Verdict
	VerdictNote string
	Margin      float64 // raw model output, NaN when not scored
	ModelID     string
	SchemaHash  string
	Reasons     []Reason
	Shadow      []Shadow // what models say that are watched and never alert

	// Vector is the feature vector, in the schema's order; nil for flows that
	// have none. It is not a column of the row.
	Vector []float32
	// VectorSchema is the hash of the schema that the vector's columns are of, empty
	// when it is not known. It is not a column of the row.
	VectorSchema string
	// Trace says where the record has been on its way here, nil when it came over no
	// bus. It is not a column of the row.
	Trace []Hop
}

// Hop is one station of a record: a stage handed it on.
type Hop struct {
	Stage  string
	Micros int64 // when, µs since the Unix epoch
	// Partition and Offset are where the stage had read it from, −1 for the first.
	Partition int
	Offset    int64
}

// Verdict is what Trench makes of a flow.
type Verdict uint8

// The verdicts, from none to worst.
const (
	Unscored Verdict = iota
	Benign
	Suspicious
	Malicious
)

var verdictNames = [...]string{"unscored", "benign", "suspicious", "malicious"}

// String returns the name used in records.
func (v Verdict) String() string { return verdictNames[v] }

// Packet is one entry of the packet length and time sequence.
type Packet struct {
	Length int32   // payload bytes, positive from the client
	Delta  float64 // seconds since the packet before, 0 for the first
}

// Certificate is what one X.509 certificate shows.
type Certificate struct {
	SHA1, SHA256        string // hex
	Subject, Issuer     string // RFC 4514
	Serial              string // hex
	NotBefore, NotAfter int64  // s since the Unix epoch
	SANs                []string
	KeyType             string
	KeyBits             uint32
	Signature           string
	SelfSigned          bool
	CA                  bool     // basic constraints
	SCTs                uint32   // embedded signed certificate timestamps
	Policies            []string // OIDs
	Validation          string   // dv ov iv ev, by the CA/Browser Forum's policies
}

// TLS is what else a TLS, DTLS or QUIC handshake shows in clear.
type TLS struct {
	Group              string   // negotiated: of the key share or the ServerKeyExchange
	ClientVersions     []uint16 // supported_versions, GREASE kept
	ClientGroups       []uint16
	ClientKeyShares    []uint16 // their groups
	ClientSignatures   []uint16 // signature algorithms
	ClientALPN         []string
	HelloRetry         bool // HelloRetryRequest, or HelloVerifyRequest in DTLS
	SessionOffered     bool // a session id, a ticket or a pre-shared key
	EarlyData          bool // 0-RTT was offered
	Ticket             bool // the server issued one in clear
	OCSPStaple         bool
	Compressed         bool // the certificates came compressed
	CertificateRequest bool
	ClientCertificate  string // SHA-256 of the client's, hex
	Renegotiation      bool   // asked for or begun in clear
	ECHPayload         uint32 // bytes of encrypted_client_hello's payload
	ECHConfig          uint32 // its config id
	RecordSizeLimit    uint32
	Heartbeats         uint32 // records
	HeartbeatOverread  bool   // one asks for more than it brought (CVE-2014-0160)
	Alerts             []Alert
}

// Alert is a TLS alert in clear.
type Alert struct {
	Sender      string `parquet:"sender"` // client or server
	Level       string `parquet:"level"`  // warning or fatal
	Code        uint32 `parquet:"code"`
	Description string `parquet:"description"`
}

// QUIC is what a QUIC connection shows besides its TLS handshake.
type QUIC struct {
	DCIDLength, SCIDLength uint32 // bytes, of the client's first Initial
	TokenLength            uint32 // bytes
	Retry, ZeroRTT         bool
	Versions               []string // of a version negotiation
	Parameters             []uint64 // ids of the client's transport parameters, wire order, GREASE kept
	UserAgent              string   // of gQUIC
}

// SSH is what an SSH connection shows besides the client's HASSH.
type SSH struct {
	Client, Server string // identification lines
	HASSHServer    string
}

// DHCP is what a DHCP client tells of itself.
type DHCP struct {
	Message    string // the type of the last message: discover, request and so on
	Host, FQDN string
	Vendor     string
	ClientID   string   // hex
	Parameters []uint32 // the options it asks for, in its order
	Address    string   // that it asks for or was given
}

// DNS is what a DNS exchange, or the answer that led to a flow, shows.
type DNS struct {
	Queries []Query
	Answers []Answer
	RCode   string
	Age     float64 // s from the answer to the flow, NaN for DNS flows themselves
}

// Query is one question.
type Query struct {
	Name string `parquet:"name"`
	Type string `parquet:"type"`
}

// Answer is one resource record.
type Answer struct {
	Name string `parquet:"name"`
	Type string `parquet:"type"`
	TTL  uint32 `parquet:"ttl"`
	Data string `parquet:"data"`
}

// HTTP is what HTTP/1 messages in clear show.
type HTTP struct {
	Requests  []Request
	Responses []Response
}

// Request is a request line with its header.
type Request struct {
	Method, Target, Host, UserAgent, Version string
	Headers                                  []Header
}

// Response is a status line with its header.
type Response struct {
	Status          uint16
	Version, Server string
	Headers         []Header
}

// Header is one header field as sent.
type Header struct {
	Name  string `parquet:"name"`
	Value string `parquet:"value"`
}

// Shadow is what a model says that runs beside the one that counts.
type Shadow struct {
	ModelID string
	Margin  float64 // NaN when not scored
	Score   float64 // calibrated probability, NaN when not scored
	Verdict Verdict
}

// Reason is one cause of a verdict.
type Reason struct {
	Code, Text   string
	Feature      string  // column of the feature vector that contributes most to the code
	Value        float64 // its value, NaN when its absence is the reason
	Usual        *Range  // nil when it is not known
	Contribution float64 // of all columns of the code, log-odds
	Attack       string  // ATT&CK technique, empty when none fits
}

// Range holds the 5 % and 95 % quantiles of a column in the benign flows of
// training that have a value.
type Range struct{ Low, High float64 }

// Ends lists both ends, of nil none.
func (r *Range) Ends() []float64 {
	if r == nil {
		return nil
	}
	return []float64{r.Low, r.High}
}
