package features

import (
	"fmt"
	"math/bits"
	"strings"
	"sync"

	"trench/pkg/flow"
)

// The schema cisco2016 is what Joy's training code (analysis/data_parser.py)
// makes of a bidirectional record of Joy with packet lengths and times, byte
// distribution and TLS, for an anchor baseline:
//
//	7     ports, packets, bytes, and the sum of the times between packets
//	100   lengths: Markov matrix, 10 bins of 150 bytes
//	100   times: Markov matrix, 10 bins of 50 ms
//	256   byte frequencies
//	176   cipher suites of the ClientHello
//	9     extensions of the ClientHello
//	1     length of the client's key exchange
//
// There is no NaN: what was not seen is 0, as there. The byte frequencies are
// the counts as Joy writes them (first 4,000 bytes of each direction, all shifted
// right until the largest has 8 bits) by their sum; Joy's own classifier divides
// by all bytes of the flow instead, which its models were not trained on.
const (
	// joySuites are the suites in the order of their columns.
	joySuites = "c005 c004 c007 0039 0038 c003 c002 0035 0034 0037 0036 c009 c008 0033 0032 c07a c07b c07c c07d 0065 c048 c087 " +
		"c086 c081 c080 c072 c073 c076 c077 0040 0041 0042 feff 0044 0045 0046 0030 c00e c00d c00f c00a c00c 003e 003d " +
		"003f 003a 003c 003b 00be 00ff 00fd 00fb 00fc c08a c08b 5600 c05d c05c 00af 00ae 00a7 00a6 00a5 00a4 00a3 00a2 " +
		"00a1 00a0 cc13 cc15 cc14 c049 cca9 cca8 000d 000f 000a 000c 00b0 0066 0067 0064 00b1 0062 0063 0060 0061 0068 " +
		"0069 0004 0005 0006 0007 0001 0002 0003 0008 0009 0031 c01d c01e c030 c031 c032 006d 00ba 006b 006c 00bd 006a " +
		"00c4 00c0 00c3 0017 0016 0015 0014 0013 0012 0011 0010 c01b c01c c01a c01f 0019 0018 002c 002f c029 c028 c027 " +
		"c026 c025 c024 c023 c022 c021 c020 009f 009e 009d 009c 009b 009a 0088 0089 0084 0085 0086 0087 0043 c02f c02e " +
		"c02d c02c c02b c02a c018 c019 001b 001a c012 c013 c011 c016 c017 c014 008d 008a 008b 008c 0099 0098 0097 0096"

	// joyExtensions are the extensions in the order of their columns: server_name,
	// extended_master_secret, renegotiation_info, supported_groups, ec_point_formats,
	// session_ticket, application_layer_protocol_negotiation, status_request,
	// signature_algorithms.
	joyExtensions = "0 23 65281 10 11 35 16 5 13"

	joySuiteCount     = 176
	joyExtensionCount = 9
)

// joyPlaces are the columns of suites and extensions, counted from 1.
type joyPlaces struct {
	suites, extensions pages[uint8]
}

var joyColumns = sync.OnceValue(func() *joyPlaces {
	p := new(joyPlaces)
	for i, s := range strings.Fields(joySuites) {
		p.suites.set(number(s, 16), uint8(i+1))
	}
	for i, s := range strings.Fields(joyExtensions) {
		p.extensions.set(number(s, 10), uint8(i+1))
	}
	return p
})

// joyFacts is what only cisco2016 needs.
type joyFacts struct {
	duration   float64 // ms
	bytes      [256]float64
	suites     [joySuiteCount]bool
	extensions [joyExtensionCount]bool
	key        float64
}

func (j *joyFacts) read(x *facts, times *timeFacts) {
	*j = joyFacts{duration: times.sum}
	j.frequencies(x.c, x.s)
	if x.flow.App != flow.AppTLS {
		return // Joy knows TLS over TCP alone
	}
	j.key = float64(max(clientKeyBits(x.hello), 0))
	if !x.hello.ClientSeen {
		return
	}
	columns := joyColumns()
	for _, id := range x.hello.Client.CipherSuites {
		if place := columns.suites.at(id); place > 0 {
			j.suites[place-1] = true
		}
	}
	for _, id := range x.hello.Client.Extensions {
		if place := columns.extensions.at(id); place > 0 {
			j.extensions[place-1] = true
		}
	}
}

