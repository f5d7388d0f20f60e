// Package labels joins flows with what is known about them: a label file with
// one row per flow, and a manifest with one row per capture. Both are CSV with
// a header line; columns that are not named here are ignored.
//
//	labels:   path proto client_ip client_port server_ip server_port first_ts label role family
//	manifest: path group source_repo split
//
// A label belongs to a flow when its path is a suffix of the file read, the
// 5-tuple is the same in either direction, and the first packets are at most
// 1 µs apart.
package labels

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tolerance is how far first packets may be apart.
const tolerance = 1000 // ns

// Label is what is known about one flow and its capture.
type Label struct {
	Label, Role, Family      string
	Group, Repository, Split string
	Capture                  string // the path of the label file
}

// key is a 5-tuple without direction.
type key struct {
	a, b  netip.AddrPort
	proto uint8
}

func makeKey(x, y netip.AddrPort, proto uint8) key {
	if x.Compare(y) > 0 {
		x, y = y, x
	}
	return key{x, y, proto}
}

type entry struct {
	first int64 // ns since the Unix epoch
	label Label
	used  bool
}

// capture holds the labels of one capture.
type capture struct {
	path  string
	flows map[key][]*entry
	seen  bool // its file has been asked for
}

// Set is a loaded label file.
type Set struct {
	byBase  map[string][]*capture // by the last element of the path
	sources map[string]*capture   // by file read, nil when there is none
	rows    int
}

// Load reads a label file and, unless its name is empty, a manifest.
func Load(labelFile, manifestFile string) (*Set, error) {
	captures := make(map[string]Label)
	if manifestFile != "" {
		err := read(manifestFile, []string{"path", "group", "source_repo", "split"}, func(f []string) error {
			captures[f[0]] = Label{Group: f[1], Repository: f[2], Split: f[3]}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	s := &Set{byBase: make(map[string][]*capture), sources: make(map[string]*capture)}
	byPath := make(map[string]*capture)
	columns := []string{"path", "proto", "client_ip", "client_port", "server_ip", "server_port", "first_ts", "label", "role", "family"}
	err := read(labelFile, columns, func(f []string) error {
		k, err := parseKey(f[1], f[2:6])
		if err != nil {
			return err
		}
		first, err := parseSeconds(f[6])
		if err != nil {
			return err
		}
		c := byPath[f[0]]
		if c == nil {
			c = &capture{path: f[0], flows: make(map[key][]*entry)}
			byPath[f[0]] = c
			base := path.Base(f[0])
			s.byBase[base] = append(s.byBase[base], c)
		}
		l := captures[f[0]]
		l.Capture, l.Label, l.Role, l.Family = f[0], f[7], f[8], f[9]
		if l.Group == "" {
			l.Group = f[0]
		}
		c.flows[k] = append(c.flows[k], &entry{first: first, label: l})
		s.rows++
		return nil
	})
	return s, err
}

// Find returns the label of a flow. Every label is given once.
func (s *Set) Find(source string, client, server netip.AddrPort, proto uint8, first int64) (Label, bool) {
	c, known := s.sources[source]
	if !known {
		c = s.capture(source)
		s.sources[source] = c
	}
	if c == nil {
		return Label{}, false
	}
	for _, e := range c.flows[makeKey(client, server, proto)] {
		if d := e.first - first; !e.used && d <= tolerance && d >= -tolerance {
			e.used = true
			return e.label, true
		}
	}
	return Label{}, false
}

// capture finds the labels of a file: the longest path that is its suffix.
func (s *Set) capture(source string) *capture {
	source = filepath.ToSlash(source)
	var best *capture
	for _, c := range s.byBase[path.Base(source)] {
		if (source == c.path || strings.HasSuffix(source, "/"+c.path)) && (best == nil || len(c.path) > len(best.path)) {
			best = c
		}
	}
	if best != nil {
		best.seen = true
	}
	return best
}

// Unused counts the labels that found no flow, of those whose capture was read
// and of all others.
func (s *Set) Unused() (read, others int) {
	for _, cs := range s.byBase {
		for _, c := range cs {
			for _, es := range c.flows {
				for _, e := range es {
					switch {
					case e.used:
					case c.seen:
						read++
					default:
						others++
					}
				}
			}
		}
	}
	return read, others
}

// Len returns how many labels were loaded.
func (s *Set) Len() int { return s.rows }

// read calls row with the named columns of every line.
func read(file string, columns []string, row func([]string) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(f)
	head, err := r.Read()
	if err != nil {
		return fmt.Errorf("%s: header: %w", file, err)
	}
	at := make([]int, len(columns))
	for i, c := range columns {
		if at[i] = slices.Index(head, c); at[i] < 0 {
			return fmt.Errorf("%s: no column %q", file, c)
		}
	}
	fields := make([]string, len(columns))
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for i, a := range at {
			fields[i] = rec[a]
		}
		if err := row(fields); err != nil {
			line, _ := r.FieldPos(0)
			return fmt.Errorf("%s: line %d: %w", file, line, err)
		}
	}
}

// parseKey reads a 5-tuple. The protocol column names what runs on top: QUIC
// and DTLS run on UDP, TLS on TCP.
func parseKey(proto string, f []string) (key, error) {
	var ends [2]netip.AddrPort
	for i := range ends {
		ip, err := netip.ParseAddr(f[2*i])
		if err != nil {
			return key{}, err
		}
		port, err := strconv.ParseUint(f[2*i+1], 10, 16)
		if err != nil {
			return key{}, fmt.Errorf("port %q: %w", f[2*i+1], err)
		}
		ends[i] = netip.AddrPortFrom(ip, uint16(port))
	}
	switch proto {
	case "tls", "sslv2ch", "tcp":
		return makeKey(ends[0], ends[1], 6), nil
	case "quic", "dtls", "udp":
		return makeKey(ends[0], ends[1], 17), nil
	}
	return key{}, fmt.Errorf("protocol %q is not known", proto)
}

// parseSeconds reads seconds with any number of decimals as ns, exactly.
func parseSeconds(s string) (int64, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, fmt.Errorf("time %q is no number", s)
	}
	r.Mul(r, big.NewRat(1e9, 1))
	ns := new(big.Int).Quo(r.Num(), r.Denom())
	if !ns.IsInt64() {
		return 0, fmt.Errorf("time %q is out of range", s)
	}
	return ns.Int64(), nil
}
