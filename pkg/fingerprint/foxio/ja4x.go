package foxio

import (
	"encoding/hex"

	"trench/pkg/fingerprint/internal/ja4text"
)

// JA4X returns the JA4X of a certificate from the OIDs of its issuer's and
// subject's attributes and of its extensions, each as the bytes of the DER
// value, in the order of the certificate, repetitions included.
func JA4X(issuerOIDs, subjectOIDs, extensionOIDs [][]byte) string {
	var buf [3 * (len(ja4text.EmptyHash) + 1)]byte
	var scratch [scratchLen]byte
	out := ja4text.AppendHash(buf[:0], appendOIDs(scratch[:0], issuerOIDs))
	out = append(out, '_')
	out = ja4text.AppendHash(out, appendOIDs(scratch[:0], subjectOIDs))
	out = append(out, '_')
	return string(ja4text.AppendHash(out, appendOIDs(scratch[:0], extensionOIDs)))
}

func appendOIDs(text []byte, oids [][]byte) []byte {
	for i, oid := range oids {
		if i > 0 {
			text = append(text, ',')
		}
		text = hex.AppendEncode(text, oid)
	}
	return text
}
