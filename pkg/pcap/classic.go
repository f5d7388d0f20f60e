package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// startClassic reads the file header of a pcap file.
func (p *Reader) startClassic(magic [4]byte) error {
	p.headLen = 16
	switch binary.LittleEndian.Uint32(magic[:]) {
	case 0xa1b2c3d4:
		p.order = binary.LittleEndian
	case 0xa1b23c4d:
		p.order, p.nanos = binary.LittleEndian, true
	case 0xa1b2cd34:
		p.order, p.headLen = binary.LittleEndian, 24
	case 0xd4c3b2a1:
		p.order = binary.BigEndian
	case 0x4d3cb2a1:
		p.order, p.nanos = binary.BigEndian, true
	case 0x34cdb2a1:
		p.order, p.headLen = binary.BigEndian, 24
	default:
		return p.fail(0, fmt.Errorf("magic %08x: %w", binary.BigEndian.Uint32(magic[:]), ErrFormat))
	}
	var head [20]byte
	if n, err := io.ReadFull(p.in, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("file header cut after %d of 24 bytes: %w", n+4, io.ErrUnexpectedEOF)
		}
		return p.fail(int64(n)+4, err)
	}
	p.link = LinkType(p.order.Uint32(head[16:])) // upper bits tell about checksums
	p.rest, p.off = p.rest[:0], 24
	p.parse = p.parseLittle
	if p.order == binary.BigEndian {
		p.parse = p.parseBig
	}
	return nil
}

// The two parsers differ in byte order only; calls through an interface would
// cost more than the rest of the loop.

func (p *Reader) parseLittle(b []byte, out *Block) (int, error) {
	at := 0
	for len(b)-at >= p.headLen {
		h := b[at : at+p.headLen : len(b)]
		sec, frac := binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:])
		n, err := p.packet(b, at, sec, frac, binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:]), out)
		if n == 0 {
			return at, err
		}
		at += n
	}
	return at, nil
}

func (p *Reader) parseBig(b []byte, out *Block) (int, error) {
	at := 0
	for len(b)-at >= p.headLen {
		h := b[at : at+p.headLen : len(b)]
		sec, frac := binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:])
		n, err := p.packet(b, at, sec, frac, binary.BigEndian.Uint32(h[8:]), binary.BigEndian.Uint32(h[12:]), out)
		if n == 0 {
			return at, err
		}
		at += n
	}
	return at, nil
}

// packet appends the record at b[at:], and returns its whole length, or 0 when
// more bytes are needed or the record is broken.
func (p *Reader) packet(b []byte, at int, sec, frac, captured, wire uint32, out *Block) (int, error) {
	if captured > maxRecord {
		return 0, p.fail(p.off+int64(at), fmt.Errorf("record of %d bytes is longer than %d", captured, maxRecord))
	}
	end := at + p.headLen + int(captured)
	if end > len(b) {
		return 0, nil
	}
	nanos := int64(frac)
	if !p.nanos {
		nanos *= 1000
	}
	out.Packets = append(out.Packets, Packet{
		Time: int64(sec)*1e9 + nanos, Data: b[at+p.headLen : end : end], WireLen: max(wire, captured), Link: p.link,
	})
	return end - at, nil
}
