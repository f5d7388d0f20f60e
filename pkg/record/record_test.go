package record

import (
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"trench/pkg/flow"
)

// full returns a record in which every column is observed.
func full(text string) *Record {
	nan := math.NaN()
	return &Record{
		Source: text, FlowID: flow.ID{1, 0xab}, Part: 2, Final: true, TS: 1_600_000_000_123_456_000, TSEnd: 1_600_000_000_123_456_789,
		Proto: "tcp", AppProto: "tls", ClientIP: netip.MustParseAddr("192.0.2.1"), ClientPort: 1, ServerIP: netip.MustParseAddr("2001:db8::1"),
		ServerPort: 443, VLAN: []uint16{7, 8}, Tunnel: "gre", RTT: 0.01, EndReason: "fin", SPLT: []Packet{{517, 0}, {-1460, 0.000001}},
		EntropyC2S: 7.5, EntropyS2C: 0, ByteDist: make([]uint32, 256), TLSVersion: "TLS 1.2", TLSCipher: "x", TLSSNI: text, TLSALPN: "h2",
		StartTLS: "smtp", QUICVersion: "1", TLSClientCiphers: []uint16{0x1a1a, 1}, TLSClientExtensions: []uint16{0}, TLSServerExtensions: []uint16{5},
		JA3: "a", JA3S: "b", JA4: "c", JA4S: "s", JA4X: "x", JA4H: "h", JA4T: "t", JA4TS: "ts", HASSH: "d", CommunityID: "1:x",
		TLS: &TLS{
			Group: "x25519", ClientVersions: []uint16{0x0a0a, 0x0304}, ClientGroups: []uint16{29}, ClientKeyShares: []uint16{29}, ClientSignatures: []uint16{0x0403},
			ClientALPN: []string{text}, HelloRetry: true, SessionOffered: true, EarlyData: true, Ticket: true, OCSPStaple: true, Compressed: true,
			CertificateRequest: true, ClientCertificate: "22", Renegotiation: true, ECHPayload: 144, ECHConfig: 7, RecordSizeLimit: 16385, Heartbeats: 1,
			HeartbeatOverread: true, Alerts: []Alert{{Sender: "server", Level: "fatal", Code: 40, Description: "handshake_failure"}},
		},
		QUIC: &QUIC{DCIDLength: 8, TokenLength: 5, Retry: true, ZeroRTT: true, Versions: []string{"1"}, Parameters: []uint64{1, 1 << 61}, UserAgent: text},
		SSH:  &SSH{Client: text, Server: text, HASSHServer: "e"},
		DHCP: &DHCP{Message: "request", Host: text, FQDN: text, Vendor: text, ClientID: "01", Parameters: []uint32{1, 3}, Address: "192.0.2.7"},
		CertChain: []Certificate{{SHA1: "00", SHA256: "11", Subject: text, Issuer: text, Serial: "01", NotAfter: 253402300799, SANs: []string{text}, KeyType: "rsa", Signature: "s",
			CA: true, SCTs: 2, Policies: []string{"2.23.140.1.2.1"}, Validation: "dv"}},
		DNS: &DNS{Queries: []Query{{text, "A"}}, Answers: []Answer{{text, "A", 60, "192.0.2.9"}}, RCode: "NOERROR", Age: 1.5},
		HTTP: &HTTP{Requests: []Request{{Method: "GET", Target: text, Host: text, UserAgent: text, Version: "HTTP/1.1", Headers: []Header{{text, text}}}},
			Responses: []Response{{Status: 200, Version: "HTTP/1.1", Server: text, Headers: []Header{{text, text}}}}},
		Score: 0.25, Verdict: Malicious, VerdictNote: text, Margin: -1, ModelID: "m", SchemaHash: "h",
		Reasons: []Reason{{Code: "c", Text: text, Feature: "ch_len", Value: nan, Usual: &Range{Low: -0.5, High: 3}, Contribution: 1, Attack: "T1573"}},
		Shadow:  []Shadow{{ModelID: text, Margin: -1, Score: 0.5, Verdict: Suspicious}, {ModelID: "n", Margin: nan, Score: nan}},
	}
}

