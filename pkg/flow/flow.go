// Package flow holds the plain values that capture produces: the key that
// identifies a flow, its direction and end, and the Flow record with what was
// counted and kept of it. It does no I/O and knows no protocol.
package flow

import (
	"net/netip"
)

// Limits of what one Flow holds.
const (
	// SPLTPackets is how many data packets of each direction are listed.
	SPLTPackets = 50
	// SPLTRecords is how many TLS records of each direction are listed.
	SPLTRecords = 50
	// CountedBytes is how many payload bytes of each direction are counted by value.
	CountedBytes = 4000
)

// Direction says who sent.
type Direction uint8

// The two directions of a flow.
const (
	ClientToServer Direction = iota
	ServerToClient
)

// EndReason says why a flow was reported.
type EndReason uint8

// Why a flow was reported. EndActive is a report of a flow that goes on.
const (
	EndNone EndReason = iota
	EndFIN
	EndRST
	EndIdle
	EndEvicted
	EndReuse
	EndDone
	EndEOF
	EndActive
)

var endNames = [...]string{"", "fin", "rst", "idle", "evicted", "reuse", "done", "eof", "active"}

// String returns the name used in records.
func (e EndReason) String() string {
	if int(e) < len(endNames) {
		return endNames[e]
	}
	return ""
}

// ProtocolName returns the name of an IP protocol number as used in records.
func ProtocolName(p uint8) string { return protocolNames[p] }

var protocolNames = func() (names [256]string) {
	const digits = "0123456789"
	for i := range names {
		n := "ip-"
		if i >= 100 {
			n += string(digits[i/100])
		}
		if i >= 10 {
			n += string(digits[i/10%10])
		}
		names[i] = n + string(digits[i%10])
	}
	for p, n := range map[uint8]string{1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre",
		50: "esp", 51: "ah", 58: "icmpv6", 88: "eigrp", 89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp"} {
		names[p] = n
	}
	return names
}()

// Packet is one data packet (transport payload above zero, retransmissions
// left out) of the packet length and time sequence.
type Packet struct {
	Length int32 // payload bytes, negative from the server
	Offset int64 // ns since the flow's first packet
}

// Record is one TLS record header.
type Record struct {
	Direction Direction
	Type      uint8  // content type as sent
	Length    uint16 // body length
	Offset    int64  // ns since the flow's first packet, of the packet with the header
}

// Half is what one direction sent.
type Half struct {
	Packets, Bytes, Payload uint64    // packets; bytes from the IP header on; transport payload
	DataPackets             uint64    // packets with payload, retransmissions left out
	Retransmitted           uint64    // packets that brought nothing new
	Gaps                    uint64    // bytes missing in the reassembled part
	LengthSum               uint64    // over data packets: payload bytes
	LengthSquares           uint64    // over data packets: payload bytes squared
	LengthMax               uint32    // over data packets
	Sizes                   [8]uint64 // data packets by payload: <16 <32 <64 <128 <256 <512 <1024 and more

	ByteCounts [256]uint16 // values of the first CountedBytes payload bytes, in stream order

	TLSRecords, AppRecords, AppBytes uint64 // records seen; of them application data; their body bytes
	Alerts, ChangeCipherSpecs        uint64
	AppByteCounts                    [256]uint16 // values of the first CountedBytes application-data body bytes
	ShortHeaders                     uint64      // QUIC: packets with a short header, which carry application data

	// TTL is the time to live, or the hop limit, of the first packet.
	TTL uint8
	// Opening is the window (2 bytes) and the options of the TCP segment with SYN,
	// empty unless capture was asked to keep it.
	Opening []byte

	// Preamble is the HTTP header sections that came before TLS, as a proxy was asked
	// for a tunnel.
	Preamble []byte

	// Handshake is what later stages may parse: for TLS the records that are
	// not application data, with their headers, and tlswire.RecordGap where bytes
	// are missing; for HTTP/1 the header sections; for SSH the first bytes; for DNS,
	// QUIC, DTLS and DHCP whole messages, each behind its length (2 bytes, big
	// endian), of QUIC those with a long header. Empty for other protocols.
	Handshake []byte
}

// DNSContext is what the DNS answers to a client were like in the five minutes
// before a flow.
type DNSContext struct {
	Responses uint32
	Negative  uint32 // of them: the name does not exist (NXDOMAIN)
}

// HTTPContext sums up the HTTP/1 in clear that a client host exchanged in the five
// minutes before a flow, whatever the server, as far as the first segment of each
// message shows it.
type HTTPContext struct {
	Requests       uint32
	Fields         uint32 // header fields of the requests
	UserAgents     uint32 // requests with a User-Agent
	UserAgentBytes uint32 // length of these fields
	Posts          uint32 // requests with the method POST
	Referers       uint32 // requests with a Referer
	Responses      uint32
	Errors         uint32 // responses with status 400 and above
	ContentTypes   uint32 // different types of the responses, without parameters
	Programs       uint32 // requests and responses for a program, as httpwire tells
	Server         string // the last Server field of a response, empty for none
}

// Flow is one flow as capture reports it. All values are since the flow's start.
type Flow struct {
	Source   string // file as given, or sensor:interface
	ID       ID
	Part     uint32 // counts the reports of this flow; a later one replaces the earlier ones
	Final    bool
	First    int64 // ns since the Unix epoch
	Last     int64
	Protocol uint8 // IP protocol number
	App      App
	Before   App // the protocol that TLS or DTLS came after in the same flow
	Client   netip.AddrPort
	Server   netip.AddrPort
	VLAN     []uint16 // outer first
	Tunnel   string
	RTT      int64 // ns from SYN to the ACK that ends the handshake, 0 when not observed
	// HandshakeSeen says that the transport's own opening (SYN) was captured.
	HandshakeSeen bool
	Truncated     bool // a packet was cut by the snap length
	End           EndReason

	Half    [2]Half
	Packets []Packet // first SPLTPackets of each direction, merged by time
	Records []Record // first SPLTRecords of each direction, merged by time

	Resolution    []byte // the DNS response that named the server, empty when none was seen
	ResolutionAge int64  // ns from that response to the flow's first packet
	DNS           DNSContext
	HTTP          *HTTPContext // nil when no HTTP was watched
}

// Reset empties f and keeps the memory of its lists of numbers, which is its own; byte
// slices may be parts of the message that f was read from.
func (f *Flow) Reset() {
	*f = Flow{VLAN: f.VLAN[:0], Packets: f.Packets[:0], Records: f.Records[:0]}
}
