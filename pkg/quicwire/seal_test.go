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
	short      bool // of the number one byte is sent, not four
	frames     []byte
}

func saltOf(tb testing.TB, version uint32) []byte {
	tb.Helper()
	const (
		draft22 = "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a"
		draft23 = "c3eef712c72ebb5a11a7d2432bb46365bef9f502"
		draft29 = "afbfec289993d24c9e9786f19c6111e04390a899"
		v1      = "38762cf7f55934b34d179ae6a4c80cadccbb7f0a"
	)
	text := map[uint32]string{
		quicwire.Version1: v1,
		quicwire.Version2: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
		0x51303530:        "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45", // Q050
		0x54303530:        "7ff579e5acd072915580304c43a2367c60488310", // T050
		0x54303531:        "7a4edef4e7ccee5fa4506c19124fc8ccda6e033d", // T051
		0xfaceb001:        draft22,
		0xfaceb002:        draft23,
		0xff000016:        draft22,
		0xff000017:        draft23,
		0xff00001c:        draft23,
		0xff00001d:        draft29,
		0xff000020:        draft29,
		0xff000021:        v1,
		0xff000022:        v1,
		0x1a2a3a4a:        v1, // reserved
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
	size := 4
	if p.short {
		size = 1
		first &^= 3
	}
	secret := expandLabel(tb, root, perspective, 32)
	iv := expandLabel(tb, secret, prefix+"iv", 12)
	aead, err := cipher.NewGCM(newBlock(tb, expandLabel(tb, secret, prefix+"key", 16)))
	if err != nil {
		tb.Fatal(err)
	}

	out := header(first, p.version, p.dcid, p.scid)
	out = append(varint(out, len(p.token)), p.token...)
	out = varint(out, size+len(p.frames)+aead.Overhead())
	at := len(out)
	out = append(out, binary.BigEndian.AppendUint32(nil, uint32(p.number))[4-size:]...)
	for i := range 8 {
		iv[4+i] ^= byte(p.number >> (8 * (7 - i)))
	}
	out = aead.Seal(out, iv, p.frames, slices.Clone(out))
	mask := make([]byte, 16)
	newBlock(tb, expandLabel(tb, secret, prefix+"hp", 16)).Encrypt(mask, out[at+4:at+20])
	out[0] ^= mask[0] & 0x0f
	for i := range size {
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
