package sshwire_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/sshwire"
)

const identification = "SSH-2.0-Test_1.0 a comment\r\n"

// packetOf builds a packet around a payload.
func packetOf(payload string) string {
	const padding = 8
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	return string(b) + string(rune(padding)) + payload + strings.Repeat("\xaa", padding)
}

// kexInit builds the payload of a KEXINIT.
func kexInit(lists ...string) string {
	b := "\x14cookie..cookie.."
	for _, l := range lists {
		b += string(binary.BigEndian.AppendUint32(nil, uint32(len(l)))) + l
	}
	return b + "\x01\x00\x00\x00\x00"
}

var offer = kexInit("kex-a,kex-b", "key", "cipher-c", "cipher-s", "mac-c", "mac-s", "none", "zlib", "", "de")

func TestParse(t *testing.T) {
	t.Parallel()
	kex := sshwire.KexInit{
		Seen: true, KexAlgorithms: []byte("kex-a,kex-b"), HostKeyAlgorithms: []byte("key"),
		CiphersC2S: []byte("cipher-c"), CiphersS2C: []byte("cipher-s"), MACsC2S: []byte("mac-c"), MACsS2C: []byte("mac-s"),
		CompressionC2S: []byte("none"), CompressionS2C: []byte("zlib"), LanguagesC2S: []byte{}, LanguagesS2C: []byte("de"),
		FirstKexFollows: true,
	}
	name := []byte("SSH-2.0-Test_1.0 a comment")
	debug := packetOf("\x04\x01\x00\x00\x00\x02hi\x00\x00\x00\x00")
	long := "SSH-2.0-" + strings.Repeat("x", 400)
	for _, c := range []struct {
		name   string
		stream string
		want   sshwire.Side
	}{
		{"all", identification + packetOf(offer), sshwire.Side{Banner: name, Kex: kex}},
		{"more after it", identification + packetOf(offer) + packetOf("\x1e..."), sshwire.Side{Banner: name, Kex: kex}},
		{"identification alone", identification, sshwire.Side{Banner: name, Incomplete: true}},
		{"LF alone", "SSH-2.0-Old\n" + packetOf(offer), sshwire.Side{Banner: []byte("SSH-2.0-Old"), Kex: kex}},
		{"lines before", "Welcome\r\n\r\nto \xc3\xa4\n" + identification + packetOf(offer), sshwire.Side{Banner: name, Kex: kex}},
		{"messages before KEXINIT", identification + packetOf("\x02\x00\x00\x00\x00") + debug + packetOf(offer), sshwire.Side{Banner: name, Kex: kex}},
		{"version 1.99", "SSH-1.99-Both\n" + packetOf(offer), sshwire.Side{Banner: []byte("SSH-1.99-Both"), Kex: kex}},
		{"version 1", "SSH-1.5-Old\n" + "\x00\x00\x01\x0b\x00\x00\x00\x00\x00\x02", sshwire.Side{Banner: []byte("SSH-1.5-Old")}},
		{"nothing", "", sshwire.Side{}},

		{"cut identification", "SSH-2.0-Te", sshwire.Side{Banner: []byte("SSH-2.0-Te"), Incomplete: true}},
		{"cut before its version", "SS", sshwire.Side{Incomplete: true}},
		{"long identification", long + "\r\n" + packetOf(offer), sshwire.Side{Banner: []byte(long[:255]), Kex: kex, Incomplete: true}},
		{"endless identification", "SSH-2.0-" + strings.Repeat("x", 5000), sshwire.Side{Banner: []byte(long[:255]), Incomplete: true}},
		{"endless lines", strings.Repeat("hello\n", 1000) + identification, sshwire.Side{Incomplete: true}},
		{"other protocol", "\x16\x03\x01\x00\x05hello", sshwire.Side{Incomplete: true}},
		{"other message", identification + packetOf("\x1e..."), sshwire.Side{Banner: name, Incomplete: true}},
		{"length out of range", identification + "\x00\x01\x00\x00\x04\x14", sshwire.Side{Banner: name, Incomplete: true}},
		{"more padding than packet", identification + "\x00\x00\x00\x05\x04\x14", sshwire.Side{Banner: name, Incomplete: true}},
		{"cut lists", (identification + packetOf(offer))[:len(identification)+5+17+4+9], sshwire.Side{
			Banner: name, Kex: sshwire.KexInit{Seen: true, KexAlgorithms: []byte("kex-a,kex")}, Incomplete: true}},
		{"list past the end", identification + packetOf("\x14cookie..cookie..\xff\xff\xff\xffa"), sshwire.Side{
			Banner: name, Kex: sshwire.KexInit{Seen: true, KexAlgorithms: []byte("a")}, Incomplete: true}},
	} {
		s := sshwire.Side{Incomplete: true, Kex: sshwire.KexInit{MACsC2S: []byte("left over")}}
		s.Parse([]byte(c.stream))
		if diff := cmp.Diff(c.want, s); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Whatever the stream is cut to, End says that more is of use exactly as long as
// Parse would find more in it.
func TestEndTellsWhatParseNeeds(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{
		"Welcome\r\n" + identification + packetOf("\x02\x00\x00\x00\x00") + packetOf(offer) + packetOf("\x1e..."),
		"SSH-1.5-Old\r\n\x00\x00\x01\x0b\x00\x00\x00\x00\x00\x02",
		"SSH-2.0-" + strings.Repeat("x", 5000),
		identification + packetOf("\x1e..."),
	} {
		var all sshwire.Side
		all.Parse([]byte(stream))
		enough, done := sshwire.End([]byte(stream))
		if !done || enough > len(stream) {
			t.Fatalf("%.20q: %d of %d bytes, done %v", stream, enough, len(stream), done)
		}
		for n := range len(stream) {
			got, done := sshwire.End([]byte(stream[:n]))
			if done && got != enough || !done && got != n {
				t.Fatalf("%.20q: of %d bytes %d are of use, done %v; %d of all", stream, n, got, done, enough)
			}
		}
		var s sshwire.Side
		s.Parse([]byte(stream[:enough]))
		if diff := cmp.Diff(all.Banner, s.Banner) + cmp.Diff(all.Kex, s.Kex); diff != "" {
			t.Errorf("%.20q: %s", stream, diff)
		}
	}
}

func TestEndOfWhatIsNoSSH(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"\x16\x03\x01", "GET / HTTP/1.1\r\n\x00", strings.Repeat("hello\n", 1000), strings.Repeat("x", 5000)} {
		if n, done := sshwire.End([]byte(stream)); n != 0 || !done {
			t.Errorf("%.20q: got %d, %v, want 0, true", stream, n, done)
		}
	}
}

func TestHASSH(t *testing.T) {
	t.Parallel()
	var s sshwire.Side
	s.Parse([]byte(identification + packetOf(offer)))
	if got, want := string(sshwire.AppendHASSH([]byte("x"), &s.Kex)), "xkex-a,kex-b;cipher-c;mac-c;none"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// The digests are those of md5sum.
	if got, want := sshwire.HASSH(&s.Kex), "ec097c19413304948c438ad5aa7a9eab"; got != want {
		t.Errorf("client: got %s, want %s", got, want)
	}
	if got, want := sshwire.HASSHServer(&s.Kex), "874fae73078965a38f8e293c258e066d"; got != want {
		t.Errorf("server: got %s, want %s", got, want)
	}
	var none sshwire.KexInit
	if got := sshwire.HASSH(&none) + sshwire.HASSHServer(&none); got != "" {
		t.Errorf("without KEXINIT: got %q", got)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	stream := []byte("Welcome\r\n" + identification + packetOf(offer))
	var s sshwire.Side
	if n := testing.AllocsPerRun(100, func() {
		s.Parse(stream)
		sshwire.End(stream)
	}); n != 0 {
		t.Errorf("Parse and End allocate %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { sshwire.HASSH(&s.Kex) }); n > 1 {
		t.Errorf("HASSH allocates %v times, want 1: its result", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		identification + packetOf(offer),
		"Welcome\r\n" + identification + packetOf("\x02\x00\x00\x00\x00") + packetOf(offer),
		"SSH-1.5-Old\n\x00\x00\x01\x0b", "SSH-1.99-Both\n" + packetOf(offer), identification + packetOf("\x14cookie"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		n, done := sshwire.End(stream)
		if n > len(stream) || !done && n != len(stream) {
			t.Fatalf("End is %d, %v of %d bytes", n, done, len(stream))
		}
		var all, s sshwire.Side
		all.Parse(stream)
		s.Parse(stream[:n])
		if !bytes.Equal(s.Banner, all.Banner) || sshwire.HASSH(&s.Kex) != sshwire.HASSH(&all.Kex) || s.Kex.FirstKexFollows != all.Kex.FirstKexFollows {
			t.Errorf("the first %d bytes say something else than all %d", n, len(stream))
		}
		if all.Kex.Seen && (all.Banner == nil || !done && !all.Incomplete) {
			t.Errorf("got %+v, done %v", all, done)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	stream := []byte(identification + packetOf(offer))
	var s sshwire.Side
	b.ReportAllocs()
	for b.Loop() {
		s.Parse(stream)
	}
}
