package kafka

import (
	"errors"
	"time"

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
func classify(err error) fault.Class { return fault.Of(explain(err)) }

// explain adds to an error of the broker what its code means, once.
func explain(err error) error {
	var code kafkago.Error
	if _, told := fault.CodeOf(err); !told && errors.As(err, &code) {
		return &fault.Error{Code: fault.Lookup(fault.Kafka, int(code)), Err: err}
	}
	return fault.Explain(err)
}

func newBackoff() *fault.Backoff {
	return &fault.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
}
