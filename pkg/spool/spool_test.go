package spool_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"trench/pkg/bus"
	"trench/pkg/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is a small spool in a folder of its own.
func config(t testing.TB) spool.Config {
	c := spool.DefaultConfig()
	c.Dir, c.SegmentBytes, c.MaxBytes = t.TempDir(), 4<<10, 1<<20
	return c
}

func open(t testing.TB, c spool.Config) *spool.Spool {
	t.Helper()
	s, err := spool.Open(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// record makes record number i; about 600 bytes.
func record(i int) bus.Record {
	value := bytes.Repeat([]byte{byte(i)}, 500)
	binary.LittleEndian.PutUint64(value, uint64(i))
	return bus.Record{Topic: "t", Key: fmt.Appendf(nil, "%d", i), Value: value, Headers: []bus.Header{{Key: "h", Value: []byte{1}}}}
}

func records(from, to int) (out []bus.Record) {
	for i := from; i < to; i++ {
		out = append(out, record(i))
	}
	return out
}

func number(r *bus.Record) int { return int(binary.LittleEndian.Uint64(r.Value)) }

func add(t testing.TB, s *spool.Spool, from, to int) {
	t.Helper()
	if n, err := s.Append(records(from, to)); err != nil || n != to-from {
		t.Fatalf("%d of %d appended, err = %v", n, to-from, err)
	}
}

// all reads and acknowledges everything and returns the numbers.
func all(t testing.TB, s *spool.Spool) (got []int) {
	t.Helper()
	for {
		batch, err := s.Next(nil, 7, 2<<10)
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) == 0 {
			return got
		}
		for i := range batch {
			n := number(&batch[i])
			if d := cmp.Diff(record(n), batch[i]); d != "" {
				t.Fatalf("record %d (-want +got):\n%s", n, d)
			}
			got = append(got, n)
		}
		if err := s.Ack(); err != nil {
			t.Fatal(err)
		}
	}
}

func ints(from, to int) (out []int) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func segments(t testing.TB, c spool.Config) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(c.Dir, "*.spool"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func same(t testing.TB, got, want []int) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

func TestRecordsComeBackInOrderAndTheirSegmentsGo(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := open(t, c)
	defer s.Close()
	add(t, s, 0, 100)
	if n := len(segments(t, c)); n < 10 {
		t.Errorf("%d segments", n)
	}
	if st := s.Stats(); st.Records != 100 || st.Segments != len(segments(t, c)) || st.Bytes < 50_000 {
		t.Errorf("stats %+v", st)
	}
	same(t, all(t, s), ints(0, 100))
	add(t, s, 100, 103)
	same(t, all(t, s), ints(100, 103))
	if n := len(segments(t, c)); n != 0 || !s.Empty() {
		t.Errorf("%d segments are left, empty %v", n, s.Empty())
	}
	if st := s.Stats(); st.Bytes != 0 || st.Records != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestWhatIsNotAcknowledgedComesAgainAfterACrash(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := open(t, c)
	add(t, s, 0, 30)
	if _, err := s.Next(nil, 11, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Next(nil, 9, 1<<20); err != nil || len(got) == 0 {
		t.Fatal(len(got), err)
	}
	s.Abandon()
	s = open(t, c)
	add(t, s, 30, 40)
	got := all(t, s)
	same(t, got, ints(got[0], 40))
	if got[0] > 11 || got[0] == 0 {
		t.Errorf("the first is %d", got[0])
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// The numbers go on when the folder is empty, so that the cursor stays right.
	s = open(t, c)
	defer s.Close()
	add(t, s, 40, 45)
	same(t, all(t, s), ints(40, 45))
}

func TestReleasedRecordsComeAgain(t *testing.T) {
	t.Parallel()
	s := open(t, config(t))
	defer s.Close()
	add(t, s, 0, 30)
	for range 3 {
		if got, err := s.Next(nil, 5, 1<<20); err != nil || len(got) == 0 {
			t.Fatal(len(got), err)
		}
	}
	s.Release()
	same(t, all(t, s), ints(0, 30))
}

func TestATornEndIsCutOff(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := open(t, c)
	add(t, s, 0, 5)
	s.Abandon()
	path := segments(t, c)[0]
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	defer s.Close()
	if st := s.Stats(); st.Records != 4 || st.Torn < 500 || st.Damaged != 0 {
		t.Errorf("stats %+v", st)
	}
	add(t, s, 4, 9)
	same(t, all(t, s), ints(0, 9))
}

func TestASegmentWithoutRecordsIsRemoved(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]int64{"nothing": 0, "half a header": 9, "a header": 20, "half a frame": 33} {
		for _, full := range []int{0, 2} { // segments before it
			t.Run(fmt.Sprint(name, " after ", full), func(t *testing.T) {
				t.Parallel()
				c := config(t)
				s := open(t, c)
				n := 0
				for len(segments(t, c)) <= full {
					add(t, s, n, n+1)
					n++
				}
				s.Abandon()
				if err := os.Truncate(segments(t, c)[full], keep); err != nil {
					t.Fatal(err)
				}
				s = open(t, c)
				defer s.Close()
				if got := len(segments(t, c)); got != full || s.Empty() != (full == 0) {
					t.Errorf("%d segments, want %d", got, full)
				}
				add(t, s, n-1, n+30)
				s.Abandon()
				s = open(t, c)
				same(t, all(t, s), ints(0, n+30))
				if st := s.Stats(); st.Damaged != 0 {
					t.Errorf("%d records damaged", st.Damaged)
				}
			})
		}
	}
}

func TestDamageCostsTheRecordsItHits(t *testing.T) {
	t.Parallel()
	for name, hit := range map[string]struct {
		at   int64 // in the first segment
		b    []byte
		want int // the record lost; -1 none
	}{
		"segment header":  {3, []byte{0xff}, -1},
		"first marker":    {20, []byte{0xff}, 0},
		"first checksum":  {24, []byte{0xff}, 0},
		"a large length":  {28, []byte{0, 0, 1, 0}, 0},
		"a huge length":   {28, []byte{0xff, 0xff, 0xff, 0xff}, 0},
		"first number":    {32, []byte{9}, 0},
		"first payload":   {60, []byte{0xee}, 0},
		"over two frames": {20 + 300, bytes.Repeat([]byte{0xab, 0x6f, 0x6f, 0x6c}, 75), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			s := open(t, c)
			add(t, s, 0, 20)
			s.Abandon()
			f, err := os.OpenFile(segments(t, c)[0], os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(hit.b, hit.at); err != nil {
				t.Fatal(err)
			}
			s = open(t, c)
			defer s.Close()
			got := all(t, s)
			damaged := int(s.Stats().Damaged)
			switch {
			case hit.want < 0:
				same(t, got, ints(0, 20))
			case name == "over two frames":
				same(t, got, ints(2, 20))
			default:
				same(t, got, ints(hit.want+1, 20))
			}
			if damaged != 20-len(got) || !s.Empty() {
				t.Errorf("%d damaged of %d missing, empty %v", damaged, 20-len(got), s.Empty())
			}
		})
	}
}

func TestASegmentThatSomebodyDeletedIsNoFault(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := open(t, c)
	add(t, s, 0, 40)
	s.Abandon()
	paths := segments(t, c)
	if err := os.Remove(paths[2]); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	defer s.Close()
	got := all(t, s)
	if len(got) >= 40 || len(got) < 25 || got[0] != 0 || got[len(got)-1] != 39 {
		t.Errorf("got %v", got)
	}
}

func TestAFullSpoolDropsItsOldestSegments(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.MaxBytes = 16 << 10
	s := open(t, c)
	defer s.Close()
	const n = 100
	for i := range n {
		add(t, s, i, i+1)
		if st := s.Stats(); st.Bytes > c.MaxBytes {
			t.Fatalf("%d bytes", st.Bytes)
		}
	}
	st := s.Stats()
	got := all(t, s)
	same(t, got, ints(n-len(got), n))
	if st.Full+uint64(len(got)) != n || st.Records != uint64(len(got)) || st.Full == 0 || st.DiskFull != 0 {
		t.Errorf("%d records and stats %+v", len(got), st)
	}
}

func TestWhatIsOutIsNotCountedAsDropped(t *testing.T) {
	t.Parallel()
	for _, release := range []bool{false, true} {
		c := config(t)
		c.MaxBytes = 16 << 10
		s := open(t, c)
		add(t, s, 0, 20)
		out, err := s.Next(nil, 5, 1<<20)
		if err != nil || len(out) != 5 {
			t.Fatal(len(out), err)
		}
		add(t, s, 20, 100)
		want := 5
		if release {
			s.Release()
			want = 0
		} else if err := s.Ack(); err != nil {
			t.Fatal(err)
		}
		got := all(t, s)
		same(t, got, ints(100-len(got), 100))
		if st := s.Stats(); int(st.Full)+len(got)+want != 100 || !s.Empty() {
			t.Errorf("release %v: %d dropped, %d left, %d were out", release, st.Full, len(got), want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestASpoolThatWaitsDropsNothing(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.MaxBytes, c.Full = 16<<10, spool.Wait
	s := open(t, c)
	defer s.Close()
	n, err := s.Append(records(0, 100))
	if !errors.Is(err, spool.ErrFull) || errors.Is(err, syscall.ENOSPC) || n < 15 || n > 40 {
		t.Fatalf("%d appended, err = %v", n, err)
	}
	same(t, all(t, s), ints(0, n))
	add(t, s, n, n+5)
	same(t, all(t, s), ints(n, n+5))
	if st := s.Stats(); st.Full != 0 {
		t.Errorf("%d dropped", st.Full)
	}
}

// disk allows so many bytes of segments, less those deleted.
type disk struct {
	c     spool.Config
	t     *testing.T
	bytes int64
}

func (d *disk) allow(n int) (int, error) {
	used := int64(0)
	for _, p := range segments(d.t, d.c) {
		info, err := os.Stat(p)
		if err != nil {
			d.t.Error(err)
			continue
		}
		used += info.Size()
	}
	if room := d.bytes - used; int64(n) > room {
		return int(max(0, room)), &os.PathError{Op: "write", Path: "segment", Err: syscall.ENOSPC}
	}
	return n, nil
}

func TestAFullDiskDropsTheOldestSegments(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := open(t, c)
	defer s.Close()
	d := &disk{c, t, 10_000}
	s.FailWrites(d.allow)
	for i := range 100 {
		add(t, s, i, i+1)
	}
	st := s.Stats()
	got := all(t, s)
	same(t, got, ints(100-len(got), 100))
	if int(st.DiskFull)+len(got) != 100 || st.Full != 0 || len(got) < 8 {
		t.Errorf("%d records and stats %+v", len(got), st)
	}
	d.bytes = 100
	if n, err := s.Append(records(100, 101)); n != 0 || !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, spool.ErrFull) {
		t.Errorf("%d appended, err = %v", n, err)
	}
	d.bytes = 10_000
	add(t, s, 101, 105)
	same(t, all(t, s), ints(101, 105))
}

func TestADiskThatFailsOnceDamagesNothing(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := open(t, c)
	fault := false
	s.FailWrites(func(n int) (int, error) {
		if fault {
			return n / 2, syscall.EIO
		}
		return n, nil
	})
	add(t, s, 0, 3)
	fault = true
	if n, err := s.Append(records(3, 4)); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Errorf("%d appended, err = %v", n, err)
	}
	fault = false
	add(t, s, 3, 8)
	s.Abandon()
	s = open(t, c)
	defer s.Close()
	same(t, all(t, s), ints(0, 8))
	if st := s.Stats(); st.Damaged != 0 || st.Torn != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestOneProcessUsesAFolder(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := open(t, c)
	if _, err := spool.Open(c, slog.New(slog.DiscardHandler)); !errors.Is(err, spool.ErrInUse) || !strings.Contains(err.Error(), c.Dir) {
		t.Errorf("err = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := open(t, c).Close(); err != nil {
		t.Error(err)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	c := config(t)
	foreign := map[string]string{
		"notes.txt": "x", "1.spool": "x", "00000000000000000009.spool.bak": "x",
		"00000000000000000007.spool": "this is no segment, though its name is one",
	}
	for name, text := range foreign {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(c.Dir, "00000000000000000011.spool"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, c)
	defer s.Close()
	add(t, s, 0, 50)
	same(t, all(t, s), ints(0, 50))
	for name, text := range foreign {
		if b, err := os.ReadFile(filepath.Join(c.Dir, name)); err != nil || string(b) != text {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestANewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	c := config(t)
	if err := os.WriteFile(filepath.Join(c.Dir, "00000000000000000000.spool"), spool.Header(2, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := spool.Open(c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "has version 2 of the format, this program reads version 1") {
		t.Errorf("err = %v", err)
	}
}

func TestABrokenCursorOnlySendsMoreAgain(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := open(t, c)
	add(t, s, 0, 4)
	if _, err := s.Next(nil, 2, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(); err != nil {
		t.Fatal(err)
	}
	s.Abandon()
	if err := os.WriteFile(filepath.Join(c.Dir, "cursor"), []byte("garbage that is long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	defer s.Close()
	same(t, all(t, s), ints(0, 4))
}

func TestLargeRecordsPassAndTooLargeOnesAreRefused(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.MaxBytes = 16 << 20
	s := open(t, c)
	defer s.Close()
	large := bus.Record{Topic: "t", Value: make([]byte, spool.MaxRecord-1)}
	if n, err := s.Append([]bus.Record{record(0), large, record(1)}); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	var got []bus.Record
	for !s.Empty() {
		var err error
		if got, err = s.Next(got, 10, 1000); err != nil {
			t.Fatal(err)
		}
		if err := s.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 3 || len(got[1].Value) != len(large.Value) || number(&got[2]) != 1 {
		t.Errorf("%d records", len(got))
	}
	large.Value = append(large.Value, 1)
	if n, err := s.Append([]bus.Record{record(0), large}); !errors.Is(err, spool.ErrTooLarge) || n != 1 {
		t.Errorf("%d appended, err = %v", n, err)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	if err := spool.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := spool.Config{SegmentBytes: 1, MaxBytes: 1, Sync: -1, Full: "x"}.Validate()
	for _, want := range []string{"segment_bytes: 1", "max_bytes: 1", "sync: -1ns", `full: "x"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}
