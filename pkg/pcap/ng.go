package pcap

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockObsolete   = 2
	blockSimple     = 3
	blockStatistics = 5
	blockEnhanced   = 6

	byteOrderMagic = 0x1a2b3c4d
	optTSResol     = 9  // of an interface description
	optTSOffset    = 14 // of an interface description
	optDropCount   = 4  // of an enhanced packet
	optIfDrop      = 5  // of statistics
	optOSDrop      = 7  // of statistics
	// maxInterfaces bounds the interface descriptions of one section.
	maxInterfaces = 1 << 16
	// maxBlock bounds the blocks that are looked into, with their options.
	maxBlock = 4 * maxRecord
)

type iface struct {
	link    LinkType
	snaplen uint32
	perSec  uint64 // ticks a second
	offset  int64  // s
	lost    uint64 // sum of what packet blocks say
	drops   uint64 // what the latest statistics say
	counted bool   // there are statistics with drop counters
}

// dropped returns the packets that were lost at the interface.
func (i *iface) dropped() uint64 {
	if i.counted {
		return i.drops
	}
	return i.lost
}

// Dropped returns how many packets the capturing system says it lost, of what
// has been read so far; 0 for pcap files, which cannot say. For each interface
// of a pcapng section it is what the latest interface statistics block counts
// (isb_ifdrop + isb_osdrop, totals since the capture began), or, when none came
// with such a counter, the sum of the increments in packet blocks
// (epb_dropcount, and the drop counts of obsolete packet blocks that are known).
func (p *Reader) Dropped() uint64 {
	n := p.lost
	for i := range p.ifaces {
		n = plus(n, p.ifaces[i].dropped())
	}
	return n
}

// plus adds and saturates.
func plus(a, b uint64) uint64 {
	if s := a + b; s >= a {
		return s
	}
	return math.MaxUint64
}

// parseNG takes whole blocks from b.
func (p *Reader) parseNG(b []byte, out *Block) (int, error) {
	at := 0
	for len(b)-at >= 12 {
		blk := b[at:]
		typ := p.u32(blk)
		if typ == blockSection { // the same in both orders
			if err := p.section(blk); err != nil {
				return at, p.fail(p.off+int64(at), err)
			}
		}
		total := p.u32(blk[4:])
		if total < 12 || total%4 != 0 {
			return at, p.fail(p.off+int64(at), fmt.Errorf("block type %#x with length %d", typ, total))
		}
		switch used := isUsed(typ); {
		case used && total > maxBlock:
			return at, p.fail(p.off+int64(at), fmt.Errorf("block type %#x of %d bytes is longer than %d", typ, total, maxBlock))
		case !used && total > blockSize: // never in memory as a whole
			take := min(int64(total), int64(len(blk)))
			p.skip = int64(total) - take
			at += int(take)
			continue
		case int64(total) > int64(len(blk)):
			return at, nil
		}
		if end := p.u32(blk[total-4:]); end != total {
			return at, p.fail(p.off+int64(at), fmt.Errorf("block type %#x: lengths %d and %d differ", typ, total, end))
		}
		if err := p.block(typ, blk[8:total-4:total-4], out); err != nil {
			return at, p.fail(p.off+int64(at), err)
		}
		at += int(total)
	}
	return at, nil
}

func isUsed(typ uint32) bool {
	switch typ {
	case blockSection, blockInterface, blockObsolete, blockSimple, blockStatistics, blockEnhanced:
		return true
	}
	return false
}

// section takes the byte order from the first 12 bytes of a section header.
func (p *Reader) section(blk []byte) error {
	switch binary.LittleEndian.Uint32(blk[8:]) {
	case byteOrderMagic:
		p.swap = false
	case 0x4d3c2b1a:
		p.swap = true
	default:
		return fmt.Errorf("section header with byte-order magic %08x", binary.BigEndian.Uint32(blk[8:]))
	}
	return nil
}

