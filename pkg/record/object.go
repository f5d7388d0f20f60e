package record

import (
	"math"
	"strconv"
	"time"
)

// object writes a JSON object member by member.
type object struct{ b []byte }

func newObject(b []byte) object { return object{append(b, '{')} }

func (o *object) key(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) text(name, value string) {
	if value != "" {
		o.key(name)
		o.b = appendString(o.b, value)
	}
}

// flag writes what is true, number what is not 0.
func (o *object) flag(name string, value bool) {
	if value {
		o.decision(name, true)
	}
}

func (o *object) number(name string, value uint64) {
	if value != 0 {
		o.count(name, value)
	}
}

// count writes a number that says something also when it is 0, decision what is
// told also when it is false.
func (o *object) count(name string, value uint64) {
	o.key(name)
	o.b = strconv.AppendUint(o.b, value, 10)
}

func (o *object) decision(name string, value bool) {
	o.key(name)
	o.b = strconv.AppendBool(o.b, value)
}

func (o *object) texts(name string, values []string) {
	if len(values) > 0 {
		o.key(name)
		o.b = list(o.b, values, func(b []byte, s *string) []byte { return appendString(b, *s) })
	}
}

func numbers[T uint16 | uint32 | uint64](o *object, name string, values []T) {
	if len(values) > 0 {
		o.key(name)
		o.b = optInts(o.b, values)
	}
}

func (o *object) end() []byte { return append(o.b, '}') }

func appendCertificate(b []byte, c *Certificate) []byte {
	o := newObject(b)
	o.text("sha1", c.SHA1)
	o.text("sha256", c.SHA256)
	o.text("subject", c.Subject)
	o.text("issuer", c.Issuer)
	o.text("serial", c.Serial)
	o.key("not_before")
	o.b = appendDate(o.b, c.NotBefore)
	o.key("not_after")
	o.b = appendDate(o.b, c.NotAfter)
	o.texts("sans", c.SANs)
	o.text("key_type", c.KeyType)
	o.count("key_bits", uint64(c.KeyBits))
	o.text("signature", c.Signature)
	o.decision("self_signed", c.SelfSigned)
	o.decision("ca", c.CA)
	o.count("scts", uint64(c.SCTs))
	o.texts("policies", c.Policies)
	o.text("validation", c.Validation)
	return o.end()
}

// appendDate writes a certificate's date. X.509 dates end with the year 9999.
func appendDate(b []byte, sec int64) []byte {
	return time.Unix(sec, 0).UTC().AppendFormat(b, `"2006-01-02T15:04:05Z"`)
}

func appendTLS(b []byte, t *TLS) []byte {
	if t == nil {
		return b
	}
	o := newObject(b)
	o.text("group", t.Group)
	numbers(&o, "client_versions", t.ClientVersions)
	numbers(&o, "client_groups", t.ClientGroups)
	numbers(&o, "client_key_shares", t.ClientKeyShares)
	numbers(&o, "client_signatures", t.ClientSignatures)
	o.texts("client_alpn", t.ClientALPN)
	o.flag("hello_retry", t.HelloRetry)
	o.flag("session_offered", t.SessionOffered)
	o.flag("early_data", t.EarlyData)
	o.flag("ticket", t.Ticket)
	o.flag("ocsp_staple", t.OCSPStaple)
	o.flag("compressed", t.Compressed)
	o.flag("certificate_request", t.CertificateRequest)
	o.text("client_certificate", t.ClientCertificate)
	o.flag("renegotiation", t.Renegotiation)
	o.number("ech_config", uint64(t.ECHConfig))
	o.number("ech_payload", uint64(t.ECHPayload))
	o.number("record_size_limit", uint64(t.RecordSizeLimit))
	o.number("heartbeats", uint64(t.Heartbeats))
	o.flag("heartbeat_overread", t.HeartbeatOverread)
	if len(t.Alerts) > 0 {
		o.key("alerts")
		o.b = list(o.b, t.Alerts, func(b []byte, a *Alert) []byte {
			o := newObject(b)
			o.text("sender", a.Sender)
			o.text("level", a.Level)
			o.count("code", uint64(a.Code))
			o.text("description", a.Description)
			return o.end()
		})
	}
	return o.end()
}

