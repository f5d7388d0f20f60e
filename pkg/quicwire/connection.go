package quicwire

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	// maxKeys bounds the connection ids that keys are derived from: that of the
	// first Initial, of one after a Retry, of another attempt, and wrong guesses.
	maxKeys = 8
	// maxUnopened bounds the packets of one side that are tried in vain.
	maxUnopened = 32
	// maxVersions bounds the versions that are kept of a version negotiation.
	maxVersions = 32
)

// sender is the side that sent a packet.
type sender uint8

const (
	fromClient sender = iota
	fromServer
)

// Connection is what both directions of a QUIC connection showed. Parse resets
// it and reuses its memory.
type Connection struct {
	// ClientSeen and ServerSeen say that there was a packet of the side.
	ClientSeen, ServerSeen bool
	// Reversed says that the roles are the other way round than the arguments
	// of Parse were named.
	Reversed bool
	// Incomplete says that there is no whole ClientHello, that the handshake
	// has holes, or that a packet which was needed for it was cut or could not
	// be opened.
	Incomplete bool

	// Version is what the handshake was held in: what the server last used,
	// without a server what the client last used. Offered is what the client used first.
	Version, Offered uint32
	// DCIDLen and SCIDLen are the lengths of the connection ids in the client's
	// first packet, in bytes, -1 without one. TokenLen is the longest token of
	// a client's Initial, -1 without an Initial.
	DCIDLen, SCIDLen, TokenLen int
	Retry                      bool
	ZeroRTT                    bool
	VersionNegotiation         bool
	// Versions are those that the server listed in its version negotiation.
	Versions []uint32

	// Client and Server are the handshake messages of TLS at the Initial level,
	// end to end without records, from the start up to the first hole. Reading ends with
	// the hellos, so what comes after them may be missing.
	Client, Server []byte
	// GQUIC says that the handshake is Google's own (versions Q0xx) and not
	// TLS; Google is its hello.
	GQUIC  bool
	Google GoogleHello

	sides  [2]direction
	dcids  [][]byte // that keys may follow from, the last good one first
	keys   []keys
	opener opener
}

// direction is what one side sent.
type direction struct {
	packets  packets
	stream   stream
	version  uint32 // that was used last
	largest  int64  // packet number that was opened, -1 for none
	opened   bool   // a packet could be read
	unopened int    // packets that could not
}

func (c *Connection) reset() {
	for i := range c.sides {
		c.sides[i] = direction{stream: c.sides[i].stream, largest: -1}
		c.sides[i].stream.reset()
	}
	clear(c.dcids)
	clear(c.keys)
	*c = Connection{
		DCIDLen:  -1,
		SCIDLen:  -1,
		TokenLen: -1,
		Versions: c.Versions[:0],
		Google:   GoogleHello{Tags: c.Google.Tags[:0]},
		sides:    c.sides,
		dcids:    c.dcids[:0],
		keys:     c.keys[:0],
		opener:   c.opener,
	}
}

// Parse reads both directions of one connection into c. Each argument is a row
// of UDP payloads in order, each behind its length of two bytes, big endian.
// Datagrams with a short header need not be there. The results alias memory of
// c, so they are valid until the next Parse.
func (c *Connection) Parse(client, server []byte) {
	c.reset()
	c.parse(client, server)
	if !c.sides[fromClient].opened && c.isReversed(client, server) {
		c.reset()
		c.Reversed = true
		c.parse(server, client)
	}
}

func (c *Connection) parse(client, server []byte) {
	c.scan(client, fromClient)
	c.scan(server, fromServer)
	c.Version = c.sides[fromServer].version
	if v := c.sides[fromClient].version; v != 0 && !IsVersion(c.Version) {
		c.Version = v
	}
	c.GQUIC = isQ(c.Version)
	c.sides[fromClient].packets = packets{row: client}
	c.sides[fromServer].packets = packets{row: server}
	// One hello of each side is in Initials, and two when the server asks the
	// client for another one. Nothing is opened that comes after them.
	c.read(fromClient, 1)
	c.read(fromServer, 1)
	if !c.GQUIC && isHelloRetryRequest(c.sides[fromServer].stream.bytes()) {
		c.read(fromClient, 2)
		c.read(fromServer, 2)
	}
	c.finish()
}

// scan reads the headers of one side.
func (c *Connection) scan(row []byte, from sender) {
	d := &c.sides[from]
	var p packet
	for in := (packets{row: row}); in.next(&p); {
		if p.kind == kindUnknown && IsVersion(d.version) {
			continue // something else that shares the ports
		}
		if from == fromServer {
			c.ServerSeen = true
			switch p.kind {
			case kindNegotiation:
				c.negotiation(p.raw[p.payload:])
			case kindRetry:
				c.Retry = true
				c.addDCID(p.scid)
			}
			if p.version != 0 {
				d.version = p.version
			}
			continue
		}
		if !c.ClientSeen {
			c.ClientSeen = true
			c.Offered, c.DCIDLen, c.SCIDLen = p.version, len(p.dcid), len(p.scid)
		}
		d.version = p.version
		switch p.kind {
		case kindInitial:
			c.TokenLen = max(c.TokenLen, len(p.token))
			c.addDCID(p.dcid)
		case kindZeroRTT:
			c.ZeroRTT = true
		}
	}
}

// negotiation reads the versions that the server lists (RFC 9000 section 17.2.1).
func (c *Connection) negotiation(list []byte) {
	c.VersionNegotiation = true
	for ; len(list) >= 4 && len(c.Versions) < maxVersions; list = list[4:] {
		c.Versions = append(c.Versions, binary.BigEndian.Uint32(list))
	}
}

