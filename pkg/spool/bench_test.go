package spool_test

import (
	"testing"
	"time"

	"trench/pkg/bus"
	"trench/pkg/spool"
)

// batch is what capture appends at once: 500 flows of about 1 KB.
func batch() []bus.Record {
	b := records(0, 500)
	for i := range b {
		b[i].Value = append(b[i].Value, make([]byte, 450)...)
	}
	return b
}

func rate(b *testing.B, n int) { b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s") }

func large(b *testing.B) spool.Config {
	c := spool.DefaultConfig()
	c.Dir, c.Sync = b.TempDir(), time.Hour
	return c
}

func BenchmarkAppend(b *testing.B) {
	s := open(b, large(b))
	defer s.Close()
	in := batch()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Append(in); err != nil {
			b.Fatal(err)
		}
	}
	rate(b, b.N*len(in))
}

func BenchmarkAppendAndReplay(b *testing.B) {
	s := open(b, large(b))
	defer s.Close()
	in := batch()
	b.ReportAllocs()
	n := 0
	var out []bus.Record
	for b.Loop() {
		if _, err := s.Append(in); err != nil {
			b.Fatal(err)
		}
		var err error
		if out, err = s.Next(out[:0], 2000, 2<<20); err != nil {
			b.Fatal(err)
		}
		n += len(out)
		if err := s.Ack(); err != nil {
			b.Fatal(err)
		}
	}
	rate(b, n)
}

func BenchmarkReplay(b *testing.B) {
	c := large(b)
	in := batch()
	var out []bus.Record
	b.ReportAllocs()
	n := 0
	var s *spool.Spool
	for b.Loop() {
		if s == nil || s.Empty() {
			b.StopTimer()
			if s == nil {
				s = open(b, c)
				defer s.Close()
			}
			for range 100 {
				if _, err := s.Append(in); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		var err error
		if out, err = s.Next(out[:0], 2000, 2<<20); err != nil {
			b.Fatal(err)
		}
		n += len(out)
		if err := s.Ack(); err != nil {
			b.Fatal(err)
		}
	}
	rate(b, n)
}
