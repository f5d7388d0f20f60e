package sshwire

import (
	"crypto/md5"
	"encoding/hex"
)

// scratchLen is room for the text of a fingerprint; longer ones move to the heap.
const scratchLen = 2048

// AppendHASSH appends the text that HASSH digests (github.com/salesforce/hassh): what
// a client offers for key exchange, encryption, MAC and compression of what it
// sends, separated by semicolons.
func AppendHASSH(dst []byte, k *KexInit) []byte {
	return appendLists(dst, k.KexAlgorithms, k.CiphersC2S, k.MACsC2S, k.CompressionC2S)
}

// HASSH returns the fingerprint of a client, the MD5 in hexadecimal digits of AppendHASSH's
// text, and nothing without a KEXINIT.
func HASSH(k *KexInit) string {
	var room [scratchLen]byte
	return digest(k, AppendHASSH(room[:0], k))
}

// HASSHServer returns the fingerprint of a server, which is HASSH of the lists for
// what the server sends.
func HASSHServer(k *KexInit) string {
	var room [scratchLen]byte
	return digest(k, appendLists(room[:0], k.KexAlgorithms, k.CiphersS2C, k.MACsS2C, k.CompressionS2C))
}

func appendLists(dst, kex, ciphers, macs, compression []byte) []byte {
	dst = append(append(dst, kex...), ';')
	dst = append(append(dst, ciphers...), ';')
	dst = append(append(dst, macs...), ';')
	return append(dst, compression...)
}

func digest(k *KexInit, text []byte) string {
	if !k.Seen {
		return ""
	}
	sum := md5.Sum(text)
	return hex.EncodeToString(sum[:])
}
