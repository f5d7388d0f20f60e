package dhcpwire_test

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trench/pkg/dhcpwire"
)

var hardware = []byte{0x02, 0, 0x5e, 0, 0x53, 1}

// v4 builds a message with these options.
func v4(op byte, options string) []byte {
	b := make([]byte, 236)
	b[0], b[1], b[2] = op, 1, 6
	copy(b[28:], hardware)
	return append(append(b, 0x63, 0x82, 0x53, 0x63), options...)
}

// v6 builds a message with these options.
func v6(typ byte, options ...string) []byte {
	return append([]byte{typ, 1, 2, 3}, strings.Join(options, "")...)
}

// relayed wraps a message.
func relayed(typ byte, message []byte) []byte {
	return append(append([]byte{typ, 0}, make([]byte, 32)...), opt(18, "eth0")+opt(9, string(message))...)
}

func opt(code uint16, value string) string {
	b := binary.BigEndian.AppendUint16(nil, code)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(value)))) + value
}

const (
	duid    = "\x00\x03\x00\x01\x02\x00\x5e\x00\x53\x01"
	address = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
)

var solicit = v6(1,
	opt(1, duid), opt(6, "\x00\x17\x00\x18"), opt(8, "\x00\x00"),
	opt(16, "\x00\x00\x01\x37\x00\x08MSFT 5.0"), opt(39, "\x00\x04host\x07example\x03org\x00"),
	opt(3, strings.Repeat("i", 12)+opt(5, address+"12345678")))

