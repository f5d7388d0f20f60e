package wire

import (
	"fmt"
	"math"

	"trench/pkg/record"
	"trench/pkg/wire/trenchv1"
)

// MarshalFeatures appends r's Features message to dst: everything but what
// scoring finds out (score, margin, verdict, model_id, reasons and shadow). On error dst
// is returned as it was.
func MarshalFeatures(dst []byte, r *record.Record) ([]byte, error) {
	if err := checkLists(r); err != nil {
		return dst, err
	}
	return marshal(dst, "features", &trenchv1.Features{Row: rowOut(r), Vector: r.Vector, VectorSchema: r.VectorSchema})
}

// UnmarshalFeatures replaces r by what b says. What scoring finds out is set to
// unscored. Nothing in r aliases b.
func UnmarshalFeatures(b []byte, r *record.Record) error {
	var m trenchv1.Features
	if err := unmarshal(b, "features", &m); err != nil {
		return err
	}
	var c check
	c.rowIn(r, m.Row)
	c.list("vector", len(m.Vector), MaxVector)
	r.Vector, r.VectorSchema = m.Vector, m.VectorSchema
	r.Score, r.Margin = math.NaN(), math.NaN()
	return c.wrap("features")
}

// MarshalVerdict appends r's Verdict message, all of r, to dst. On error dst is
// returned as it was.
func MarshalVerdict(dst []byte, r *record.Record) ([]byte, error) {
	if err := checkLists(r); err != nil {
		return dst, err
	}
	m := &trenchv1.Verdict{
		Row: rowOut(r), Vector: r.Vector, VectorSchema: r.VectorSchema,
		Score: r.Score, Margin: r.Margin, Level: trenchv1.Level(r.Verdict), ModelId: r.ModelID,
	}
	for i := range r.Reasons {
		s := &r.Reasons[i]
		m.Reasons = append(m.Reasons, &trenchv1.Reason{
			Code: s.Code, Text: s.Text, Value: s.Value, Contribution: s.Contribution, Attack: s.Attack, Feature: s.Feature, Usual: s.Usual.Ends(),
		})
	}
	for i := range r.Shadow {
		s := &r.Shadow[i]
		m.Shadow = append(m.Shadow, &trenchv1.Shadow{ModelId: s.ModelID, Margin: s.Margin, Score: s.Score, Level: trenchv1.Level(s.Verdict)})
	}
	return marshal(dst, "verdict", m)
}

// UnmarshalVerdict replaces r by what b says. Nothing in r aliases b.
func UnmarshalVerdict(b []byte, r *record.Record) error {
	var m trenchv1.Verdict
	if err := unmarshal(b, "verdict", &m); err != nil {
		return err
	}
	var c check
	c.rowIn(r, m.Row)
	c.list("vector", len(m.Vector), MaxVector)
	r.Vector, r.VectorSchema = m.Vector, m.VectorSchema
	r.Verdict = c.verdict("level", m.Level)
	r.Score, r.Margin, r.ModelID = m.Score, m.Margin, m.ModelId
	if n := c.list("reasons", len(m.Reasons), MaxList); n > 0 {
		r.Reasons = make([]record.Reason, n)
		for i, s := range m.Reasons {
			r.Reasons[i] = record.Reason{
				Code: s.Code, Text: s.Text, Value: s.Value, Contribution: s.Contribution, Attack: s.Attack, Feature: s.Feature,
			}
			switch len(s.Usual) {
			case 0:
			case 2:
				r.Reasons[i].Usual = &record.Range{Low: s.Usual[0], High: s.Usual[1]}
			default:
				c.fail("reasons.usual", "has %d values, want none or 2", len(s.Usual))
			}
		}
	}
	if n := c.list("shadow", len(m.Shadow), MaxList); n > 0 {
		r.Shadow = make([]record.Shadow, n)
		for i, s := range m.Shadow {
			r.Shadow[i] = record.Shadow{ModelID: s.ModelId, Margin: s.Margin, Score: s.Score, Verdict: c.verdict("shadow.level", s.Level)}
		}
	}
	return c.wrap("verdict")
}

func (c *check) verdict(field string, l trenchv1.Level) record.Verdict {
	if l < 0 || l > trenchv1.Level(record.Malicious) {
		c.fail(field, "%d is no value of it", l)
		return record.Unscored
	}
	return record.Verdict(l)
}

