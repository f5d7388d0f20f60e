package packet

import "encoding/binary"

// Flags of a radiotap header.
const (
	wifiFCS = 0x10 // a checksum follows the frame
	wifiPad = 0x20 // the 802.11 header is padded to words of four
)

// radiotap skips a radiotap header (www.radiotap.org):
//
//	version 0 | pad | length (2, little endian) | present (4, more follow while bit 31 is set) … | fields …
//
// Of the fields only the flags matter, the second one behind the timestamp.
func (d *Decoder) radiotap(v *View, b []byte, wire int) Outcome {
	if len(b) < 8 {
		return Malformed
	}
	head := int(binary.LittleEndian.Uint16(b[2:]))
	if b[0] != 0 {
		return NotIP
	}
	if head < 8 || head > len(b) {
		return Malformed
	}
	present, at := binary.LittleEndian.Uint32(b[4:]), 8
	for word := present; word&(1<<31) != 0; at += 4 {
		if at+4 > head {
			return Malformed
		}
		word = binary.LittleEndian.Uint32(b[at:])
	}
	var flags byte
	if present&1 != 0 { // the timestamp is aligned to its size
		at = (at+7)&^7 + 8
	}
	if present&2 != 0 {
		if at >= head {
			return Malformed
		}
		flags = b[at]
	}
	return d.wifi(v, b[head:], wire-head, flags)
}

// prism skips the header of Prism or of AVS, which come under each other's link
// type: Prism has its length in the byte order of the host behind a message code, AVS behind its magic.
func (d *Decoder) prism(v *View, b []byte, wire int) Outcome {
	if len(b) < 8 {
		return Malformed
	}
	var head int
	switch {
	case binary.BigEndian.Uint32(b)&0xfffff000 == 0x80211000:
		head = int(binary.BigEndian.Uint32(b[4:]))
	case b[0] == 0x44 && b[1]|b[2]|b[3] == 0:
		head = int(binary.LittleEndian.Uint32(b[4:]))
	case b[3] == 0x44 && b[0]|b[1]|b[2] == 0:
		head = int(binary.BigEndian.Uint32(b[4:]))
	default:
		return d.wifi(v, b, wire, 0) // some drivers leave the header out
	}
	if head < 8 || head > len(b) {
		return Malformed
	}
	return d.wifi(v, b[head:], wire-head, 0)
}

// wifi decodes a data frame of 802.11:
//
//	control (2) | duration (2) | addresses (18) | sequence (2) | fourth address (6, between access points)
//	| QoS control (2) | HT control (4) | LLC …
//
// Other frames, encrypted frames and later fragments of a frame carry no IP that can be read.
func (d *Decoder) wifi(v *View, b []byte, wire int, flags byte) Outcome {
	if len(b) < 2 {
		return Malformed
	}
	if flags&wifiFCS != 0 {
		wire -= 4
		b = b[:max(0, min(len(b), wire))]
	}
	if len(b) < 2 {
		return Malformed
	}
	const data, noData, qos = 0x08, 0x40, 0x80
	if b[0]&0x0f != data || b[0]&noData != 0 {
		return NotIP
	}
	const toFrom, protected, order = 3, 0x40, 0x80
	if b[1]&protected != 0 {
		return NotIP
	}
	head := 24
	if b[1]&toFrom == toFrom {
		head += 6
	}
	aggregated := false
	if b[0]&qos != 0 {
		if len(b) < head+2 {
			return Malformed
		}
		aggregated = b[head]&0x80 != 0
		head += 2
		if b[1]&order != 0 {
			head += 4
		}
	}
	if flags&wifiPad != 0 {
		head = (head + 3) &^ 3
	}
	if len(b) < head {
		return Malformed
	}
	if b[22]&15 != 0 {
		return NotIP
	}
	b, wire = b[head:], wire-head
	if aggregated { // the first of several: addresses (12) | length (2) | LLC …
		if len(b) < 14 {
			return Malformed
		}
		n := int(binary.BigEndian.Uint16(b[12:]))
		b, wire = b[14:], wire-14
		if n < wire {
			b, wire = b[:min(n, len(b))], n
		}
	}
	return d.llc(v, b, wire)
}
