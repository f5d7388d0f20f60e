package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"

	"trench/pkg/app"
	"trench/pkg/features"
	"trench/pkg/flow"
	"trench/pkg/internal/bench/proc"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/model"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// childArg makes the command a child that analyses standard input and prints a
// report, so that peaks of memory are its own.
const childArg = "child"

// childJob is what the child is told in the environment.
const childJob = "TRENCH_BENCH_JOB"

// report is what a child says when it is done.
type report struct {
	Packets, Flows              uint64
	Evicted, EvictedHalf        uint64
	PeakRSS, PeakHeap, PeakLive uint64            // bytes; live is what garbage collections left
	Digests                     map[string]string // of flows that the victim has no part in
	Complete                    int               // of these
	CPU                         time.Duration
}

var victim = netip.MustParseAddrPort("198.51.100.7:443")

func child(_ []string, out io.Writer) error {
	runtime.GOMAXPROCS(1)
	r := report{Digests: make(map[string]string)}
	stop := make(chan struct{})
	done := make(chan [2]uint64)
	go func() { // ends when stop is closed
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
		var peak [2]uint64
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(sample)
			for i := range peak {
				peak[i] = max(peak[i], sample[i].Value.Uint64())
			}
			select {
			case <-stop:
				done <- peak
				return
			case <-tick.C:
			}
		}
	}()
	var (
		sum *app.Summary
		err error
	)
	switch job := os.Getenv(childJob); job {
	case "capture", "flood":
		c := &app.Capture{Config: app.DefaultConfig(), Workers: 1, Stdin: os.Stdin, Emit: func(_ int, f *flow.Flow) error {
			if job == "flood" {
				return r.add(f)
			}
			return nil
		}}
		sum, err = c.Run(context.Background(), []string{app.Stdin})
	default:
		var bundle *model.Bundle
		if bundle, err = model.Default(features.Default()); err != nil {
			return err
		}
		a := &app.Analysis{Capture: app.DefaultConfig(), Features: features.DefaultConfig(), Workers: 1, Last: app.StageScoring, Scoring: scoring.Fixed(bundle, nil, nil),
			Stdin: os.Stdin, Rows: func([]*record.Record) error { return nil }}
		sum, err = a.Run(context.Background(), []string{app.Stdin})
	}
	close(stop)
	peak := <-done
	r.PeakHeap, r.PeakLive = peak[0], peak[1]
	if err != nil {
		return err
	}
	if len(sum.Faults) > 0 {
		return errors.New(sum.Faults[0].String())
	}
	r.Packets, r.Flows, r.Evicted, r.EvictedHalf = sum.Packets, sum.Table.Flows, sum.Table.Evicted, sum.Table.EvictedHalfOpen
	if r.PeakRSS, err = proc.PeakRSS(os.Getpid()); err != nil {
		return err
	}
	if r.CPU, err = proc.Own(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(&r)
}

// add remembers what a flow looks like.
func (r *report) add(f *flow.Flow) error {
	if f.Client.Addr() == victim.Addr() || f.Server.Addr() == victim.Addr() {
		return nil
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	r.Digests[fmt.Sprintf("%x %d", f.ID, f.Part)] = fmt.Sprintf("%x", sha256.Sum256(b))
	if complete(f) {
		r.Complete++
	}
	return nil
}

// inChild runs a job in a child that reads what write writes.
func inChild(job string, write func(io.Writer) error) (*report, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, childArg)
	cmd.Env = append(os.Environ(), childJob+"="+job)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	werr := errors.Join(write(in), in.Close())
	var r report
	derr := json.NewDecoder(out).Decode(&r)
	if err := errors.Join(cmd.Wait(), werr, derr); err != nil {
		return nil, err
	}
	return &r, nil
}

func mib(n uint64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }

// length prints peaks of memory for a short and a long input.
func (b *bench) length() error {
	rows := [][]string{{"input", "stages", "MB", "packets", "flows", "peak RSS MiB", "peak heap MiB", "of it live", "RSS ratio"}}
	for _, in := range b.inputs {
		for _, job := range []string{"capture", "all"} {
			base := uint64(0)
			for _, size := range []int{b.short, b.long} {
				r, err := inChild(job, func(w io.Writer) error { return in.lengthen(w, size*1e6, b.short*1e6) })
				if err != nil {
					return err
				}
				if base == 0 {
					base = r.PeakRSS
				}
				rows = append(rows, []string{in.name, job, fmt.Sprint(size), fmt.Sprint(r.Packets), fmt.Sprint(r.Flows), mib(r.PeakRSS), mib(r.PeakHeap), mib(r.PeakLive),
					fmt.Sprintf("%.2f", float64(r.PeakRSS)/float64(base))})
			}
		}
	}
	return b.table("length: one core, the input again and again in time with other addresses, slow enough for time-outs to pass", rows)
}

