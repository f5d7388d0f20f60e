package tlswire

// ClientHello is a parsed ClientHello. Slices keep wire order, duplicates and
// GREASE; byte slices alias the message. Extensions without a field of their
// own are found by HasExtension.
type ClientHello struct {
	Version           uint16 // legacy_version
	Random            [32]byte
	SessionID         []byte
	CipherSuites      []uint16
	Compression       []byte
	Extensions        []uint16 // types in wire order
	SNI               []byte   // host name, nil when absent
	ALPN              [][]byte
	Groups            []uint16 // supported_groups
	PointFormats      []byte
	SignatureAlgs     []uint16
	SupportedVersions []uint16
	KeyShares         []KeyShare // also those of drafts 16 to 22
	PSKModes          []byte
	HasExtensions     bool // an extensions block was present, even if empty
	PaddingLen        int  // bytes of extension 21, -1 when absent
	PSK               bool // pre_shared_key offered
	SessionTicketLen  int  // bytes offered in extension 35, -1 when absent
	EarlyData         bool // 0-RTT offered; whether it was accepted is encrypted
	ECH               bool // extension 65037 present
	Length            int  // handshake message body, bytes as declared
	SSLv2             bool // came in the SSL 2.0 format, which has no extensions
	CookieLen         int  // bytes of DTLS's cookie (RFC 6347 section 4.2.1), -1 in TLS
	Incomplete        bool // ended before its declared length, or malformed inside

	PSKIdentities, PSKIdentityLen int      // identities offered, and bytes of the first
	PSKBinders, PSKBinderLen      int      // binders offered, and bytes of the first
	RetryCookieLen                int      // bytes of extension 44, which answers a HelloRetryRequest, -1 when absent
	RenegotiationInfoLen          int      // bytes of renegotiated_connection (RFC 5746), -1 when absent; 0 in a first handshake
	StatusRequest                 uint8    // status type of extension 5, 0 when absent; 1 is OCSP
	MaxFragmentLength             uint8    // code of extension 1 (RFC 6066 section 4), 0 when absent; n stands for 2^(8+n) bytes
	RecordSizeLimit               uint16   // bytes (RFC 8449), 0 when absent
	Heartbeat                     uint8    // mode of extension 15 (RFC 6520), 0 when absent; 1 may be sent to, 2 not
	SignatureAlgsCert             []uint16 // extension 50
	DelegatedCredentials          []uint16 // signature algorithms of extension 34
	CertCompression               []uint16 // algorithms of extension 27, see MessageCompressedCertificate
	ALPS                          [][]byte // protocols of application_settings
	TrustAnchors                  int      // identifiers in trust_anchors, -1 when absent
	QUICParameters                []byte   // body of the transport parameters, nil when absent
	EncryptedHello                EncryptedHello
}

// KeyShare is one entry of the key_share extension.
type KeyShare struct {
	Group  uint16
	Length int // bytes of the key exchange
}

// EncryptedHello is what encrypted_client_hello shows. Clients without a
// configuration send one of random bytes (GREASE), which looks the same.
type EncryptedHello struct {
	Inner      bool   // the hello calls itself the inner one, which never stands in clear
	KDF, AEAD  uint16 // of HPKE (RFC 9180 section 7)
	ConfigID   uint8
	KeyLen     int // bytes of the encapsulated key
	PayloadLen int // bytes
}

// ServerHello is a parsed ServerHello or HelloRetryRequest.
type ServerHello struct {
	Version         uint16 // legacy_version
	Random          [32]byte
	SessionID       []byte
	CipherSuite     uint16
	Compression     uint8
	Extensions      []uint16
	SelectedVersion uint16 // from supported_versions, else Version
	ALPN            []byte
	KeyShare        KeyShare
	SessionTicket   bool // extension 35 acknowledged
	StatusRequest   bool // extension 5 acknowledged
	PSK             bool // pre_shared_key selected
	Incomplete      bool

	PSKIdentity          int    // index of the identity that was selected, -1 when none
	RenegotiationInfoLen int    // bytes of both finished values (RFC 5746), -1 when absent; 0 in a first handshake
	MaxFragmentLength    uint8  // as in ClientHello
	RecordSizeLimit      uint16 // as in ClientHello
	Heartbeat            uint8  // as in ClientHello
}

