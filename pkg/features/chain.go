package features

import (
	"math"
	"net/netip"
	"strings"

	"trench/pkg/certificate"
	"trench/pkg/tlswire"
)

const day = 86400e9 // ns

// chainFacts is what the server's certificates show: group ct.
type chainFacts struct {
	seen  float64 // as ct_seen
	certs []*certificate.Certificate
	bytes float64
	leaf  *certificate.Certificate // nil when no chain was seen
	whole bool                     // nothing of the chain is missing

	match, isIP, entropy float64
}

func (c *chainFacts) read(x *facts, cache *certificate.Cache) {
	*c = chainFacts{seen: math.NaN(), certs: c.certs[:0], match: math.NaN(), isIP: math.NaN(), entropy: math.NaN()}
	h := x.hello
	for _, der := range h.Certificates {
		cert, _ := cache.Get(der) // a broken certificate is data: Has tells what was read
		c.certs = append(c.certs, cert)
		c.bytes += float64(len(der))
	}
	if len(c.certs) == 0 {
		if x.server.before13 && x.server.resumed == 0 && noCertificate(h) {
			c.seen = 0
		}
		return
	}
	c.seen, c.leaf = 1, c.certs[0]
	c.whole = wholeChain(h, len(c.certs), int(c.bytes))
	if c.leaf.Has(certificate.PartSubject) && c.leaf.HasCommonName {
		c.isIP = bit(isAddress(c.leaf.CommonName))
		c.entropy = textEntropy(x.table, c.leaf.CommonName)
	}
	if x.name.whole && c.leaf.Has(certificate.PartSubject|certificate.PartExtensions) {
		c.match = bit(covers(c.leaf, x.name.text))
	}
}

// wholeChain reports whether the certificates fill the message that they came in.
func wholeChain(h *tlswire.Handshake, n, bytes int) bool {
	const prefix = 3 // of the list and of each certificate
	if h.CertificateCompression != 0 || h.SSLv2Server {
		return !h.Incomplete
	}
	return prefix+n*prefix+bytes == h.CertificateBytes
}

// noCertificate reports whether the server's flight was whole and had none.
func noCertificate(h *tlswire.Handshake) bool {
	const emptyList = 3
	if h.CertificateSeen {
		return h.CertificateBytes <= emptyList
	}
	return h.ServerHelloDone && !h.Incomplete
}

// isAddress reports whether a name is an IPv4 or IPv6 address.
func isAddress[T []byte | string](s T) bool {
	mark := false // a name of hexadecimal letters alone is none
	for i := range len(s) {
		switch b := s[i]; {
		case b == '.', b == ':':
			mark = true
		case '0' <= b && b <= '9', 'a' <= b && b <= 'f', 'A' <= b && b <= 'F':
		default:
			return false
		}
	}
	if !mark {
		return false
	}
	_, err := netip.ParseAddr(string(s))
	return err == nil
}

// covers reports whether a certificate is for a name: one of its alternative
// names, or the common name if it has no names or addresses there. A wildcard
// stands for exactly the first label.
func covers(c *certificate.Certificate, name []byte) bool {
	if len(c.DNSNames) == 0 && len(c.IPs) == 0 {
		return matches(c.CommonName, name)
	}
	for _, pattern := range c.DNSNames {
		if matches(pattern, name) {
			return true
		}
	}
	if len(c.IPs) > 0 && isAddress(name) {
		addr, _ := netip.ParseAddr(string(name))
		for _, ip := range c.IPs {
			if ip.Unmap() == addr.Unmap() {
				return true
			}
		}
	}
	return false
}

// matches compares a pattern with a name in lower case without a final dot.
func matches(pattern string, name []byte) bool {
	pattern = strings.TrimSuffix(pattern, ".")
	if rest, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasPrefix(rest, ".") {
		for i, b := range name {
			if b == '.' {
				return i > 0 && equalFold(rest, name[i:])
			}
		}
		return false
	}
	return pattern != "" && equalFold(pattern, name)
}

// equalFold compares in ASCII; lower is in lower case.
func equalFold(s string, lower []byte) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range lower {
		b := s[i]
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}

func wildcards(c *certificate.Certificate) (n float64) {
	for _, name := range c.DNSNames {
		n += bit(strings.HasPrefix(name, "*."))
	}
	return n
}

func textEntropy(table []float64, s string) float64 {
	var counts [256]uint32
	for i := range len(s) {
		counts[s[i]]++
	}
	return entropy(table, &counts)
}
