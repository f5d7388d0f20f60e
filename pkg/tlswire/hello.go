package tlswire

// ClientHello is a parsed ClientHello. Slices keep wire order, duplicates and
// GREASE; byte slices alias the message.
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
	KeyShares         []KeyShare
	PSKModes          []byte
	HasExtensions     bool // an extensions block was present, even if empty
	PaddingLen        int  // bytes of extension 21, -1 when absent
	PSK               bool // pre_shared_key offered
	SessionTicketLen  int  // bytes offered in extension 35, -1 when absent
	EarlyData         bool
	ECH               bool // extension 65037 present
	Length            int  // handshake message body, bytes as declared
	SSLv2             bool // came in the SSL 2.0 format, which has no extensions
	Incomplete        bool // ended before its declared length, or malformed inside
}

// KeyShare is one entry of the key_share extension.
type KeyShare struct {
	Group  uint16
	Length int // bytes of the key exchange
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
}

// Handshake is what both directions of one TLS connection showed in clear.
type Handshake struct {
	ClientSeen, ServerSeen bool
	Client                 ClientHello // the first one
	Server                 ServerHello // the first that is no HelloRetryRequest
	HelloRetry             bool
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

	retry   ServerHello // room for a HelloRetryRequest, and then for what follows it
	scratch []byte      // messages that span records
}

// Alert is a TLS alert in clear.
type Alert struct {
	FromServer         bool
	Level, Description uint8
}
