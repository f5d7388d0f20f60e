package identify

import "trench/pkg/flow"

// element reads the identifier and length of a BER element (X.690, section 8.1):
// it returns its tag, the length of its content, and where the content begins.
// The content need not be whole.
func element(b []byte) (tag byte, n int, body []byte, ok bool) {
	if len(b) < 2 {
		return 0, 0, nil, false
	}
	tag, n, body = b[0], int(b[1]), b[2:]
	if n < 0x80 {
		return tag, n, body, true
	}
	size := n & 0x7f
	if size == 0 || size > 4 || len(body) < size {
		return tag, 0, nil, false
	}
	n = 0
	for _, c := range body[:size] {
		n = n<<8 | int(c)
	}
	return tag, n, body[size:], true
}

// kerberos recognises a message (RFC 4120, section 5) of n bytes:
//
//	[APPLICATION t] { SEQUENCE { [a0 or a1] INTEGER 5, [a1 or a2] INTEGER t, …
func kerberos(b []byte, n int) bool {
	tag, content, body, ok := element(b)
	if !ok || len(b)-len(body)+content != n {
		return false
	}
	seq, _, body, ok := element(body)
	if !ok || seq != 0x30 || len(body) < 10 {
		return false
	}
	return body[0]&0xfe == 0xa0 && string(body[1:5]) == "\x03\x02\x01\x05" &&
		body[5] == body[0]+1 && string(body[6:9]) == "\x03\x02\x01" && body[9] == tag&0x1f
}

func kerberosSender(tag byte) Sender {
	switch tag & 0x1f {
	case 10, 12, 14: // AS-REQ, TGS-REQ, AP-REQ
		return SenderClient
	}
	return SenderServer
}

// ldap recognises a message (RFC 4511, section 4.1.1):
//
//	SEQUENCE { INTEGER id, [APPLICATION op] … }
func ldap(b []byte) (flow.App, Sender) {
	_, n, body, ok := element(b)
	if !ok || n < 5 || n > 1<<24 || len(body) < 5 || body[0] != 2 || body[1] < 1 || body[1] > 4 || len(body) < int(body[1])+6 {
		return flow.AppUnknown, SenderUnknown
	}
	op, content, in, ok := element(body[2+int(body[1]):])
	if !ok {
		return flow.AppUnknown, SenderUnknown
	}
	// Nothing but controls may follow the operation.
	if used := len(body) - len(in) + content; used > n || used < n && used < len(body) && body[used] != 0xa0 {
		return flow.AppUnknown, SenderUnknown
	}
	switch op {
	case 0x60: // bind: version 2 or 3, name
		if len(in) >= 4 && in[0] == 2 && in[1] == 1 && (in[2] == 2 || in[2] == 3) && in[3] == 4 {
			return flow.AppLDAP, SenderClient
		}
	case 0x63: // search: base, scope
		_, dn, at, ok := element(in)
		if ok && in[0] == 4 && (dn+3 <= len(at) && at[dn] == 10 && at[dn+1] == 1 && at[dn+2] <= 3 || dn >= len(at) && dn > 0 && len(at) > 4 && at[2] == '=') {
			return flow.AppLDAP, SenderClient
		}
	case 0x77: // extended: an object identifier
		if len(in) >= 6 && in[0] == 0x80 && in[2] == '1' && in[3] == '.' {
			return flow.AppLDAP, SenderClient
		}
	case 0x61, 0x65, 0x78: // answers: result code, matched name
		if len(in) >= 5 && in[0] == 10 && in[1] == 1 && in[3] == 4 {
			return flow.AppLDAP, SenderServer
		}
	case 0x64: // an entry: name, attributes
		_, dn, at, ok := element(in)
		if ok && in[0] == 4 && dn < len(at) && at[dn] == 0x30 {
			return flow.AppLDAP, SenderServer
		}
	}
	return flow.AppUnknown, SenderUnknown
}

// snmp recognises a message (RFC 3416, RFC 3412):
//
//	SEQUENCE { INTEGER 0 or 1, OCTET STRING community, [a0…a8] … }
//	SEQUENCE { INTEGER 3, SEQUENCE { INTEGER id, INTEGER size, OCTET STRING flags, …
func snmp(b []byte) (flow.App, Sender) {
	_, n, body, ok := element(b)
	if !ok || n != len(body) || n < 12 || body[0] != 2 || body[1] != 1 {
		return flow.AppUnknown, SenderUnknown
	}
	tag, n, in, ok := element(body[3:])
	if !ok || n > len(in) {
		return flow.AppUnknown, SenderUnknown
	}
	switch version := body[2]; {
	case version == 3 && tag == 0x30 && n > 8 && in[0] == 2 && in[1] <= 4:
		return flow.AppSNMP, SenderUnknown
	case version <= 1 && tag == 4:
		pdu, size, rest, ok := element(in[n:])
		if !ok || size != len(rest) {
			return flow.AppUnknown, SenderUnknown
		}
		switch pdu {
		case 0xa2:
			return flow.AppSNMP, SenderServer
		case 0xa0, 0xa1, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7:
			return flow.AppSNMP, SenderClient
		}
	}
	return flow.AppUnknown, SenderUnknown
}
