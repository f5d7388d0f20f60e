package store

import (
	"hash/crc32"
	"time"

	"trench/pkg/record"
)

// StageSink is the name of the hop that the sink itself adds to a trace, the only
// one that does not belong to the record.
const StageSink = "sink"

// version says which of several rows of one flow is shown: the one with the highest.
// It depends on the record alone, not on when or beside what it is inserted, so
// records show the same in whatever order and however often they arrive:
//
//	32 bits  part: a later report of the flow replaces an earlier one
//	64 bits  when the record was made, µs since the Unix epoch: what was scored again replaces what was scored before
//	32 bits  checksum of the content, should all that be equal
type version struct{ high, low uint64 }

func newVersion(part uint32, madeMicros int64, sum uint32) version {
	made := uint64(madeMicros)
	return version{high: uint64(part)<<32 | made>>32, low: made<<32 | uint64(sum)}
}

// made returns when the record was handed on by the last stage before the sink, 0 when it
// is not known.
func made(r *record.Record) int64 {
	for i := len(r.Trace) - 1; i >= 0; i-- {
		if r.Trace[i].Stage != StageSink {
			return max(r.Trace[i].Micros, 0)
		}
	}
	return 0
}

// summer makes checksums of what rows say: of their columns, one row at a time.
type summer struct {
	columns []column[row]
	crc     *crc32.Table
}

func newSummer() summer {
	return summer{append(contents(), vectorContents()...), crc32.MakeTable(crc32.Castagnoli)}
}

// sum returns the checksum of r and the memory it worked in.
func (s summer) sum(r *row, scratch []byte) (uint32, []byte) {
	scratch = scratch[:0]
	one := []*row{r}
	for _, c := range s.columns {
		scratch = c.append(scratch, one)
	}
	return crc32.Checksum(scratch, s.crc), scratch
}

// month counts the months since year 0 of the flow's first packet.
func (r *row) month() int {
	t := time.Unix(0, r.TS).UTC()
	return t.Year()*12 + int(t.Month())
}
