package pcap

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockObsolete  = 2
	blockSimple    = 3
	blockEnhanced  = 6

	byteOrderMagic = 0x1a2b3c4d
	optTSResol     = 9
	optTSOffset    = 14
	// maxInterfaces bounds the interface descriptions of one section.
	maxInterfaces = 1 << 16
)

type iface struct {
	link    LinkType
	snaplen uint32
	perSec  uint64 // ticks a second
	offset  int64  // s
}

// parseNG takes whole blocks from b.
func (p *Reader) parseNG(b []byte, out *Block) (int, error) {
	at := 0
	for len(b)-at >= 12 {
		blk := b[at:]
		if binary.BigEndian.Uint32(blk) == blockSection {
			switch {
			case binary.BigEndian.Uint32(blk[8:]) == byteOrderMagic:
				p.order = binary.BigEndian
			case binary.LittleEndian.Uint32(blk[8:]) == byteOrderMagic:
				p.order = binary.LittleEndian
			default:
				return at, p.fail(p.off+int64(at), fmt.Errorf("section header with byte-order magic %08x", binary.BigEndian.Uint32(blk[8:])))
			}
			p.ifaces = p.ifaces[:0]
		}
		if p.order == nil {
			return at, p.fail(p.off+int64(at), fmt.Errorf("block before the first section header"))
		}
		typ, total := p.order.Uint32(blk), p.order.Uint32(blk[4:])
		if total < 12 || total%4 != 0 {
			return at, p.fail(p.off+int64(at), fmt.Errorf("block type %#x with length %d", typ, total))
		}
		if total > maxRecord+64 && typ != blockSection && isPacket(typ) || total > 64*maxRecord {
			return at, p.fail(p.off+int64(at), fmt.Errorf("block type %#x of %d bytes is longer than %d", typ, total, maxRecord))
		}
		if int(total) > len(blk) {
			return at, nil
		}
		if end := p.order.Uint32(blk[total-4:]); end != total {
			return at, p.fail(p.off+int64(at), fmt.Errorf("block type %#x: lengths %d and %d differ", typ, total, end))
		}
		if err := p.block(typ, blk[8:total-4:total-4], out); err != nil {
			return at, p.fail(p.off+int64(at), err)
		}
		at += int(total)
	}
	return at, nil
}

func isPacket(typ uint32) bool {
	return typ == blockEnhanced || typ == blockSimple || typ == blockObsolete
}

func (p *Reader) block(typ uint32, body []byte, out *Block) error {
	switch typ {
	case blockInterface:
		return p.describe(body)
	case blockEnhanced, blockObsolete:
		if len(body) < 20 {
			return fmt.Errorf("packet block of %d bytes", len(body))
		}
		id := p.order.Uint32(body)
		if typ == blockObsolete {
			id = uint32(p.order.Uint16(body))
		}
		if int64(id) >= int64(len(p.ifaces)) {
			return fmt.Errorf("packet of interface %d, %d are described", id, len(p.ifaces))
		}
		captured, wire := p.order.Uint32(body[12:]), p.order.Uint32(body[16:])
		if captured > uint32(len(body)-20) {
			return fmt.Errorf("packet of %d bytes in a block of %d", captured, len(body))
		}
		i := &p.ifaces[id]
		p.lastTime = i.time(uint64(p.order.Uint32(body[4:]))<<32 | uint64(p.order.Uint32(body[8:])))
		p.add(i, body[20:20+captured:20+captured], wire, out)
	case blockSimple:
		if len(body) < 4 || len(p.ifaces) == 0 {
			return fmt.Errorf("simple packet block of %d bytes, %d interfaces described", len(body), len(p.ifaces))
		}
		i := &p.ifaces[0]
		wire := p.order.Uint32(body)
		captured := min(wire, uint32(len(body)-4))
		if i.snaplen > 0 {
			captured = min(captured, i.snaplen)
		}
		p.add(i, body[4:4+captured:4+captured], wire, out) // these carry no time: that of the packet before
	}
	return nil
}

func (p *Reader) add(i *iface, data []byte, wire uint32, out *Block) {
	out.Packets = append(out.Packets, Packet{Time: p.lastTime, Data: data, WireLen: max(wire, uint32(len(data))), Link: i.link})
}

// describe reads an interface description block.
func (p *Reader) describe(body []byte) error {
	if len(body) < 8 {
		return fmt.Errorf("interface description of %d bytes", len(body))
	}
	if len(p.ifaces) >= maxInterfaces {
		return fmt.Errorf("more than %d interfaces", maxInterfaces)
	}
	i := iface{link: LinkType(p.order.Uint16(body)), snaplen: p.order.Uint32(body[4:]), perSec: 1e6}
	for opts := body[8:]; len(opts) >= 4; {
		code, n := p.order.Uint16(opts), int(p.order.Uint16(opts[2:]))
		if opts = opts[4:]; code == 0 || n > len(opts) {
			break
		}
		switch {
		case code == optTSResol && n >= 1:
			i.perSec = ticks(opts[0])
		case code == optTSOffset && n >= 8:
			i.offset = int64(p.order.Uint64(opts))
		}
		opts = opts[min((n+3)&^3, len(opts)):]
	}
	p.ifaces = append(p.ifaces, i)
	return nil
}

// ticks returns how many units of if_tsresol make a second; resolutions finer
// than 64 bits can count are taken as the finest that they can.
func ticks(resol byte) uint64 {
	exp := uint(resol & 0x7f)
	if resol&0x80 != 0 {
		return 1 << min(exp, 63)
	}
	n := uint64(1)
	for range min(exp, 19) {
		n *= 10
	}
	return n
}

// time turns a time stamp into ns since the Unix epoch, and saturates.
func (i *iface) time(t uint64) int64 {
	sec, frac := t/i.perSec, t%i.perSec
	hi, lo := bits.Mul64(frac, 1e9)
	nanos, _ := bits.Div64(hi, lo, i.perSec)      // frac < perSec, so it fits
	const limit = math.MaxInt64/1_000_000_000 - 1 // s, year 2262
	total := int64(min(sec, limit)) + max(min(i.offset, limit), -limit)
	return max(min(total, limit), -limit)*1e9 + int64(nanos)
}
