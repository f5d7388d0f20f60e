package dhcpwire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

const (
	request, reply = 1, 2 // op

	hardwareAt   = 28
	maxHardware  = 16
	serverNameAt = 44
	fileAt       = 108
	magicAt      = 236
	optionsAt    = 240
	magic        = 0x63825363
)

// Options of DHCPv4 (RFC 2132).
const (
	pad                = 0
	optionHostName     = 12
	optionRequested    = 50
	optionOverload     = 52
	optionMessageType  = 53
	optionParameters   = 55
	optionVendorClass  = 60
	optionClientID     = 61
	optionFQDN         = 81
	optionEnd          = 255
	fqdnHeaderLen      = 3
	fqdnFlagDNS        = 4 // the name is in the format of DNS
	overloadFile       = 1
	overloadServerName = 2
)

func isV4(b []byte) bool {
	return len(b) >= optionsAt && (b[0] == request || b[0] == reply) && b[2] <= maxHardware &&
		binary.BigEndian.Uint32(b[magicAt:]) == magic
}

func (m *Message) parseV4(b []byte) {
	m.Reply = b[0] == reply
	m.HardwareAddr = b[hardwareAt : hardwareAt+int(b[2]) : hardwareAt+int(b[2])]
	overload := m.optionsV4(b[optionsAt:])
	// RFC 2131 section 4.1: the file field is read before the server name.
	if overload&overloadFile != 0 {
		m.optionsV4(b[fileAt:magicAt])
	}
	if overload&overloadServerName != 0 {
		m.optionsV4(b[serverNameAt:fileAt])
	}
}

// optionsV4 reads one field of options and returns what option 52 says.
func (m *Message) optionsV4(b []byte) (overload uint8) {
	for len(b) > 0 && b[0] != optionEnd {
		code := b[0]
		if b = b[1:]; code == pad {
			continue
		}
		if len(b) == 0 {
			m.Incomplete = true
			break
		}
		n := int(b[0])
		b = b[1:]
		if n > len(b) {
			m.Incomplete = true
			n = len(b)
		}
		value := b[:n:n]
		b = b[n:]
		switch code {
		case optionHostName:
			first(&m.HostName, bytes.TrimRight(value, "\x00"))
		case optionVendorClass:
			first(&m.VendorClass, value)
		case optionParameters:
			first(&m.ParameterRequest, value)
		case optionClientID:
			first(&m.ClientID, value)
		case optionFQDN:
			m.fqdnV4(value)
		case optionRequested:
			if n == 4 {
				m.RequestedAddr = netip.AddrFrom4([4]byte(value))
			}
		case optionMessageType:
			if n == 1 {
				m.Type = value[0]
			}
		case optionOverload:
			if n == 1 {
				overload = value[0]
			}
		}
	}
	return overload
}

// fqdnV4 reads a name that is text if the client is an old one.
func (m *Message) fqdnV4(b []byte) {
	if len(b) < fqdnHeaderLen {
		m.Incomplete = true
		return
	}
	name := b[fqdnHeaderLen:]
	if b[0]&fqdnFlagDNS != 0 {
		m.setName(name)
		return
	}
	if name = bytes.TrimRight(name, ".\x00"); len(name) > 0 {
		first(&m.FQDN, name)
	}
}
