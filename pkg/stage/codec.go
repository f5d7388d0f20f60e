package stage

import (
	"trench/pkg/bus"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/wire"
)

// DecodeFlow reads a record of the topic wire.TopicFlows.
func DecodeFlow(rec *bus.Record, f *flow.Flow) error {
	if err := wire.CheckMessage(rec.Header(wire.HeaderMessage), wire.MessageFlow); err != nil {
		return err
	}
	return wire.UnmarshalFlow(rec.Value, f)
}

// DecodeFeatures reads a record of the topic wire.TopicFeatures.
func DecodeFeatures(rec *bus.Record, r *record.Record) error {
	if err := wire.CheckMessage(rec.Header(wire.HeaderMessage), wire.MessageFeatures); err != nil {
		return err
	}
	return wire.UnmarshalFeatures(rec.Value, r)
}

// DecodeVerdict reads a record of the topic wire.TopicVerdicts.
func DecodeVerdict(rec *bus.Record, r *record.Record) error {
	if err := wire.CheckMessage(rec.Header(wire.HeaderMessage), wire.MessageVerdict); err != nil {
		return err
	}
	return wire.UnmarshalVerdict(rec.Value, r)
}

// DecodeDeadLetter reads a record of the topic wire.TopicDeadLetter.
func DecodeDeadLetter(rec *bus.Record, d *wire.DeadLetter) error {
	if err := wire.CheckMessage(rec.Header(wire.HeaderMessage), wire.MessageDeadLetter); err != nil {
		return err
	}
	return wire.UnmarshalDeadLetter(rec.Value, d)
}

// EncodeFlow makes the record of the topic wire.TopicFlows.
func EncodeFlow(f *flow.Flow) (bus.Record, error) {
	b, err := wire.MarshalFlow(nil, f)
	return keyed(wire.TopicFlows, wire.MessageFlow, f.ID, b), err
}

// EncodeFeatures makes the record of the topic wire.TopicFeatures.
func EncodeFeatures(r *record.Record) (bus.Record, error) {
	b, err := wire.MarshalFeatures(nil, r)
	return keyed(wire.TopicFeatures, wire.MessageFeatures, r.FlowID, b), err
}

// EncodeVerdict makes the record of the topic wire.TopicVerdicts.
func EncodeVerdict(r *record.Record) (bus.Record, error) {
	b, err := wire.MarshalVerdict(nil, r)
	return keyed(wire.TopicVerdicts, wire.MessageVerdict, r.FlowID, b), err
}

func keyed(topic, message string, id flow.ID, value []byte) bus.Record {
	return bus.Record{
		Topic: topic, Key: id[:], Value: value,
		Headers: []bus.Header{{Key: wire.HeaderMessage, Value: []byte(message)}},
	}
}
