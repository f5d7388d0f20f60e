package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// classic is what the file header of a pcap file says.
type classic struct {
	nanos   bool   // the fraction is ns
	headLen int    // bytes of a record header
	lengths uint16 // version 2.x: how captured and wire length are ordered
	link    LinkType
}

// How old versions order the two lengths of a record (draft-ietf-opsawg-pcap
// begins with version 2.4).
const (
	lengthsInOrder  = iota
	lengthsSwapped  // before 2.3
	lengthsByChance // 2.3: the smaller is the captured one
)

// startClassic reads the file header of a pcap file.
func (p *Reader) startClassic(magic [4]byte) error {
	c := &p.classic
	c.headLen = 16
	number := binary.LittleEndian.Uint32(magic[:])
	if m := bits.ReverseBytes32(number); m>>16 == 0xa1b2 || m>>16 == 0x1c00 {
		number, p.swap = m, true
	}
	headLen := 24
	switch number {
	case 0xa1b2c3d4:
	case 0xa1b23c4d:
		c.nanos = true
	case 0xa1b2cd34:
		c.headLen = 24
	case 0x1c0001ab:
		headLen = 28
	case 0x1c0001ac:
		headLen, c.nanos = 28, true
	default:
		return p.fail(0, fmt.Errorf("magic %08x: %w", binary.BigEndian.Uint32(magic[:]), ErrFormat))
	}
	var buf [24]byte
	head := buf[:headLen-4]
	if n, err := io.ReadFull(p.in, head); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("file header cut after %d of %d bytes: %w", n+4, headLen, err)
		}
		return p.fail(int64(n)+4, err)
	}
	if major, minor := p.u16(head), p.u16(head[2:]); major == 2 && minor == 3 {
		c.lengths = lengthsByChance
	} else if major == 2 && minor < 3 {
		c.lengths = lengthsSwapped
	}
	c.link = LinkType(p.u32(head[16:])) // upper bits tell about checksums
	p.rest, p.off = p.rest[:0], int64(headLen)
	p.parse = p.parseClassic
	return nil
}

// parseClassic takes whole records from b.
func (p *Reader) parseClassic(b []byte, out *Block) (int, error) {
	c, packets, at := p.classic, out.Packets, 0
	for len(b)-at >= c.headLen {
		h := b[at : at+16 : len(b)]
		sec, frac := binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:])
		captured, wire := binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
		if p.swap {
			sec, frac = bits.ReverseBytes32(sec), bits.ReverseBytes32(frac)
			captured, wire = bits.ReverseBytes32(captured), bits.ReverseBytes32(wire)
		}
		if c.lengths == lengthsSwapped || c.lengths == lengthsByChance && captured > wire {
			captured, wire = wire, captured
		}
		if captured > maxRecord {
			out.Packets = packets
			return at, p.fail(p.off+int64(at), fmt.Errorf("record of %d bytes is longer than %d", captured, maxRecord))
		}
		start := at + c.headLen
		end := start + int(captured)
		if end > len(b) {
			break
		}
		nanos := int64(frac)
		if !c.nanos {
			nanos *= 1000
		}
		packets = append(packets, Packet{Time: int64(sec)*1e9 + nanos, Data: b[start:end:end], WireLen: max(wire, captured), Link: c.link})
		at = end
	}
	out.Packets = packets
	return at, nil
}
