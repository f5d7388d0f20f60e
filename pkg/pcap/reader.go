package pcap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// blockSize is read at once: little enough to stay in a core's second cache.
	blockSize = 1 << 17
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

	swap bool // numbers are big-endian
	classic
	ifaces   []iface // pcapng: of the section
	lost     uint64  // pcapng: packets that earlier sections say were lost
	skip     int64   // pcapng: bytes to come of a block that is left out
	lastTime int64
}

func (p *Reader) u16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if p.swap {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (p *Reader) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if p.swap {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (p *Reader) u64(b []byte) uint64 {
	v := binary.LittleEndian.Uint64(b)
	if p.swap {
		v = bits.ReverseBytes64(v)
	}
	return v
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
	number := binary.LittleEndian.Uint32(magic[:])
	switch {
	case n >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(bufio.NewReaderSize(whole, 1<<16))
		if err != nil {
			return nil, p.fail(0, explain("gzip", err))
		}
		return &compressed{"gzip", z}, nil
	case n == 4 && (number == 0xfd2fb528 || number&^15 == 0x184d2a50): // a frame, or one to be skipped
		z, err := zstd.NewReader(whole, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMemory))
		if err != nil {
			return nil, p.fail(0, explain("zstd", err))
		}
		p.closer = z.Close
		return &compressed{"zstd", z}, nil
	}
	return whole, nil
}

// compressed names the format in what goes wrong with it.
type compressed struct {
	format string
	r      io.Reader
}

func (c *compressed) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = explain(c.format, err)
	}
	return n, err
}

func explain(format string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s input is cut: %w", format, io.ErrUnexpectedEOF)
	}
	if strings.HasPrefix(err.Error(), format) {
		return err
	}
	return fmt.Errorf("%s: %w", format, err)
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
	for {
		if len(b.buf) == cap(b.buf) { // one record larger than the buffer
			b.buf = append(make([]byte, 0, 2*cap(b.buf)), b.buf...)
		}
		n, err := p.in.Read(b.buf[len(b.buf):cap(b.buf)])
		b.buf = b.buf[:len(b.buf)+n]
		used := int(min(p.skip, int64(len(b.buf))))
		p.skip -= int64(used)
		p.off += int64(used)
		taken, perr := p.parse(b.buf[used:], b)
		used += taken
		p.off += int64(taken)
		rest := b.buf[used:]
		switch {
		case perr != nil:
			p.err = perr
		case errors.Is(err, io.EOF) && p.skip > 0:
			p.err = p.fail(p.off, fmt.Errorf("cut: %d bytes of a block are missing: %w", p.skip, io.ErrUnexpectedEOF))
		case errors.Is(err, io.EOF) && len(rest) > 0:
			p.err = p.fail(p.off, fmt.Errorf("cut: %d bytes of an incomplete record: %w", len(rest), io.ErrUnexpectedEOF))
		case err != nil && !errors.Is(err, io.EOF):
			p.err = p.fail(p.off+int64(len(rest)), err)
		case err != nil:
			p.err = io.EOF
		}
		if len(b.Packets) > 0 {
			p.rest = append(p.rest, rest...)
			return nil
		}
		if p.err != nil {
			return p.err
		}
		b.buf = b.buf[:copy(b.buf, rest)]
	}
}
