package tlswire

// Record header: type 1, version 2, length 2.
const (
	RecordHeaderLen = 5
	// MaxRecordLen is the longest body that a record may declare: 2^14 bytes of
	// content, and 2048 for compression and protection (RFC 5246 section 6.2.3).
	MaxRecordLen = 1<<14 + 2048
)

// Content types of records.
const (
	RecordChangeCipherSpec = 20
	RecordAlert            = 21
	RecordHandshake        = 22
	RecordApplicationData  = 23
	RecordHeartbeat        = 24

	// RecordGap is no content type of TLS. Its header, of which all other bytes are
	// 0, stands in a row of records where bytes are missing: the record before it is
	// as long as what was captured of it, and another one follows.
	RecordGap = 0
)

// Types of handshake messages.
const (
	MessageHelloRequest          = 0
	MessageClientHello           = 1
	MessageServerHello           = 2
	MessageHelloVerifyRequest    = 3 // DTLS
	MessageNewSessionTicket      = 4
	MessageHelloRetryRequest     = 6
	MessageCertificate           = 11
	MessageServerKeyExchange     = 12
	MessageCertificateRequest    = 13
	MessageServerHelloDone       = 14
	MessageCertificateVerify     = 15
	MessageClientKeyExchange     = 16
	MessageFinished              = 20
	MessageCertificateStatus     = 22
	MessageCompressedCertificate = 25 // RFC 8879: algorithm 1 zlib, 2 brotli, 3 zstd
)

// LooksLikeRecord reports whether b begins with a plausible record header:
// content type 20 to 24, major version 3, minor version at most 4 and a body
// of at most MaxRecordLen bytes. It needs all five bytes of the header.
func LooksLikeRecord(b []byte) bool {
	return len(b) >= RecordHeaderLen &&
		b[0] >= RecordChangeCipherSpec && b[0] <= RecordHeartbeat &&
		b[1] == 3 && b[2] <= 4 &&
		int(b[3])<<8|int(b[4]) <= MaxRecordLen
}
