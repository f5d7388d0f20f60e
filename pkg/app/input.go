package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"trench/pkg/pcap"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// input is one capture to read.
type input struct {
	path  string // as shown in rows
	inDir bool   // found in a directory, so it may turn out to be no capture
	size  int64  // bytes, 0 when not known
}

// Fault is a path that could not be read, or not to its end.
type Fault struct {
	Path string
	Err  error
}

// expand lists the captures behind the paths, directories in lexical order.
func expand(paths []string) (inputs []input, faults []Fault) {
	for _, p := range paths {
		if p == Stdin {
			inputs = append(inputs, input{path: p})
			continue
		}
		info, err := os.Stat(p)
		switch {
		case err != nil:
			faults = append(faults, Fault{p, err})
		case !info.IsDir():
			inputs = append(inputs, input{path: p, size: size(info)})
		default:
			err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					faults = append(faults, Fault{path, err})
					return nil
				}
				info, err := os.Stat(path) // follows links to files
				if err == nil && info.Mode().IsRegular() {
					inputs = append(inputs, input{path: path, inDir: true, size: info.Size()})
				}
				return nil
			})
			if err != nil {
				faults = append(faults, Fault{p, err})
			}
		}
	}
	return inputs, faults
}

func size(info fs.FileInfo) int64 {
	if info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}

// open starts reading a capture. The bytes of the file are added to read.
func open(path string, stdin io.Reader, read *atomic.Int64) (*pcap.Reader, func(), error) {
	src := stdin
	closeFile := func() {}
	if path != Stdin {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		src, closeFile = f, func() { _ = f.Close() } // only read from
	}
	r, err := pcap.NewReader(&countingReader{src, read}, path)
	if err != nil {
		closeFile()
		return nil, nil, err
	}
	return r, func() { r.Close(); closeFile() }, nil
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// skippable reports whether err means that a file found in a directory is no
// capture, which is no fault.
func (in *input) skippable(err error) bool { return in.inDir && errors.Is(err, pcap.ErrFormat) }

// String describes the fault.
func (f Fault) String() string {
	var at *pcap.Error
	var path *fs.PathError
	if errors.As(f.Err, &at) || errors.As(f.Err, &path) {
		return f.Err.Error() // names the path itself
	}
	return fmt.Sprintf("%s: %v", f.Path, f.Err)
}
