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
	CertChain                                         []Certificate
	DNS                                               *DNS
	HTTP                                              *HTTP
	HASSH                                             string
	CommunityID                                       string

	Score       float64 // calibrated probability, NaN when not scored
	Verdict     Verdict
	VerdictNote string
	Margin      float64 // raw model output, NaN when not scored
	ModelID     string
	SchemaHash  string
	Reasons     []Reason

	// Vector is the feature vector, in the schema's order; nil for flows that
	// have none. It is not a column of the row.
	Vector []float32
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

// Reason is one cause of a verdict.
type Reason struct {
	Code, Text   string
	Value        float64 // the observed value, NaN when its absence is the reason
	Contribution float64 // log-odds
	Attack       string  // ATT&CK technique, empty when none fits
}
