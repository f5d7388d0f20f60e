package flow

// Tunnel names the encapsulation of a flow: the innermost kind in the lower
// four bits, the one around it in the upper four.
type Tunnel uint8

// Kinds of encapsulation. Those that do not name a tenant and may be seen in
// one direction only (VLAN, MPLS, PPPoE) are none.
const (
	TunnelNone Tunnel = iota
	TunnelGRE
	TunnelERSPAN
	TunnelVXLAN
	TunnelVXLANGPE
	TunnelGENEVE
	TunnelGTPU
	TunnelIPIP
	Tunnel6in4
	TunnelTeredo
	TunnelL2TP
	TunnelPPTP
)

var tunnelNames = [16]string{"", "gre", "erspan", "vxlan", "vxlan-gpe", "geneve", "gtp-u", "ipip", "6in4", "teredo", "l2tp", "pptp"}

// Around returns the encapsulation of what travels in a tunnel of kind inner
// that is itself inside t. The outermost of three kinds is forgotten.
func (t Tunnel) Around(inner Tunnel) Tunnel { return t<<4 | inner }

// String returns the name used in records, outer kind first, empty for none.
func (t Tunnel) String() string {
	outer, inner := tunnelNames[t>>4], tunnelNames[t&15]
	if outer == "" {
		return inner
	}
	return outer + "/" + inner
}
