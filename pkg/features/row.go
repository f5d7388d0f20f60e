package features

import (
	"encoding/hex"
	"math"
	"slices"
	"unicode/utf8"

	"trench/pkg/certificate"
	"trench/pkg/dnswire"
	"trench/pkg/fingerprint"
	"trench/pkg/flow"
	"trench/pkg/httpwire"
	"trench/pkg/record"
	"trench/pkg/tlswire"
)

// tls fills the TLS columns of the row from the parsed handshake.
func (e *Extractor) tls(dst *record.Record, f *flow.Flow, details *record.TLS) {
	x, h := &e.facts, &e.handshake
	dst.TLS = e.details(details)
	dst.StartTLS = f.Before.String()
	dst.TLSVersion = tlswire.VersionName(tlswire.Version(h))
	dst.TLSResumed = x.server.resumed == 1
	dst.TLSEstablished = x.server.established
	dst.TLSIncomplete = e.incomplete(f)
	if h.ClientSeen {
		c := &h.Client
		dst.TLSSNI = text(c.SNI)
		dst.TLSECH = c.ECH
		dst.TLSClientCiphers = append(dst.TLSClientCiphers, c.CipherSuites...)
		dst.TLSClientExtensions = append(dst.TLSClientExtensions, c.Extensions...)
		dst.JA3 = fingerprint.JA3(c)
		dst.JA4 = fingerprint.JA4(c, transport(f.App))
		for _, p := range c.ALPN {
			if !greaseALPN(p) {
				dst.TLSALPN = protocolName(p)
				break
			}
		}
	}
	if h.ServerSeen {
		s := &h.Server
		if x.server.suiteKnown {
			dst.TLSCipher = tlswire.CipherName(s.CipherSuite)
		}
		dst.TLSServerExtensions = append(dst.TLSServerExtensions, s.Extensions...)
		dst.JA3S = fingerprint.JA3S(s)
		if len(s.ALPN) > 0 {
			dst.TLSALPN = protocolName(s.ALPN)
		}
	}
	if !h.ServerSeen && h.HelloRetry && h.Retry.CipherSuite != 0 {
		dst.TLSCipher = tlswire.CipherName(h.Retry.CipherSuite)
	}
	if f.App == flow.AppQUIC {
		e.quicColumns(dst)
	}
	if bits := clientKeyBits(h); bits > 0 && !x.server.tls13 {
		dst.TLSKeyBits = uint32(bits)
	}
	for _, c := range x.chain.certs {
		dst.CertChain = append(dst.CertChain, certificateRow(c))
	}
}

// transport is JA4's letter of what carries the handshake.
func transport(app flow.App) byte {
	switch app {
	case flow.AppQUIC:
		return fingerprint.TransportQUIC
	case flow.AppDTLS:
		return fingerprint.TransportDTLS
	}
	return fingerprint.TransportTCP
}

// incomplete reports whether a part of the handshake in clear is missing: it
// was cut, it began before the capture, or the server's answer was not seen.
func (e *Extractor) incomplete(f *flow.Flow) bool {
	h := &e.handshake
	if h.Incomplete || !h.ClientSeen || f.App == flow.AppDTLS && e.dtls.incomplete || f.App == flow.AppQUIC && e.quic.Incomplete {
		return true
	}
	if h.ServerSeen || h.HelloRetry || h.SSLv2Server {
		return false
	}
	for _, a := range h.Alerts {
		if a.FromServer {
			return false // the answer was no
		}
	}
	server := flow.ServerToClient
	if h.Reversed {
		server = flow.ClientToServer
	}
	return f.Half[server].Payload > 0
}

func certificateRow(c *certificate.Certificate) record.Certificate {
	return record.Certificate{
		SHA1: c.SHA1, SHA256: c.SHA256, Subject: c.Subject, Issuer: c.Issuer, Serial: c.Serial, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		SANs: c.SANs, KeyType: c.KeyType, KeyBits: uint32(max(c.KeyBits, 0)), Signature: c.Signature, SelfSigned: c.SelfSigned,
		CA: c.CA, SCTs: uint32(c.SCTs), Policies: c.Policies, Validation: c.Policy,
	}
}

// protocolName is text without allocating for the two that nearly all use.
func protocolName(p []byte) string {
	switch string(p) {
	case "h2":
		return "h2"
	case "http/1.1":
		return "http/1.1"
	}
	return text(p)
}