func (p *Reader) block(typ uint32, body []byte, out *Block) error {
	switch typ {
	case blockEnhanced:
		i, n, err := p.header(body, false)
		if err != nil {
			return err
		}
		if opts := 20 + (n+3)&^3; opts < len(body) {
			p.eachOption(body[opts:], func(code uint16, v []byte) {
				if code == optDropCount && len(v) >= 8 {
					i.lost = plus(i.lost, p.u64(v))
				}
			})
		}
		p.add(i, body[20:20+n:20+n], p.u32(body[16:]), out)
	case blockObsolete:
		i, n, err := p.header(body, true)
		if err != nil {
			return err
		}
		if d := p.u16(body[2:]); d != 0xffff { // not known
			i.lost = plus(i.lost, uint64(d))
		}
		p.add(i, body[20:20+n:20+n], p.u32(body[16:]), out)
	case blockSimple:
		if len(body) < 4 || len(p.ifaces) == 0 {
			return fmt.Errorf("simple packet block of %d bytes, %d interfaces described", len(body), len(p.ifaces))
		}
		i := &p.ifaces[0]
		wire := p.u32(body)
		captured := min(wire, uint32(len(body)-4), maxRecord)
		if i.snaplen > 0 {
			captured = min(captured, i.snaplen)
		}
		p.add(i, body[4:4+captured:4+captured], wire, out) // these carry no time: that of the packet before
	case blockInterface:
		return p.describe(body)
	case blockStatistics:
		return p.statistics(body)
	case blockSection:
		if len(body) < 16 {
			return fmt.Errorf("section header of %d bytes", len(body))
		}
		if major := p.u16(body[4:]); major != 1 {
			return fmt.Errorf("section header of version %d.%d", major, p.u16(body[6:]))
		}
		p.lost = p.Dropped()
		p.ifaces = p.ifaces[:0]
	}
	return nil
}

// header reads the fields that enhanced and obsolete packet blocks share, and
// returns the interface and the captured length. Obsolete ones have half the
// bits for the interface.
func (p *Reader) header(body []byte, obsolete bool) (*iface, int, error) {
	if len(body) < 20 {
		return nil, 0, fmt.Errorf("packet block of %d bytes", len(body))
	}
	n := p.u32(body)
	if obsolete {
		n = uint32(p.u16(body))
	}
	if int64(n) >= int64(len(p.ifaces)) {
		return nil, 0, fmt.Errorf("packet of interface %d, %d are described", n, len(p.ifaces))
	}
	captured := p.u32(body[12:])
	if captured > uint32(len(body)-20) {
		return nil, 0, fmt.Errorf("packet of %d bytes in a block of %d", captured, len(body))
	}
	if captured > maxRecord {
		return nil, 0, fmt.Errorf("packet of %d bytes is longer than %d", captured, maxRecord)
	}
	i := &p.ifaces[n]
	p.lastTime = i.time(uint64(p.u32(body[4:]))<<32 | uint64(p.u32(body[8:])))
	return i, int(captured), nil
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
	i := iface{link: LinkType(p.u16(body)), snaplen: p.u32(body[4:]), perSec: 1e6}
	p.eachOption(body[8:], func(code uint16, v []byte) {
		switch {
		case code == optTSResol && len(v) >= 1:
			i.perSec = ticks(v[0])
		case code == optTSOffset && len(v) >= 8:
			i.offset = int64(p.u64(v))
		}
	})
	p.ifaces = append(p.ifaces, i)
	return nil
}

// statistics reads an interface statistics block.
func (p *Reader) statistics(body []byte) error {
	if len(body) < 12 {
		return fmt.Errorf("interface statistics of %d bytes", len(body))
	}
	id := p.u32(body)
	if int64(id) >= int64(len(p.ifaces)) {
		return nil // about nothing that packets came from
	}
	var (
		drops uint64
		found bool
	)
	p.eachOption(body[12:], func(code uint16, v []byte) {
		if (code == optIfDrop || code == optOSDrop) && len(v) >= 8 {
			drops, found = plus(drops, p.u64(v)), true
		}
	})
	if found {
		p.ifaces[id].drops, p.ifaces[id].counted = drops, true
	}
	return nil
}

// eachOption calls f for the options of a block, to the first that is broken.
func (p *Reader) eachOption(opts []byte, f func(code uint16, value []byte)) {
	for len(opts) >= 4 {
		code, n := p.u16(opts), int(p.u16(opts[2:]))
		if opts = opts[4:]; code == 0 || n > len(opts) {
			return
		}
		f(code, opts[:n])
		opts = opts[min((n+3)&^3, len(opts)):]
	}
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
