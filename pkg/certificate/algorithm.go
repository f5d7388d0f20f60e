package certificate

import (
	"strconv"
	"strings"
)

type signature struct {
	name string
	weak bool
}

type keyKind struct {
	kind string
	bits int // where the algorithm fixes it
}

// The tables below are keyed by the encoded object identifier and never change.
var (
	signatures = index(map[string]signature{
		"1.2.840.113549.1.1.2":    {"md2WithRSAEncryption", true},
		"1.2.840.113549.1.1.3":    {"md4WithRSAEncryption", true},
		"1.2.840.113549.1.1.4":    {"md5WithRSAEncryption", true},
		"1.2.840.113549.1.1.5":    {"sha1WithRSAEncryption", true},
		"1.2.840.113549.1.1.10":   {"rsassaPss", false},
		"1.2.840.113549.1.1.11":   {"sha256WithRSAEncryption", false},
		"1.2.840.113549.1.1.12":   {"sha384WithRSAEncryption", false},
		"1.2.840.113549.1.1.13":   {"sha512WithRSAEncryption", false},
		"1.2.840.113549.1.1.14":   {"sha224WithRSAEncryption", false},
		"1.2.840.113549.1.1.15":   {"sha512-224WithRSAEncryption", false},
		"1.2.840.113549.1.1.16":   {"sha512-256WithRSAEncryption", false},
		"1.3.14.3.2.3":            {"md5WithRSA", true},
		"1.3.14.3.2.15":           {"shaWithRSAEncryption", true},
		"1.3.14.3.2.29":           {"sha1WithRSA", true},
		"1.3.14.3.2.27":           {"dsaWithSHA1-old", true},
		"1.3.36.3.3.1.2":          {"ripemd160WithRSA", false},
		"1.2.840.10040.4.3":       {"dsaWithSHA1", true},
		"2.16.840.1.101.3.4.3.1":  {"dsa_with_SHA224", false},
		"2.16.840.1.101.3.4.3.2":  {"dsa_with_SHA256", false},
		"2.16.840.1.101.3.4.3.3":  {"dsa_with_SHA384", false},
		"2.16.840.1.101.3.4.3.4":  {"dsa_with_SHA512", false},
		"1.2.840.10045.4.1":       {"ecdsa-with-SHA1", true},
		"1.2.840.10045.4.3.1":     {"ecdsa-with-SHA224", false},
		"1.2.840.10045.4.3.2":     {"ecdsa-with-SHA256", false},
		"1.2.840.10045.4.3.3":     {"ecdsa-with-SHA384", false},
		"1.2.840.10045.4.3.4":     {"ecdsa-with-SHA512", false},
		"1.3.101.112":             {"ED25519", false},
		"1.3.101.113":             {"ED448", false},
		"1.2.156.10197.1.501":     {"SM2-with-SM3", false},
		"1.2.643.2.2.3":           {"id-GostR3411-94-with-GostR3410-2001", false},
		"1.2.643.7.1.1.3.2":       {"id-tc26-signwithdigest-gost3410-2012-256", false},
		"1.2.643.7.1.1.3.3":       {"id-tc26-signwithdigest-gost3410-2012-512", false},
		"2.16.840.1.101.3.4.3.17": {"ML-DSA-44", false},
		"2.16.840.1.101.3.4.3.18": {"ML-DSA-65", false},
		"2.16.840.1.101.3.4.3.19": {"ML-DSA-87", false},
	})
	weakHashes = index(map[string]bool{
		"1.2.840.113549.2.2": true, // MD2
		"1.2.840.113549.2.4": true, // MD4
		"1.2.840.113549.2.5": true, // MD5
		"1.3.14.3.2.26":      true, // SHA-1
	})
	keys = index(map[string]keyKind{
		"1.2.840.113549.1.1.1":    {"rsa", 0},
		"1.2.840.113549.1.1.7":    {"rsa", 0}, // OAEP
		"1.2.840.113549.1.1.10":   {"rsa", 0}, // PSS
		"2.5.8.1.1":               {"rsa", 0},
		"1.2.840.10045.2.1":       {"ecdsa", 0},
		"1.3.101.110":             {"x25519", 256},
		"1.3.101.111":             {"x448", 448},
		"1.3.101.112":             {"ed25519", 256},
		"1.3.101.113":             {"ed448", 456},
		"1.2.840.10040.4.1":       {"dsa", 0},
		"1.3.14.3.2.12":           {"dsa", 0},
		"1.2.840.10046.2.1":       {"dh", 0},
		"1.2.840.113549.1.3.1":    {"dh", 0},
		"1.2.643.2.2.19":          {"gost", 256},
		"1.2.643.7.1.1.1.1":       {"gost", 256},
		"1.2.643.7.1.1.1.2":       {"gost", 512},
		"2.16.840.1.101.3.4.3.17": {"ml-dsa", 10496},
		"2.16.840.1.101.3.4.3.18": {"ml-dsa", 15616},
		"2.16.840.1.101.3.4.3.19": {"ml-dsa", 20736},
	})
	curves = index(map[string]int{
		"1.2.840.10045.3.1.1":   192,
		"1.2.840.10045.3.1.7":   256,
		"1.3.132.0.8":           160,
		"1.3.132.0.9":           160,
		"1.3.132.0.10":          256,
		"1.3.132.0.30":          160,
		"1.3.132.0.31":          192,
		"1.3.132.0.32":          224,
		"1.3.132.0.33":          224,
		"1.3.132.0.34":          384,
		"1.3.132.0.35":          521,
		"1.3.36.3.3.2.8.1.1.3":  192,
		"1.3.36.3.3.2.8.1.1.5":  224,
		"1.3.36.3.3.2.8.1.1.7":  256,
		"1.3.36.3.3.2.8.1.1.9":  320,
		"1.3.36.3.3.2.8.1.1.11": 384,
		"1.3.36.3.3.2.8.1.1.13": 512,
		"1.2.156.10197.1.301":   256,
	})
	extKeyUsages = index(map[string]string{
		"1.3.6.1.5.5.7.3.1":      "serverAuth",
		"1.3.6.1.5.5.7.3.2":      "clientAuth",
		"1.3.6.1.5.5.7.3.3":      "codeSigning",
		"1.3.6.1.5.5.7.3.4":      "emailProtection",
		"1.3.6.1.5.5.7.3.5":      "ipsecEndSystem",
		"1.3.6.1.5.5.7.3.6":      "ipsecTunnel",
		"1.3.6.1.5.5.7.3.7":      "ipsecUser",
		"1.3.6.1.5.5.7.3.8":      "timeStamping",
		"1.3.6.1.5.5.7.3.9":      "OCSPSigning",
		"1.3.6.1.5.5.7.3.17":     "ipsecIKE",
		"1.3.6.1.4.1.311.10.3.3": "msSGC",
		"1.3.6.1.4.1.311.20.2.2": "msSmartcardLogin",
		"1.3.6.1.4.1.311.54.1.2": "msRemoteDesktop",
		"2.16.840.1.113730.4.1":  "nsSGC",
		"2.5.29.37.0":            "anyExtendedKeyUsage",
	})
	// The policies of the CA/Browser Forum say what an authority has checked.
	forumPolicies = index(map[string]string{
		"2.23.140.1.1":   "ev",
		"2.23.140.1.2.1": "dv",
		"2.23.140.1.2.2": "ov",
		"2.23.140.1.2.3": "iv",
	})
	attributes = index(map[string]string{
		"2.5.4.3":                    "CN",
		"2.5.4.4":                    "SN",
		"2.5.4.5":                    "SERIALNUMBER",
		"2.5.4.6":                    "C",
		"2.5.4.7":                    "L",
		"2.5.4.8":                    "ST",
		"2.5.4.9":                    "STREET",
		"2.5.4.10":                   "O",
		"2.5.4.11":                   "OU",
		"2.5.4.12":                   "title",
		"2.5.4.13":                   "description",
		"2.5.4.15":                   "businessCategory",
		"2.5.4.17":                   "POSTALCODE",
		"2.5.4.42":                   "GN",
		"2.5.4.46":                   "dnQualifier",
		"2.5.4.65":                   "pseudonym",
		"2.5.4.97":                   "organizationIdentifier",
		"0.9.2342.19200300.100.1.1":  "UID",
		"0.9.2342.19200300.100.1.25": "DC",
		"1.2.840.113549.1.9.1":       "emailAddress",
		"1.2.840.113549.1.9.2":       "unstructuredName",
		"1.3.6.1.4.1.311.60.2.1.1":   "jurisdictionL",
		"1.3.6.1.4.1.311.60.2.1.2":   "jurisdictionST",
		"1.3.6.1.4.1.311.60.2.1.3":   "jurisdictionC",
	})
)

