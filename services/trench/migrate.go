package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trench/pkg/bus/kafka"
	"trench/pkg/config"
	"trench/pkg/obs"
	"trench/pkg/service"
	"trench/pkg/store"
	"trench/schemas"
)

// backends is the configuration of the commands that talk to Kafka and ClickHouse.
type backends struct {
	Kafka      kafka.Config         `yaml:"kafka"`
	ClickHouse store.Config         `yaml:"clickhouse"`
	Topics     service.TopicsConfig `yaml:"topics"`
	Log        obs.LogConfig        `yaml:"log"`
}

// Validate reports all faults at once.
func (b *backends) Validate() error {
	return errors.Join(config.Section("kafka", b.Kafka.Validate()), config.Section("clickhouse", b.ClickHouse.Validate()),
		config.Section("topics", b.Topics.Validate()), config.Section("log", b.Log.Validate()))
}

func loadBackends(path string) (*backends, error) {
	b := &backends{Kafka: kafka.DefaultConfig(), ClickHouse: store.DefaultConfig(), Topics: service.DefaultTopicsConfig(), Log: obs.DefaultLogConfig()}
	if err := config.Load(path, b); err != nil {
		return nil, usage(err)
	}
	return b, nil
}

func newMigrateCommand() *cobra.Command {
	var path string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create or upgrade the schema in ClickHouse",
		Long: `Create the database and its tables in ClickHouse, or upgrade them to what this version needs.
It changes nothing that is up to date, and can be run again after it was interrupted.`,
		Example: "  trench migrate -c trench.yaml\n  TRENCH_CLICKHOUSE_ADDR=127.0.0.1:9000 trench migrate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := loadBackends(path)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			return migrate(ctx, b.ClickHouse, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "YAML `file` with the section clickhouse; every key is also TRENCH_… in the environment")
	cmd.Flags().DurationVar(&wait, "timeout", time.Minute, "give up after this time")
	return cmd
}

func migrate(ctx context.Context, cfg store.Config, stderr io.Writer) error {
	migrations, err := store.Migrations(schemas.ClickHouse, "clickhouse")
	if err != nil {
		return err
	}
	done, err := store.Migrate(ctx, cfg, migrations)
	for _, m := range done {
		fmt.Fprintf(stderr, "applied %04d_%s\n", m.Version, m.Name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "database %s is at migration %04d\n", cfg.Database, len(migrations))
	return nil
}
