package foxio_test

import (
	"bytes"
	"regexp"
	"strconv"
	"testing"

	"trench/pkg/certificate"
	"trench/pkg/fingerprint/foxio"
	"trench/pkg/httpwire"
	"trench/pkg/internal/corpus"
	"trench/pkg/internal/corpus/traffic"
	"trench/pkg/packet"
	"trench/pkg/pcap"
	"trench/pkg/tlswire"
)

// frame is what one captured packet shows.
type frame struct {
	way  corpus.Way
	ja4t string // or JA4TS; of TCP alone
	syn  bool
	udp  []byte // payload
}

type capture struct {
	frames  map[int]frame // by number, from 1
	syns    map[corpus.Way]frame
	streams map[corpus.Way][]byte
}

func readCapture(t *testing.T, path string) capture {
	t.Helper()
	c := capture{frames: map[int]frame{}, syns: map[corpus.Way]frame{}, streams: traffic.Streams(t, path)}
	corpus.Captures(t, path, func(_ string, r *pcap.Reader) bool {
		traffic.Packets(r, func(number int, v *packet.View) {
			if v.Key.Protocol == packet.ProtocolICMP {
				c.frames[number] = quoted(v)
				return
			}
			f := newFrame(v)
			c.frames[number] = f
			if _, seen := c.syns[f.way]; f.syn && !seen {
				c.syns[f.way] = f
			}
		})
		return true
	})
	return c
}

func newFrame(v *packet.View) frame {
	f := frame{way: traffic.Way(v)}
	switch v.Key.Protocol {
	case packet.ProtocolTCP:
		f.ja4t, f.syn = foxio.JA4T(v.Window, v.TCPOptions()), v.Flags&packet.SYN != 0
	case packet.ProtocolUDP:
		f.udp = bytes.Clone(v.Payload)
	}
	return f
}

// quoted is what the packet shows that an ICMP error quotes.
func quoted(v *packet.View) frame {
	const icmpHeaderLen = 8
	var inner packet.View
	head := v.IP[int(v.IP[0]&15)*4:]
	q := pcap.Packet{Data: head[min(icmpHeaderLen, len(head)):], Link: pcap.LinkIPv4}
	if packet.NewDecoder(packet.DefaultConfig()).Decode(&inner, &q) != packet.OK {
		return frame{}
	}
	return newFrame(&inner)
}

var contentLength = regexp.MustCompile(`(?i)\ncontent-length: *(\d+)`)

// requestPrints returns JA4H of every request of a stream.
func requestPrints(stream []byte) []string {
	var out []string
	for httpwire.LooksLikeRequest(stream) {
		end := httpwire.HeaderEnd(stream)
		if end < 0 {
			break
		}
		out = append(out, foxio.JA4H(stream[:end]))
		if m := contentLength.FindSubmatch(stream[:end]); m != nil {
			n, err := strconv.Atoi(string(m[1]))
			if err != nil {
				break
			}
			end += n
		}
		stream = stream[min(end, len(stream)):]
	}
	return out
}

// messages returns the handshake messages of a server in clear, with their
// type before the body, from where TLS begins.
func messages(stream []byte) [][]byte {
	start := -1
	for i := 0; i+6 <= len(stream) && i < 4096; i++ {
		if stream[i] == tlswire.RecordHandshake && tlswire.LooksLikeRecord(stream[i:]) && stream[i+5] == tlswire.MessageServerHello {
			start = i
			break
		}
	}
	if start < 0 {
		return nil
	}
	var row []byte
	sealed := false
	for in := stream[start:]; tlswire.LooksLikeRecord(in); {
		n := min(len(in), tlswire.RecordHeaderLen+int(in[3])<<8+int(in[4]))
		body := in[tlswire.RecordHeaderLen:n]
		switch {
		case in[0] == tlswire.RecordChangeCipherSpec:
			sealed = true
		case in[0] != tlswire.RecordHandshake:
		case !sealed || body[0] == tlswire.MessageServerHello && body[1] == 0: // or it follows a retry
			row = append(row, body...)
		}
		in = in[n:]
	}
	var out [][]byte
	for len(row) >= 4 {
		n := 4 + int(row[1])<<16 + int(row[2])<<8 + int(row[3])
		if n > len(row) {
			break
		}
		out = append(out, append([]byte{row[0]}, row[4:n]...))
		row = row[n:]
	}
	return out
}

// serverPrints returns JA4S of every ServerHello, retries included, and JA4X of
// every certificate of a stream.
func serverPrints(t *testing.T, stream []byte) (ja4s, ja4x []string) {
	t.Helper()
	for _, m := range messages(stream) {
		switch m[0] {
		case tlswire.MessageServerHello:
			var h tlswire.ServerHello
			h.Parse(m[1:])
			ja4s = append(ja4s, foxio.JA4S(&h, 't', h.ALPN))
		case tlswire.MessageCertificate:
			for list := m[min(4, len(m)):]; len(list) > 3; {
				n := 3 + int(list[0])<<16 + int(list[1])<<8 + int(list[2])
				if n > len(list) {
					break
				}
				c, err := certificate.Parse(list[3:n])
				if err != nil {
					t.Error(err)
				}
				ja4x = append(ja4x, foxio.JA4X(c.IssuerOIDs, c.SubjectOIDs, c.ExtensionOIDs))
				list = list[n:]
			}
		}
	}
	return ja4s, ja4x
}
