package kafka

import (
	"errors"
	"fmt"
	"io"
	"testing"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
)

func TestEveryCodeHasItsClass(t *testing.T) {
	t.Parallel()
	want := map[class][]error{
		transient: {
			io.ErrUnexpectedEOF, errors.New("dial tcp: refused"), kafkago.UnknownTopicOrPartition, kafkago.LeaderNotAvailable,
			kafkago.NotLeaderForPartition, kafkago.RequestTimedOut, kafkago.NotEnoughReplicas, kafkago.NotEnoughReplicasAfterAppend,
			kafkago.GroupCoordinatorNotAvailable, kafkago.GroupLoadInProgress, kafkago.NotCoordinatorForGroup, kafkago.RebalanceInProgress,
			kafkago.KafkaStorageError, kafkago.InvalidMessage, nil,
		},
		refused: {kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge, kafkago.InvalidRecord, kafkago.InvalidTimestamp, kafkago.MessageTooLargeError{}},
		configuration: {
			kafkago.InvalidTopic, kafkago.InvalidRequiredAcks, kafkago.InvalidSessionTimeout, kafkago.InvalidGroupId, kafkago.InconsistentGroupProtocol,
			kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed, kafkago.SASLAuthenticationFailed,
			kafkago.UnsupportedSASLMechanism, kafkago.UnsupportedVersion, kafkago.UnsupportedForMessageFormat, kafkago.UnsupportedCompressionType,
			kafkago.PolicyViolation, kafkago.SecurityDisabled, kafkago.TransactionalIDAuthorizationFailed,
		},
		claimLost: {kafkago.IllegalGeneration, kafkago.UnknownMemberId, kafkago.FencedInstanceID},
	}
	n := 0
	for c, errs := range want {
		for _, err := range errs {
			if got := classify(fmt.Errorf("wrapped: %w", err)); got != c {
				t.Errorf("%v: class %d, want %d", err, got, c)
			}
			if c != transient {
				n++
			}
		}
	}
	if n != len(classes)+1 { // and MessageTooLargeError, which has no code
		t.Errorf("%d codes are tested, the table has %d", n-1, len(classes))
	}
}

func TestLastingErrorsSayWhatTheyMean(t *testing.T) {
	t.Parallel()
	if err := lasting(kafkago.TopicAuthorizationFailed); !errors.Is(err, bus.ErrConfiguration) || !errors.Is(err, kafkago.TopicAuthorizationFailed) {
		t.Errorf("err = %v", err)
	}
	if err := lasting(kafkago.IllegalGeneration); !errors.Is(err, bus.ErrClaimLost) {
		t.Errorf("err = %v", err)
	}
	if err := lasting(io.EOF); !errors.Is(err, io.EOF) || errors.Is(err, bus.ErrConfiguration) {
		t.Errorf("err = %v", err)
	}
}
