// Package tlswire reads what a TLS connection shows in clear: records, the
// handshake messages inside them, alerts, and the hellos. It observes and does
// not enforce. A broken or cut message is data: what could be read is kept and
// Incomplete is set; nothing here panics or returns an error.
//
// A direction of a connection is a row of records (RFC 8446 section 5.1, RFC 5246
// section 6.2.1):
//
//	 0      1        3         5
//	+------+--------+---------+----------------- - -
//	| type | version| length  | body, length bytes
//	+------+--------+---------+----------------- - -
//	  20 change_cipher_spec  21 alert  22 handshake  23 application_data  24 heartbeat
//
// Where bytes are missing a header of type RecordGap stands, and reading goes on at the
// next record that begins with a message.
//
// The bodies of the handshake records, put end to end, are a row of messages
// (RFC 8446 section 4, RFC 5246 section 7.4). A message may begin and end anywhere in a
// record, and a record may hold several messages:
//
//	 0      1              4
//	+------+--------------+----------------- - -
//	| type | length       | body, length bytes
//	+------+--------------+----------------- - -
//	   0 hello_request          1 client_hello         2 server_hello
//	   3 hello_verify_request (DTLS)                   4 new_session_ticket
//	   6 hello_retry_request (drafts before 22)       11 certificate
//	  12 server_key_exchange   13 certificate_request 14 server_hello_done
//	  15 certificate_verify    16 client_key_exchange 20 finished
//	  22 certificate_status    25 compressed_certificate
//
// QUIC sends such messages without records; ParseMessages reads those.
//
// The two hellos (RFC 8446 sections 4.1.2 and 4.1.3); <n> is a vector behind a
// length of n bytes, and everything from the extensions on may be absent:
//
//	client: version 2 | random 32 | session id <1> | cipher suites <2> |
//	        compression methods <1> | extensions <2>
//	server: version 2 | random 32 | session id <1> | cipher suite 2 |
//	        compression method 1 | extensions <2>
//	extension: type 2 | body <2>
//
// A HelloRetryRequest is a ServerHello with a fixed random (RFC 8446 section 4.1.3).
// Drafts of TLS 1.3 up to 21 send a ServerHello without session id and
// compression, and a HelloRetryRequest of its own type:
//
//	version 2 | cipher suite 2 (since draft 19) | extensions <2>
//
// DTLS puts a cookie <1> behind the client's session id (RFC 6347 section 4.2.1), and its
// versions count down from 0xfeff. ParseDTLS reads rows of records of which
// everything else that is DTLS's own was taken away.
//
// What follows the hellos before TLS 1.3 (RFC 5246 section 7.4, RFC 5077, RFC 6066, RFC 8879);
// serverKeyExchange shows the forms of message 12:
//
//	11 certificate:            list <3> of certificates <3>
//	13 certificate_request:    types <1> | signature algorithms <2>, TLS 1.2 | authorities <2> of names <2>
//	15 certificate_verify:     algorithm 2, TLS 1.2 | signature <2>
//	 4 new_session_ticket:     lifetime 4 | ticket <2>
//	22 certificate_status:     type 1 | response <3>
//	25 compressed_certificate: algorithm 2 | uncompressed length 3 | message <3>
//
// Old clients open with the ClientHello of SSL 2.0, in a record of its own kind
// (RFC 5246 appendix E.2); the server answers it with SSL 3.0 or TLS as above:
//
//	0x80 + length 2 | 1 | version 2 | specs length 2 | session id length 2 |
//	challenge length 2 | specs, 3 bytes each | session id | challenge
//
// or, when it speaks nothing else, with a ServerHello of SSL 2.0:
//
//	0x80 + length 2 | 4 | session id hit 1 | certificate type 1 | version 2 |
//	certificate length 2 | specs length 2 | connection id length 2 |
//	certificate | specs | connection id
//
// After ChangeCipherSpec handshake records are encrypted; one of them is taken
// for Finished and not read. In TLS 1.3 nothing but alerts is in clear once the
// ServerHello is over, and a ChangeCipherSpec means nothing there (RFC 8446
// appendix D.4): after a HelloRetryRequest clear hellos follow it.
package tlswire
