package main

import (
	"fmt"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"

	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/scoring"
	"trench/pkg/service"
)

func newModelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "model",
		Short:   "Check, show and evaluate model bundles",
		Example: "  trench model check bundle/",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newModelCheckCommand(), newModelShowCommand(), newModelEvalCommand())
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
		_, err := fmt.Fprint(out, b.Card())
		return err
	})
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
	cmd := &cobra.Command{
		Use:     "eval DIR ROWS.parquet",
		Short:   "Score a labelled Parquet file written by trench features",
		Example: "  trench model eval bundle/ rows.parquet",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows := args[1]
			b, schema, err := l.load(args[0])
			if err != nil {
				return err
			}
			in, err := export.OpenVectors(rows, b.Features())
			if err != nil {
				return &exitError{service.ExitInput, err}
			}
			defer in.Close()
			hello, known := schema.Index("ch_len")
			scorer, eval := b.NewScorer(), scoring.Evaluation{}
			var scores []model.Score
			err = in.Each(schema.Names(), func(get func(string) string, vector []float32) error {
				if known && math.IsNaN(float64(vector[hello])) {
					eval.Left++
					return nil
				}
				scores = scorer.Score(scores[:0], [][]float32{vector})
				eval.Add(get("label"), get("family"), scores[0])
				return nil
			})
			if err != nil {
				return fmt.Errorf("%s: %w", rows, err)
			}
			return eval.Print(cmd.OutOrStdout())
		},
	}
	l.register(cmd)
	return cmd
}
