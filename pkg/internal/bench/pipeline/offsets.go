package pipeline

import (
	"context"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
)

// ends returns how many records were written to a topic.
func (r *rig) ends(ctx context.Context, topic string) (int64, error) {
	var ask []kafkago.OffsetRequest
	for p := range r.cfg.Partitions {
		ask = append(ask, kafkago.LastOffsetOf(p))
	}
	resp, err := r.client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{topic: ask}})
	if err != nil {
		return 0, fmt.Errorf("list offsets of %s: %w", topic, err)
	}
	total, seen := int64(0), 0
	for _, o := range resp.Topics[topic] {
		if o.Error != nil || o.LastOffset < 0 {
			return 0, fmt.Errorf("list offsets of %s: partition %d: last %d, %v", topic, o.Partition, o.LastOffset, o.Error)
		}
		total, seen = total+o.LastOffset, seen+1
	}
	if seen != r.cfg.Partitions {
		return 0, fmt.Errorf("list offsets of %s: %d of %d partitions", topic, seen, r.cfg.Partitions)
	}
	return total, nil
}

// committed returns how many records of a topic a group has committed.
func (r *rig) committed(ctx context.Context, group, topic string) (int64, error) {
	var all []int
	for p := range r.cfg.Partitions {
		all = append(all, p)
	}
	resp, err := r.client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: all}})
	if err == nil {
		err = resp.Error
	}
	if err != nil {
		return 0, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	total := int64(0)
	for _, o := range resp.Topics[topic] {
		if o.Error != nil {
			return 0, fmt.Errorf("offsets of group %s: partition %d: %w", group, o.Partition, o.Error)
		}
		total += max(0, o.CommittedOffset)
	}
	return total, nil
}
