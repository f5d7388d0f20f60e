// Package pcap reads capture files: pcap and pcapng, plain or compressed by
// gzip or zstd, from anything that can be read once.
//
// A pcap file is a 24-byte header and records:
//
//	magic u32 | major u16 | minor u16 | zone i32 | sigfigs u32 | snaplen u32 | link type u32
//	seconds u32 | fraction u32 | captured length u32 | wire length u32 | data …
//
// The magic tells byte order and unit: a1b2c3d4 for µs, a1b23c4d for ns,
// a1b2cd34 for the modified format whose records carry 8 bytes more
// (draft-ietf-opsawg-pcap).
//
// A pcapng file is a sequence of blocks, each with its length at both ends
// (draft-ietf-opsawg-pcapng):
//
//	type u32 | total length u32 | body … | total length u32
//
// Section header blocks (0a0d0d0a) set the byte order and forget interfaces,
// interface descriptions (1) give link type and time resolution, packets come
// in enhanced (6), simple (3) and obsolete (2) packet blocks. Every other
// block is skipped, decryption secrets among them.
//
// Packets are handed over in blocks of about a megabyte, so that a reader can
// feed several workers without copying and memory does not depend on the
// length of the file.
package pcap
