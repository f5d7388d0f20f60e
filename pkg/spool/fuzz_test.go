package spool_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"trench/pkg/spool"
)

// FuzzOpen reads a segment of any bytes: nothing but what it holds may come out of
// it, and the spool works on.
func FuzzOpen(f *testing.F) {
	c := config(f)
	s := open(f, c)
	add(f, s, 0, 3)
	s.Abandon()
	whole, err := os.ReadFile(segments(f, c)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, false)
	f.Add(whole[:len(whole)-5], true)
	f.Add(append(whole[:700:700], whole[600:]...), false)
	f.Fuzz(func(t *testing.T, segment []byte, follows bool) {
		c := config(t)
		if err := os.WriteFile(filepath.Join(c.Dir, "00000000000000000000.spool"), segment, 0o600); err != nil {
			t.Fatal(err)
		}
		if follows {
			if err := os.WriteFile(filepath.Join(c.Dir, "00000000000000000003.spool"), spool.Segment(3, record(3)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := spool.Open(c, slog.New(slog.DiscardHandler))
		if err != nil {
			return // another version
		}
		defer s.Close()
		held := s.Stats().Records
		if most := uint64(len(segment))/20 + 1; held > most {
			t.Fatalf("%d records in %d bytes", held, len(segment))
		}
		add(t, s, 4, 6)
		var got uint64
		last := 0
		for {
			batch, err := s.Next(nil, 2, 500)
			if err != nil {
				t.Fatal(err)
			}
			if len(batch) == 0 {
				break
			}
			got += uint64(len(batch))
			if v := batch[len(batch)-1].Value; len(v) >= 8 {
				last = number(&batch[len(batch)-1])
			}
			if err := s.Ack(); err != nil {
				t.Fatal(err)
			}
		}
		if st := s.Stats(); !s.Empty() || got+st.Damaged != held+2 || last != 5 {
			t.Errorf("%d records and %d damaged of %d, the last is %d, empty %v", got, st.Damaged, held+2, last, s.Empty())
		}
	})
}
