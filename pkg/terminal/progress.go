package terminal

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress shows how far a run has come: on a terminal as a bar that is drawn
// again and again, elsewhere as a line now and then.
type Progress struct {
	Out      io.Writer
	Terminal bool
	// Read returns bytes read, bytes in all (0: not known) and packets.
	Read func() (read, total int64, packets uint64)
}

const (
	drawEvery = 200 * time.Millisecond
	lineEvery = 10 * time.Second
	barWidth  = 30
)

// Run shows progress until ctx ends, and then clears the bar.
func (p *Progress) Run(ctx context.Context) {
	every := lineEvery
	if p.Terminal {
		every = drawEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	start, drawn := time.Now(), false
	for {
		select {
		case <-ctx.Done():
			if drawn {
				fmt.Fprint(p.Out, "\r\x1b[K")
			}
			return
		case now := <-tick.C:
			line := p.line(now.Sub(start))
			if p.Terminal {
				drawn = true
				fmt.Fprint(p.Out, "\r\x1b[K"+line)
			} else {
				fmt.Fprintln(p.Out, "progress: "+line)
			}
		}
	}
}

func (p *Progress) line(elapsed time.Duration) string {
	read, total, packets := p.Read()
	sec := max(elapsed.Seconds(), 1e-3)
	rate := fmt.Sprintf("%s/s  %s packets/s", Bytes(float64(read)/sec), Count(float64(packets)/sec))
	if total <= 0 || read <= 0 || read > total {
		return fmt.Sprintf("%s  %s", Bytes(float64(read)), rate)
	}
	done := float64(read) / float64(total)
	left := time.Duration(sec / done * (1 - done) * float64(time.Second)).Round(time.Second)
	text := fmt.Sprintf("%3.0f %%  %s of %s  %s  %s left", 100*done, Bytes(float64(read)), Bytes(float64(total)), rate, left)
	if !p.Terminal {
		return text
	}
	full := int(done * barWidth)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "] " + text
}

// Bytes writes a number of bytes with a decimal unit.
func Bytes(n float64) string { return scaled(n, "B", "kB", "MB", "GB", "TB") }

// Count writes a number with a decimal unit.
func Count(n float64) string { return strings.TrimSpace(scaled(n, "", "k", "M", "G", "T")) }

func scaled(n float64, units ...string) string {
	i := 0
	for n >= 999.5 && i < len(units)-1 {
		n /= 1000
		i++
	}
	if i == 0 || n >= 99.95 {
		return fmt.Sprintf("%.0f %s", n, units[i])
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}
