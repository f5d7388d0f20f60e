package reference

import (
	"fmt"
	"net/netip"
	"strings"

	"trench/pkg/record"
)

// Ends are the two ends of a flow, the client's first as the reference sees it.
type Ends struct{ Client, Server netip.AddrPort }

// EndsOf returns the ends of a row's flow.
func EndsOf(r *record.Record) Ends {
	return Ends{netip.AddrPortFrom(r.ClientIP, r.ClientPort), netip.AddrPortFrom(r.ServerIP, r.ServerPort)}
}

// String names the ends as the document and causes.yaml do.
func (e Ends) String() string { return e.Client.String() + " > " + e.Server.String() }

// Key is the same for both directions.
func (e Ends) Key() Ends {
	if e.Client.Compare(e.Server) > 0 {
		return Ends{e.Server, e.Client}
	}
	return e
}

// Value is one field that a reference gives for a flow.
type Value struct {
	Field string
	Want  string
	// Got reads the field from the rows of the flow: one, or several in order of
	// time where the expectation asks for all.
	Got func(rows []*record.Record) string
}

// one makes a value that a single row answers.
func one(field, want string, got func(*record.Record) string) Value {
	return Value{field, want, func(rows []*record.Record) string { return got(rows[0]) }}
}

// Kind says which rows an expectation may be matched with.
type Kind uint8

// The kinds of expectations.
const (
	TLSFlow     Kind = iota // rows that show TLS, DTLS or QUIC
	AnyFlow                 // all rows
	AllFlows                // all rows between the ends, taken together
	Certificate             // the rows whose chain holds the certificate
	Standalone              // none: there is no capture
)

// Expectation is what a reference says of one flow, or of one certificate.
type Expectation struct {
	Reference string
	Captures  []string // those it may belong to, by the corpus' root
	Kind      Kind
	Proto     string // as in the row; empty: any
	// Ends are the flow's; more than one where the reference leaves open which of
	// several layers they are of. None: the row that agrees best.
	Ends    []Ends
	Ordinal int    // how many flows with these ends came before
	Digest  string // SHA-256 of a certificate, in hex
	Hellos  int    // ClientHellos shown, in the reference that counts them
	Values  []Value
}

// Flow names what the expectation is about, as the document and causes.yaml do.
func (e *Expectation) Flow() string {
	switch {
	case e.Kind == Certificate:
		return "certificate " + e.Digest[:min(16, len(e.Digest))]
	case len(e.Ends) == 0:
		return "any flow"
	case e.Ordinal > 0:
		return fmt.Sprintf("%s #%d", e.Ends[0], e.Ordinal+1)
	}
	return e.Ends[0].String()
}

// set adds a value when the reference gives one.
func (e *Expectation) set(field, want string, got func(*record.Record) string) {
	if want != "" {
		e.Values = append(e.Values, one(field, want, got))
	}
}

// numbering counts the flows between the same ends within one result file.
type numbering map[string]int

func (n numbering) next(proto string, e Ends) int {
	k := proto + " " + e.Key().String()
	n[k]++
	return n[k] - 1
}

// The getters of fields that several references give.

func sni(r *record.Record) string  { return r.TLSSNI }
func ja3(r *record.Record) string  { return r.JA3 }
func ja3s(r *record.Record) string { return r.JA3S }
func ja4(r *record.Record) string  { return r.JA4 }

// setJA4 adds a JA4, and apart from it the two digests at its end: some references
// count or mark otherwise in the first part.
func (e *Expectation) setJA4(want string) {
	e.set("ja4", want, ja4)
	e.set("ja4 digests", ja4Digests(want), func(r *record.Record) string { return ja4Digests(r.JA4) })
}

func ja4Digests(s string) string {
	_, digests, _ := strings.Cut(s, "_")
	return digests
}

func version(r *record.Record) string  { return r.TLSVersion }
func cipher(r *record.Record) string   { return r.TLSCipher }
func alpn(r *record.Record) string     { return r.TLSALPN }
func resumed(r *record.Record) string  { return yes(r.TLSResumed) }
func starttls(r *record.Record) string { return r.StartTLS }

// details gives what the row has of a handshake beyond its own columns.
func details(get func(*record.TLS) string) func(*record.Record) string {
	return func(r *record.Record) string {
		if r.TLS == nil {
			return ""
		}
		return get(r.TLS)
	}
}

func group(t *record.TLS) string             { return strings.ToLower(t.Group) }
func clientGroups(t *record.TLS) string      { return numbers(t.ClientGroups) }
func clientVersions(t *record.TLS) string    { return numbers(t.ClientVersions) }
func clientSignatures(t *record.TLS) string  { return numbers(t.ClientSignatures) }
func clientALPN(t *record.TLS) string        { return strings.Join(t.ClientALPN, ",") }
func clientCertificate(t *record.TLS) string { return t.ClientCertificate }

func lastAlert(t *record.TLS) string {
	if len(t.Alerts) == 0 {
		return ""
	}
	return t.Alerts[len(t.Alerts)-1].Description
}

func leaf(get func(*record.Certificate) string) func(*record.Record) string {
	return func(r *record.Record) string {
		if len(r.CertChain) == 0 {
			return ""
		}
		return get(&r.CertChain[0])
	}
}

// chain lists a property of all certificates of the chain.
func chain(get func(*record.Certificate) string) func(*record.Record) string {
	return func(r *record.Record) string {
		var out []string
		for i := range r.CertChain {
			out = append(out, get(&r.CertChain[i]))
		}
		return strings.Join(out, ",")
	}
}

// digested reads from the certificate of the chain that is meant.
func digested(is func(*record.Certificate) bool, get func(*record.Certificate) string) func(*record.Record) string {
	return func(r *record.Record) string {
		for i := range r.CertChain {
			if is(&r.CertChain[i]) {
				return get(&r.CertChain[i])
			}
		}
		return ""
	}
}

func sha1Of(c *record.Certificate) string    { return c.SHA1 }
func sha256Of(c *record.Certificate) string  { return c.SHA256 }
func subjectOf(c *record.Certificate) string { return canonicalName(c.Subject) }
func issuerOf(c *record.Certificate) string  { return canonicalName(c.Issuer) }
func serialOf(c *record.Certificate) string  { return canonicalSerial(c.Serial) }
func fromOf(c *record.Certificate) string    { return date(c.NotBefore) }
func untilOf(c *record.Certificate) string   { return date(c.NotAfter) }

// oriented returns one of a pair of counters, of the direction whose sender is end.
func oriented(end netip.AddrPort, get func(*record.Record) (c2s, s2c uint64)) func(*record.Record) string {
	return func(r *record.Record) string {
		c2s, s2c := get(r)
		if EndsOf(r).Client != end {
			c2s = s2c
		}
		return fmt.Sprint(c2s)
	}
}

func packets(r *record.Record) (c2s, s2c uint64) { return r.PacketsC2S, r.PacketsS2C }
func octets(r *record.Record) (c2s, s2c uint64)  { return r.BytesC2S, r.BytesS2C }
func payload(r *record.Record) (c2s, s2c uint64) { return r.PayloadC2S, r.PayloadS2C }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
