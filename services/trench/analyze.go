package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"trench/pkg/app"
	"trench/pkg/config"
	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/filter"
	"trench/pkg/model"
	"trench/pkg/policy"
	"trench/pkg/record"
	"trench/pkg/scoring"
	"trench/pkg/service"
	"trench/pkg/terminal"
)

// analyzeFlags are the flags of analyze.
type analyzeFlags struct {
	reading
	outputs []string
	all     bool
	top     int
	model   string
	shadow  []string
	lists   []string
	only    string
	bytes   bool
}

// reading are the flags of every command that reads captures.
type reading struct {
	config     string
	workers    int
	filter     string
	dedup      time.Duration
	continuous bool
	profile    string
	foxio      bool
}

// dedupWindow is the window of --dedup without a value: copies from the ports of
// one switch come much closer together.
const dedupWindow = 10 * time.Millisecond

func (r *reading) register(cmd *cobra.Command) {
	cmd.Flags().IntVar(&r.workers, "workers", runtime.GOMAXPROCS(0), "goroutines that build flows")
	cmd.Flags().StringVar(&r.config, "config", "", "YAML `file` with limits and time-outs under the keys capture and features")
	cmd.Flags().StringVar(&r.filter, "filter", "", "take only packets that match an `expression` as of tcpdump, as in 'tcp port 443'")
	cmd.Flags().DurationVar(&r.dedup, "dedup", 0, "leave out copies of a packet that come within a `time` (10ms when none is given)")
	cmd.Flags().Lookup("dedup").NoOptDefVal = dedupWindow.String()
	cmd.Flags().BoolVar(&r.continuous, "continuous", false, "let flows go on from one file to the next")
	cmd.Flags().StringVar(&r.profile, "profile", "", "`schema` of the feature vectors: trench-v1, with +mt, +ht, +xs appended, or cisco2016 (default trench-v1)")
	cmd.Flags().BoolVar(&r.foxio, "accept-foxio-license", false, "compute JA4S, JA4X, JA4H, JA4T and JA4TS, which are under the FoxIO License 1.1: not for what is sold or hosted for others")
}

// stages is the configuration file of commands that read captures.
type stages struct {
	Capture  app.Config      `yaml:"capture"`
	Features features.Config `yaml:"features"`
}

// Validate reports every fault at once.
func (s *stages) Validate() error {
	return errors.Join(config.Section("capture", s.Capture.Validate()), config.Section("features", s.Features.Validate()))
}

// load returns the configuration of the stages, of file and flags.
func (r *reading) load() (stages, error) {
	if r.workers < 1 {
		return stages{}, usage(fmt.Errorf("--workers: %d is below 1", r.workers))
	}
	s := stages{Capture: app.DefaultConfig(), Features: features.DefaultConfig()}
	if err := config.Load(r.config, &s); err != nil {
		return stages{}, usage(err)
	}
	if r.filter != "" {
		if _, err := filter.Parse(r.filter); err != nil {
			return stages{}, usage(fmt.Errorf("--filter: %w", err))
		}
		s.Capture.Filter = r.filter
	}
	if r.dedup != 0 {
		s.Capture.Dedup.Window = r.dedup
		if err := s.Capture.Dedup.Validate(); err != nil {
			return stages{}, usage(fmt.Errorf("--dedup: %w", err))
		}
	}
	s.Capture.Continuous = s.Capture.Continuous || r.continuous
	if r.profile != "" {
		if _, err := features.Profile(r.profile); err != nil {
			return stages{}, usage(fmt.Errorf("--profile: %w", err))
		}
		s.Features.Profile = r.profile
	}
	s.Features.FoxIO = s.Features.FoxIO || r.foxio
	if err := s.Features.Open(); err != nil {
		return stages{}, usage(config.Section("features", err))
	}
	return s, nil
}

