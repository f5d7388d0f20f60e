package features

import (
	"trench/pkg/fingerprint/foxio"
	"trench/pkg/flow"
	"trench/pkg/httpwire"
	"trench/pkg/quicwire"
	"trench/pkg/record"
	"trench/pkg/sshwire"
)

// quicColumns fills the columns of the row that QUIC has besides its object; the
// hello of Google's own handshake stands in for that of TLS.
func (e *Extractor) quicColumns(dst *record.Record) {
	c := &e.quic
	if c.Version != 0 {
		dst.QUICVersion = quicwire.VersionName(c.Version)
	}
	if g := &c.Google; g.Seen {
		dst.TLSSNI, dst.TLSALPN = text(g.SNI), text(g.ALPN)
	}
}

// quicRow returns what a QUIC connection shows besides its handshake; the memory
// of old's lists is used again.
func (e *Extractor) quicRow(old *record.QUIC) *record.QUIC {
	c := &e.quic
	if old == nil {
		old = new(record.QUIC)
	}
	q := old
	*q = record.QUIC{
		DCIDLength: uint32(max(c.DCIDLen, 0)), SCIDLength: uint32(max(c.SCIDLen, 0)), TokenLength: uint32(max(c.TokenLen, 0)),
		Retry: c.Retry, ZeroRTT: c.ZeroRTT, Versions: old.Versions[:0], Parameters: old.Parameters[:0], UserAgent: text(c.Google.UserAgent),
	}
	for _, v := range c.Versions {
		q.Versions = append(q.Versions, quicwire.VersionName(v))
	}
	for _, p := range c.parameters.List {
		q.Parameters = append(q.Parameters, p.ID)
	}
	return q
}

// ssh fills the row of an SSH flow.
func (e *Extractor) sshRow(dst *record.Record, f *flow.Flow, old *record.SSH) {
	client, server := &e.ssh[0], &e.ssh[1]
	client.Parse(f.Half[flow.ClientToServer].Handshake)
	server.Parse(f.Half[flow.ServerToClient].Handshake)
	if len(client.Banner)+len(server.Banner) == 0 && !client.Kex.Seen && !server.Kex.Seen {
		return
	}
	if old == nil {
		old = new(record.SSH)
	}
	*old = record.SSH{Client: text(client.Banner), Server: text(server.Banner)}
	if client.Kex.Seen {
		dst.HASSH = sshwire.HASSH(&client.Kex)
	}
	if server.Kex.Seen {
		old.HASSHServer = sshwire.HASSHServer(&server.Kex)
	}
	dst.SSH = old
}

// foxio fills the fingerprints whose licence was accepted, from the TCP handshake,
// the hello of the server, its certificate and the first HTTP request.
func (e *Extractor) foxio(dst *record.Record, f *flow.Flow) {
	c, s := &f.Half[flow.ClientToServer], &f.Half[flow.ServerToClient]
	dst.JA4T, dst.JA4TS = opening(c.Opening), opening(s.Opening)
	switch f.App {
	case flow.AppHTTP:
		dst.JA4H = firstRequest(c.Handshake)
	case flow.AppTLS, flow.AppDTLS, flow.AppQUIC:
		if h := &e.handshake; h.ServerSeen {
			dst.JA4S = foxio.JA4S(&h.Server, transport(f.App), h.Server.ALPN)
		}
		if leaf := e.facts.chain.leaf; leaf != nil {
			dst.JA4X = foxio.JA4X(leaf.IssuerOIDs, leaf.SubjectOIDs, leaf.ExtensionOIDs)
		}
		dst.JA4H = firstRequest(c.Preamble)
	}
}

// firstRequest returns JA4H of the first of some header sections.
func firstRequest(heads []byte) string {
	end := httpwire.HeaderEnd(heads)
	if end < 0 || !httpwire.LooksLikeRequest(heads) {
		return ""
	}
	return foxio.JA4H(heads[:end])
}

// opening returns JA4T of a window with the options behind it.
func opening(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	return foxio.JA4T(uint16(b[0])<<8|uint16(b[1]), b[2:])
}
