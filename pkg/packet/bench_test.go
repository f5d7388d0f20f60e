package packet

import (
	"testing"

	"trench/pkg/internal/corpus"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// sample returns packets of the corpus's training captures, at most some hundred of each.
func sample(tb testing.TB) []pcap.Packet {
	tb.Helper()
	const perFile, all = 400, 100_000
	var out []pcap.Packet
	corpus.Captures(tb, corpus.Dir(tb), func(_ string, r *pcap.Reader) bool {
		for n := 0; n < perFile; {
			var b pcap.Block
			if r.ReadBlock(&b) != nil {
				break
			}
			take := b.Packets[:min(len(b.Packets), perFile-n)]
			n += len(take)
			for _, p := range take {
				p.Data = append([]byte(nil), p.Data...)
				out = append(out, p)
			}
		}
		return len(out) < all
	})
	return out
}

func BenchmarkDecodeCorpus(b *testing.B) {
	packets := sample(b)
	var v View
	d := NewDecoder(DefaultConfig())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Decode(&v, &packets[i])
		if i++; i == len(packets) {
			i = 0
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	var v View
	d := NewDecoder(DefaultConfig())
	for name, data := range map[string][]byte{
		"TCP":  pcapgen.Ethernet(pcapgen.Segment{Src: client4, Dst: server4, Payload: make([]byte, 99)}.IP()),
		"UDP":  pcapgen.Ethernet(pcapgen.UDP(client4, server4, make([]byte, 99))),
		"IPv6": pcapgen.Ethernet(pcapgen.Segment{Src: client6, Dst: server6, Payload: make([]byte, 99)}.IP()),
		"VLAN": pcapgen.Ethernet(pcapgen.Segment{Src: client4, Dst: server4, Payload: make([]byte, 99)}.IP(), 5),
	} {
		p := &pcap.Packet{Data: data, Link: pcap.LinkEthernet, WireLen: uint32(len(data))}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(&v, p)
			}
		})
	}
}