func (c *Connection) addDCID(id []byte) {
	if len(c.dcids) < maxKeys && !slices.ContainsFunc(c.dcids, func(old []byte) bool { return bytes.Equal(old, id) }) {
		c.dcids = append(c.dcids, id)
	}
}

// read opens packets of one side until it has said so many messages.
func (c *Connection) read(from sender, messages int) {
	d := &c.sides[from]
	var p packet
	for c.messages(&d.stream) < messages && d.unopened < maxUnopened && d.packets.next(&p) {
		switch {
		case from == fromClient && c.VersionNegotiation && p.version == c.Offered && d.version != c.Offered:
			// The server did not read it.
		case p.kind == kindInitial:
			c.initial(&p, from)
		case p.kind == kindClear:
			d.opened = true
			if from == fromClient && (!d.stream.googleFrames(p.raw[p.payload:], p.version) || p.cut) {
				c.Incomplete = true
			}
		}
	}
}

func (c *Connection) initial(p *packet, from sender) {
	d := &c.sides[from]
	frames, ok := c.open(p, from)
	switch {
	case !ok:
		d.unopened++
	case hasGoogleFrames(p.version):
		ok = d.stream.googleFrames(frames, p.version)
	default:
		ok = d.stream.frames(frames)
	}
	if !ok {
		c.Incomplete = true
	}
}

// open returns the frames of an Initial. The keys follow from the connection id
// that the client made up for its first Initial, or the server for a Retry;
// which one that is, trying tells.
func (c *Connection) open(p *packet, from sender) ([]byte, bool) {
	if initialSalt(p.version) == "" {
		return nil, false
	}
	d := &c.sides[from]
	for i, id := range c.dcids {
		k := c.keysOf(p.version, id)
		if k == nil {
			break
		}
		if frames, number, ok := c.opener.open(k.side(from), p, d.largest); ok {
			d.opened = true
			d.largest = max(d.largest, number)
			c.dcids[0], c.dcids[i] = c.dcids[i], c.dcids[0]
			return frames, true
		}
	}
	return nil, false
}

// keysOf returns keys, which are derived once. Nil says that there are too many.
func (c *Connection) keysOf(version uint32, dcid []byte) *keys {
	for i := range c.keys {
		if k := &c.keys[i]; k.version == version && bytes.Equal(k.dcid, dcid) {
			return k
		}
	}
	if len(c.keys) >= maxKeys {
		return nil
	}
	c.keys = append(c.keys, keys{})
	k := &c.keys[len(c.keys)-1]
	k.derive(version, dcid)
	return k
}

// messages counts the whole messages at the start of a stream. A hello of Google
// is taken also when what came before it is missing: a client that the server
// rejects says it again, with more in it.
func (c *Connection) messages(s *stream) int {
	if c.GQUIC {
		return googleMessages(s.first())
	}
	n := 0
	for b := s.bytes(); len(b) >= messageHeaderLen; n++ {
		end := messageHeaderLen + int(binary.BigEndian.Uint32(b)&0xffffff)
		if end > len(b) {
			break
		}
		b = b[end:]
	}
	return n
}

// finish says what the streams hold.
func (c *Connection) finish() {
	client, server := &c.sides[fromClient].stream, &c.sides[fromServer].stream
	if c.messages(client) == 0 || client.holes() {
		c.Incomplete = true
	}
	if c.GQUIC {
		c.Google.parse(client.first())
		return
	}
	c.Client, c.Server = client.bytes(), server.bytes()
}

// isReversed reports whether what was said to be the server is the client,
// after nothing of the client could be read: the server alone sends Retry and
// version negotiation, and the client's Initial opens with its own connection id.
func (c *Connection) isReversed(client, server []byte) bool {
	var p packet
	for in := (packets{row: client}); in.next(&p); {
		if p.kind == kindRetry || p.kind == kindNegotiation {
			return true
		}
	}
	tried := 0
	for in := (packets{row: server}); tried < maxKeys && in.next(&p); {
		switch {
		case p.kind == kindInitial && initialSalt(p.version) != "":
			var k keys
			k.derive(p.version, p.dcid)
			if _, _, ok := c.opener.open(k.side(fromClient), &p, -1); ok {
				return true
			}
			tried++
		case p.kind == kindClear:
			s := &c.sides[fromServer].stream
			s.reset()
			return s.googleFrames(p.raw[p.payload:], p.version) && isGoogleHello(s.first())
		}
	}
	return false
}

const (
	messageHeaderLen   = 4
	messageServerHello = 2
)

// isHelloRetryRequest reports whether a ServerHello asks for another
// ClientHello: its random is the digest of "HelloRetryRequest" (RFC 8446 section
// 4.1.3).
func isHelloRetryRequest(b []byte) bool {
	const random = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"
	const at = messageHeaderLen + 2 // behind the version
	return len(b) >= at+len(random) && b[0] == messageServerHello && string(b[at:at+len(random)]) == random
}

// packets walks the packets of a row of datagrams.
type packets struct {
	row      []byte
	datagram []byte // what is left of the current one
	version  uint32 // of its first packet
	follows  bool   // the next packet is not the first of its datagram
}

// next takes the next packet with a long or public header. What follows it in
// its datagram without being one, as padding may, is passed over.
func (in *packets) next(p *packet) bool {
	for {
		if len(in.datagram) == 0 {
			if len(in.row) < 2 {
				return false
			}
			n := min(int(binary.BigEndian.Uint16(in.row)), len(in.row)-2)
			in.datagram, in.row, in.follows = in.row[2:2+n], in.row[2+n:], false
		}
		rest, ok := p.parse(in.datagram)
		ok = ok && (!in.follows || p.version == in.version)
		in.datagram = nil
		if ok {
			in.datagram, in.version, in.follows = rest, p.version, true
			return true
		}
	}
}
