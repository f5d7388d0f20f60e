package export

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"trench/pkg/labels"
	"trench/pkg/record"
)

// Vectors writes feature vectors for training: identity columns, the features
// as float32 with NaN for not observed, and the labels. The schema's
// description is in the file's key/value metadata under SchemaKey.
type Vectors struct {
	file  io.Closer
	out   *parquet.GenericWriter[any]
	index map[string]int // column name to leaf index
	at    []int          // leaf index by feature
	more  []string       // names of further columns
	row   parquet.Row
	group int // rows since the last flush
}

// SchemaKey is the metadata key of the feature schema.
const SchemaKey = "trench.schema"

// vectorRowGroup bounds what a file holds in memory: about 100 MB.
const vectorRowGroup = 1 << 14

// CreateVectors opens a file for vectors of the named features, and of more
// columns of text that Write is given in the same order.
func CreateVectors(path string, names []string, schema []byte, more ...string) (*Vectors, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	group := parquet.Group{}
	text, number := parquet.Encoded(parquet.String(), &parquet.RLEDictionary), parquet.Leaf(parquet.FloatType)
	for _, n := range slices.Concat(textColumns, more) {
		group[n] = text
	}
	for _, n := range []string{"part", "client_port", "server_port"} {
		group[n] = parquet.Uint(32)
	}
	for _, n := range []string{"ts", "ts_end"} {
		group[n] = parquet.Timestamp(parquet.Nanosecond)
	}
	for _, n := range names {
		group[n] = number
	}
	s := parquet.NewSchema("features", group)
	w := &Vectors{file: f, index: make(map[string]int), more: more}
	for i, path := range s.Columns() {
		w.index[path[0]] = i
	}
	for _, n := range names {
		w.at = append(w.at, w.index[n])
	}
	w.row = make(parquet.Row, len(w.index))
	w.out = parquet.NewGenericWriter[any](f, s, parquet.Compression(&parquet.Zstd), parquet.KeyValueMetadata(SchemaKey, string(schema)))
	return w, nil
}

var textColumns = []string{
	"source", "flow_id", "proto", "app_proto", "client_ip", "server_ip", "tls_version", "tls_sni", "ja3", "ja4",
	"label", "role", "family", "group", "source_repo", "capture", "split",
}

// Write adds one flow; more are its values of the further columns.
func (w *Vectors) Write(r *record.Record, l labels.Label, more ...string) error {
	if len(r.Vector) != len(w.at) {
		return fmt.Errorf("flow %s has %d features, the file %d", r.FlowID, len(r.Vector), len(w.at))
	}
	if len(more) != len(w.more) {
		return fmt.Errorf("flow %s has %d further columns, the file %d", r.FlowID, len(more), len(w.more))
	}
	for i, name := range w.more {
		w.set(name, parquet.ByteArrayValue([]byte(more[i])))
	}
	for name, v := range map[string]string{
		"source": r.Source, "flow_id": r.FlowID.String(), "proto": r.Proto, "app_proto": r.AppProto,
		"client_ip": r.ClientIP.String(), "server_ip": r.ServerIP.String(), "tls_version": r.TLSVersion, "tls_sni": r.TLSSNI,
		"ja3": r.JA3, "ja4": r.JA4, "label": l.Label, "role": l.Role, "family": l.Family, "group": l.Group,
		"source_repo": l.Repository, "capture": l.Capture, "split": l.Split,
	} {
		w.set(name, parquet.ByteArrayValue([]byte(v)))
	}
	w.set("part", parquet.Int32Value(int32(r.Part)))
	w.set("client_port", parquet.Int32Value(int32(r.ClientPort)))
	w.set("server_port", parquet.Int32Value(int32(r.ServerPort)))
	w.set("ts", parquet.Int64Value(r.TS))
	w.set("ts_end", parquet.Int64Value(r.TSEnd))
	for i, v := range r.Vector {
		w.row[w.at[i]] = parquet.FloatValue(v).Level(0, 0, w.at[i])
	}
	if _, err := w.out.WriteRows([]parquet.Row{w.row}); err != nil {
		return err
	}
	if w.group++; w.group == vectorRowGroup {
		w.group = 0
		return w.out.Flush()
	}
	return nil
}

func (w *Vectors) set(name string, v parquet.Value) {
	i := w.index[name]
	w.row[i] = v.Level(0, 0, i)
}

// Close completes the file.
func (w *Vectors) Close() error {
	if err := w.out.Close(); err != nil {
		_ = w.file.Close() // the write error says more
		return err
	}
	return w.file.Close()
}

// Rows reads back what Vectors wrote, a batch at a time.
type Rows struct {
	file   *os.File
	reader *parquet.GenericReader[any]
	index  map[string]int
	buf    []parquet.Row
	Schema string // of the features, as written
}

// OpenVectors opens a file of Vectors; features must be among its columns.
func OpenVectors(path string, features []string) (*Rows, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	pf, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := &Rows{file: f, reader: parquet.NewGenericReader[any](pf, pf.Schema()), index: make(map[string]int), buf: make([]parquet.Row, 64)}
	r.Schema, _ = pf.Lookup(SchemaKey)
	for i, c := range pf.Schema().Columns() {
		r.index[c[0]] = i
	}
	for _, n := range slices.Concat([]string{"label", "family", "capture"}, features) {
		if _, ok := r.index[n]; !ok {
			_ = f.Close()
			return nil, fmt.Errorf("%s: no column %q", path, n)
		}
	}
	return r, nil
}

// Each calls fn for every row: get returns a text column, or an integer one in
// decimal, and nothing for a column that the file lacks; vector is a row of the
// named features, valid until fn returns.
func (r *Rows) Each(names []string, fn func(get func(column string) string, vector []float32) error) error {
	vector := make([]float32, len(names))
	for {
		n, err := r.reader.ReadRows(r.buf)
		for _, row := range r.buf[:n] {
			for i, name := range names {
				vector[i] = float32(math.NaN())
				if c, ok := r.index[name]; ok {
					vector[i] = row[c].Float()
				}
			}
			get := func(column string) string {
				c, ok := r.index[column]
				if !ok {
					return ""
				}
				if v := row[c]; v.Kind() == parquet.Int64 {
					return strconv.FormatInt(v.Int64(), 10)
				}
				return string(row[c].ByteArray())
			}
			if err := fn(get, vector); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Close closes the file.
func (r *Rows) Close() error { return r.file.Close() }
