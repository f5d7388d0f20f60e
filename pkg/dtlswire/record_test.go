package dtlswire_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/dtlswire"
)

func join(records ...[]byte) []byte { return slices.Concat(records...) }

// unified builds an encrypted record of DTLS 1.3: flags, and everything before the body.
func unified(head string, n int) []byte { return append([]byte(head), noise(3, n)...) }

func TestLooksLikeRecord(t *testing.T) {
	t.Parallel()
	first := message(1, 0, hello(nil))
	head := 12 + len(hello(nil))
	cid := slices.Insert(sent(25, v12, 1, noise(2, 60)...), 11, []byte("12345678")...)
	long := part(1, 0, hello(nil), 0, 20)
	long[3] = 10 // a message shorter than its fragment
	for _, c := range []struct {
		name               string
		b                  []byte
		headerLen, bodyLen int
		typ                uint8
		ok                 bool
	}{
		{"hello", first, 13, head, 22, true},
		{"hello, version 1.0", sent(22, 0xfeff, 0, first[13:]...), 13, head, 22, true},
		{"hello, before the standard", sent(22, 0x0100, 0, first[13:]...), 13, head, 22, true},
		{"several records", join(sent(20, v12, 0, 1), sent(22, v12, 1, noise(1, 40)...)), 13, 1, 20, true},
		{"long ChangeCipherSpec", sent(20, 0x0100, 0, 1, 0, 5), 13, 3, 20, true},
		{"application data", sent(23, v12, 1, noise(1, 40)...), 13, 40, 23, true},
		{"alert", sent(21, v12, 0, 2, 40), 13, 2, 21, true},
		{"connection id", cid, 21, 60, 25, true},
		{"two with connection id", join(cid, cid), 21, 60, 25, true},
		{"ACK", sent(26, v12, 0, append([]byte{0, 16}, noise(1, 16)...)...), 13, 18, 26, true},
		{"hello and what DTLS 1.3 encrypts", join(first, unified("\x2e\x00\x01\x00\x20", 32)), 13, head, 22, true},

		{"TLS", []byte("\x16\x03\x01\x00\x05hello12345"), 0, 0, 0, false},
		{"other version", sent(22, 0xfefa, 0, first[13:]...), 0, 0, 0, false},
		{"other type", sent(27, v12, 1, noise(1, 40)...), 0, 0, 0, false},
		{"cut", first[:len(first)-1], 0, 0, 0, false},
		{"trailing byte", append(slices.Clone(first), 0), 0, 0, 0, false},
		{"high epoch", sent(23, v12, 0x4242, noise(1, 40)...), 0, 0, 0, false},
		{"data in clear", sent(23, v12, 0, noise(1, 40)...), 0, 0, 0, false},
		{"heartbeat in clear", sent(24, v12, 0, noise(1, 40)...), 0, 0, 0, false},
		{"empty record", sent(23, v12, 1), 0, 0, 0, false},
		{"alert without level", sent(21, v12, 0, 7, 40), 0, 0, 0, false},
		{"fragment past its message", clear(long), 0, 0, 0, false},
		{"too long", sent(23, v12, 1, make([]byte, 1<<14+2049)...), 0, 0, 0, false},
		{"unified header alone", unified("\x2e\x00\x01\x00\x20", 32), 0, 0, 0, false},
		{"STUN", []byte("\x00\x01\x00\x00\x21\x12\xa4\x42123456789012"), 0, 0, 0, false},
		{"nothing", nil, 0, 0, 0, false},
	} {
		headerLen, bodyLen, typ, ok := dtlswire.LooksLikeRecord(c.b)
		if headerLen != c.headerLen || bodyLen != c.bodyLen || typ != c.typ || ok != c.ok {
			t.Errorf("%s: got %d, %d, %d, %v, want %d, %d, %d, %v", c.name, headerLen, bodyLen, typ, ok, c.headerLen, c.bodyLen, c.typ, c.ok)
		}
	}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	// Flags are 001CSLEE.
	for _, c := range []struct {
		name string
		b    []byte
		want string // type, epoch and length of each
	}{
		{"DTLS 1.2", join(message(1, 0, hello(nil)), sent(23, v12, 1, noise(1, 40)...)), "22/0/56 23/1/40"},
		{"short sequence number, no length", unified("\x23\x07", 30), "23/3/30"},
		{"long sequence number, no length", unified("\x2b\x00\x07", 30), "23/3/30"},
		{"lengths", join(unified("\x2e\x00\x07\x00\x14", 20), unified("\x26\x08\x00\x0a", 10), unified("\x22\x09", 5)), "23/2/20 23/2/10 23/2/5"},
		{"connection ids", join(unified("\x3e12345678\x00\x07\x00\x14", 20), unified("\x3e12345678\x00\x08\x00\x1e", 30)), "23/2/20 23/2/30"},
		{"after a message in clear", join(message(2, 0, noise(1, 70)), unified("\x2e\x00\x00\x00\x14", 20)), "22/0/82 23/2/20"},
		{"cut body", sent(23, v12, 1, noise(1, 40)...)[:33], "23/1/20"},
		{"cut header", join(sent(21, v12, 0, 1, 0), sent(23, v12, 1)[:9]), "21/0/2"},
		{"no record", []byte("no record"), ""},
	} {
		var got []string
		dtlswire.Walk(c.b, func(typ uint8, epoch uint16, body []byte) {
			got = append(got, fmt.Sprintf("%d/%d/%d", typ, epoch, len(body)))
		})
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
