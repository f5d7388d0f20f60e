package foxio_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"trench/pkg/fingerprint/foxio"
	"trench/pkg/internal/corpus"
)

// The outputs of the three references by FoxIO are compared in turn: the Rust
// and the Python tool say what each connection showed, the Wireshark plugin
// what each packet did.

// values are fingerprints by method.
type values struct{ ja4t, ja4ts, ja4s, ja4x, ja4h []string }

// wanted is what a reference says of a capture: by the direction that the
// bytes took, in the order of the capture.
type wanted struct {
	streams map[corpus.Way]*values
	frames  map[int]*values
}

func (w wanted) of(e corpus.Way) *values {
	if w.streams[e] == nil {
		w.streams[e] = &values{}
	}
	return w.streams[e]
}

// known maps what a reference says to what is right, and says why. The three
// agree on everything else that they all show, but for HTTP/2, where the Rust
// tool counts the pseudo fields.
func known(want string) (right string, ok bool) {
	right, ok = map[string]string{
		// "If any field does not exist, then the output is 00" (JA4T.md). The
		// Rust tool writes 0 and an empty list, the Wireshark plugin follows the text.
		"8192__0_0": "8192_00_00_00",
		// The scale is there and 0. The text writes 00 for it (its Windows 2003
		// has option 3 and 00), and so does the Wireshark plugin; the Rust tool
		// writes 0.
		"8192_2-1-3-1-1-8_1440_0": "8192_2-1-3-1-1-8_1440_00",
		"5744_2-4-8-1-3_1436_0":   "5744_2-4-8-1-3_1436_00",
		// The part e of JA4TS says when the packet was sent again, which one
		// packet does not show.
		"64240_2-1-1-4-1-3_1460_7_0": "64240_2-1-1-4-1-3_1460_7",
		// No fields: "We do this rather than running a sha256 hash of nothing"
		// (JA4.md) asks for zeros, as the same plugin writes for cookies.
		"ge10nn000000_e3b0c44298fc_000000000000_000000000000": "ge10nn000000_000000000000_000000000000_000000000000",
	}[want]
	return right, ok
}

// tally counts agreement for one method.
type tally struct {
	compared, equal int
	corrected       int // compared with what is right instead
	hidden          int // seen by the reference alone
}

// compare checks the fingerprints of one place against those wanted there.
func (c *tally) compare(t *testing.T, where string, got, want []string) {
	t.Helper()
	for i, w := range want {
		if right, ok := known(w); ok {
			w = right
			c.corrected++
		}
		switch {
		case i >= len(got) && slices.Contains(withSecrets, strings.Fields(where)[0]):
			c.hidden++
			continue
		case i >= len(got):
			t.Errorf("%s: got nothing, want %s", where, w)
		case got[i] != w:
			t.Errorf("%s: got %s, want %s", where, got[i], w)
		default:
			c.equal++
		}
		c.compared++
	}
}

// withSecrets are captures whose TLS 1.3 certificates the references decrypt.
var withSecrets = []string{"http2-with-cookies.pcapng", "chrome-cloudflare-quic-with-secrets.pcapng"}

func TestFingerprintsAgreeWithTheirAuthors(t *testing.T) {
	t.Parallel()
	for _, ref := range []struct {
		name string
		read func(t *testing.T, raw []byte) wanted
		// least that is compared: JA4T, JA4TS, JA4S, JA4X, JA4H
		least [5]int
	}{
		{"rust", readRust, [5]int{64, 0, 91, 57, 73}},
		{"python", readPython, [5]int{0, 0, 84, 55, 73}},
		{"wireshark", readWireshark, [5]int{118, 52, 96, 57, 110}},
	} {
		t.Run(ref.name, func(t *testing.T) {
			t.Parallel()
			var ja4t, ja4ts, ja4s, ja4x, ja4h tally
			for path, raw := range corpus.JA4(t, ref.name) {
				want := ref.read(t, raw)
				c := readCapture(t, path)
				name := filepath.Base(path)
				for _, n := range slices.Sorted(maps.Keys(want.frames)) {
					v := want.frames[n]
					where := fmt.Sprintf("%s frame %d", name, n)
					f := c.frames[n]
					switch {
					case f.ja4t != "":
						if !f.syn {
							// At a reset it repeats the JA4TS of before.
							ja4ts.hidden += len(v.ja4ts)
							v.ja4ts = nil
						}
						got := []string{f.ja4t}
						ja4t.compare(t, where, got, v.ja4t)
						ja4ts.compare(t, where, got, v.ja4ts)
						w := want.of(f.way)
						w.ja4s, w.ja4x, w.ja4h = append(w.ja4s, v.ja4s...), append(w.ja4x, v.ja4x...), append(w.ja4h, v.ja4h...)
					case f.udp != nil:
						ja4h.compare(t, where, []string{foxio.JA4H(f.udp)}, v.ja4h)
					default:
						t.Errorf("%s: not decoded", where)
					}
				}
				for e, v := range want.streams {
					where := fmt.Sprintf("%s %v to %v", name, e.Src, e.Dst)
					if f, ok := c.syns[e]; ok {
						ja4t.compare(t, where, []string{f.ja4t}, v.ja4t)
					}
					servers, certificates := serverPrints(t, c.streams[e])
					ja4s.compare(t, where, servers, v.ja4s)
					ja4x.compare(t, where, certificates, v.ja4x)
					requests := requestPrints(c.streams[e])
					if len(requests) == 0 { // python names the ends by the first packet
						requests = requestPrints(c.streams[e.Reverse()])
					}
					ja4h.compare(t, where, requests, v.ja4h)
				}
			}
			for i, m := range []struct {
				name string
				tally
			}{{"JA4T", ja4t}, {"JA4TS", ja4ts}, {"JA4S", ja4s}, {"JA4X", ja4x}, {"JA4H", ja4h}} {
				t.Logf("%s: %d of %d equal, %d of them corrected; %d not to be seen here", m.name, m.equal, m.compared, m.corrected, m.hidden)
				if m.compared < ref.least[i] {
					t.Errorf("%s: only %d compared", m.name, m.compared)
				}
			}
		})
	}
}

