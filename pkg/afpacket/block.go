package afpacket

import (
	"encoding/binary"

	"trench/pkg/pcap"
)

const (
	blockHead  = 48 // bytes of a block's description
	frameHead  = 68 // bytes of a packet's header with its address
	reserve    = 16 // asked of the kernel before each packet, besides what alignment leaves
	vlanTag    = 4
	macs       = 12
	sll2Head   = 20
	etherVLAN  = 0x8100
	statusVLAN = 1 << 4
	statusTPID = 1 << 6
)

// parse appends the packets of a block to out. It returns how many packets the
// block has announced beyond those: other than 0 only when an offset leads out
// of the block, which ends it.
func (k Kind) parse(block []byte, out *pcap.Block) (lost uint32) {
	order := binary.NativeEndian
	if len(block) < blockHead {
		return 0
	}
	n, at := order.Uint32(block[12:]), uint64(order.Uint32(block[16:]))
	for ; n > 0; n-- {
		if at < blockHead || at+frameHead > uint64(len(block)) {
			return n
		}
		h := block[at : at+frameHead : at+frameHead]
		captured, wire := uint64(order.Uint32(h[12:])), order.Uint32(h[16:])
		start := at + uint64(order.Uint16(h[24:]))
		end := start + captured
		if start < at+frameHead || end > uint64(len(block)) {
			return n
		}
		switch status := order.Uint32(h[20:]); {
		case k.Link == pcap.LinkEthernet:
			if status&statusVLAN != 0 && captured >= macs && start >= at+frameHead+vlanTag {
				tpid := uint16(etherVLAN)
				if status&statusTPID != 0 {
					tpid = order.Uint16(h[36:])
				}
				start -= vlanTag
				f := block[start:end]
				copy(f, f[vlanTag:vlanTag+macs])
				binary.BigEndian.PutUint16(f[macs:], tpid)
				binary.BigEndian.PutUint16(f[macs+2:], uint16(order.Uint32(h[32:])))
				wire += vlanTag
			}
		case k.cooked():
			if start < at+frameHead+sll2Head {
				return n
			}
			start -= sll2Head
			f := block[start:end]
			copy(f, h[50:52]) // protocol
			f[2], f[3] = 0, 0
			binary.BigEndian.PutUint32(f[4:], order.Uint32(h[52:]))
			binary.BigEndian.PutUint16(f[8:], order.Uint16(h[56:]))
			f[10], f[11] = h[58], min(h[59], 8)
			copy(f[12:], h[60:68])
			wire += sll2Head
		}
		out.Packets = append(out.Packets, pcap.Packet{
			Time: int64(order.Uint32(h[4:]))*1e9 + int64(order.Uint32(h[8:])),
			Data: block[start:end:end], WireLen: max(wire, uint32(end-start)), Link: k.Link,
		})
		next := uint64(order.Uint32(h))
		if next < frameHead && n > 1 {
			return n - 1
		}
		at += next
	}
	return 0
}
