package foxio

import "trench/pkg/tlswire"

// JA4S returns the JA4S of a ServerHello that came over transport: 't' TCP,
// 'q' QUIC, 'd' DTLS. alpn is the protocol that the server chose, nil when it
// chose none in clear.
func JA4S(h *tlswire.ServerHello, transport byte, alpn []byte) string {
	var buf [32]byte
	var scratch [scratchLen]byte
	text, count := scratch[:0], 0
	for _, e := range h.Extensions {
		if !tlswire.IsGREASE(e) {
			text = appendHex(appendComma(text), e)
			count++
		}
	}
	out := append(buf[:0], transport)
	out = append(out, versionCode(h.SelectedVersion)...)
	out = appendCount(out, count)
	out = appendALPN(out, alpn)
	out = append(out, '_')
	out = appendHex(out, h.CipherSuite)
	out = append(out, '_')
	return string(appendHash(out, text))
}

// versionCode names a version in two characters.
func versionCode(v uint16) string {
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

// appendALPN appends the first and last character of a protocol name, or of
// its hex form when either is not alphanumeric.
func appendALPN(b, alpn []byte) []byte {
	if len(alpn) == 0 {
		return append(b, "00"...)
	}
	first, last := alpn[0], alpn[len(alpn)-1]
	if alphanumeric(first) && alphanumeric(last) {
		return append(b, first, last)
	}
	return append(b, hexDigits[first>>4], hexDigits[last&15])
}

func alphanumeric(c byte) bool { return letter(c) || digit(c) }
