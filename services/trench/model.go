package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

func newModelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "model",
		Short:   "Check, show, evaluate and calibrate model bundles",
		Example: "  trench model check bundle/",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newModelCheckCommand(), newModelShowCommand(), newModelEvalCommand(), newModelCalibrateCommand())
	return cmd
}

func newModelCheckCommand() *cobra.Command {
	return newBundleCommand(&cobra.Command{
		Use:     "check DIR",
		Short:   "Verify everything about a bundle, as the services do before they serve it",
		Example: "  trench model check bundle/",
	}, func(out io.Writer, dir string, b *model.Bundle) error {
		_, err := fmt.Fprintf(out, "%s: %s is good: %d trees, %d features\n", dir, b.ID(), b.Trees(), len(b.Features()))
		return err
	})
}

func newModelShowCommand() *cobra.Command {
	return newBundleCommand(&cobra.Command{
		Use:     "show DIR",
		Short:   "Print the model card (DIR default is the built-in model)",
		Example: "  trench model show default",
	}, func(out io.Writer, _ string, b *model.Bundle) error {
		if _, err := fmt.Fprint(out, b.Card()); err != nil {
			return err
		}
		return showSite(out, b)
	})
}

// showSite says of a calibrated bundle where its thresholds come from; the card is of the model as trained.
func showSite(out io.Writer, b *model.Bundle) error {
	site, ok := b.Site()
	if !ok {
		return nil
	}
	_, err := fmt.Fprintf(out, "\n## Thresholds of the site\n\n%s was calibrated on %d flows of %d hosts, from %s to %s, counted as %d. It is now %s:\n\n", site.Model,
		site.Flows, site.Hosts, site.First.Format(time.RFC3339), site.Last.Format(time.RFC3339), site.Counted, b.ID())
	for _, t := range b.Thresholds() {
		if err == nil {
			_, err = fmt.Fprintf(out, "- %s (%s): margin %.4g, %.4g as trained; %d false positives in %d flows certify %.2g. %s\n",
				t.Name, t.Verdict, t.Margin, site.Trained[t.Name], t.FalsePositives, t.N, t.Certified, t.Note)
		}
	}
	return err
}

// newBundleCommand makes cmd one that loads a bundle and prints what it is asked of it.
func newBundleCommand(cmd *cobra.Command, show func(out io.Writer, dir string, b *model.Bundle) error) *cobra.Command {
	var l loader
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b, _, err := l.load(args[0])
		if err != nil {
			return err
		}
		return show(cmd.OutOrStdout(), args[0], b)
	}
	l.register(cmd)
	return cmd
}

// loader loads bundles, which may be made for another profile than trench-v1.
type loader struct{ profile string }

func (l *loader) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.profile, "profile", features.SchemaName, "`schema` of the vectors that the model was trained on")
}

// load loads a directory, or the built-in model for the word default.
func (l *loader) load(dir string) (*model.Bundle, *features.Schema, error) {
	schema, err := features.Profile(l.profile)
	if err != nil {
		return nil, nil, usage(fmt.Errorf("--profile: %w", err))
	}
	if dir == "default" {
		if _, err := os.Stat(dir); err != nil {
			b, err := model.Default(schema)
			return b, schema, err
		}
	}
	b, err := model.Load(os.DirFS(dir), schema)
	return b, schema, err
}

func newModelEvalCommand() *cobra.Command {
	var l loader
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval DIR ROWS.parquet",
		Short: "Score a labelled Parquet file written by trench features",
		Long: `Score a labelled Parquet file written by trench features, and print what the model's thresholds flag of it:
recall over all flows and averaged over families, false positives, ROC-AUC, by family and by source.
Intervals are exact (Clopper and Pearson, 95 %) and take flows as independent.`,
		Example: "  trench model eval bundle/ rows.parquet",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, schema, err := l.load(args[0])
			if err != nil {
				return err
			}
			var eval scoring.Evaluation
			err = scoreRows(args[1], b, schema, func(r scoredRow) error {
				if r.score.Verdict == record.Unscored {
					eval.Left++
				} else {
					eval.Add(r.label, r.family, r.source, r.score)
				}
				return nil
			})
			if err != nil {
				return err
			}
			report := eval.Report(b)
			if !asJSON {
				return report.Print(cmd.OutOrStdout())
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			return out.Encode(report)
		},
	}
	l.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
