package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"trench/pkg/features"
	"trench/pkg/model"
)

// version is the release; the linker sets it for released binaries.
var version = "0.1.0-dev"

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go, schema and model",
		Example: "  trench version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema := features.Default()
			hash, err := schema.Hash(schema.Names())
			if err != nil {
				return err
			}
			id := "none"
			if b, err := model.Default(schema); err == nil {
				id = b.ID() + " (features " + b.Hash() + ")"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "trench %s\ncommit %s\ngo %s\nschema %s %s\nmodel %s\n",
				version, commit(), runtime.Version(), schema.Name(), hash, id)
			return err
		},
	}
}

// commit returns what the build recorded of the source.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "unknown", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				modified = " (modified)"
			}
		}
	}
	return revision + modified
}
