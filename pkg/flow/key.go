package flow

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net/netip"
)

// Endpoint is an address and a port as they stand in a packet. IPv4 addresses
// use the first four bytes, the rest is zero.
type Endpoint struct {
	Addr [16]byte
	Port uint16
}

func (e Endpoint) compare(o Endpoint) int {
	if c := bytes.Compare(e.Addr[:], o.Addr[:]); c != 0 {
		return c
	}
	return int(e.Port) - int(o.Port)
}

// Key identifies a flow without direction: the smaller endpoint comes first.
// It is comparable and has no padding, so it is a fast map key. Fields that do
// not apply are zero.
type Key struct {
	A, B         [16]byte  // addresses, smaller endpoint first
	Tenant       uint32    // VNI or TEID of the encapsulation
	PortA, PortB uint16    // ports, zero where the protocol has none
	VLAN         [2]uint16 // outer and inner VLAN id
	Protocol     uint16    // IP protocol number
	Version      uint8     // 4 or 6
	Tunnel       Tunnel    // how the flow was encapsulated
}

// SetEndpoints stores the two ends in canonical order and reports whether src
// became the A side.
func (k *Key) SetEndpoints(src, dst *Endpoint) (forward bool) {
	if src.compare(*dst) <= 0 {
		k.A, k.PortA, k.B, k.PortB = src.Addr, src.Port, dst.Addr, dst.Port
		return true
	}
	k.A, k.PortA, k.B, k.PortB = dst.Addr, dst.Port, src.Addr, src.Port
	return false
}

// Ends returns the A and the B side as addresses with ports.
func (k *Key) Ends() (a, b netip.AddrPort) {
	return netip.AddrPortFrom(k.addr(&k.A), k.PortA), netip.AddrPortFrom(k.addr(&k.B), k.PortB)
}

func (k *Key) addr(raw *[16]byte) netip.Addr {
	if k.Version == 4 {
		return netip.AddrFrom4([4]byte(raw[:4]))
	}
	return netip.AddrFrom16(*raw)
}

// Hash mixes all fields. Both directions of a flow have the same hash, because
// the key is canonical. The seed keeps who sends packets from choosing keys that
// collide.
func (k *Key) Hash(seed uint64) uint64 {
	h := fold(seed^(uint64(k.Tenant)<<32|uint64(k.PortA)<<16|uint64(k.PortB)),
		uint64(k.VLAN[0])<<48|uint64(k.VLAN[1])<<32|uint64(k.Protocol)<<16|uint64(k.Version)<<8|uint64(k.Tunnel)^mulA)
	h = fold(h^binary.LittleEndian.Uint64(k.A[:]), binary.LittleEndian.Uint64(k.B[:])^mulB)
	if k.Version == 6 {
		h = fold(h^binary.LittleEndian.Uint64(k.A[8:]), binary.LittleEndian.Uint64(k.B[8:])^mulA)
	}
	return fold(h, mulB)
}

const (
	mulA = 0x9e3779b97f4a7c15
	mulB = 0xd6e8feb86659fd93
)

// fold multiplies to 128 bits and joins both halves.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Spread returns a number that all packets between the two endpoints of k share,
// whatever carries them: it leaves out protocol, VLAN and tunnel. It decides which
// worker sees a flow.
func (k *Key) Spread() uint64 {
	return SpreadEnds(
		SpreadEnd(binary.LittleEndian.Uint64(k.A[:]), binary.LittleEndian.Uint64(k.A[8:]), k.PortA),
		SpreadEnd(binary.LittleEndian.Uint64(k.B[:]), binary.LittleEndian.Uint64(k.B[8:]), k.PortB))
}

// SpreadEnd mixes one endpoint: both halves of its address (little endian, IPv4
// in the first four bytes of the first half) and its port.
func SpreadEnd(first, second uint64, port uint16) uint64 {
	return fold(first^uint64(port)<<40^mulA, second^mulB)
}

// SpreadEnds joins two endpoints, in either order.
func SpreadEnds(a, b uint64) uint64 { return fold(a+b, mulA) }

// ID identifies a flow for good: the same packets read again give the same ID.
type ID [16]byte

// MakeID returns the first 128 bits of SHA-256 over the sensor id, the
// canonical key, the first packet's time in ns and an ordinal for flows that
// tie in all of these.
func MakeID(sensor string, k *Key, firstNanos int64, ordinal uint32) ID {
	var buf [96]byte
	b := append(buf[:0], byte(len(sensor)>>8), byte(len(sensor)))
	b = append(b, sensor...)
	b = append(b, k.A[:]...)
	b = append(b, k.B[:]...)
	b = binary.BigEndian.AppendUint32(b, k.Tenant)
	b = binary.BigEndian.AppendUint16(b, k.PortA)
	b = binary.BigEndian.AppendUint16(b, k.PortB)
	b = binary.BigEndian.AppendUint16(b, k.VLAN[0])
	b = binary.BigEndian.AppendUint16(b, k.VLAN[1])
	b = binary.BigEndian.AppendUint16(b, k.Protocol)
	b = append(b, k.Version, byte(k.Tunnel))
	b = binary.BigEndian.AppendUint64(b, uint64(firstNanos))
	b = binary.BigEndian.AppendUint32(b, ordinal)
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// String returns 32 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String returns; capitals are fine, too.
func ParseID(s string) (id ID, err error) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("flow_id %q: has %d characters, want 32 hex digits", s, len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("flow_id %q: %w", s, err)
	}
	return id, nil
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }
