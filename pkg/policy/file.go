package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of lists.
const (
	MaxEntries = 1 << 20  // of all lists together; a key with several values makes several
	maxFile    = 64 << 20 // bytes
	maxAuthor  = 64       // bytes
	maxReason  = 256      // bytes
	maxDomain  = 253      // bytes, RFC 1035
	maxFaults  = 50       // told of one file
)

// Load reads lists. It reports the faults of all files at once, each with its file
// and line.
func Load(paths []string) (*Set, error) {
	var entries []Entry
	var errs []error
	for _, path := range paths {
		of, err := read(path)
		errs = append(errs, err)
		entries = append(entries, of...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(entries) > MaxEntries {
		return nil, fmt.Errorf("lists: %d entries, the limit is %d", len(entries), MaxEntries)
	}
	return NewSet(entries), nil
}

func read(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, maxFile>>20)
	}
	return Parse(path, data)
}

// Parse reads one list. The faults that it reports are all that there are, up to
// maxFaults.
func Parse(name string, data []byte) ([]Entry, error) {
	p := parser{file: name, seen: map[place]int{}}
	p.document(data)
	if len(p.faults) == 0 {
		return p.entries, nil
	}
	if n := len(p.faults); n > maxFaults {
		p.faults = append(p.faults[:maxFaults], fmt.Errorf("%s: and %d more faults", name, n-maxFaults))
	}
	return nil, errors.Join(p.faults...)
}

type parser struct {
	file    string
	entries []Entry
	seen    map[place]int // line of what was listed
	faults  []error
}

// place is what may be listed once in a file.
type place struct {
	kind  Kind
	value string
	side  Side
}

func (p *parser) fault(line int, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("%s: line %d: %s", p.file, line, fmt.Sprintf(format, args...)))
}

func (p *parser) document(data []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF): // empty
		return
	case err != nil:
		p.faults = append(p.faults, fmt.Errorf("%s: %s", p.file, strings.TrimPrefix(err.Error(), "yaml: ")))
		return
	}
	root := doc.Content[0]
	if null(root) {
		return
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		p.faults = append(p.faults, fmt.Errorf("%s: has more than one document", p.file))
	}
	effects := map[string]Effect{Allow.String(): Allow, Deny.String(): Deny}
	p.mapping(root, "a list", "allow, deny", func(key string, n *yaml.Node) bool {
		effect, ok := effects[key]
		if !ok {
			return false
		}
		switch {
		case null(n):
		case n.Kind != yaml.SequenceNode:
			p.fault(n.Line, "%s: must be a list of entries", key)
		default:
			for _, item := range n.Content {
				p.entry(effect, item)
			}
		}
		return true
	})
}

// null reports whether a key has no value.
func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// mapping hands each key with its value to take, which says whether it knows it.
func (p *parser) mapping(n *yaml.Node, what, known string, take func(string, *yaml.Node) bool) {
	if n.Kind != yaml.MappingNode {
		p.fault(n.Line, "%s must be a mapping (%s)", what, known)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case seen[key.Value]:
			p.fault(key.Line, "%s comes twice", key.Value)
		case !take(key.Value, n.Content[i+1]):
			p.fault(key.Line, "unknown key %s (known here: %s)", key.Value, known)
		}
		seen[key.Value] = true
	}
}

const entryKeys = "address, network, domain, ja3, ja4, certificate, direction, until, author, reason"

// entry reads one entry, which makes as many as it has values.
func (p *parser) entry(effect Effect, n *yaml.Node) {
	before := len(p.faults)
	e := Entry{File: p.file, Line: n.Line, Effect: effect, Direction: Either}
	var values []*yaml.Node
	var given []string
	var end string
	p.mapping(n, "an entry", entryKeys, func(key string, v *yaml.Node) bool {
		for k, name := range kindNames {
			if key != name {
				continue
			}
			e.Kind, given = Kind(k), append(given, key)
			if values = []*yaml.Node{v}; v.Kind == yaml.SequenceNode {
				values = v.Content
			}
			return true
		}
		switch key {
		case "direction":
			e.Direction = p.direction(v)
		case "until":
			e.Until, end = p.until(v)
		case "author":
			e.Author = p.text(key, v, maxAuthor)
		case "reason":
			e.Reason = p.text(key, v, maxReason)
		default:
			return false
		}
		return true
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	switch {
	case len(given) != 1:
		p.fault(n.Line, "an entry has exactly one of address, network, domain, ja3, ja4 and certificate, not %d", len(given))
	case len(values) == 0:
		p.fault(n.Line, "%s: has no value", given[0])
	}
	if e.Author == "" && !named(n, "author") {
		p.fault(n.Line, "author: is missing")
	}
	if e.Reason == "" && !named(n, "reason") {
		p.fault(n.Line, "reason: is missing")
	}
	if len(given) != 1 {
		return
	}
	for _, v := range values {
		value := p.value(e.Kind, e.Direction, v)
		if value == "" {
			continue
		}
		at := place{e.Kind, value, e.Direction}
		if line, twice := p.seen[at]; twice {
			p.fault(v.Line, "%s %s is in line %d already", e.Kind, value, line)
			continue
		}
		p.seen[at] = v.Line
		if len(p.faults) > before {
			continue
		}
		one := e
		one.Value, one.Line = value, v.Line
		one.finish(end)
		p.entries = append(p.entries, one)
	}
}

func named(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// scalar returns the text of a value, with a fault when it is none.
func (p *parser) scalar(key string, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || null(n) || strings.TrimSpace(n.Value) == "" {
		p.fault(n.Line, "%s: must be a text", key)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// text returns a text for people.
func (p *parser) text(key string, n *yaml.Node, limit int) string {
	s := p.scalar(key, n)
	switch {
	case len(s) > limit:
		p.fault(n.Line, "%s: %d bytes, the limit is %d", key, len(s), limit)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		p.fault(n.Line, "%s: has characters that can not be shown", key)
	}
	return s
}

func (p *parser) direction(n *yaml.Node) Side {
	s := p.scalar("direction", n)
	for side, name := range sideNames {
		if name == s && name != "" {
			return Side(side)
		}
	}
	if s != "" {
		p.fault(n.Line, "direction: %q is neither client, server nor either", s)
	}
	return Either
}

// until returns when an entry ends, and the end as it was written.
func (p *parser) until(n *yaml.Node) (time.Time, string) {
	s := p.scalar("until", n)
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return p.representable(n, day.AddDate(0, 0, 1)), s
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return p.representable(n, at), s
	}
	if s != "" {
		p.fault(n.Line, "until: %q is neither a date as in 2027-03-31 nor a time as in 2027-03-31T18:00:00Z", s)
	}
	return time.Time{}, s
}

// representable refuses times that can not be counted in ns.
func (p *parser) representable(n *yaml.Node, t time.Time) time.Time {
	if y := t.Year(); y < 1700 || y > 2261 {
		p.fault(n.Line, "until: %d is no year of such an end; leave it out when there is none", y)
	}
	return t
}

var (
	hash32  = regexp.MustCompile(`^[0-9a-f]{32}$`)
	hashSHA = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	ja4     = regexp.MustCompile(`^[!-^` + "`" + `-~]{10}_(\*|[0-9a-f]{12}_(\*|[0-9a-f]{12}))$`)
	ja4s    = regexp.MustCompile(`^[!-^` + "`" + `-~]{7}_(\*|[0-9a-f]{4}_(\*|[0-9a-f]{12}))$`)
	label   = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
)

// value returns a value in the form that rows have, empty with a fault.
func (p *parser) value(k Kind, d Side, n *yaml.Node) string {
	s := p.scalar(k.String(), n)
	if s == "" {
		return ""
	}
	value, err := normal(k, d, s)
	if err != nil {
		p.fault(n.Line, "%s: %q %v", k, s, err)
		return ""
	}
	return value
}

func normal(k Kind, d Side, s string) (string, error) {
	switch k {
	case Address:
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			return "", errors.New("is no IP address")
		case a.Zone() != "":
			return "", errors.New("has a zone")
		}
		return a.Unmap().String(), nil
	case Network:
		n, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			return "", errors.New("is no network, as in 192.0.2.0/24")
		case n.Addr().Is4In6():
			return "", errors.New("is an IPv4 network in the form of IPv6: write it as IPv4")
		case n != n.Masked():
			return "", fmt.Errorf("has bits beyond its length: is it the address or %v?", n.Masked())
		}
		return n.String(), nil
	case Domain:
		return domain(s, d)
	case JA3:
		if s = strings.ToLower(s); !hash32.MatchString(s) {
			return "", errors.New("is not 32 hexadecimal digits")
		}
	case JA4:
		client, server := ja4.MatchString(s), ja4s.MatchString(s)
		switch {
		case !client && !server:
			return "", errors.New("is neither a JA4, a JA4S nor the first parts of one with _*")
		case client && d == Server:
			return "", errors.New("is a client's, direction says server")
		case server && d == Client:
			return "", errors.New("is a server's, direction says client")
		}
	case Certificate:
		if s = strings.ToLower(strings.ReplaceAll(s, ":", "")); !hashSHA.MatchString(s) {
			return "", errors.New("is neither a SHA-1 nor a SHA-256 in hexadecimal digits")
		}
	}
	return s, nil
}

func domain(s string, d Side) (string, error) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	name := strings.TrimPrefix(s, "*.")
	if d == Client {
		return "", errors.New("names a server, direction says client")
	}
	if len(name) > maxDomain {
		return "", fmt.Errorf("has %d bytes, the limit is %d", len(name), maxDomain)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", errors.New("is an address: use that key")
	}
	for l := range strings.SplitSeq(name, ".") {
		if !label.MatchString(l) {
			return "", errors.New("is no domain name: letters, digits, - and _ between dots, *. in front for all below it, other scripts as xn--")
		}
	}
	return s, nil
}
