package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"trench/pkg/app"
	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// calibrateFlags are the flags of model calibrate.
type calibrateFlags struct {
	reading
	model  string
	output string
}

func newModelCalibrateCommand() *cobra.Command {
	var f calibrateFlags
	cmd := &cobra.Command{
		Use:   "calibrate -o NEWDIR PATH…",
		Short: "Move a model's thresholds to a site's own benign traffic",
		Long: `Read days of a site's own benign traffic, captures or rows of trench features (.parquet), and write a
bundle whose thresholds keep their false-positive rates there. Nothing else of the bundle changes.

A host's flows of one day count as at most five. A threshold rises when more than its rate is
flagged by more than one host, falls only as far as the exact 95 % bound stays within its rate, and
stays as trained when there are too few flows for its rate (300 for 1 %, 3,000 for 0.1 %).`,
		Example: `  trench model calibrate -o site/ monday.pcap.zst tuesday.pcap.zst
  trench model calibrate --model bundle/ -o site/ week.parquet`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.model, "model", "", "model bundle `directory` (default: the built-in model)")
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "`directory` to write (required)")
	return cmd
}

func (f *calibrateFlags) run(ctx context.Context, paths []string, stdin io.Reader, stdout, stderr io.Writer) error {
	s, err := f.load()
	if err != nil {
		return err
	}
	if f.output == "" {
		return usage(errors.New("-o NEWDIR is missing"))
	}
	if err := model.Vacant(f.output); err != nil {
		return usage(err)
	}
	schema := s.Features.Schema()
	b, err := scoring.LoadModel(f.model, schema)
	if err != nil {
		return usage(err)
	}
	if b == nil {
		return usage(errors.New("--model: there is nothing to calibrate in none"))
	}
	var c scoring.Calibrator
	var captures []string
	left := 0
	for _, p := range paths {
		if filepath.Ext(p) != ".parquet" {
			captures = append(captures, p)
			continue
		}
		if err := scoreRows(p, b, schema, func(r scoredRow) error {
			if r.label == "malicious" || r.score.Verdict == record.Unscored {
				left++
				return nil
			}
			return c.Add(r.client, r.ts, r.score.Margin)
		}); err != nil {
			return err
		}
	}
	if len(captures) > 0 {
		n, err := f.read(ctx, s, b, &c, captures, stdin, stderr)
		if err != nil {
			return err
		}
		left += n
	}
	return f.write(&c, b, schema, left, stdout)
}

// read adds the flows of captures and returns how many have no score.
func (f *calibrateFlags) read(ctx context.Context, s stages, b *model.Bundle, c *scoring.Calibrator, paths []string, stdin io.Reader, stderr io.Writer) (left int, err error) {
	a := &app.Analysis{Workers: f.workers, Last: app.StageScoring, Stdin: stdin, Capture: s.Capture, Features: s.Features, Scoring: scoring.Fixed(b, nil, nil)}
	a.Rows = func(rows []*record.Record) error {
		for _, r := range rows {
			if r.Verdict == record.Unscored {
				left++
			} else if err := c.Add(r.ClientIP.String(), r.TS, r.Margin); err != nil {
				return err
			}
		}
		return nil
	}
	sum, err := withProgress(ctx, stderr, a.Progress, func(ctx context.Context) (*app.Summary, error) { return a.Run(ctx, paths) })
	return left, finish(sum, err, stderr)
}

// write calibrates, writes the bundle and prints what moved.
func (f *calibrateFlags) write(c *scoring.Calibrator, b *model.Bundle, schema *features.Schema, left int, stdout io.Writer) error {
	moved, site, err := c.Calibrate(b.ID(), b.Thresholds())
	if err != nil {
		return err
	}
	thresholds := make([]model.Threshold, len(moved))
	for i, m := range moved {
		thresholds[i] = m.After
	}
	var src fs.FS
	if f.model == "" {
		if src, err = model.DefaultFiles(); err != nil {
			return err
		}
	} else {
		src = os.DirFS(f.model)
	}
	calibrated, err := model.WriteCalibrated(f.output, src, schema, thresholds, site)
	if err != nil {
		return fmt.Errorf("%s: %w", cmp.Or(f.model, "built-in model"), err)
	}
	if _, err := fmt.Fprintf(stdout, "%d flows of %d hosts from %s to %s count as %d; left out %d without a score\n\n", site.Flows, site.Hosts,
		site.First.Format("2006-01-02 15:04"), site.Last.Format("2006-01-02 15:04"), site.Counted, left); err != nil {
		return err
	}
	if err := scoring.PrintMoved(stdout, moved); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "\n%s: %s\n", f.output, calibrated.ID())
	return err
}
