package identify

import (
	"encoding/binary"

	"trench/pkg/flow"
)

// smbSender reads the flags of an SMB header (MS-CIFS 2.2.3.1, MS-SMB2 2.2.1):
//
//	SMB1: ff SMB | command 1 | status 4 | flags 1: the highest bit in answers
//	SMB2: fe SMB | size 2 | credit 2 | status 4 | command 2 | credits 2 | flags 4: bit 0 in answers
func smbSender(b []byte) Sender {
	switch {
	case b[0] == 0xff && len(b) > 9:
		return requestIf(b[9]&0x80 == 0)
	case b[0] == 0xfe && len(b) > 16:
		return requestIf(b[16]&1 == 0)
	}
	return SenderUnknown
}

// netbiosSession recognises the session service (RFC 1002, section 4.3):
//
//	type 1 | flags 1 | length 2 | 81: called and calling name, 83: error 1
func netbiosSession(b []byte) bool {
	switch {
	case b[0] == 0x81:
		return len(b) >= 5+netbiosNameLen && b[1] == 0 && b[2] == 0 && netbiosName(b[4:])
	case b[0] == 0x82:
		return len(b) == 4 && b[1] == 0 && b[2] == 0 && b[3] == 0
	}
	return len(b) == 5 && b[1] == 0 && b[2] == 0 && b[3] == 1 && b[4] >= 0x80 && b[4] <= 0x8f
}

const netbiosNameLen = 32

// netbiosName recognises a name in its first-level encoding: the length of 32,
// then letters from A to P.
func netbiosName(b []byte) bool {
	if len(b) < 1+netbiosNameLen || b[0] != netbiosNameLen {
		return false
	}
	for _, c := range b[1 : 1+netbiosNameLen] {
		if c < 'A' || c > 'P' {
			return false
		}
	}
	return true
}

// tpkt recognises what goes in TPKT (RFC 1006) over COTP (X.224):
//
//	03 00 | length 2 | li 1 | e0 request, d0 confirm, f0 data | …
//	RDP (MS-RDPBCGR 2.2.1.1): e0 00 00 source 2 00, then "Cookie: " or 01 flags 08 00 protocols 4
//	S7: parameters c0 size, c1 and c2 of two bytes each; or data that begins with 32
func tpkt(b []byte) (flow.App, Sender) {
	if len(b) < 7 || int(binary.BigEndian.Uint16(b[2:])) < 7 {
		return flow.AppUnknown, SenderUnknown
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[5] == 0xe0 && len(b) >= 19 && int(b[4]) == n-5 && b[6] == 0 && b[7] == 0 && b[10] == 0:
		more := b[11:]
		switch {
		case has(more, "Cookie: "), more[0] == 1 && more[2] == 8 && more[3] == 0:
			return flow.AppRDP, SenderClient
		case n == 22 && len(b) >= 22 && more[0] == 0xc0 && more[1] == 1 && s7Ends(more[3:]):
			return flow.AppS7Comm, SenderClient
		case n == 22 && len(b) >= 22 && more[8] == 0xc0 && more[9] == 1 && s7Ends(more):
			return flow.AppS7Comm, SenderClient
		}
	case b[5] == 0xd0 && n == 19 && len(b) >= 19 && b[4] == 14 && (b[11] == 2 || b[11] == 3) && b[13] == 8 && b[14] == 0:
		return flow.AppRDP, SenderServer // negotiation answer or failure
	case len(b) >= 9 && string(b[4:8]) == "\x02\xf0\x80\x32" && b[8] >= 1 && b[8] <= 7:
		return flow.AppS7Comm, SenderUnknown
	}
	return flow.AppUnknown, SenderUnknown
}

// s7Ends recognises the parameters that name both ends of S7: c1 02 ends with
// rack and slot, c2 02 begins with the kind of connection, in either order.
func s7Ends(b []byte) bool {
	return b[1] == 2 && b[5] == 2 && (b[0] == 0xc1 && b[4] == 0xc2 && b[6] >= 1 && b[6] <= 3 ||
		b[0] == 0xc2 && b[4] == 0xc1 && b[2] >= 1 && b[2] <= 3)
}

// rtmp recognises the handshake of RTMP: version 3 | time 4 | zero 4 | random. It
// is no record of TLS from the middle of its header on, where the counter that AES-GCM
// sends has the zeros.
func rtmp(b []byte) bool {
	return len(b) >= 16 && string(b[5:9]) == "\x00\x00\x00\x00" && b[9] != 0 && b[10] != 0 &&
		(b[3]|b[4] != 0 || b[1]|b[2] == 0)
}

