package dhcpwire

import (
	"encoding/binary"
	"net/netip"
)

// Messages and options of DHCPv6 (RFC 8415 sections 7.3 and 21).
const (
	advertise          = 2
	replyV6            = 7
	reconfigure        = 10
	relayForward       = 12
	relayReply         = 13
	optionClientIDV6   = 1
	optionServerIDV6   = 2
	optionAddresses    = 3 // IA_NA
	optionAddress      = 5
	optionRequestedV6  = 6
	optionRelayed      = 9
	optionVendorV6     = 16
	optionFQDNV6       = 39
	maxOption          = 1024 // above every assigned code
	headerLenV6        = 4
	relayHeaderLen     = 34
	addressesHeaderLen = 12
	vendorHeaderLen    = 4
	// maxRelays is the hop count at which relay agents give up (RFC 8415 section 7.6).
	maxRelays = 8
)

func isV6(b []byte) bool {
	return len(b) > headerLenV6 && b[0] >= 1 && b[0] <= relayReply && len(b) > headerV6(b[0])
}

func headerV6(typ uint8) int {
	if typ == relayForward || typ == relayReply {
		return relayHeaderLen
	}
	return headerLenV6
}

// option takes an option off the front of b. Of one that is cut it returns what is there, and
// whole is false.
func option(b []byte) (code uint16, value, rest []byte, whole bool) {
	if len(b) < 4 {
		return 0, nil, nil, false
	}
	code = binary.BigEndian.Uint16(b)
	n := int(binary.BigEndian.Uint16(b[2:]))
	b = b[4:]
	if n > len(b) {
		return code, b, nil, false
	}
	return code, b[:n:n], b[n:], true
}

func plausibleV6(b []byte) bool {
	identified := false
	for b = b[headerV6(b[0]):]; len(b) > 0; {
		code, _, rest, whole := option(b)
		if !whole || code == 0 || code > maxOption {
			return false
		}
		switch code {
		case optionClientIDV6, optionServerIDV6, optionRelayed:
			identified = true
		}
		b = rest
	}
	return identified
}

func (m *Message) parseV6(b []byte) {
	m.V6 = true
	for range maxRelays + 1 {
		if !isV6(b) {
			m.Incomplete = true
			return
		}
		m.Type = b[0]
		relayed := m.optionsV6(b[headerV6(b[0]):])
		if relayed == nil || m.Type < relayForward {
			break
		}
		b = relayed
	}
	m.Reply = m.Type == advertise || m.Type == replyV6 || m.Type == reconfigure || m.Type == relayReply
}

// optionsV6 reads options and returns the message in the one for relayed messages.
func (m *Message) optionsV6(b []byte) (relayed []byte) {
	for len(b) > 0 {
		code, value, rest, whole := option(b)
		if !whole {
			m.Incomplete = true
		}
		switch code {
		case optionClientIDV6:
			first(&m.ClientID, value)
		case optionRequestedV6:
			first(&m.ParameterRequest, value)
		case optionRelayed:
			relayed = value
		case optionVendorV6:
			if len(value) > vendorHeaderLen {
				first(&m.VendorClass, vendorClass(value[vendorHeaderLen:]))
			}
		case optionFQDNV6:
			if len(value) > 1 {
				m.setName(value[1:])
			}
		case optionAddresses:
			if len(value) > addressesHeaderLen {
				m.address(value[addressesHeaderLen:])
			}
		}
		b = rest
	}
	return relayed
}

// vendorClass returns the first class, cut if it is.
func vendorClass(b []byte) []byte {
	if len(b) < 2 {
		return nil
	}
	n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
	return b[2 : 2+n : 2+n]
}

// address keeps the first address among the options of an identity association.
func (m *Message) address(b []byte) {
	for len(b) > 0 && !m.RequestedAddr.IsValid() {
		code, value, rest, _ := option(b)
		if code == optionAddress && len(value) >= 16 {
			m.RequestedAddr = netip.AddrFrom16([16]byte(value))
		}
		b = rest
	}
}
