package kafka

import (
	"errors"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/fault"
)

// What to do about an error of the broker; see package fault.
const (
	transient     = fault.Transient
	refused       = fault.Refused
	configuration = fault.Configuration
)

// classify returns what to do about err.
func classify(err error) fault.Class {
	var tooLarge kafkago.MessageTooLargeError // of the client itself: it has no code
	if errors.As(err, &tooLarge) {
		return refused
	}
	var code kafkago.Error
	if errors.As(err, &code) {
		return fault.Lookup(fault.Kafka, int(code)).Class
	}
	return fault.Of(err)
}

// lasting wraps err so that callers see what its class means.
func lasting(err error) error {
	var code kafkago.Error
	if errors.As(err, &code) {
		return &fault.Error{Code: fault.Lookup(fault.Kafka, int(code)), Err: err}
	}
	return fault.Explain(err)
}
