package fingerprint

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"trench/pkg/tlswire"
)

// Transports that JA4 tells apart.
const (
	TransportTCP  = 't'
	TransportQUIC = 'q'
	TransportDTLS = 'd'
)

const (
	hexDigits = "0123456789abcdef"
	emptyHash = "000000000000"
	extSNI    = 0
	extALPN   = 16
)

// JA4 returns the JA4 of a ClientHello that came over transport.
func JA4(h *tlswire.ClientHello, transport byte) string {
	var room [2][128]uint16
	ciphers := appendClean(room[0][:0], h.CipherSuites)
	exts := appendClean(room[1][:0], h.Extensions)

	var buf [40]byte
	out := append(buf[:0], transport)
	out = append(out, ja4Version(h)...)
	if h.HasExtension(extSNI) {
		out = append(out, 'd')
	} else {
		out = append(out, 'i')
	}
	out = appendCount(out, len(ciphers))
	out = appendCount(out, len(exts))
	out = appendALPN(out, h.ALPN)

	var text [scratchLen]byte
	slices.Sort(ciphers)
	out = append(out, '_')
	out = appendHash(out, appendHexList(text[:0], ciphers))

	exts = slices.DeleteFunc(exts, func(e uint16) bool { return e == extSNI || e == extALPN })
	slices.Sort(exts)
	out = append(out, '_')
	if len(exts) == 0 {
		// The specification asks for zeros when there are no extensions to
		// sort; signature algorithms cannot be there without their extension.
		return string(append(out, emptyHash...))
	}
	b := appendHexList(text[:0], exts)
	sep := byte('_')
	for _, v := range h.SignatureAlgs {
		if !tlswire.IsGREASE(v) {
			b = appendHex(append(b, sep), v)
			sep = ','
		}
	}
	return string(appendHash(out, b))
}

// ja4Version is the highest of supported_versions without GREASE, else the
// legacy version.
func ja4Version(h *tlswire.ClientHello) string {
	v, named := uint16(0), false
	for _, s := range h.SupportedVersions {
		if !tlswire.IsGREASE(s) {
			v, named = max(v, s), true
		}
	}
	if !named {
		v = h.Version
	}
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

func appendCount(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, byte('0'+n/10), byte('0'+n%10))
}

// appendALPN appends the first and last character of the first value, or of
// its hex form when either is not alphanumeric.
func appendALPN(b []byte, alpn [][]byte) []byte {
	if len(alpn) == 0 || len(alpn[0]) == 0 {
		return append(b, "00"...)
	}
	first, last := alpn[0][0], alpn[0][len(alpn[0])-1]
	if alphanumeric(first) && alphanumeric(last) {
		return append(b, first, last)
	}
	return append(b, hexDigits[first>>4], hexDigits[last&15])
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func appendClean(dst, list []uint16) []uint16 {
	for _, v := range list {
		if !tlswire.IsGREASE(v) {
			dst = append(dst, v)
		}
	}
	return dst
}

func appendHexList(b []byte, list []uint16) []byte {
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendHex(b, v)
	}
	return b
}

func appendHex(b []byte, v uint16) []byte {
	return append(b, hexDigits[v>>12], hexDigits[v>>8&15], hexDigits[v>>4&15], hexDigits[v&15])
}

// appendHash appends the first 12 hex digits of SHA-256, zeros for no text.
func appendHash(b, text []byte) []byte {
	if len(text) == 0 {
		return append(b, emptyHash...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(b, sum[:6])
}