// cassandra recognises the first request of CQL:
//
//	version 1 | flags 1 | stream 2 | opcode 1 | length 4 | STARTUP: 00 01 00 0b CQL_VERSION
func cassandra(b []byte) bool {
	if len(b) < 9 || b[1]&^0x1f != 0 || b[5] != 0 || b[6] != 0 {
		return false
	}
	switch b[4] {
	case 5: // OPTIONS
		return b[7] == 0 && b[8] == 0 && len(b) == 9
	case 1: // STARTUP
		return len(b) >= 24 && b[9] == 0 && b[11] == 0 && (string(b[13:24]) == "CQL_VERSION" || string(b[13:24]) == "DRIVER_NAME" || string(b[13:24]) == "COMPRESSION")
	}
	return false
}

// socks4 recognises a request: 04 | 1 connect, 2 bind | port 2 | address 4 |
// user, ended by 0 | with an address of 0.0.0.x a host name, ended by 0.
func socks4(b []byte) bool {
	if len(b) < 9 || b[1] != 1 && b[1] != 2 || b[len(b)-1] != 0 || b[2]|b[3] == 0 {
		return false
	}
	named := b[4] == 0 && b[5] == 0 && b[6] == 0 && b[7] != 0
	if !named && (b[4] == 0 || b[4] >= 224) {
		return false
	}
	ends := 0
	for _, c := range b[8:] {
		if c == 0 {
			ends++
		} else if !printable(c) {
			return false
		}
	}
	if named {
		return ends == 2 && len(b) > 11
	}
	return ends == 1
}

// socks5 recognises a greeting (RFC 1928, section 3): 05 | count | methods,
// each once and of those that IANA has registered.
func socks5(b []byte) bool {
	n := int(b[1])
	if n == 0 || len(b) != 2+n {
		return false
	}
	seen := uint16(0)
	for _, c := range b[2:] {
		if c > 9 || seen&(1<<c) != 0 {
			return false
		}
		seen |= 1 << c
	}
	return true
}

// dcerpc recognises the connection-oriented protocol (C706, section 12.6):
//
//	05 00 | type 1 | flags 1 | data representation 4 | length 2 | auth 2 | call 4
func dcerpc(b []byte) (flow.App, Sender) {
	if len(b) < 16 || b[4]&^0x10 != 0 || b[5]|b[6]|b[7] != 0 {
		return flow.AppUnknown, SenderUnknown
	}
	n := int(binary.LittleEndian.Uint16(b[8:]))
	if b[4] == 0 {
		n = int(binary.BigEndian.Uint16(b[8:]))
	}
	if n < 16 {
		return flow.AppUnknown, SenderUnknown
	}
	switch b[2] {
	case 0, 11, 14, 16: // request, bind, alter context, auth3
		return flow.AppDCERPC, SenderClient
	case 2, 3, 12, 13, 15: // response, fault, bind ack and nak, alter context answer
		return flow.AppDCERPC, SenderServer
	}
	return flow.AppUnknown, SenderUnknown
}

// dnp3 recognises the link header (IEEE 1815, section 9.2) by its checksum:
//
//	05 64 | length 1 | control 1 | destination 2 | source 2 | crc 2
func dnp3(b []byte) (flow.App, Sender) {
	if len(b) < 10 || b[2] < 5 {
		return flow.AppUnknown, SenderUnknown
	}
	crc := uint16(0)
	for _, c := range b[:8] {
		crc ^= uint16(c)
		for range 8 {
			crc = crc>>1 ^ 0xa6bc*(crc&1)
		}
	}
	if ^crc != binary.LittleEndian.Uint16(b[8:]) {
		return flow.AppUnknown, SenderUnknown
	}
	return flow.AppDNP3, requestIf(b[3]&0x80 != 0) // DIR: from the master
}

// mqtt recognises CONNECT (MQTT 5.0, section 3.1): 10 | length 1…4 | 00 04 MQTT
// version, in version 3.1 00 06 MQIsdp 03.
func mqtt(b []byte) bool {
	i := 1
	for i < len(b) && i < 4 && b[i]&0x80 != 0 {
		i++
	}
	if len(b) < i+10 {
		return false
	}
	b = b[i+1:]
	return has(b, "\x00\x04MQTT") && b[6] >= 3 && b[6] <= 5 || has(b, "\x00\x06MQIsdp\x03")
}

