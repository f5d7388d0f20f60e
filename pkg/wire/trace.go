package wire

import (
	"bytes"
	"math"
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
	hops, last := 0, int64(0)
	for rest := trace; len(rest) > 0; hops++ {
		var one hop
		var ok bool
		if one, rest, ok = cutHop(rest); !ok || hops == maxHops {
			trace, hops, last = nil, 0, 0
			break
		}
		last += one.step
	}
	if hops == maxHops {
		return bytes.Clone(trace)
	}
	out := append(make([]byte, 0, len(trace)+48), trace...)
	if hops > 0 {
		out = append(out, ' ')
	}
	out = append(append(out, h.Stage...), '=')
	if step := h.Micros - last; hops > 0 && step >= 0 {
		out = strconv.AppendInt(append(out, '+'), step, 10)
	} else {
		out = strconv.AppendInt(out, step, 10)
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
	var at int64
	for rest := trace; len(rest) > 0; {
		var one hop
		var ok bool
		if one, rest, ok = cutHop(rest); !ok || len(hops) == maxHops {
			return nil
		}
		at += one.step
		hops = append(hops, record.Hop{Stage: string(one.stage), Micros: at, Partition: one.partition, Offset: one.offset})
	}
	return hops
}

// hop is one word of a trace; the first one's step is from the Unix epoch.
type hop struct {
	stage        []byte
	step, offset int64
	partition    int
}

// cutHop reads the first word of a trace that is not empty.
func cutHop(trace []byte) (h hop, rest []byte, ok bool) {
	word, rest, more := bytes.Cut(trace, []byte{' '})
	if more && len(rest) == 0 {
		return h, nil, false
	}
	stage, at, ok := bytes.Cut(word, []byte{'='})
	if !ok || len(stage) == 0 {
		return h, nil, false
	}
	h = hop{stage: stage, partition: -1, offset: -1}
	at, place, read := bytes.Cut(at, []byte{','})
	if h.step, ok = number(at); !ok || !read {
		return h, rest, ok
	}
	partition, offset, _ := bytes.Cut(place, []byte{':'})
	p, ok := number(partition)
	if !ok || p < 0 || p > math.MaxInt32 {
		return h, nil, false
	}
	h.partition = int(p)
	h.offset, ok = number(offset)
	return h, rest, ok
}

func number(b []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}
