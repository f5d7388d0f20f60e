// Package spool keeps records on disk that the bus can not take now, and gives
// them back in the order of writing: a bounded folder of segments.
//
//	Append ─► [ oldest segment | … | newest segment ] ─► Next ─► (the bus) ─► Ack: deleted when all of it is
//	                  └─ the first to go when folder or disk is full, counted
//
// Every record has a number, and a segment is named by that of its first record,
// in 20 digits. No name, and no order, depends on a clock. All numbers are little
// endian:
//
//	segment  "TRSPOOL" | version 1 (1 byte) | number (8) | CRC-32C of these 16 bytes (4) | frames
//	frame    marker ab 6f 6f 6c | CRC-32C of what follows (4) | length of the payload (4) | number (8) | payload
//	payload  topic | key | value | count of headers | name and value of each header
//
// where each part of a payload is a length as an uvarint and so many bytes.
//
// # What survives
//
// What Append wrote survives the end of the process, kill -9 included; what Sync
// forced to the disk, at every sealing and by its user at every interval, also that
// of the machine. A frame that was cut short at the end of the last segment is found by its
// checksum, cut off and counted. In the middle of a segment the next marker with a
// right checksum is where reading goes on, and the numbers say how many
// records are missing: Stats counts them, the log names file and offset.
//
// The file "cursor" holds the number after the last acknowledged record. It is written
// with every Ack and not forced to the disk: at worst, records are given back that
// were acknowledged before, which the caller must bear.
//
// The file "lock" keeps other processes out. Files with other names are left
// alone, and so are those that only look like segments.
package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"trench/pkg/bus"
)

// blockBytes is how much is written, or looked through, at once.
const blockBytes = 1 << 20

// Errors that callers tell apart.
var (
	// ErrFull is wrapped by the error of an Append that found no room. It wraps
	// syscall.ENOSPC too when the disk is what is full.
	ErrFull = errors.New("spool is full")
	// ErrTooLarge is wrapped by the error for a record that no spool can hold.
	ErrTooLarge = errors.New("record too large for the spool")
	// ErrInUse is wrapped by the error for a folder that another process uses.
	ErrInUse = errors.New("another process uses this folder")
)

// Stats says what a spool holds and what it lost since it was opened.
type Stats struct {
	Records  uint64        // not yet acknowledged
	Bytes    int64         // of all segments
	Segments int           // files
	Age      time.Duration // of the oldest segment

	Full     uint64 // records dropped because the folder was full
	DiskFull uint64 // records dropped because the disk was full
	Damaged  uint64 // records that could not be read any more
	Torn     int64  // bytes cut off from the last segment when it was opened
}

// file is a segment that is written.
type file interface {
	Write([]byte) (int, error)
	Truncate(int64) error
	Sync() error
	Close() error
}

// Spool is an open folder. Append and Sync are for one goroutine, Next, Ack and
// Release for one, which may be another; Stats and Empty are for any.
type Spool struct {
	cfg    Config
	log    *slog.Logger
	lock   *os.File
	mark   *os.File // the cursor
	create func(path string) (file, error)

	mu       sync.Mutex
	segments []*segment // in order; the last one is active if active is set
	active   file
	dirty    bool  // active was written since it was forced to the disk
	unsafe   error // why an earlier segment could not be
	buf      []byte
	next     uint64 // number of the record to be appended next
	acked    uint64 // all before it are acknowledged, or given up
	read     uint64 // number of the record to be read next
	heldEnd  uint64 // number after the last record that is out and not acknowledged
	floor    uint64 // number after the last record dropped
	orphans  uint64 // records that are out and whose segment was dropped
	reader   reader
	stats    Stats
}

