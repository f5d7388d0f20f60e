package features

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"trench/pkg/dnswire"
)

// tlsPorts are ports other than 443 that are registered or common for protocols
// over TLS. They are part of xs_dport_class's definition.
var tlsPorts = []uint16{465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 2083, 3269, 5061, 5223, 5349, 5671, 6514, 6697, 8443, 8883, 9443}

// Borders of the ranges of ports (RFC 6335, section 6).
const (
	firstUserPort    = 1024
	firstDynamicPort = 49152
)

func portClass(port uint16) float64 {
	switch {
	case port == 443:
		return 1
	case slices.Contains(tlsPorts, port):
		return 2
	case port < firstUserPort:
		return 3
	case port < firstDynamicPort:
		return 4
	}
	return 5
}

// hops estimates the routers between a sender and the tap: what is missing to the
// next of the values that systems begin with.
func hops(ttl uint8) float64 {
	if ttl == 0 {
		return math.NaN()
	}
	initial := uint8(math.MaxUint8)
	for _, v := range []uint8{128, 64, 32} {
		if ttl <= v {
			initial = v
		}
	}
	return float64(initial - ttl)
}

// rank looks the flow's names up.
func (o *optionalFacts) rank(answer *dnswire.Message) {
	o.sni, o.dns = math.NaN(), math.NaN()
	if o.ranks == nil {
		return
	}
	if n := &o.facts.name; n.whole && n.isIP == 0 {
		o.sni = o.ranks.log(n.text)
	}
	if answer != nil && len(answer.Questions) > 0 {
		o.asked = append(o.asked[:0], strings.TrimSuffix(answer.Questions[0].Name, ".")...)
		for i, b := range o.asked {
			if 'A' <= b && b <= 'Z' {
				o.asked[i] = b + 'a' - 'A'
			}
		}
		o.dns = o.ranks.log(o.asked)
	}
}

// shortcutColumns is group xs: what tells captures apart rather than behaviour.
func shortcutColumns() []optionalColumn {
	const rank = "natural logarithm of the rank, in the configured list of popular domains, of %s or else of the longest of its parents of two labels or more that is listed; " +
		"ln(1 + the list's last rank) if none is; NaN without a list, "
	var t []optionalColumn
	add := func(name, unit, doc string, value func(o *optionalFacts) float64) {
		t = append(t, optionalColumn{name, unit, doc, value})
	}
	add("xs_dport", "port", "the server's port in the transport header; NaN when not known", func(o *optionalFacts) float64 {
		if !o.facts.flow.Server.IsValid() {
			return math.NaN()
		}
		return float64(o.facts.flow.Server.Port())
	})
	add("xs_dport_class", "class", "class of the server's port: 1 443, 2 other ports of TLS ("+strings.Trim(fmt.Sprint(tlsPorts), "[]")+"), else 3 below 1024, 4 below 49152, 5 others (RFC 6335, section 6); NaN when not known",
		func(o *optionalFacts) float64 {
			if !o.facts.flow.Server.IsValid() {
				return math.NaN()
			}
			return portClass(o.facts.flow.Server.Port())
		})
	add("xs_sport", "port", "the client's port in the transport header; NaN when not known", func(o *optionalFacts) float64 {
		if !o.facts.flow.Client.IsValid() {
			return math.NaN()
		}
		return float64(o.facts.flow.Client.Port())
	})
	add("xs_sni_rank_log", "ln", fmt.Sprintf(rank, "the SNI")+"without SNI, when it was cut, and for addresses", func(o *optionalFacts) float64 { return o.sni })
	add("xs_dns_rank_log", "ln", fmt.Sprintf(rank, "the name asked for in the DNS answer that led here")+"or without such an answer (AISec 2016)", func(o *optionalFacts) float64 { return o.dns })
	add("xs_syn_rtt_ms", "ms", "the handshake's round trip at the tap, as fl_iat_rtt_p50 has it; NaN when not observed", func(o *optionalFacts) float64 {
		if o.facts.flow.RTT <= 0 {
			return math.NaN()
		}
		return float64(o.facts.flow.RTT) / 1e6
	})
	add("xs_hop_est", "hops", "what the time to live (hop limit) of the server's first packet lacks of the smallest of 32, 64, 128 and 255 that is not below it; NaN when not known",
		func(o *optionalFacts) float64 { return hops(o.facts.s.TTL) })
	return t
}
