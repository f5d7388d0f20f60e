package features

import (
	"math"
	"strings"

	"trench/pkg/dnswire"
	"trench/pkg/flow"
)

// answerFacts is what the DNS answer that led to a flow shows: group dn.
type answerFacts struct {
	seen, age, nameIsSNI, a, aaaa, depth, ttlMin, ttlMax, length, digits, others, missing float64
}

// read needs the parsed answer, nil when there was none, and the name's facts.
func (d *answerFacts) read(f *flow.Flow, m *dnswire.Message, name *nameFacts) {
	nan := math.NaN()
	*d = answerFacts{nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan}
	if n := float64(f.DNS.Responses); n > 0 {
		d.seen = 0
		d.missing = min(float64(f.DNS.Negative)/n, 1)
	}
	if m == nil {
		return
	}
	d.seen, d.age = 1, float64(f.ResolutionAge)/1e9
	d.a, d.aaaa = 0, 0
	for _, rr := range m.Answers {
		switch rr.Type {
		case dnswire.TypeA:
			d.a++
		case dnswire.TypeAAAA:
			d.aaaa++
		default:
			continue
		}
		ttl := float64(rr.TTL)
		if math.IsNaN(d.ttlMin) {
			d.ttlMin, d.ttlMax = ttl, ttl
		}
		d.ttlMin, d.ttlMax = min(d.ttlMin, ttl), max(d.ttlMax, ttl)
	}
	if len(m.Questions) == 0 {
		return
	}
	asked := strings.TrimSuffix(m.Questions[0].Name, ".")
	d.depth = aliases(asked, m.Answers)
	d.length, d.digits, d.others = float64(len(asked)), 0, 0
	for i := range len(asked) {
		switch b := asked[i] | 0x20; {
		case '0' <= asked[i] && asked[i] <= '9':
			d.digits++
		case b < 'a' || b > 'z':
			d.others++
		}
	}
	if name.whole {
		d.nameIsSNI = bit(equalFold(asked, name.text))
	}
}

// aliases counts the CNAME records that lead from a name to its address, as far as
// the answer tells. Records come in any order, so each step looks at all of them.
func aliases(name string, answers []dnswire.RR) (n float64) {
	for range answers { // a chain has no more steps than records
		next := ""
		for _, rr := range answers {
			if rr.Type == dnswire.TypeCNAME && strings.EqualFold(strings.TrimSuffix(rr.Name, "."), name) {
				next = strings.TrimSuffix(rr.Data, ".")
				break
			}
		}
		if next == "" {
			break
		}
		n, name = n+1, next
	}
	return n
}
