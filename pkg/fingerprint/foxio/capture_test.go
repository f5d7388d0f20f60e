package foxio_test

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"trench/pkg/certificate"
	"trench/pkg/fingerprint/foxio"
	"trench/pkg/httpwire"
	"trench/pkg/pcap"
	"trench/pkg/tlswire"
)

// The golden tests read captures with a plain reassembly of their own, so that
// they judge the fingerprints alone.

type endpoints struct{ src, dst netip.AddrPort }

func (e endpoints) reverse() endpoints { return endpoints{e.dst, e.src} }

// frame is the innermost TCP or UDP packet of one captured packet.
type frame struct {
	ends   endpoints
	tcp    *layers.TCP
	udp    []byte // payload
	quoted bool   // by an ICMP error: it was not sent here
}

type capture struct {
	frames     []frame // [0] is frame 1
	directions map[endpoints]*direction
}

// direction is one direction of a TCP connection.
type direction struct {
	syn      *layers.TCP // the first one
	first    uint32      // sequence number that offsets count from
	segments []segment
}

type segment struct {
	off  int
	data []byte
}

const keptPerDirection = 1 << 20

func readCapture(t *testing.T, path string) capture {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcap.NewReader(f, path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := capture{directions: map[endpoints]*direction{}}
	for block := (pcap.Block{}); ; {
		if err := r.ReadBlock(&block); errors.Is(err, io.EOF) {
			return c
		} else if err != nil {
			t.Logf("%s: %v", path, err)
			return c
		}
		for _, p := range block.Packets {
			fr := decode(bytes.Clone(p.Data), layers.LinkType(p.Link))
			c.frames = append(c.frames, fr)
			if fr.tcp == nil || fr.quoted {
				continue
			}
			d := c.directions[fr.ends]
			if d == nil {
				d = &direction{first: fr.tcp.Seq}
				c.directions[fr.ends] = d
			}
			d.add(fr.tcp)
		}
	}
}

func decode(data []byte, outer gopacket.Decoder) frame {
	var f frame
	var src, dst netip.Addr
	for _, l := range gopacket.NewPacket(data, outer, gopacket.NoCopy).Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			src, _ = netip.AddrFromSlice(l.SrcIP)
			dst, _ = netip.AddrFromSlice(l.DstIP)
		case *layers.IPv6:
			src, _ = netip.AddrFromSlice(l.SrcIP)
			dst, _ = netip.AddrFromSlice(l.DstIP)
		case *layers.TCP:
			f.tcp = l
			f.ends = endpoints{netip.AddrPortFrom(src, uint16(l.SrcPort)), netip.AddrPortFrom(dst, uint16(l.DstPort))}
		case *layers.ICMPv4:
			f = decode(l.Payload, layers.LayerTypeIPv4)
			f.quoted = true
			return f
		case *layers.UDP:
			f.udp = l.Payload
			f.ends = endpoints{netip.AddrPortFrom(src, uint16(l.SrcPort)), netip.AddrPortFrom(dst, uint16(l.DstPort))}
		}
	}
	return f
}

func (d *direction) add(tcp *layers.TCP) {
	if tcp.SYN {
		if d.syn != nil {
			return
		}
		d.syn, d.first = tcp, tcp.Seq+1
	}
	if off := int(int32(tcp.Seq - d.first)); len(tcp.Payload) > 0 && off >= 0 && off < keptPerDirection {
		d.segments = append(d.segments, segment{off, tcp.Payload})
	}
}

// stream returns the payload up to the first gap.
func (d *direction) stream() []byte {
	if d == nil {
		return nil
	}
	slices.SortStableFunc(d.segments, func(a, b segment) int { return cmp.Compare(a.off, b.off) })
	var out []byte
	for _, s := range d.segments {
		if s.off > len(out) {
			break
		}
		if known := len(out) - s.off; known < len(s.data) {
			out = append(out, s.data[known:]...)
		}
	}
	return out
}

// tcpPrint is JA4T or JA4TS of one packet.
func tcpPrint(tcp *layers.TCP) string {
	return foxio.JA4T(tcp.Window, tcp.Contents[20:])
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
