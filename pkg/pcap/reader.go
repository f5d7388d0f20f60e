package pcap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	blockSize = 1 << 20
	// maxRecord bounds one record. Frames of segmentation offload stay far below.
	maxRecord = 1 << 20
	// zstdMemory bounds the window of a compressed file.
	zstdMemory = 1 << 27
)

// ErrFormat is wrapped by errors about input that is no capture at all.
var ErrFormat = errors.New("not a pcap or pcapng file")

// Error says what is wrong with a capture and where.
type Error struct {
	Name   string // file as given
	Offset int64  // byte offset, in the decompressed data
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: offset %d: %v", e.Name, e.Offset, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Packet is one captured packet. Data aliases the Block that it came in.
type Packet struct {
	Time    int64 // ns since the Unix epoch
	Data    []byte
	WireLen uint32 // length on the wire, at least len(Data)
	Link    LinkType
}

// Block is a run of packets with the buffer that holds them.
type Block struct {
	Packets []Packet
	buf     []byte
}

// Reader reads one capture.
type Reader struct {
	name   string
	in     io.Reader
	closer func()
	parse  func(b []byte, out *Block) (consumed int, err error)
	rest   []byte // read, but not part of a delivered block
	off    int64  // of rest in the input
	err    error  // reported once the packets before it are delivered

	order    binary.ByteOrder
	nanos    bool // pcap: fraction is ns
	headLen  int  // pcap: bytes of a record header
	link     LinkType
	ifaces   []iface
	lastTime int64
}

// NewReader recognises format and compression of r. The error wraps ErrFormat
// when r holds no capture.
func NewReader(r io.Reader, name string) (*Reader, error) {
	p := &Reader{name: name, closer: func() {}}
	in, err := p.decompress(r)
	if err != nil {
		return nil, err
	}
	p.in = in
	var magic [4]byte
	n, err := io.ReadFull(in, magic[:])
	switch {
	case errors.Is(err, io.EOF) && n == 0:
		return nil, p.fail(0, fmt.Errorf("empty file: %w", ErrFormat))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, p.fail(0, fmt.Errorf("%d bytes only: %w", n, ErrFormat))
	case err != nil:
		return nil, p.fail(0, err)
	}
	p.rest = append(p.rest, magic[:]...)
	if binary.BigEndian.Uint32(magic[:]) == blockSection {
		p.parse = p.parseNG
		return p, nil
	}
	if err := p.startClassic(magic); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close releases what decompression holds. It does not close the input.
func (p *Reader) Close() { p.closer() }

func (p *Reader) fail(at int64, err error) error { return &Error{Name: p.name, Offset: at, Err: err} }

func (p *Reader) decompress(r io.Reader) (io.Reader, error) {
	var magic [4]byte
	n, err := io.ReadFull(r, magic[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, p.fail(0, err)
	}
	whole := io.MultiReader(bytes.NewReader(magic[:n]), r)
	switch {
	case n >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(bufio.NewReaderSize(whole, 1<<18))
		if err != nil {
			return nil, p.fail(0, fmt.Errorf("gzip: %w", err))
		}
		return z, nil
	case n == 4 && binary.LittleEndian.Uint32(magic[:]) == 0xfd2fb528:
		z, err := zstd.NewReader(whole, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMemory))
		if err != nil {
			return nil, p.fail(0, fmt.Errorf("zstd: %w", err))
		}
		p.closer = z.Close
		return z, nil
	}
	return whole, nil
}

// ReadBlock replaces the contents of b by the next packets, at least one. It
// returns io.EOF at the end. Any other error is an *Error; every packet before
// the fault has been delivered by then.
func (p *Reader) ReadBlock(b *Block) error {
	b.Packets = b.Packets[:0]
	if p.err != nil {
		return p.err
	}
	if cap(b.buf) < blockSize {
		b.buf = make([]byte, 0, blockSize)
	}
	b.buf = append(b.buf[:0], p.rest...)
	p.rest = p.rest[:0]
	for done := 0; ; {
		if len(b.buf) == cap(b.buf) { // one record larger than the buffer
			b.buf = append(make([]byte, 0, 2*cap(b.buf)), b.buf...)
		}
		n, err := p.in.Read(b.buf[len(b.buf):cap(b.buf)])
		b.buf = b.buf[:len(b.buf)+n]
		used, perr := p.parse(b.buf[done:], b)
		done += used
		p.off += int64(used)
		switch {
		case perr != nil:
			p.err = perr
		case errors.Is(err, io.EOF) && done < len(b.buf):
			p.err = p.fail(p.off, fmt.Errorf("cut: %d bytes of an incomplete record: %w", len(b.buf)-done, io.ErrUnexpectedEOF))
		case err != nil && !errors.Is(err, io.EOF):
			p.err = p.fail(p.off+int64(len(b.buf)-done), err)
		case err != nil:
			p.err = io.EOF
		}
		if p.err != nil || len(b.Packets) > 0 {
			p.rest = append(p.rest, b.buf[done:]...)
			if len(b.Packets) > 0 {
				return nil
			}
			return p.err
		}
	}
}