// text returns b as a string; bytes that are not valid UTF-8 and control
// characters become \xNN.
func text[T []byte | string](b T) string {
	clean := utf8.ValidString(string(b))
	for i := 0; clean && i < len(b); i++ {
		clean = b[i] >= ' ' && b[i] != 0x7f
	}
	if clean {
		return string(b)
	}
	raw, out := []byte(b), []byte(nil)
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 || raw[i] < ' ' || raw[i] == 0x7f {
			out = append(out, '\\', 'x')
			out = hex.AppendEncode(out, raw[i:i+1])
		} else {
			out = append(out, raw[i:i+n]...)
		}
		i += n
	}
	return string(out)
}

// emptyDNS returns old without its content, or a new object.
func emptyDNS(old *record.DNS) *record.DNS {
	if old == nil {
		old = new(record.DNS)
	}
	*old = record.DNS{Queries: old.Queries[:0], Answers: old.Answers[:0], Age: math.NaN()}
	return old
}

// resolution returns the answer that led to a flow, which is in e.message.
func (e *Extractor) resolution(old *record.DNS, f *flow.Flow) *record.DNS {
	d := emptyDNS(old)
	e.queries(d)
	e.answers(d)
	d.Age = float64(f.ResolutionAge) / 1e9
	return d
}

// dns fills a DNS flow's own queries and answers: each half is a row of
// messages behind their length (2 bytes), as DNS over TCP has it too.
func (e *Extractor) dns(dst *record.Record, f *flow.Flow, old *record.DNS) {
	d := emptyDNS(old)
	found := false
	for _, half := range []*flow.Half{&f.Half[flow.ClientToServer], &f.Half[flow.ServerToClient]} {
		for b := half.Handshake; len(b) > 0; {
			var message []byte
			message, b, _ = dnswire.CutMessage(b)
			if err := dnswire.Parse(&e.message, message); err == nil || len(e.message.Questions)+len(e.message.Answers) > 0 {
				found = true
				if e.message.Response {
					e.answers(d)
				}
				e.queries(d)
			}
		}
	}
	if found {
		dst.DNS = d
	}
}

// maxDNSEntries bounds the queries and the answers of one row.
const maxDNSEntries = 256

// queries adds the questions that are not there yet.
func (e *Extractor) queries(d *record.DNS) {
	for _, q := range e.message.Questions {
		query := record.Query{Name: text(q.Name), Type: dnswire.TypeName(q.Type)}
		if len(d.Queries) < maxDNSEntries && !slices.Contains(d.Queries, query) {
			d.Queries = append(d.Queries, query)
		}
	}
}

func (e *Extractor) answers(d *record.DNS) {
	d.RCode = dnswire.RCodeName(e.message.RCode)
	for _, a := range e.message.Answers {
		if len(d.Answers) < maxDNSEntries {
			d.Answers = append(d.Answers, record.Answer{Name: text(a.Name), Type: dnswire.TypeName(a.Type), TTL: a.TTL, Data: text(a.Data)})
		}
	}
}

// setHTTP fills the requests and responses of the header sections of both sides.
func setHTTP(dst *record.Record, client, server []byte, old *record.HTTP) {
	requests := httpwire.ParseRequests(client)
	responses := httpwire.ParseResponses(server)
	if len(requests)+len(responses) == 0 {
		return
	}
	if old == nil {
		old = new(record.HTTP)
	}
	h := &record.HTTP{Requests: old.Requests[:0], Responses: old.Responses[:0]}
	for _, r := range requests {
		h.Requests = append(h.Requests, record.Request{
			Method: text(r.Method), Target: text(r.Target), Host: text(r.Host), UserAgent: text(r.UserAgent), Version: text(r.Version), Headers: headers(r.Headers),
		})
	}
	for _, r := range responses {
		h.Responses = append(h.Responses, record.Response{Status: r.Status, Version: text(r.Version), Server: text(r.Server), Headers: headers(r.Headers)})
	}
	dst.HTTP = h
}

func headers(in []httpwire.Header) []record.Header {
	out := make([]record.Header, 0, len(in))
	for _, h := range in {
		out = append(out, record.Header{Name: text(h.Name), Value: text(h.Value)})
	}
	return out
}
