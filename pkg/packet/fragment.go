package packet

import (
	"encoding/binary"
	"math"
	"math/bits"

	"trench/pkg/flow"
)

// A datagram that waits lies in pages, which exist where a fragment brought
// something. All fragments begin at multiples of eight bytes, and all but the last
// end there, so a bit for each block of eight says what is there.
const (
	maxDatagram = 65535
	blockBytes  = 8
	pageBytes   = 2048
	pageBlocks  = pageBytes / blockBytes
	maxPages    = (maxDatagram + pageBytes - 1) / pageBytes
	pageCost    = pageBytes + pageBlocks/8
	// datagramCost is the memory of a datagram without its pages: the struct
	// and its place in the map.
	datagramCost = 704
	// minFragmentBytes leaves room for two of the largest datagrams.
	minFragmentBytes = 2*(maxPages*pageCost+datagramCost) + 1024
	// maxPieces bounds the packets of one datagram, so that their bytes fit in View.Bytes. It is
	// four times what the smallest fragments come to.
	maxPieces = 1 << 15
)

// fragmentKey is what the fragments of one datagram share (RFC 791, RFC 8200).
type fragmentKey struct {
	src, dst [16]byte
	scope    uint64 // tunnels around, with their identifiers
	id       uint32
	vlan     [2]uint16
	tunnel   flow.Tunnel
	version  uint8
	protocol uint8 // IPv4 only
	_        uint8
}

type page struct {
	data [pageBytes]byte
	have [pageBlocks / 64]uint64
}

// datagram collects the fragments of one datagram.
type datagram struct {
	key          fragmentKey
	older, newer *datagram
	pages        [maxPages]*page
	time         int64  // of the first fragment
	end          int    // bytes of the payload, -1 until the last fragment came
	high         int    // end of what has come
	cut          int    // the first byte that a snap length cut off
	blocks       int    // that have come
	packets      uint32 // that brought them
	bytes        uint32 // of these from the IP header on, on the wire
	next         byte   // IPv6: header at the start of the payload
}

// piece is one fragment.
type piece struct {
	key    fragmentKey
	time   int64
	at     int    // first byte in the payload
	data   []byte // captured
	length int    // on the wire
	more   bool
	next   byte
	bytes  int // from the IP header on
}

// reassembler holds the datagrams that wait, in the order in which they began.
type reassembler struct {
	byKey          map[fragmentKey]*datagram
	oldest, newest *datagram
	used           int // bytes, as costs
	made           int // bytes in use and free
	maxBytes       int
	maxDatagrams   int
	age            uint64
	last           int64 // time of the last expiry
	ran            bool
	pages          []*page // free
	datagrams      []*datagram
	stats          *Stats
}

func (r *reassembler) init(cfg Config, stats *Stats) {
	r.byKey = make(map[fragmentKey]*datagram)
	r.maxBytes, r.maxDatagrams, r.age, r.stats = cfg.FragmentBytes, cfg.FragmentDatagrams, uint64(cfg.FragmentAge), stats
}

// Expire gives up the datagrams that have waited longer than FragmentAge at
// the packet time now. One odd time between others gives up nothing: two calls have to agree.
func (d *Decoder) Expire(now int64) { d.frags.expire(now) }

// Flush gives up everything that waits, because the input has ended.
func (d *Decoder) Flush() {
	r := &d.frags
	for r.oldest != nil {
		r.drop(r.oldest, &r.stats.Dropped.Incomplete)
	}
	r.ran = false
}

func (r *reassembler) expire(now int64) {
	if !r.ran {
		r.last, r.ran = now, true
	}
	from, to := min(r.last, now), max(r.last, now)
	r.last = now
	for g := r.oldest; g != nil && (g.time < from && apart(g.time, from) > r.age || g.time > to && apart(g.time, to) > r.age); g = r.oldest {
		r.drop(g, &r.stats.Dropped.Expired)
	}
}

// apart returns the distance of two times, which may be any.
func apart(a, b int64) uint64 {
	if a > b {
		return uint64(a) - uint64(b)
	}
	return uint64(b) - uint64(a)
}

// drop gives up a datagram.
func (r *reassembler) drop(g *datagram, reason *uint64) {
	r.stats.Held -= uint64(g.packets)
	*reason += uint64(g.packets)
	r.release(g)
}

