// Package ja4text writes the parts that JA4 and the rest of its suite share:
// versions, counts, protocol names, hexadecimal values and hashes of lists.
package ja4text

import (
	"crypto/sha256"
	"encoding/hex"

	"trench/pkg/tlswire"
)

// EmptyHash stands for the hash of an empty list.
const EmptyHash = "000000000000"

const hexDigits = "0123456789abcdef"

// Version names a version of TLS or DTLS in two characters, 00 when it is unknown.
func Version(v uint16) string {
	switch v {
	case tlswire.VersionTLS13:
		return "13"
	case tlswire.VersionTLS12:
		return "12"
	case tlswire.VersionTLS11:
		return "11"
	case tlswire.VersionTLS10:
		return "10"
	case tlswire.VersionSSL30:
		return "s3"
	case tlswire.VersionSSL20:
		return "s2"
	case tlswire.VersionDTLS10:
		return "d1"
	case tlswire.VersionDTLS12:
		return "d2"
	case tlswire.VersionDTLS13:
		return "d3"
	}
	return "00"
}

// AppendCount appends a count in two digits, at most 99.
func AppendCount(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, byte('0'+n/10), byte('0'+n%10))
}

// AppendALPN appends the first and last character of a protocol name, or of its
// hex form when either is not alphanumeric, and 00 for no name.
func AppendALPN(b, name []byte) []byte {
	if len(name) == 0 {
		return append(b, "00"...)
	}
	first, last := name[0], name[len(name)-1]
	if alphanumeric(first) && alphanumeric(last) {
		return append(b, first, last)
	}
	return append(b, hexDigits[first>>4], hexDigits[last&15])
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// AppendHex appends a value in four hex digits.
func AppendHex(b []byte, v uint16) []byte {
	return append(b, hexDigits[v>>12], hexDigits[v>>8&15], hexDigits[v>>4&15], hexDigits[v&15])
}

// AppendHash appends the hash of a joined list: the first 12 hex digits of its
// SHA-256, EmptyHash for an empty one.
func AppendHash(b, text []byte) []byte {
	if len(text) == 0 {
		return append(b, EmptyHash...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(b, sum[:len(EmptyHash)/2])
}