func appendQUIC(b []byte, q *QUIC) []byte {
	if q == nil {
		return b
	}
	o := newObject(b)
	o.count("dcid_length", uint64(q.DCIDLength))
	o.count("scid_length", uint64(q.SCIDLength))
	o.number("token_length", uint64(q.TokenLength))
	o.flag("retry", q.Retry)
	o.flag("zero_rtt", q.ZeroRTT)
	o.texts("versions", q.Versions)
	numbers(&o, "parameters", q.Parameters)
	o.text("user_agent", q.UserAgent)
	return o.end()
}

func appendSSH(b []byte, s *SSH) []byte {
	if s == nil {
		return b
	}
	o := newObject(b)
	o.text("client", s.Client)
	o.text("server", s.Server)
	o.text("hassh_server", s.HASSHServer)
	return o.end()
}

func appendDHCP(b []byte, d *DHCP) []byte {
	if d == nil {
		return b
	}
	o := newObject(b)
	o.text("message", d.Message)
	o.text("host", d.Host)
	o.text("fqdn", d.FQDN)
	o.text("vendor", d.Vendor)
	o.text("client_id", d.ClientID)
	numbers(&o, "parameters", d.Parameters)
	o.text("address", d.Address)
	return o.end()
}

func appendDNS(b []byte, d *DNS) []byte {
	if d == nil {
		return b
	}
	o := newObject(b)
	if len(d.Queries) > 0 {
		o.key("queries")
		o.b = list(o.b, d.Queries, func(b []byte, q *Query) []byte {
			o := newObject(b)
			o.text("name", q.Name)
			o.text("type", q.Type)
			return o.end()
		})
	}
	if len(d.Answers) > 0 {
		o.key("answers")
		o.b = list(o.b, d.Answers, func(b []byte, a *Answer) []byte {
			o := newObject(b)
			o.text("name", a.Name)
			o.text("type", a.Type)
			o.count("ttl", uint64(a.TTL))
			o.text("data", a.Data)
			return o.end()
		})
	}
	o.text("rcode", d.RCode)
	if !math.IsNaN(d.Age) {
		o.key("age")
		o.b = strconv.AppendFloat(o.b, d.Age, 'g', -1, 64)
	}
	return o.end()
}

func appendHTTP(b []byte, h *HTTP) []byte {
	if h == nil {
		return b
	}
	o := newObject(b)
	if len(h.Requests) > 0 {
		o.key("requests")
		o.b = list(o.b, h.Requests, func(b []byte, q *Request) []byte {
			o := newObject(b)
			o.text("method", q.Method)
			o.text("target", q.Target)
			o.text("host", q.Host)
			o.text("user_agent", q.UserAgent)
			o.text("version", q.Version)
			o.headers(q.Headers)
			return o.end()
		})
	}
	if len(h.Responses) > 0 {
		o.key("responses")
		o.b = list(o.b, h.Responses, func(b []byte, s *Response) []byte {
			o := newObject(b)
			o.count("status", uint64(s.Status))
			o.text("version", s.Version)
			o.text("server", s.Server)
			o.headers(s.Headers)
			return o.end()
		})
	}
	return o.end()
}

func (o *object) headers(h []Header) {
	if len(h) == 0 {
		return
	}
	o.key("headers")
	o.b = list(o.b, h, func(b []byte, h *Header) []byte {
		o := newObject(b)
		o.text("name", h.Name)
		o.text("value", h.Value)
		return o.end()
	})
}

func appendShadow(b []byte, s *Shadow) []byte {
	o := newObject(b)
	o.text("model_id", s.ModelID)
	o.key("margin")
	o.b = nullFloat(o.b, s.Margin)
	o.key("score")
	o.b = nullFloat(o.b, s.Score)
	o.text("verdict", s.Verdict.String())
	return o.end()
}

func appendReason(b []byte, r *Reason) []byte {
	o := newObject(b)
	o.text("code", r.Code)
	o.text("text", r.Text)
	o.text("feature", r.Feature)
	o.key("value")
	o.b = nullFloat(o.b, r.Value)
	if r.Usual != nil {
		o.key("usual")
		o.b = append(nullFloat(append(o.b, '['), r.Usual.Low), ',')
		o.b = append(nullFloat(o.b, r.Usual.High), ']')
	}
	o.key("contribution")
	o.b = nullFloat(o.b, r.Contribution)
	o.text("attack", r.Attack)
	return o.end()
}