func (j *joyFacts) frequencies(c, s *flow.Half) {
	var counts [256]uint32
	var union, sum uint32
	for i := range counts {
		counts[i] = uint32(c.ByteCounts[i]) + uint32(s.ByteCounts[i])
		union |= counts[i]
	}
	shift := max(bits.Len32(union)-8, 0)
	for i := range counts {
		counts[i] >>= shift
		sum += counts[i]
	}
	if sum == 0 {
		return
	}
	for i, n := range counts {
		j.bytes[i] = float64(n) / float64(sum)
	}
}

// ciscoColumns is schema cisco2016.
func ciscoColumns() []optionalColumn {
	const unseen = ", also without a ClientHello and for other protocols than TLS over TCP"
	var t []optionalColumn
	add := func(name, unit, doc string, value func(o *optionalFacts) float64) {
		t = append(t, optionalColumn{"c16_" + name, unit, doc + " (Joy, cisco2016)", value})
	}
	packets := func(h *flow.Half) float64 { return float64(h.Packets - min(h.Retransmitted, h.Packets)) }

	add("dport", "port", "the server's port", func(o *optionalFacts) float64 { return float64(o.facts.flow.Server.Port()) })
	add("sport", "port", "the client's port", func(o *optionalFacts) float64 { return float64(o.facts.flow.Client.Port()) })
	add("pk_in", "packets", "packets from the server, retransmissions left out", func(o *optionalFacts) float64 { return packets(o.facts.s) })
	add("pk_out", "packets", "packets from the client, retransmissions left out", func(o *optionalFacts) float64 { return packets(o.facts.c) })
	add("by_in", "bytes", "transport payload from the server, retransmissions left out", func(o *optionalFacts) float64 { return float64(o.facts.s.LengthSum) })
	add("by_out", "bytes", "transport payload from the client, retransmissions left out", func(o *optionalFacts) float64 { return float64(o.facts.c.LengthSum) })
	const listed = "listed data packets (the first 50 of each direction, merged by time, retransmissions left out)"
	add("dur", "ms", "sum of the whole ms between successive "+listed+", from the flow's start to the first", func(o *optionalFacts) float64 { return o.joy.duration })
	for i := range 10 {
		for j := range 10 {
			add(fmt.Sprintf("len_%d_%d", i, j), "ratio", fmt.Sprintf("share of the transitions out of length bin %d that go to bin %d, over successive %s; bin min(payload/150, 9); a single packet is a transition to its own bin; "+
				"0 in rows without transitions", i, j, listed), func(o *optionalFacts) float64 { return o.facts.shape.markov[i*10+j] })
		}
	}
	for i := range 10 {
		for j := range 10 {
			add(fmt.Sprintf("time_%d_%d", i, j), "ratio", fmt.Sprintf("share of the transitions out of time bin %d that go to bin %d, over successive %s; bin min(t/50, 9), t the whole ms since the packet before, since the flow's start for the first; "+
				"a single packet is a transition to its own bin; 0 in rows without transitions", i, j, listed), func(o *optionalFacts) float64 { return o.times.markov[i*10+j] })
		}
	}
	for i := range 256 {
		add(fmt.Sprintf("bd_%03d", i), "ratio", fmt.Sprintf("share of the value %d in the first 4,000 payload bytes of each direction together, the counts all shifted right until the largest has 8 bits; 0 without payload", i),
			func(o *optionalFacts) float64 { return o.joy.bytes[i] })
	}
	for i, id := range strings.Fields(joySuites) {
		add("cs_"+id, "bit", "1 if the ClientHello offers cipher suite "+id+" (hexadecimal), else 0"+unseen, func(o *optionalFacts) float64 { return bit(o.joy.suites[i]) })
	}
	for i, id := range strings.Fields(joyExtensions) {
		add("ext_"+id, "bit", "1 if the ClientHello has extension "+id+", else 0"+unseen, func(o *optionalFacts) float64 { return bit(o.joy.extensions[i]) })
	}
	add("cke_bits", "bits", "8 times the length of the ClientKeyExchange's body with its length prefix, 0 when that is above 8192 or was not seen", func(o *optionalFacts) float64 { return o.joy.key })
	return t
}
