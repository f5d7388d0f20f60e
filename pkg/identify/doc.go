// Package identify names the protocol of a flow by the content of its first
// bytes alone; ports decide nothing. Protocols that Trench reads (TLS, DTLS,
// QUIC, DNS, HTTP/1, SSH) are recognised elsewhere, before this package is asked.
//
// A name is given only when at least some 24 bits of the bytes are as the protocol
// demands: magic numbers, versions, and lengths that agree with one another and with
// the length of the message. Ciphertext and random bytes are thereby practically
// never named, and a protocol whose packets hold less (RTP, uTP data, ESP in UDP,
// STUN ChannelData) gets no name.
//
//	b[0] ── printable, with three more: a first line ─┬─ command or banner word
//	  │                                               └─ prefix ("AMQP", "RFB ", …)
//	  ├── switch: one case for each binary protocol that fixes its first byte
//	  └── the few whose first byte is free, by fixed bytes further on
//
// The formats are drawn at their functions, with the document that defines them.
package identify
