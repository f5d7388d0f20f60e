package reference

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"trench/pkg/record"
	"trench/pkg/tlswire"
)

// joyFlow is one direction of a flow in Joy's JSON.
type joyFlow struct {
	SA      string      `json:"sa"`
	DA      string      `json:"da"`
	SP      json.Number `json:"sp"`
	DP      json.Number `json:"dp"`
	Packets []struct {
		B   int   `json:"b"`
		IPT int64 `json:"ipt"` // ms since the one before, cut
	} `json:"packets"`
	TLS json.RawMessage `json:"tls"`
}

type joyTLS struct {
	ClientVersion int              `json:"c_version"`
	ServerVersion int              `json:"s_version"`
	KeyLength     int              `json:"c_key_length"`
	Ciphers       []string         `json:"cs"`
	Cipher        string           `json:"scs"`
	ClientExt     []map[string]any `json:"c_extensions"`
	ServerExt     []map[string]any `json:"s_extensions"`
	Certificates  []struct {
		Serial string `json:"serial_number"`
		From   string `json:"validity_not_before"`
		Until  string `json:"validity_not_after"`
		Bits   int    `json:"subject_public_key_size"`
	} `json:"s_cert"`
}

var joyName = regexp.MustCompile(`base-(tls\d+)\.json\.gz$`)

func readJoy(c *Corpus) ([]*Expectation, error) {
	files, err := c.list("golden/joy")
	if err != nil {
		return nil, err
	}
	var out []*Expectation
	for _, name := range files {
		m := joyName.FindStringSubmatch(path.Base(name))
		if m == nil {
			continue
		}
		data, err := c.read(name)
		if err != nil {
			return nil, err
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list, err := parseJoy(text, []string{"protocol-tests/joy/" + m[1] + ".pcap"})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, list...)
	}
	return out, nil
}

// parseJoy reads one JSON object a line: the configuration, then flows, each of one
// direction.
func parseJoy(data []byte, captures []string) ([]*Expectation, error) {
	var out []*Expectation
	for _, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
		var f joyFlow
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, err
		}
		ft, ok := parseEnds(f.SA, f.SP.String(), f.DA, f.DP.String())
		if !ok {
			continue
		}
		var t joyTLS
		if len(f.TLS) > 1 && f.TLS[0] == '{' {
			if err := json.Unmarshal(f.TLS, &t); err != nil {
				return nil, err
			}
		}
		e := &Expectation{Reference: "joy", Captures: captures, Proto: "tcp", Ends: []Ends{ft}}
		t.expect(e)
		f.sequence(e)
		out = append(out, e)
	}
	return out, nil
}

func (t *joyTLS) expect(e *Expectation) {
	var suites []string
	for _, c := range t.Ciphers {
		suites = append(suites, hexNumber(c))
	}
	e.set("client ciphers", strings.Join(suites, ","), func(r *record.Record) string { return numbers(r.TLSClientCiphers) })
	e.set("client extensions", joyExtensions(t.ClientExt), func(r *record.Record) string { return joyNames(r.TLSClientExtensions) })
	e.set("server extensions", joyExtensions(t.ServerExt), func(r *record.Record) string { return joyNames(r.TLSServerExtensions) })
	if t.Cipher != "" {
		n, _ := strconv.ParseUint(t.Cipher, 16, 16)
		e.set("cipher", tlswire.CipherName(uint16(n)), cipher)
	}
	if t.ServerVersion != 0 { // 2 is SSL 3.0
		e.set("version", tlswire.VersionName(uint16(0x0300+t.ServerVersion-2)), version)
	}
	if t.KeyLength != 0 {
		e.set("key length", strconv.Itoa(t.KeyLength), func(r *record.Record) string { return fmt.Sprint(r.TLSKeyBits) })
	}
	if len(t.Certificates) > 0 {
		c := t.Certificates[0]
		e.set("certificate serial", canonicalSerial(c.Serial), leaf(serialOf))
		e.set("certificate not before", joyDate(c.From), leaf(fromOf))
		e.set("certificate not after", joyDate(c.Until), leaf(untilOf))
		e.set("certificate key bits", strconv.Itoa(c.Bits), leaf(func(c *record.Certificate) string { return fmt.Sprint(c.KeyBits) }))
	}
}

func hexNumber(s string) string {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		return s
	}
	return strconv.FormatUint(n, 10)
}

func joyDate(s string) string {
	t, err := time.Parse("Jan _2 15:04:05 2006 MST", s)
	if err != nil {
		return s
	}
	return date(t.Unix())
}

func joyExtensions(list []map[string]any) string {
	var out []string
	for _, m := range list {
		for name := range m { // one each
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}

// joyNames names extensions as Joy does.
func joyNames(list []uint16) string {
	var out []string
	for _, id := range list {
		switch id {
		case 11:
			out = append(out, "ec_point_formats")
		case 15:
			out = append(out, "heartbeat")
		case 35:
			out = append(out, "session_ticket")
		case 65281:
			out = append(out, "renegotiation_info")
		default:
			out = append(out, extensionName(id))
		}
	}
	return strings.Join(out, ",")
}

// sequence compares lengths and times of the packets with payload of one direction.
func (f *joyFlow) sequence(e *Expectation) {
	var want []packet
	for _, p := range f.Packets {
		want = append(want, packet{p.B, p.IPT})
	}
	of := func(rows []*record.Record) []packet {
		var out []packet
		elapsed := int64(0)
		for _, p := range splt(rows, e.Ends[0].Client, -1) {
			elapsed += p.delta
			if p.length < 0 {
				continue
			}
			p.delta = elapsed / 1000
			if len(out) == 0 {
				p.delta = 0
			}
			elapsed = 0
			out = append(out, p)
		}
		return out
	}
	e.Values = append(e.Values,
		Value{"lengths", lengthList(want), func(rows []*record.Record) string { return lengthList(of(rows)) }},
		Value{"times", timeList(want), func(rows []*record.Record) string { return timeList(of(rows)) }})
}