// release takes a datagram out and keeps its memory for others.
func (r *reassembler) release(g *datagram) {
	delete(r.byKey, g.key)
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		r.oldest = g.newer
	}
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		r.newest = g.older
	}
	for i, p := range &g.pages {
		if p != nil {
			r.pages = append(r.pages, p)
			r.used -= pageCost
			g.pages[i] = nil
		}
	}
	r.used -= datagramCost
	r.datagrams = append(r.datagrams, g)
}

// room gives up the oldest datagrams, but not keep, until n bytes more are allowed.
func (r *reassembler) room(n int, keep *datagram) {
	for r.used+n > r.maxBytes {
		g := r.oldest
		if g == keep {
			g = g.newer
		}
		r.drop(g, &r.stats.Dropped.Bytes)
	}
	r.used += n
}

// allow makes room for n bytes of new memory among what is free.
func (r *reassembler) allow(n int) {
	for r.made+n > r.maxBytes {
		if i := len(r.pages) - 1; i >= 0 {
			r.pages[i] = nil
			r.pages, r.made = r.pages[:i], r.made-pageCost
		} else {
			i := len(r.datagrams) - 1
			r.datagrams[i] = nil
			r.datagrams, r.made = r.datagrams[:i], r.made-datagramCost
		}
	}
	r.made += n
}

func (r *reassembler) begin(p *piece) *datagram {
	if len(r.byKey) >= r.maxDatagrams {
		r.drop(r.oldest, &r.stats.Dropped.Datagrams)
	}
	r.room(datagramCost, nil)
	var g *datagram
	if n := len(r.datagrams); n > 0 {
		g = r.datagrams[n-1]
		r.datagrams = r.datagrams[:n-1]
	} else {
		r.allow(datagramCost)
		g = new(datagram)
	}
	*g = datagram{key: p.key, time: p.time, end: -1, cut: math.MaxInt, older: r.newest}
	if r.newest != nil {
		r.newest.newer = g
	} else {
		r.oldest = g
	}
	r.newest = g
	r.byKey[p.key] = g
	return g
}

func (r *reassembler) page(g *datagram, i int) *page {
	p := g.pages[i]
	if p == nil {
		r.room(pageCost, g)
		if n := len(r.pages); n > 0 {
			p = r.pages[n-1]
			r.pages = r.pages[:n-1]
			p.have = [pageBlocks / 64]uint64{}
		} else {
			r.allow(pageCost)
			p = new(page)
		}
		g.pages[i] = p
	}
	return p
}

// add takes a fragment that stands for so many packets. It returns the datagram
// when that is whole now, else nil and what becomes of the fragment.
func (r *reassembler) add(p *piece, packets uint32) (*datagram, Outcome) {
	if p.length <= 0 || p.more && p.length%blockBytes != 0 {
		return nil, Malformed
	}
	end := p.at + p.length
	if end > maxDatagram {
		r.stats.Oversized++
		return nil, Malformed
	}
	g := r.byKey[p.key]
	if g != nil && apart(g.time, p.time) > r.age {
		r.drop(g, &r.stats.Dropped.Expired) // the identification has come round
		g = nil
	}
	switch {
	case g == nil:
		g = r.begin(p)
	case g.packets+packets > maxPieces,
		g.end >= 0 && end > g.end,
		!p.more && (end < g.high || g.end >= 0 && end != g.end): // contradicts an earlier one
		return nil, Malformed
	}
	if p.at == 0 && (g.pages[0] == nil || g.pages[0].have[0]&1 == 0) {
		g.next = p.next
	}
	if !p.more {
		g.end = end
	}
	g.high = max(g.high, end)
	g.packets += packets
	g.bytes += uint32(p.bytes)
	r.stats.Held += uint64(packets)
	if r.fill(g, p, end) {
		r.stats.Overlaps++
	}
	if g.end < 0 || g.blocks*blockBytes < g.end {
		return nil, Held
	}
	return g, OK
}

