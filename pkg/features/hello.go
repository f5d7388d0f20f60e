package features

import (
	"bytes"
	"math"

	"trench/pkg/flow"
	"trench/pkg/tlswire"
)

// clientFacts is what the ClientHello shows: group ch.
type clientFacts struct {
	seen bool
	// suitesWhole and extensionsWhole say that nothing of these lists is
	// missing, so what is absent was not sent.
	suitesWhole, extensionsWhole bool

	suiteBits, extensionBits                uint64
	suites, real, aead, pfs, weak           float64
	extensions, unknown                     float64
	groups, signatures, alpn, shares, bytes float64
	alpnClass                               float64
	grease, scsv, hybrid                    bool
}

const (
	hybridClass = 4 // of groupList
	otherClass  = 9 // what no class of a list has
)

func (c *clientFacts) read(l *lists, h *tlswire.Handshake) {
	*c = clientFacts{seen: h.ClientSeen}
	if !c.seen {
		return
	}
	hello := &h.Client
	c.extensionsWhole = !hello.Incomplete
	c.suitesWhole = !hello.Incomplete || hello.HasExtensions || len(hello.Compression) > 0
	for _, id := range hello.CipherSuites {
		if tlswire.IsGREASE(id) {
			c.grease = true
			continue
		}
		c.suites++
		v := l.suites.at(id)
		if column := v >> suiteColumnShift; column > 0 {
			c.suiteBits |= 1 << (column - 1)
		}
		if v&suiteSignal != 0 {
			c.scsv = true
			continue
		}
		c.real++
		c.aead += bit(v&suiteAEAD != 0)
		c.pfs += bit(v&suitePFS != 0)
		c.weak += bit(v&suiteWeak != 0)
	}
	for _, id := range hello.Extensions {
		if tlswire.IsGREASE(id) {
			c.grease = true
			continue
		}
		c.extensions++
		v := l.extensions.at(id)
		if column := v >> extensionColumnShift; column > 0 {
			c.extensionBits |= 1 << (column - 1)
		}
		if v == 0 {
			c.unknown++
		}
	}
	for _, id := range hello.Groups {
		if tlswire.IsGREASE(id) {
			c.grease = true
			continue
		}
		c.groups++
		c.hybrid = c.hybrid || l.groups.at(id) == hybridClass
	}
	for _, id := range hello.SignatureAlgs {
		if tlswire.IsGREASE(id) {
			c.grease = true
			continue
		}
		c.signatures++
	}
	for _, id := range hello.SupportedVersions {
		c.grease = c.grease || tlswire.IsGREASE(id)
	}
	for _, s := range hello.KeyShares {
		if tlswire.IsGREASE(s.Group) {
			c.grease = true
			continue
		}
		c.shares++
		c.bytes += float64(s.Length)
		c.hybrid = c.hybrid || l.groups.at(s.Group) == hybridClass
	}
	for _, p := range hello.ALPN {
		if greaseALPN(p) {
			c.grease = true
			continue
		}
		if c.alpn == 0 {
			c.alpnClass = l.alpnClass(p)
		}
		c.alpn++
	}
}

func greaseALPN(p []byte) bool {
	return len(p) == 2 && tlswire.IsGREASE(uint16(p[0])<<8|uint16(p[1]))
}

// alpnClass is 0 for none.
func (l *lists) alpnClass(protocol []byte) float64 {
	if len(protocol) == 0 {
		return 0
	}
	if class, ok := l.alpn[string(protocol)]; ok {
		return float64(class)
	}
	return otherClass
}

func (l *lists) groupClass(id uint16) float64 {
	if class := l.groups.at(id); class > 0 {
		return float64(class)
	}
	return otherClass
}

// suite guards a value that needs the whole list of suites.
func (x *facts) suite(v float64) float64 {
	if !x.client.seen || !x.client.suitesWhole {
		return math.NaN()
	}
	return v
}

// extension guards a value that needs the whole list of extensions.
func (x *facts) extension(v float64) float64 {
	if !x.client.seen || !x.client.extensionsWhole {
		return math.NaN()
	}
	return v
}

// within guards a value from the body of one extension. In a cut hello only an
// extension that another one follows was read whole.
func (x *facts) within(id uint16, v float64) float64 {
	if !x.client.seen {
		return math.NaN()
	}
	if x.client.extensionsWhole {
		return v
	}
	list := x.hello.Client.Extensions
	for i := 0; i < len(list)-1; i++ {
		if list[i] == id {
			return v
		}
	}
	return math.NaN()
}

// presence is 1 for what was seen, 0 for what is known to be absent.
func (x *facts) presence(seen, whole bool) float64 {
	switch {
	case !x.client.seen:
		return math.NaN()
	case seen:
		return 1
	case whole:
		return 0
	}
	return math.NaN()
}

// versionNumber maps every draft of TLS 1.3 to TLS 1.3, and the versions of DTLS,
// whose numbers count down, to those of TLS that they are made from.
func versionNumber(v uint16) uint16 {
	switch {
	case tlswire.IsTLS13(v):
		return tlswire.VersionTLS13
	case v == tlswire.VersionDTLS12:
		return tlswire.VersionTLS12
	case v == tlswire.VersionDTLS10, v == versionBeforeDTLS:
		return tlswire.VersionTLS11
	}
	return v
}

