package quicwire_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"trench/pkg/flow"
	"trench/pkg/internal/corpus"
	"trench/pkg/packet"
	"trench/pkg/pcap"
	"trench/pkg/quicwire"
)

type rows struct {
	sides [2][]byte
	first int
}

func connections(r *pcap.Reader) map[flow.Key]*rows {
	out := map[flow.Key]*rows{}
	d := packet.NewDecoder(packet.DefaultConfig())
	var block pcap.Block
	var v packet.View
	for {
		err := r.ReadBlock(&block)
		for i := range block.Packets {
			if d.Decode(&v, &block.Packets[i]) != packet.OK || v.Key.Protocol != packet.ProtocolUDP {
				continue
			}
			side := 1
			if v.Forward {
				side = 0
			}
			f := out[v.Key]
			if f == nil {
				if !quicwire.LooksLikeLongHeader(v.Payload) && !quicwire.IsPublicHeader(v.Payload) {
					continue
				}
				f = &rows{first: side}
				out[v.Key] = f
			}
			if len(v.Payload) > 0 && (v.Payload[0]&0x80 != 0 || quicwire.IsPublicHeader(v.Payload)) && len(f.sides[side]) < 32<<10 {
				f.sides[side] = append(binary.BigEndian.AppendUint16(f.sides[side], uint16(len(v.Payload))), v.Payload...)
			}
		}
		if errors.Is(err, io.EOF) || err != nil {
			return out
		}
	}
}

func TestProbe(t *testing.T) {
	dir := corpus.Dir(t)
	var c quicwire.Connection
	n, ok := 0, 0
	corpus.Captures(t, dir+"/"+os.Getenv("SUB"), func(path string, r *pcap.Reader) bool {
		for k, f := range connections(r) {
			n++
			c.Parse(f.sides[f.first], f.sides[1-f.first])
			if len(c.Client) > 0 || c.Google.Seen {
				ok++
			}
			h := hello(&c)
			if c.Incomplete || len(c.Client) == 0 || h.Incomplete || c.Reversed || c.Retry || c.VersionNegotiation || c.Version != c.Offered {
				t.Logf("%s %v %s/%s inc=%v rev=%v retry=%v 0rtt=%v vn=%v tok=%d ids %d/%d cl=%d(%v) sv=%d(%v) g=%v %s %s %d seen %v/%v", path[len(dir):], k, quicwire.VersionName(c.Version), quicwire.VersionName(c.Offered), c.Incomplete,
					c.Reversed, c.Retry, c.ZeroRTT, c.VersionNegotiation, c.TokenLen, c.DCIDLen, c.SCIDLen, len(c.Client), h.ClientSeen, len(c.Server), h.ServerSeen, c.Google.Seen, c.Google.SNI, c.Google.UserAgent, len(c.Google.Tags), c.ClientSeen, c.ServerSeen)
			}
		}
		return true
	})
	t.Log(n, ok)
}
