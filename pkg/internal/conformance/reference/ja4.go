package reference

import (
	"bytes"
	"encoding/json"
	"fmt"

	"gopkg.in/yaml.v3"
)

// rustStream is one element of the Rust tool's output.
type rustStream struct {
	Transport string
	Src, Dst  string
	SrcPort   string `yaml:"src_port"`
	DstPort   string `yaml:"dst_port"`
	JA4       string
	SNI       string `yaml:"tls_server_name"`
}

func readJA4Rust(c *Corpus) ([]*Expectation, error) {
	return readEntries(c, c.of("ja4", "rust"), parseJA4Rust)
}

// parseJA4Rust reads a snapshot: a header and a body of YAML.
func parseJA4Rust(data []byte, captures []string) ([]*Expectation, error) {
	_, body, ok := bytes.Cut(bytes.TrimPrefix(data, []byte("---\n")), []byte("\n---\n"))
	if !ok {
		return nil, fmt.Errorf("no body")
	}
	var streams []rustStream
	if err := yaml.Unmarshal(body, &streams); err != nil {
		return nil, err
	}
	var out []*Expectation
	n := numbering{}
	for _, s := range streams {
		ft, ok := parseEnds(s.Src, s.SrcPort, s.Dst, s.DstPort)
		if s.JA4 == "" || !ok {
			continue
		}
		e := &Expectation{Reference: "ja4-rust", Captures: captures, Proto: s.Transport, Ends: []Ends{ft}, Ordinal: n.next(s.Transport, ft)}
		e.set("ja4", s.JA4, ja4)
		e.set("sni", s.SNI, sni)
		out = append(out, e)
	}
	return out, nil
}

func readJA4Python(c *Corpus) ([]*Expectation, error) {
	return readEntries(c, c.of("ja4", "python"), parseJA4Python)
}

// parseJA4Python reads a list of streams. A stream with several ClientHellos has
// JA4.1, JA4.2 …; Trench's row has the first.
func parseJA4Python(data []byte, captures []string) ([]*Expectation, error) {
	var streams []struct {
		Src, Dst, SrcPort, DstPort, Domain string
		JA4                                string `json:"JA4"`
		JA41                               string `json:"JA4.1"`
	}
	if err := json.Unmarshal(data, &streams); err != nil {
		return nil, err
	}
	var out []*Expectation
	n := numbering{}
	for _, s := range streams {
		want := s.JA4
		if want == "" {
			want = s.JA41
		}
		ft, ok := parseEnds(s.Src, s.SrcPort, s.Dst, s.DstPort)
		if want == "" || !ok {
			continue
		}
		proto := "tcp"
		if want[0] != 't' {
			proto = "udp"
		}
		e := &Expectation{Reference: "ja4-python", Captures: captures, Proto: proto, Ends: []Ends{ft}, Ordinal: n.next(proto, ft)}
		e.set("ja4", want, ja4)
		e.set("sni", s.Domain, sni)
		out = append(out, e)
	}
	return out, nil
}

// Agreement counts the flows that the two tools give a JA4 for.
type Agreement struct{ Both, Equal, Rust, Python int }

// Agree compares what the two tools give for the same flows.
func Agree(expectations []*Expectation) Agreement {
	given := make(map[string]map[string]string) // by flow, by tool
	for _, e := range expectations {
		if e.Reference != "ja4-rust" && e.Reference != "ja4-python" {
			continue
		}
		flow := e.Captures[0] + " " + e.Proto + " " + e.Flow()
		if given[flow] == nil {
			given[flow] = make(map[string]string)
		}
		given[flow][e.Reference] = e.Values[0].Want
	}
	var a Agreement
	for _, g := range given {
		rust, python := g["ja4-rust"], g["ja4-python"]
		switch {
		case rust == "":
			a.Python++
		case python == "":
			a.Rust++
		default:
			a.Both++
			if rust == python {
				a.Equal++
			}
		}
	}
	return a
}

// readEntries reads every result with one parser.
func readEntries(c *Corpus, entries []entry, parse func(data []byte, captures []string) ([]*Expectation, error)) ([]*Expectation, error) {
	var out []*Expectation
	for _, e := range entries {
		data, err := c.read(e.result)
		if err != nil {
			return nil, err
		}
		list, err := parse(data, e.captures)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.result, err)
		}
		out = append(out, list...)
	}
	return out, nil
}
