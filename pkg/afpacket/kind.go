package afpacket

import (
	"fmt"

	"trench/pkg/pcap"
)

// Kind says how an interface frames its packets.
type Kind struct {
	// Link is the link type of the packets that a Ring hands over.
	Link pcap.LinkType
	// Filter is the link type that a filter program has to be written for. It
	// differs from Link where a pseudo header is put in front afterwards.
	Filter pcap.LinkType

	hardware uint16
}

func (k Kind) cooked() bool { return k.Link == pcap.LinkSLL2 }

// Numbers of include/uapi/linux/if_arp.h.
const (
	hwEther    = 1
	hwSLIP     = 256
	hwCAN      = 280
	hwPPP      = 512
	hwHDLC     = 513
	hwRawIP    = 519
	hwTunnel   = 768
	hwTunnel6  = 769
	hwLoopback = 772
	hwSIT      = 776
	hwIPGRE    = 778
	hw80211    = 801
	hwPrism    = 802
	hwRadiotap = 803
	hwIP6GRE   = 823
	hwNetlink  = 824
	hwNone     = 0xfffe
)

// hardwareNames names what is refused, and what an error may speak of.
var hardwareNames = map[uint16]string{
	0: "NETROM", 3: "AX25", 6: "IEEE802", 7: "ARCNET", 15: "DLCI", 19: "ATM", 24: "IEEE1394", 32: "INFINIBAND", hwCAN: "CAN", 290: "MCTP",
	516: "LAPB", 518: "RAWHDLC", 770: "FRAD", 774: "FDDI", 783: "IRDA", hwPrism: "IEEE80211_PRISM", 804: "IEEE802154",
	805: "IEEE802154_MONITOR", 820: "PHONET", 822: "CAIF", hwNetlink: "NETLINK", 825: "6LOWPAN", 826: "VSOCKMON", 0xffff: "VOID",
}

// kindOf returns how interfaces of a hardware type are captured.
func kindOf(hardware uint16) (Kind, error) {
	k := Kind{hardware: hardware}
	switch hardware {
	case hwEther, hwLoopback:
		k.Link, k.Filter = pcap.LinkEthernet, pcap.LinkEthernet
	case hwNone, hwRawIP:
		k.Link, k.Filter = pcap.LinkRaw, pcap.LinkRaw
	case hw80211:
		k.Link, k.Filter = pcap.LinkIEEE80211, pcap.LinkIEEE80211
	case hwRadiotap:
		k.Link, k.Filter = pcap.LinkRadiotap, pcap.LinkRadiotap
	case hwSLIP, 257, 258, 259, hwPPP, hwHDLC, hwTunnel, hwTunnel6, hwSIT, 777, hwIPGRE, hwIP6GRE, 32, 24:
		k.Link, k.Filter = pcap.LinkSLL2, pcap.LinkRaw
	default:
		name := hardwareNames[hardware]
		if name == "" {
			name = "unknown"
		}
		return k, fmt.Errorf("hardware type %d (%s) cannot be captured", hardware, name)
	}
	return k, nil
}