// tdsPrelogin recognises PRELOGIN (MS-TDS 2.2.6.5): type 1 | status 01 | length 2
// | spid 2 | packet 1 | 00 | options that begin with the version: 00 offset 2 00 06.
func tdsPrelogin(b []byte) bool {
	return len(b) >= 14 && b[1] == 1 && b[2] < 2 && b[7] == 0 && b[8] == 0 && b[9] == 0 && b[10] < 64 && b[11] == 0 && b[12] == 6
}

// tdsLogin recognises LOGIN7 (MS-TDS 2.2.6.4): the header as of PRELOGIN, then
// its length, little endian, and the version 7x.
func tdsLogin(b []byte) bool {
	return len(b) >= 16 && b[1] <= 1 && b[7] == 0 && b[10] == 0 && b[11] == 0 && b[15]>>4 == 7 && b[12] <= 4 && b[13] <= 0x0b && b[14] <= 0x0b
}

// amqpStart recognises Connection.Start of AMQP 0-9-1, a server's first frame.
func amqpStart(b []byte) bool {
	return len(b) >= 13 && string(b[1:3]) == "\x00\x00" && string(b[7:13]) == "\x00\x0a\x00\x0a\x00\x09"
}

// diameter recognises the exchange of capabilities (RFC 6733, section 5.3):
// 01 | length 3 | flags 1 | command 257 | application 0.
func diameter(b []byte) bool {
	return len(b) >= 12 && b[3]&3 == 0 && b[4]&0x1f == 0 && string(b[5:12]) == "\x00\x01\x01\x00\x00\x00\x00"
}

// enip recognises the encapsulation of EtherNet/IP that opens a session:
// 65 00 | length 4 | session 4 | status 0 | context 8 | options 0 | version 1.
func enip(b []byte) bool {
	return len(b) >= 28 && string(b[1:4]) == "\x00\x04\x00" && string(b[8:12]) == "\x00\x00\x00\x00" && string(b[20:26]) == "\x00\x00\x00\x00\x01\x00"
}

// telnet recognises two commands of option negotiation (RFC 854): ff | fb…fe |
// option.
func telnet(b []byte) bool {
	if len(b) < 6 {
		return false
	}
	for i := 0; i < 6; i += 3 {
		if b[i] != 0xff || b[i+1] < 0xfb || b[i+1] == 0xff || b[i+2] > 49 {
			return false
		}
	}
	return true
}

// bgp recognises a header (RFC 4271, section 4.1): 16 times ff | length 2 | type 1.
func bgp(b []byte) bool {
	if len(b) < 19 || binary.BigEndian.Uint64(b)&binary.BigEndian.Uint64(b[8:]) != 1<<64-1 {
		return false
	}
	n := binary.BigEndian.Uint16(b[16:])
	return n >= 19 && n <= 4096 && b[18] >= 1 && b[18] <= 5
}

// mysqlGreeting recognises the initial handshake: length 3 | 0 | version 10 |
// version of the server as text, ended by 0.
func mysqlGreeting(b []byte) bool {
	if b[4] != 10 || !digit(b[5]) || b[0] < 30 {
		return false
	}
	dots := 0
	for _, c := range b[5:] {
		switch {
		case c == 0:
			return dots > 0
		case c == '.':
			dots++
		case !printable(c):
			return false
		}
	}
	return false
}

// mysqlLogin recognises a client's answer to the greeting: length 3 | 1 |
// capabilities 4 | longest packet 4 | charset 1 | 23 zeros (MariaDB uses the last 4).
func mysqlLogin(b []byte) bool {
	return len(b) >= 36 && b[2] == 0 && b[5]&0x02 != 0 && binary.LittleEndian.Uint64(b[13:]) == 0 && binary.LittleEndian.Uint64(b[21:]) == 0 && b[29]|b[30]|b[31] == 0
}

// postgresStartup recognises what a client sends first: length 4 | code of
// SSLRequest, GSSENCRequest or CancelRequest, or version 3.x and parameters.
func postgresStartup(b []byte) bool {
	n := binary.BigEndian.Uint32(b)
	switch code := binary.BigEndian.Uint32(b[4:]); code {
	case 80877103, 80877104:
		return n == 8
	case 80877102:
		return n == 16
	case 3 << 16, 3<<16 | 2:
		return n < 10000 && len(b) >= 14 && (has(b[8:], "user\x00") || has(b[8:], "database\x00") || has(b[8:], "client_encoding\x00") || has(b[8:], "application_name\x00"))
	}
	return false
}

