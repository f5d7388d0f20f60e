package plan

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
)

// MaxBytes is the most that anybody sends or asks for at once.
const MaxBytes = 8 << 20

// Bytes returns n random bytes.
func Bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// Frame is what a step of verb raw sends: n and m as 4 bytes each, most
// significant first, then n random bytes. The answer is m bytes.
func Frame(n, m int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	b = binary.BigEndian.AppendUint32(b, uint32(m))
	return append(b, Bytes(n)...)
}

// ReadFrame reads a frame and returns what it asks for; io.EOF ends the frames.
func ReadFrame(r io.Reader) (m int, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	n, want := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
	if n > MaxBytes || want > MaxBytes {
		return 0, fmt.Errorf("frame of %d bytes that asks for %d", n, want)
	}
	_, err = io.CopyN(io.Discard, r, int64(n))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return int(want), err
}
