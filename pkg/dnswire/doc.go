// Package dnswire reads DNS messages (RFC 1035 section 4) as they are observed, by
// UDP and TCP, of multicast DNS (RFC 6762) and LLMNR (RFC 4795) too. It does not
// enforce: what was read before damage is kept, and the error names the offset where
// reading stopped.
//
//	 0   2       4         6         8         10        12
//	+----+-------+---------+---------+---------+---------+------ - -
//	| id | flags | qdcount | ancount | nscount | arcount | question, answer, …
//	+----+-------+---------+---------+---------+---------+------ - -
//	over TCP each message stands behind its length, 2 bytes
//	flags: QR 1 | opcode 4 | AA 1 | TC 1 | RD 1 | RA 1 | Z 1 | AD 1 | CD 1 | rcode 4
//	question: name | type 2 | class 2
//	answer, and record of the sections after it: name | type 2 | class 2 | ttl 4 | data <2>
//	name: labels, each behind its length (1 byte, at most 63), up to a length of
//	      0, or up to a pointer (2 bytes, 11 in the highest bits) to an earlier
//	      place in the message where the name goes on
//
// A name may follow at most maxPointers pointers and be at most 255 bytes long,
// so loops end. Names are given as labels joined by dots, the root as ".";
// a dot or backslash inside a label is escaped by a backslash, and every byte
// that is no part of a printable character, a space too, as \DDD, so names are valid
// UTF-8. International names stay in the form that was sent.
package dnswire