// postgresAuth recognises the server's authentication request: R | length 4 | kind 4.
func postgresAuth(b []byte) bool {
	if len(b) < 9 || b[1] != 0 || b[2] != 0 || b[5]|b[6]|b[7] != 0 {
		return false
	}
	switch n := binary.BigEndian.Uint16(b[3:]); b[8] {
	case 0, 3, 7, 9:
		return n == 8
	case 5:
		return n == 12
	case 10:
		return n > 12 && n < 256 && len(b) > 14 && has(b[9:], "SCRAM-")
	}
	return false
}

// mongodb recognises a message header, all little endian: length 4 | request 4 |
// answer to 4 | opcode 4.
func mongodb(b []byte) (flow.App, Sender) {
	n, to := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[8:])
	if n < 21 || n > 48<<20 {
		return flow.AppUnknown, SenderUnknown
	}
	switch binary.LittleEndian.Uint16(b[12:]) {
	case 2004, 2010, 2012, 2013: // query, command, compressed, message
		return flow.AppMongoDB, requestIf(to == 0)
	case 1: // reply
		if n >= 36 && len(b) >= 20 && to != 0 && b[16] < 16 && b[17]|b[18]|b[19] == 0 {
			return flow.AppMongoDB, SenderServer
		}
	}
	return flow.AppUnknown, SenderUnknown
}

// modbus recognises one message of Modbus/TCP: transaction 2 | 0000 | length 2 |
// unit 1 | function 1 | data. Requests to read and write one value are six bytes
// long, answers to reading hold their length.
func modbus(b []byte) bool {
	n := int(b[5])
	if n < 3 || len(b) != 6+n || n == 3 && b[7]&0x80 == 0 {
		return false
	}
	switch f := b[7]; {
	case f >= 1 && f <= 4:
		return n == 6 && (b[10] != 0 || b[11] != 0) && b[10] <= 7 || n > 3 && int(b[8]) == n-3
	case f == 5 || f == 6:
		return n == 6
	case f == 15 || f == 16:
		return n == 6 || n > 7 && int(b[12]) == n-7
	case f == 0x2b:
		return n >= 5 && b[8] == 0x0e
	case f&0x80 != 0:
		return n == 3 && f&0x7f <= 0x2b && b[8] >= 1 && b[8] <= 11
	}
	return false
}

// kafka recognises ApiVersions, which clients send first: length 4 | key 18 |
// version 2 | correlation 4 | client id with its length 2.
func kafka(b []byte) bool {
	if len(b) < 16 || b[1] != 0 || string(b[4:7]) != "\x00\x12\x00" || b[7] > 4 || b[8] != 0 || b[9] != 0 || b[12] != 0 {
		return false
	}
	id := b[14:min(len(b), 14+int(b[13]))]
	for _, c := range id {
		if !printable(c) {
			return false
		}
	}
	return len(id) > 0 && binary.BigEndian.Uint16(b[2:]) >= uint16(10+len(id))
}

// rpc recognises ONC RPC (RFC 5531, section 9), from the transaction on:
//
//	call:  xid 4 | 0 | version 2 | program 4 | version 4 | procedure 4
//	reply: xid 4 | 1 | accepted 0 | verifier: flavour 4, length 4 | status 4
func rpc(b []byte) (flow.App, Sender) {
	if len(b) < 24 || b[4]|b[5]|b[6] != 0 {
		return flow.AppUnknown, SenderUnknown
	}
	third, fourth := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	switch {
	case b[7] == 0 && third == 2 && fourth >= 100000 && fourth < 1<<30 && binary.BigEndian.Uint32(b[16:]) < 16 && binary.BigEndian.Uint32(b[20:]) < 64:
		if fourth == 100003 {
			return flow.AppNFS, SenderClient
		}
		return flow.AppRPC, SenderClient
	case b[7] == 1 && third == 0 && fourth <= 6 && binary.BigEndian.Uint32(b[16:]) <= 400 && binary.BigEndian.Uint32(b[20:]) <= 400:
		return flow.AppRPC, SenderServer
	}
	return flow.AppUnknown, SenderUnknown
}

const stunCookie = "\x21\x12\xa4\x42"

// stun reads the class of a message whose cookie was recognised (RFC 8489,
// section 5): 00 and 14 bits of type | length 2, of whole words | cookie | id 12.
func stun(b []byte) (flow.App, Sender) {
	if b[0]&0xc0 != 0 || b[3]&3 != 0 {
		return flow.AppUnknown, SenderUnknown
	}
	switch {
	case b[0]&1 != 0: // success and error
		return flow.AppSTUN, SenderServer
	case b[1]&0x10 != 0: // indication
		return flow.AppSTUN, SenderUnknown
	}
	return flow.AppSTUN, SenderClient
}
