// Bench measures what capture and the stages after it cost. Every mode prints
// its tables, from one run:
//
//	(none)        CPU time of each stage on one core, as a ratio to the bare
//	              reader (pkg/internal/barereader)
//	-concurrency  CPU time a packet with 4 times as many flows open at a time
//	-workers      wall time of two workers on two cores against one
//	-memory       bytes of an open flow in the flow table
//	-flood        TLS connections in the middle of a flood of spoofed TCP SYNs
//	-length       peak memory of a long input against a short one
//	-bus          the services between a real Kafka and a real ClickHouse: flows a
//	              second of each stage and end to end, bytes on the topics, the codec
//	-all          all of them
//
// CPU time is that of the whole process, user and system, garbage collection
// included: the median of several rounds in which what is compared takes turns.
// Inputs are made from the corpus (make_bench.py there), once.
//
// Stages add up: "features" is reader, capture and features.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"trench/pkg/internal/bench/proc"
)

func main() {
	run := run
	if len(os.Args) == 2 && os.Args[1] == childArg {
		run = child
	}
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// input is a little-endian Ethernet pcap file with µs.
type input struct{ name, path string }

// bench is what the modes share.
type bench struct {
	out    io.Writer
	rounds int
	inputs []input
	flows  int // open flows of -memory
	tls    int // open TLS flows of -memory
	syns   int // of -flood
	short  int // MB of -length
	long   int // MB of -length

	busFlows   int    // flow records of each stage of -bus
	partitions int    // of each topic of -bus
	profile    string // folder for profiles of -bus
}

func run(args []string, out io.Writer) error {
	b := bench{out: out}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	file := fs.String("file", "", "little-endian Ethernet pcap file with µs to measure with, instead of made ones")
	sources := fs.String("source", "conformance,train", "captures that files are made from")
	packets := fs.Int("packets", 600_000, "packets of a made file")
	all := fs.Bool("all", false, "every mode")
	fs.IntVar(&b.rounds, "rounds", 7, "rounds that count; one more warms up")
	fs.IntVar(&b.flows, "open", 1_000_000, "open flows of -memory")
	fs.IntVar(&b.tls, "open-tls", 200_000, "open TLS flows of -memory")
	fs.IntVar(&b.syns, "syns", 5_000_000, "SYNs of -flood")
	fs.IntVar(&b.short, "short", 200, "MB of the short input of -length")
	fs.IntVar(&b.long, "long", 2000, "MB of the long input of -length")
	fs.IntVar(&b.busFlows, "bus-flows", 300_000, "flow records that each stage of -bus gets, at least")
	fs.IntVar(&b.partitions, "partitions", 6, "partitions of each topic of -bus")
	fs.StringVar(&b.profile, "profile", "", "`folder` for a CPU profile of each service of -bus")
	type mode struct {
		name, usage string
		do          func(*bench) error
		on          bool
	}
	modes := []mode{
		{"concurrency", "4 times the flows open at a time", (*bench).concurrency, false},
		{"workers", "two workers against one", (*bench).workers, false},
		{"memory", "bytes of an open flow", (*bench).memory, false},
		{"flood", "TLS in a flood of SYNs", (*bench).flood, false},
		{"length", "peak memory by length of the input", (*bench).length, false},
		{"bus", "the services between Kafka and ClickHouse", (*bench).bus, false},
	}
	for i := range modes {
		fs.BoolVar(&modes[i].on, modes[i].name, false, modes[i].usage)
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *file != "" {
		b.inputs = []input{{"file", *file}}
	} else {
		for _, s := range strings.Split(*sources, ",") {
			path, err := makeFile(s, *packets)
			if err != nil {
				return err
			}
			b.inputs = append(b.inputs, input{s, path})
		}
	}
	if *all || !slices.ContainsFunc(modes, func(m mode) bool { return m.on }) {
		modes = append([]mode{{"stages", "", (*bench).stages, true}}, modes...)
	}
	for _, m := range modes {
		if m.on || *all {
			if err := m.do(&b); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

// table prints rows, the first of which are headings, as Markdown with a title.
func (b *bench) table(title string, rows [][]string) error {
	line := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	rule := slices.Repeat([]string{"---:"}, len(rows[0]))
	out := "\n" + title + "\n\n" + line(rows[0]) + line(rule)
	for _, r := range rows[1:] {
		out += line(r)
	}
	_, err := io.WriteString(b.out, out)
	return err
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// rotate runs all of do in turns, and returns for each the median CPU and wall
// time.
func (b *bench) rotate(do ...func() error) (cpu, wall []time.Duration, err error) {
	cpus, walls := make([][]time.Duration, len(do)), make([][]time.Duration, len(do))
	for round := range b.rounds + 1 {
		for i, f := range do {
			collect()
			start := time.Now()
			spent, err := proc.Spend(f)
			if err != nil {
				return nil, nil, err
			}
			if round > 0 {
				cpus[i], walls[i] = append(cpus[i], spent), append(walls[i], time.Since(start))
			}
		}
	}
	for i := range do {
		cpu, wall = append(cpu, median(cpus[i])), append(wall, median(walls[i]))
	}
	return cpu, wall, nil
}

func perPacket(d time.Duration, packets uint64) string {
	return fmt.Sprintf("%.0f", float64(d.Nanoseconds())/float64(packets))
}

func millions(n uint64, d time.Duration) string {
	return fmt.Sprintf("%.2f M", float64(n)/d.Seconds()/1e6)
}

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", a.Seconds()/b.Seconds()) }
