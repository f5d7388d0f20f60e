package dnswire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	headerLen = 12
	// MaxQuestions, MaxAnswers and MaxOptions bound what one Message keeps.
	MaxQuestions = 32
	MaxAnswers   = 256
	MaxOptions   = 32

	topBit = 0x8000 // of a class, with a meaning of its own in mDNS
)

// Message is a DNS message. Of the authority and additional sections it keeps
// what they say about the answer. Multicast DNS (RFC 6762) and LLMNR (RFC 4795) have
// the same form; of the flags, LLMNR's Authoritative is its conflict bit and
// RecursionDesired its tentative bit.
type Message struct {
	ID                 uint16
	Response           bool
	Opcode             int
	RCode              int // with the higher bits of EDNS
	Authoritative      bool
	Truncated          bool // the sender cut the message (TC)
	RecursionDesired   bool
	RecursionAvailable bool
	AuthenticData      bool // the answer was validated (AD, RFC 4035)
	CheckingDisabled   bool
	Questions          []Question
	Answers            []RR
	Omitted            int // questions and answers beyond MaxQuestions and MaxAnswers
	Authorities        int // records read of the authority section
	NameServers        int // of them of type NS
	SOA                SOA
	Additionals        int // records read of the additional section
	EDNS               EDNS

	text []byte // scratch, of names and data
}

// Question is one entry of the question section.
type Question struct {
	Name        string
	Type, Class uint16 // the class without the bit that Unicast has
	Unicast     bool   // mDNS: the answer may come by unicast (QU, RFC 6762 section 5.4)
}

// RR is one resource record of the answer section.
type RR struct {
	Name        string
	Type, Class uint16 // the class without the bit that CacheFlush has
	CacheFlush  bool   // mDNS: this record replaces older ones (RFC 6762 section 10.2)
	TTL         uint32 // seconds
	Data        string // in the presentation format of the type, at most maxText bytes
}

// SOA is the start of authority in the authority section, of which a negative
// answer has one (RFC 2308 section 3).
type SOA struct {
	Present bool
	TTL     uint32 // for how long the answer may be kept, in seconds: the lower of the record's TTL and minimum
}

// EDNS is the OPT record of a message (RFC 6891 section 6.1).
type EDNS struct {
	Present bool
	Version uint8
	UDPSize uint16   // the longest payload that the sender takes, in bytes
	DO      bool     // the sender takes DNSSEC records
	Options []uint16 // codes as sent, at most MaxOptions
}

// DamageError says where reading a message stopped.
type DamageError struct {
	Offset int
	What   string
}

// Error implements error.
func (e *DamageError) Error() string {
	return fmt.Sprintf("dns message: broken %s at offset %d", e.What, e.Offset)
}

// Negative is what a response denies.
type Negative uint8

// The kinds of negative answers (RFC 2308 section 2).
const (
	NotNegative Negative = iota
	NXDomain             // the name does not exist
	NoData               // the name has no record of the type
)

// Negative says whether the message, a response, denies what was asked. A referral
// to other servers does not.
func (m *Message) Negative() Negative {
	switch {
	case !m.Response || m.Truncated || m.Omitted > 0 || len(m.Questions) == 0:
		return NotNegative
	case m.RCode == rcodeNXDomain:
		return NXDomain
	case m.RCode != 0 || !m.SOA.Present && m.NameServers > 0:
		return NotNegative
	}
	for i := range m.Answers {
		switch typ := m.Answers[i].Type; {
		case typ == m.Questions[0].Type, typ != TypeCNAME && typ != TypeDNAME && typ != typeRRSIG:
			return NotNegative
		}
	}
	return NoData
}

