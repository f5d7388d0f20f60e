// Package sshwire reads what an SSH connection (RFC 4253) shows in clear: the identification of
// both sides and the algorithms that they offer, and makes HASSH fingerprints of them. It
// observes and does not enforce: what is broken or cut is read as far as it goes,
// and Incomplete is set.
//
// A direction begins with lines of text (RFC 4253 section 4.2). The last of them is the
// identification; only servers send others before it. Old implementations end lines with LF
// alone:
//
//	any text CR LF
//	SSH-protoversion-softwareversion SP comments CR LF
//
// Version 2.0, and 1.99 which stands for both, goes on with binary packets (section 6), the
// first of which is KEXINIT (section 7.1):
//
//	 0               4                5
//	+---------------+----------------+---------+---------+
//	| packet length | padding length | payload | padding |
//	+---------------+----------------+---------+---------+
//	payload: 20 | cookie 16 | 10 name-lists | first_kex_packet_follows 1 | reserved 4
//	name-list: length 4 | names, separated by commas
//	  kex, host key, ciphers, ciphers, MACs, MACs, compression, compression,
//	  languages, languages; of two the first is from client to server
package sshwire
