package reference

import (
	"fmt"
	"strconv"
	"strings"

	"trench/pkg/fingerprint"
	"trench/pkg/record"
	"trench/pkg/tlswire"
)

func readJA3(c *Corpus) ([]*Expectation, error) {
	data, err := c.read("golden/ja3/string_to_md5.csv")
	if err != nil {
		return nil, err
	}
	return parseJA3(data)
}

// parseJA3 reads pairs of a JA3 string and its digest. There is no capture: the
// string becomes a ClientHello, and that a fingerprint.
func parseJA3(data []byte) ([]*Expectation, error) {
	var out []*Expectation
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		f := strings.Split(strings.TrimSpace(line), ";")
		if i == 0 || len(f) < 2 {
			continue
		}
		hello, err := helloOfJA3(f[0])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		got := fingerprint.JA3(hello)
		out = append(out, &Expectation{Reference: "ja3", Captures: []string{"golden/ja3/string_to_md5.csv"}, Kind: Standalone,
			Values: []Value{{"ja3", f[1], func([]*record.Record) string { return got }}}})
	}
	return out, nil
}

func helloOfJA3(text string) (*tlswire.ClientHello, error) {
	parts := strings.Split(text, ",")
	if len(parts) > 5 {
		return nil, fmt.Errorf("%d fields, want 5", len(parts))
	}
	var lists [5][]uint16
	for i, p := range parts {
		for _, v := range strings.Split(p, "-") {
			if v == "" {
				continue
			}
			n, err := strconv.ParseUint(v, 10, 16)
			if err != nil {
				return nil, err
			}
			lists[i] = append(lists[i], uint16(n))
		}
	}
	if len(lists[0]) != 1 {
		return nil, fmt.Errorf("no version")
	}
	h := &tlswire.ClientHello{Version: lists[0][0], CipherSuites: lists[1], Extensions: lists[2], Groups: lists[3]}
	for _, v := range lists[4] {
		h.PointFormats = append(h.PointFormats, byte(v))
	}
	return h, nil
}
