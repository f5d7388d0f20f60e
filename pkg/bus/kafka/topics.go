package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// Topic describes a topic as it should be.
type Topic struct {
	Name        string
	Partitions  int
	Replication int
	Retention   time.Duration
	MaxMessage  int // bytes
}

// TopicState is what EnsureTopics found and did about one topic.
type TopicState struct {
	Topic   Topic
	Created bool
	// Differs lists in words where an existing topic is not as described.
	Differs []string
}

// EnsureTopics creates the topics that are missing and compares those that exist.
// It changes none that exists: fewer partitions can't be had, and more would move
// keys. What is transient it tries again until ctx ends.
func EnsureTopics(ctx context.Context, cfg Config, topics []Topic) ([]TopicState, error) {
	var states []TopicState
	err := persist(ctx, cfg, func(client *client) (err error) {
		if states, err = compare(ctx, client, topics); err == nil {
			err = create(ctx, client, states)
		}
		return err
	})
	return states, err
}

// Differences returns those of the topics that are missing or not as described, and
// changes nothing. What is transient it tries again until ctx ends.
func Differences(ctx context.Context, cfg Config, topics []Topic) ([]TopicState, error) {
	var states []TopicState
	err := persist(ctx, cfg, func(client *client) (err error) {
		states, err = compare(ctx, client, topics)
		return err
	})
	return slices.DeleteFunc(states, func(s TopicState) bool { return len(s.Differs) == 0 }), err
}

// persist calls do until it succeeds, fails for good or ctx ends.
func persist(ctx context.Context, cfg Config, do func(*client) error) error {
	client := newClient(cfg, cfg.RequestTimeout)
	defer client.close()
	wait := newBackoff()
	for {
		err := do(client)
		if err == nil {
			return nil
		}
		if classify(err) == configuration || wait.Wait(ctx) != nil {
			return fmt.Errorf("topics: kafka at %v: %w", cfg.Brokers, explain(err))
		}
	}
}

// missing is what Differs says of a topic that does not exist.
const missing = "is missing"

// compare returns the state of each topic.
func compare(ctx context.Context, client *client, topics []Topic) ([]TopicState, error) {
	meta, err := client.Metadata(ctx, &kafkago.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	var states []TopicState
	var existing []Topic
	for _, t := range topics {
		i := slices.IndexFunc(meta.Topics, func(m kafkago.Topic) bool { return m.Name == t.Name && m.Error == nil })
		state := TopicState{Topic: t}
		if i < 0 {
			state.Differs = append(state.Differs, missing)
		} else {
			existing = append(existing, t)
			if n := len(meta.Topics[i].Partitions); n < t.Partitions {
				state.Differs = append(state.Differs, fmt.Sprintf("has %d partitions, not %d", n, t.Partitions))
			}
			if p := meta.Topics[i].Partitions; len(p) > 0 && len(p[0].Replicas) < t.Replication {
				state.Differs = append(state.Differs, fmt.Sprintf("has %d replicas, not %d", len(p[0].Replicas), t.Replication))
			}
		}
		states = append(states, state)
	}
	return states, compareConfigs(ctx, client, existing, states)
}

// create makes the topics that are missing and notes so in their states.
func create(ctx context.Context, client *client, states []TopicState) error {
	req := &kafkago.CreateTopicsRequest{}
	for i := range states {
		s := &states[i]
		if !slices.Contains(s.Differs, missing) {
			continue
		}
		s.Created, s.Differs = true, nil
		t := s.Topic
		req.Topics = append(req.Topics, kafkago.TopicConfig{
			Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replication,
			ConfigEntries: []kafkago.ConfigEntry{
				{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(t.Retention.Milliseconds(), 10)},
				{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(t.MaxMessage)},
				{ConfigName: "cleanup.policy", ConfigValue: "delete"},
			},
		})
	}
	if len(req.Topics) == 0 {
		return nil
	}
	resp, err := client.CreateTopics(ctx, req)
	if err != nil {
		return err
	}
	for name, err := range resp.Errors {
		if err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
			return fmt.Errorf("create %s: %w", name, err)
		}
	}
	return nil
}

// compareConfigs adds to states where the settings of existing topics differ.
func compareConfigs(ctx context.Context, client *client, existing []Topic, states []TopicState) error {
	if len(existing) == 0 {
		return nil
	}
	req := &kafkago.DescribeConfigsRequest{}
	for _, t := range existing {
		req.Resources = append(req.Resources, kafkago.DescribeConfigRequestResource{
			ResourceType: kafkago.ResourceTypeTopic, ResourceName: t.Name, ConfigNames: []string{"retention.ms", "max.message.bytes", "cleanup.policy"},
		})
	}
	resp, err := client.DescribeConfigs(ctx, req)
	if err != nil {
		return err
	}
	for _, res := range resp.Resources {
		if res.Error != nil {
			return fmt.Errorf("describe %s: %w", res.ResourceName, res.Error)
		}
		i := slices.IndexFunc(states, func(s TopicState) bool { return s.Topic.Name == res.ResourceName })
		if i < 0 {
			continue
		}
		s := &states[i]
		for _, e := range res.ConfigEntries {
			n, _ := strconv.ParseInt(e.ConfigValue, 10, 64)
			switch {
			case e.ConfigName == "retention.ms" && n != s.Topic.Retention.Milliseconds():
				s.Differs = append(s.Differs, fmt.Sprintf("keeps records %v, not %v", time.Duration(n)*time.Millisecond, s.Topic.Retention))
			case e.ConfigName == "max.message.bytes" && n < int64(s.Topic.MaxMessage):
				s.Differs = append(s.Differs, fmt.Sprintf("takes records of %d bytes, not %d", n, s.Topic.MaxMessage))
			case e.ConfigName == "cleanup.policy" && e.ConfigValue != "delete":
				s.Differs = append(s.Differs, fmt.Sprintf("has cleanup.policy %s, not delete", e.ConfigValue))
			}
		}
	}
	return nil
}

// pingTimeout is how long a broker may take to answer Ping.
const pingTimeout = 5 * time.Second

// Ping returns nil when one of the brokers answers and knows every topic.
func Ping(ctx context.Context, cfg Config, topics ...string) error {
	client := newClient(cfg, pingTimeout)
	defer client.close()
	meta, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: topics})
	if err != nil {
		return fmt.Errorf("kafka at %v: %w", cfg.Brokers, explain(err))
	}
	for _, name := range topics {
		i := slices.IndexFunc(meta.Topics, func(t kafkago.Topic) bool { return t.Name == name })
		if i < 0 || errors.Is(meta.Topics[i].Error, kafkago.UnknownTopicOrPartition) {
			return fmt.Errorf("kafka at %v: topic %s is missing: run `trench topics`", cfg.Brokers, name)
		}
		if err := meta.Topics[i].Error; err != nil {
			return fmt.Errorf("kafka at %v: topic %s: %w", cfg.Brokers, name, explain(err))
		}
	}
	return nil
}
