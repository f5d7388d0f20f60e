package features

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"trench/pkg/record"
	"trench/pkg/tlswire"
)

// details returns what else the handshake shows; the memory of old's lists is used
// again. Without a hello and an alert there is nothing.
func (e *Extractor) details(old *record.TLS) *record.TLS {
	h := &e.handshake
	if !h.ClientSeen && !h.ServerSeen && len(h.Alerts) == 0 && h.Heartbeats == 0 {
		return nil
	}
	if old == nil {
		old = new(record.TLS)
	}
	d := old
	*d = record.TLS{
		ClientVersions: old.ClientVersions[:0], ClientGroups: old.ClientGroups[:0], ClientKeyShares: old.ClientKeyShares[:0],
		ClientSignatures: old.ClientSignatures[:0], ClientALPN: old.ClientALPN[:0], Alerts: old.Alerts[:0],
		Group: e.group(), HelloRetry: h.HelloRetry || h.HelloVerify, Ticket: h.NewSessionTicket, OCSPStaple: h.OCSPStaple,
		Compressed: h.CertificateCompression != 0, CertificateRequest: h.CertificateRequest, Renegotiation: renegotiates(h),
		Heartbeats: uint32(h.Heartbeats), HeartbeatOverread: h.HeartbeatOverread,
	}
	if len(h.ClientCertificates) > 0 {
		sum := sha256.Sum256(h.ClientCertificates[0])
		d.ClientCertificate = hex.EncodeToString(sum[:])
	}
	for _, a := range h.Alerts {
		d.Alerts = append(d.Alerts, alertRow(a))
	}
	if !h.ClientSeen {
		return d
	}
	c := &h.Client
	d.ClientVersions = append(d.ClientVersions, c.SupportedVersions...)
	d.ClientGroups = append(d.ClientGroups, c.Groups...)
	for _, s := range c.KeyShares {
		d.ClientKeyShares = append(d.ClientKeyShares, s.Group)
	}
	d.ClientSignatures = append(d.ClientSignatures, c.SignatureAlgs...)
	for _, p := range c.ALPN {
		d.ClientALPN = append(d.ClientALPN, protocolName(p))
	}
	d.SessionOffered = len(c.SessionID) > 0 && !tlswire.IsTLS13(c.MaxVersion()) || c.SessionTicketLen > 0 || c.PSK
	d.EarlyData = c.EarlyData
	d.RecordSizeLimit = uint32(c.RecordSizeLimit)
	if c.ECH {
		d.ECHConfig, d.ECHPayload = uint32(c.EncryptedHello.ConfigID), uint32(c.EncryptedHello.PayloadLen)
	}
	return d
}

// group names the group that was negotiated: of the key share, or of the
// ServerKeyExchange.
func (e *Extractor) group() string {
	h := &e.handshake
	switch {
	case !h.ServerSeen:
		return ""
	case h.Server.KeyShare.Group != 0:
		return tlswire.GroupName(h.Server.KeyShare.Group)
	case h.ServerGroup != 0:
		return tlswire.GroupName(h.ServerGroup)
	case h.ServerDHBits > 0:
		return "dh" + strconv.Itoa(h.ServerDHBits)
	}
	return ""
}

// renegotiates reports whether a second handshake was asked for, or begun, in
// clear. A second hello without a request for it by the server's first answer
// begins one.
func renegotiates(h *tlswire.Handshake) bool {
	return h.HelloRequest || h.SecondHello && !h.HelloRetry && !h.HelloVerify || h.ClientSeen && h.Client.RenegotiationInfoLen > 0
}

func alertRow(a tlswire.Alert) record.Alert {
	sender, level := "client", "warning"
	if a.FromServer {
		sender = "server"
	}
	if a.Level == 2 {
		level = "fatal"
	}
	return record.Alert{Sender: sender, Level: level, Code: uint32(a.Description), Description: tlswire.AlertName(a.Description)}
}
