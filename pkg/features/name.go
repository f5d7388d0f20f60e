package features

import "math"

// nameFacts is what the letters of the SNI show: group sn.
type nameFacts struct {
	present float64 // as sn_present
	whole   bool    // the name is there and was not cut
	text    []byte  // lower case, without a final dot

	isIP, labels, longest, digits, hyphens, vowels, consonants float64
	entropy, bigrams, punycode, tld, dynamic                   float64
}

func (n *nameFacts) read(x *facts) {
	nan := math.NaN()
	*n = nameFacts{
		present: nan, text: n.text[:0], isIP: nan, labels: nan, longest: nan, digits: nan, hyphens: nan, vowels: nan, consonants: nan,
		entropy: nan, bigrams: nan, punycode: nan, tld: nan, dynamic: nan,
	}
	if !x.client.seen {
		return
	}
	sni := x.hello.Client.SNI
	if sni == nil {
		if x.client.extensionsWhole {
			n.present = 0
		}
		return
	}
	n.present = 1
	if math.IsNaN(x.within(extensionSNI, 1)) {
		return // the hello was cut inside of it
	}
	n.whole = true
	if k := len(sni); k > 0 && sni[k-1] == '.' {
		sni = sni[:k-1]
	}
	for _, b := range sni {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		n.text = append(n.text, b)
	}
	n.isIP = bit(isAddress(n.text))
	n.letters(x)
	n.domain(x.lists)
}

// letters walks the name once.
func (n *nameFacts) letters(x *facts) {
	var counts [256]uint32
	var letters, vowels, digits, run, label, pairs, sum float64
	n.labels, n.longest, n.hyphens, n.consonants = 0, 0, 0, 0
	last := lastDot(n.text)
	for i, b := range n.text {
		counts[b]++
		switch {
		case b == 'a', b == 'e', b == 'i', b == 'o', b == 'u':
			letters++
			vowels++
			run = 0
		case 'a' <= b && b <= 'z':
			letters++
			run++
			n.consonants = max(n.consonants, run)
		default:
			run = 0
			digits += bit('0' <= b && b <= '9')
			n.hyphens += bit(b == '-')
		}
		if b == '.' {
			label = 0
			continue
		}
		if label == 0 {
			n.labels++
		}
		label++
		n.longest = max(n.longest, label)
		if label > 1 && (i < last || last < 0) {
			a, c := x.lists.letters[n.text[i-1]], x.lists.letters[b]
			if a >= 0 && c >= 0 {
				pairs++
				sum += x.lists.bigrams[a][c]
			}
		}
	}
	n.digits = ratio(digits, float64(len(n.text)))
	n.vowels = ratio(vowels, letters)
	n.entropy = entropy(x.table, &counts)
	if n.isIP == 0 {
		n.bigrams = ratio(sum, pairs)
	}
}

// domain looks the end of the name up.
func (n *nameFacts) domain(l *lists) {
	n.punycode, n.dynamic, n.tld = 0, 0, 0
	last := lastDot(n.text)
	for i := range n.text {
		if i > 0 && n.text[i-1] != '.' {
			continue
		}
		tail := n.text[i:]
		if len(tail) >= 4 && string(tail[:4]) == "xn--" {
			n.punycode = 1
		}
		if l.dynamic[string(tail)] {
			n.dynamic = 1
		}
	}
	if n.isIP == 1 || len(n.text) == 0 {
		return
	}
	top := n.text[last+1:]
	const country, other = 2, 4
	switch class := l.tlds[string(top)]; {
	case class == specialTLD || class > 0 && last >= 0:
		n.tld = float64(class)
	case last < 0: // a single label has no top-level domain
	case len(top) == 2:
		n.tld = country
	default:
		n.tld = other
	}
}

const (
	specialTLD   = 5 // of tldList
	extensionSNI = 0
)

func lastDot(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '.' {
			return i
		}
	}
	return -1
}
