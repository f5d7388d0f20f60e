package filter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:49152")
	server = netip.MustParseAddrPort("198.51.100.7:443")
	six    = netip.MustParseAddrPort("[2001:db8::1]:49152")
	other6 = netip.MustParseAddrPort("[2001:db8::2]:53")
)

func frame(ip []byte, vlan ...uint16) *pcap.Packet {
	b := pcapgen.Ethernet(ip, vlan...)
	return &pcap.Packet{Data: b, WireLen: uint32(len(b)), Link: pcap.LinkEthernet}
}

func TestExpressionsMatchPackets(t *testing.T) {
	t.Parallel()
	syn := frame(pcapgen.Segment{Src: client, Dst: server, Seq: 1, Flags: pcapgen.SYN}.IP())
	dns := frame(pcapgen.UDP(six, other6, []byte("0123456789")))
	tagged := frame(pcapgen.Segment{Src: client, Dst: server, Flags: pcapgen.ACK, Payload: []byte("data")}.IP(), 100)
	raw := &pcap.Packet{Data: pcapgen.UDP(client, server, nil), WireLen: 28, Link: pcap.LinkRaw}
	for expr, want := range map[string]string{
		"":                                    "syn dns tagged raw",
		"tcp":                                 "syn",
		"udp":                                 "dns raw",
		"port 443":                            "syn raw",
		"tcp port 443 or 53":                  "syn",
		"port 443 or 53":                      "syn dns raw",
		"host 192.0.2.1":                      "syn raw",
		"src host 192.0.2.1 and dst port 443": "syn raw",
		"dst net 198.51":                      "syn raw",
		"net 2001:db8::/32":                   "dns",
		"vlan":                                "tagged",
		"vlan 100 and tcp port 443":           "tagged",
		"vlan 7":                              "",
		"tcp or vlan and tcp":                 "tagged", // libpcap: from left to right, vlan for all of it
		"(tcp) or (vlan and tcp)":             "syn tagged",
		"not tcp":                             "dns tagged raw",
		"port not 443":                        "dns tagged",
		"port not 443 and ip6":                "dns",
		"port 443 and (udp or host 1.2.3.4) or 53": "dns raw",
		"ip broadcast":                 "",
		"!(tcp || udp)":                "tagged",
		"tcp[tcpflags] & tcp-syn != 0": "syn",
		"ip6[40:2] = 49152":            "dns",
		"len > 60":                     "dns tagged",
		"less 28":                      "raw",
		"ether[0] = 2":                 "syn dns tagged",
		"ip[1000] = 0 or tcp":          "", // the load fails where it is tried
		"ip[1000] = 0 or udp":          "dns",
	} {
		s, err := Parse(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		var got []string
		for _, p := range []struct {
			name string
			pkt  *pcap.Packet
		}{{"syn", syn}, {"dns", dns}, {"tagged", tagged}, {"raw", raw}} {
			if s.Match(p.pkt) {
				got = append(got, p.name)
			}
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%q matches %q, want %q", expr, g, want)
		}
	}
}

func TestErrorsNamePlaceAndCause(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"port":                      `at 4: expected a port after "port", found the end`,
		"port foo":                  `at 5: expected a port after "port", found "foo"`,
		"tcp port 70000":            `at 9: expected a port after "port", found "70000"`,
		"host www.example.net":      `at 5: "www.example.net" is neither an address nor a network; names are not looked up`,
		"host 10.1":                 `at 5: "10.1" is no whole address`,
		"net 10.0.0.1/8":            `at 4: "10.0.0.1" has bits set behind its netmask`,
		"net 10.0.0.0/33":           `33 is above 32`,
		"(tcp":                      `at 4: expected ")", found the end`,
		"tcp)":                      `at 3: expected the end, and or or, found ")"`,
		"tcp and":                   `at 7: expected a primitive, found the end`,
		"and tcp":                   `at 0: expected a primitive, found "and"`,
		"tcp port 80 ; rm":          `at 12: unexpected ";"`,
		"inbound":                   `at 0: "inbound" is not supported`,
		"tcp host 10.0.0.1":         `"tcp" goes with no IPv4 address`,
		"ip[0":                      `at 4: expected "]", found the end`,
		"ip[0:3] = 1":               `at 5: a size of 3 is not 1, 2 or 4`,
		"tcp[13] &":                 `at 9: expected a number, found the end`,
		"len / 0 = 1":               `at 4: division by zero`,
		"vlan 5000":                 `at 5: 5000 is above 4095`,
		`tcp \`:                     `at 4: nothing behind the backslash`,
		"ether host 10.0.0.1":       `"ether" goes with no IPv4 address`,
		strings.Repeat("not ", 500): `nested more than 200 deep`,
		strings.Repeat("(", 500):    `nested more than 200 deep`,
	} {
		_, err := Parse(expr)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %q", expr, err, want)
		}
	}
	if _, err := Compile("ether broadcast", pcap.LinkRaw); !errors.Is(err, errLink) || !strings.Contains(err.Error(), "RAW has no Ethernet header") {
		t.Errorf("err = %v", err)
	}
	if _, err := Compile("tcp", 147); !errors.Is(err, errLink) || !strings.Contains(err.Error(), "USER0") {
		t.Errorf("err = %v", err)
	}
}

func TestLongProgramsJumpFar(t *testing.T) {
	t.Parallel()
	var ports []string
	for range 100 {
		ports = append(ports, "port 1")
	}
	s, err := Parse(strings.Join(ports, " or ") + " or tcp port 443")
	if err != nil {
		t.Fatal(err)
	}
	if !s.Match(frame(pcapgen.Segment{Src: client, Dst: server}.IP())) || s.Match(frame(pcapgen.UDP(client, server, nil))) {
		t.Error("wrong packets match")
	}
	if _, err := Parse(strings.Repeat("port 1 or ", 3000) + "tcp"); err == nil || !strings.Contains(err.Error(), "instructions are more than 4096") {
		t.Errorf("err = %.200v", err)
	}
}

func TestLiveProgramsLetTaggedPacketsPass(t *testing.T) {
	t.Parallel()
	raw, err := CompileLive("tcp port 443", pcap.LinkEthernet)
	if err != nil {
		t.Fatal(err)
	}
	if x, ok := raw[0].Disassemble().(bpf.LoadExtension); !ok || x.Num != bpf.ExtVLANTagPresent {
		t.Errorf("the program begins with %v", raw[0].Disassemble())
	}
	if j, ok := raw[1].Disassemble().(bpf.JumpIf); !ok || j.Cond != bpf.JumpEqual || j.Val != 1 || raw[2+j.SkipTrue].K != accepted {
		t.Errorf("a packet that had a tag does not pass: %v", raw[1].Disassemble())
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	s, err := Parse("tcp port 443")
	if err != nil {
		t.Fatal(err)
	}
	p := frame(pcapgen.Segment{Src: client, Dst: server}.IP())
	if n := testing.AllocsPerRun(100, func() { s.Match(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"tcp port (80 or 443)", "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "vlan 1 and not net 10/8", "ether host 1:2:3:4:5:6", `proto \tcp`} {
		f.Add(s, uint16(1))
	}
	f.Fuzz(func(t *testing.T, expr string, link uint16) {
		p, err := Compile(expr, pcap.LinkType(link))
		if err != nil {
			return
		}
		if len(p.Instructions()) > maxProgram {
			t.Error("program is too long")
		}
		p.Match([]byte(expr), uint32(len(expr)))
	})
}

// FuzzMatch compares Match with the virtual machine of golang.org/x/net.
func FuzzMatch(f *testing.F) {
	f.Add("tcp port 443 and tcp[13] & 2 != 0", pcapgen.Ethernet(pcapgen.Segment{Src: client, Dst: server, Flags: pcapgen.SYN}.IP()))
	f.Add("ip6 and ip6[6] * 2 - 3 = 31", pcapgen.Ethernet(pcapgen.UDP(six, other6, nil)))
	f.Fuzz(func(t *testing.T, expr string, data []byte) {
		p, err := Compile(expr, pcap.LinkEthernet)
		if err != nil {
			return
		}
		code, ok := bpf.Disassemble(p.Instructions())
		if !ok {
			t.Fatal("instructions that are none")
		}
		vm, err := bpf.NewVM(code)
		if err != nil {
			t.Fatalf("%q: %v", expr, err)
		}
		n, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(data, uint32(len(data))); got != (n > 0) {
			t.Errorf("%q: we say %v, the other machine %d", expr, got, n)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	s, err := Parse("tcp port 443")
	if err != nil {
		b.Fatal(err)
	}
	p := frame(pcapgen.Segment{Src: client, Dst: server}.IP())
	b.ReportAllocs()
	for b.Loop() {
		s.Match(p)
	}
}
