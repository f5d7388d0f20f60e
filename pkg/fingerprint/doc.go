// Package fingerprint names clients, servers and flows by short strings that
// other tools compute in the same way.
//
// JA3 is the MD5 of five fields of a ClientHello, joined by commas, and JA3S of
// three of a ServerHello; numbers are decimal, lists joined by "-", GREASE left
// out:
//
//	JA3   version,ciphers,extensions,groups,point formats
//	JA3S  version,cipher,extensions
//
// JA4 (FoxIO, BSD-3-Clause) sorts what clients shuffle:
//
//	t13d1516h2_8daaf6152771_e5627efa2ab1
//	||||  | |   |            SHA-256 of the sorted extensions without SNI and ALPN, "_", and the
//	||||  | |   |            signature algorithms as sent; 12 hex digits
//	||||  | |   SHA-256 of the sorted cipher suites; 12 hex digits
//	||||  | first and last character of the first ALPN value
//	||||  extensions, ||: cipher suites, both without GREASE and at most 99
//	|||d with, i without SNI
//	|version: 13 12 11 10 s3 s2 d1 d2 d3, 00 when unknown
//	t TCP, q QUIC, d DTLS
//
// Community ID version 1 is "1:" and the base64 of
//
//	SHA-1(seed 2 | lower address | higher address | protocol 1 | 0 | port 2 | port 2)
//
// where the ports follow their addresses, and are left out for protocols
// without any.
package fingerprint
