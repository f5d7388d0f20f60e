// Package e2e holds the end-to-end tests, and how they read rows: as JSON that
// ClickHouse itself writes, and as the NDJSON of trench, brought to one form so
// that they can be compared column by column. It shares no code with what writes
// either of them.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Row is one flow, its columns by name.
type Row map[string]any

// maxLine bounds one row of JSON.
const maxLine = 16 << 20

// Query runs a query over ClickHouse's HTTP interface and returns its rows.
func Query(addr, database, query string) (rows []Row, err error) {
	err = QueryEach(addr, database, query, func(r Row) error { rows = append(rows, r); return nil })
	return rows, err
}

// QueryEach is Query for any number of rows: it calls do with each.
func QueryEach(addr, database, query string, do func(Row) error) error {
	values := url.Values{
		"database": {database}, "default_format": {"JSONEachRow"}, "date_time_output_format": {"iso"},
		"output_format_json_quote_64bit_integers": {"0"}, "output_format_json_named_tuples_as_objects": {"1"},
		"output_format_json_quote_denormals": {"1"},
	}
	resp, err := http.Post("http://"+addr+"/?"+values.Encode(), "text/plain", strings.NewReader(query))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("%s: %s", resp.Status, why)
	}
	return EachRow(resp.Body, do)
}

// ReadNDJSON reads rows, one a line.
func ReadNDJSON(r io.Reader) (rows []Row, err error) {
	err = EachRow(r, func(r Row) error { rows = append(rows, r); return nil })
	return rows, err
}

// EachRow calls do with each row of NDJSON.
func EachRow(r io.Reader, do func(Row) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for n := 1; s.Scan(); n++ {
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.UseNumber()
		var row Row
		err := d.Decode(&row)
		if err == nil {
			err = do(row)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return s.Err()
}

// FromNDJSON brings a row of trench's NDJSON to the common form.
func FromNDJSON(r Row) Row { return normal(r) }

// FromClickHouse brings a row of the table flows to the common form: without
// the columns that only the table has, and with the packet sequence as pairs, as
// NDJSON has it.
func FromClickHouse(r Row) Row {
	r = maps.Clone(r)
	for _, name := range []string{"ingested", "trace", "version"} {
		delete(r, name)
	}
	if list, ok := r["splt"].([]any); ok {
		pairs := make([]any, len(list))
		for i, p := range list {
			m, ok := p.(map[string]any)
			if !ok || len(m) != 2 {
				pairs[i] = p
				continue
			}
			pairs[i] = []any{m["length"], m["delta"]}
		}
		r["splt"] = pairs
	}
	return normal(r)
}

// normal drops what was not observed, parses numbers and gives times one form.
// score and margin are always there.
func normal(r Row) Row {
	out := Row{}
	for name, v := range r {
		switch v = simplify(v); name {
		case "tls", "quic": // NDJSON leaves out what is false or 0, the table can not
			v = nonzero(v)
		}
		if (name == "ts" || name == "ts_end") && v != nil {
			if t, err := time.Parse(time.RFC3339Nano, fmt.Sprint(v)); err == nil {
				v = t.UTC().Format(time.RFC3339Nano)
			}
		}
		if v != nil || name == "score" || name == "margin" {
			out[name] = v
		}
	}
	return out
}

// nonzero leaves out the members of an object that are false or 0.
func nonzero(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	maps.DeleteFunc(object, func(_ string, v any) bool { return v == false || v == 0.0 })
	if len(object) == 0 {
		return nil
	}
	return object
}

// simplify returns nil for empty strings, lists and objects; inside objects,
// members that are so are left out.
func simplify(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil {
			return v.String()
		}
		return f
	case string:
		if v == "" {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = simplify(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			if m := simplify(member); m != nil {
				out[name] = m
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}

// Differences lists, by column, the flows whose values differ, at most three of
// each, and the flows that only one side has. Rows are identified by flow_id.
func Differences(want, got []Row) []string {
	byID := func(rows []Row, side string, out *[]string) map[string]Row {
		m := map[string]Row{}
		for _, r := range rows {
			id := fmt.Sprint(r["flow_id"])
			if _, twice := m[id]; twice {
				*out = append(*out, fmt.Sprintf("flow %s is there twice in %s", id, side))
			}
			m[id] = r
		}
		return m
	}
	var out []string
	w, g := byID(want, "want", &out), byID(got, "got", &out)
	columns := map[string][]string{}
	for _, id := range slices.Sorted(maps.Keys(w)) {
		other, ok := g[id]
		if !ok {
			out = append(out, fmt.Sprintf("flow %s is missing", id))
			continue
		}
		names := maps.Clone(w[id])
		maps.Copy(names, other)
		for name := range names {
			a, b := text(w[id], name), text(other, name)
			if a != b {
				columns[name] = append(columns[name], fmt.Sprintf("flow %s: want %s, got %s", id, a, b))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g)) {
		if _, ok := w[id]; !ok {
			out = append(out, fmt.Sprintf("flow %s is not wanted", id))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		list := columns[name]
		out = append(out, fmt.Sprintf("column %s differs in %d rows: %s", name, len(list), strings.Join(list[:min(3, len(list))], "; ")))
	}
	return out
}

func text(r Row, name string) string {
	v, ok := r[name]
	if !ok {
		return "nothing"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
