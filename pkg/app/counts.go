package app

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"trench/pkg/assemble"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// Counts says what became of packets. Once a run is over Packets is the sum of
// InFlows, NotIP, Malformed, Refused, Filtered, Duplicate, FragmentDropped,
// DroppedFragmentBytes and DroppedFragmentDatagrams: every packet is in exactly one
// of them.
type Counts struct {
	Packets, Bytes                     uint64 // read
	InFlows, NotIP, Malformed, Refused uint64
	Filtered, Duplicate                uint64
	FragmentDropped                    uint64 // of datagrams that were not whole in time, or malformed when they were
	DroppedFragmentBytes               uint64 // of datagrams given up because of fragment_bytes
	DroppedFragmentDatagrams           uint64 // of datagrams given up because of fragment_datagrams
	Truncated                          uint64 // of InFlows: cut by the snap length
	BytesInFlows                       uint64 // from the IP header on, of InFlows
	RefusedLinks                       map[pcap.LinkType]uint64
	Decode                             packet.Stats
	Table                              assemble.Stats
}

func (c *Counts) add(o *Counts) {
	c.Packets += o.Packets
	c.Bytes += o.Bytes
	c.InFlows += o.InFlows
	c.NotIP += o.NotIP
	c.Malformed += o.Malformed
	c.Refused += o.Refused
	c.Filtered += o.Filtered
	c.Duplicate += o.Duplicate
	c.FragmentDropped += o.FragmentDropped
	c.DroppedFragmentBytes += o.DroppedFragmentBytes
	c.DroppedFragmentDatagrams += o.DroppedFragmentDatagrams
	c.Truncated += o.Truncated
	c.BytesInFlows += o.BytesInFlows
	for l, n := range o.RefusedLinks {
		c.refuse(l, n)
	}
	c.Decode.Add(o.Decode)
	c.Table.Add(o.Table)
}

func (c *Counts) refuse(l pcap.LinkType, n uint64) {
	if c.RefusedLinks == nil {
		c.RefusedLinks = make(map[pcap.LinkType]uint64)
	}
	c.RefusedLinks[l] += n
}

// Links lists the refused link types with their packets, most first.
func (c *Counts) Links() []pcap.LinkType {
	return slices.SortedFunc(maps.Keys(c.RefusedLinks), func(a, b pcap.LinkType) int {
		return cmp.Or(cmp.Compare(c.RefusedLinks[b], c.RefusedLinks[a]), cmp.Compare(a, b))
	})
}

// board is where goroutines post their counts for others to read.
type board struct {
	mu     sync.Mutex
	posted map[any]*Counts
}

func (b *board) post(who any, c *Counts) {
	links := maps.Clone(c.RefusedLinks)
	b.mu.Lock()
	defer b.mu.Unlock()
	posted := b.posted[who]
	if posted == nil {
		if b.posted == nil {
			b.posted = make(map[any]*Counts)
		}
		posted = new(Counts)
		b.posted[who] = posted
	}
	*posted = *c
	posted.RefusedLinks = links
}

func (b *board) total() (sum Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.posted {
		sum.add(c)
	}
	return sum
}
