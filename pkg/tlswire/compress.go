package tlswire

import (
	"bytes"
	"compress/zlib"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// Algorithms of certificate compression (RFC 8879 section 7.3).
const (
	compressZlib   = 1
	compressBrotli = 2
	compressZstd   = 3
)

const (
	// maxCertificateMessage bounds what a CompressedCertificate may become.
	maxCertificateMessage = 256 << 10
	// maxZstdWindow is what a message may ask of a decoder's memory (RFC 8878 section 3.1.1.1.2).
	maxZstdWindow = 8 << 20
)

// compressedCertificate appends the chain of a CompressedCertificate to chain:
// algorithm 2 | uncompressed length 3 | compressed message <3> (RFC 8879 section 4). It
// returns the algorithm and the uncompressed length too. TLS 1.3 encrypts the
// message; in clear only experiments send it, so that its cost is no matter.
func (h *Handshake) compressedCertificate(chain [][]byte, body []byte) (algorithm uint16, length int, _ [][]byte) {
	r := reader{b: body}
	algorithm = r.u16()
	length = r.u24()
	in := r.vec24()
	message, ok := h.inflate(algorithm, in, length)
	if !ok || r.bad || !r.empty() {
		h.Incomplete = true
	}
	const lengthLen = 3
	if list := (reader{b: message}); lengthLen+list.u24() == length {
		return algorithm, length, h.certificates(chain, message) // as in TLS 1.2
	}
	return algorithm, length, h.certificates13(chain, message)
}

// certificates13 appends a chain in the form of TLS 1.3 to chain (RFC 8446
// section 4.4.2): context <1>, then a list <3> of certificates <3> with
// extensions <2>.
func (h *Handshake) certificates13(chain [][]byte, body []byte) [][]byte {
	r := reader{b: body}
	r.vec8()
	list := reader{b: r.vec24()}
	for !list.empty() && len(chain) < maxCertificates {
		der := list.vec24()
		if list.bad {
			break
		}
		chain = append(chain, der)
		list.vec16()
	}
	if r.bad || !r.empty() || list.bad || !list.empty() {
		h.Incomplete = true
	}
	return chain
}

// inflate decompresses into h.inflated, behind what is there. It returns what
// could be decompressed, and whether that is the declared length.
func (h *Handshake) inflate(algorithm uint16, in []byte, length int) ([]byte, bool) {
	if length > maxCertificateMessage {
		return nil, false
	}
	var from io.Reader
	var err error
	switch algorithm {
	case compressZlib:
		from, err = zlib.NewReader(bytes.NewReader(in))
	case compressBrotli:
		from = brotli.NewReader(bytes.NewReader(in))
	case compressZstd:
		var z *zstd.Decoder
		z, err = zstd.NewReader(bytes.NewReader(in), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err == nil {
			defer z.Close()
			from = z
		}
	}
	if from == nil || err != nil {
		return nil, false
	}
	start := len(h.inflated)
	buf := append(h.inflated, make([]byte, length+1)...) // one more shows what is too long
	n, err := io.ReadFull(from, buf[start:])
	whole := n == length && err != nil // nothing came behind
	end := start + min(n, length)
	h.inflated = buf[:end]
	return buf[start:end:end], whole
}
