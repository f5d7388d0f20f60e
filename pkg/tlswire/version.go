package tlswire

import "fmt"

// Protocol versions as they stand in hellos.
const (
	VersionSSL20 = 0x0002
	VersionSSL30 = 0x0300
	VersionTLS10 = 0x0301
	VersionTLS11 = 0x0302
	VersionTLS12 = 0x0303
	VersionTLS13 = 0x0304

	VersionDTLS10 = 0xfeff
	VersionDTLS12 = 0xfefd
	VersionDTLS13 = 0xfefc
)

// IsTLS13 reports whether v is TLS 1.3 or one of its drafts (0x7fNN as sent by
// the drafts themselves, 0x7eNN and 0xfbNN by two early deployments), or DTLS
// 1.3: whether a connection shows nothing but its hellos.
func IsTLS13(v uint16) bool {
	hi := v >> 8
	return v == VersionTLS13 || v == VersionDTLS13 || hi == 0x7f || hi == 0x7e || hi == 0xfb
}

// VersionName returns the name of a protocol version: "TLS 1.3" for the drafts
// too, 0x1234 for a number that is none, and "" for 0.
func VersionName(v uint16) string {
	switch v {
	case 0:
		return ""
	case VersionSSL20:
		return "SSL 2.0"
	case VersionSSL30:
		return "SSL 3.0"
	case VersionTLS10:
		return "TLS 1.0"
	case VersionTLS11:
		return "TLS 1.1"
	case VersionTLS12:
		return "TLS 1.2"
	case VersionDTLS10, 0x0100: // 0x0100 is the pre-standard one of OpenSSL 0.9.8
		return "DTLS 1.0"
	case VersionDTLS12:
		return "DTLS 1.2"
	case VersionDTLS13:
		return "DTLS 1.3"
	}
	if IsTLS13(v) {
		return "TLS 1.3"
	}
	return fmt.Sprintf("0x%04x", v)
}

// versionRank orders versions by age. DTLS counts down.
func versionRank(v uint16) int {
	switch {
	case v == VersionTLS13:
		return 1 << 16
	case v>>8 == 0xfe:
		return 0xffff - int(v)
	case IsTLS13(v):
		return 0x0304<<4 + int(v&0xff)
	case v>>8 == 3:
		return int(v)
	}
	return 0 // no version at all
}

// IsGREASE reports whether v is one of the sixteen values of RFC 8701 that
// clients send to keep servers tolerant: 0x0a0a, 0x1a1a, … 0xfafa.
func IsGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// Version returns the version of a connection: the negotiated one, else the
// highest that the client offers, else 0.
func Version(h *Handshake) uint16 {
	if v := h.NegotiatedVersion(); v != 0 {
		return v
	}
	if h.ClientSeen {
		return h.Client.MaxVersion()
	}
	return 0
}

// NegotiatedVersion returns the version that the server chose in its hello or in
// a HelloRetryRequest, which binds it (RFC 8446 section 4.1.4); 0 when neither was seen.
func (h *Handshake) NegotiatedVersion() uint16 {
	switch {
	case h.SSLv2Server:
		return VersionSSL20
	case h.ServerSeen:
		return h.Server.SelectedVersion
	case h.HelloRetry:
		return h.Retry.SelectedVersion
	}
	return 0
}

// is12 reports whether messages have the form of TLS 1.2 and DTLS 1.2: digital
// signatures name their algorithm. Without a ServerHello it is assumed.
func (h *Handshake) is12() bool {
	v := h.NegotiatedVersion()
	return v == VersionTLS12 || v == VersionDTLS12 || v == 0
}
