package fingerprint_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"gopkg.in/yaml.v3"

	"trench/pkg/fingerprint"
	"trench/pkg/internal/corpus"
	"trench/pkg/tlswire"
)

// The golden tests read captures with a plain reassembly of their own, so that
// they judge the parsers alone.

type endpoints struct{ src, dst netip.AddrPort }

func (e endpoints) reverse() endpoints { return endpoints{e.dst, e.src} }

type segment struct {
	off  uint32
	data []byte
}

// direction is one direction of the first TCP connection between two ends.
type direction struct {
	begun, syn bool
	isn        uint32
	segments   []segment
}

const keptPerDirection = 64 << 10

func (d *direction) add(tcp *layers.TCP) {
	if d.begun && tcp.SYN && tcp.Seq != d.isn-1 {
		return // a later connection
	}
	if !d.begun || tcp.SYN && !d.syn {
		d.isn = tcp.Seq
		if tcp.SYN {
			d.isn++
			d.segments = nil
		}
		d.begun, d.syn = true, tcp.SYN
	}
	off := tcp.Seq - d.isn
	if tcp.SYN {
		off++
	}
	if len(tcp.Payload) > 0 && off < keptPerDirection {
		d.segments = append(d.segments, segment{off, bytes.Clone(tcp.Payload)})
	}
}

// stream returns the payload up to the first gap.
func (d *direction) stream() []byte {
	if d == nil {
		return nil
	}
	slices.SortStableFunc(d.segments, func(a, b segment) int { return cmp.Compare(a.off, b.off) })
	var out []byte
	for i, s := range d.segments {
		if i == 0 && !d.syn {
			d.isn += s.off
		}
		off := s.off
		if !d.syn {
			off -= d.segments[0].off
		}
		if int(off) > len(out) {
			break
		}
		if end := int(off) + len(s.data); end > len(out) {
			out = append(out, s.data[len(out)-int(off):]...)
		}
	}
	return out
}

// records returns the records of a stream without application data, from where
// TLS begins.
func records(stream []byte) []byte {
	if n, ok := tlswire.SSLv2Hello(stream); ok {
		return stream[:n]
	}
	start := -1
	for i := 0; i+6 <= len(stream) && i < 4096; i++ {
		if stream[i] == tlswire.RecordHandshake && tlswire.LooksLikeRecord(stream[i:]) && (stream[i+5] == 1 || stream[i+5] == 2) {
			start = i
			break
		}
	}
	if start < 0 {
		return nil
	}
	var out []byte
	for in := stream[start:]; tlswire.LooksLikeRecord(in); {
		n := min(len(in), tlswire.RecordHeaderLen+int(binary.BigEndian.Uint16(in[3:])))
		if in[0] != tlswire.RecordApplicationData {
			out = append(out, in[:n]...)
		}
		in = in[n:]
	}
	return out
}

func readCapture(path string) (map[endpoints]*direction, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	magic, err := in.Peek(4)
	if err != nil {
		return nil, err
	}
	var next func() ([]byte, gopacket.CaptureInfo, error)
	var link func(gopacket.CaptureInfo) layers.LinkType
	if binary.LittleEndian.Uint32(magic) == 0x0a0d0d0a {
		r, err := pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return nil, err
		}
		next = r.ReadPacketData
		link = func(ci gopacket.CaptureInfo) layers.LinkType {
			i, err := r.Interface(ci.InterfaceIndex)
			if err != nil {
				return r.LinkType()
			}
			return i.LinkType
		}
	} else {
		r, err := pcapgo.NewReader(in)
		if err != nil {
			return nil, err
		}
		next = r.ReadPacketData
		link = func(gopacket.CaptureInfo) layers.LinkType { return r.LinkType() }
	}
	out := map[endpoints]*direction{}
	for {
		data, ci, err := next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out, nil
		} else if err != nil {
			return out, nil // what was read before the damage counts
		}
		p := gopacket.NewPacket(data, link(ci), gopacket.DecodeOptions{NoCopy: true, Lazy: false})
		var src, dst net
		for _, l := range p.Layers() {
			switch l := l.(type) {
			case *layers.IPv4:
				src, dst = net(l.SrcIP), net(l.DstIP)
			case *layers.IPv6:
				src, dst = net(l.SrcIP), net(l.DstIP)
			case *layers.TCP:
				e := endpoints{src.port(l.SrcPort), dst.port(l.DstPort)}
				d := out[e]
				if d == nil {
					d = &direction{}
					out[e] = d
				}
				d.add(l)
			}
		}
	}
}

type net []byte

func (n net) port(p layers.TCPPort) netip.AddrPort {
	a, _ := netip.AddrFromSlice(n)
	return netip.AddrPortFrom(a.Unmap(), uint16(p))
}

// tally counts agreement for one field and keeps the differences.
type tally struct {
	equal, compared int
	diffs           []string
}

func (c *tally) check(where string, got, want any) {
	c.compared++
	if fmt.Sprint(got) == fmt.Sprint(want) {
		c.equal++
		return
	}
	c.diffs = append(c.diffs, fmt.Sprintf("%s: got %v, want %v", where, got, want))
}

