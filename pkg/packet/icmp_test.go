package packet

import (
	"testing"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

func TestICMPHasTypesForPorts(t *testing.T) {
	t.Parallel()
	message := func(reply bool, proto, typ, code byte) (View, Outcome) {
		src, dst := client4.Addr(), server4.Addr()
		if proto == ProtocolICMPv6 {
			src, dst = client6.Addr(), server6.Addr()
		}
		if reply {
			src, dst = dst, src
		}
		return decode(t, pcapgen.IP(src, dst, proto, []byte{typ, code, 0, 0, 1, 2, 3, 4}), pcap.LinkRaw)
	}
	for name, c := range map[string]struct {
		proto, request, reply byte
	}{
		"echo":         {ProtocolICMP, 8, 0},
		"timestamp":    {ProtocolICMP, 13, 14},
		"router":       {ProtocolICMP, 10, 9},
		"address mask": {ProtocolICMP, 17, 18},
		"echo6":        {ProtocolICMPv6, 128, 129},
		"neighbour":    {ProtocolICMPv6, 135, 136},
	} {
		there, o := message(false, c.proto, c.request, 0)
		back, p := message(true, c.proto, c.reply, 0)
		if o != OK || p != OK || there.Key != back.Key || there.Forward == back.Forward {
			t.Errorf("%s: %+v, %+v", name, there, back)
		}
		if a, b := there.ends(); a.Port() != uint16(c.request) || b.Port() != uint16(c.reply) {
			t.Errorf("%s: %v to %v", name, a, b)
		}
		if there.Length != 8 || len(there.Payload) != 8 {
			t.Errorf("%s: %d of %d bytes", name, len(there.Payload), there.Length)
		}
	}
	there, _ := message(false, ProtocolICMP, 3, 1)
	back, _ := message(true, ProtocolICMP, 3, 1)
	if a, b := there.ends(); a.Port() != 3 || b.Port() != 1 || there.Key == back.Key {
		t.Errorf("unreachable: %v to %v", a, b)
	}
	if _, o := decode(t, pcapgen.IP(client4.Addr(), server4.Addr(), 1, []byte{8}), pcap.LinkRaw); o != Malformed {
		t.Errorf("one byte: outcome %d", o)
	}
}
