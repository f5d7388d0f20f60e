package quicwire_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"trench/pkg/quicwire"
)

// version returns a version of Google by its name.
func version(name string) uint32 { return binary.BigEndian.Uint32([]byte(name)) }

// chlo makes a ClientHello of Google's handshake.
func chlo(values ...[2]string) []byte {
	out := binary.LittleEndian.AppendUint32([]byte("CHLO"), uint32(len(values)))
	var body []byte
	for _, v := range values {
		body = append(body, v[1]...)
		out = binary.LittleEndian.AppendUint32(append(out, v[0]...), uint32(len(body)))
	}
	return append(out, body...)
}

func googleHello() []byte {
	return chlo([2]string{"PAD\x00", "------------------------------"}, [2]string{"SNI\x00", "a.example"}, [2]string{"VER\x00", "Q043"},
		[2]string{"UAID", "agent/1"}, [2]string{"ALPN", "h2"})
}

// publicPacket makes a packet with a public header (pn: one byte, 8 of connection id).
func publicPacket(name string, hello []byte, frames ...byte) []byte {
	out := append([]byte{0x09}, "connctid"...)
	out = append(append(out, name...), 1)
	out = append(out, "hash of 12 b"...)
	if name < "Q034" {
		out = append(out, 1)
	}
	out = append(out, frames...)
	return append(out, hello...)
}

func TestGoogleHello(t *testing.T) {
	t.Parallel()
	hello := googleHello()
	n := byte(len(hello))
	long := func(name string, first, lens byte, number string) []byte {
		out := append([]byte{first}, name...)
		out = append(append(out, lens), "connctid"...)
		return append(append(out, number...), "hash of 12 b"...)
	}
	stream := []byte{0xa0, 1, 0, n}
	ackThenStream := []byte{0x60, 9, 0, 0, 1, 1, 1, 1, 2, 3, 0, 0, 0, 0, 4, 0, 0, 0xa0, 1, 0, n}
	quic50 := initial{version: version("Q050"), dcid: first, scid: ofClient, frames: join(append([]byte{7, 8, 0, 0x40, n}, hello...))}
	for name, datagram := range map[string][]byte{
		"Q043":                  publicPacket("Q043", hello, stream...),
		"Q025":                  publicPacket("Q025", hello, 0xa0, 1, n, 0),
		"Q043 to the end":       publicPacket("Q043", hello, 0x80, 1),
		"Q043 behind an ack":    publicPacket("Q043", hello, ackThenStream...),
		"Q043 again, later":     publicPacket("Q043", hello, 0xa4, 1, 4, 0, 0, n),
		"Q043 other frames":     publicPacket("Q043", hello, slices.Concat([]byte{7, 4}, make([]byte, 12), []byte{5, 0, 0, 0, 3, 1}, make([]byte, 16), stream)...),
		"Q043 another stream":   append(publicPacket("Q043", hello, stream...), 0xa0, 3, 0, 2, 'h', 'i'),
		"Q044":                  append(append(long("Q044", 0xff, 0x50, "\x00\x00\x00\x01"), stream...), hello...),
		"Q046":                  append(append(long("Q046", 0xc3, 0x50, "\x00\x00\x00\x01"), stream...), hello...),
		"Q046 number of 1 byte": append(append(long("Q046", 0xc0, 0x50, "\x01"), stream...), hello...),
		"Q050":                  quic50.seal(t),
	} {
		var c quicwire.Connection
		for _, reversed := range []bool{false, true} {
			if reversed {
				c.Parse(nil, row(datagram))
			} else {
				c.Parse(row(datagram), nil)
			}
			g := c.Google
			if !c.GQUIC || c.Version != version(name[:4]) || !c.ClientSeen || c.DCIDLen != 8 || c.Client != nil || c.Reversed != reversed ||
				c.Incomplete != (name == "Q043 again, later") {
				t.Errorf("%s: got %+v", name, c)
			}
			if !g.Seen || g.Incomplete || string(g.SNI) != "a.example" || string(g.UserAgent) != "agent/1" || string(g.ALPN) != "h2" ||
				g.Version != version("Q043") || len(g.Tags) != 5 || g.Tags[1] != version("SNI\x00") {
				t.Errorf("%s: hello %+v", name, g)
			}
			if !quicwire.LooksLikeInitial(datagram) {
				t.Errorf("%s: is not recognised", name)
			}
		}
	}
}

func TestBrokenGoogleHello(t *testing.T) {
	t.Parallel()
	hello := googleHello()
	backwards := slices.Clone(hello)
	binary.LittleEndian.PutUint32(backwards[8+2*8+4:], 5) // VER ends before SNI does
	for name, broken := range map[string][]byte{
		"cut in the values": hello[:len(hello)-8],
		"cut in the tags":   hello[:8+3*8],
		"backwards":         backwards,
		"too many tags":     append([]byte("CHLO\xff\xff\x00\x00"), make([]byte, 1200)...),
	} {
		var c quicwire.Connection
		c.Parse(row(publicPacket("Q043", broken, 0x80, 1)), nil)
		if !c.Google.Seen || !c.Google.Incomplete || len(c.Google.Tags) < 3 || len(c.Google.Tags) > 128 {
			t.Errorf("%s: %+v", name, c.Google)
		}
	}
}

func TestGoogleVersionNegotiation(t *testing.T) {
	t.Parallel()
	var c quicwire.Connection
	answer := append([]byte("\x09connctid"), "Q039Q035"...)
	c.Parse(row(publicPacket("Q043", googleHello(), 0x80, 1), publicPacket("Q039", googleHello(), 0x80, 1)), row(answer))
	if !c.VersionNegotiation || c.Offered != version("Q043") || c.Version != version("Q039") || !c.Google.Seen ||
		!slices.Equal(c.Versions, []uint32{version("Q039"), version("Q035")}) {
		t.Errorf("got %+v", c)
	}
}
