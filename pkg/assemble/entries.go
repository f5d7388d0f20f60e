package assemble

import "trench/pkg/flow"

// entries is a list of at most 2·50 data packets or TLS records, 8 bytes each:
// what happened in the lower bits, and above them the time since the entry
// before (signed, ns). 46 bits of time reach for 9.7 hours between two data
// packets, 45 bits for 4.8 hours between two records; what is longer saturates.
type entries struct {
	list []uint64
	last int64 // offset of the last entry, as it can be read back
}

const (
	// packetBits hold a signed length.
	packetBits = 18
	// packetLengthMax is the longest payload that an entry can hold; longer
	// packets (jumbograms) are listed with this length.
	packetLengthMax = 1<<(packetBits-1) - 1
	// recordBits hold a length (15), a side (1) and a content type (3).
	recordBits = 19
	// recordTypes is the content type with number 0.
	recordTypes = 20
)

// add appends an entry: value in the lower bits, and offset in ns since the
// flow's start.
func (e *entries) add(p *pool, offset int64, bits uint, value uint64) {
	limit := int64(1)<<(63-bits) - 1
	delta := max(min(offset-e.last, limit), -limit)
	e.last += delta
	if len(e.list) == cap(e.list) {
		e.list = p.growEntries(e.list)
	}
	e.list = append(e.list, uint64(delta)<<bits|value&(1<<bits-1))
}

// packets appends the list as data packets, lengths with the sign of side A.
func (e *entries) packets(dst []flow.Packet) []flow.Packet {
	at := int64(0)
	for _, v := range e.list {
		at += int64(v) >> packetBits
		dst = append(dst, flow.Packet{Length: int32(int64(v<<(64-packetBits)) >> (64 - packetBits)), Offset: at})
	}
	return dst
}

// records appends the list as TLS records; Direction is the side.
func (e *entries) records(dst []flow.Record) []flow.Record {
	at := int64(0)
	for _, v := range e.list {
		at += int64(v) >> recordBits
		dst = append(dst, flow.Record{Direction: flow.Direction(v >> 15 & 1), Type: uint8(v>>16&7) + recordTypes, Length: uint16(v & 0x7fff), Offset: at})
	}
	return dst
}

// recordValue is the value of a record's entry.
func recordValue(side int, typ uint8, length uint16) uint64 {
	return uint64(typ-recordTypes)&7<<16 | uint64(side)<<15 | uint64(length)&0x7fff
}
