package dhcpwire

import "net/netip"

// Message is what a message says of the host that it is from or for. Slices alias the
// message or, of FQDN, memory of the Message; both are valid until the next Parse.
type Message struct {
	V6               bool
	Reply            bool       // from a server
	Type             uint8      // DHCPv4: option 53, 0 in BOOTP; DHCPv6: of the innermost message
	HardwareAddr     []byte     // DHCPv4: chaddr, as long as hlen says
	ClientID         []byte     // DHCPv4: type and identifier; DHCPv6: the DUID
	HostName         []byte     // DHCPv4
	FQDN             []byte     // fully qualified or the first labels only, without a dot at the end
	VendorClass      []byte     // of DHCPv6 the first one
	ParameterRequest []byte     // codes of the options asked for, 1 byte each, in DHCPv6 2 bytes each
	RequestedAddr    netip.Addr // DHCPv6: the first address that is asked for or given
	Incomplete       bool       // options are cut or broken

	name []byte // room for FQDN
}

// Parse replaces m by what b, the payload of a datagram, says. It reports
// whether b begins as a message does; if not, m is empty.
func (m *Message) Parse(b []byte) bool {
	*m = Message{name: m.name[:0]}
	switch {
	case isV4(b):
		m.parseV4(b)
	case isV6(b):
		m.parseV6(b)
	default:
		return false
	}
	return true
}

// Version returns 4 or 6 when b, the payload of a datagram, is a message of that
// version, else 0: DHCPv4 is known by its magic number, DHCPv6 by options that fill
// the payload and identify a client or a server.
func Version(b []byte) int {
	switch {
	case isV4(b):
		return 4
	case isV6(b) && plausibleV6(b):
		return 6
	}
	return 0
}

// dnsName reads a name without compression and appends it to dst. The name may
// end without the empty label of the root.
func dnsName(dst, b []byte) (_ []byte, ok bool) {
	const maxLabel = 63
	for len(b) > 0 && b[0] != 0 {
		n := int(b[0])
		if n > maxLabel || n >= len(b) {
			return dst, false
		}
		if len(dst) > 0 {
			dst = append(dst, '.')
		}
		dst = append(dst, b[1:1+n]...)
		b = b[1+n:]
	}
	return dst, true
}

// setName keeps a name in the format of DNS unless there was one before.
func (m *Message) setName(b []byte) {
	if m.FQDN != nil {
		return
	}
	var ok bool
	m.name, ok = dnsName(m.name[:0], b)
	if len(m.name) > 0 {
		m.FQDN = m.name
	}
	if !ok {
		m.Incomplete = true
	}
}

// first keeps a value unless there was one before.
func first(field *[]byte, value []byte) {
	if *field == nil {
		*field = value
	}
}
