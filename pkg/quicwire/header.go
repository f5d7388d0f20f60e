package quicwire

import "encoding/binary"

const (
	longHeader = 0x80 // in the first byte of a packet
	// maxCID is the longest connection id (RFC 9000 section 17.2).
	maxCID = 20
	// retryTagLen is the length of the integrity tag that ends a Retry (RFC 9001 section 5.8).
	retryTagLen = 16
	// minPayload is the least that a protected packet has from its number on
	// (RFC 9001 section 5.4.2).
	minPayload = maxNumberLen + sampleLen

	// Flags of the public header of Google's versions up to Q043.
	publicVersion  = 0x01
	publicReset    = 0x02
	publicCID      = 0x08
	publicReserved = 0xc0 // never set
	publicCIDLen   = 8
	googleHashLen  = 12
	// privateFlagsBefore is the first version without a byte of flags after the hash.
	privateFlagsBefore = 'Q'<<24 | '0'<<16 | '3'<<8 | '4'
)

type kind uint8

const (
	kindUnknown kind = iota // of a version that is not known
	kindInitial
	kindZeroRTT
	kindHandshake
	kindRetry
	kindNegotiation
	kindClear // of Google's versions up to Q046
)

// packet is one packet with a long or a public header. Its slices alias the
// datagram.
type packet struct {
	kind       kind
	cut        bool // the packet ends before it should
	version    uint32
	dcid, scid []byte
	token      []byte // of an Initial
	raw        []byte // from the first byte of the header to the packet's end
	// payload is where in raw the header ends: at the packet number of an
	// Initial, at the frames of a clear packet, at the versions of a negotiation.
	payload int
}

// parse reads the packet at the front of a datagram and returns what is
// behind it. What is no packet with a long or public header is not ok.
func (p *packet) parse(b []byte) (rest []byte, ok bool) {
	*p = packet{raw: b}
	if len(b) < 6 {
		return nil, false
	}
	if b[0]&longHeader == 0 {
		return nil, p.parsePublic()
	}
	r := reader{b: b[1:]}
	p.version = r.u32()
	if p.version == versionQ044 || p.version == versionQ046 {
		return nil, p.parseGoogle()
	}
	p.dcid = r.bytes(uint64(r.u8()))
	p.scid = r.bytes(uint64(r.u8()))
	if r.bad {
		return nil, false
	}
	p.payload = len(b) - len(r.b)
	switch {
	case p.version == 0:
		p.kind = kindNegotiation
		return nil, len(r.b) >= 4 && len(r.b)%4 == 0
	case !IsVersion(p.version):
		return nil, true
	case len(p.dcid) > maxCID || len(p.scid) > maxCID:
		return nil, false
	}
	if p.kind = kindOf(b[0], p.version); p.kind == kindRetry {
		return nil, len(r.b) >= retryTagLen
	}
	if p.kind == kindInitial {
		p.token = r.bytes(r.varint())
	}
	n := r.varint()
	p.cut = r.bad || n > uint64(len(r.b))
	p.payload = len(b) - len(r.b)
	r.bytes(n)
	p.raw = b[:len(b)-len(r.b)]
	return r.b, true
}

// kindOf reads the type in the first byte, which version 2 numbers anew
// (RFC 9369 section 3.2).
func kindOf(first byte, version uint32) kind {
	typ := first >> 4 & 3
	if version == Version2 {
		typ = (typ + 3) & 3
	}
	return kindInitial + kind(typ)
}

// parseGoogle reads the rest of the long header of Q044 and Q046, which follows
// early drafts.
func (p *packet) parseGoogle() bool {
	p.kind = kindClear
	r := reader{b: p.raw[5:]}
	lens := r.u8()
	p.dcid = r.bytes(googleCIDLen(lens >> 4))
	p.scid = r.bytes(googleCIDLen(lens & 15))
	number := uint64(4)
	if p.version == versionQ046 {
		number = uint64(p.raw[0]&3) + 1
	}
	r.bytes(number + googleHashLen)
	p.payload = len(p.raw) - len(r.b)
	p.cut = r.bad
	return true
}

func googleCIDLen(nibble uint8) uint64 {
	if nibble == 0 {
		return 0
	}
	return uint64(nibble) + 3
}

// IsPublicHeader reports whether a datagram begins with the public header of
// Google's versions up to Q043 that names a version.
func IsPublicHeader(b []byte) bool {
	return len(b) >= 1+publicCIDLen+4 && b[0]&(longHeader|publicReserved) == 0 &&
		b[0]&(publicVersion|publicReset|publicCID) == publicVersion|publicCID &&
		isPublic(binary.BigEndian.Uint32(b[1+publicCIDLen:]))
}

// parsePublic reads a public header, which only packets of the client and
// version negotiation have with a version in it.
func (p *packet) parsePublic() bool {
	if !IsPublicHeader(p.raw) {
		return false
	}
	r := reader{b: p.raw[1:]}
	p.dcid = r.bytes(publicCIDLen)
	p.payload = len(p.raw) - len(r.b)
	if 4*knownVersions(r.b) == len(r.b) {
		p.kind = kindNegotiation
		return true
	}
	p.kind = kindClear
	p.version = r.u32()
	number := uint64(1)
	if size := p.raw[0] >> 4 & 3; size > 0 {
		number = 2 * uint64(size)
	}
	r.bytes(number + googleHashLen)
	if p.version < privateFlagsBefore {
		r.bytes(1)
	}
	p.payload = len(p.raw) - len(r.b)
	p.cut = r.bad
	return true
}

// knownVersions counts the versions in a list that are known.
func knownVersions(list []byte) int {
	n := 0
	for ; len(list) >= 4; list = list[4:] {
		if IsVersion(binary.BigEndian.Uint32(list)) {
			n++
		}
	}
	return n
}

// LooksLikeInitial reports whether a datagram begins with an Initial of a known
// version, of either side, or with a packet of Google's older versions that names its version.
func LooksLikeInitial(b []byte) bool {
	var p packet
	return p.plausible(b) && (p.kind == kindInitial || p.kind == kindClear)
}

// LooksLikeLongHeader reports whether a datagram begins with any packet of a
// known version that has a long header, or with version negotiation.
func LooksLikeLongHeader(b []byte) bool {
	var p packet
	return len(b) > 0 && b[0]&longHeader != 0 && p.plausible(b)
}

// plausible parses a datagram and tells whether it can hardly be anything but
// QUIC.
func (p *packet) plausible(b []byte) bool {
	if len(b) < 6 {
		return false
	}
	if v := binary.BigEndian.Uint32(b[1:]); b[0]&longHeader != 0 && v != 0 && !IsVersion(v) {
		return false // most of what is not QUIC ends here
	}
	if _, ok := p.parse(b); !ok {
		return false
	}
	switch p.kind {
	case kindNegotiation:
		return len(p.dcid) <= maxCID && len(p.scid) <= maxCID && knownVersions(p.raw[p.payload:]) > 0
	case kindInitial, kindZeroRTT, kindHandshake:
		return len(p.raw)-p.payload >= minPayload
	case kindClear:
		return !p.cut && len(p.dcid)+len(p.scid) > 0
	}
	return true
}
