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
// does not have is 0. Only flows recognised as TLS, DTLS or QUIC have a vector.
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
	"os"
	"strings"

	"trench/pkg/certificate"
	"trench/pkg/dhcpwire"
	"trench/pkg/dnswire"
	"trench/pkg/dtlswire"
	"trench/pkg/fingerprint"
	"trench/pkg/flow"
	"trench/pkg/quicwire"
	"trench/pkg/record"
	"trench/pkg/sshwire"
	"trench/pkg/tlswire"
)

//go:generate go run ./internal/markdown -o ../../docs/features.md

// Config shapes an Extractor.
type Config struct {
	Bytes            bool `yaml:"bytes"`             // fill the row's byte distribution
	CertificateCache int  `yaml:"certificate_cache"` // parsed certificates kept
	// Profile names the schema of the vectors, as the function Profile knows it.
	Profile string `yaml:"profile"`
	// RankList is a file of popular domains for group xs, see ReadRanks; without it
	// the columns with ranks are NaN. Open reads it into Ranks.
	RankList string `yaml:"rank_list"`
	Ranks    *Ranks `yaml:"-"`
	// FoxIO says that the FoxIO License 1.1 was accepted, under which JA4S, JA4X, JA4H,
	// JA4T and JA4TS are: they may not be part of what is sold or hosted for others.
	FoxIO bool `yaml:"foxio_license_accepted"`
}

// DefaultConfig returns the configuration that services start from.
func DefaultConfig() Config {
	return Config{CertificateCache: certificate.DefaultCacheConfig().Entries, Profile: SchemaName}
}

// Validate reports every fault of the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.CertificateCache < 1 {
		errs = append(errs, fmt.Errorf("certificate_cache: %d is below 1", c.CertificateCache))
	}
	if _, err := Profile(c.Profile); err != nil {
		errs = append(errs, fmt.Errorf("profile: %w", err))
	}
	return errors.Join(errs...)
}

// Open reads the files that the configuration names.
func (c *Config) Open() error {
	if c.RankList == "" {
		return nil
	}
	f, err := os.Open(c.RankList)
	if err != nil {
		return fmt.Errorf("rank_list: %w", err)
	}
	defer f.Close()
	if c.Ranks, err = ReadRanks(f); err != nil {
		return fmt.Errorf("rank_list: %s: %w", c.RankList, err)
	}
	return nil
}

// WatchesHTTP reports whether the profile needs what capture sums up with
// http_context.
func (c *Config) WatchesHTTP() bool { return strings.Contains(c.Profile, httpSuffix) }

// Schema returns the schema of the vectors. The profile must be valid.
func (c *Config) Schema() *Schema {
	s, err := Profile(c.Profile)
	if err != nil {
		panic("features: " + err.Error())
	}
	return s
}

// Extractor makes rows of flows. It holds buffers and a cache of certificates,
// so it belongs to one goroutine; what it returns depends on the flow alone.
type Extractor struct {
	cfg       Config
	schema    *Schema
	hash      string // of all of the schema
	cache     *certificate.Cache
	handshake tlswire.Handshake
	quic      quicConnection
	dtls      dtlsRows
	ssh       [2]sshwire.Side
	lease     dhcpwire.Message
	message   dnswire.Message
	facts     facts
}

// NewExtractor returns an extractor for the profile. A configuration that is not
// valid is a programmer's error and panics.
func NewExtractor(cfg Config) *Extractor {
	if err := cfg.Validate(); err != nil {
		panic("features: " + err.Error())
	}
	s := cfg.Schema()
	return &Extractor{
		cfg: cfg, schema: s, hash: s.Whole(),
		cache: certificate.NewCache(certificate.CacheConfig{Entries: cfg.CertificateCache}),
		facts: facts{lists: allLists(), table: logTable(), optional: optionalFacts{wanted: cfg.Profile != SchemaName, ranks: cfg.Ranks}},
	}
}

// CacheStats returns what the cache of certificates did so far.
func (e *Extractor) CacheStats() certificate.Stats { return e.cache.Stats() }

