// Package features turns flows into rows: it parses what a handshake shows and
// computes the feature vector.
//
// The vector's schema, trench-v1, has 372 columns in 13 groups. Its one table is
// in table.go: a column's name, unit and definition stand next to what computes
// it, and docs/features.md is generated from there.
//
//	fl flow   sq sequence   ml length Markov matrix   hz sizes   bu bursts
//	rc TLS records   bd application bytes   ch ClientHello   sh ServerHello
//	ct certificates   sn server name   dn DNS   qu QUIC
//
// A value is finite or NaN. NaN is "not observed" or "not applicable", and never
// stands for zero: what a cut handshake does not show is NaN, what a whole one
// does not have is 0. Groups dn and qu are NaN throughout until their parsers
// exist, as are ch, sh, ct and sn for DTLS and QUIC; only flows recognised as
// TLS, DTLS or QUIC have a vector.
//
// A column's digest covers its name, unit, group, definition, revision and the
// enumerations and word lists of its group (lists.go); the hash of a subset of
// columns covers their digests. So a model is bound to the meaning of what it
// uses and to nothing else.
//
// BenchmarkExtract measured, on one core of a Xeon and with certificates from the
// cache, 8 µs for a flow of TLS 1.2 and 7 µs for one of TLS 1.3, with 5
// allocations (the strings of the row).
package features

import (
	"errors"
	"fmt"
	"math"

	"trench/pkg/certificate"
	"trench/pkg/dnswire"
	"trench/pkg/fingerprint"
	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/tlswire"
)

//go:generate go run ./internal/markdown -o ../../docs/features.md

// Config shapes an Extractor.
type Config struct {
	Bytes            bool `yaml:"bytes"`             // fill the row's byte distribution
	CertificateCache int  `yaml:"certificate_cache"` // parsed certificates kept
}

// DefaultConfig returns the configuration that services start from.
func DefaultConfig() Config {
	return Config{CertificateCache: certificate.DefaultCacheConfig().Entries}
}

// Validate reports every fault of the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.CertificateCache < 1 {
		errs = append(errs, fmt.Errorf("certificate_cache: %d is below 1", c.CertificateCache))
	}
	return errors.Join(errs...)
}

// Extractor makes rows of flows. It holds buffers and a cache of certificates,
// so it belongs to one goroutine; what it returns depends on the flow alone.
type Extractor struct {
	cfg       Config
	schema    *Schema
	cache     *certificate.Cache
	handshake tlswire.Handshake
	message   dnswire.Message
	facts     facts
}

// NewExtractor returns an extractor for trench-v1. A configuration that is not
// valid is a programmer's error and panics.
func NewExtractor(cfg Config) *Extractor {
	if err := cfg.Validate(); err != nil {
		panic("features: " + err.Error())
	}
	return &Extractor{
		cfg: cfg, schema: Default(),
		cache: certificate.NewCache(certificate.CacheConfig{Entries: cfg.CertificateCache}),
		facts: facts{lists: allLists(), table: logTable()},
	}
}

// CacheStats returns what the cache of certificates did so far.
func (e *Extractor) CacheStats() certificate.Stats { return e.cache.Stats() }

// Extract fills dst with all that this stage can know of f: every column of the
// row but score, margin, verdict, reasons, model and schema, which are left
// empty, and the vector, which is empty for flows that are not TLS, DTLS or
// QUIC. Slices of dst are reused, those inside of its certificates are shared
// with other rows and must not be changed. Nothing in dst aliases f.
func (e *Extractor) Extract(dst *record.Record, f *flow.Flow) {
	dns, http := dst.DNS, dst.HTTP
	dst.SetFlow(f)
	dst.CommunityID = fingerprint.CommunityID(f.Protocol, f.Client, f.Server)
	if e.cfg.Bytes {
		for i := range 256 {
			dst.ByteDist = append(dst.ByteDist, uint32(f.Half[0].ByteCounts[i])+uint32(f.Half[1].ByteCounts[i]))
		}
	}
	switch f.App {
	case flow.AppTLS, flow.AppDTLS, flow.AppQUIC:
		if f.App == flow.AppTLS {
			e.handshake.Parse(f.Half[flow.ClientToServer].Handshake, f.Half[flow.ServerToClient].Handshake)
		} else {
			e.handshake.Parse(nil, nil)
		}
		e.facts.read(f, &e.handshake, e.cache)
		e.vector(dst)
		if f.App == flow.AppTLS {
			e.tls(dst, f)
		}
		e.resolution(dst, f, dns)
	case flow.AppDNS:
		e.dns(dst, f, dns)
	case flow.AppHTTP:
		setHTTP(dst, f, http)
	}
	e.facts.flow, e.facts.c, e.facts.s = nil, nil, nil
}

func (e *Extractor) vector(dst *record.Record) {
	for _, v := range e.schema.values {
		dst.Vector = append(dst.Vector, finite(v(&e.facts)))
	}
}

// finite keeps infinities out of the vector. Quotients are guarded where they
// are formed; a value beyond float32 becomes its largest number.
func finite(v float64) float32 {
	switch {
	case v > math.MaxFloat32:
		return math.MaxFloat32
	case v < -math.MaxFloat32:
		return -math.MaxFloat32
	}
	return float32(v)
}
