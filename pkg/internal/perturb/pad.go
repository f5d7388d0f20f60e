package main

import (
	"encoding/binary"
	"math/rand/v2"

	"trench/pkg/tlswire"
)

// maxBody is the longest body of an encrypted record (RFC 8446 section 5.2).
const maxBody = 1<<14 + 256

// padTo grows bodies to the next multiple of n.
func padTo(n int) plan {
	return grow(func(length int, _ *rand.Rand) int { return (length + n - 1) / n * n })
}

// padBy grows bodies by a multiple of 16, the block of most ciphers, below n.
func padBy(n int) plan {
	return grow(func(length int, rng *rand.Rand) int { return length + 16*rng.IntN((n+15)/16) })
}

// grow plans longer bodies for the application-data records at the beginning of
// a direction. Records that would get too long, and the one that data ends in,
// stay as they are.
func grow(to func(length int, rng *rand.Rand) int) plan {
	const header = 5
	return func(data []byte, rng *rand.Rand) []insertion {
		if len(data) < header || data[0] != byte(tlswire.RecordHandshake) || data[1] != 3 {
			return nil
		}
		var out []insertion
		for at := 0; at+header <= len(data) && data[at+1] == 3; {
			field := data[at+3 : at+header]
			length := int(binary.BigEndian.Uint16(field))
			end := at + header + length
			if end > len(data) {
				break
			}
			if data[at] == byte(tlswire.RecordApplicationData) {
				if longer := to(length, rng); longer > length && longer <= maxBody {
					binary.BigEndian.PutUint16(field, uint16(longer))
					out = append(out, insertion{at: end, bytes: noise(longer-length, rng)})
				}
			}
			at = end
		}
		return out
	}
}

// noise is what ciphertext looks like.
func noise(n int, rng *rand.Rand) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
