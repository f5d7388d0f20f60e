package packet

import (
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"trench/pkg/pcap"
)

// slow finds the IP packet in d with gopacket, which knows many more link
// layers. d is the end of p's bytes, and begins with a layer that first decodes.
func (v *View) slow(first gopacket.Decoder, d []byte, p *pcap.Packet) Outcome {
	pkt := gopacket.NewPacket(d, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	for _, version := range []gopacket.LayerType{layers.LayerTypeIPv4, layers.LayerTypeIPv6} {
		if l := pkt.Layer(version); l != nil {
			header := l.LayerContents()
			if len(header) == 0 {
				return Malformed // gopacket adds the layer before it finds it cut
			}
			// The header aliases d, so what is left of its capacity says where it begins.
			return v.rawIP(d[cap(d)-cap(header):], p)
		}
	}
	if pkt.ErrorLayer() == nil && len(d) > 0 {
		return NotIP
	}
	good := pkt.Layers() // the last one is the failure
	if len(good) < 2 {
		return Malformed
	}
	if inner := good[len(good)-2].LayerPayload(); len(inner) > 0 && (inner[0]>>4 == 4 || inner[0]>>4 == 6) {
		return Malformed // IP that does not decode
	}
	return NotIP // a protocol that gopacket does not know
}
