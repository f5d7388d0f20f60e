package record

import (
	"math"

	"trench/pkg/flow"
)

// SetFlow fills r with what capture alone knows of a flow, and clears the rest.
// The memory of r's slices is used again; nothing of f is kept.
func (r *Record) SetFlow(f *flow.Flow) {
	c, s := &f.Half[flow.ClientToServer], &f.Half[flow.ServerToClient]
	*r = Record{
		Source: f.Source, FlowID: f.ID, Part: f.Part, Final: f.Final, TS: f.First, TSEnd: f.Last,
		Proto: flow.ProtocolName(f.Protocol), AppProto: f.App.String(),
		ClientIP: f.Client.Addr(), ClientPort: f.Client.Port(), ServerIP: f.Server.Addr(), ServerPort: f.Server.Port(),
		VLAN: append(r.VLAN[:0], f.VLAN...), Tunnel: f.Tunnel,
		RTT: math.NaN(), RetransC2S: c.Retransmitted, RetransS2C: s.Retransmitted, Gaps: c.Gaps + s.Gaps, Truncated: f.Truncated,
		PacketsC2S: c.Packets, PacketsS2C: s.Packets, BytesC2S: c.Bytes, BytesS2C: s.Bytes, PayloadC2S: c.Payload, PayloadS2C: s.Payload,
		EndReason: f.End.String(), SPLT: r.SPLT[:0], EntropyC2S: Entropy(&c.ByteCounts), EntropyS2C: Entropy(&s.ByteCounts),
		Score: math.NaN(), Margin: math.NaN(),
		TLSClientCiphers: r.TLSClientCiphers[:0], TLSClientExtensions: r.TLSClientExtensions[:0],
		TLSServerExtensions: r.TLSServerExtensions[:0], CertChain: r.CertChain[:0], Reasons: r.Reasons[:0],
		ByteDist: r.ByteDist[:0], Vector: r.Vector[:0], Shadow: r.Shadow[:0],
	}
	if f.RTT > 0 {
		r.RTT = float64(f.RTT) / 1e9
	}
	var before int64
	for i, p := range f.Packets {
		delta := 0.0
		if i > 0 {
			delta = float64(max(p.Offset-before, 0)) / 1e9
		}
		before = p.Offset
		r.SPLT = append(r.SPLT, Packet{Length: p.Length, Delta: delta})
	}
}

// Reset empties r and keeps the memory of its lists of numbers, which is its own;
// strings and what holds them may be parts of the message that r was read from.
func (r *Record) Reset() {
	*r = Record{
		VLAN: r.VLAN[:0], SPLT: r.SPLT[:0], ByteDist: r.ByteDist[:0], Vector: r.Vector[:0],
		TLSClientCiphers: r.TLSClientCiphers[:0], TLSClientExtensions: r.TLSClientExtensions[:0], TLSServerExtensions: r.TLSServerExtensions[:0],
	}
}

// Entropy returns the Shannon entropy of counted bytes in bits per byte, NaN
// when none were counted.
func Entropy(counts *[256]uint16) float64 {
	n := 0
	var sum [4]float64 // four sums that do not wait for each other
	for i := 0; i < len(counts); i += len(sum) {
		for k := range sum {
			c := counts[i+k]
			n += int(c)
			sum[k] += xlog2[min(int(c), len(xlog2)-1)]
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return max(math.Log2(float64(n))-((sum[0]+sum[1])+(sum[2]+sum[3]))/float64(n), 0)
}

// xlog2 holds c·log2(c) for every count that a direction can reach.
var xlog2 = func() (t [flow.CountedBytes + 1]float64) {
	for c := 1; c < len(t); c++ {
		t[c] = float64(c) * math.Log2(float64(c))
	}
	return t
}()
