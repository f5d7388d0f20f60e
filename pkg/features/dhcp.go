package features

import (
	"encoding/binary"
	"encoding/hex"

	"trench/pkg/dhcpwire"
	"trench/pkg/dnswire"
	"trench/pkg/flow"
	"trench/pkg/record"
)

// Names of message types, by number (RFC 2132 section 9.6, RFC 8415 section 7.3).
var (
	dhcpTypes   = [...]string{"bootp", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"}
	dhcpv6Types = [...]string{"", "solicit", "advertise", "request", "confirm", "renew", "rebind", "reply", "release", "decline", "reconfigure", "information-request", "relay-forward", "relay-reply"}
)

// dhcpRow fills the row of a DHCP flow with what its client says of itself; of
// several messages the later one counts.
func (e *Extractor) dhcpRow(dst *record.Record, f *flow.Flow, old *record.DHCP) {
	if old == nil {
		old = new(record.DHCP)
	}
	*old = record.DHCP{Parameters: old.Parameters[:0]}
	for d := range f.Half {
		for b := f.Half[d].Handshake; len(b) > 0; {
			var message []byte
			if message, b, _ = dnswire.CutMessage(b); e.lease.Parse(message) {
				lease(old, &e.lease)
				dst.DHCP = old
			}
		}
	}
}

// lease enters one message. Servers tell the address, and nothing of the client.
func lease(d *record.DHCP, m *dhcpwire.Message) {
	names := dhcpTypes[:]
	if m.V6 {
		names = dhcpv6Types[:]
	}
	if int(m.Type) < len(names) {
		d.Message = names[m.Type]
	}
	if m.RequestedAddr.IsValid() {
		d.Address = m.RequestedAddr.String()
	}
	if m.Reply {
		return
	}
	set := func(to *string, value []byte) {
		if len(value) > 0 {
			*to = text(value)
		}
	}
	set(&d.Host, m.HostName)
	set(&d.FQDN, m.FQDN)
	set(&d.Vendor, m.VendorClass)
	if id := m.ClientID; len(id) > 0 {
		d.ClientID = hex.EncodeToString(id)
	} else if len(m.HardwareAddr) > 0 {
		d.ClientID = hex.EncodeToString(m.HardwareAddr)
	}
	if len(m.ParameterRequest) == 0 {
		return
	}
	d.Parameters = d.Parameters[:0]
	for p := m.ParameterRequest; len(p) > 0; {
		if m.V6 {
			if len(p) < 2 {
				break
			}
			d.Parameters, p = append(d.Parameters, uint32(binary.BigEndian.Uint16(p))), p[2:]
			continue
		}
		d.Parameters, p = append(d.Parameters, uint32(p[0])), p[1:]
	}
}