// checkLists refuses what the reader would refuse, so that the fault shows where
// it was made.
func checkLists(r *record.Record) error {
	lists := []struct {
		name     string
		n, limit int
	}{
		{"vector", len(r.Vector), MaxVector}, {"splt", len(r.SPLT), MaxList}, {"vlan", len(r.VLAN), MaxList},
		{"byte_dist", len(r.ByteDist), 256}, {"cert_chain", len(r.CertChain), MaxList}, {"reasons", len(r.Reasons), MaxList}, {"shadow", len(r.Shadow), MaxList},
		{"tls_client_ciphers", len(r.TLSClientCiphers), MaxList}, {"tls_client_extensions", len(r.TLSClientExtensions), MaxList},
		{"tls_server_extensions", len(r.TLSServerExtensions), MaxList},
	}
	if r.DNS != nil {
		lists = append(lists, []struct {
			name     string
			n, limit int
		}{{"dns.queries", len(r.DNS.Queries), MaxList}, {"dns.answers", len(r.DNS.Answers), MaxList}}...)
	}
	if t := r.TLS; t != nil {
		lists = append(lists, []struct {
			name     string
			n, limit int
		}{
			{"tls.client_versions", len(t.ClientVersions), MaxList}, {"tls.client_groups", len(t.ClientGroups), MaxList},
			{"tls.client_key_shares", len(t.ClientKeyShares), MaxList}, {"tls.client_signatures", len(t.ClientSignatures), MaxList},
			{"tls.client_alpn", len(t.ClientALPN), MaxList}, {"tls.alerts", len(t.Alerts), MaxList},
		}...)
	}
	if r.HTTP != nil {
		lists = append(lists, []struct {
			name     string
			n, limit int
		}{{"http.requests", len(r.HTTP.Requests), MaxList}, {"http.responses", len(r.HTTP.Responses), MaxList}}...)
	}
	for _, l := range lists {
		if l.n > l.limit {
			return fmt.Errorf("%w: %s: %d entries, the limit is %d", ErrTooLarge, l.name, l.n, l.limit)
		}
	}
	return nil
}

