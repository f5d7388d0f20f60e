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
// (draft-ietf-opsawg-pcap), 1c0001ab (µs) and 1c0001ac (ns) for files of IXIA's
// lcap with 4 bytes more in the file header. Before version 2.3 the two lengths
// stand the other way round. The upper half of the link type may say that
// frames end with a checksum; it is left where it is, for no IP length covers it.
//
// A pcapng file is a sequence of blocks, each with its length at both ends
// (draft-ietf-opsawg-pcapng):
//
//	type u32 | total length u32 | body … | total length u32
//
//	0a0d0d0a section header          byte order; forgets interfaces; its length is not needed
//	       1 interface description   link type, snap length, if_tsresol, if_tsoffset
//	       2 obsolete packet         packet, drop count
//	       3 simple packet           packet of interface 0, with the time of the one before
//	       5 interface statistics    isb_ifdrop, isb_osdrop
//	       6 enhanced packet         packet, epb_dropcount
//
// Every other block is skipped, whatever its length: names, decryption secrets,
// journal entries, custom blocks. So are options that are not named here.
//
// gzip files may have several members, zstd files several frames and ones to be
// skipped. Decompression works in a window of at most 128 MiB, so memory does
// not depend on what a file decompresses to. Of a file that was cut everything
// is delivered that can be decompressed: with zstd, whole blocks of up to 128 KiB.
//
// Packets are handed over in blocks of about a quarter of a megabyte, so that a
// reader can feed several workers without copying and memory does not depend on
// the length of the file. A single record makes a block grow to 8 MiB at most.
package pcap
