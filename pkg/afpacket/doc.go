// Package afpacket captures packets from a network interface of Linux into
// memory that the kernel shares with this process: TPACKET_V3 of AF_PACKET
// (Documentation/networking/packet_mmap.rst), without cgo.
//
// A Ring is a row of blocks. The kernel fills one after the other and hands it
// over when it is full or when its time is up; the reader gives it back whole.
// All numbers are in the byte order of the machine:
//
//	block:  version u32 | private u32 | status u32 | packets u32 | first packet u32 | length u32 | sequence u64 | times 2×8
//	packet: next u32 | s u32 | ns u32 | captured u32 | wire u32 | status u32 | data u16 | network u16 | hash u32 |
//	        VLAN tci u32 | VLAN type u16 | 10 bytes | sockaddr_ll 20 bytes | … | data
//
// "data" and "next" count from the start of the packet's header, "first packet"
// from the start of the block.
//
// # What a packet looks like
//
// As on the wire, so that a live capture and a file of the same packets give
// the same flows. The kernel takes the outer VLAN tag out of a frame; it is put
// back by moving the two MAC addresses into room that the ring leaves before
// each packet (PACKET_RESERVE). Links without a link header give raw IP. Links
// whose header varies (PPP, tunnels, InfiniBand) are captured above it and get
// the pseudo header of LINKTYPE_LINUX_SLL2. What carries no IP is refused by
// name. Segments that the machine has joined or not cut yet (GRO, TSO) come
// whole, up to the length of a block; checksums of packets on their way out are
// often not computed yet. On loopback every packet passes twice, and is taken
// on its way in only; elsewhere both directions are taken.
//
// # Filter
//
// The kernel runs the filter before it copies a packet. It sees the frame
// without the outer VLAN tag, and without any header on links that get a
// pseudo header: see Kind.Filter. A program that refuses everything is in place
// until the ring is complete, so nothing gets by the filter at the start.
//
// # Sharing an interface
//
// Several rings divide the packets by fanout with a classic BPF program that
// returns a hash of the outermost IP addresses, the same for both directions.
// All that two hosts say to each other, fragments and every flow inside a
// tunnel between them included, comes by one ring in order. The kernel's own
// hash (PACKET_FANOUT_HASH) does not promise that: it takes ports, which later
// fragments lack, and the source port of VXLAN or GENEVE differs between the
// directions. Up to three VLAN tags are looked through. What is no IP there
// (ARP, MPLS, PPPoE, 802.11) comes by the first ring.
//
// # An interface that goes away
//
// When the interface goes down or vanishes, rings deliver what they hold and
// then nothing, while ReadBlock goes on to return at every poll interval. Once
// all rings of an interface are empty and it is up again, sockets are opened
// anew in the old order, so each ring gets the same hosts as before. Counters
// go on. This needs CAP_NET_RAW and nothing else.
package afpacket