// Parse reads b, one message without the length of DNS over TCP, into m, whose
// slices it reuses. After an error m holds what was read before the damage.
func Parse(m *Message, b []byte) error {
	*m = Message{Questions: m.Questions[:0], Answers: m.Answers[:0], EDNS: EDNS{Options: m.EDNS.Options[:0]}, text: m.text}
	if len(b) < headerLen {
		return &DamageError{Offset: len(b), What: "header"}
	}
	flags := binary.BigEndian.Uint16(b[2:])
	m.ID = binary.BigEndian.Uint16(b)
	m.Response = flags&0x8000 != 0
	m.Opcode = int(flags >> 11 & 15)
	m.Authoritative = flags&0x0400 != 0
	m.Truncated = flags&0x0200 != 0
	m.RecursionDesired = flags&0x0100 != 0
	m.RecursionAvailable = flags&0x0080 != 0
	m.AuthenticData = flags&0x0020 != 0
	m.CheckingDisabled = flags&0x0010 != 0
	m.RCode = int(flags & 15)
	questions := int(binary.BigEndian.Uint16(b[4:]))
	answers := int(binary.BigEndian.Uint16(b[6:]))

	off := headerLen
	for i := range questions {
		if i == MaxQuestions {
			// Such a message is none that a resolver sends; it ends here.
			m.Omitted = questions - i + answers
			return nil
		}
		name, next, ok := appendName(m.text[:0], b, off)
		m.text = name
		if !ok || next+4 > len(b) {
			return &DamageError{Offset: min(next, len(b)), What: "question"}
		}
		class := binary.BigEndian.Uint16(b[next+2:])
		m.Questions = append(m.Questions, Question{
			Name:    string(name),
			Type:    binary.BigEndian.Uint16(b[next:]),
			Class:   class &^ topBit,
			Unicast: class&topBit != 0,
		})
		off = next + 4
	}
	for i := range answers {
		r, ok := readRecord(b, off)
		if !ok {
			return &DamageError{Offset: r.start, What: "answer"}
		}
		if i >= MaxAnswers {
			m.Omitted++
			off = r.end
			continue
		}
		name, next, ok := appendName(m.text[:0], b, off)
		if !ok {
			return &DamageError{Offset: min(next, len(b)), What: "answer"}
		}
		m.text = appendData(name, r.typ, b, r.start, r.end)
		m.Answers = append(m.Answers, RR{
			Name:       string(m.text[:len(name)]),
			Type:       r.typ,
			Class:      r.class &^ topBit,
			CacheFlush: r.class&topBit != 0,
			TTL:        r.ttl,
			Data:       string(m.text[len(name):]),
		})
		off = r.end
	}
	for range binary.BigEndian.Uint16(b[8:]) {
		r, ok := readRecord(b, off)
		if !ok {
			return &DamageError{Offset: r.start, What: "authority"}
		}
		m.Authorities++
		switch r.typ {
		case TypeNS:
			m.NameServers++
		case TypeSOA:
			if n := r.end - r.start; n >= 4 && !m.SOA.Present {
				m.SOA = SOA{Present: true, TTL: min(r.ttl, binary.BigEndian.Uint32(b[r.end-4:]))}
			}
		}
		off = r.end
	}
	for range binary.BigEndian.Uint16(b[10:]) {
		r, ok := readRecord(b, off)
		if !ok {
			return &DamageError{Offset: r.start, What: "additional record"}
		}
		m.Additionals++
		if r.typ == typeOPT && !m.EDNS.Present {
			m.edns(&r, b[r.start:r.end])
		}
		off = r.end
	}
	return nil
}

// edns reads the OPT record, whose class and TTL have other meanings:
//
//	class: payload size 2 | TTL: extended rcode 1, version 1, DO 1 bit, zero 15 bits |
//	data: option code 2, data <2>, …
func (m *Message) edns(r *rawRecord, data []byte) {
	m.RCode |= int(r.ttl>>24) << 4
	m.EDNS.Present = true
	m.EDNS.Version = uint8(r.ttl >> 16)
	m.EDNS.UDPSize = r.class
	m.EDNS.DO = r.ttl&0x8000 != 0
	for len(data) >= 4 && len(m.EDNS.Options) < MaxOptions {
		m.EDNS.Options = append(m.EDNS.Options, binary.BigEndian.Uint16(data))
		data = data[min(len(data), 4+int(binary.BigEndian.Uint16(data[2:]))):]
	}
}

// rawRecord is the fixed part of a record and where its data lies.
type rawRecord struct {
	typ, class uint16
	ttl        uint32
	start, end int
}

// readRecord reads the record at off. When it is not whole, start is where the
// damage is.
func readRecord(b []byte, off int) (r rawRecord, ok bool) {
	next, ok := skipName(b, off)
	if !ok || next+10 > len(b) {
		return rawRecord{start: min(next, len(b))}, false
	}
	r = rawRecord{
		typ:   binary.BigEndian.Uint16(b[next:]),
		class: binary.BigEndian.Uint16(b[next+2:]),
		ttl:   binary.BigEndian.Uint32(b[next+4:]),
		start: next + 10,
	}
	r.end = r.start + int(binary.BigEndian.Uint16(b[next+8:]))
	return r, r.end <= len(b)
}

// AnswerAddrs calls visit with the address of every A and AAAA record in the
// answer section of a response, in order and without allocating. It returns
// false when msg is no response or is broken; what came before the damage has
// been visited.
func AnswerAddrs(msg []byte, visit func(addr netip.Addr)) bool {
	if len(msg) < headerLen || msg[2]&0x80 == 0 {
		return false
	}
	questions := int(binary.BigEndian.Uint16(msg[4:]))
	answers := int(binary.BigEndian.Uint16(msg[6:]))
	off := headerLen
	for range questions {
		next, ok := skipName(msg, off)
		if !ok || next+4 > len(msg) {
			return false
		}
		off = next + 4
	}
	for range answers {
		r, ok := readRecord(msg, off)
		if !ok {
			return false
		}
		if data := msg[r.start:r.end]; r.class&^topBit == classIN {
			switch {
			case r.typ == TypeA && len(data) == 4:
				visit(netip.AddrFrom4([4]byte(data)))
			case r.typ == TypeAAAA && len(data) == 16:
				visit(netip.AddrFrom16([16]byte(data)))
			}
		}
		off = r.end
	}
	return true
}
