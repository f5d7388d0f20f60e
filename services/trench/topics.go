package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trench/pkg/bus/kafka"
	"trench/pkg/wire"
)

// topicSettings say how topics are created.
type topicSettings struct {
	// Partitions bounds how many members of a stage can share the work.
	Partitions int `yaml:"partitions"`
	// Replication is how many brokers hold each partition.
	Replication int `yaml:"replication"`
	// Retention is how long records are kept: the longest outage of a stage that
	// loses nothing. Flow records hold handshake bytes, so keep it short.
	Retention time.Duration `yaml:"retention"`
	// DeadLetterRetention is the same for dead letters.
	DeadLetterRetention time.Duration `yaml:"dead_letter_retention"`
}

func defaultTopicSettings() topicSettings {
	return topicSettings{Partitions: 6, Replication: 1, Retention: 24 * time.Hour, DeadLetterRetention: 7 * 24 * time.Hour}
}

// Validate reports all faults at once.
func (s topicSettings) Validate() error {
	var errs []error
	if s.Partitions < 1 || s.Partitions > 10_000 {
		errs = append(errs, fmt.Errorf("partitions: %d is not between 1 and 10000", s.Partitions))
	}
	if s.Replication < 1 || s.Replication > 100 {
		errs = append(errs, fmt.Errorf("replication: %d is not between 1 and 100", s.Replication))
	}
	if s.Retention < time.Minute {
		errs = append(errs, fmt.Errorf("retention: %v is below 1m", s.Retention))
	}
	if s.DeadLetterRetention < time.Minute {
		errs = append(errs, fmt.Errorf("dead_letter_retention: %v is below 1m", s.DeadLetterRetention))
	}
	return errors.Join(errs...)
}

// topics lists the topics as they should be.
func (s topicSettings) topics() []kafka.Topic {
	topic := func(name string, keep time.Duration) kafka.Topic {
		return kafka.Topic{Name: name, Partitions: s.Partitions, Replication: s.Replication, Retention: keep, MaxMessage: 1 << 20}
	}
	return []kafka.Topic{
		topic(wire.TopicFlows, s.Retention), topic(wire.TopicFeatures, s.Retention), topic(wire.TopicVerdicts, s.Retention),
		topic(wire.TopicDeadLetter, s.DeadLetterRetention),
	}
}

func newTopicsCommand() *cobra.Command {
	var path string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Create the topics in Kafka",
		Long: `Create the topics that are missing in Kafka, and say where those that exist differ from the
configuration. Topics that exist are never changed: more partitions would move keys.`,
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
	states, err := kafka.EnsureTopics(ctx, b.Kafka, b.Topics.topics())
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
