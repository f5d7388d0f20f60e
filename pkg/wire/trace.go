package wire

import (
	"bytes"
	"strconv"

	"trench/pkg/record"
)

// HeaderTrace is the header that says where a record has been and when:
//
//	capture=1764003680123456 features=+5210,3:18822 scoring=+8833,0:1212
//
// Each hop is a stage, the time at which it handed the record on and, after a
// comma, the partition and offset that it had read it from. The first time is in
// microseconds since the Unix epoch, later ones in microseconds since the one before.
const HeaderTrace = "trench-trace"

// maxHops bounds a trace: a record that was replayed again and again keeps its
// first hops.
const maxHops = 16

// AppendHop returns trace, as a record carries it, with one more hop. The result
// shares no memory with trace. A trace that makes no sense is begun anew: it must
// not stop a record.
func AppendHop(trace []byte, h record.Hop) []byte {
	hops := ParseTrace(trace)
	if len(hops) == 0 {
		trace = nil
	}
	if len(hops) >= maxHops {
		return bytes.Clone(trace)
	}
	out := append(make([]byte, 0, len(trace)+64), trace...)
	if len(out) > 0 {
		out = append(out, ' ')
	}
	out = append(append(out, h.Stage...), '=')
	if n := len(hops); n > 0 {
		step := h.Micros - hops[n-1].Micros
		if step >= 0 {
			out = append(out, '+')
		}
		out = strconv.AppendInt(out, step, 10)
	} else {
		out = strconv.AppendInt(out, h.Micros, 10)
	}
	if h.Partition >= 0 {
		out = strconv.AppendInt(append(out, ','), int64(h.Partition), 10)
		out = strconv.AppendInt(append(out, ':'), h.Offset, 10)
	}
	return out
}

// ParseTrace reads the value of HeaderTrace; nil when it makes no sense.
func ParseTrace(trace []byte) []record.Hop {
	var hops []record.Hop
	for rest := trace; len(rest) > 0; {
		var word []byte
		word, rest, _ = bytes.Cut(rest, []byte{' '})
		stage, at, ok := bytes.Cut(word, []byte{'='})
		if !ok || len(stage) == 0 || len(hops) == maxHops {
			return nil
		}
		h := record.Hop{Stage: string(stage), Partition: -1, Offset: -1}
		at, place, read := bytes.Cut(at, []byte{','})
		var err error
		if h.Micros, err = strconv.ParseInt(string(at), 10, 64); err != nil {
			return nil
		}
		if n := len(hops); n > 0 {
			h.Micros += hops[n-1].Micros
		}
		if read {
			partition, offset, ok := bytes.Cut(place, []byte{':'})
			p, err := strconv.ParseInt(string(partition), 10, 32)
			if !ok || err != nil {
				return nil
			}
			if h.Offset, err = strconv.ParseInt(string(offset), 10, 64); err != nil {
				return nil
			}
			h.Partition = int(p)
		}
		hops = append(hops, h)
	}
	return hops
}
