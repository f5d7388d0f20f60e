// Bench measures what each stage costs on one core, as a ratio to the bare
// reader (pkg/internal/barereader) in the same run: CPU time of the whole
// process, user and system, garbage collection included, median of several
// rounds in which the bare reader and all stages take turns.
//
// Stages add up: "features" is reader, capture and features.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"trench/pkg/app"
	"trench/pkg/assemble"
	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/internal/barereader"
	"trench/pkg/internal/corpus"
	"trench/pkg/model"
	"trench/pkg/pcap"
	"trench/pkg/record"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// stage is one line of the table.
type stage struct {
	name  string
	limit float64 // times the bare reader, 0 for none
	do    func(file string) (flows uint64, err error)
}

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	file := fs.String("file", "", "little-endian Ethernet pcap file (default: made from the corpus)")
	rounds := fs.Int("rounds", 5, "rounds that count; one more warms up")
	packets := fs.Int("packets", 600_000, "packets of a made file")
	source := fs.String("source", "conformance", "captures a file is made from: conformance or train")
	if err := fs.Parse(args); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	if *file == "" {
		var err error
		if *file, err = makeFile(*source, *packets); err != nil {
			return err
		}
	}
	bundle, err := model.Default(features.Default())
	if err != nil {
		return err
	}
	stages := []stage{
		{"bare reader (mmap)", 0, func(f string) (uint64, error) { r, err := barereader.Read(f); return r.Flows, err }},
		{"reader", 0, readOnly},
		{"capture", 6, func(f string) (uint64, error) { return analyze(f, app.StageCapture, nil, false) }},
		{"features", 0, func(f string) (uint64, error) { return analyze(f, app.StageFeatures, nil, false) }},
		{"scoring", 0, func(f string) (uint64, error) { return analyze(f, app.StageScoring, bundle, false) }},
		{"output (NDJSON)", 15, func(f string) (uint64, error) { return analyze(f, app.StageScoring, bundle, true) }},
	}
	cpu := make([][]time.Duration, len(stages))
	flows := make([]uint64, len(stages))
	for round := range *rounds + 1 {
		for i, s := range stages {
			runtime.GC()
			before := cpuTime()
			if flows[i], err = s.do(*file); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if round > 0 {
				cpu[i] = append(cpu[i], cpuTime()-before)
			}
		}
	}
	bare, err := barereader.Read(*file)
	if err != nil {
		return err
	}
	info, err := os.Stat(*file)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d packets, %.1f MB; one core, CPU time, median of %d\n\n", filepath.Base(*file), bare.Packets, float64(info.Size())/1e6, *rounds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "up to\tCPU ms\tpackets/s\tMB/s\tflows\tflows/s\t× bare\tlimit\t")
	base := median(cpu[0])
	for i, s := range stages {
		m := median(cpu[i])
		limit := ""
		if s.limit > 0 {
			limit = fmt.Sprintf("≤ %g", s.limit)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.2f M\t%.0f\t%d\t%.0f k\t%.2f\t%s\t\n", s.name, m.Seconds()*1e3, float64(bare.Packets)/m.Seconds()/1e6,
			float64(info.Size())/m.Seconds()/1e6, flows[i], float64(flows[i])/m.Seconds()/1e3, m.Seconds()/base.Seconds(), limit)
	}
	return w.Flush()
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot happen for this process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func readOnly(file string) (uint64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r, err := pcap.NewReader(f, file)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	var b pcap.Block
	for err == nil {
		err = r.ReadBlock(&b)
	}
	if !errors.Is(err, io.EOF) {
		return 0, err
	}
	return 0, nil
}

func analyze(file string, last app.Stage, bundle *model.Bundle, write bool) (uint64, error) {
	a := &app.Analysis{Capture: assemble.DefaultConfig(), Features: features.DefaultConfig(), Workers: 1, Last: last, Bundle: bundle,
		Rows: func([]*record.Record) error { return nil }}
	if write {
		path := filepath.Join(os.TempDir(), "trench-bench.ndjson")
		out, err := export.Create(path, nil)
		if err != nil {
			return 0, err
		}
		defer os.Remove(path)
		a.Rows = out.Write
		sum, err := a.Run(context.Background(), []string{file})
		return sum.Flows, errors.Join(err, out.Close())
	}
	sum, err := a.Run(context.Background(), []string{file})
	return sum.Flows, err
}

// makeFile makes a capture of any size from small real ones, once.
func makeFile(source string, packets int) (string, error) {
	shared, err := corpus.Find()
	if err != nil {
		return "", fmt.Errorf("the benchmark captures are made from the corpus: %w", err)
	}
	dir, err := corpus.Unpack()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(cache, "trench", fmt.Sprintf("bench-%s-%d.pcap", source, packets))
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	folders := []string{"protocol-tests"}
	if source == "train" {
		folders = []string{"benign", "malware", "mixed"}
	}
	args := []string{filepath.Join(shared, "make_bench.py"), "-o", out + ".part", "--packets", fmt.Sprint(packets)}
	for _, f := range folders {
		err := filepath.WalkDir(filepath.Join(dir, f), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				args = append(args, path)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	cmd := exec.Command("python3", args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("make_bench.py: %w", err)
	}
	return out, os.Rename(out+".part", out)
}
