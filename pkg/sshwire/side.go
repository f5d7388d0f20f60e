package sshwire

import (
	"bytes"
	"encoding/binary"
)

const (
	// maxIdentification is the longest identification, with its CR LF (RFC 4253 section 4.2).
	maxIdentification = 255
	// maxText bounds the lines up to the end of the identification.
	maxText = 4 << 10
	// maxPacket is the longest packet that every implementation takes (RFC 4253
	// section 6.1). It bounds all packets up to KEXINIT, too.
	maxPacket = 35000

	packetHeaderLen = 5
	cookieLen       = 16
)

// Messages that may stand at the beginning (RFC 4253 section 12).
const (
	messageIgnore  = 2
	messageDebug   = 4
	messageKexInit = 20
)

// Side is what one side of a connection showed in clear. Slices alias the stream.
type Side struct {
	Banner     []byte // the identification without CR LF, its first 255 bytes; nil without one
	Kex        KexInit
	Incomplete bool // the identification or KEXINIT is missing, cut or broken
}

// KexInit is the KEXINIT message: the algorithms that a side offers, the lists as sent.
type KexInit struct {
	Seen                           bool
	KexAlgorithms                  []byte
	HostKeyAlgorithms              []byte
	CiphersC2S, CiphersS2C         []byte
	MACsC2S, MACsS2C               []byte
	CompressionC2S, CompressionS2C []byte
	LanguagesC2S, LanguagesS2C     []byte
	FirstKexFollows                bool // a guessed key exchange message follows
}

// part says how much of a part of the stream is there.
type part uint8

const (
	cut    part = iota // more bytes may complete it
	whole              // all of it
	broken             // something else, or too long
)

// Parse replaces s by what the first bytes of one direction say.
func (s *Side) Parse(stream []byte) {
	*s = Side{}
	start, end, state := identification(stream)
	if state != whole {
		s.Incomplete = len(stream) > 0
	}
	if start < 0 {
		return
	}
	line := bytes.TrimSuffix(stream[start:end], []byte("\r"))
	n := min(len(line), maxIdentification)
	s.Banner = line[:n:n]
	if n < len(line) {
		s.Incomplete = true
	}
	if state != whole || onlyVersion1(line) {
		return
	}
	payload, _, state := kexInit(stream[end+1:])
	if !s.Kex.parse(payload) || state != whole {
		s.Incomplete = true
	}
}

// End returns how many of the first bytes of one direction are of use to Parse.
// done is false as long as more bytes are. What is no SSH has none.
func End(stream []byte) (n int, done bool) {
	_, end, state := identification(stream)
	switch state {
	case cut:
		return len(stream), false
	case broken:
		return end, true
	}
	n = end + 1
	if onlyVersion1(stream[:end]) {
		return n, true
	}
	_, kexEnd, state := kexInit(stream[n:])
	return n + kexEnd, state != cut
}

// identification finds the identification: stream[start:end], without its LF. start is
// negative where none begins.
func identification(stream []byte) (start, end int, state part) {
	const prefix = "SSH-"
	for at := 0; at < maxText; {
		rest := stream[at:min(len(stream), maxText)]
		n := bytes.IndexByte(rest, '\n')
		if bytes.HasPrefix(rest, []byte(prefix)) {
			switch {
			case n >= 0:
				return at, at + n, whole
			case at+len(rest) == maxText:
				return at, maxText, broken
			}
			return at, len(stream), cut
		}
		line := rest
		if n >= 0 {
			line = rest[:n]
		}
		if !isText(line) {
			break
		}
		if n < 0 && at+len(rest) < maxText {
			return -1, 0, cut
		}
		at += len(line) + 1
	}
	return -1, 0, broken
}

// isText reports whether a line may stand before an identification: it is UTF-8 (RFC 4253
// section 4.2), and control characters other than tabs and CR are none of it.
func isText(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' && c != '\r' || c == 0x7f {
			return false
		}
	}
	return true
}

// onlyVersion1 reports whether text ends with the identification of version 1. What follows that
// has another format.
func onlyVersion1(text []byte) bool {
	line := text[bytes.LastIndexByte(text, '\n')+1:]
	return bytes.HasPrefix(line, []byte("SSH-1.")) && !bytes.HasPrefix(line, []byte("SSH-1.99-"))
}

// kexInit finds the KEXINIT message in the packets after the identification. payload
// is what is there of it, and end is where it ends.
func kexInit(b []byte) (payload []byte, end int, state part) {
	for at := 0; at < maxPacket; {
		p := b[at:]
		if len(p) <= packetHeaderLen {
			return nil, len(b), cut
		}
		n := int64(binary.BigEndian.Uint32(p))
		padding, typ := int64(p[4]), p[packetHeaderLen]
		if n > maxPacket || n < padding+2 {
			break
		}
		switch typ {
		case messageIgnore, messageDebug:
			at += 4 + int(n)
			if at > len(b) {
				return nil, len(b), cut
			}
		case messageKexInit:
			end = packetHeaderLen + int(n-1-padding)
			if end > len(p) {
				return p[packetHeaderLen:], len(b), cut
			}
			return p[packetHeaderLen:end], at + end, whole
		default:
			return nil, 0, broken
		}
	}
	return nil, 0, broken
}

// parse reads a message that begins with its type, if anything. It reports whether it was well formed.
func (k *KexInit) parse(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	k.Seen = true
	b = b[min(len(b), 1+cookieLen):]
	for _, list := range []*[]byte{
		&k.KexAlgorithms, &k.HostKeyAlgorithms, &k.CiphersC2S, &k.CiphersS2C, &k.MACsC2S, &k.MACsS2C,
		&k.CompressionC2S, &k.CompressionS2C, &k.LanguagesC2S, &k.LanguagesS2C,
	} {
		if len(b) < 4 {
			return false
		}
		n := int64(binary.BigEndian.Uint32(b))
		b = b[4:]
		if n > int64(len(b)) {
			*list = b
			return false
		}
		*list, b = b[:n:n], b[n:]
	}
	if len(b) == 0 {
		return false
	}
	k.FirstKexFollows = b[0] != 0
	return len(b) == 5
}