type hello struct {
	where string
	row   map[string]string
}

// firstHellos returns the first row of a message type for each pair of ends
// over TCP.
func firstHellos(t *testing.T, path, typ string) map[endpoints]hello {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	names := strings.Split(lines[0], "\t")
	out := map[endpoints]hello{}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, v := range strings.Split(line, "\t") {
			row[names[i]] = v
		}
		if !slices.Contains(strings.Split(row["tls.handshake.type"], ","), typ) || row["tcp.srcport"] == "" {
			continue
		}
		e := endpoints{rowEnd(row, "src"), rowEnd(row, "dst")}
		if _, seen := out[e]; !seen && e.src.IsValid() {
			out[e] = hello{filepath.Base(path) + " frame " + row["frame.number"], row}
		}
	}
	return out
}

func rowEnd(row map[string]string, side string) netip.AddrPort {
	addr := cmp.Or(row["ip."+side], row["ipv6."+side])
	if i := strings.LastIndexByte(addr, ','); i >= 0 { // tunnels: the innermost
		addr = addr[i+1:]
	}
	port := row["tcp."+side+"port"]
	var p netip.AddrPort
	if a, err := netip.ParseAddr(addr); err == nil {
		var n uint16
		if _, err := fmt.Sscan(port, &n); err == nil {
			p = netip.AddrPortFrom(a, n)
		}
	}
	return p
}

// first returns the first of a comma-separated list: messages that share a
// frame share a field.
func first(s string) string { s, _, _ = strings.Cut(s, ","); return s }

func TestHellosAgreeWithTshark(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	files, err := filepath.Glob(filepath.Join(root, "golden/tshark/*.tsv"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no expectations: %v", err)
	}
	var ja3, sni, ciphers, exts, alpn, ja3s, version, cipher tally
	missing := 0
	var h tlswire.Handshake
	for _, file := range files {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".tsv"), "~", "/")
		clients, servers := firstHellos(t, file, "1"), firstHellos(t, file, "2")
		if len(clients)+len(servers) == 0 {
			continue
		}
		streams, err := readCapture(filepath.Join(root, name))
		if err != nil {
			t.Logf("%s: not read: %v", name, err)
			continue
		}
		for e, want := range clients {
			h.Parse(records(streams[e].stream()), nil)
			if !h.ClientSeen {
				missing++
				t.Logf("%s: no ClientHello found", want.where)
				continue
			}
			c := &h.Client
			if w := want.row["tls.handshake.ja3"]; w != "" {
				ja3.check(want.where, fingerprint.JA3(c), first(w))
			}
			sni.check(want.where, string(c.SNI), first(want.row["tls.handshake.extensions_server_name"]))
			if c.SSLv2 {
				continue // tshark does not show the suites of this format
			}
			ciphers.check(want.where, hexList(c.CipherSuites), want.row["tls.handshake.ciphersuite"])
			exts.check(want.where, decList(c.Extensions), want.row["tls.handshake.extension.type"])
			alpn.check(want.where, string(bytes.Join(c.ALPN, []byte(","))), want.row["tls.handshake.extensions_alpn_str"])
		}
		for e, want := range servers {
			h.Parse(records(streams[e.reverse()].stream()), records(streams[e].stream()))
			if h.HelloRetry || !h.ServerSeen {
				if !h.HelloRetry {
					missing++
					t.Logf("%s: no ServerHello found", want.where)
				}
				continue
			}
			if w := want.row["tls.handshake.ja3s"]; w != "" {
				ja3s.check(want.where, fingerprint.JA3S(&h.Server), first(w))
			}
			if strings.HasPrefix(want.row["tls.handshake.type"], "2") {
				cipher.check(want.where, fmt.Sprintf("0x%04x", h.Server.CipherSuite), first(want.row["tls.handshake.ciphersuite"]))
				version.check(want.where, fmt.Sprintf("0x%04x", h.NegotiatedVersion()),
					first(cmp.Or(want.row["tls.handshake.extensions.supported_version"], want.row["tls.handshake.version"])))
			}
		}
	}
	t.Logf("hellos tshark shows and this test did not find: %d", missing)
	if missing > maxMissing {
		t.Errorf("%d hellos not found, %d before", missing, maxMissing)
	}
	causes := differencesFromTshark()
	for _, f := range []struct {
		name string
		*tally
	}{
		{"JA3", &ja3}, {"SNI", &sni}, {"client ciphers", &ciphers}, {"client extensions", &exts},
		{"ALPN", &alpn}, {"JA3S", &ja3s}, {"version", &version}, {"cipher", &cipher},
	} {
		t.Logf("%s: %d of %d equal", f.name, f.equal, f.compared)
		if f.compared < 1400 {
			t.Errorf("%s: only %d compared", f.name, f.compared)
		}
		for _, d := range f.diffs {
			where, _, _ := strings.Cut(d, ":")
			if cause, ok := causes[f.name+" "+where]; ok {
				t.Logf("  %s: %q; %s", f.name, d, cause)
			} else {
				t.Errorf("  %s: %q", f.name, d)
			}
		}
	}
}

