package spool_test

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"trench/pkg/bus"
	"trench/pkg/spool"
)

// model is what a spool should hold: numbers, in order.
type model struct {
	s       *spool.Spool
	c       spool.Config
	waiting []int // appended and not given out
	out     []int
	made    int
	lost    uint64 // of earlier openings and this one
}

// dropped takes away what the spool says it dropped since the last call: the
// oldest that is not out.
func (m *model) dropped(t *rapid.T) {
	st := m.s.Stats()
	n := int(st.Full + st.Damaged - m.lost)
	if n > len(m.waiting) {
		t.Fatalf("%d dropped of %d", n, len(m.waiting))
	}
	m.waiting = m.waiting[n:]
	m.lost += uint64(n)
}

func (m *model) append(t *rapid.T) {
	n := rapid.IntRange(1, 12).Draw(t, "records")
	var batch []bus.Record
	for range n {
		r := bus.Record{Topic: "t", Value: make([]byte, rapid.IntRange(8, 1500).Draw(t, "bytes"))}
		binary.LittleEndian.PutUint64(r.Value, uint64(m.made))
		batch = append(batch, r)
		m.waiting = append(m.waiting, m.made)
		m.made++
	}
	k, err := m.s.Append(batch)
	if errors.Is(err, spool.ErrFull) && m.c.Full == spool.Wait {
		m.waiting = m.waiting[:len(m.waiting)-(n-k)]
		m.made -= n - k
	} else if err != nil || k != n {
		t.Fatal(k, err)
	}
	m.dropped(t)
}

func (m *model) next(t *rapid.T) {
	batch, err := m.s.Next(nil, rapid.IntRange(1, 20).Draw(t, "limit"), rapid.IntRange(1, 5000).Draw(t, "size"))
	if err != nil {
		t.Fatal(err)
	}
	if len(batch) == 0 && len(m.waiting) > 0 {
		t.Fatalf("nothing given out, %d wait", len(m.waiting))
	}
	for i := range batch {
		n := int(binary.LittleEndian.Uint64(batch[i].Value))
		if len(m.waiting) == 0 || n != m.waiting[0] {
			t.Fatalf("record %d, want the first of %v", n, m.waiting)
		}
		m.out, m.waiting = append(m.out, n), m.waiting[1:]
	}
}

func (m *model) ack(t *rapid.T) {
	if err := m.s.Ack(); err != nil {
		t.Fatal(err)
	}
	m.out = nil
}

func (m *model) release(t *rapid.T) {
	m.s.Release()
	m.waiting, m.out = append(m.out, m.waiting...), nil
	m.dropped(t)
}

// crash ends the process, after part of a frame reached the disk or not.
func (m *model) crash(t *rapid.T) {
	// What is out is given out again, unless its segment is gone: then nobody can
	// count it, so send it first.
	if m.c.Full == spool.DropOldest {
		m.release(t)
	}
	m.s.Abandon()
	m.waiting, m.out = append(m.out, m.waiting...), nil
	if paths, _ := filepath.Glob(filepath.Join(m.c.Dir, "*.spool")); len(paths) > 0 && rapid.Bool().Draw(t, "torn") {
		f, err := os.OpenFile(paths[len(paths)-1], os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte{0xab, 0x6f, 0x6f, 0x6c, 1, 2, 3, 4, 5, 0, 0, 0, 1}); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	m.open(t)
}

func (m *model) open(t *rapid.T) {
	var err error
	if m.s, err = spool.Open(m.c, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	m.lost = 0
	if got := m.s.Stats().Records; got != uint64(len(m.waiting)) {
		t.Fatalf("%d records after opening, want %d", got, len(m.waiting))
	}
}

func TestWhatIsNotCountedAsDroppedComesBackInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "spool")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := spool.DefaultConfig()
		c.Dir, c.SegmentBytes, c.MaxBytes = dir, 4<<10, int64(rapid.IntRange(9<<10, 60<<10).Draw(t, "max"))
		c.Full = rapid.SampledFrom([]string{spool.DropOldest, spool.Wait}).Draw(t, "full")
		m := &model{c: c}
		m.open(t)
		defer func() { m.s.Abandon() }()
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append, "next": m.next, "ack": m.ack, "release": m.release, "crash": m.crash,
			"": func(t *rapid.T) {
				if st := m.s.Stats(); st.Bytes > c.MaxBytes {
					t.Fatalf("%d bytes, the limit is %d", st.Bytes, c.MaxBytes)
				}
			},
		})
		m.release(t)
		for len(m.waiting) > 0 {
			m.next(t)
		}
		m.ack(t)
		if !m.s.Empty() {
			t.Error("not empty")
		}
	})
}
