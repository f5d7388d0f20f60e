package dnswire

import "encoding/binary"

// LooksLikeMessage reports whether b is likely a DNS message: a standard
// opcode, counts that can fit, and a first question or answer that holds a
// name with a type and class that are in use. The name service of NetBIOS
// (RFC 1002), which has the same form, is none.
func LooksLikeMessage(b []byte) bool { return looksLike(b, len(b)) }

// LooksLikeStream reports whether b, the first bytes of one side of a TCP stream, is
// likely DNS over TCP (RFC 1035 section 4.2.2): the length of a message, then one with
// one question, which b has to hold; the rest may be yet to come.
func LooksLikeStream(b []byte) bool {
	if len(b) < 2+headerLen+5 || b[6] != 0 || b[7] != 1 {
		return false
	}
	n := int(binary.BigEndian.Uint16(b))
	msg, _, _ := CutMessage(b)
	return looksLike(msg, n)
}

// CutMessage cuts the first message off b, a row of messages each behind its
// length of two bytes. When b ends before the message does, whole is false, msg what
// there is of it, and rest nil.
func CutMessage(b []byte) (msg, rest []byte, whole bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if n > len(b) {
		return b[2:], nil, false
	}
	return b[2:n], b[n:], true
}

// Summary reads the header of b alone: whether it is a response, and its response
// code without the higher bits of EDNS. ok is false when b cannot be a message.
func Summary(b []byte) (response bool, rcode int, ok bool) {
	if len(b) < headerLen || !plausible(b, len(b)) {
		return false, 0, false
	}
	return b[2]&0x80 != 0, int(b[3] & 15), true
}

// plausible checks the header of a message of n bytes.
func plausible(b []byte, n int) bool {
	flags := binary.BigEndian.Uint16(b[2:])
	questions, answers := int(binary.BigEndian.Uint16(b[4:])), int(binary.BigEndian.Uint16(b[6:]))
	rest := int(binary.BigEndian.Uint16(b[8:])) + int(binary.BigEndian.Uint16(b[10:]))
	opcode := flags >> 11 & 15
	if opcode > 6 || opcode == 3 || flags&0x0040 != 0 || questions > MaxQuestions || questions+answers == 0 ||
		(questions+answers+rest)*5 > n-headerLen {
		return false
	}
	return flags&0x8000 != 0 || flags&15 == 0 // a query has no result
}

// looksLike checks the beginning b of a message of n bytes.
func looksLike(b []byte, n int) bool {
	if len(b) < headerLen+5 || !plausible(b, n) {
		return false
	}
	next, ok := skipName(b, headerLen)
	if !ok || next+4 > len(b) || next-headerLen > maxNameLen || netbiosName(b[headerLen:next]) {
		return false
	}
	typ, class := binary.BigEndian.Uint16(b[next:]), binary.BigEndian.Uint16(b[next+2:])&^topBit
	return typ != 0 && (typ <= 300 || typ >= 32768 && typ <= 32769 || typ >= 65280) &&
		(class == classIN || class == 3 || class == 4 || class == 254 || class == 255)
}

// netbiosName recognises the first-level encoding (RFC 1001 section 14.1): 32
// letters from A to P.
func netbiosName(name []byte) bool {
	if len(name) < 33 || name[0] != 32 {
		return false
	}
	for _, c := range name[1:33] {
		if c < 'A' || c > 'P' {
			return false
		}
	}
	return true
}
