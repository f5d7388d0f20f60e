package fingerprint

import (
	"slices"

	"trench/pkg/fingerprint/internal/ja4text"
	"trench/pkg/tlswire"
)

// Transports that JA4 tells apart.
const (
	TransportTCP  = 't'
	TransportQUIC = 'q'
	TransportDTLS = 'd'
)

const (
	extSNI  = 0
	extALPN = 16
)

// JA4 returns the JA4 of a ClientHello that came over transport.
func JA4(h *tlswire.ClientHello, transport byte) string {
	var room [2][128]uint16
	ciphers := appendClean(room[0][:0], h.CipherSuites)
	exts := appendClean(room[1][:0], h.Extensions)

	var buf [40]byte
	out := append(buf[:0], transport)
	out = append(out, ja4text.Version(ja4Version(h))...)
	if h.HasExtension(extSNI) {
		out = append(out, 'd')
	} else {
		out = append(out, 'i')
	}
	out = ja4text.AppendCount(out, len(ciphers))
	out = ja4text.AppendCount(out, len(exts))
	var protocol []byte
	if len(h.ALPN) > 0 {
		protocol = h.ALPN[0]
	}
	out = ja4text.AppendALPN(out, protocol)

	var text [scratchLen]byte
	slices.Sort(ciphers)
	out = append(out, '_')
	out = ja4text.AppendHash(out, appendHexList(text[:0], ciphers))

	exts = slices.DeleteFunc(exts, func(e uint16) bool { return e == extSNI || e == extALPN })
	slices.Sort(exts)
	out = append(out, '_')
	if len(exts) == 0 {
		// The specification asks for zeros when there are no extensions to
		// sort; signature algorithms cannot be there without their extension.
		return string(append(out, ja4text.EmptyHash...))
	}
	b := appendHexList(text[:0], exts)
	sep := byte('_')
	for _, v := range h.SignatureAlgs {
		if !tlswire.IsGREASE(v) {
			b = ja4text.AppendHex(append(b, sep), v)
			sep = ','
		}
	}
	return string(ja4text.AppendHash(out, b))
}

// ja4Version is the highest of supported_versions without GREASE, else the
// legacy version.
func ja4Version(h *tlswire.ClientHello) uint16 {
	v, named := uint16(0), false
	for _, s := range h.SupportedVersions {
		if !tlswire.IsGREASE(s) {
			v, named = max(v, s), true
		}
	}
	if !named {
		return h.Version
	}
	return v
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
		b = ja4text.AppendHex(b, v)
	}
	return b
}
