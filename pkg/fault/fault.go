// Package fault says what to do about an error. Kafka and ClickHouse answer with
// numbers, the network with errors of its own; all of them fall into four classes:
//
//	transient      try again, it may go away by itself
//	refused        the other side will never take this record or row: give it up, take the rest
//	configuration  only an operator can end it: stop, and say what to do
//	claim lost     others have the partitions now: drop what is in hand, they get it again
//
// Between attempts there are pauses: see Backoff.
//
// The codes are one table, Codes, of numbers only: no client library is needed to
// read it. What is in no table is transient, for a program that stops at what it
// does not know would lose a night over a new code.
package fault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// Class is what to do about an error.
type Class uint8

// The classes.
const (
	Transient Class = iota
	Refused
	Configuration
	ClaimLost
)

// String returns the class as the documentation names it.
func (c Class) String() string {
	switch c {
	case Refused:
		return "refused"
	case Configuration:
		return "configuration"
	case ClaimLost:
		return "claim lost"
	}
	return "transient"
}

// An error that wraps one of these is of that class.
var (
	ErrRefused       = errors.New("refused")
	ErrConfiguration = errors.New("wrong configuration")
	ErrClaimLost     = errors.New("claim lost")
)

// sentinel returns what errors of the class wrap, nil for transient ones.
func (c Class) sentinel() error {
	switch c {
	case Refused:
		return ErrRefused
	case Configuration:
		return ErrConfiguration
	case ClaimLost:
		return ErrClaimLost
	}
	return nil
}

// Of returns the class of err: that of the error it wraps of this package, else
// that of a TLS fault, else transient. A wrong configuration goes before a lost
// claim, and that before a refusal, when err wraps several.
func Of(err error) Class {
	for _, c := range []Class{Configuration, ClaimLost, Refused} {
		if errors.Is(err, c.sentinel()) {
			return c
		}
	}
	if _, ok := tlsHint(err); ok {
		return Configuration
	}
	return Transient
}

// Error is an error of Kafka or ClickHouse together with its code.
type Error struct {
	Code Code
	Err  error
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Code.Class == Configuration:
		return fmt.Sprintf("%v: %v (%s)", ErrConfiguration, e.Err, e.Code.Hint)
	case e.Code.Class != Transient:
		return fmt.Sprintf("%v: %v", e.Code.Class.sentinel(), e.Err)
	case e.Code.Name == "":
		return fmt.Sprintf("%v (this version does not know code %d of %s)", e.Err, e.Code.Number, e.Code.System)
	}
	return e.Err.Error()
}

// Unwrap returns what the class means and the cause.
func (e *Error) Unwrap() []error {
	if s := e.Code.Class.sentinel(); s != nil {
		return []error{s, e.Err}
	}
	return []error{e.Err}
}

// CodeOf returns the code that err carries, if it carries one.
func CodeOf(err error) (Code, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Code, true
	}
	return Code{}, false
}

// Explain adds to an error of TLS what an operator has to do, and that it is a
// wrong configuration. It returns any other error as it is.
func Explain(err error) error {
	if hint, ok := tlsHint(err); ok && !errors.Is(err, ErrConfiguration) {
		return fmt.Errorf("%w: %w (%s)", ErrConfiguration, err, hint)
	}
	return err
}

// tlsHint returns what to do about a certificate or a protocol that does not fit.
// No retry ends these; a broken or timed-out handshake is not among them.
func tlsHint(err error) (string, bool) {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
		verify    *tls.CertificateVerificationError
		header    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &authority):
		return "trust the authority that signed the server's certificate", true
	case errors.As(err, &host):
		return "reach the server by a name that is in its certificate", true
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "give the server a certificate that is valid today and for a server", true
	case errors.As(err, &roots):
		return "install the system's root certificates", true
	case errors.As(err, &header):
		return "the port does not speak TLS: use the server's TLS port, or no TLS", true
	case errors.As(err, &alert) && lastingAlerts[alert]:
		return "the server refuses this client's TLS: compare certificates and TLS versions of both", true
	}
	return "", false
}

// lastingAlerts are the TLS alerts (RFC 8446, section 6.2) that come again however
// often one tries.
var lastingAlerts = map[tls.AlertError]bool{
	40: true,                                         // handshake_failure
	42: true, 43: true, 44: true, 45: true, 46: true, // of the certificate: bad, unsupported, revoked, expired, unknown
	48: true, 49: true, // unknown_ca, access_denied
	70: true, 71: true, // protocol_version, insufficient_security
	112: true, 116: true, 120: true, // unrecognized_name, certificate_required, no_application_protocol
}
