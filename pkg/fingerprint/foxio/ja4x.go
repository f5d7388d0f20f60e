package foxio

import "encoding/hex"

// JA4X returns the JA4X of a certificate from the OIDs of its issuer's and
// subject's attributes and of its extensions, each as the bytes of the DER
// value, in the order of the certificate, repetitions included.
func JA4X(issuerOIDs, subjectOIDs, extensionOIDs [][]byte) string {
	var buf [3 * (len(emptyHash) + 1)]byte
	var scratch [scratchLen]byte
	out := appendHash(buf[:0], appendOIDs(scratch[:0], issuerOIDs))
	out = append(out, '_')
	out = appendHash(out, appendOIDs(scratch[:0], subjectOIDs))
	out = append(out, '_')
	return string(appendHash(out, appendOIDs(scratch[:0], extensionOIDs)))
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
