package quicwire

// Types of frames (RFC 9000 section 19).
const (
	framePadding         = 0x00
	framePing            = 0x01
	frameAck             = 0x02
	frameAckECN          = 0x03
	frameCrypto          = 0x06
	frameConnectionClose = 0x1c
)

// frames enters the CRYPTO frames of an Initial. It reports whether all of the
// packet was read; only the frames above may be in one (RFC 9000 section 12.4).
func (s *stream) frames(b []byte) bool {
	whole := true
	for r := (reader{b: b}); !r.empty(); {
		switch r.varint() {
		case framePadding:
			r.zeros()
		case framePing:
		case frameAck:
			r.ack()
		case frameAckECN:
			r.ack()
			r.varint() // ECT0
			r.varint() // ECT1
			r.varint() // ECN-CE
		case frameCrypto:
			offset := r.varint()
			data := r.bytes(r.varint())
			whole = s.add(offset, data) && whole
		case frameConnectionClose:
			r.varint() // error code
			r.varint() // type of the frame that caused it
			r.bytes(r.varint())
		default:
			return false
		}
		if r.bad {
			return false
		}
	}
	return whole
}

func (r *reader) ack() {
	r.varint() // largest acknowledged
	r.varint() // delay
	ranges := r.varint()
	r.varint() // first range
	for ; ranges > 0 && !r.bad; ranges-- {
		r.varint() // gap
		r.varint() // length
	}
}