// Extract fills dst with all that this stage can know of f: every column of the
// row but score, margin, verdict, reasons, shadows, model and schema, which are left
// empty, and the vector, which is empty for flows that are not TLS, DTLS or
// QUIC. Slices of dst are reused, those inside of its certificates are shared
// with other rows and must not be changed. Nothing in dst aliases f.
func (e *Extractor) Extract(dst *record.Record, f *flow.Flow) {
	dns, http, tls, quic, ssh, dhcp := dst.DNS, dst.HTTP, dst.TLS, dst.QUIC, dst.SSH, dst.DHCP
	dst.SetFlow(f)
	dst.CommunityID = fingerprint.CommunityID(f.Protocol, f.Client, f.Server)
	if e.cfg.Bytes {
		for i := range 256 {
			dst.ByteDist = append(dst.ByteDist, uint32(f.Half[0].ByteCounts[i])+uint32(f.Half[1].ByteCounts[i]))
		}
	}
	switch f.App {
	case flow.AppTLS, flow.AppDTLS, flow.AppQUIC:
		e.parse(f)
		answer := e.answer(f)
		e.facts.read(f, &e.handshake, &e.quic, answer, e.cache)
		e.vector(dst)
		e.tls(dst, f, tls)
		if f.App == flow.AppQUIC {
			dst.QUIC = e.quicRow(quic)
		}
		if f.Before == flow.AppHTTP {
			setHTTP(dst, f.Half[flow.ClientToServer].Preamble, f.Half[flow.ServerToClient].Preamble, http)
		}
		if answer != nil {
			dst.DNS = e.resolution(dns, f)
		}
	case flow.AppDNS, flow.AppMDNS, flow.AppLLMNR:
		e.dns(dst, f, dns)
	case flow.AppHTTP:
		setHTTP(dst, f.Half[flow.ClientToServer].Handshake, f.Half[flow.ServerToClient].Handshake, http)
	case flow.AppSSH:
		e.sshRow(dst, f, ssh)
	case flow.AppDHCP, flow.AppDHCPv6:
		e.dhcpRow(dst, f, dhcp)
	}
	if e.cfg.FoxIO {
		e.foxio(dst, f)
	}
	e.facts.flow, e.facts.c, e.facts.s = nil, nil, nil
}

// parse reads the handshake out of what each protocol wraps it in.
func (e *Extractor) parse(f *flow.Flow) {
	client, server := f.Half[flow.ClientToServer].Handshake, f.Half[flow.ServerToClient].Handshake
	switch f.App {
	case flow.AppDTLS:
		e.dtls.read(client, server)
		e.handshake.ParseDTLS(e.dtls.rows[0], e.dtls.rows[1])
	case flow.AppQUIC:
		e.quic.Parse(client, server)
		e.handshake.ParseMessages(e.quic.Client, e.quic.Server)
		quicwire.ParseTransportParameters(e.handshake.Client.QUICParameters, &e.quic.parameters)
	default:
		e.handshake.Parse(client, server)
	}
}

// answer returns the parsed DNS answer that led to a flow, nil without one. A
// damaged message is used as far as it goes.
func (e *Extractor) answer(f *flow.Flow) *dnswire.Message {
	if len(f.Resolution) == 0 {
		return nil
	}
	if err := dnswire.Parse(&e.message, f.Resolution); err != nil && len(e.message.Questions) == 0 {
		return nil
	}
	return &e.message
}

// quicConnection is a connection with the parameters that its client sent.
type quicConnection struct {
	quicwire.Connection
	parameters quicwire.TransportParameters
}

// dtlsRows holds the records of both directions of a DTLS connection.
type dtlsRows struct {
	reassembler dtlswire.Reassembler
	rows        [2][]byte
	incomplete  bool
}

func (d *dtlsRows) read(client, server []byte) {
	d.incomplete = false
	for i, datagrams := range [][]byte{client, server} {
		var incomplete bool
		d.rows[i], incomplete = d.reassembler.Records(d.rows[i][:0], datagrams)
		d.incomplete = d.incomplete || incomplete
	}
}

func (e *Extractor) vector(dst *record.Record) {
	for _, v := range e.schema.values {
		dst.Vector = append(dst.Vector, finite(v(&e.facts)))
	}
	dst.VectorSchema = e.hash
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
