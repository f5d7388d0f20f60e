package quicwire

import "encoding/binary"

// Tags of messages and of their values, as they are on the wire.
const (
	tagCHLO      = "CHLO"
	tagSNI       = "SNI\x00"
	tagUserAgent = "UAID"
	tagVersion   = "VER\x00"
	tagALPN      = "ALPN"

	googleHeaderLen = 8 // tag, number of values, two bytes of zero
	googleEntryLen  = 8 // tag, where the value ends
	maxGoogleTags   = 128
)

// GoogleHello is the hello of a client that speaks Google's own handshake. The
// slices alias memory of the Connection.
type GoogleHello struct {
	Seen       bool // there was one
	Incomplete bool // it was cut
	// Tags names the values in the order of the hello, each tag as its four
	// bytes read big endian.
	Tags []uint32
	// Version is the one that the client prefers, 0 for none.
	Version              uint32
	SNI, UserAgent, ALPN []byte
}

// isGoogleHello reports whether a stream begins with a ClientHello.
func isGoogleHello(b []byte) bool {
	return len(b) >= googleHeaderLen && string(b[:4]) == tagCHLO
}

// googleMessages counts the whole messages at the start of a stream.
func googleMessages(b []byte) int {
	n := 0
	for len(b) >= googleHeaderLen {
		end := googleHeaderLen
		if values := int(binary.LittleEndian.Uint16(b[4:])); values > 0 {
			end += values * googleEntryLen
			if end > len(b) {
				break
			}
			end += int(binary.LittleEndian.Uint32(b[end-4:]))
		}
		if end > len(b) {
			break
		}
		b = b[end:]
		n++
	}
	return n
}

func (h *GoogleHello) parse(b []byte) {
	if !isGoogleHello(b) {
		return
	}
	h.Seen = true
	n := int(binary.LittleEndian.Uint16(b[4:]))
	entries := b[googleHeaderLen:]
	if n > maxGoogleTags || n*googleEntryLen > len(entries) {
		h.Incomplete = true
		n = min(n, maxGoogleTags, len(entries)/googleEntryLen)
	}
	entries, values := entries[:n*googleEntryLen], entries[n*googleEntryLen:]
	from := 0
	for ; len(entries) > 0; entries = entries[googleEntryLen:] {
		h.Tags = append(h.Tags, binary.BigEndian.Uint32(entries))
		to := int(binary.LittleEndian.Uint32(entries[4:]))
		if to < from || to > len(values) {
			h.Incomplete = true
			continue
		}
		value := values[from:to:to]
		from = to
		switch string(entries[:4]) {
		case tagSNI:
			h.SNI = value
		case tagUserAgent:
			h.UserAgent = value
		case tagALPN:
			h.ALPN = value
		case tagVersion:
			if len(value) == 4 {
				h.Version = binary.BigEndian.Uint32(value)
			}
		}
	}
}

// Types of Google's frames. Those of STREAM and ACK have the high bits set and
// carry the sizes of their fields in the low ones.
const (
	googlePadding         = 0x00
	googleResetStream     = 0x01
	googleConnectionClose = 0x02
	googleGoAway          = 0x03
	googleWindowUpdate    = 0x04
	googleBlocked         = 0x05
	googlePing            = 0x07
	googleCrypto          = 0x08
	googleAck             = 0x40
	googleStream          = 0x80

	// cryptoStream is the stream that the handshake is in.
	cryptoStream = 1
)

// googleFrames enters the frames of a packet with Google's frames. It reports
// whether all of the packet was read.
func (s *stream) googleFrames(b []byte, version uint32) bool {
	whole := true
	for r := (reader{b: b, little: isLittleEndian(version)}); !r.empty(); {
		switch typ := r.u8(); {
		case typ&googleStream != 0:
			whole = s.googleStream(&r, typ) && whole
		case typ&googleAck != 0:
			r.googleAck(typ)
		case typ == googleCrypto:
			offset := r.varint()
			data := r.bytes(r.varint())
			whole = s.add(offset, data) && whole
		case typ == googlePadding:
			r.zeros()
		case typ == googlePing:
		case typ == googleResetStream:
			r.bytes(16) // stream, offset, error
		case typ == googleConnectionClose:
			r.bytes(4) // error
			r.bytes(r.uint(2))
		case typ == googleGoAway:
			r.bytes(8) // error, stream
			r.bytes(r.uint(2))
		case typ == googleWindowUpdate:
			r.bytes(12) // stream, offset
		case typ == googleBlocked:
			r.bytes(4) // stream
		default: // among them STOP_WAITING (6), whose size is that of the packet number
			return false
		}
		if r.bad {
			return false
		}
	}
	return whole
}

// googleStream reads a STREAM frame: 1 F D OOO SS are the bits of its type,
// followed by stream, offset and, when D is set, length.
func (s *stream) googleStream(r *reader, typ uint8) bool {
	id := r.uint(int(typ&3) + 1)
	var offset uint64
	if size := int(typ >> 2 & 7); size > 0 {
		offset = r.uint(size + 1)
	}
	size := uint64(len(r.b))
	if typ&0x20 != 0 {
		size = r.uint(2)
	}
	data := r.bytes(size)
	return id != cryptoStream || s.add(offset, data)
}

// googleAck reads an ACK frame: 0 1 N U LL MM are the bits of its type.
func (r *reader) googleAck(typ uint8) {
	largest, block := googleNumberLen(typ>>2), googleNumberLen(typ)
	r.bytes(largest + 2) // largest acknowledged, delay
	var blocks uint64
	if typ&0x20 != 0 {
		blocks = uint64(r.u8())
	}
	r.bytes(block + blocks*(1+block)) // the first has no gap before it
	if times := uint64(r.u8()); times > 0 {
		r.bytes(5 + 3*(times-1)) // the first has four bytes of time, others two
	}
}

func googleNumberLen(bits uint8) uint64 {
	if bits &= 3; bits > 0 {
		return 2 * uint64(bits)
	}
	return 1
}