// fill stores what p brings that is not there yet, and reports whether some of it was.
func (r *reassembler) fill(g *datagram, p *piece, end int) (overlaps bool) {
	captured := p.at + len(p.data)
	for at := p.at; at < end; {
		i := at / pageBytes
		base := i * pageBytes
		to := min(end, base+pageBytes)
		pg := r.page(g, i)
		first, last := (at-base)/blockBytes, (to-base+blockBytes-1)/blockBytes // blocks of the page
		for w := first / 64; w*64 < last; w++ {
			mask := ^uint64(0)
			if lo := first - w*64; lo > 0 {
				mask <<= lo
			}
			if hi := last - w*64; hi < 64 {
				mask &= 1<<hi - 1
			}
			fresh := mask &^ pg.have[w]
			overlaps = overlaps || fresh != mask
			pg.have[w] |= fresh
			g.blocks += bits.OnesCount64(fresh)
			for fresh != 0 { // run by run
				lo := bits.TrailingZeros64(fresh)
				n := bits.TrailingZeros64(^(fresh >> lo))
				if lo+n == 64 {
					fresh = 0
				} else {
					fresh &^= (1<<n - 1) << lo
				}
				from := base + (w*64+lo)*blockBytes
				upto := min(from+n*blockBytes, end)
				if upto > captured {
					g.cut = min(g.cut, max(from, captured))
					upto = captured
				}
				if from < upto {
					copy(pg.data[from-base:], p.data[from-p.at:upto-p.at])
				}
			}
		}
		at = to
	}
	return overlaps
}

// whole takes a complete datagram over: v and the packets that are being decoded
// now stand for all its fragments. It returns the payload as far as captured.
func (d *Decoder) whole(v *View, g *datagram) []byte {
	if d.used == len(d.wholes) {
		d.wholes = append(d.wholes, make([]byte, maxPages*pageBytes))
	}
	room := d.wholes[d.used]
	d.used++
	n := min(g.end, g.cut)
	for at, i := 0, 0; at < n; at, i = at+pageBytes, i+1 {
		copy(room[at:n], g.pages[i].data[:])
	}
	v.Bytes = g.bytes
	v.Truncated = g.cut < g.end
	d.packets = g.packets
	d.stats.Held -= uint64(g.packets)
	d.stats.Reassembled++
	d.frags.release(g)
	return room[:n:n]
}

// fragment4 takes the IPv4 packet b with a header of head bytes and total bytes on the wire.
func (d *Decoder) fragment4(v *View, b []byte, head, total int) Outcome {
	f := binary.BigEndian.Uint16(b[6:])
	p := piece{
		time: v.Time, at: int(f&0x1fff) * blockBytes, more: f&0x2000 != 0,
		data: b[head:], length: total - head, bytes: total,
	}
	p.key = fragmentKey{scope: d.scope, id: uint32(binary.BigEndian.Uint16(b[4:])), vlan: v.Key.VLAN, tunnel: v.Key.Tunnel, version: 4, protocol: b[9]}
	copy(p.key.src[:4], b[12:16])
	copy(p.key.dst[:4], b[16:20])
	if p.more && p.length%blockBytes != 0 { // hosts leave the rest out
		p.length &^= blockBytes - 1
		p.data = p.data[:min(len(p.data), p.length)]
	}
	if p.at+p.length+head > maxDatagram {
		d.stats.Oversized++
		return Malformed
	}
	g, o := d.frags.add(&p, d.packets)
	if g == nil {
		return o
	}
	wire := g.end
	payload := d.whole(v, g)
	return d.transport(v, b[9], b[:head], payload, wire)
}

// fragment6 takes what begins with the fragment header in b.
func (d *Decoder) fragment6(v *View, ip, b []byte, wire int) (*datagram, Outcome) {
	f := binary.BigEndian.Uint16(b[2:])
	p := piece{
		time: v.Time, at: int(f &^ 7), more: f&1 != 0, next: b[0],
		data: b[8:], length: wire - 8, bytes: int(v.Bytes),
	}
	p.key = fragmentKey{scope: d.scope, id: binary.BigEndian.Uint32(b[4:]), vlan: v.Key.VLAN, tunnel: v.Key.Tunnel, version: 6}
	p.key.src, p.key.dst = [16]byte(ip[8:24]), [16]byte(ip[24:40])
	return d.frags.add(&p, d.packets)
}
