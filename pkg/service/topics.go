package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"trench/pkg/bus/kafka"
	"trench/pkg/wire"
)

// TopicsConfig says how the topics are created. A service creates none; it compares.
type TopicsConfig struct {
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

// DefaultTopicsConfig returns six partitions on one broker that keep records for a
// day, and dead letters for a week.
func DefaultTopicsConfig() TopicsConfig {
	return TopicsConfig{Partitions: 6, Replication: 1, Retention: 24 * time.Hour, DeadLetterRetention: 7 * 24 * time.Hour}
}

// Validate reports all faults at once.
func (c TopicsConfig) Validate() error {
	var errs []error
	if c.Partitions < 1 || c.Partitions > 10_000 {
		errs = append(errs, fmt.Errorf("partitions: %d is not between 1 and 10000", c.Partitions))
	}
	if c.Replication < 1 || c.Replication > 100 {
		errs = append(errs, fmt.Errorf("replication: %d is not between 1 and 100", c.Replication))
	}
	if c.Retention < time.Minute {
		errs = append(errs, fmt.Errorf("retention: %v is below 1m", c.Retention))
	}
	if c.DeadLetterRetention < time.Minute {
		errs = append(errs, fmt.Errorf("dead_letter_retention: %v is below 1m", c.DeadLetterRetention))
	}
	return errors.Join(errs...)
}

// maxMessage is how many bytes a record of any topic may have.
const maxMessage = 1 << 20

// Topics lists the topics as they should be.
func (c TopicsConfig) Topics() []kafka.Topic {
	topic := func(name string, keep time.Duration) kafka.Topic {
		return kafka.Topic{Name: name, Partitions: c.Partitions, Replication: c.Replication, Retention: keep, MaxMessage: maxMessage}
	}
	return []kafka.Topic{
		topic(wire.TopicFlows, c.Retention), topic(wire.TopicFeatures, c.Retention), topic(wire.TopicVerdicts, c.Retention),
		topic(wire.TopicDeadLetter, c.DeadLetterRetention),
	}
}

// compareTopics logs where the topics of the program, which exist, are not as they
// should be. It stops nothing: the operator may want them so.
func (p Program) compareTopics(ctx context.Context, log *slog.Logger) {
	topics := slices.DeleteFunc(p.Common.Topics.Topics(), func(t kafka.Topic) bool { return !slices.Contains(p.Topics, t.Name) })
	if len(topics) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	states, err := kafka.Differences(ctx, p.Common.Kafka, topics)
	if err != nil {
		log.Warn("can not compare the topics with what they should be", "err", err)
	}
	for _, s := range states {
		for _, d := range s.Differs {
			log.Warn("a topic is not as it should be: change it, or the section topics of the configuration", "topic", s.Topic.Name, "difference", d)
		}
	}
}
