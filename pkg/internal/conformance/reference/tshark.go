package reference

import (
	"slices"
	"strconv"
	"strings"

	"trench/pkg/record"
	"trench/pkg/tlswire"
)

func readTshark(c *Corpus) ([]*Expectation, error) {
	files, err := c.list("golden/tshark")
	if err != nil {
		return nil, err
	}
	var out []*Expectation
	for _, name := range files {
		data, err := c.read(name)
		if err != nil {
			return nil, err
		}
		capture := strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".tsv")
		out = append(out, parseTshark(data, strings.ReplaceAll(capture, "~", "/"))...)
	}
	return out, nil
}

// frame is one line of tshark's fields: a frame with handshake messages, whose
// values tshark joins by commas.
type frame struct {
	columns map[string]int
	fields  []string
}

func (f frame) get(name string) string {
	if i, ok := f.columns[name]; ok && i < len(f.fields) {
		return f.fields[i]
	}
	return ""
}

// last returns the last of comma-separated values, the innermost layer's.
func last(s string) string { return s[strings.LastIndexByte(s, ',')+1:] }

// ends returns transport and ends, by the innermost layers. Where a frame has both
// versions of IP, which one is within the other is left open.
func (f frame) ends() (proto string, out []Ends) {
	proto, srcPort, dstPort := "tcp", last(f.get("tcp.srcport")), last(f.get("tcp.dstport"))
	if srcPort == "" {
		proto, srcPort, dstPort = "udp", last(f.get("udp.srcport")), last(f.get("udp.dstport"))
	}
	for _, v := range []string{"ipv6", "ip"} {
		src, dst := strings.Split(f.get(v+".src"), ","), strings.Split(f.get(v+".dst"), ",")
		for i := len(src) - 1; i >= 0 && len(src) == len(dst); i-- {
			if e, ok := parseEnds(src[i], srcPort, dst[i], dstPort); ok {
				out = append(out, e)
			}
		}
	}
	return proto, out
}

func (f frame) stream(proto string) string { return proto + last(f.get(proto+".stream")) }

// tsharkFlow is what the frames of one stream say.
type tsharkFlow struct {
	*Expectation
	client, server bool // their hello was seen
	offered        string
	selected       string
}

// parseTshark reads the handshake messages of one capture, and joins those of a stream.
func parseTshark(data []byte, capture string) []*Expectation {
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	columns := make(map[string]int)
	for i, n := range strings.Split(lines[0], "\t") {
		columns[n] = i
	}
	flows := make(map[string]*tsharkFlow)
	var order []*tsharkFlow
	n := numbering{}
	for _, line := range lines[1:] {
		f := frame{columns, strings.Split(line, "\t")}
		types := strings.Split(f.get("tls.handshake.type"), ",")
		proto, e := f.ends()
		client, server := slices.Contains(types, "1"), slices.Contains(types, "2")
		if len(e) == 0 || !client && !server {
			continue
		}
		key := f.stream(proto)
		t := flows[key]
		if t == nil {
			if !client { // the flow's direction is that of the client
				for i := range e {
					e[i].Client, e[i].Server = e[i].Server, e[i].Client
				}
			}
			t = &tsharkFlow{Expectation: &Expectation{Reference: "tshark", Captures: []string{capture}, Proto: proto, Ends: e, Ordinal: n.next(proto, e[0])}}
			flows[key] = t
			order = append(order, t)
		}
		for _, typ := range types {
			if typ == "1" {
				t.Hellos++
			}
		}
		switch {
		case client && server:
			// which value belongs to which message is not told
			t.client, t.server = true, true
		case client && !t.client:
			t.client = true
			t.clientHello(f, len(types) == 1)
		case server && !t.server:
			t.server = true
			t.serverHello(f, types)
		}
	}
	var out []*Expectation
	for _, t := range order {
		if t.selected == "" {
			t.selected = t.offered
		}
		t.set("alpn", t.selected, alpn)
		out = append(out, t.Expectation)
	}
	return out
}

func (t *tsharkFlow) clientHello(f frame, alone bool) {
	t.set("sni", first(f.get("tls.handshake.extensions_server_name")), sni)
	t.set("ja3", first(f.get("tls.handshake.ja3")), ja3)
	t.offered = firstProtocol(f.get("tls.handshake.extensions_alpn_str"))
	if alone {
		t.set("client ciphers", decimal(f.get("tls.handshake.ciphersuite")), func(r *record.Record) string { return numbers(r.TLSClientCiphers) })
		t.set("client extensions", decimal(f.get("tls.handshake.extension.type")), func(r *record.Record) string { return numbers(r.TLSClientExtensions) })
		t.set("client groups", decimal(f.get("tls.handshake.extensions_supported_group")), details(clientGroups))
		t.set("client versions", decimal(f.get("tls.handshake.extensions.supported_version")), details(clientVersions))
		t.set("client ALPN", f.get("tls.handshake.extensions_alpn_str"), details(clientALPN))
	}
	if v, err := strconv.ParseUint(first(f.get("quic.version")), 0, 32); err == nil && t.Proto == "udp" {
		t.set("quic version", quicVersion(uint32(v)), quicVersionOf)
	}
}

// firstProtocol returns the first protocol of a list that is no GREASE, which
// tshark shows as the bytes it is.
func firstProtocol(list string) string {
	for _, p := range strings.Split(list, ",") {
		if len(p) != 2 || p[0] != p[1] || p[0]&0x0f != 0x0a {
			return p
		}
	}
	return ""
}

func quicVersionOf(r *record.Record) string { return r.QUICVersion }

func (t *tsharkFlow) serverHello(f frame, types []string) {
	if types[0] != "2" {
		return // values of messages before it would come first
	}
	t.set("ja3s", first(f.get("tls.handshake.ja3s")), ja3s)
	v := first(f.get("tls.handshake.extensions.supported_version"))
	if v == "" {
		v = first(f.get("tls.handshake.version"))
	}
	t.set("version", tlswire.VersionName(number(v)), version)
	t.set("cipher", tlswire.CipherName(number(first(f.get("tls.handshake.ciphersuite")))), cipher)
	t.selected = first(f.get("tls.handshake.extensions_alpn_str"))
	if len(types) == 1 {
		t.set("server extensions", decimal(f.get("tls.handshake.extension.type")), func(r *record.Record) string { return numbers(r.TLSServerExtensions) })
	}
}

func number(s string) uint16 {
	n, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// HasHello reports whether the row shows a ClientHello.
func HasHello(r *record.Record) bool { return r.JA4 != "" || len(r.TLSClientCiphers) > 0 }
