package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Recorder writes what passes to captures: classic pcap in ns with bare IP
// packets (LINKTYPE_RAW).
type Recorder struct {
	mu    sync.Mutex
	files map[string]*recording
	of    map[netip.Addr]*recording
}

type recording struct {
	file *os.File
	buf  *bufio.Writer
}

// Record opens a capture for every name that a server address has.
func Record(names map[netip.Addr]string) (*Recorder, error) {
	r := &Recorder{files: make(map[string]*recording), of: make(map[netip.Addr]*recording)}
	for addr, name := range names {
		if r.files[name] == nil {
			if err := r.open(name); err != nil {
				return nil, errors.Join(err, r.Close())
			}
		}
		r.of[addr] = r.files[name]
	}
	return r, nil
}

func (r *Recorder) open(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := &recording{f, bufio.NewWriterSize(f, 1<<18)}
	r.files[name] = w
	head := make([]byte, 24)
	binary.LittleEndian.PutUint32(head, 0xa1b23c4d) // ns
	binary.LittleEndian.PutUint16(head[4:], 2)
	binary.LittleEndian.PutUint16(head[6:], 4)
	binary.LittleEndian.PutUint32(head[16:], 1<<16)
	binary.LittleEndian.PutUint32(head[20:], 101) // LINKTYPE_RAW
	_, err = w.buf.Write(head)
	return err
}

// Tap writes one packet of a server. Its time is taken under the lock, so that
// a file is in order.
func (r *Recorder) Tap(server netip.Addr, p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.of[server]
	if w == nil {
		return nil
	}
	now, head := time.Now(), make([]byte, 16)
	binary.LittleEndian.PutUint32(head, uint32(now.Unix()))
	binary.LittleEndian.PutUint32(head[4:], uint32(now.Nanosecond()))
	binary.LittleEndian.PutUint32(head[8:], uint32(len(p)))
	binary.LittleEndian.PutUint32(head[12:], uint32(len(p)))
	if _, err := w.buf.Write(head); err != nil {
		return err
	}
	_, err := w.buf.Write(p)
	return err
}

// Close completes the captures.
func (r *Recorder) Close() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.files {
		err = errors.Join(err, w.buf.Flush(), w.file.Close())
	}
	return err
}
