package dtlswire_test

import (
	"encoding/binary"
	"testing"

	"trench/pkg/dtlswire"
)

func FuzzRecords(f *testing.F) {
	body := noise(1, 60)
	f.Add(kept(message(1, 0, hello(nil)), message(1, 1, hello(noise(2, 20)))))
	f.Add(kept(message(3, 0, []byte{0xfe, 0xff, 2, 1, 2}), message(2, 1, body), message(14, 2, nil)))
	f.Add(kept(clear(part(11, 0, body, 30, 30)), clear(part(11, 0, body, 0, 40)), clear(part(12, 2, body, 0, 20))))
	f.Add(kept(sent(20, v12, 0, 1), sent(22, v12, 1, body...), sent(21, v12, 0, 2, 40), sent(25, v12, 1, body...)))
	f.Add(kept(append(message(2, 0, body), "\x3e12345678\x00\x07\x00\x04abcd"...)))
	f.Add(kept(sent(22, 0x0100, 0, part(1, 0, body, 0, 60)...), sent(26, v12, 0, 0, 0)))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r dtlswire.Reassembler
		row, incomplete := r.Records(nil, in)
		if len(row) > len(in) {
			t.Errorf("a row of %d bytes from %d", len(row), len(in))
		}
		for rest := row; len(rest) > 0; {
			if len(rest) < 5 || len(rest) < 5+int(binary.BigEndian.Uint16(rest[3:])) {
				t.Fatalf("%d bytes of the row are no record", len(rest))
			}
			rest = rest[5+int(binary.BigEndian.Uint16(rest[3:])):]
		}
		_, missing := read(row)
		if missing > 0 && !incomplete {
			t.Errorf("%d bytes are missing and the direction is said to be complete", missing)
		}
		for rest := in; len(rest) > 2; {
			n := min(int(binary.BigEndian.Uint16(rest)), len(rest)-2)
			datagram := rest[2 : 2+n]
			rest = rest[2+n:]
			headerLen, bodyLen, _, ok := dtlswire.LooksLikeRecord(datagram)
			walked := 0
			dtlswire.Walk(datagram, func(_ uint8, _ uint16, body []byte) { walked += len(body) })
			if walked > len(datagram) || ok && (headerLen+bodyLen > len(datagram) || walked < bodyLen) {
				t.Errorf("%d bytes walked, header %d, body %d, datagram %d", walked, headerLen, bodyLen, len(datagram))
			}
		}
	})
}
