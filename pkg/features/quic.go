package features

import (
	"math"
	"strings"

	"trench/pkg/flow"
	"trench/pkg/quicwire"
)

// Classes of qu_version_class.
const (
	quicVersion1 = 1
	quicVersion2 = 2
	quicDraft    = 3
	quicGoogle   = 4
	quicOther    = 9
)

// quicFacts is what the packets of a QUIC connection show: group qu.
type quicFacts struct {
	is, version, dcid, scid, token, retry, zeroRTT, parameters float64
}

// read needs the parsed connection when the flow is QUIC, and its client's hello.
func (q *quicFacts) read(x *facts, c *quicConnection) {
	nan := math.NaN()
	*q = quicFacts{0, nan, nan, nan, nan, nan, nan, nan}
	if x.flow.App != flow.AppQUIC {
		return
	}
	q.is = 1
	if c.Version == 0 {
		return
	}
	q.version = versionClass(c.Version)
	if !c.ClientSeen {
		return
	}
	q.dcid, q.scid = observedLength(c.DCIDLen), observedLength(c.SCIDLen)
	q.token = observedLength(c.TokenLen)
	q.retry, q.zeroRTT = bit(c.Retry), bit(c.ZeroRTT)
	if body := x.hello.Client.QUICParameters; body != nil && x.client.extensionsWhole {
		q.parameters = float64(c.parameters.Count)
	}
}

func versionClass(version uint32) float64 {
	switch version {
	case quicwire.Version1:
		return quicVersion1
	case quicwire.Version2:
		return quicVersion2
	}
	switch name := quicwire.VersionName(version); {
	case strings.HasPrefix(name, "draft-"):
		return quicDraft
	case name[0] == 'Q', name[0] == 'T':
		return quicGoogle
	}
	return quicOther
}

// observedLength is NaN for what is below 0, which stands for not observed.
func observedLength(n int) float64 {
	if n < 0 {
		return math.NaN()
	}
	return float64(n)
}
