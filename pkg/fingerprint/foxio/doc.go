// Package foxio computes the fingerprints of the JA4+ suite that FoxIO, LLC
// licenses apart from JA4: JA4S, JA4X, JA4H, JA4T and JA4TS.
//
// # Licence
//
// These methods are under the FoxIO License 1.1, with patents pending, and not
// under the licence of this project: they may be used for non-commercial
// purposes, which include the internal use of a business that does not
// monetise them, and not in what is sold or hosted for others. The text is at
// https://github.com/FoxIO-LLC/ja4/blob/main/LICENSE. JA4+ is a trademark of
// FoxIO, LLC. The code here was written from the published specification.
// Callers compute these fingerprints only where whoever runs the program has
// accepted that licence by a switch that names it; nothing is on by default.
//
// JA4, the fingerprint of TLS clients, is under BSD-3-Clause and lives in
// package fingerprint.
//
// # Formats
//
// Every hash is the first 12 hex digits of the SHA-256 of a list joined by
// commas, and 000000000000 for an empty list.
//
// JA4S, of a ServerHello:
//
//	t120400_c030_4e8089b08790
//	||| |   |    the extensions in their order, 4 hex digits each, without GREASE; hash
//	||| |   cipher suite, hex
//	||| first and last character of the ALPN value chosen, 00 without one
//	||extensions, at most 99
//	|version: 13 12 11 10 s3 s2 d1 d2 d3, 00 when unknown
//	t TCP, q QUIC, d DTLS
//
// JA4X, of a certificate; OIDs as the hex of their DER value, in their order:
//
//	2bab15409345_af684594efb4_000000000000
//	issuer       subject      extensions; hashes
//
// JA4H, of an HTTP request:
//
//	ge11cr04enus_8ddaef5d77af_280f366eaa04_c2fb0fe53442
//	| | ||| |    |            |            cookies name=value, sorted alike; hash
//	| | ||| |    |            names of the cookies, sorted by name and value; hash
//	| | ||| |    field names as sent, without Cookie and Referer; hash
//	| | ||| first 4 letters of the first accepted language, filled up with 0
//	| | ||fields without Cookie and Referer, at most 99
//	| | |r with, n without Referer
//	| | c with, n without Cookie
//	| version without its point
//	first two letters of the method
//
// JA4T, of a SYN, and JA4TS, of a SYN-ACK, in decimal, 00 where there is none:
//
//	64240_2-1-3-1-1-4_1460_8
//	|     |           |    window scale
//	|     |           maximum segment size
//	|     kinds of the options in their order
//	window
package foxio