// flood prints what a flood of SYNs does to TLS connections.
func (b *bench) flood() error {
	const wanted = 1000
	of, err := b.inputs[len(b.inputs)-1].connections(wanted)
	if err != nil {
		return err
	}
	rows := [][]string{{"flood", "packets", "flows", "evicted", "half open", "peak RSS MiB", "peak heap MiB", "CPU s", "TLS complete", "as without flood"}}
	var calm map[string]string
	for _, v := range []struct {
		name    string
		syns    int
		answers bool
	}{{"none", 0, false}, {"SYN", b.syns, false}, {"SYN, answered", b.syns, true}} {
		r, err := inChild("flood", func(w io.Writer) error { return flooded(w, of, v.syns, v.answers) })
		if err != nil {
			return err
		}
		if calm == nil {
			calm = r.Digests
		}
		same := 0
		for k, d := range calm {
			if r.Digests[k] == d {
				same++
			}
		}
		rows = append(rows, []string{v.name, fmt.Sprint(r.Packets), fmt.Sprint(r.Flows), fmt.Sprint(r.Evicted), fmt.Sprint(r.EvictedHalf),
			mib(r.PeakRSS), mib(r.PeakHeap), fmt.Sprintf("%.2f", r.CPU.Seconds()), fmt.Sprintf("%d of %d", r.Complete, wanted), fmt.Sprintf("%d of %d", same, len(calm))})
	}
	return b.table(fmt.Sprintf("flood: capture with default limits; %d SYNs from spoofed addresses over 50 s around %d real TLS connections", b.syns, wanted), rows)
}

// flooded writes a capture: connections that begin over 30 s, and a flood of 50 s
// around them. A last packet far later lets every flow end by its time-outs.
func flooded(w io.Writer, of []*connection, syns int, answers bool) error {
	const (
		start  = int64(1_700_000_000e6)
		length = int64(50e6)
		spread = int64(30e6)
	)
	type timed struct {
		at    int64
		frame []byte
	}
	var list []timed
	for i, c := range of {
		for k := range c.frames {
			list = append(list, timed{start + int64(i)*spread/int64(len(of)) + c.at[k], c.frames[k]})
		}
	}
	slices.SortStableFunc(list, func(a, b timed) int { return int(a.at - b.at) })
	out := bufio.NewWriterSize(w, 1<<18)
	head := pcapgen.Classic{Order: binary.LittleEndian, Link: 1}.File(nil)
	if _, err := out.Write(head); err != nil {
		return err
	}
	var h [recordHead]byte
	write := func(at int64, frame []byte) error {
		setMicros(h[:], at)
		binary.LittleEndian.PutUint32(h[8:], uint32(len(frame)))
		binary.LittleEndian.PutUint32(h[12:], uint32(len(frame)))
		_, err := out.Write(h[:])
		_, err2 := out.Write(frame)
		return errors.Join(err, err2)
	}
	source := netip.MustParseAddrPort("10.0.0.1:1024")
	syn := pcapgen.Ethernet(pcapgen.Segment{Src: source, Dst: victim, Flags: pcapgen.SYN}.IP())
	ack := pcapgen.Ethernet(pcapgen.Segment{Src: victim, Dst: source, Ack: 1, Flags: pcapgen.SYN | pcapgen.ACK}.IP())
	const src, dst, sport, dport, seq, ackno = 14 + 12, 14 + 16, 34, 36, 38, 42
	rnd := rand.New(rand.NewPCG(7, 7))
	next := 0
	for i := range syns {
		at := start + int64(i)*length/int64(syns)
		for ; next < len(list) && list[next].at <= at; next++ {
			if err := write(list[next].at, list[next].frame); err != nil {
				return err
			}
		}
		addr, port, number := rnd.Uint32()%0xdf000000+0x01000000, uint16(rnd.Uint32())|1, rnd.Uint32()
		binary.BigEndian.PutUint32(syn[src:], addr)
		binary.BigEndian.PutUint16(syn[sport:], port)
		binary.BigEndian.PutUint32(syn[seq:], number)
		if err := write(at, syn); err != nil {
			return err
		}
		if answers {
			binary.BigEndian.PutUint32(ack[dst:], addr)
			binary.BigEndian.PutUint16(ack[dport:], port)
			binary.BigEndian.PutUint32(ack[ackno:], number+1)
			if err := write(at, ack); err != nil {
				return err
			}
		}
	}
	for ; next < len(list); next++ {
		if err := write(list[next].at, list[next].frame); err != nil {
			return err
		}
	}
	if err := write(start+length+1000e6, pcapgen.Ethernet(pcapgen.UDP(source, victim, []byte("the end")))); err != nil {
		return err
	}
	return out.Flush()
}
