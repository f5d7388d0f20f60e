package foxio

import (
	"trench/pkg/fingerprint/internal/ja4text"
	"trench/pkg/tlswire"
)

// JA4S returns the JA4S of a ServerHello that came over transport: 't' TCP,
// 'q' QUIC, 'd' DTLS. alpn is the protocol that the server chose, nil when it
// chose none in clear.
func JA4S(h *tlswire.ServerHello, transport byte, alpn []byte) string {
	var buf [32]byte
	var scratch [scratchLen]byte
	text, count := scratch[:0], 0
	for _, e := range h.Extensions {
		if !tlswire.IsGREASE(e) {
			text = ja4text.AppendHex(appendComma(text), e)
			count++
		}
	}
	out := append(buf[:0], transport)
	out = append(out, ja4text.Version(h.SelectedVersion)...)
	out = ja4text.AppendCount(out, count)
	out = ja4text.AppendALPN(out, alpn)
	out = append(out, '_')
	out = ja4text.AppendHex(out, h.CipherSuite)
	out = append(out, '_')
	return string(ja4text.AppendHash(out, text))
}
