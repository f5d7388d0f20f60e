package dnswire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	headerLen = 12
	// MaxQuestions and MaxAnswers bound what one Message keeps.
	MaxQuestions = 32
	MaxAnswers   = 256
)

// Message is a DNS message without its authority and additional sections.
type Message struct {
	ID        uint16
	Response  bool
	Opcode    int
	RCode     int
	Truncated bool // the sender cut the message (TC)
	Questions []Question
	Answers   []RR
	Omitted   int // questions and answers beyond MaxQuestions and MaxAnswers
}

// Question is one entry of the question section.
type Question struct {
	Name        string
	Type, Class uint16
}

// RR is one resource record of the answer section.
type RR struct {
	Name        string
	Type, Class uint16
	TTL         uint32
	Data        string // in the presentation format of the type
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

// Parse reads b, one message without the length of DNS over TCP, into m, whose
// slices it reuses. After an error m holds what was read before the damage.
func Parse(m *Message, b []byte) error {
	*m = Message{Questions: m.Questions[:0], Answers: m.Answers[:0]}
	if len(b) < headerLen {
		return &DamageError{Offset: len(b), What: "header"}
	}
	flags := binary.BigEndian.Uint16(b[2:])
	m.ID = binary.BigEndian.Uint16(b)
	m.Response = flags&0x8000 != 0
	m.Opcode = int(flags >> 11 & 15)
	m.Truncated = flags&0x0200 != 0
	m.RCode = int(flags & 15)
	questions := int(binary.BigEndian.Uint16(b[4:]))
	answers := int(binary.BigEndian.Uint16(b[6:]))

	var room [maxNameLen * 4]byte
	off := headerLen
	for i := range questions {
		if i == MaxQuestions {
			// Such a message is none that a resolver sends; its answers
			// cannot be found without reading on, so it ends here.
			m.Omitted = questions - i + answers
			return nil
		}
		name, next, ok := appendName(room[:0], b, off)
		if !ok || next+4 > len(b) {
			return &DamageError{Offset: min(next, len(b)), What: "question"}
		}
		m.Questions = append(m.Questions, Question{
			Name:  string(name),
			Type:  binary.BigEndian.Uint16(b[next:]),
			Class: binary.BigEndian.Uint16(b[next+2:]),
		})
		off = next + 4
	}
	for i := range answers {
		if i == MaxAnswers {
			m.Omitted = answers - i
			return nil
		}
		name, next, ok := appendName(room[:0], b, off)
		if !ok || next+10 > len(b) {
			return &DamageError{Offset: min(next, len(b)), What: "answer"}
		}
		rr := RR{
			Name:  string(name),
			Type:  binary.BigEndian.Uint16(b[next:]),
			Class: binary.BigEndian.Uint16(b[next+2:]),
			TTL:   binary.BigEndian.Uint32(b[next+4:]),
		}
		start := next + 10
		end := start + int(binary.BigEndian.Uint16(b[next+8:]))
		if end > len(b) {
			return &DamageError{Offset: start, What: "answer data"}
		}
		rr.Data = dataText(rr.Type, b, start, end)
		m.Answers = append(m.Answers, rr)
		off = end
	}
	return nil
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
		next, ok := skipName(msg, off)
		if !ok || next+10 > len(msg) {
			return false
		}
		typ := binary.BigEndian.Uint16(msg[next:])
		class := binary.BigEndian.Uint16(msg[next+2:])
		data := msg[next+10:]
		n := int(binary.BigEndian.Uint16(msg[next+8:]))
		if n > len(data) {
			return false
		}
		data = data[:n]
		if class&0x7fff == classIN { // the highest bit is mDNS's cache flush
			switch {
			case typ == TypeA && n == 4:
				visit(netip.AddrFrom4([4]byte(data)))
			case typ == TypeAAAA && n == 16:
				visit(netip.AddrFrom16([16]byte(data)))
			}
		}
		off = next + 10 + n
	}
	return true
}

// LooksLikeMessage reports whether b is likely a DNS message: a standard
// opcode, counts that can fit, and a first question or answer that holds a
// name with a type and class that are in use.
func LooksLikeMessage(b []byte) bool {
	if len(b) < headerLen+5 {
		return false
	}
	flags := binary.BigEndian.Uint16(b[2:])
	questions, answers := int(binary.BigEndian.Uint16(b[4:])), int(binary.BigEndian.Uint16(b[6:]))
	rest := int(binary.BigEndian.Uint16(b[8:])) + int(binary.BigEndian.Uint16(b[10:]))
	opcode := flags >> 11 & 15
	if opcode > 6 || opcode == 3 || flags&0x0040 != 0 || questions > MaxQuestions || questions+answers == 0 ||
		(questions+answers+rest)*5 > len(b)-headerLen {
		return false
	}
	if flags&0x8000 == 0 && flags&15 != 0 { // a query has no result
		return false
	}
	next, ok := skipName(b, headerLen)
	if !ok || next+4 > len(b) || next-headerLen > maxNameLen {
		return false
	}
	typ, class := binary.BigEndian.Uint16(b[next:]), binary.BigEndian.Uint16(b[next+2:])&0x7fff
	return typ != 0 && (typ <= 300 || typ >= 32768 && typ <= 32769 || typ >= 65280) &&
		(class == classIN || class == 3 || class == 4 || class == 254 || class == 255)
}