func rowOut(r *record.Record) *trenchv1.Row {
	m := &trenchv1.Row{
		FlowId: r.FlowID[:], Source: r.Source, Part: r.Part, Final: r.Final,
		TsNs: r.TS, DurationNs: r.TSEnd - r.TS, Proto: r.Proto, AppProto: r.AppProto,
		ClientIp: addrBytes(r.ClientIP), ClientPort: uint32(r.ClientPort),
		ServerIp: addrBytes(r.ServerIP), ServerPort: uint32(r.ServerPort),
		Vlan: widen(r.VLAN), Tunnel: r.Tunnel, Rtt: r.RTT,
		RetransC2S: r.RetransC2S, RetransS2C: r.RetransS2C, Gaps: r.Gaps, Truncated: r.Truncated,
		PacketsC2S: r.PacketsC2S, PacketsS2C: r.PacketsS2C, BytesC2S: r.BytesC2S, BytesS2C: r.BytesS2C,
		PayloadC2S: r.PayloadC2S, PayloadS2C: r.PayloadS2C, EndReason: r.EndReason,
		EntropyC2S: r.EntropyC2S, EntropyS2C: r.EntropyS2C, ByteDist: r.ByteDist,
		TlsVersion: r.TLSVersion, TlsCipher: r.TLSCipher, TlsSni: r.TLSSNI, TlsAlpn: r.TLSALPN,
		TlsResumed: r.TLSResumed, TlsEstablished: r.TLSEstablished, TlsIncomplete: r.TLSIncomplete, TlsEch: r.TLSECH,
		Starttls: r.StartTLS, QuicVersion: r.QUICVersion,
		TlsClientCiphers: widen(r.TLSClientCiphers), TlsClientExtensions: widen(r.TLSClientExtensions),
		TlsServerExtensions: widen(r.TLSServerExtensions), TlsKeyBits: r.TLSKeyBits,
		Ja3: r.JA3, Ja3S: r.JA3S, Ja4: r.JA4, Hassh: r.HASSH, CommunityId: r.CommunityID,
		VerdictNote: r.VerdictNote, SchemaHash: r.SchemaHash,
		Ja4S: r.JA4S, Ja4X: r.JA4X, Ja4H: r.JA4H, Ja4T: r.JA4T, Ja4Ts: r.JA4TS,
		Tls: tlsOut(r.TLS), Quic: quicOut(r.QUIC), Ssh: sshOut(r.SSH), Dhcp: dhcpOut(r.DHCP),
	}
	if n := len(r.SPLT); n > 0 {
		m.SpltLengths, m.SpltDeltas = make([]int32, n), make([]float64, n)
		for i, p := range r.SPLT {
			m.SpltLengths[i], m.SpltDeltas[i] = p.Length, p.Delta
		}
	}
	for i := range r.CertChain {
		c := &r.CertChain[i]
		m.CertChain = append(m.CertChain, &trenchv1.Certificate{
			Sha1: c.SHA1, Sha256: c.SHA256, Subject: c.Subject, Issuer: c.Issuer, Serial: c.Serial,
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, Sans: c.SANs, KeyType: c.KeyType, KeyBits: c.KeyBits,
			Signature: c.Signature, SelfSigned: c.SelfSigned, Ca: c.CA, Scts: c.SCTs, Policies: c.Policies, Validation: c.Validation,
		})
	}
	if d := r.DNS; d != nil {
		m.Dns = &trenchv1.Dns{Rcode: d.RCode, Age: d.Age}
		for i := range d.Queries {
			m.Dns.Queries = append(m.Dns.Queries, &trenchv1.DnsQuery{Name: d.Queries[i].Name, Type: d.Queries[i].Type})
		}
		for i := range d.Answers {
			a := &d.Answers[i]
			m.Dns.Answers = append(m.Dns.Answers, &trenchv1.DnsAnswer{Name: a.Name, Type: a.Type, Ttl: a.TTL, Data: a.Data})
		}
	}
	if h := r.HTTP; h != nil {
		m.Http = &trenchv1.Http{}
		for i := range h.Requests {
			q := &h.Requests[i]
			m.Http.Requests = append(m.Http.Requests, &trenchv1.HttpRequest{
				Method: q.Method, Target: q.Target, Host: q.Host, UserAgent: q.UserAgent, Version: q.Version, Headers: headersOut(q.Headers),
			})
		}
		for i := range h.Responses {
			p := &h.Responses[i]
			m.Http.Responses = append(m.Http.Responses, &trenchv1.HttpResponse{
				Status: uint32(p.Status), Version: p.Version, Server: p.Server, Headers: headersOut(p.Headers),
			})
		}
	}
	return m
}

func headersOut(hs []record.Header) (out []*trenchv1.HttpHeader) {
	for i := range hs {
		out = append(out, &trenchv1.HttpHeader{Name: hs[i].Name, Value: hs[i].Value})
	}
	return out
}

