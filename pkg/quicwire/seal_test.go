package quicwire_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"trench/pkg/quicwire"
)

// initial is an Initial to be made. It is sealed with the standard library's
// HKDF, apart from what the package does.
type initial struct {
	version    uint32
	keys       []byte // connection id that the keys follow from; nil: dcid
	dcid, scid []byte
	token      []byte
	server     bool // sent by the server
	number     uint64
	frames     []byte
}

// salts by version, for the tests only of those that have an example in an RFC.
func saltOf(tb testing.TB, version uint32) []byte {
	tb.Helper()
	text := map[uint32]string{
		quicwire.Version1: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
		quicwire.Version2: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
		0x51303530:        "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45",
	}[version]
	salt, err := hex.DecodeString(text)
	if err != nil || len(salt) == 0 {
		tb.Fatalf("no salt for %#x", version)
	}
	return salt
}

func expandLabel(tb testing.TB, secret []byte, label string, n int) []byte {
	tb.Helper()
	info := append([]byte{0, byte(n), byte(6 + len(label))}, "tls13 "+label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func newBlock(tb testing.TB, key []byte) cipher.Block {
	tb.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		tb.Fatal(err)
	}
	return block
}

func varint(b []byte, v int) []byte { return binary.BigEndian.AppendUint32(b, 2<<30|uint32(v)) }

func (p initial) seal(tb testing.TB) []byte {
	tb.Helper()
	if p.version == 0 {
		p.version = quicwire.Version1
	}
	if p.keys == nil {
		p.keys = p.dcid
	}
	root, err := hkdf.Extract(sha256.New, p.keys, saltOf(tb, p.version))
	if err != nil {
		tb.Fatal(err)
	}
	perspective, prefix, first := "client in", "quic ", byte(0xc3)
	if p.server {
		perspective = "server in"
	}
	if p.version == quicwire.Version2 {
		prefix, first = "quicv2 ", 0xd3
	}
	secret := expandLabel(tb, root, perspective, 32)
	iv := expandLabel(tb, secret, prefix+"iv", 12)
	aead, err := cipher.NewGCM(newBlock(tb, expandLabel(tb, secret, prefix+"key", 16)))
	if err != nil {
		tb.Fatal(err)
	}

	out := header(first, p.version, p.dcid, p.scid)
	out = append(varint(out, len(p.token)), p.token...)
	out = varint(out, 4+len(p.frames)+aead.Overhead())
	at := len(out)
	out = binary.BigEndian.AppendUint32(out, uint32(p.number))
	for i := range 8 {
		iv[4+i] ^= byte(p.number >> (8 * (7 - i)))
	}
	out = aead.Seal(out, iv, p.frames, slices.Clone(out))
	mask := make([]byte, 16)
	newBlock(tb, expandLabel(tb, secret, prefix+"hp", 16)).Encrypt(mask, out[at+4:at+20])
	out[0] ^= mask[0] & 0x0f
	for i := range 4 {
		out[at+i] ^= mask[1+i]
	}
	return out
}

// header makes what long headers have in common.
func header(first byte, version uint32, dcid, scid []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{first}, version)
	out = append(append(out, byte(len(dcid))), dcid...)
	return append(append(out, byte(len(scid))), scid...)
}

// crypto makes a CRYPTO frame of a piece of a stream.
func crypto(stream []byte, from, to int) []byte {
	return append(varint(varint([]byte{6}, from), to-from), stream[from:to]...)
}

// join puts frames one after the other and pads them to the size of an Initial.
func join(frames ...[]byte) []byte {
	out := slices.Concat(frames...)
	return append(out, make([]byte, max(0, 1100-len(out)))...)
}