// maxMissing is how many hellos the plain reassembly of this test does not
// find: those behind lost segments, in fragments, or in link types that it does not read.
const maxMissing = 13

// differencesFromTshark gives the cause of each known difference.
func differencesFromTshark() map[string]string {
	const (
		lens    = "the list of suites passes the end of the hello: Trench reads what is there, tshark stops"
		broken  = "the extensions are broken: Trench keeps an extension whose body is cut, tshark leaves it out"
		draft14 = "TLS 1.3 draft 14 has no session id in the ServerHello: tshark reads one"
	)
	return map[string]string{
		"JA3 protocol-tests~nDPI~tls_cipher_lens.pcap.tsv frame 5":                               broken,
		"client extensions protocol-tests~nDPI~tls_cipher_lens.pcap.tsv frame 5":                 broken,
		"client extensions protocol-tests~PcapPlusPlus~ssl-malformed1.pcap.tsv frame 1":          broken,
		"client ciphers protocol-tests~nDPI~tls_cipher_lens.pcap.tsv frame 2":                    lens,
		"JA3 protocol-tests~nDPI~tls_invalid_reads.pcap.tsv frame 4":                             "the hello ends before compression: tshark leaves out the commas of the empty fields",
		"client extensions protocol-tests~nDPI~tls_invalid_reads.pcap.tsv frame 12":              broken,
		"ALPN protocol-tests~nDPI~tls_invalid_reads.pcap.tsv frame 12":                           broken,
		"ALPN protocol-tests~ja4~tls-non-ascii-alpn.pcapng.tsv frame 1":                          "the value is no text: tshark shows replacement characters",
		"JA3S protocol-tests~suricata-verify~tls_tls13-draft14_tls13_draft14.pcap.tsv frame 6":   draft14,
		"cipher protocol-tests~suricata-verify~tls_tls13-draft14_tls13_draft14.pcap.tsv frame 6": draft14,
		"version protocol-tests~arkime~arkime_synthetic.pcap.tsv frame 904":                      "supported_versions is empty: tshark reads the type of the next extension",
	}
}

func hexList(list []uint16) string {
	var out []string
	for _, v := range list {
		out = append(out, fmt.Sprintf("0x%04x", v))
	}
	return strings.Join(out, ",")
}

func decList(list []uint16) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}

// captureMap reads which capture an expectation belongs to.
func captureMap(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, row := range rows[1:] {
		out[row[1]] = row[2] // source, expected, pcap, what
	}
	return out
}

type snapshot struct {
	Transport string
	Src, Dst  string
	SrcPort   uint16 `yaml:"src_port"`
	DstPort   uint16 `yaml:"dst_port"`
	JA4       string
}

func TestJA4AgreesWithItsAuthors(t *testing.T) {
	t.Parallel()
	root := corpus.Dir(t)
	files, err := filepath.Glob(filepath.Join(root, "golden/ja4/rust/*.snap"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no expectations: %v", err)
	}
	captureOf := captureMap(t, filepath.Join(root, "golden/map.csv"))
	var ja4 tally
	captures, missing, skipped, known := 0, 0, 0, 0
	var h tlswire.Handshake
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(strings.TrimPrefix(string(raw), "---\n"), "\n---\n")
		var snaps []snapshot
		if err := yaml.Unmarshal([]byte(body), &snaps); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := captureOf["golden/ja4/rust/"+filepath.Base(file)]
		if name == "" {
			t.Logf("%s: its capture is not in the corpus", filepath.Base(file))
			continue
		}
		streams, err := readCapture(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		captures++
		for _, s := range snaps {
			if s.JA4 == "" {
				continue
			}
			if s.Transport != "tcp" {
				skipped++
				continue
			}
			e := endpoints{end(t, s.Src, s.SrcPort), end(t, s.Dst, s.DstPort)}
			h.Parse(records(streams[e].stream()), nil)
			if !h.ClientSeen {
				missing++
				t.Logf("%s %v: no ClientHello found", name, e)
				continue
			}
			where := fmt.Sprintf("%s %v to %v", filepath.Base(name), e.src, e.dst)
			got := fingerprint.JA4(&h.Client, fingerprint.TransportTCP)
			if w, ok := knownDifferences()[s.JA4]; ok {
				known++
				if got != w {
					t.Errorf("%s: got %s, want %s, which the specification asks for", where, got, w)
				}
				continue
			}
			ja4.check(where, got, s.JA4)
		}
	}
	t.Logf("JA4: %d of %d equal in %d captures; %d follow the specification against the reference; %d hellos not found; %d over UDP not compared here",
		ja4.equal, ja4.compared, captures, known, missing, skipped)
	for _, d := range ja4.diffs {
		t.Error(d)
	}
	if ja4.compared == 0 {
		t.Error("nothing was compared")
	}
}

// knownDifferences maps what the references say to what is right. Both write
// bytes of ALPN beyond ASCII as 9; the specification takes the hex form.
func knownDifferences() map[string]string {
	return map[string]string{"t13d151699_8daaf6152771_e5627efa2ab1": "t13d1516bd_8daaf6152771_e5627efa2ab1"}
}

func end(t *testing.T, addr string, port uint16) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(a, port)
}
