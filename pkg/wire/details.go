package wire

import "trench/pkg/record"

// The objects of a row that one protocol fills: nil is not written.

func (w *writer) tls(t *record.TLS) {
	if t == nil {
		return
	}
	at := w.open(61)
	w.string(1, t.Group)
	numbers(w, 2, "tls.client_versions", t.ClientVersions)
	numbers(w, 3, "tls.client_groups", t.ClientGroups)
	numbers(w, 4, "tls.client_key_shares", t.ClientKeyShares)
	numbers(w, 5, "tls.client_signatures", t.ClientSignatures)
	w.strings(6, "tls.client_alpn", t.ClientALPN)
	w.bool(7, t.HelloRetry)
	w.bool(8, t.SessionOffered)
	w.bool(9, t.EarlyData)
	w.bool(10, t.Ticket)
	w.bool(11, t.OCSPStaple)
	w.bool(12, t.Compressed)
	w.bool(13, t.CertificateRequest)
	w.string(14, t.ClientCertificate)
	w.bool(15, t.Renegotiation)
	w.uint(16, uint64(t.ECHConfig))
	w.uint(17, uint64(t.ECHPayload))
	w.uint(18, uint64(t.RecordSizeLimit))
	w.uint(19, uint64(t.Heartbeats))
	w.bool(20, t.HeartbeatOverread)
	if w.fits("tls.alerts", len(t.Alerts), MaxList) {
		for i := range t.Alerts {
			a := &t.Alerts[i]
			at := w.open(21)
			w.string(1, a.Sender)
			w.string(2, a.Level)
			w.uint(3, uint64(a.Code))
			w.string(4, a.Description)
			w.close(at)
		}
	}
	w.close(at)
}

func tls(in fields, t *record.TLS) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			t.Group = in.string()
		case 2<<3 | length, 2<<3 | varint:
			t.ClientVersions = list(&in, "tls.client_versions", t.ClientVersions, MaxList)
		case 3<<3 | length, 3<<3 | varint:
			t.ClientGroups = list(&in, "tls.client_groups", t.ClientGroups, MaxList)
		case 4<<3 | length, 4<<3 | varint:
			t.ClientKeyShares = list(&in, "tls.client_key_shares", t.ClientKeyShares, MaxList)
		case 5<<3 | length, 5<<3 | varint:
			t.ClientSignatures = list(&in, "tls.client_signatures", t.ClientSignatures, MaxList)
		case 6<<3 | length:
			t.ClientALPN = in.strings("tls.client_alpn", t.ClientALPN)
		case 7<<3 | varint:
			t.HelloRetry = in.bool()
		case 8<<3 | varint:
			t.SessionOffered = in.bool()
		case 9<<3 | varint:
			t.EarlyData = in.bool()
		case 10<<3 | varint:
			t.Ticket = in.bool()
		case 11<<3 | varint:
			t.OCSPStaple = in.bool()
		case 12<<3 | varint:
			t.Compressed = in.bool()
		case 13<<3 | varint:
			t.CertificateRequest = in.bool()
		case 14<<3 | length:
			t.ClientCertificate = in.string()
		case 15<<3 | varint:
			t.Renegotiation = in.bool()
		case 16<<3 | varint:
			t.ECHConfig = in.uint32()
		case 17<<3 | varint:
			t.ECHPayload = in.uint32()
		case 18<<3 | varint:
			t.RecordSizeLimit = in.uint32()
		case 19<<3 | varint:
			t.Heartbeats = in.uint32()
		case 20<<3 | varint:
			t.HeartbeatOverread = in.bool()
		case 21<<3 | length:
			if a := one(&in, "tls.alerts", &t.Alerts); a != nil {
				alert(in.message(), a)
			}
		default:
			in.skip()
		}
	}
}

func alert(in fields, a *record.Alert) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			a.Sender = in.string()
		case 2<<3 | length:
			a.Level = in.string()
		case 3<<3 | varint:
			a.Code = in.uint32()
		case 4<<3 | length:
			a.Description = in.string()
		default:
			in.skip()
		}
	}
}

func (w *writer) quic(q *record.QUIC) {
	if q == nil {
		return
	}
	at := w.open(62)
	w.uint(1, uint64(q.DCIDLength))
	w.uint(2, uint64(q.SCIDLength))
	w.uint(3, uint64(q.TokenLength))
	w.bool(4, q.Retry)
	w.bool(5, q.ZeroRTT)
	w.strings(6, "quic.versions", q.Versions)
	numbers(w, 7, "quic.parameters", q.Parameters)
	w.string(8, q.UserAgent)
	w.close(at)
}

func quic(in fields, q *record.QUIC) {
	for in.next() {
		switch in.tag {
		case 1<<3 | varint:
			q.DCIDLength = in.uint32()
		case 2<<3 | varint:
			q.SCIDLength = in.uint32()
		case 3<<3 | varint:
			q.TokenLength = in.uint32()
		case 4<<3 | varint:
			q.Retry = in.bool()
		case 5<<3 | varint:
			q.ZeroRTT = in.bool()
		case 6<<3 | length:
			q.Versions = in.strings("quic.versions", q.Versions)
		case 7<<3 | length, 7<<3 | varint:
			q.Parameters = list(&in, "quic.parameters", q.Parameters, MaxList)
		case 8<<3 | length:
			q.UserAgent = in.string()
		default:
			in.skip()
		}
	}
}

func (w *writer) ssh(s *record.SSH) {
	if s == nil {
		return
	}
	at := w.open(63)
	w.string(1, s.Client)
	w.string(2, s.Server)
	w.string(3, s.HASSHServer)
	w.close(at)
}

