// Package export writes rows to files: NDJSON (one JSON object a line), CSV
// (lists and objects as JSON) and Parquet, all with the columns of pkg/record
// under the same names.
package export

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"trench/pkg/record"
)

// ErrUnknownFormat is wrapped by Create when a name says no known format.
var ErrUnknownFormat = errors.New("use .ndjson, .csv or .parquet")

// Writer takes rows. Write keeps nothing of the rows after it returns; Close
// completes the file.
type Writer interface {
	Write(rows []*record.Record) error
	Close() error
}

// Create opens a file whose ending says the format; "-" is NDJSON on stdout.
func Create(path string, stdout io.Writer) (Writer, error) {
	var open func(io.WriteCloser) Writer
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case path == "-":
		return newNDJSON(noClose{stdout}), nil
	case ext == ".ndjson" || ext == ".json" || ext == ".jsonl":
		open = func(f io.WriteCloser) Writer { return newNDJSON(f) }
	case ext == ".csv":
		open = func(f io.WriteCloser) Writer { return newCSV(f) }
	case ext == ".parquet":
		open = func(f io.WriteCloser) Writer { return newParquet(f) }
	case ext == ".html":
		return nil, fmt.Errorf("output %s: the HTML report is not part of this version; %w", path, ErrUnknownFormat)
	default:
		return nil, fmt.Errorf("output %s: unknown ending %q; %w", path, ext, ErrUnknownFormat)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	return open(f), nil
}

// Append opens an NDJSON file to go on at its end, as a sensor does that may be
// started again; "-" is stdout. Every Write reaches the file.
func Append(path string, stdout io.Writer) (Writer, error) {
	if path == "-" {
		return &appended{newNDJSON(noClose{stdout})}, nil
	}
	if ext := strings.ToLower(filepath.Ext(path)); ext != ".ndjson" && ext != ".json" && ext != ".jsonl" {
		return nil, fmt.Errorf("output %s: ending %q can not be appended to; use .ndjson", path, ext)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	return &appended{newNDJSON(f)}, nil
}

// appended is NDJSON that nobody closes for a long time.
type appended struct{ *ndjson }

func (w *appended) Write(rows []*record.Record) error {
	if err := w.ndjson.Write(rows); err != nil {
		return err
	}
	return w.buf.Flush()
}

type noClose struct{ io.Writer }

func (noClose) Close() error { return nil }

// text is what line formats share: a buffer in front of the file.
type text struct {
	buf  *bufio.Writer
	file io.Closer
	line []byte
}

func newText(f io.WriteCloser) text { return text{buf: bufio.NewWriterSize(f, 1<<18), file: f} }

// Close writes what is buffered and closes the file.
func (t *text) Close() error {
	if err := t.buf.Flush(); err != nil {
		_ = t.file.Close() // the write error says more
		return err
	}
	return t.file.Close()
}

type ndjson struct{ text }

func newNDJSON(f io.WriteCloser) *ndjson { return &ndjson{newText(f)} }

func (w *ndjson) Write(rows []*record.Record) error {
	for _, r := range rows {
		w.line = append(r.AppendJSON(w.line[:0]), '\n')
		if _, err := w.buf.Write(w.line); err != nil {
			return err
		}
	}
	return nil
}

type csvWriter struct {
	text
	value   []byte
	started bool
}

func newCSV(f io.WriteCloser) *csvWriter { return &csvWriter{text: newText(f)} }

func (w *csvWriter) Write(rows []*record.Record) error {
	w.line = w.line[:0]
	columns := record.Columns()
	w.header()
	for _, r := range rows {
		for i := range columns {
			if i > 0 {
				w.line = append(w.line, ',')
			}
			w.value = columns[i].AppendValue(w.value[:0], r)
			w.line = appendField(w.line, w.value)
		}
		w.line = append(w.line, '\r', '\n')
		if _, err := w.buf.Write(w.line); err != nil {
			return err
		}
		w.line = w.line[:0]
	}
	return nil
}

// header starts the file with the columns' names (RFC 4180).
func (w *csvWriter) header() {
	if w.started {
		return
	}
	w.started = true
	for i, c := range record.Columns() {
		if i > 0 {
			w.line = append(w.line, ',')
		}
		w.line = append(w.line, c.Name...)
	}
	w.line = append(w.line, '\r', '\n')
}

// Close writes the header even when there was no row.
func (w *csvWriter) Close() error {
	if !w.started {
		w.header()
		if _, err := w.buf.Write(w.line); err != nil {
			return err
		}
	}
	return w.text.Close()
}

// appendField turns a JSON value into a CSV field: strings lose their quotes,
// null becomes empty, everything else stays as it is.
func appendField(b, value []byte) []byte {
	switch {
	case len(value) == 0 || string(value) == "null":
		return b
	case value[0] == '"' && bytes.IndexByte(value, '\\') < 0:
		value = value[1 : len(value)-1]
	case value[0] == '"':
		var s string
		if err := json.Unmarshal(value, &s); err == nil {
			value = []byte(s)
		}
	}
	if !bytes.ContainsAny(value, ",\"\r\n") {
		return append(b, value...)
	}
	b = append(b, '"')
	for _, c := range value {
		if c == '"' {
			b = append(b, '"')
		}
		b = append(b, c)
	}
	return append(b, '"')
}