func TestEveryFieldHasAColumn(t *testing.T) {
	t.Parallel()
	var all map[string]any
	if err := json.Unmarshal(full("x").AppendJSON(nil), &all); err != nil {
		t.Fatal(err)
	}
	if fields := reflect.TypeFor[Record]().NumField() - 3; len(columns) != fields || len(all) != fields { // Vector, VectorSchema and Trace are no columns
		t.Errorf("%d columns, %d members, %d fields", len(columns), len(all), fields)
	}
}

func TestReasonsHaveTheirUsualRangeWhereItIsKnown(t *testing.T) {
	t.Parallel()
	r := &Record{Reasons: []Reason{
		{Code: "c", Text: "t", Feature: "ch_len", Value: 2941, Usual: &Range{Low: 109, High: 906.5}, Contribution: 1.25, Attack: "T1573.002"},
		{Code: "d", Text: "u", Value: math.NaN(), Contribution: 1},
	}}
	const want = `"reasons":[{"code":"c","text":"t","feature":"ch_len","value":2941,"usual":[109,906.5],"contribution":1.25,"attack":"T1573.002"},` +
		`{"code":"d","text":"u","value":null,"contribution":1}]}`
	if line := string(r.AppendJSON(nil)); !strings.HasSuffix(strings.TrimSpace(line), want) {
		t.Errorf("got %s\nwant %s", line, want)
	}
}

func TestWhatWasNotObservedIsLeftOut(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	r := &Record{RTT: nan, EntropyC2S: nan, EntropyS2C: nan, Score: nan, Margin: nan, ClientIP: netip.IPv4Unspecified(), ServerIP: netip.IPv4Unspecified()}
	var got map[string]any
	if err := json.Unmarshal(r.AppendJSON(nil), &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range columns {
		if v, ok := got[c.Name]; ok {
			names = append(names, c.Name)
			if (c.Name == "score" || c.Name == "margin") != (v == nil) {
				t.Errorf("%s is %v", c.Name, v)
			}
		}
	}
	want := []string{"flow_id", "part", "final", "ts", "ts_end", "client_ip", "client_port", "server_ip", "server_port", "retrans_c2s", "retrans_s2c", "gaps",
		"truncated", "packets_c2s", "packets_s2c", "bytes_c2s", "bytes_s2c", "payload_c2s", "payload_s2c", "tls_resumed", "tls_established",
		"tls_incomplete", "tls_ech", "tls_key_bits", "score", "verdict", "margin"}
	if !slices.Equal(names, want) {
		t.Errorf("members %v, want %v", names, want)
	}
	if got["verdict"] != "unscored" {
		t.Errorf("verdict %v", got["verdict"])
	}
}

func TestAnyBytesGiveValidJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		line := full(text).AppendJSON(nil)
		var got struct {
			SNI string `json:"tls_sni"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if utf8.ValidString(text) && got.SNI != text {
			t.Fatalf("%q became %q", text, got.SNI)
		}
	})
}

func TestSecondsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64Range(0, 1e15).Draw(t, "ns")
		want := float64(ns) / 1e9
		text := appendSeconds(nil, want)
		got, err := strconv.ParseFloat(string(text), 64)
		if err != nil || got != want {
			t.Fatalf("%d ns: %s", ns, text)
		}
	})
}

func TestTimesHaveAtLeastMicroseconds(t *testing.T) {
	t.Parallel()
	for ns, want := range map[int64]string{
		0:                         `"1970-01-01T00:00:00.000000Z"`,
		1_600_000_000_123_456_000: `"2020-09-13T12:26:40.123456Z"`,
		1_600_000_000_000_000_001: `"2020-09-13T12:26:40.000000001Z"`,
		-1:                        `"1969-12-31T23:59:59.999999999Z"`,
	} {
		if got := string(appendTime(nil, ns)); got != want {
			t.Errorf("%d: %s, want %s", ns, got, want)
		}
	}
}

func TestEntropy(t *testing.T) {
	t.Parallel()
	var counts [256]uint16
	if e := Entropy(&counts); !math.IsNaN(e) {
		t.Errorf("nothing counted: %v", e)
	}
	counts[7] = 4000
	if e := Entropy(&counts); e != 0 {
		t.Errorf("one value: %v", e)
	}
	for i := range counts {
		counts[i] = 15
	}
	if e := Entropy(&counts); math.Abs(e-8) > 1e-12 {
		t.Errorf("uniform: %v", e)
	}
}
