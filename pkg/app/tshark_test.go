package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"trench/pkg/features"
	"trench/pkg/internal/corpus"
	"trench/pkg/record"
	"trench/pkg/tlswire"
)

// hello is what tshark shows of the handshake of one TCP connection.
type hello struct {
	sni, ja3, ja3s, version, cipher string
	client, server                  bool // a hello of that side was seen
}

// TestFieldsAgreeWithTshark compares SNI, JA3, JA3S, version and cipher suite
// with the output of tshark 4.0.17 on the golden captures, connection by
// connection, and prints every difference.
func TestFieldsAgreeWithTshark(t *testing.T) {
	t.Parallel()
	dir := corpus.Dir(t)
	files, err := filepath.Glob(filepath.Join(dir, "golden", "tshark", "*.tsv"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d golden files: %v", len(files), err)
	}
	type tally struct{ compared, equal int }
	counts := make(map[string]*tally)
	var differences []string
	compare := func(where, field, want, got string) {
		if want == "" {
			return
		}
		c := counts[field]
		if c == nil {
			c = new(tally)
			counts[field] = c
		}
		c.compared++
		if want == got {
			c.equal++
			return
		}
		differences = append(differences, fmt.Sprintf("%s %s: tshark %s, trench %s", where, field, want, got))
	}
	for _, file := range files {
		capture := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".tsv"), "~", "/")
		want := readTshark(t, file)
		if len(want) == 0 {
			continue
		}
		got := make(map[string]*record.Record)
		a := &Analysis{Capture: DefaultConfig(), Features: features.DefaultConfig(), Last: StageFeatures, Rows: func(rows []*record.Record) error {
			for _, r := range rows {
				key := fmt.Sprintf("%s:%d %s:%d", r.ClientIP, r.ClientPort, r.ServerIP, r.ServerPort)
				if before := got[key]; r.AppProto == "tls" && (before == nil || r.TS < before.TS) {
					c := *r
					got[key] = &c
				}
			}
			return nil
		}}
		if _, err := a.Run(context.Background(), []string{filepath.Join(dir, capture)}); err != nil {
			t.Fatal(err)
		}
		for key, w := range want {
			where := capture + " " + key
			g := got[key]
			if g == nil {
				compare(where, "flow", "tls", "none")
				continue
			}
			compare(where, "flow", "tls", "tls")
			compare(where, "sni", w.sni, g.TLSSNI)
			compare(where, "ja3", w.ja3, g.JA3)
			compare(where, "ja3s", w.ja3s, g.JA3S)
			if w.server {
				compare(where, "version", w.version, g.TLSVersion)
				compare(where, "cipher", w.cipher, g.TLSCipher)
			}
		}
	}
	slices.Sort(differences)
	for _, d := range differences {
		t.Log(d)
	}
	for _, field := range []string{"flow", "sni", "ja3", "ja3s", "version", "cipher"} {
		c := counts[field]
		t.Logf("%-8s %d of %d equal", field, c.equal, c.compared)
		if field != "flow" && float64(c.equal) < .99*float64(c.compared) {
			t.Errorf("%s: %d of %d equal, want 99 %%", field, c.equal, c.compared)
		}
	}
}

// readTshark returns the first hellos of every TCP connection by client and server.
func readTshark(t *testing.T, file string) map[string]*hello {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	column := make(map[string]int)
	for i, n := range strings.Split(lines[0], "\t") {
		column[n] = i
	}
	out := make(map[string]*hello)
	for _, line := range lines[1:] {
		f := strings.Split(line, "\t")
		get := func(name string) string {
			if i := column[name]; i < len(f) {
				return f[i]
			}
			return ""
		}
		if get("tcp.srcport") == "" || strings.Contains(get("tcp.srcport"), ",") {
			continue // QUIC and DTLS, or a TCP packet quoted by ICMP
		}
		src, dst := get("ip.src")+get("ipv6.src")+":"+get("tcp.srcport"), get("ip.dst")+get("ipv6.dst")+":"+get("tcp.dstport")
		if strings.Contains(src+dst, ",") {
			continue // tunnelled
		}
		types := strings.Split(get("tls.handshake.type"), ",")
		entry := func(key string) *hello {
			if out[key] == nil {
				out[key] = new(hello)
			}
			return out[key]
		}
		if slices.Contains(types, "1") {
			if h := entry(src + " " + dst); !h.client {
				h.client = true
				h.sni, h.ja3 = first(get("tls.handshake.extensions_server_name")), first(get("tls.handshake.ja3"))
			}
		}
		if slices.Contains(types, "2") {
			if h := entry(dst + " " + src); !h.server {
				h.server = true
				h.ja3s = first(get("tls.handshake.ja3s"))
				version := first(get("tls.handshake.extensions.supported_version"))
				if version == "" {
					version = first(get("tls.handshake.version"))
				}
				h.version, h.cipher = tlswire.VersionName(number(version)), tlswire.CipherName(number(first(get("tls.handshake.ciphersuite"))))
			}
		}
	}
	return out
}

// first returns the first of comma-separated values: tshark joins those of all
// messages in a frame.
func first(s string) string {
	s, _, _ = strings.Cut(s, ",")
	return s
}

func number(s string) uint16 {
	n, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
