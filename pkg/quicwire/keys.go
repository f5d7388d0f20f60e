package quicwire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
)

const (
	maxNumberLen = 4  // bytes of a packet number in a header
	sampleLen    = 16 // of header protection (RFC 9001 section 5.4.3)
	keyLen       = 16 // AES-128
	ivLen        = 12
	maxLabel     = 32 // bytes of an encoded label

	// Salts of the initial secret by version (RFC 9001 section 5.2, RFC 9369
	// section 3.3.1, the drafts, and Google's sources).
	saltDraft22 = "\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x19\x3a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x4a"
	saltDraft23 = "\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02"
	saltDraft29 = "\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99"
	salt1       = "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"
	salt2       = "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"
	saltQ050    = "\x50\x45\x74\xef\xd0\x66\xfe\x2f\x9d\x94\x5c\xfc\xdb\xd3\xa7\xf0\xd3\xb5\x6b\x45"
	saltT050    = "\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10"
	saltT051    = "\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d"
)

// initialSalt returns the salt of a version. Packets of a reserved version are
// made as those of version 1.
func initialSalt(version uint32) string {
	switch draft := version & 0xff; {
	case version == Version1, isGreaseVersion(version):
		return salt1
	case version == Version2:
		return salt2
	case version == versionQ050:
		return saltQ050
	case version == versionT050:
		return saltT050
	case version == versionT051:
		return saltT051
	case isMvfst(version):
		if version <= mvfstOnDraft22 {
			return saltDraft22
		}
		return saltDraft23
	case isDraft(version) && draft <= 22:
		return saltDraft22
	case isDraft(version) && draft <= 28:
		return saltDraft23
	case isDraft(version) && draft <= 32:
		return saltDraft29
	case isDraft(version):
		return salt1
	}
	return ""
}

type secret = [sha256.Size]byte

// keys are the Initial keys of both sides that follow from a connection id
// (RFC 9001 section 5.2).
type keys struct {
	version uint32
	dcid    []byte
	initial secret
	sides   [2]protection // each made when it is first needed
}

// protection is what protects the packets of one side.
type protection struct {
	header  cipher.Block
	payload cipher.AEAD
	iv      [ivLen]byte
}

func (k *keys) derive(version uint32, dcid []byte) {
	*k = keys{version: version, dcid: dcid}
	var salt secret // HMAC fills keys up with zeros
	copy(salt[:], initialSalt(version))
	k.initial = hmac(&salt, dcid)
}

// side returns the protection of the packets that one side sends.
func (k *keys) side(from sender) *protection {
	p := &k.sides[from]
	if p.payload != nil {
		return p
	}
	perspective, key, iv, header := "client in", "quic key", "quic iv", "quic hp"
	if from == fromServer {
		perspective = "server in"
	}
	if k.version == Version2 {
		key, iv, header = "quicv2 key", "quicv2 iv", "quicv2 hp"
	}
	s := expand(&k.initial, perspective, sha256.Size)
	p.header = newAES(expand(&s, header, keyLen))
	gcm, err := cipher.NewGCM(newAES(expand(&s, key, keyLen)))
	if err != nil {
		panic("quicwire: " + err.Error()) // AES has the block that GCM wants
	}
	p.payload = gcm
	out := expand(&s, iv, ivLen)
	copy(p.iv[:], out[:])
	return p
}

func newAES(key secret) cipher.Block {
	block, err := aes.NewCipher(key[:keyLen])
	if err != nil {
		panic("quicwire: " + err.Error()) // the length is right
	}
	return block
}

// expand is HKDF-Expand-Label without context (RFC 8446 section 7.1) for up to
// 32 bytes, of which the first n count: one round of HMAC.
func expand(s *secret, label string, n uint8) secret {
	info := append(make([]byte, 0, maxLabel), 0, n, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "...)
	info = append(info, label...)
	return hmac(s, append(info, 0, 1))
}

// hmac is HMAC-SHA256 of a message that is no longer than maxLabel. It lives
// on the stack, unlike crypto/hmac.
func hmac(key *secret, msg []byte) secret {
	var inner [sha256.BlockSize + maxLabel]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	for i := range sha256.BlockSize {
		inner[i], outer[i] = 0x36, 0x5c
	}
	for i, b := range key {
		inner[i] ^= b
		outer[i] ^= b
	}
	n := copy(inner[sha256.BlockSize:], msg)
	sum := sha256.Sum256(inner[:sha256.BlockSize+n])
	copy(outer[sha256.BlockSize:], sum[:])
	return sha256.Sum256(outer[:])
}

// opener takes the protection off packets. Its memory is reused.
type opener struct {
	mask   [aes.BlockSize]byte
	nonce  [ivLen]byte
	header []byte
	plain  []byte
}

// open returns the frames of an Initial, valid until the next call, and its
// number. Largest is the highest number that was seen of the sender, -1 for none.
func (o *opener) open(s *protection, p *packet, largest int64) (frames []byte, number int64, ok bool) {
	sealed := p.raw[p.payload:]
	if len(sealed) < minPayload {
		return nil, 0, false
	}
	s.header.Encrypt(o.mask[:], sealed[maxNumberLen:minPayload])
	first := p.raw[0] ^ o.mask[0]&0x0f
	n := int(first&3) + 1
	o.header = append(o.header[:0], p.raw[:p.payload+n]...)
	o.header[0] = first
	for i := range n {
		o.header[p.payload+i] ^= o.mask[1+i]
		number = number<<8 | int64(o.header[p.payload+i])
	}
	number = wholeNumber(number, n, largest)
	o.nonce = s.iv
	tail := o.nonce[ivLen-8:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^uint64(number))
	if cap(o.plain) < len(sealed) {
		o.plain = make([]byte, 0, max(len(sealed), 2048))
	}
	frames, err := s.payload.Open(o.plain[:0], o.nonce[:], sealed[n:], o.header)
	return frames, number, err == nil
}

// wholeNumber completes a packet number of which n bytes were sent, so that it is
// the nearest to the one that comes after the largest (RFC 9000 appendix A.3).
func wholeNumber(sent int64, n int, largest int64) int64 {
	next, window := largest+1, int64(1)<<(8*n)
	number := next&^(window-1) | sent
	switch {
	case number <= next-window/2:
		return number + window
	case number > next+window/2 && number >= window:
		return number - window
	}
	return number
}
