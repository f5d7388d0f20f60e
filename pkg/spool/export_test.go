package spool

import (
	"encoding/binary"
	"hash/crc32"

	"trench/pkg/bus"
)

// FailWrites makes every write of the spool ask allow first, with the number of bytes.
func (s *Spool) FailWrites(allow func(n int) (int, error)) {
	inner := s.create
	s.create = func(path string) (file, error) {
		f, err := inner(path)
		if err != nil {
			return nil, err
		}
		return &failing{f, allow}, nil
	}
}

type failing struct {
	file
	allow func(n int) (int, error)
}

// Write writes as much as is allowed, as a disk does that becomes full.
func (f *failing) Write(b []byte) (int, error) {
	n, fault := f.allow(len(b))
	if fault == nil {
		return f.file.Write(b)
	}
	n, err := f.file.Write(b[:n])
	if err == nil {
		err = fault
	}
	return n, err
}

// Abandon leaves the folder as the end of the process would.
func (s *Spool) Abandon() {
	if s.active != nil {
		s.active.Close()
	}
	s.reader.close()
	_ = s.release()
}

// Header returns a segment's header in a version of the format.
func Header(ver byte, first uint64) []byte {
	b := appendHeader(nil, first)
	b[len(magic)] = ver
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
	return append(b, 0)
}

// Segment returns a whole segment.
func Segment(first uint64, records ...bus.Record) []byte {
	b := appendHeader(nil, first)
	for i := range records {
		b = appendFrame(b, first+uint64(i), &records[i])
	}
	return b
}
