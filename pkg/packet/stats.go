package packet

// Stats counts what a Decoder did beyond decoding one packet after another.
type Stats struct {
	Held        uint64  // fragments that wait now
	Dropped     Dropped // fragments whose datagram never became a packet of a flow
	Reassembled uint64  // datagrams that became whole
	Overlaps    uint64  // fragments of which another had brought a part, or all
	Oversized   uint64  // fragments beyond the 65,535 bytes of a datagram, which are malformed
	TooDeep     uint64  // packets that stay with their outer flow because of the nesting limit
	// GTPForgotten counts tunnels, and conversations in tunnels without a mate, that
	// gave room to others.
	GTPForgotten uint64
}

// Dropped counts fragments by the reason why their datagram was given up.
type Dropped struct {
	Expired    uint64 // fragment_age
	Bytes      uint64 // fragment_bytes
	Datagrams  uint64 // fragment_datagrams
	Incomplete uint64 // the input ended
	Malformed  uint64 // the whole datagram is malformed; its last fragment has that outcome itself
}

// Total returns the sum over all reasons.
func (d *Dropped) Total() uint64 {
	return d.Expired + d.Bytes + d.Datagrams + d.Incomplete + d.Malformed
}

// Add adds the counters of another decoder.
func (s *Stats) Add(o Stats) {
	s.Held += o.Held
	s.Dropped.Expired += o.Dropped.Expired
	s.Dropped.Bytes += o.Dropped.Bytes
	s.Dropped.Datagrams += o.Dropped.Datagrams
	s.Dropped.Incomplete += o.Dropped.Incomplete
	s.Dropped.Malformed += o.Dropped.Malformed
	s.Reassembled += o.Reassembled
	s.Overlaps += o.Overlaps
	s.Oversized += o.Oversized
	s.TooDeep += o.TooDeep
	s.GTPForgotten += o.GTPForgotten
}
