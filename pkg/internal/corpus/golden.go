package corpus

import (
	"cmp"
	"encoding/csv"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Way is one direction between two ends.
type Way struct{ Src, Dst netip.AddrPort }

// Reverse is the direction back.
func (w Way) Reverse() Way { return Way{w.Dst, w.Src} }

// TsharkRow is what tshark shows of one packet: values by the name of the field. A
// field that is there more than once has its values joined by commas.
type TsharkRow map[string]string

// First returns the first value of the first of the named fields that is there.
func (r TsharkRow) First(names ...string) string {
	for _, name := range names {
		if v, _, _ := strings.Cut(r[name], ","); v != "" {
			return v
		}
	}
	return ""
}

// Way returns where the packet went, inside all tunnels. transport is tcp or udp;
// a packet that has none gives the zero Way.
func (r TsharkRow) Way(transport string) Way {
	last := func(v string) string { return v[strings.LastIndexByte(v, ',')+1:] }
	end := func(side string) netip.AddrPort {
		a, err := netip.ParseAddr(last(cmp.Or(r["ip."+side], r["ipv6."+side])))
		if err != nil {
			return netip.AddrPort{}
		}
		p, err := netip.ParseAddrPort("[::]:" + last(r[transport+"."+side+"port"]))
		if err != nil {
			return netip.AddrPort{}
		}
		return netip.AddrPortFrom(a, p.Port())
	}
	return Way{end("src"), end("dst")}
}

// Tshark yields the path of every capture with what tshark shows of its TLS, DTLS and QUIC
// hellos.
func Tshark(tb testing.TB) iter.Seq2[string, []TsharkRow] {
	tb.Helper()
	root := Dir(tb)
	return func(yield func(string, []TsharkRow) bool) {
		for _, file := range glob(tb, root, "golden/tshark/*.tsv") {
			lines := strings.Split(strings.TrimRight(string(read(tb, file)), "\n"), "\n")
			names := strings.Split(lines[0], "\t")
			rows := make([]TsharkRow, 0, len(lines)-1)
			for _, line := range lines[1:] {
				row := TsharkRow{}
				for i, v := range strings.Split(line, "\t") {
					row[names[i]] = v
				}
				rows = append(rows, row)
			}
			name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".tsv"), "~", "/")
			if !yield(filepath.Join(root, name), rows) {
				return
			}
		}
	}
}

// NDPIFlow is the line that nDPI prints of one TCP or UDP flow.
type NDPIFlow struct {
	Way      Way    // from who sent first
	Protocol string // its name for it: TLS, TLS.Google
	Line     string
}

var ndpiFlow = regexp.MustCompile(`^\t\d+\t(?:TCP|UDP) (\S+) <?->? (\S+) (?:\[VLAN: \d+\])?\[proto: (?:GTP:)?[\d.]+/([^\]]+)\]`)

// NDPI yields the path of each of nDPI's captures with the flows that it prints of it.
func NDPI(tb testing.TB) iter.Seq2[string, []NDPIFlow] {
	tb.Helper()
	root := Dir(tb)
	return func(yield func(string, []NDPIFlow) bool) {
		for _, file := range glob(tb, root, "golden/ndpi/default/*.out") {
			var flows []NDPIFlow
			for line := range strings.Lines(string(read(tb, file))) {
				m := ndpiFlow.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				src, errSrc := netip.ParseAddrPort(m[1])
				dst, errDst := netip.ParseAddrPort(m[2])
				if errSrc == nil && errDst == nil {
					flows = append(flows, NDPIFlow{Way{src, dst}, m[3], line})
				}
			}
			capture := glob(tb, root, "*/nDPI/"+strings.TrimSuffix(filepath.Base(file), ".out"))[0]
			if !yield(capture, flows) {
				return
			}
		}
	}
}

// JA4 yields the path of every capture with what a tool of JA4's authors says of it. tool
// is python or wireshark, whose text is JSON, or rust, whose text is YAML.
func JA4(tb testing.TB, tool string) iter.Seq2[string, []byte] {
	tb.Helper()
	root := Dir(tb)
	return func(yield func(string, []byte) bool) {
		f, err := os.Open(filepath.Join(root, "golden/map.csv"))
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			tb.Fatal(err)
		}
		for _, row := range rows[1:] { // source, expected, pcap, what
			expected, capture := row[1], row[2]
			if !strings.HasPrefix(expected, "golden/ja4/"+tool+"/") || capture == "" {
				continue
			}
			raw := read(tb, filepath.Join(root, expected))
			if tool == "rust" { // a snapshot has a head
				_, text, _ := strings.Cut(strings.TrimPrefix(string(raw), "---\n"), "\n---\n")
				raw = []byte(text)
			}
			if !yield(filepath.Join(root, capture), raw) {
				return
			}
		}
	}
}

// JA4Ends are the ends of a stream as JA4's Rust tool writes them.
type JA4Ends struct {
	Src, Dst netip.Addr
	SrcPort  uint16 `yaml:"src_port"`
	DstPort  uint16 `yaml:"dst_port"`
}

// Way is the direction from the client to the server.
func (e JA4Ends) Way() Way {
	return Way{netip.AddrPortFrom(e.Src, e.SrcPort), netip.AddrPortFrom(e.Dst, e.DstPort)}
}

// glob returns at least one file below root.
func glob(tb testing.TB, root, pattern string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(files) == 0 {
		tb.Fatalf("%s: no files: %v", pattern, err)
	}
	return files
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}
