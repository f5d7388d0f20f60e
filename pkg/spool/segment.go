package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"trench/pkg/bus"
)

const (
	suffix       = ".spool"
	digits       = 20 // of the number in a name, so that names sort as numbers do
	magic        = "TRSPOOL"
	version      = 1
	headerBytes  = 20
	marker       = 0x6c6f6fab // not in what is likely to be in a record
	frameBytes   = 20         // before a frame's payload
	maxPayload   = MaxRecord + 16<<10
	markerBytes  = 4
	checksumFrom = 8 // of a frame: what comes before is the marker and the checksum itself
)

// MaxRecord is how many bytes a record may have.
const MaxRecord = 2 << 20

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is one file of records.
type segment struct {
	path  string
	first uint64 // number of its first record
	end   uint64 // number after its last
	size  int64  // bytes
	born  time.Time
}

func segmentName(first uint64) string { return fmt.Sprintf("%0*d%s", digits, first, suffix) }

// numberOf reads the number in a segment's name.
func numberOf(name string) (uint64, bool) {
	s, ok := strings.CutSuffix(name, suffix)
	if !ok || len(s) != digits {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && segmentName(n) == name
}

// appendHeader appends what a segment begins with.
func appendHeader(dst []byte, first uint64) []byte {
	from := len(dst)
	dst = append(append(dst, magic...), version)
	dst = binary.LittleEndian.AppendUint64(dst, first)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

// header reads what a segment begins with: ok says that it is whole.
func header(b []byte) (ver byte, first uint64, ok bool) {
	if len(b) < headerBytes || string(b[:len(magic)]) != magic ||
		binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli) {
		return 0, 0, false
	}
	return b[len(magic)], binary.LittleEndian.Uint64(b[8:]), true
}

// appendFrame appends a record with its number.
func appendFrame(dst []byte, number uint64, r *bus.Record) []byte {
	from := len(dst)
	dst = append(dst, make([]byte, frameBytes)...)
	dst = appendRecord(dst, r)
	f := dst[from:]
	binary.LittleEndian.PutUint32(f, marker)
	binary.LittleEndian.PutUint32(f[8:], uint32(len(f)-frameBytes))
	binary.LittleEndian.PutUint64(f[12:], number)
	binary.LittleEndian.PutUint32(f[4:], crc32.Checksum(f[checksumFrom:], castagnoli))
	return dst
}

// frame is one whole frame.
type frame struct {
	number  uint64
	payload []byte
	at      int // where in the bytes it begins
}

// nextFrame finds the first whole frame at or after from. Without one, at says
// from where to look again when more bytes are there; with final, none will be,
// and at is the end.
func nextFrame(b []byte, from int, final bool) (f frame, after int, ok bool) {
	for at := from; ; {
		rest := b[at:]
		if len(rest) < frameBytes {
			if final {
				return frame{at: len(b)}, len(b), false
			}
			return frame{at: at}, at, false
		}
		if binary.LittleEndian.Uint32(rest) == marker {
			n := int(binary.LittleEndian.Uint32(rest[8:]))
			switch {
			case n > maxPayload:
			case frameBytes+n > len(rest):
				if !final {
					return frame{at: at}, at, false
				}
			case crc32.Checksum(rest[checksumFrom:frameBytes+n], castagnoli) == binary.LittleEndian.Uint32(rest[4:]):
				return frame{number: binary.LittleEndian.Uint64(rest[12:]), payload: rest[frameBytes : frameBytes+n : frameBytes+n], at: at}, at + frameBytes + n, true
			}
		}
		// Damage: the next frame begins with the next marker.
		var mark [markerBytes]byte
		binary.LittleEndian.PutUint32(mark[:], marker)
		skip := bytes.Index(rest[1:], mark[:])
		if skip < 0 {
			skip = len(rest) - markerBytes // the marker may lack its last bytes
		}
		at += 1 + skip
	}
}

// inspection is what looking through a whole segment found.
type inspection struct {
	first, last uint64 // numbers of the first and last record
	records     int
	good        int64 // bytes up to the end of the last whole frame
}

// inspect looks through a segment.
func inspect(path string) (in inspection, err error) {
	f, err := os.Open(path)
	if err != nil {
		return in, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return in, err
	}
	in.good = min(info.Size(), headerBytes)
	at := in.good
	buf := make([]byte, blockBytes)
	for at < info.Size() {
		n := min(int64(len(buf)), info.Size()-at)
		final := at+n == info.Size()
		if _, err := f.ReadAt(buf[:n], at); err != nil {
			return in, err
		}
		pos := 0
		for {
			fr, after, ok := nextFrame(buf[:n], pos, final)
			pos = after
			if !ok {
				break
			}
			if in.records == 0 {
				in.first = fr.number
			}
			in.last, in.good = fr.number, at+int64(after)
			in.records++
		}
		at += int64(pos)
		if pos == 0 { // a frame is larger than the block
			buf = make([]byte, frameBytes+maxPayload)
		}
	}
	return in, nil
}

// syncDir makes what was created or removed in a folder last.
func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