func ssh(in fields, s *record.SSH) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			s.Client = in.string()
		case 2<<3 | length:
			s.Server = in.string()
		case 3<<3 | length:
			s.HASSHServer = in.string()
		default:
			in.skip()
		}
	}
}

func (w *writer) dhcp(d *record.DHCP) {
	if d == nil {
		return
	}
	at := w.open(64)
	w.string(1, d.Message)
	w.string(2, d.Host)
	w.string(3, d.FQDN)
	w.string(4, d.Vendor)
	w.string(5, d.ClientID)
	numbers(w, 6, "dhcp.parameters", d.Parameters)
	w.string(7, d.Address)
	w.close(at)
}

func dhcp(in fields, d *record.DHCP) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			d.Message = in.string()
		case 2<<3 | length:
			d.Host = in.string()
		case 3<<3 | length:
			d.FQDN = in.string()
		case 4<<3 | length:
			d.Vendor = in.string()
		case 5<<3 | length:
			d.ClientID = in.string()
		case 6<<3 | length, 6<<3 | varint:
			d.Parameters = list(&in, "dhcp.parameters", d.Parameters, MaxList)
		case 7<<3 | length:
			d.Address = in.string()
		default:
			in.skip()
		}
	}
}

func (w *writer) dns(d *record.DNS) {
	if d == nil || !w.fits("dns.queries", len(d.Queries), MaxList) || !w.fits("dns.answers", len(d.Answers), MaxList) {
		return
	}
	at := w.open(50)
	for i := range d.Queries {
		at := w.open(1)
		w.string(1, d.Queries[i].Name)
		w.string(2, d.Queries[i].Type)
		w.close(at)
	}
	for i := range d.Answers {
		a := &d.Answers[i]
		at := w.open(2)
		w.string(1, a.Name)
		w.string(2, a.Type)
		w.uint(3, uint64(a.TTL))
		w.string(4, a.Data)
		w.close(at)
	}
	w.string(3, d.RCode)
	w.double(4, d.Age)
	w.close(at)
}

func dns(in fields, d *record.DNS) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			if q := one(&in, "dns.queries", &d.Queries); q != nil {
				query(in.message(), q)
			}
		case 2<<3 | length:
			if a := one(&in, "dns.answers", &d.Answers); a != nil {
				answer(in.message(), a)
			}
		case 3<<3 | length:
			d.RCode = in.string()
		case 4<<3 | fixed64:
			d.Age = in.double()
		default:
			in.skip()
		}
	}
}

func query(in fields, q *record.Query) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			q.Name = in.string()
		case 2<<3 | length:
			q.Type = in.string()
		default:
			in.skip()
		}
	}
}

func answer(in fields, a *record.Answer) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			a.Name = in.string()
		case 2<<3 | length:
			a.Type = in.string()
		case 3<<3 | varint:
			a.TTL = in.uint32()
		case 4<<3 | length:
			a.Data = in.string()
		default:
			in.skip()
		}
	}
}

func (w *writer) http(h *record.HTTP) {
	if h == nil || !w.fits("http.requests", len(h.Requests), MaxList) || !w.fits("http.responses", len(h.Responses), MaxList) {
		return
	}
	at := w.open(51)
	for i := range h.Requests {
		q := &h.Requests[i]
		at := w.open(1)
		w.string(1, q.Method)
		w.string(2, q.Target)
		w.string(3, q.Host)
		w.string(4, q.UserAgent)
		w.string(5, q.Version)
		w.headers(6, "http.requests.headers", q.Headers)
		w.close(at)
	}
	for i := range h.Responses {
		p := &h.Responses[i]
		at := w.open(2)
		w.uint(1, uint64(p.Status))
		w.string(2, p.Version)
		w.string(3, p.Server)
		w.headers(4, "http.responses.headers", p.Headers)
		w.close(at)
	}
	w.close(at)
}

func (w *writer) headers(num uint64, field string, headers []record.Header) {
	if !w.fits(field, len(headers), MaxList) {
		return
	}
	for i := range headers {
		at := w.open(num)
		w.string(1, headers[i].Name)
		w.string(2, headers[i].Value)
		w.close(at)
	}
}

func http(in fields, h *record.HTTP) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			if q := one(&in, "http.requests", &h.Requests); q != nil {
				request(in.message(), q)
			}
		case 2<<3 | length:
			if p := one(&in, "http.responses", &h.Responses); p != nil {
				response(in.message(), p)
			}
		default:
			in.skip()
		}
	}
}

func request(in fields, q *record.Request) {
	for in.next() {
		switch in.tag {
		case 1<<3 | length:
			q.Method = in.string()
		case 2<<3 | length:
			q.Target = in.string()
		case 3<<3 | length:
			q.Host = in.string()
		case 4<<3 | length:
			q.UserAgent = in.string()
		case 5<<3 | length:
			q.Version = in.string()
		case 6<<3 | length:
			q.Headers = header(&in, "http.requests.headers", q.Headers)
		default:
			in.skip()
		}
	}
}

func response(in fields, p *record.Response) {
	status := uint32(0)
	for in.next() {
		switch in.tag {
		case 1<<3 | varint:
			status = in.uint32()
		case 2<<3 | length:
			p.Version = in.string()
		case 3<<3 | length:
			p.Server = in.string()
		case 4<<3 | length:
			p.Headers = header(&in, "http.responses.headers", p.Headers)
		default:
			in.skip()
		}
	}
	p.Status = in.u16("http.responses.status", status)
}

func header(outer *fields, field string, headers []record.Header) []record.Header {
	h := one(outer, field, &headers)
	if h == nil {
		return headers
	}
	for in := outer.message(); in.next(); {
		switch in.tag {
		case 1<<3 | length:
			h.Name = in.string()
		case 2<<3 | length:
			h.Value = in.string()
		default:
			in.skip()
		}
	}
	return headers
}