func newAnalyzeCommand() *cobra.Command {
	var f analyzeFlags
	cmd := &cobra.Command{
		Use:   "analyze PATH…",
		Short: "Read captures and show the flows worth a look, with reasons",
		Long: `Read pcap and pcapng files (plain, .gz or .zst), directories of them, or standard input (-),
and print the flows worth a look, most suspicious first, with reasons. -o writes every flow.

Results go to stdout, progress and the summary to stderr. The exit code is 3 when a path
could not be read to its end; everything else was processed then.`,
		Example: `  trench analyze capture.pcap
  trench analyze -o flows.ndjson -o flows.parquet captures/
  trench analyze --filter 'net 192.0.2.0/24 and not port 22' --dedup captures/
  tcpdump -w - | trench analyze -o - - | jq .tls_sni`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	cmd.Flags().StringArrayVarP(&f.outputs, "output", "o", nil, "write every flow to a `file` (.ndjson, .csv, .parquet; - is NDJSON on stdout); repeatable")
	cmd.Flags().BoolVar(&f.all, "all", false, "list every flow as it ends, not just those worth a look")
	cmd.Flags().IntVar(&f.top, "top", 20, "list at most this many flows")
	cmd.Flags().StringVar(&f.model, "model", "", "model bundle `directory`, or none (default: the built-in model)")
	cmd.Flags().StringArrayVar(&f.shadow, "shadow", nil, "`directory` of a bundle that scores too and never alerts; repeatable")
	cmd.Flags().StringArrayVar(&f.lists, "lists", nil, "YAML `file` of allow and deny entries, which overrule the model; repeatable")
	cmd.Flags().StringVar(&f.only, "only", "", "stop after a `stage`: capture or features")
	cmd.Flags().BoolVar(&f.bytes, "bytes", false, "fill byte_dist, the counts of payload byte values")
	return cmd
}

func (f *analyzeFlags) run(ctx context.Context, paths []string, stdin io.Reader, stdout, stderr io.Writer) error {
	s, err := f.load()
	if err != nil {
		return err
	}
	a := &app.Analysis{Workers: f.workers, Last: app.StageScoring, Stdin: stdin, Capture: s.Capture, Features: s.Features}
	a.Features.Bytes = a.Features.Bytes || f.bytes
	switch f.only {
	case "":
	case "capture":
		a.Last = app.StageCapture
	case "features":
		a.Last = app.StageFeatures
	default:
		return usage(fmt.Errorf("--only: %q is neither capture nor features", f.only))
	}
	if f.top < 0 {
		return usage(fmt.Errorf("--top: %d is below 0", f.top))
	}
	if a.Last == app.StageScoring {
		if a.Scoring, err = f.scoring(a.Features.Schema(), stderr); err != nil {
			return usage(err)
		}
	}
	out, err := openOutputs(f.outputs, stdout, export.Create)
	if err != nil {
		return err
	}
	table, stream := terminal.NewTable(f.top), terminal.NewStream(stdout)
	a.Rows = func(rows []*record.Record) error {
		if err := out.write(rows); err != nil {
			return err
		}
		if f.all && !out.stdout {
			return stream.Add(rows)
		}
		table.Add(rows)
		return nil
	}
	sum, err := withProgress(ctx, stderr, a.Progress, func(ctx context.Context) (*app.Summary, error) { return a.Run(ctx, paths) })
	if cerr := out.close(); err == nil {
		err = cerr
	}
	if !out.stdout && !f.all && err == nil {
		err = table.Print(stdout)
	}
	return finish(sum, err, stderr)
}

// scoring loads what the flags name, and says what of it has ended.
func (f *analyzeFlags) scoring(schema *features.Schema, stderr io.Writer) (*scoring.Source, error) {
	if len(f.shadow) > scoring.MaxShadows {
		return nil, fmt.Errorf("--shadow: %d models, the limit is %d", len(f.shadow), scoring.MaxShadows)
	}
	var shadows []*model.Bundle
	var errs []error
	bundle, err := scoring.LoadModel(f.model, schema)
	errs = append(errs, err)
	for _, dir := range f.shadow {
		b, err := scoring.LoadModel(dir, schema)
		shadows, errs = append(shadows, b), append(errs, err)
	}
	lists, err := policy.Load(f.lists)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	for _, c := range lists.Counts(time.Now()) {
		if c.Ended > 0 {
			fmt.Fprintf(stderr, "trench: %s: %d %s entries have ended, they are ignored\n", c.File, c.Ended, c.Effect)
		}
	}
	return scoring.Fixed(bundle, shadows, lists), nil
}

// outputs are the files of -o.
type outputs struct {
	files  []export.Writer
	paths  []string
	stdout bool // one of them is standard output
}

func openOutputs(paths []string, stdout io.Writer, open func(string, io.Writer) (export.Writer, error)) (*outputs, error) {
	o := &outputs{}
	for _, p := range paths {
		w, err := open(p, stdout)
		if err != nil {
			_ = o.close() // nothing was written yet
			if errors.Is(err, export.ErrUnknownFormat) {
				return nil, usage(err)
			}
			return nil, err
		}
		o.files, o.paths = append(o.files, w), append(o.paths, p)
		o.stdout = o.stdout || p == "-"
	}
	return o, nil
}

func (o *outputs) write(rows []*record.Record) error {
	for i, w := range o.files {
		if err := w.Write(rows); err != nil {
			return fmt.Errorf("output %s: %w", o.paths[i], err)
		}
	}
	return nil
}

func (o *outputs) close() error {
	var errs []error
	for i, w := range o.files {
		if err := w.Close(); err != nil {
			errs = append(errs, fmt.Errorf("output %s: %w", o.paths[i], err))
		}
	}
	return errors.Join(errs...)
}

// withProgress shows progress on stderr while do runs.
func withProgress(ctx context.Context, stderr io.Writer, read func() (int64, int64, uint64), do func(context.Context) (*app.Summary, error)) (*app.Summary, error) {
	file, ok := stderr.(*os.File)
	p := terminal.Progress{Out: stderr, Terminal: ok && term.IsTerminal(int(file.Fd())), Read: read}
	shown, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		p.Run(shown)
	}()
	sum, err := do(ctx)
	stop()
	<-done
	return sum, err
}

// finish prints the summary and turns what went wrong into the exit code.
func finish(s *app.Summary, err error, stderr io.Writer) error {
	for _, f := range s.Faults {
		fmt.Fprintf(stderr, "trench: %s\n", f)
	}
	if s.Lost > 0 {
		fmt.Fprintf(stderr, "trench: %d packets were lost before they were written, as the captures say\n", s.Lost)
	}
	for _, l := range s.Links() {
		fmt.Fprintf(stderr, "trench: %d packets refused: link type %s is not supported\n", s.RefusedLinks[l], l)
	}
	fmt.Fprintf(stderr, "%s packets, %s in %d files: %d flows, %d TLS, %d QUIC, %d DTLS; %d malicious, %d suspicious; %s\n",
		terminal.Count(float64(s.Packets)), terminal.Bytes(float64(s.Bytes)), s.Files, s.Flows, s.TLS, s.QUIC, s.DTLS,
		s.Malicious, s.Suspicious, s.Elapsed.Round(time.Millisecond))
	if s.Allowed > 0 || s.Denied > 0 {
		fmt.Fprintf(stderr, "lists decided: %d flows allowed, %d denied\n", s.Allowed, s.Denied)
	}
	fmt.Fprintln(stderr, s.Line())
	switch {
	case err != nil:
		return &exitError{service.ExitFailed, err}
	case len(s.Faults) > 0:
		return &exitError{code: service.ExitInput}
	}
	return nil
}
