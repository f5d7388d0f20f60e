// Package wire turns records into the protobuf messages of schemas/proto and
// back, and names the topics they travel on. Nothing else in Trench knows how a
// record looks on the bus.
//
//	trench.flows.v1       Flow        flow.Flow
//	trench.features.v1    Features    record.Record, the parts known before scoring
//	trench.verdicts.v1    Verdict     record.Record, all of it
//	trench.deadletter.v1  DeadLetter  what a stage could not handle
//
// The key of the first three is the flow_id (16 bytes). Every record carries the
// header HeaderMessage with the full name of its message. What comes off the bus
// is not trusted: sizes and ranges are checked, and a message that breaks them is
// an error that wraps ErrMalformed.
//
// Flow, Features and Verdict are written and read by hand (fields.go and writer.go
// have the primitives); the code generated of the schema is what the tests hold them
// to. What is read resets the value first, so that its lists of numbers keep their
// memory; its strings and bytes alias the message, which nobody may write to afterwards.
package wire

import (
	"errors"
	"fmt"
)

// The topics. A change that old readers can not follow gets a new version.
const (
	TopicFlows      = "trench.flows.v1"
	TopicFeatures   = "trench.features.v1"
	TopicVerdicts   = "trench.verdicts.v1"
	TopicDeadLetter = "trench.deadletter.v1"
)

// The consumer groups that read them.
const (
	GroupFeatures    = "trench-features"         // reads TopicFlows
	GroupScoring     = "trench-scoring"          // reads TopicFeatures
	GroupSink        = "trench-sink"             // reads TopicVerdicts
	GroupDeadLetters = "trench-sink-deadletters" // reads TopicDeadLetter
)

// HeaderReplayed is the header that names the dead letter a record was made from.
const HeaderReplayed = "trench-replayed"

// HeaderMessage is the header that names a record's message.
const HeaderMessage = "trench-message"

// The full names of the messages, as HeaderMessage carries them.
const (
	MessageFlow       = "trench.v1.Flow"
	MessageFeatures   = "trench.v1.Features"
	MessageVerdict    = "trench.v1.Verdict"
	MessageDeadLetter = "trench.v1.DeadLetter"
)

// Limits of what is written and read.
const (
	// MaxMessage is how many bytes a message may have: what a broker takes with
	// its default settings (1 MiB), less room for key, headers and the batch.
	MaxMessage = 1<<20 - 16<<10
	// MaxVector is how many features a vector may have.
	MaxVector = 1 << 14
	// MaxList is how many entries any other list may have.
	MaxList = 1 << 14
	// MaxOriginal and MaxKey are how many bytes of a refused record's value and key a
	// dead letter keeps.
	MaxOriginal = 256 << 10
	MaxKey      = 4 << 10
)

// ErrMalformed is wrapped by the error for a message that is not what the
// schema and the limits of this package allow.
var ErrMalformed = errors.New("malformed message")

// ErrTooLarge is wrapped by the error for a record whose message would exceed
// MaxMessage or one of its lists MaxList.
var ErrTooLarge = errors.New("record too large")

// checkSize refuses what is too long to be looked at.
func checkSize(b []byte, name string) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("%s: %w: %d bytes, the limit is %d", name, ErrMalformed, len(b), MaxMessage)
	}
	return nil
}

// CheckMessage returns an error when a record says that its message is another
// than want. A record without the header passes.
func CheckMessage(header []byte, want string) error {
	if len(header) > 0 && string(header) != want {
		return fmt.Errorf("%w: the header says %.64q, want %q", ErrMalformed, header, want)
	}
	return nil
}
