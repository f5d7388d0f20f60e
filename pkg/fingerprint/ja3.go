package fingerprint

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"

	"trench/pkg/tlswire"
)

// scratchLen holds the text behind any but the oddest fingerprint; longer ones
// move to the heap.
const scratchLen = 1024

// JA3 returns the JA3 of a ClientHello as 32 hex digits, and "" for one in the
// format of SSL 2.0, for which JA3 is not defined.
func JA3(h *tlswire.ClientHello) string {
	if h.SSLv2 {
		return ""
	}
	var buf [scratchLen]byte
	return md5Hex(AppendJA3(buf[:0], h))
}

// AppendJA3 appends the text behind JA3 to b.
func AppendJA3(b []byte, h *tlswire.ClientHello) []byte {
	b = strconv.AppendUint(b, uint64(h.Version), 10)
	b = append(b, ',')
	b = appendList(b, h.CipherSuites)
	b = append(b, ',')
	b = appendList(b, h.Extensions)
	b = append(b, ',')
	b = appendList(b, h.Groups)
	b = append(b, ',')
	for i, f := range h.PointFormats {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(f), 10)
	}
	return b
}

// JA3S returns the JA3S of a ServerHello as 32 hex digits.
func JA3S(h *tlswire.ServerHello) string {
	var buf [scratchLen]byte
	return md5Hex(AppendJA3S(buf[:0], h))
}

// AppendJA3S appends the text behind JA3S to b.
func AppendJA3S(b []byte, h *tlswire.ServerHello) []byte {
	b = strconv.AppendUint(b, uint64(h.Version), 10)
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(h.CipherSuite), 10)
	b = append(b, ',')
	return appendList(b, h.Extensions)
}

// appendList appends the numbers of list that are no GREASE.
func appendList(b []byte, list []uint16) []byte {
	first := true
	for _, v := range list {
		if tlswire.IsGREASE(v) {
			continue
		}
		if !first {
			b = append(b, '-')
		}
		first = false
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return b
}

func md5Hex(text []byte) string {
	sum := md5.Sum(text)
	var out [2 * md5.Size]byte
	hex.Encode(out[:], sum[:])
	return string(out[:])
}
