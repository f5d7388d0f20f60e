package foxio

import (
	"crypto/sha256"
	"encoding/hex"
)

const (
	hexDigits = "0123456789abcdef"
	emptyHash = "000000000000"
	// scratchLen holds the text behind any but the oddest hash; longer texts
	// move to the heap.
	scratchLen = 2048
)

// appendHash appends the hash of a joined list.
func appendHash(b, text []byte) []byte {
	if len(text) == 0 {
		return append(b, emptyHash...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(b, sum[:len(emptyHash)/2])
}

// appendCount appends a count in two digits.
func appendCount(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, byte('0'+n/10), byte('0'+n%10))
}

func appendHex(b []byte, v uint16) []byte {
	return append(b, hexDigits[v>>12], hexDigits[v>>8&15], hexDigits[v>>4&15], hexDigits[v&15])
}

// appendComma appends the separator that stands before every element but the
// first.
func appendComma(list []byte) []byte {
	if len(list) > 0 {
		return append(list, ',')
	}
	return list
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }
