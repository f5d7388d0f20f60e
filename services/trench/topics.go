package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trench/pkg/bus/kafka"
)

func newTopicsCommand() *cobra.Command {
	var path string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Create the topics in Kafka",
		Long: `Create the topics that are missing in Kafka, and say where those that exist differ from the
configuration; more partitions or replicas are no difference. Topics that exist are
never changed: more partitions would move keys.`,
		Example: "  trench topics -c trench.yaml\n  TRENCH_KAFKA_BROKERS=127.0.0.1:9092 TRENCH_TOPICS_PARTITIONS=12 trench topics",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := loadBackends(path)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			return ensureTopics(ctx, b, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "YAML `file` with the sections kafka and topics; every key is also TRENCH_… in the environment")
	cmd.Flags().DurationVar(&wait, "timeout", time.Minute, "give up after this time")
	return cmd
}

func ensureTopics(ctx context.Context, b *backends, stderr io.Writer) error {
	states, err := kafka.EnsureTopics(ctx, b.Kafka, b.Topics.Topics())
	if err != nil {
		return err
	}
	for _, s := range states {
		switch {
		case s.Created:
			fmt.Fprintf(stderr, "%s: created with %d partitions\n", s.Topic.Name, s.Topic.Partitions)
		case len(s.Differs) == 0:
			fmt.Fprintf(stderr, "%s: is there\n", s.Topic.Name)
		}
		for _, d := range s.Differs {
			fmt.Fprintf(stderr, "%s: is there, but %s\n", s.Topic.Name, d)
		}
	}
	return nil
}
