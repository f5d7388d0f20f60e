package wire

import (
	"trench/pkg/record"
	"trench/pkg/wire/trenchv1"
)

// The objects of a row that one protocol fills: nil stands for nil.

func tlsOut(t *record.TLS) *trenchv1.Tls {
	if t == nil {
		return nil
	}
	m := &trenchv1.Tls{
		Group: t.Group, ClientVersions: widen(t.ClientVersions), ClientGroups: widen(t.ClientGroups), ClientKeyShares: widen(t.ClientKeyShares),
		ClientSignatures: widen(t.ClientSignatures), ClientAlpn: t.ClientALPN, HelloRetry: t.HelloRetry, SessionOffered: t.SessionOffered,
		EarlyData: t.EarlyData, Ticket: t.Ticket, OcspStaple: t.OCSPStaple, Compressed: t.Compressed, CertificateRequest: t.CertificateRequest,
		ClientCertificate: t.ClientCertificate, Renegotiation: t.Renegotiation, EchConfig: t.ECHConfig, EchPayload: t.ECHPayload,
		RecordSizeLimit: t.RecordSizeLimit, Heartbeats: t.Heartbeats, HeartbeatOverread: t.HeartbeatOverread,
	}
	for i := range t.Alerts {
		a := &t.Alerts[i]
		m.Alerts = append(m.Alerts, &trenchv1.TlsAlert{Sender: a.Sender, Level: a.Level, Code: a.Code, Description: a.Description})
	}
	return m
}

func (c *check) tlsIn(m *trenchv1.Tls) *record.TLS {
	if m == nil {
		return nil
	}
	t := &record.TLS{
		Group: m.Group, ClientVersions: c.u16s("tls.client_versions", m.ClientVersions), ClientGroups: c.u16s("tls.client_groups", m.ClientGroups),
		ClientKeyShares: c.u16s("tls.client_key_shares", m.ClientKeyShares), ClientSignatures: c.u16s("tls.client_signatures", m.ClientSignatures),
		ClientALPN: m.ClientAlpn, HelloRetry: m.HelloRetry, SessionOffered: m.SessionOffered,
		EarlyData: m.EarlyData, Ticket: m.Ticket, OCSPStaple: m.OcspStaple, Compressed: m.Compressed, CertificateRequest: m.CertificateRequest,
		ClientCertificate: m.ClientCertificate, Renegotiation: m.Renegotiation, ECHConfig: m.EchConfig, ECHPayload: m.EchPayload,
		RecordSizeLimit: m.RecordSizeLimit, Heartbeats: m.Heartbeats, HeartbeatOverread: m.HeartbeatOverread,
	}
	c.list("tls.client_alpn", len(m.ClientAlpn), MaxList)
	if n := c.list("tls.alerts", len(m.Alerts), MaxList); n > 0 {
		t.Alerts = make([]record.Alert, n)
		for i, a := range m.Alerts {
			t.Alerts[i] = record.Alert{Sender: a.Sender, Level: a.Level, Code: a.Code, Description: a.Description}
		}
	}
	return t
}

func quicOut(q *record.QUIC) *trenchv1.Quic {
	if q == nil {
		return nil
	}
	return &trenchv1.Quic{
		DcidLength: q.DCIDLength, ScidLength: q.SCIDLength, TokenLength: q.TokenLength, Retry: q.Retry, ZeroRtt: q.ZeroRTT,
		Versions: q.Versions, Parameters: q.Parameters, UserAgent: q.UserAgent,
	}
}

func (c *check) quicIn(m *trenchv1.Quic) *record.QUIC {
	if m == nil {
		return nil
	}
	c.list("quic.versions", len(m.Versions), MaxList)
	c.list("quic.parameters", len(m.Parameters), MaxList)
	return &record.QUIC{
		DCIDLength: m.DcidLength, SCIDLength: m.ScidLength, TokenLength: m.TokenLength, Retry: m.Retry, ZeroRTT: m.ZeroRtt,
		Versions: m.Versions, Parameters: m.Parameters, UserAgent: m.UserAgent,
	}
}

func sshOut(s *record.SSH) *trenchv1.Ssh {
	if s == nil {
		return nil
	}
	return &trenchv1.Ssh{Client: s.Client, Server: s.Server, HasshServer: s.HASSHServer}
}

func sshIn(m *trenchv1.Ssh) *record.SSH {
	if m == nil {
		return nil
	}
	return &record.SSH{Client: m.Client, Server: m.Server, HASSHServer: m.HasshServer}
}

func dhcpOut(d *record.DHCP) *trenchv1.Dhcp {
	if d == nil {
		return nil
	}
	return &trenchv1.Dhcp{
		Message: d.Message, Host: d.Host, Fqdn: d.FQDN, Vendor: d.Vendor, ClientId: d.ClientID, Parameters: d.Parameters, Address: d.Address,
	}
}

func (c *check) dhcpIn(m *trenchv1.Dhcp) *record.DHCP {
	if m == nil {
		return nil
	}
	c.list("dhcp.parameters", len(m.Parameters), MaxList)
	return &record.DHCP{
		Message: m.Message, Host: m.Host, FQDN: m.Fqdn, Vendor: m.Vendor, ClientID: m.ClientId, Parameters: m.Parameters, Address: m.Address,
	}
}
