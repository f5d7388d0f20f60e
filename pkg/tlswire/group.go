package tlswire

import "fmt"

// GroupName returns the IANA name of a supported group, or 0x1234 for a number
// without one. A few names stand for hybrids of experiments, which are not
// registered.
func GroupName(id uint16) string {
	switch id {
	case 1:
		return "sect163k1"
	case 2:
		return "sect163r1"
	case 3:
		return "sect163r2"
	case 4:
		return "sect193r1"
	case 5:
		return "sect193r2"
	case 6:
		return "sect233k1"
	case 7:
		return "sect233r1"
	case 8:
		return "sect239k1"
	case 9:
		return "sect283k1"
	case 10:
		return "sect283r1"
	case 11:
		return "sect409k1"
	case 12:
		return "sect409r1"
	case 13:
		return "sect571k1"
	case 14:
		return "sect571r1"
	case 15:
		return "secp160k1"
	case 16:
		return "secp160r1"
	case 17:
		return "secp160r2"
	case 18:
		return "secp192k1"
	case 19:
		return "secp192r1"
	case 20:
		return "secp224k1"
	case 21:
		return "secp224r1"
	case 22:
		return "secp256k1"
	case 23:
		return "secp256r1"
	case 24:
		return "secp384r1"
	case 25:
		return "secp521r1"
	case 26:
		return "brainpoolP256r1"
	case 27:
		return "brainpoolP384r1"
	case 28:
		return "brainpoolP512r1"
	case 29:
		return "x25519"
	case 30:
		return "x448"
	case 31:
		return "brainpoolP256r1tls13"
	case 32:
		return "brainpoolP384r1tls13"
	case 33:
		return "brainpoolP512r1tls13"
	case 34:
		return "GC256A"
	case 35:
		return "GC256B"
	case 36:
		return "GC256C"
	case 37:
		return "GC256D"
	case 38:
		return "GC512A"
	case 39:
		return "GC512B"
	case 40:
		return "GC512C"
	case 41:
		return "curveSM2"
	case 256:
		return "ffdhe2048"
	case 257:
		return "ffdhe3072"
	case 258:
		return "ffdhe4096"
	case 259:
		return "ffdhe6144"
	case 260:
		return "ffdhe8192"
	case 0x0200:
		return "MLKEM512"
	case 0x0201:
		return "MLKEM768"
	case 0x0202:
		return "MLKEM1024"
	case 0x11eb:
		return "SecP256r1MLKEM768"
	case 0x11ec:
		return "X25519MLKEM768"
	case 0x11ed:
		return "SecP384r1MLKEM1024"
	case 0x11ee:
		return "curveSM2MLKEM768"
	case 0x4138:
		return "CECPQ2"
	case 0x6399:
		return "X25519Kyber768Draft00"
	case 0x639a:
		return "SecP256r1Kyber768Draft00"
	case 0xfe30:
		return "X25519Kyber512Draft00"
	case 0xfe31:
		return "X25519Kyber768Draft00Old"
	case 0xfe32:
		return "P256Kyber768Draft00"
	case 0xff01:
		return "arbitrary_explicit_prime_curves"
	case 0xff02:
		return "arbitrary_explicit_char2_curves"
	}
	return fmt.Sprintf("0x%04x", id)
}

// IsHybrid reports whether a group joins a classical key exchange with a
// post-quantum one: ML-KEM (draft-ietf-tls-ecdhe-mlkem), and Kyber and NTRU-HRSS
// in the experiments before it.
func IsHybrid(group uint16) bool {
	switch group {
	case 0x11eb, 0x11ec, 0x11ed, 0x11ee, 0x4138, 0x6399, 0x639a, 0xfe30, 0xfe31, 0xfe32:
		return true
	}
	return false
}
