package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"trench/pkg/bus"
)

// reader is the place from which records are read.
type reader struct {
	decoder
	of     *segment // nil: none is open
	f      *os.File
	offset int64
}

func (r *reader) open(seg *segment) error {
	if r.of == seg {
		return nil
	}
	r.close()
	f, err := os.Open(seg.path)
	if err != nil {
		return err
	}
	r.of, r.f, r.offset = seg, f, headerBytes
	return nil
}

func (r *reader) close() {
	if r.f != nil {
		_ = r.f.Close() // only read from
	}
	r.of, r.f = nil, nil
}

// Next appends the oldest records that were not yet given out to dst: at most limit of
// them, which come from at most size bytes or are one. None means that
// there are no more now. What they hold is the caller's. They are out until
// Ack or Release; no segment of them is deleted before that but for want of room, and
// what is out is not counted as dropped then.
func (s *Spool) Next(dst []bus.Record, limit, size int) ([]bus.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		seg := s.unread()
		if seg == nil {
			return dst, nil
		}
		n := len(dst)
		var err error
		if dst, err = s.readSome(dst, seg, limit, size); err != nil {
			return dst, fmt.Errorf("spool %s: %w", s.cfg.Dir, err)
		}
		if len(dst) > n {
			s.heldEnd = s.read
			return dst, nil
		}
		if s.heldEnd <= s.acked { // nothing is out, and nothing here can be read
			s.acked = s.read
			s.collect()
		}
	}
}

// unread returns the segment of the record to be read next, nil if none is left.
func (s *Spool) unread() *segment {
	for _, seg := range s.segments {
		if seg.end > s.read {
			s.read = max(s.read, seg.first)
			return seg
		}
	}
	return nil
}

// readSome reads a block of a segment; s.read moves on, or a larger block is tried.
func (s *Spool) readSome(dst []bus.Record, seg *segment, limit, size int) ([]bus.Record, error) {
	err := s.reader.open(seg)
	r := &s.reader
	for err == nil {
		left := seg.size - r.offset
		n := min(int64(size), left)
		block := make([]byte, n)
		if _, err = r.f.ReadAt(block, r.offset); err != nil {
			break
		}
		pos := 0
		dst, pos = s.parse(dst, seg, block, n == left, limit)
		r.offset += int64(pos)
		if pos > 0 || n == left {
			if r.offset == seg.size {
				s.missing(seg, seg.end)
				r.close()
			}
			return dst, nil
		}
		size = frameBytes + maxPayload // a record is larger than the block
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) {
		s.log.Error("segment can not be read", "file", seg.path, "offset", r.offset, "err", err)
		s.missing(seg, seg.end)
		return dst, nil
	}
	return dst, err
}

// parse takes the records out of a block and returns how many bytes of it are done.
func (s *Spool) parse(dst []bus.Record, seg *segment, block []byte, final bool, limit int) ([]bus.Record, int) {
	d := &s.reader.decoder
	d.headers = make([]bus.Header, 0, 2*min(limit, len(block)/128+1))
	pos := 0
	for range limit {
		f, after, ok := nextFrame(block, pos, final)
		if f.at > pos {
			s.log.Error("segment damaged", "file", seg.path, "offset", s.reader.offset+int64(pos), "bytes", f.at-pos)
		}
		pos = after
		if !ok {
			break
		}
		if f.number < s.read || f.number >= seg.end {
			continue // acknowledged before, or not of this segment
		}
		s.missing(seg, f.number)
		s.read = f.number + 1
		var r bus.Record
		if err := d.record(f.payload, &r); err != nil {
			s.stats.Damaged++
			s.log.Error("segment damaged", "file", seg.path, "offset", s.reader.offset+int64(f.at), "err", err)
			continue
		}
		dst = append(dst, r)
	}
	d.headers = nil // they belong to the records
	return dst, pos
}

// missing counts the records before a number that were not found.
func (s *Spool) missing(seg *segment, until uint64) {
	if s.read < until {
		s.stats.Damaged += until - s.read
		s.log.Error("records missing in a damaged segment", "file", seg.path, "records", until-s.read)
		s.read = until
	}
}

// Ack acknowledges everything that Next gave out. An error only means that it may be
// given out again by the next process.
func (s *Spool) Ack() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked, s.orphans = s.read, 0
	s.collect()
	if err := s.writeCursor(); err != nil {
		return fmt.Errorf("spool %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// Release takes back what Next gave out since the last Ack: it will be given out
// again. What was dropped from disk meanwhile is counted as dropped now.
func (s *Spool) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Full += s.orphans
	s.orphans = 0
	s.acked = max(s.acked, s.floor)
	s.read, s.heldEnd = s.acked, s.acked
	s.reader.close()
}
