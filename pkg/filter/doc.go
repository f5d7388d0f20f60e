// Package filter compiles the filter language of libpcap, pcap-filter(7), to
// classic BPF: for capture files, where Match runs the program, and for a packet
// socket, where the kernel does.
//
//	expression = term { ("and" | "or") term }        equal rank, from left to right
//	term       = [ "not" ] ( primitive | "(" expression ")" | value )
//	primitive  = [ protocol ] [ direction ] [ type ] value
//	           | protocol | "vlan" [id] | "mpls" [label] | "pppoes" [id] | "less" n | "greater" n
//	           | sum relation sum                    with header bytes, as in tcp[tcpflags] & tcp-syn != 0
//
// A value alone takes the qualifiers before it: "tcp port 80 or 443". "vlan",
// "mpls" and "pppoes" move the offsets of everything that stands behind them. As
// in libpcap a load beyond the captured bytes rejects the packet, even under
// "not"; ports are those of first fragments; tcp[…] and its like mean IPv4.
// Names are not looked up, but for well-known ports and protocols. In sums % and ^
// rank as in C; libpcap gives them no rank.
package filter