func (c *check) rowIn(r *record.Record, m *trenchv1.Row) {
	if m == nil {
		c.fail("row", "missing")
		*r = record.Record{}
		return
	}
	*r = record.Record{
		FlowID: c.id(m.FlowId), Source: m.Source, Part: m.Part, Final: m.Final,
		TS: m.TsNs, TSEnd: m.TsNs + m.DurationNs, Proto: m.Proto, AppProto: m.AppProto,
		ClientIP: c.addr("client_ip", m.ClientIp), ClientPort: c.u16("client_port", m.ClientPort),
		ServerIP: c.addr("server_ip", m.ServerIp), ServerPort: c.u16("server_port", m.ServerPort),
		VLAN: c.u16s("vlan", m.Vlan), Tunnel: m.Tunnel, RTT: m.Rtt,
		RetransC2S: m.RetransC2S, RetransS2C: m.RetransS2C, Gaps: m.Gaps, Truncated: m.Truncated,
		PacketsC2S: m.PacketsC2S, PacketsS2C: m.PacketsS2C, BytesC2S: m.BytesC2S, BytesS2C: m.BytesS2C,
		PayloadC2S: m.PayloadC2S, PayloadS2C: m.PayloadS2C, EndReason: m.EndReason,
		EntropyC2S: m.EntropyC2S, EntropyS2C: m.EntropyS2C, ByteDist: m.ByteDist,
		TLSVersion: m.TlsVersion, TLSCipher: m.TlsCipher, TLSSNI: m.TlsSni, TLSALPN: m.TlsAlpn,
		TLSResumed: m.TlsResumed, TLSEstablished: m.TlsEstablished, TLSIncomplete: m.TlsIncomplete, TLSECH: m.TlsEch,
		StartTLS: m.Starttls, QUICVersion: m.QuicVersion,
		TLSClientCiphers:    c.u16s("tls_client_ciphers", m.TlsClientCiphers),
		TLSClientExtensions: c.u16s("tls_client_extensions", m.TlsClientExtensions),
		TLSServerExtensions: c.u16s("tls_server_extensions", m.TlsServerExtensions), TLSKeyBits: m.TlsKeyBits,
		JA3: m.Ja3, JA3S: m.Ja3S, JA4: m.Ja4, HASSH: m.Hassh, CommunityID: m.CommunityId,
		VerdictNote: m.VerdictNote, SchemaHash: m.SchemaHash,
		JA4S: m.Ja4S, JA4X: m.Ja4X, JA4H: m.Ja4H, JA4T: m.Ja4T, JA4TS: m.Ja4Ts,
		TLS: c.tlsIn(m.Tls), QUIC: c.quicIn(m.Quic), SSH: sshIn(m.Ssh), DHCP: c.dhcpIn(m.Dhcp),
	}
	if n := len(m.ByteDist); n != 0 && n != 256 {
		c.fail("byte_dist", "%d counts, want none or 256", n)
	}
	if n := c.list("splt_lengths", len(m.SpltLengths), MaxList); len(m.SpltDeltas) != len(m.SpltLengths) {
		c.fail("splt_deltas", "%d entries beside %d lengths", len(m.SpltDeltas), len(m.SpltLengths))
	} else if n > 0 {
		r.SPLT = make([]record.Packet, n)
		for i := range r.SPLT {
			r.SPLT[i] = record.Packet{Length: m.SpltLengths[i], Delta: m.SpltDeltas[i]}
		}
	}
	if n := c.list("cert_chain", len(m.CertChain), MaxList); n > 0 {
		r.CertChain = make([]record.Certificate, n)
		for i, x := range m.CertChain {
			r.CertChain[i] = record.Certificate{
				SHA1: x.Sha1, SHA256: x.Sha256, Subject: x.Subject, Issuer: x.Issuer, Serial: x.Serial,
				NotBefore: x.NotBefore, NotAfter: x.NotAfter, SANs: x.Sans, KeyType: x.KeyType, KeyBits: x.KeyBits,
				Signature: x.Signature, SelfSigned: x.SelfSigned, CA: x.Ca, SCTs: x.Scts, Policies: x.Policies, Validation: x.Validation,
			}
		}
	}
	if d := m.Dns; d != nil {
		r.DNS = &record.DNS{RCode: d.Rcode, Age: d.Age}
		if n := c.list("dns.queries", len(d.Queries), MaxList); n > 0 {
			r.DNS.Queries = make([]record.Query, n)
			for i, q := range d.Queries {
				r.DNS.Queries[i] = record.Query{Name: q.Name, Type: q.Type}
			}
		}
		if n := c.list("dns.answers", len(d.Answers), MaxList); n > 0 {
			r.DNS.Answers = make([]record.Answer, n)
			for i, a := range d.Answers {
				r.DNS.Answers[i] = record.Answer{Name: a.Name, Type: a.Type, TTL: a.Ttl, Data: a.Data}
			}
		}
	}
	if h := m.Http; h != nil {
		r.HTTP = &record.HTTP{}
		if n := c.list("http.requests", len(h.Requests), MaxList); n > 0 {
			r.HTTP.Requests = make([]record.Request, n)
			for i, q := range h.Requests {
				r.HTTP.Requests[i] = record.Request{
					Method: q.Method, Target: q.Target, Host: q.Host, UserAgent: q.UserAgent, Version: q.Version, Headers: headersIn(q.Headers),
				}
			}
		}
		if n := c.list("http.responses", len(h.Responses), MaxList); n > 0 {
			r.HTTP.Responses = make([]record.Response, n)
			for i, p := range h.Responses {
				r.HTTP.Responses[i] = record.Response{
					Status: c.u16("http.responses.status", p.Status), Version: p.Version, Server: p.Server, Headers: headersIn(p.Headers),
				}
			}
		}
	}
}

func headersIn(hs []*trenchv1.HttpHeader) []record.Header {
	if len(hs) == 0 {
		return nil
	}
	out := make([]record.Header, len(hs))
	for i, h := range hs {
		out[i] = record.Header{Name: h.Name, Value: h.Value}
	}
	return out
}