func TestParse(t *testing.T) {
	t.Parallel()
	discover := "\x35\x01\x01\x0c\x05host1\x3c\x08MSFT 5.0\x37\x03\x01\x03\x06\x3d\x07\x01\x02\x00\x5e\x00\x53\x01" +
		"\x00\x00\x32\x04\xc0\x00\x02\x07\x51\x0a\x00\x00\x00host1.d\xff"
	wantDiscover := dhcpwire.Message{
		Type: 1, HardwareAddr: hardware, HostName: []byte("host1"), FQDN: []byte("host1.d"), VendorClass: []byte("MSFT 5.0"),
		ParameterRequest: []byte{1, 3, 6}, ClientID: []byte{1, 2, 0, 0x5e, 0, 0x53, 1}, RequestedAddr: netip.MustParseAddr("192.0.2.7"),
	}
	wantSolicit := dhcpwire.Message{
		V6: true, Type: 1, ClientID: []byte(duid), FQDN: []byte("host.example.org"), VendorClass: []byte("MSFT 5.0"),
		ParameterRequest: []byte{0, 23, 0, 24}, RequestedAddr: netip.MustParseAddr("2001:db8::7"),
	}
	overload := v4(1, "\x34\x01\x03\xff")
	copy(overload[108:], "\x0c\x04file\xff")
	copy(overload[44:], "\x0c\x05sname\x3c\x05class\xff")
	deep := solicit
	for range 12 {
		deep = relayed(12, deep)
	}
	hw := dhcpwire.Message{HardwareAddr: hardware}
	with := func(set func(*dhcpwire.Message)) dhcpwire.Message { m := hw; set(&m); return m }
	for _, c := range []struct {
		name string
		b    []byte
		want dhcpwire.Message
	}{
		{"client", v4(1, discover), wantDiscover},
		{"server", v4(2, "\x35\x01\x05\xff"), with(func(m *dhcpwire.Message) { m.Reply, m.Type = true, 5 })},
		{"BOOTP", v4(1, "\xff"), hw},
		{"options in other fields", overload, with(func(m *dhcpwire.Message) { m.HostName, m.VendorClass = []byte("file"), []byte("class") })},
		{"FQDN in the format of DNS", v4(1, "\x51\x10\x04\x00\x00\x04host\x07example\xff"), with(func(m *dhcpwire.Message) { m.FQDN = []byte("host.example") })},
		{"empty FQDN", v4(1, "\x51\x03\x00\x00\x00\xff"), hw},
		{"name with a zero", v4(1, "\x0c\x05host\x00\xff"), with(func(m *dhcpwire.Message) { m.HostName = []byte("host") })},
		{"no end", v4(1, "\x35\x01\x03"), with(func(m *dhcpwire.Message) { m.Type = 3 })},
		{"cut option", v4(1, "\x35\x01\x03\x0c\x09host"), with(func(m *dhcpwire.Message) { m.Type, m.HostName, m.Incomplete = 3, []byte("host"), true })},
		{"option without length", v4(1, "\x35\x01\x03\x0c"), with(func(m *dhcpwire.Message) { m.Type, m.Incomplete = 3, true })},
		{"cut FQDN", v4(1, "\x51\x0a\x04\x00\x00\x04host\x09x\xff"), with(func(m *dhcpwire.Message) { m.FQDN, m.Incomplete = []byte("host"), true })},

		{"DHCPv6 client", solicit, wantSolicit},
		{"DHCPv6 relayed", relayed(12, relayed(12, solicit)), wantSolicit},
		{"DHCPv6 server", v6(7, opt(1, duid), opt(2, duid)), dhcpwire.Message{V6: true, Reply: true, Type: 7, ClientID: []byte(duid)}},
		{"DHCPv6 relayed reply", relayed(13, v6(2, opt(1, duid))), dhcpwire.Message{V6: true, Reply: true, Type: 2, ClientID: []byte(duid)}},
		{"DHCPv6 cut", v6(1, opt(1, duid)[:9]), dhcpwire.Message{V6: true, Type: 1, ClientID: []byte(duid[:5]), Incomplete: true}},
		{"DHCPv6 relayed nothing", relayed(12, nil), dhcpwire.Message{V6: true, Type: 12, Incomplete: true}},
		{"DHCPv6 relayed too often", deep, dhcpwire.Message{V6: true, Type: 12}},
	} {
		m := dhcpwire.Message{HostName: []byte("left over"), Incomplete: true}
		if !m.Parse(c.b) {
			t.Errorf("%s: not taken for a message", c.name)
		}
		if diff := cmp.Diff(c.want, m, cmpopts.IgnoreUnexported(dhcpwire.Message{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestVersionOfMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		b          []byte
		ok, parsed bool
	}{
		{"DHCPv4", v4(1, "\x35\x01\x01\xff"), true, true},
		{"DHCPv4 of a server", v4(2, ""), true, true},
		{"DHCPv6", solicit, true, true},
		{"DHCPv6 relayed", relayed(12, solicit), true, true},

		{"other magic number", make([]byte, 300), false, false},
		{"other op", v4(3, "\xff"), false, true}, // DHCPv6 has a message 3
		{"cut DHCPv4", v4(1, "")[:239], false, true},
		{"DHCPv6 option past the end", solicit[:len(solicit)-1], false, true},
		{"DHCPv6 without identifier", v6(11, opt(8, "\x00\x00")), false, true},
		{"DHCPv6 with option 0", v6(1, opt(1, duid), opt(0, "")), false, true},
		{"DHCPv6 with a high option", v6(1, opt(1, duid), opt(0x7777, "")), false, true},
		{"DHCPv6 of another type", v6(14, opt(1, duid)), false, false},
		{"DNS", []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x00\x00\x01\x00\x01"), false, false},
		{"nothing", nil, false, false},
	} {
		if got := dhcpwire.Version(c.b) != 0; got != c.ok {
			t.Errorf("%s: got %v, want %v", c.name, got, c.ok)
		}
		var m dhcpwire.Message
		if got := m.Parse(c.b); got != c.parsed {
			t.Errorf("%s: Parse is %v, want %v", c.name, got, c.parsed)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	a, b := v4(1, "\x35\x01\x01\x51\x10\x04\x00\x00\x04host\x07example\xff"), relayed(12, solicit)
	var m dhcpwire.Message
	m.Parse(b)
	if n := testing.AllocsPerRun(100, func() {
		m.Parse(a)
		m.Parse(b)
		dhcpwire.Version(b)
	}); n != 0 {
		t.Errorf("Parse allocates %v times, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(v4(1, "\x35\x01\x01\x0c\x05host1\x51\x10\x04\x00\x00\x04host\x07example\x34\x01\x03\xff"))
	f.Add(v4(2, "\x35\x01\x05\x3d\x07\x01\x02\x00\x5e\x00\x53\x01"))
	f.Add(solicit)
	f.Add(relayed(12, relayed(13, solicit)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m dhcpwire.Message
		ok := m.Parse(b)
		if !ok && dhcpwire.Version(b) != 0 {
			t.Error("looks like a message and is none")
		}
		if !ok && (m.Type != 0 || m.Incomplete) {
			t.Errorf("no message, and %+v", m)
		}
		for _, field := range [][]byte{m.HardwareAddr, m.ClientID, m.HostName, m.FQDN, m.VendorClass, m.ParameterRequest} {
			if len(field) > len(b) {
				t.Errorf("a field of %d bytes from %d", len(field), len(b))
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	message := v4(1, "\x35\x01\x01\x0c\x05host1\x3c\x08MSFT 5.0\x37\x03\x01\x03\x06\xff")
	var m dhcpwire.Message
	b.ReportAllocs()
	for b.Loop() {
		m.Parse(message)
	}
}
