// Package dhcpwire reads of DHCP what names a host: DHCPv4 (RFC 2131, RFC 2132) and DHCPv6 (RFC 8415).
// It observes and does not enforce: what is broken or cut is read as far as it
// goes, and Incomplete is set.
//
// A message of DHCPv4 goes from port 68 to 67 and back (RFC 2131 section 2):
//
//	 0    1       2      3      4     8      10      12                28
//	+----+-------+------+------+-----+------+-------+-----------------+------- - -
//	| op | htype | hlen | hops | xid | secs | flags | 4 addresses 4   | chaddr 16
//	+----+-------+------+------+-----+------+-------+-----------------+------- - -
//	 44         108        236          240
//	+----------+----------+------------+--------- - -
//	| sname 64 | file 128 | 63 82 53 63| options
//	+----------+----------+------------+--------- - -
//	option: code 1 | length 1 | value; 0 is padding and 255 the end, both without length
//	  12 host name         50 requested address   52 options go on in file 1, sname 2
//	  53 message type      55 parameter list      60 vendor class
//	  61 client identifier 81 FQDN: flags 1 | 2 bytes | name (RFC 4702)
//
// A message of DHCPv6 goes from port 546 to 547 and back (RFC 8415 sections 8 and 9). Relay agents
// wrap it, several times if there are several:
//
//	 0      1                 4
//	+------+-----------------+--------- - -
//	| type | transaction id  | options
//	+------+-----------------+--------- - -
//	 0         1           2                 18                34
//	+---------+-----------+-----------------+-----------------+--------- - -
//	| 12, 13  | hop count | link address    | peer address    | options
//	+---------+-----------+-----------------+-----------------+--------- - -
//	option: code 2 | length 2 | value
//	   1 client identifier   3 addresses: 12 bytes | options   5 address 16 | …
//	   6 option list, 2 bytes each                             9 relayed message
//	  16 vendor class: enterprise 4 | classes <2>
//	  39 FQDN: flags 1 | name (RFC 4704)
//
// Names of hosts in the format of DNS (RFC 1035 section 3.1) are given as labels joined by dots.
package dhcpwire