// overTCP leaves out what was seen in QUIC and HTTP/2, which the references
// decrypt with the secrets of the capture.
func overTCP(list []string) []string {
	var out []string
	for _, v := range list {
		if !strings.HasPrefix(v, "q") && !http2.MatchString(v) {
			out = append(out, v)
		}
	}
	return out
}

var http2 = regexp.MustCompile(`^[a-z]{2}[23]0[cn][rn]\d\d`)

func readRust(t *testing.T, raw []byte) wanted {
	t.Helper()
	var snaps []struct {
		corpus.JA4Ends `yaml:",inline"`
		JA4T, JA4S     string
		Certs          []struct {
			X509 []struct{ JA4X string }
		} `yaml:"tls_certs"`
		HTTP []struct{ JA4H string }
	}
	if err := yaml.Unmarshal(raw, &snaps); err != nil {
		t.Fatal(err)
	}
	w := wanted{streams: map[corpus.Way]*values{}}
	for _, s := range snaps {
		e := s.Way()
		client, server := w.of(e), w.of(e.Reverse())
		if s.JA4T != "" {
			client.ja4t = append(client.ja4t, s.JA4T)
		}
		if s.JA4S != "" {
			server.ja4s = append(server.ja4s, overTCP([]string{s.JA4S})...)
		}
		for _, list := range s.Certs {
			for _, c := range list.X509 {
				server.ja4x = append(server.ja4x, c.JA4X)
			}
		}
		for _, h := range s.HTTP {
			client.ja4h = append(client.ja4h, overTCP([]string{h.JA4H})...)
		}
	}
	return w
}

func readPython(t *testing.T, raw []byte) wanted {
	t.Helper()
	var rows []map[string]any
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	w := wanted{streams: map[corpus.Way]*values{}}
	for _, row := range rows {
		text := func(name string) string { s, _ := row[name].(string); return s }
		if text("src") == "" {
			continue
		}
		end := func(addr, port string) netip.AddrPort {
			a, err := netip.ParseAddr(text(addr))
			if err != nil {
				t.Fatal(err)
			}
			p, err := strconv.ParseUint(text(port), 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			return netip.AddrPortFrom(a, uint16(p))
		}
		e := corpus.Way{Src: end("src", "srcport"), Dst: end("dst", "dstport")}
		client, server := w.of(e), w.of(e.Reverse())
		if v := text("JA4S"); v != "" {
			server.ja4s = append(server.ja4s, overTCP([]string{v})...)
		}
		if v := text("JA4H"); v != "" {
			client.ja4h = append(client.ja4h, overTCP([]string{v})...)
		}
		for i := 1; text(fmt.Sprint("JA4X.", i)) != ""; i++ {
			server.ja4x = append(server.ja4x, text(fmt.Sprint("JA4X.", i)))
		}
	}
	return w
}

func readWireshark(t *testing.T, raw []byte) wanted {
	t.Helper()
	var rows []struct {
		Source struct {
			Layers map[string][]string
		} `json:"_source"`
	}
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	w := wanted{streams: map[corpus.Way]*values{}, frames: map[int]*values{}}
	for _, row := range rows {
		l := row.Source.Layers
		n, err := strconv.Atoi(l["frame.number"][0])
		if err != nil {
			t.Fatal(err)
		}
		w.frames[n] = &values{
			ja4t: l["ja4.ja4t"], ja4ts: l["ja4.ja4ts"],
			ja4s: overTCP(l["ja4.ja4s"]), ja4x: l["ja4.ja4x"], ja4h: overTCP(l["ja4.ja4h"]),
		}
	}
	return w
}