// Extensions that are read, encoded.
const (
	oidSubjectKeyID     = "\x55\x1d\x0e"                             // 2.5.29.14
	oidKeyUsage         = "\x55\x1d\x0f"                             // 2.5.29.15
	oidSAN              = "\x55\x1d\x11"                             // 2.5.29.17
	oidBasicConstraints = "\x55\x1d\x13"                             // 2.5.29.19
	oidPolicies         = "\x55\x1d\x20"                             // 2.5.29.32
	oidAuthorityKeyID   = "\x55\x1d\x23"                             // 2.5.29.35
	oidExtKeyUsage      = "\x55\x1d\x25"                             // 2.5.29.37
	oidSCTs             = "\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02" // 1.3.6.1.4.1.11129.2.4.2
	oidPoison           = "\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03" // 1.3.6.1.4.1.11129.2.4.3
)

// keyUsages names the bits of keyUsage in their order (RFC 5280 section 4.2.1.3).
var keyUsages = [...]string{
	"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
}

// index turns dotted identifiers into encoded ones.
func index[V any](dotted map[string]V) map[string]V {
	m := make(map[string]V, len(dotted))
	for k, v := range dotted {
		m[oidEncode(k)] = v
	}
	return m
}

func oidEncode(dotted string) string {
	var out []byte
	var first uint64
	for i, part := range strings.Split(dotted, ".") {
		v, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			panic("certificate: object identifier " + dotted)
		}
		switch i {
		case 0:
			first = v
			continue
		case 1:
			v += 40 * first
		}
		var tmp [10]byte
		n := len(tmp)
		for more := byte(0); ; more = 0x80 {
			n--
			tmp[n] = byte(v&0x7f) | more
			if v >>= 7; v == 0 {
				break
			}
		}
		out = append(out, tmp[n:]...)
	}
	return string(out)
}

// oidText returns the dotted form; arcs beyond 64 bits show as "?".
func oidText(encoded []byte) string {
	var out []byte
	var v uint64
	wide, first := false, true
	for i, b := range encoded {
		wide = wide || v>>57 != 0
		v = v<<7 | uint64(b&0x7f)
		if b&0x80 != 0 && i < len(encoded)-1 {
			continue
		}
		if first && !wide {
			top := min(v/40, 2)
			out = strconv.AppendUint(out, top, 10)
			v -= 40 * top
		}
		first = false
		out = append(out, '.')
		if wide {
			out = append(out, '?')
		} else {
			out = strconv.AppendUint(out, v, 10)
		}
		v, wide = 0, false
	}
	return string(out)
}
