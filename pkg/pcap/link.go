package pcap

import "strconv"

// LinkType is the LINKTYPE_ value of a capture (www.tcpdump.org/linktypes.html).
type LinkType uint16

// Link types that are known by name.
const (
	LinkNull       LinkType = 0
	LinkEthernet   LinkType = 1
	LinkPPP        LinkType = 9
	LinkFDDI       LinkType = 10
	LinkRawBSD     LinkType = 12
	LinkRawOpenBSD LinkType = 14
	LinkPPPHDLC    LinkType = 50
	LinkPPPEther   LinkType = 51
	LinkRaw        LinkType = 101
	LinkCiscoHDLC  LinkType = 104
	LinkIEEE80211  LinkType = 105
	LinkLoop       LinkType = 108
	LinkSLL        LinkType = 113
	LinkPFLog      LinkType = 117
	LinkPrism      LinkType = 119
	LinkRadiotap   LinkType = 127
	LinkAVS        LinkType = 163
	LinkPPI        LinkType = 192
	LinkPPPWithDir LinkType = 204
	LinkIPv4       LinkType = 228
	LinkIPv6       LinkType = 229
	LinkSLL2       LinkType = 276
)

var linkNames = map[LinkType]string{
	LinkNull: "NULL", LinkEthernet: "ETHERNET", 6: "IEEE802_5", LinkPPP: "PPP", LinkFDDI: "FDDI", LinkRawBSD: "RAW", LinkRawOpenBSD: "RAW",
	LinkPPPHDLC: "PPP_HDLC", LinkPPPEther: "PPP_ETHER", LinkRaw: "RAW", LinkCiscoHDLC: "C_HDLC", LinkIEEE80211: "IEEE802_11", 107: "FRELAY", LinkLoop: "LOOP",
	LinkSLL: "LINUX_SLL", LinkPFLog: "PFLOG", LinkPrism: "IEEE802_11_PRISM", LinkRadiotap: "IEEE802_11_RADIOTAP", 147: "USER0", LinkAVS: "IEEE802_11_AVS", 187: "BLUETOOTH_HCI_H4",
	189: "USB_LINUX", LinkPPI: "PPI", 195: "IEEE802_15_4", 201: "BLUETOOTH_HCI_H4_WITH_PHDR", LinkPPPWithDir: "PPP_WITH_DIR", 220: "USB_LINUX_MMAPPED",
	227: "CAN_SOCKETCAN", LinkIPv4: "IPV4", LinkIPv6: "IPV6", 249: "USBPCAP", 253: "NETLINK", LinkSLL2: "LINUX_SLL2",
}

// String returns the registered name, or the number.
func (l LinkType) String() string {
	if n, ok := linkNames[l]; ok {
		return n
	}
	return "LINKTYPE " + strconv.Itoa(int(l))
}