// Handshake is what both directions of one TLS connection showed in clear.
type Handshake struct {
	ClientSeen, ServerSeen bool
	Client                 ClientHello // the first one
	Server                 ServerHello // the first that is no HelloRetryRequest
	HelloRetry             bool
	DTLS                   bool     // read by ParseDTLS
	HelloVerify            bool     // DTLS: a HelloVerifyRequest was sent
	Certificates           [][]byte // server chain, DER, leaf first, TLS 1.2 and before
	CertificateSeen        bool     // a Certificate message of the server was seen, even an empty one
	CertificateBytes       int      // length of that message
	CertificateRequest     bool
	ClientCertificate      bool // client sent a Certificate message
	OCSPStaple             bool // CertificateStatus was sent
	ServerKeyExchangeLen   int  // body bytes, -1 when absent
	ClientKeyExchangeLen   int  // body bytes, -1 when absent
	NewSessionTicket       bool
	ServerHelloDone        bool
	ClientCCS, ServerCCS   bool
	// ClientFinished and ServerFinished: an encrypted handshake record followed ChangeCipherSpec.
	ClientFinished, ServerFinished bool
	Alerts                         []Alert
	Incomplete                     bool   // a message or record was cut, or broken
	Reversed                       bool   // the side that opened the transport played the TLS server
	ServerGroup                    uint16 // named curve of ServerKeyExchange, 0 when none
	ServerDHBits                   int    // size of the prime of ServerKeyExchange, 0 when none

	// SecondHello: another ClientHello followed in clear, which Second holds. It
	// answers HelloRetry or HelloVerify, and without them renegotiates.
	SecondHello  bool
	Second       ClientHello
	HelloRequest bool        // the server asked to renegotiate in clear
	Retry        ServerHello // the HelloRetryRequest, whose version and suite bind the ServerHello; its key share names a group

	ServerCurveType    uint8  // of ServerKeyExchange: 1 and 2 are explicit curves, 3 a named one, 0 none
	ServerRSABits      int    // ephemeral RSA modulus of ServerKeyExchange, an export key; 0 when none
	ServerPSKHintLen   int    // bytes of the identity hint (RFC 4279), -1 when ServerKeyExchange has none
	ServerSignatureAlg uint16 // that signs ServerKeyExchange, TLS 1.2 only; 0 when none

	ClientCertificates                  [][]byte // client chain, DER, leaf first, TLS 1.2 and before
	ClientCertificateBytes              int      // length of the client's Certificate message
	CertificateVerify                   bool     // the client signed the handshake
	CertificateVerifyAlg                uint16   // by this algorithm, TLS 1.2 only; 0 when not known
	RequestedTypes                      []byte   // certificate_types of CertificateRequest
	RequestedAlgs, RequestedAuthorities int      // signature algorithms and names of authorities in it
	CertificateCompression              uint16   // algorithm of a CompressedCertificate of the server, 0 when none
	StapleType                          uint8    // of CertificateStatus: 1 OCSP, 2 OCSP for the chain
	StapleLen                           int      // bytes of the response in it, -1 when absent
	TicketLifetime                      uint32   // s, the hint of NewSessionTicket; 0 leaves it to the client
	TicketLen                           int      // bytes of the ticket in it, -1 when absent
	Heartbeats                          int      // records of type 24, both directions
	HeartbeatOverread                   bool     // a heartbeat in clear declares a longer payload than it has (CVE-2014-0160)
	SSLv2Server                         bool     // the server answered in SSL 2.0, whose certificate is then in Certificates

	scratch  []byte // messages that span records
	inflated []byte // a message that was compressed
}

// Alert is a TLS alert in clear.
type Alert struct {
	FromServer         bool
	Level, Description uint8
}

// SessionEchoed reports whether the server answered with the session id that
// the client had offered. Before TLS 1.3 that resumes the session; a server
// of TLS 1.3 always echoes it (RFC 8446 section 4.1.3).
func (h *Handshake) SessionEchoed() bool {
	return h.ClientSeen && h.ServerSeen && len(h.Server.SessionID) > 0 && string(h.Server.SessionID) == string(h.Client.SessionID)
}
