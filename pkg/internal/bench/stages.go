package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"trench/pkg/app"
	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/internal/barereader"
	"trench/pkg/model"
	"trench/pkg/pcap"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// stages prints what everything up to a stage costs.
func (b *bench) stages() error {
	runtime.GOMAXPROCS(1)
	bundle, err := model.Default(features.Default())
	if err != nil {
		return err
	}
	rows := [][]string{{"input", "up to", "CPU ms", "packets/s", "ns/packet", "MB/s", "flows/s", "× bare", "limit"}}
	for _, in := range b.inputs {
		flows := make([]uint64, 7)
		stage := func(i int, last app.Stage, bundle *model.Bundle, write bool) func() error {
			return func() (err error) {
				flows[i], err = analyze(in.path, 1, last, bundle, write)
				return err
			}
		}
		cpu, _, err := b.rotate(
			func() error { _, err := barereader.Read(in.path); return err },
			func() error { return readOnly(in.path) },
			stage(2, app.StageCapture, nil, false),
			stage(3, app.StageFeatures, nil, false),
			stage(4, app.StageFeatures, nil, true),
			stage(5, app.StageScoring, bundle, false),
			stage(6, app.StageScoring, bundle, true),
		)
		if err != nil {
			return err
		}
		bare, err := barereader.Read(in.path)
		if err != nil {
			return err
		}
		info, err := os.Stat(in.path)
		if err != nil {
			return err
		}
		for i, line := range []struct{ name, limit string }{
			{"bare reader (mmap)", ""}, {"reader", ""}, {"capture", "≤ 4"}, {"features", ""}, {"features, NDJSON", "≤ 7"}, {"scoring", ""}, {"scoring, NDJSON", "≤ 15"},
		} {
			rate := ""
			if flows[i] > 0 {
				rate = fmt.Sprintf("%.0f k", float64(flows[i])/cpu[i].Seconds()/1e3)
			}
			rows = append(rows, []string{in.name, line.name, fmt.Sprintf("%.1f", float64(cpu[i])/float64(time.Millisecond)), millions(bare.Packets, cpu[i]),
				perPacket(cpu[i], bare.Packets), fmt.Sprintf("%.0f", float64(info.Size())/cpu[i].Seconds()/1e6), rate, ratio(cpu[i], cpu[0]), line.limit})
		}
	}
	return b.table(fmt.Sprintf("stages: one core, CPU time, median of %d", b.rounds), rows)
}

func readOnly(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := pcap.NewReader(f, file)
	if err != nil {
		return err
	}
	defer r.Close()
	var b pcap.Block
	for err == nil {
		err = r.ReadBlock(&b)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func analyze(file string, workers int, last app.Stage, bundle *model.Bundle, write bool) (uint64, error) {
	a := &app.Analysis{Capture: app.DefaultConfig(), Features: features.DefaultConfig(), Workers: workers, Last: last, Scoring: scoring.Fixed(bundle, nil, nil),
		Rows: func([]*record.Record) error { return nil }}
	finish := func() error { return nil }
	if write {
		path := filepath.Join(os.TempDir(), fmt.Sprintf("trench-bench-%d.ndjson", os.Getpid()))
		out, err := export.Create(path, nil)
		if err != nil {
			return 0, err
		}
		defer os.Remove(path)
		a.Rows, finish = out.Write, out.Close
	}
	sum, err := a.Run(context.Background(), []string{file})
	if err = errors.Join(err, finish()); err != nil {
		return 0, err
	}
	if len(sum.Faults) > 0 {
		return 0, errors.New(sum.Faults[0].String())
	}
	return sum.Flows, nil
}

// workers prints what a second core brings.
func (b *bench) workers() error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	rows := [][]string{{"input", "workers", "wall ms", "CPU ms", "packets/s", "speed-up", "limit"}}
	for _, in := range b.inputs {
		with := func(n int) func() error {
			return func() error {
				runtime.GOMAXPROCS(n)
				_, err := analyze(in.path, n, app.StageCapture, nil, false)
				return err
			}
		}
		cpu, wall, err := b.rotate(with(1), with(2))
		if err != nil {
			return err
		}
		bare, err := barereader.Read(in.path)
		if err != nil {
			return err
		}
		for i, limit := range []string{"", "≥ 1.6"} {
			rows = append(rows, []string{in.name, fmt.Sprint(i + 1), fmt.Sprintf("%.1f", wall[i].Seconds()*1e3), fmt.Sprintf("%.1f", cpu[i].Seconds()*1e3),
				millions(bare.Packets, wall[i]), ratio(wall[0], wall[i]), limit})
		}
	}
	return b.table(fmt.Sprintf("workers: capture alone, a core each, median of %d", b.rounds), rows)
}

// concurrency prints what a packet costs when four times as many flows are open.
func (b *bench) concurrency() error {
	runtime.GOMAXPROCS(1)
	const times = 4
	rows := [][]string{{"input", "flows at a time", "packets", "bare ns/packet", "capture ns/packet", "ratio", "limit"}}
	for _, in := range b.inputs {
		wide, err := in.widened(times)
		if err != nil {
			return err
		}
		capture := func(path string) func() error {
			return func() error { _, err := analyze(path, 1, app.StageCapture, nil, false); return err }
		}
		bare := func(path string) func() error {
			return func() error { _, err := barereader.Read(path); return err }
		}
		cpu, _, err := b.rotate(bare(in.path), capture(in.path), bare(wide), capture(wide))
		if err != nil {
			return err
		}
		var packets [2]uint64
		for i, path := range []string{in.path, wide} {
			r, err := barereader.Read(path)
			if err != nil {
				return err
			}
			packets[i] = r.Packets
		}
		rows = append(rows, []string{in.name, "1 ×", fmt.Sprint(packets[0]), perPacket(cpu[0], packets[0]), perPacket(cpu[1], packets[0]), "1.00", ""})
		growth := (cpu[3].Seconds() / float64(packets[1])) / (cpu[1].Seconds() / float64(packets[0]))
		rows = append(rows, []string{in.name, fmt.Sprintf("%d ×", times), fmt.Sprint(packets[1]), perPacket(cpu[2], packets[1]), perPacket(cpu[3], packets[1]),
			fmt.Sprintf("%.2f", growth), "≤ 1.25"})
	}
	return b.table(fmt.Sprintf("concurrency: one core, CPU time, median of %d; each packet of the input %d times at the same time, addresses rewritten", b.rounds, times), rows)
}