// Open takes a folder, which it makes if it is not there. It looks through the
// last segment; others are trusted until they are read.
func Open(cfg Config, log *slog.Logger) (*Spool, error) {
	err := cfg.Validate()
	if cfg.Dir == "" {
		err = errors.Join(errors.New("dir: must not be empty"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{cfg: cfg, log: log, create: create}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("spool %s: %w", cfg.Dir, errors.Join(err, s.release()))
	}
	return s, nil
}

func create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

func (s *Spool) open() (err error) {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = lock(filepath.Join(s.cfg.Dir, "lock")); err != nil {
		return err
	}
	if s.mark, err = os.OpenFile(filepath.Join(s.cfg.Dir, "cursor"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if s.acked, err = readCursor(s.mark); err != nil {
		return err
	}
	s.next = s.acked
	entries, err := os.ReadDir(s.cfg.Dir) // by name, so by number
	if err != nil {
		return err
	}
	for _, e := range entries {
		first, ok := numberOf(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		seg, err := s.adopt(filepath.Join(s.cfg.Dir, e.Name()), first)
		if err != nil {
			return err
		}
		if seg != nil {
			s.segments = append(s.segments, seg)
		}
	}
	if err := s.measure(); err != nil {
		return err
	}
	for _, seg := range s.segments {
		s.stats.Bytes += seg.size
		s.next = max(s.next, seg.end)
	}
	if len(s.segments) > 0 {
		s.acked = max(s.acked, s.segments[0].first)
	}
	s.read = s.acked
	s.collect()
	// So that it has its place on a disk that becomes full.
	if err := s.writeCursor(); err != nil {
		s.log.Warn("cursor not written", "err", err)
	}
	return nil
}

// adopt looks at the beginning of a file with a segment's name; nil leaves it alone.
func (s *Spool) adopt(path string, first uint64) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var b [headerBytes]byte
	n, _ := f.ReadAt(b[:], 0) // what is missing shows below
	ver, number, ok := header(b[:n])
	switch {
	case ok && ver != version:
		return nil, fmt.Errorf("%s has version %d of the format, this program reads version %d", path, ver, version)
	case ok && number != first:
		s.leave(path, first)
		return nil, nil
	case !ok && info.Size() <= headerBytes: // its making was interrupted
		return nil, os.Remove(path)
	case !ok:
		in, err := inspect(path)
		if err != nil {
			return nil, err
		}
		if !in.plausible(first) {
			s.leave(path, first)
			return nil, nil
		}
		s.log.Warn("segment damaged", "file", path, "offset", 0)
	}
	// Only the age of what is found depends on the clock, and only for the metrics.
	age := max(0, time.Since(info.ModTime()))
	return &segment{path: path, first: first, size: info.Size(), born: time.Now().Add(-age)}, nil
}

// leave says that a file only looks like a segment, and keeps its name for it.
func (s *Spool) leave(path string, first uint64) {
	s.log.Warn("not a segment of this spool, left alone", "file", path)
	s.next = max(s.next, first+1)
}

// plausible reports whether a segment may begin with that number and hold those records.
func (in *inspection) plausible(first uint64) bool {
	return in.records > 0 && in.first >= first && in.last >= in.first && in.last-first <= uint64(in.good)/frameBytes
}

// measure finds the ends of the segments and cuts off the torn end of the last one.
func (s *Spool) measure() error {
	kept := s.segments[:0]
	for i, seg := range s.segments {
		last := i == len(s.segments)-1
		if !last {
			seg.end = s.segments[i+1].first
			if seg.end-seg.first <= uint64(seg.size)/frameBytes {
				kept = append(kept, seg)
				continue
			}
		}
		in, err := inspect(seg.path) // the last one, or segments after it are missing
		switch {
		case err != nil:
			return err
		case in.records == 0 && last:
			s.torn(seg, seg.size-headerBytes)
			if err := os.Remove(seg.path); err != nil {
				return err
			}
			continue
		case in.records == 0:
			seg.end = seg.first
		case !in.plausible(seg.first):
			s.leave(seg.path, seg.first)
			continue
		default:
			seg.end = in.last + 1
		}
		if last && in.good < seg.size {
			s.torn(seg, seg.size-in.good)
			if err := os.Truncate(seg.path, in.good); err != nil {
				return err
			}
			seg.size = in.good
		}
		kept = append(kept, seg)
	}
	s.segments = kept
	return nil
}

func (s *Spool) torn(seg *segment, n int64) {
	if n > 0 {
		s.stats.Torn += n
		s.log.Warn("end of segment cut off", "file", seg.path, "offset", seg.size-n, "bytes", n)
	}
}

// Close forces what was written to the disk and frees the folder.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.seal()
	s.reader.close()
	return errors.Join(err, s.release())
}

func (s *Spool) release() error {
	var err error
	for _, f := range []*os.File{s.mark, s.lock} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// Append writes records behind all others and returns how many are in the
// spool, less than all with an error only. To make room it drops the oldest segment, or
// returns an error that wraps ErrFull: with Config.Full Wait, and when there is
// nothing left to drop. Whether what was written will outlast the machine, Sync says.
func (s *Spool) Append(records []bus.Record) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(records) && err == nil {
		var k int
		k, err = s.appendSome(records[n:])
		n += k
	}
	if err != nil {
		return n, fmt.Errorf("spool %s: %w", s.cfg.Dir, err)
	}
	if s.cfg.Sync == 0 && s.dirty {
		s.unsafe, s.dirty = errors.Join(s.unsafe, s.active.Sync()), false
	}
	return n, nil
}

// appendSome writes as many records as go into one block and the active segment,
// and at least one.
func (s *Spool) appendSome(records []bus.Record) (int, error) {
	for {
		var size int64
		if s.active != nil {
			size = s.segments[len(s.segments)-1].size
		}
		buf, n := s.buf[:0], 0
		for n < len(records) && (n == 0 || len(buf) < blockBytes && size+int64(len(buf)) < s.cfg.SegmentBytes) {
			if err := check(&records[n]); err != nil {
				if n > 0 {
					break
				}
				return 0, err
			}
			buf = appendFrame(buf, s.next+uint64(n), &records[n])
			n++
		}
		s.buf = buf
		err := s.write(buf, n)
		full := errors.Is(err, ErrFull)
		noSpace := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
		switch {
		case err == nil:
			return n, nil
		case !full && !noSpace:
			return 0, err
		case s.cfg.Full == Wait || len(s.segments) == 0:
			if noSpace {
				err = fmt.Errorf("%w: %w", ErrFull, err)
			}
			return 0, err
		}
		s.dropOldest(noSpace)
	}
}

// write puts frames into the active segment.
func (s *Spool) write(b []byte, n int) error {
	need := int64(len(b))
	if s.active == nil {
		need += headerBytes
	}
	if s.stats.Bytes+need > s.cfg.MaxBytes {
		return fmt.Errorf("%w: %d of %d bytes are used", ErrFull, s.stats.Bytes, s.cfg.MaxBytes)
	}
	if s.active == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	seg := s.segments[len(s.segments)-1]
	if _, err := s.active.Write(b); err != nil {
		// What was written of it must not stand before what follows.
		if cut := s.active.Truncate(seg.size); cut != nil {
			err = errors.Join(err, cut, s.seal())
		}
		if seg.end == seg.first {
			s.forget(len(s.segments) - 1)
		}
		return err
	}
	s.dirty = true
	seg.size += int64(len(b))
	s.stats.Bytes += int64(len(b))
	seg.end += uint64(n)
	s.next = seg.end
	if seg.size >= s.cfg.SegmentBytes {
		s.unsafe = errors.Join(s.unsafe, s.seal()) // the records are there, but may not outlast the machine
	}
	return nil
}

// begin makes a new active segment.
func (s *Spool) begin() error {
	path := filepath.Join(s.cfg.Dir, segmentName(s.next))
	f, err := s.create(path)
	if err != nil {
		return err
	}
	if _, err = f.Write(appendHeader(nil, s.next)); err == nil {
		if err = f.Sync(); err == nil {
			err = syncDir(s.cfg.Dir)
		}
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	s.active, s.dirty = f, false
	s.segments = append(s.segments, &segment{path: path, first: s.next, end: s.next, size: headerBytes, born: time.Now()})
	s.stats.Bytes += headerBytes
	return nil
}

// seal ends the active segment.
func (s *Spool) seal() error {
	if s.active == nil {
		return nil
	}
	var err error
	if s.dirty {
		err = s.active.Sync()
	}
	err = errors.Join(err, s.active.Close())
	s.active, s.dirty = nil, false
	return err
}

// Sync forces what was appended to the disk. An error concerns what was appended
// since the last call.
func (s *Spool) Sync() error {
	s.mu.Lock()
	f, dirty, err := s.active, s.dirty, s.unsafe
	s.dirty, s.unsafe = false, nil
	s.mu.Unlock()
	if dirty {
		// Without the lock: reading goes on meanwhile. And it may close the file, when
		// all of it is acknowledged.
		if fault := f.Sync(); !errors.Is(fault, fs.ErrClosed) {
			err = errors.Join(err, fault)
		}
	}
	if err != nil {
		return fmt.Errorf("spool %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// dropOldest deletes the oldest segment and counts what nobody has read of it.
func (s *Spool) dropOldest(disk bool) {
	seg := s.segments[0]
	var lost uint64
	if from := max(seg.first, s.read); from < seg.end {
		lost = seg.end - from
	}
	if disk {
		s.stats.DiskFull += lost
	} else {
		s.stats.Full += lost
	}
	if from, to := max(seg.first, s.acked), min(seg.end, s.read); from < to {
		s.orphans += to - from
	}
	s.log.Warn("oldest segment dropped", "file", seg.path, "records", lost, "bytes", seg.size, "disk_full", disk)
	s.floor = max(s.floor, seg.end)
	s.read = max(s.read, seg.end)
	if s.heldEnd <= s.acked { // nothing is out
		s.acked = s.read
	}
	s.forget(0)
}

// forget deletes a segment.
func (s *Spool) forget(i int) {
	seg := s.segments[i]
	if s.active != nil && i == len(s.segments)-1 {
		_ = s.active.Close() // nothing in it is wanted any more
		s.active, s.dirty = nil, false
	}
	if s.reader.of == seg {
		s.reader.close()
	}
	if err := os.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("segment not deleted", "file", seg.path, "err", err)
	}
	s.stats.Bytes -= seg.size
	s.segments = slices.Delete(s.segments, i, i+1)
}

// collect deletes the segments that are acknowledged.
func (s *Spool) collect() {
	for len(s.segments) > 0 && s.segments[0].end <= s.acked {
		s.forget(0)
	}
}

// Empty reports whether everything is acknowledged or was given up.
func (s *Spool) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.segments) == 0 && s.heldEnd <= s.acked
}

// Stats returns what the spool holds and what it lost.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Segments = len(s.segments)
	for _, seg := range s.segments {
		if from := max(seg.first, s.acked); from < seg.end {
			out.Records += seg.end - from
		}
	}
	if len(s.segments) > 0 {
		out.Age = time.Since(s.segments[0].born)
	}
	return out
}

// readCursor returns the number in the cursor's file. A file that is not whole
// counts as 0: then more is given back than need be.
func readCursor(f *os.File) (uint64, error) {
	var b [cursorBytes]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	number := binary.LittleEndian.Uint64(b[:])
	if binary.LittleEndian.Uint32(b[8:]) != crc32.Checksum(b[:8], castagnoli) || number > math.MaxInt64 {
		return 0, nil
	}
	return number, nil
}

const cursorBytes = 12

func (s *Spool) writeCursor() error {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, cursorBytes), s.acked)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, err := s.mark.WriteAt(b, 0)
	return err
}
