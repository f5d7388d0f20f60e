package dtlswire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"trench/pkg/dtlswire"
)

const v12 = 0xfefd

// sent builds one record.
func sent(typ uint8, version, epoch uint16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{typ}, version)
	b = binary.BigEndian.AppendUint16(b, epoch)
	b = append(b, 0, 0, 0, 0, 0, 7)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// part builds the fragment of body from off on, n bytes long.
func part(typ uint8, seq uint16, body []byte, off, n int) []byte {
	b := append([]byte{typ}, u24(len(body))...)
	b = binary.BigEndian.AppendUint16(b, seq)
	b = append(append(b, u24(off)...), u24(n)...)
	return append(b, body[off:off+n]...)
}

func u24(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }

// clear puts fragments into one record of epoch 0.
func clear(fragments ...[]byte) []byte {
	return sent(dtlswire.RecordHandshake, v12, 0, bytes.Join(fragments, nil)...)
}

// message is a whole message in a record of its own.
func message(typ uint8, seq uint16, body []byte) []byte {
	return clear(part(typ, seq, body, 0, len(body)))
}

// kept puts datagrams behind their lengths, as capture does.
func kept(datagrams ...[]byte) []byte {
	var b []byte
	for _, d := range datagrams {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(d))), d...)
	}
	return b
}

// noise is a body that no other seed gives.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// hello is the body of a ClientHello.
func hello(cookie []byte) []byte {
	b := append([]byte{0xfe, 0xfd}, noise(9, 32)...)
	b = append(b, 0, byte(len(cookie)))
	b = append(b, cookie...)
	return append(b, 0, 2, 0xc0, 0x2b, 1, 0, 0, 0)
}

// read tells what a row of TLS records holds, a line for each message and each other
// record, and how many bytes of the last message are missing.
func read(row []byte) (lines []string, missing int) {
	var messages []byte
	ccs := false
	for len(row) > 0 {
		n := int(binary.BigEndian.Uint16(row[3:]))
		typ, version, body := row[0], binary.BigEndian.Uint16(row[1:]), row[5:5+n]
		row = row[5+n:]
		switch {
		case version != 0x0303 || n > 1<<14+2048:
			lines = append(lines, "a bad record header")
		case typ == dtlswire.RecordHandshake && !ccs:
			messages = append(messages, body...)
			for len(messages) >= 4 {
				n := int(messages[1])<<16 | int(messages[2])<<8 | int(messages[3])
				if missing = n - (len(messages) - 4); missing > 0 {
					break
				}
				missing = 0
				lines = append(lines, fmt.Sprintf("message %d: %x", messages[0], messages[4:4+n]))
				messages = messages[4+n:]
			}
		default:
			ccs = ccs || typ == dtlswire.RecordChangeCipherSpec
			lines = append(lines, fmt.Sprintf("record %d: %x", typ, body))
		}
	}
	if len(messages) > 0 {
		lines = append(lines, fmt.Sprintf("cut message %d: %x", messages[0], messages[4:]))
	}
	return lines, missing
}
