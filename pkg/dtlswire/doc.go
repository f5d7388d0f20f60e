// Package dtlswire reads DTLS 1.0 (RFC 4347), 1.2 (RFC 6347), 1.3 (RFC 9147) and the
// version that OpenSSL spoke before the standard, and says the same in TLS records, so that
// what reads TLS reads DTLS too. It observes and does not enforce: what is
// broken or cut is read as far as it goes, and Incomplete is set.
//
// A datagram holds one record or several, end to end (RFC 6347 section 4.1):
//
//	 0      1        3       5                 11       13
//	+------+--------+-------+-----------------+--------+--------------- - -
//	| type | version| epoch | sequence number | length | body, length bytes
//	+------+--------+-------+-----------------+--------+--------------- - -
//	  20 change_cipher_spec  21 alert  22 handshake  23 application_data
//	  24 heartbeat           25 tls12_cid            26 ack
//	  version: 0xfeff 1.0, 0xfefd 1.2 and 1.3, 0x0100 before the standard
//
// Records of epoch 0 are in clear; every ChangeCipherSpec starts the next epoch.
// A record of type 25 (RFC 9146 section 4) is encrypted and has the connection id that its
// receiver chose before the length:
//
//	| 25 | version | epoch | sequence number | connection id | length | body
//
// The encrypted records of DTLS 1.3 (RFC 9147 section 4) have a header of their own. C tells
// that there is a connection id, S that the sequence number has two bytes and not
// one, L that there is a length, without which the record ends with the
// datagram; E are the low bits of the epoch:
//
//	 0 0 1 C S L E E
//	+---------------+---------------+----------------------+--------+----- - -
//	| flags         | connection id | sequence number 1, 2 | length | body
//	+---------------+---------------+----------------------+--------+----- - -
//
// No record tells how long a connection id is. It is taken to have the least
// length with which the records of its datagram fill it exactly.
//
// The body of a handshake record holds fragments of messages (RFC 6347 section 4.2.2). The
// fragments of one message may overlap, come in any order and come again:
//
//	 0      1        4             6                 9                 12
//	+------+--------+-------------+-----------------+-----------------+----- - -
//	| type | length | message_seq | fragment_offset | fragment_length | body
//	+------+--------+-------------+-----------------+-----------------+----- - -
//
// The two messages that differ from those of TLS (RFC 6347 sections 4.2.1 and 4.3.2); <n> is a
// vector behind a length of n bytes:
//
//	1 client_hello:         version 2 | random 32 | session id <1> | cookie <1> |
//	                        cipher suites <2> | compression methods <1> | extensions <2>
//	3 hello_verify_request: version 2 | cookie <1>
package dtlswire
