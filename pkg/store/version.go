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
	// As one row has no texts that repeat, a dictionary for each would only cost time.
	return summer{append(contents(text[row]), vectorContents()...), crc32.MakeTable(crc32.Castagnoli)}
}

// setVersions gives rows their versions.
func (s summer) setVersions(rows []*row) {
	var written []byte
	for i, r := range rows {
		written = written[:0]
		for _, c := range s.columns {
			written = c.append(written, rows[i:i+1])
		}
		r.version = newVersion(r.Part, made(r.Record), crc32.Checksum(written, s.crc))
	}
}

// month counts the months since year 0 of the flow's first packet.
func (r *row) month() int {
	t := time.Unix(0, r.TS).UTC()
	return t.Year()*12 + int(t.Month())
}
