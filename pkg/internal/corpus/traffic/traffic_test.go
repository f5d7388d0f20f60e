package traffic

import (
	"testing"

	"trench/pkg/packet"
)

func TestStreamsEndAtTheFirstGap(t *testing.T) {
	t.Parallel()
	syn := packet.View{Seq: 0xfffffffe, Flags: packet.SYN}
	sent := func(seq uint32, payload string) packet.View { return packet.View{Seq: seq, Payload: []byte(payload)} }
	for _, c := range []struct {
		name    string
		packets []packet.View
		want    string
	}{
		{"in order", []packet.View{syn, sent(0xffffffff, "ab"), sent(1, "cd")}, "abcd"},
		{"out of order", []packet.View{syn, sent(1, "cd"), sent(0xffffffff, "ab")}, "abcd"},
		{"sent again with more", []packet.View{syn, sent(0xffffffff, "ab"), sent(0xffffffff, "abcd"), sent(0, "b")}, "abcd"},
		{"a gap", []packet.View{syn, sent(0xffffffff, "ab"), sent(2, "de")}, "ab"},
		{"data in the SYN", []packet.View{{Seq: 9, Flags: packet.SYN, Payload: []byte("ab")}, sent(12, "cd")}, "abcd"},
		{"no beginning", []packet.View{sent(7, "ab"), sent(9, "cd"), sent(3, "before")}, "abcd"},
		{"a later connection", []packet.View{syn, sent(0xffffffff, "ab"), {Seq: 1 << 30, Flags: packet.SYN}, sent(1<<30+1, "cd")}, "ab"},
	} {
		var d direction
		for _, v := range c.packets {
			d.add(&v)
		}
		if got := string(d.stream()); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
