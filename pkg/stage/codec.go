package stage

import (
	"fmt"
	"time"

	"trench/pkg/bus"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/wire"
)

// The decoders below reset the value, as its Reset does; strings and bytes of it alias
// the record's, which nobody writes to.

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
	if err := wire.UnmarshalVerdict(rec.Value, r); err != nil {
		return err
	}
	r.Trace = wire.ParseTrace(rec.Header(wire.HeaderTrace))
	return nil
}

// DecodeDeadLetter reads a record of the topic wire.TopicDeadLetter. Nothing in d
// aliases it.
func DecodeDeadLetter(rec *bus.Record, d *wire.DeadLetter) error {
	if err := wire.CheckMessage(rec.Header(wire.HeaderMessage), wire.MessageDeadLetter); err != nil {
		return err
	}
	return wire.UnmarshalDeadLetter(rec.Value, d)
}

// EncodeFlow makes the record of the topic wire.TopicFlows; its trace begins with
// stage.
func EncodeFlow(f *flow.Flow, stage string) (bus.Record, error) {
	b, err := wire.MarshalFlow(nil, f)
	r := keyed(wire.TopicFlows, wire.MessageFlow, f.ID, b)
	addHop(&r, stage, nil)
	return r, err
}

// EncodeFeatures makes the record of the topic wire.TopicFeatures.
func EncodeFeatures(r *record.Record, _ *bus.Record) (bus.Record, error) {
	b, err := wire.MarshalFeatures(nil, r)
	return keyed(wire.TopicFeatures, wire.MessageFeatures, r.FlowID, b), err
}

// EncodeVerdict makes the record of the topic wire.TopicVerdicts. What r has of its
// own is what scoring finds out: row and vector are handed on as they stand in the
// record of the topic wire.TopicFeatures that r was made from. With from nil they are r's.
func EncodeVerdict(r *record.Record, from *bus.Record) (bus.Record, error) {
	var b []byte
	var err error
	if from == nil {
		b, err = wire.MarshalVerdict(nil, r)
	} else {
		b, err = wire.MarshalScored(nil, from.Value, r)
	}
	return keyed(wire.TopicVerdicts, wire.MessageVerdict, r.FlowID, b), err
}

// EncodeDeadLetter makes the record of the topic wire.TopicDeadLetter, with the key of
// the record that is given up, cut as in the letter itself: it fits whatever that was.
func EncodeDeadLetter(d *wire.DeadLetter) bus.Record {
	b, err := wire.MarshalDeadLetter(nil, d)
	if err != nil { // it is cut to fit, so this can only be a fault in wire
		panic(fmt.Sprintf("dead letter does not fit: %v", err))
	}
	return bus.Record{
		Topic: wire.TopicDeadLetter, Key: d.Key[:min(len(d.Key), wire.MaxKey)], Value: b,
		Headers: []bus.Header{{Key: wire.HeaderMessage, Value: []byte(wire.MessageDeadLetter)}},
	}
}

func keyed(topic, message string, id flow.ID, value []byte) bus.Record {
	headers := make([]bus.Header, 1, 2) // the trace follows
	headers[0] = bus.Header{Key: wire.HeaderMessage, Value: []byte(message)}
	return bus.Record{Topic: topic, Key: id[:], Value: value, Headers: headers}
}

// addHop gives r the trace of the record it was made from, nil if from none, with
// one more hop.
func addHop(r *bus.Record, stage string, from *bus.Record) {
	h := record.Hop{Stage: stage, Micros: time.Now().UnixMicro(), Partition: -1, Offset: -1}
	var trace []byte
	if from != nil {
		h.Partition, h.Offset = from.Partition, from.Offset
		trace = from.Header(wire.HeaderTrace)
	}
	r.Headers = append(r.Headers, bus.Header{Key: wire.HeaderTrace, Value: wire.AppendHop(trace, h)})
}