// versionBeforeDTLS is what OpenSSL spoke before DTLS 1.0 was a standard.
const versionBeforeDTLS = 0x0100

// serverVersion is the negotiated version. It is not known from a ServerHello
// that was cut before supported_versions could be read.
func serverVersion(h *tlswire.Handshake) (v uint16, known bool) {
	if !h.ServerSeen {
		return 0, false
	}
	v = versionNumber(h.Server.SelectedVersion)
	if h.Server.Incomplete && v == tlswire.VersionTLS12 || v == 0 {
		return v, false
	}
	return v, true
}

// serverFacts is what the server's side of the handshake shows: group sh.
type serverFacts struct {
	observable  bool // a ServerHello was seen, or could have been
	seen        bool
	whole       bool // the ServerHello was read to its end
	tls13       bool
	before13    bool
	version     float64
	suite       uint16
	suiteKnown  bool
	resumed     float64 // 1, 0, or NaN when undecided
	done        bool    // the server's flight in clear was seen to its end
	established bool
	alert       float64
}

func (s *serverFacts) read(l *lists, f *flow.Flow, h *tlswire.Handshake) {
	*s = serverFacts{seen: h.ServerSeen, version: math.NaN(), resumed: math.NaN(), alert: math.NaN()}
	server := flow.ServerToClient
	if h.Reversed {
		server = flow.ClientToServer
	}
	s.observable = h.ServerSeen || h.ClientSeen && f.Half[server].Packets > 0
	if h.ClientSeen || h.ServerSeen {
		s.alert = 0
		for _, a := range h.Alerts {
			s.alert = max(s.alert, float64(a.Level))
		}
	}
	if !s.seen {
		return
	}
	s.whole = !h.Server.Incomplete
	if v, known := serverVersion(h); known {
		s.version = float64(v)
		s.tls13 = v == tlswire.VersionTLS13
		s.before13 = !s.tls13
	}
	s.suite, s.suiteKnown = l.suites.at(h.Server.CipherSuite), s.whole || h.Server.CipherSuite != 0
	s.resumed = resumed(h, s)
	s.done = s.before13 && (h.ServerHelloDone || s.resumed == 1)
	switch {
	case f.App == flow.AppQUIC:
		s.established = f.Half[0].ShortHeaders > 0 && f.Half[1].ShortHeaders > 0
	case s.tls13:
		s.established = f.Half[0].AppRecords > 0 && f.Half[1].AppRecords > 0
	case s.before13:
		s.established = h.ClientFinished && h.ServerFinished
	}
}

// resumed tells an abbreviated handshake from a full one; the definition stands
// at sh_resumed.
func resumed(h *tlswire.Handshake, s *serverFacts) float64 {
	switch {
	case s.tls13:
		if h.Server.PSK {
			return 1
		}
		if s.whole {
			return 0
		}
		return math.NaN()
	case !s.before13:
		return math.NaN()
	case h.CertificateSeen, h.ServerHelloDone, h.ServerKeyExchangeLen >= 0, h.ClientKeyExchangeLen >= 0:
		return 0
	case h.ClientSeen && len(h.Server.SessionID) > 0 && bytes.Equal(h.Server.SessionID, h.Client.SessionID):
		return 1
	case h.ClientSeen && h.Client.SessionTicketLen > 0 && h.ServerCCS:
		return 1
	}
	return math.NaN()
}

// before13 guards a value that only TLS 1.2 and before show.
func (x *facts) before13(v float64) float64 {
	if !x.server.before13 {
		return math.NaN()
	}
	return v
}

// sent is 1 for a message of the server's flight in clear that was seen, 0 when
// the flight was seen to its end without it.
func (x *facts) sent(seen bool) float64 {
	switch {
	case !x.server.before13:
		return math.NaN()
	case seen:
		return 1
	case x.server.done:
		return 0
	}
	return math.NaN()
}

func (x *facts) ticket() float64 {
	switch {
	case !x.server.before13:
		return math.NaN()
	case x.hello.NewSessionTicket:
		return 1
	case x.hello.ServerCCS:
		return 0
	}
	return math.NaN()
}

// chosenSuite guards a value of the selected suite.
func (x *facts) chosenSuite(v float64) float64 {
	if !x.server.seen || !x.server.suiteKnown {
		return math.NaN()
	}
	return v
}

func (x *facts) chosenGroup() float64 {
	switch h := x.hello; {
	case x.server.tls13 && h.Server.KeyShare.Group != 0:
		return x.lists.groupClass(h.Server.KeyShare.Group)
	case x.server.before13 && h.ServerGroup != 0:
		return x.lists.groupClass(h.ServerGroup)
	case x.server.before13 && h.ServerDHBits > 0:
		const finiteField = 3
		return finiteField
	}
	return math.NaN()
}

// clientKeyBits is Joy's c_key_length, -1 when no ClientKeyExchange was seen.
func clientKeyBits(h *tlswire.Handshake) int {
	const most = 8192
	if h.ClientKeyExchangeLen < 0 {
		return -1
	}
	if n := 8 * h.ClientKeyExchangeLen; n <= most {
		return n
	}
	return 0
}
