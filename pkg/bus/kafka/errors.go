package kafka

import (
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
)

// class says what to do about an error of the broker.
type class uint8

const (
	transient     class = iota // try again
	refused                    // this record will never be taken
	configuration              // stop, and let the operator see why
	claimLost                  // the generation is over
)

// classes holds the codes that are not transient. Everything else (no leader, not
// enough replicas, a topic not known yet, a broken connection, a time-out) may go
// away by itself.
var classes = map[kafkago.Error]class{
	kafkago.MessageSizeTooLarge:                refused,
	kafkago.RecordListTooLarge:                 refused,
	kafkago.InvalidRecord:                      refused,
	kafkago.InvalidTimestamp:                   refused,
	kafkago.InvalidTopic:                       configuration,
	kafkago.InvalidRequiredAcks:                configuration,
	kafkago.InvalidSessionTimeout:              configuration,
	kafkago.InvalidGroupId:                     configuration,
	kafkago.InconsistentGroupProtocol:          configuration,
	kafkago.TopicAuthorizationFailed:           configuration,
	kafkago.GroupAuthorizationFailed:           configuration,
	kafkago.ClusterAuthorizationFailed:         configuration,
	kafkago.SASLAuthenticationFailed:           configuration,
	kafkago.UnsupportedSASLMechanism:           configuration,
	kafkago.UnsupportedVersion:                 configuration,
	kafkago.UnsupportedForMessageFormat:        configuration,
	kafkago.UnsupportedCompressionType:         configuration,
	kafkago.PolicyViolation:                    configuration,
	kafkago.SecurityDisabled:                   configuration,
	kafkago.IllegalGeneration:                  claimLost,
	kafkago.UnknownMemberId:                    claimLost,
	kafkago.FencedInstanceID:                   claimLost,
	kafkago.TransactionalIDAuthorizationFailed: configuration,
}

func classify(err error) class {
	var tooLarge kafkago.MessageTooLargeError
	if errors.As(err, &tooLarge) {
		return refused
	}
	var code kafkago.Error
	if errors.As(err, &code) {
		return classes[code]
	}
	return transient
}

// lasting wraps err so that callers see what its class means.
func lasting(err error) error {
	switch classify(err) {
	case configuration:
		return fmt.Errorf("%w: %w", bus.ErrConfiguration, err)
	case claimLost:
		return fmt.Errorf("%w: %w", bus.ErrClaimLost, err)
	}
	return err
}
