package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"trench/pkg/internal/lab/cell"
	"trench/pkg/internal/lab/client"
	"trench/pkg/internal/lab/origin"
	"trench/pkg/internal/lab/pki"
	"trench/pkg/internal/lab/plan"
	"trench/pkg/internal/lab/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := run
	if len(os.Args) > 1 && os.Args[1] == clientArg {
		run = asClient
	}
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

// clientArg is the first argument of this program as a client of its own:
// lab client STACK PLAN.
const clientArg = "client"

func asClient(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("%s takes STACK and PLAN", clientArg)
	}
	p, err := plan.Read(args[2])
	if err != nil {
		return err
	}
	return client.Run(ctx, args[1], p)
}

// options are the flags.
type options struct {
	output, cache  string
	only           string
	cells, beacons int
	parallel       int
	seed           uint64
	report         bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("lab", flag.ContinueOnError)
	fs.StringVar(&o.output, "o", "testdata/lab", "folder for rows.parquet and beacons.parquet")
	fs.StringVar(&o.cache, "cache", ".cache/lab", "folder for captures and what setup.sh installs")
	fs.StringVar(&o.only, "only", "", "names of stacks, with commas between")
	fs.IntVar(&o.cells, "cells", 36, "cells of each stack")
	fs.IntVar(&o.beacons, "beacons", 4, "cells of each kind of beacon of each stack")
	fs.IntVar(&o.parallel, "parallel", 12, "clients at a time")
	fs.Uint64Var(&o.seed, "seed", 1, "of the sample")
	fs.BoolVar(&o.report, "report", false, "run nothing: score the files of an earlier run with the built-in model")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if !o.report {
		if err := o.measure(ctx, out); err != nil {
			return err
		}
	}
	for _, file := range []string{"rows.parquet", "beacons.parquet"} {
		if err := report.Print(out, filepath.Join(o.output, file), columns); err != nil {
			return err
		}
	}
	return nil
}

// measure makes the two files.
func (o *options) measure(ctx context.Context, out io.Writer) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("namespaces and interfaces take root")
	}
	cache, err := filepath.Abs(o.cache)
	if err != nil {
		return err
	}
	l := &lab{cache: cache, captures: filepath.Join(cache, "captures"), log: out, python: filepath.Join(cache, "venv/bin/python")}
	if l.self, err = os.Executable(); err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	if l.tmp, err = os.MkdirTemp("", "trench-lab-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.tmp)) }()
	if l.logFile, err = os.Create(filepath.Join(cache, "lab.log")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.logFile.Close()) }()
	if err := errors.Join(l.unpack(ctx), l.project(ctx)); err != nil {
		return err
	}
	l.handler = origin.New(filepath.Join(l.tmp, "git"))
	if l.pki, err = pki.New(l.tmp, time.Now()); err != nil {
		return err
	}
	stacks, err := l.choose(strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' }))
	if err != nil {
		return err
	}
	do := make(map[*cell.Stack]*stack)
	var kinds []*cell.Stack
	for _, k := range stacks {
		do[&k.Stack], kinds = k, append(kinds, &k.Stack)
	}
	cells := cell.Sample(kinds, o.cells, o.beacons, o.seed)
	jobs := make([]*job, len(cells))
	for i, c := range cells {
		jobs[i] = &job{lab: l, Cell: c, do: do[c.Stack].run}
	}
	start := time.Now()
	fmt.Fprintf(out, "%d cells of %d stacks\n", len(cells), len(stacks))
	if err := l.run(ctx, jobs, o.parallel); err != nil {
		return err
	}
	fmt.Fprintf(out, "carried out in %.0f s\n", time.Since(start).Seconds())
	if err := os.MkdirAll(o.output, 0o755); err != nil {
		return err
	}
	for set, file := range map[string]string{cell.Benign: "rows.parquet", cell.Beacons: "beacons.parquet"} {
		file = filepath.Join(o.output, file)
		n, err := l.export(ctx, set, file, cells)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %d flows\n", file, n)
	}
	return nil
}

// choose returns the named stacks, all when none is named, without those whose
// programs are missing, and without servers that are missing.
func (l *lab) choose(only []string) ([]*stack, error) {
	missing := make(map[string]bool)
	for _, kind := range serverKinds {
		if err := have(l.needs(kind)); err != nil {
			missing[kind] = true
			fmt.Fprintf(l.log, "WARNING: server %s is left out: %v (see setup.sh)\n", kind, err)
		}
	}
	var out []*stack
	known := make(map[string]bool)
	for _, s := range l.stacks() {
		known[s.Name] = true
		if len(only) > 0 && !slices.Contains(only, s.Name) {
			continue
		}
		if err := have(s.needs); err != nil {
			fmt.Fprintf(l.log, "WARNING: stack %s is left out: %v (see setup.sh)\n", s.Name, err)
			continue
		}
		s.Servers = slices.DeleteFunc(slices.Clone(s.Servers), func(k string) bool { return missing[k] })
		if len(s.Servers) > 0 {
			out = append(out, s)
		}
	}
	for _, name := range only {
		if !known[name] {
			return nil, fmt.Errorf("unknown stack %q", name)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no stack is left")
	}
	return out, nil
}
