// Package traffic gives tests of parsers what the ends of a capture sent, as the
// product's own packet decoder reads it.
package traffic

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"testing"

	"trench/pkg/internal/corpus"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// maxKept bounds the bytes that are kept of one direction.
const maxKept = 1 << 20

// Packets visits the packets of a capture that can be decoded, up to its end or to
// where it is damaged. number counts all packets, from 1. v is valid during the visit.
func Packets(r *pcap.Reader, visit func(number int, v *packet.View)) {
	d := packet.NewDecoder(packet.DefaultConfig())
	var block pcap.Block
	var v packet.View
	var err error
	number := 0
	for err == nil {
		err = r.ReadBlock(&block)
		for i := range block.Packets {
			number++
			if d.Decode(&v, &block.Packets[i]) == packet.OK {
				visit(number, &v)
			}
		}
	}
}

// Way returns where a packet went.
func Way(v *packet.View) corpus.Way {
	a, b := v.Key.Ends()
	if !v.Forward {
		a, b = b, a
	}
	return corpus.Way{Src: a, Dst: b}
}

// Streams returns the first bytes that each TCP connection of a capture carried in either
// direction, up to the first gap. Of connections between the same ends it is the first
// one.
func Streams(tb testing.TB, path string) map[corpus.Way][]byte {
	tb.Helper()
	directions := map[corpus.Way]*direction{}
	corpus.Captures(tb, path, func(_ string, r *pcap.Reader) bool {
		Packets(r, func(_ int, v *packet.View) {
			if v.Key.Protocol != packet.ProtocolTCP {
				return
			}
			w := Way(v)
			d := directions[w]
			if d == nil {
				d = &direction{}
				directions[w] = d
			}
			d.add(v)
		})
		return true
	})
	out := make(map[corpus.Way][]byte, len(directions))
	for w, d := range directions {
		out[w] = d.stream()
	}
	return out
}

// direction is one direction of a TCP connection.
type direction struct {
	begun    bool
	first    uint32 // sequence number of the first byte
	segments []segment
}

type segment struct {
	off  int
	data []byte
}

func (d *direction) add(v *packet.View) {
	seq := v.Seq
	if v.Flags&packet.SYN != 0 {
		seq++
	} else if len(v.Payload) == 0 {
		return
	}
	if !d.begun {
		d.begun, d.first = true, seq
	}
	if off := int(int32(seq - d.first)); off >= 0 && off < maxKept && len(v.Payload) > 0 {
		d.segments = append(d.segments, segment{off, bytes.Clone(v.Payload)})
	}
}

// stream returns the payload up to the first gap.
func (d *direction) stream() []byte {
	slices.SortStableFunc(d.segments, func(a, b segment) int { return cmp.Compare(a.off, b.off) })
	var out []byte
	for _, s := range d.segments {
		if s.off > len(out) {
			break
		}
		if known := len(out) - s.off; known < len(s.data) {
			out = append(out, s.data[known:]...)
		}
	}
	return out
}

// Datagrams are the UDP payloads of a capture.
type Datagrams struct {
	Ways []corpus.Way          // in the order of their first datagrams
	Rows map[corpus.Way][]byte // each datagram behind its length (2 bytes, big endian)
}

// ReadDatagrams returns the payloads that wanted holds for worth it.
func ReadDatagrams(tb testing.TB, path string, wanted func(payload []byte) bool) Datagrams {
	tb.Helper()
	d := Datagrams{Rows: map[corpus.Way][]byte{}}
	corpus.Captures(tb, path, func(_ string, r *pcap.Reader) bool {
		Packets(r, func(_ int, v *packet.View) {
			if v.Key.Protocol != packet.ProtocolUDP || !wanted(v.Payload) {
				return
			}
			w := Way(v)
			row := d.Rows[w]
			if row == nil {
				d.Ways = append(d.Ways, w)
			}
			if len(row) < maxKept {
				d.Rows[w] = append(binary.BigEndian.AppendUint16(row, uint16(len(v.Payload))), v.Payload...)
			}
		})
		return true
	})
	return d
}
