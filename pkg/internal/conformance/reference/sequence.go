package reference

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"trench/pkg/record"
)

// spltLength is how many packets of a direction a row lists.
const spltLength = 50

// packet is one packet with payload.
type packet struct {
	length int // signed, positive from the client
	delta  int64
}

// splt joins the sequences of rows. The row does not hold the time from the end of
// one flow's sequence to the start of the next over TCP: that delta is -1.
func splt(rows []*record.Record, client netip.AddrPort, limit int) []packet {
	var out []packet
	var at int64
	for k, r := range rows {
		now := r.TS
		for i, p := range r.SPLT {
			now += int64(p.Delta*1e9 + .5)
			q := packet{int(p.Length), (now - at + 500) / 1000}
			switch {
			case len(out) == 0:
				q.delta = 0
			case i == 0 && k > 0 && r.Proto == "tcp":
				q.delta = -1
			}
			if EndsOf(r).Client != client {
				q.length = -q.length
			}
			at = now
			if out = append(out, q); len(out) == limit {
				return out
			}
		}
	}
	return out
}

func lengthList(list []packet) string {
	var b []string
	for _, p := range list {
		b = append(b, strconv.Itoa(p.length))
	}
	return strings.Join(b, " ")
}

func timeList(list []packet) string {
	var b []string
	for _, p := range list {
		b = append(b, strconv.FormatInt(p.delta, 10))
	}
	return strings.Join(b, " ")
}

// histogram counts in ipfixprobe's eight bins: below 16, 32, … 1024 bytes or
// milliseconds, and the rest.
func histogram(list []packet, forward, times bool) string {
	var bins [8]int
	elapsed, started := int64(0), false
	for _, p := range list {
		elapsed += p.delta
		if (p.length > 0) != forward {
			continue
		}
		n := max(p.length, -p.length)
		if times {
			n, elapsed = int(elapsed/1000), 0
			if !started {
				started = true
				continue
			}
		}
		bin := 0
		for bin < len(bins)-1 && n >= 16<<bin {
			bin++
		}
		bins[bin]++
	}
	return strings.Trim(fmt.Sprint(bins), "[]")
}

// burstsOf lists packets/bytes of the bursts of one direction that have ended.
func burstsOf(list []packet, forward bool) []string {
	var out []string
	n, bytes := 0, 0
	elapsed := int64(0)
	for _, p := range list {
		elapsed += p.delta
		if (p.length > 0) != forward {
			continue
		}
		if n > 0 && elapsed > burstGap.Microseconds() {
			if n >= burstPackets {
				out = append(out, fmt.Sprintf("%d/%d", n, bytes))
			}
			n, bytes = 0, 0
		}
		n, bytes, elapsed = n+1, bytes+max(p.length, -p.length), 0
	}
	return out
}
