package reference

import (
	"encoding/json"
	"fmt"
	"strings"

	"trench/pkg/flow"
	"trench/pkg/record"
)

// arkimeSession is one session of Arkime's JSON.
type arkimeSession struct {
	Protocol            uint8 `json:"ipProtocol"`
	SegmentCnt          int   `json:"segmentCnt"`
	Source, Destination arkimeEnd
	Client, Server      struct{ Bytes uint64 }
	Network             struct {
		CommunityID string `json:"community_id"`
		Packets     uint64
	}
	TLS *struct {
		Version, Cipher, JA3, JA3S, JA4 []string
	}
	QUIC *struct{ Host, Version, UserAgent []string }
	SSH  *struct{ HASSH, HASSHServer []string }
	Cert []struct {
		Hash, Serial        string
		NotBefore, NotAfter int64 // ms
	}
}

type arkimeEnd struct {
	IP      string
	Port    json.Number
	Packets uint64
}

func readArkime(c *Corpus) ([]*Expectation, error) {
	return readEntries(c, c.of("arkime", ""), parseArkime)
}

// parseArkime reads sessions of TCP and UDP. A session with several values of a
// field holds several connections' and gives none.
func parseArkime(data []byte, captures []string) ([]*Expectation, error) {
	var doc struct {
		Sessions []struct{ Body arkimeSession } `json:"sessions3"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	var out []*Expectation
	n := numbering{}
	for _, s := range doc.Sessions {
		b := s.Body
		proto := flow.ProtocolName(b.Protocol)
		ft, ok := parseEnds(b.Source.IP, b.Source.Port.String(), b.Destination.IP, b.Destination.Port.String())
		if !ok || proto != "tcp" && proto != "udp" || b.Network.Packets == 0 {
			continue // the last are the ends of sessions written before
		}
		e := &Expectation{Reference: "arkime", Captures: captures, Kind: AnyFlow, Proto: proto, Ends: []Ends{ft}, Ordinal: n.next(proto, ft)}
		if b.TLS != nil || b.QUIC != nil {
			e.Kind = TLSFlow
		}
		e.set("community id", b.Network.CommunityID, func(r *record.Record) string { return r.CommunityID })
		if b.TLS != nil {
			e.set("version", versionName(single(b.TLS.Version)), version)
			e.set("cipher", single(b.TLS.Cipher), cipher)
			e.set("ja3", single(b.TLS.JA3), ja3)
			e.set("ja3s", single(b.TLS.JA3S), ja3s)
			e.set("ja4", single(b.TLS.JA4), ja4)
		}
		if b.QUIC != nil {
			e.set("sni", single(b.QUIC.Host), sni)
			e.set("quic version", single(b.QUIC.Version), quicVersionOf)
			e.set("user agent", single(b.QUIC.UserAgent), func(r *record.Record) string {
				if r.QUIC == nil {
					return ""
				}
				return r.QUIC.UserAgent
			})
		}
		if b.SSH != nil {
			e.set("hassh", single(b.SSH.HASSH), func(r *record.Record) string { return r.HASSH })
			e.set("hassh of the server", single(b.SSH.HASSHServer), func(r *record.Record) string {
				if r.SSH == nil {
					return ""
				}
				return r.SSH.HASSHServer
			})
		}
		for _, c := range b.Cert { // a set, not in the order sent
			sha1 := plainHex(c.Hash)
			of := func(get func(*record.Certificate) string) func(*record.Record) string {
				return digested(func(c *record.Certificate) bool { return c.SHA1 == sha1 }, get)
			}
			e.set("certificate SHA-1", sha1, of(sha1Of))
			e.set("certificate serial", canonicalSerial(c.Serial), of(serialOf))
			e.set("certificate not before", date(c.NotBefore/1000), of(fromOf))
			e.set("certificate not after", date(c.NotAfter/1000), of(untilOf))
		}
		if b.SegmentCnt == 1 {
			e.set("packets", fmt.Sprint(b.Source.Packets), oriented(ft.Client, packets))
			e.set("packets back", fmt.Sprint(b.Destination.Packets), oriented(ft.Server, packets))
			e.set("payload", fmt.Sprint(b.Client.Bytes), oriented(ft.Client, payload))
			e.set("payload back", fmt.Sprint(b.Server.Bytes), oriented(ft.Server, payload))
		}
		out = append(out, e)
	}
	return out, nil
}

func single(list []string) string {
	if len(list) != 1 {
		return ""
	}
	return strings.TrimSpace(list[0])
}
