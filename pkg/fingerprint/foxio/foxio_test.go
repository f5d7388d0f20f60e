package foxio_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"trench/pkg/fingerprint/foxio"
	"trench/pkg/tlswire"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestJA4S(t *testing.T) {
	t.Parallel()
	exts := []uint16{0x0005, 0x0017, 0xff01, 0x0000}
	tests := []struct {
		name      string
		hello     tlswire.ServerHello
		transport byte
		alpn      string
		want      string
	}{
		{"the example of the specification", tlswire.ServerHello{SelectedVersion: 0x0303, CipherSuite: 0xc030, Extensions: exts}, 't', "", "t120400_c030_4e8089b08790"},
		{"GREASE is left out", tlswire.ServerHello{SelectedVersion: 0x0303, CipherSuite: 0xc030, Extensions: append([]uint16{0x1a1a}, exts...)}, 't', "", "t120400_c030_4e8089b08790"},
		{"the chosen protocol", tlswire.ServerHello{SelectedVersion: 0x0304, CipherSuite: 0x1301, Extensions: exts}, 'q', "http/1.1", "q1304h1_1301_4e8089b08790"},
		{"one character is first and last", tlswire.ServerHello{SelectedVersion: 0x0304, Extensions: exts}, 't', "h", "t1304hh_0000_4e8089b08790"},
		{"a protocol of other bytes is hex", tlswire.ServerHello{SelectedVersion: 0x0304, Extensions: exts}, 't', "0\xab", "t13043b_0000_4e8089b08790"},
		{"no extensions", tlswire.ServerHello{SelectedVersion: 0x0300, CipherSuite: 5}, 't', "", "ts30000_0005_000000000000"},
		{"DTLS 1.0", tlswire.ServerHello{SelectedVersion: 0xfeff}, 'd', "", "dd10000_0000_000000000000"},
		{"DTLS 1.2", tlswire.ServerHello{SelectedVersion: 0xfefd}, 'd', "", "dd20000_0000_000000000000"},
		{"DTLS 1.3", tlswire.ServerHello{SelectedVersion: 0xfefc}, 'd', "", "dd30000_0000_000000000000"},
		{"an unknown version", tlswire.ServerHello{SelectedVersion: 0x7f1c}, 't', "", "t000000_0000_000000000000"},
	}
	for _, tt := range tests {
		if got := foxio.JA4S(&tt.hello, tt.transport, []byte(tt.alpn)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestJA4X(t *testing.T) {
	t.Parallel()
	name := [][]byte{unhex("550403"), unhex("550406"), unhex("550408"), unhex("55040a")}
	exts := [][]byte{unhex("551d0f"), unhex("551d25"), unhex("551d11")}
	if got, want := foxio.JA4X(name, name, exts), "96a6439c8f5c_96a6439c8f5c_aae71e8db6d7"; got != want {
		t.Errorf("the example of the specification: got %s, want %s", got, want)
	}
	if got, want := foxio.JA4X(nil, nil, nil), "000000000000_000000000000_000000000000"; got != want {
		t.Errorf("nothing there: got %s, want %s", got, want)
	}
	if reversed := [][]byte{exts[2], exts[1], exts[0]}; foxio.JA4X(name, name, exts) == foxio.JA4X(name, name, reversed) {
		t.Error("the order of extensions makes no difference")
	}
}

func TestJA4T(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		window  uint16
		options string
		want    string
	}{
		{"Windows 10", 64240, "020405b4 01 030308 01 01 0402", "64240_2-1-3-1-1-4_1460_8"},
		{"Linux", 62727, "02042301 0402 080a0000000100000000 01 030307", "62727_2-4-8-1-3_8961_7"},
		{"macOS: the zeros that fill up count", 65535, "020405b4 01 030306 0101 080a0000000100000000 0402 0000", "65535_2-1-3-1-1-8-4-0-0_1460_6"},
		{"Nmap: no scale", 1024, "020405b4", "1024_2_1460_00"},
		{"Zmap: no options", 65535, "", "65535_00_00_00"},
		{"Windows 2003: a scale of 0 is written as none", 16384, "020405b4 01 030300 0101 080a0000000000000000 0101 0402", "16384_2-1-3-1-1-8-1-1-4_1460_00"},
		{"an unknown kind", 1, "fd04f989 020405b4", "1_253-2_1460_00"},
		{"a cut option gives its kind", 1, "01 0204 05", "1_1-2_00_00"},
		{"a kind without a length", 1, "02", "1_2_00_00"},
		{"an impossible length ends the list", 1, "03 00 020405b4", "1_3_00_00"},
		{"a size of a wrong length is none", 1, "02 06 05b405b4 030307", "1_2-3_00_7"},
		{"nothing follows the end of the list", 1, "00 00 020405b4", "1_0-0_00_00"},
		{"no header has more than 40 bytes", 1, strings.Repeat("01", 60), "1_1" + strings.Repeat("-1", 39) + "_00_00"},
	}
	for _, tt := range tests {
		if got := foxio.JA4T(tt.window, unhex(tt.options)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

const curl = "GET / HTTP/1.1\r\nHost: echo.ramaproxy.org\r\nUser-Agent: curl/7.81.0\r\nAccept: */*\r\n"

func TestJA4H(t *testing.T) {
	t.Parallel()
	const none = "_000000000000"
	const plain = "ge11nn030000_fe444ad14866" + none + none
	tests := []struct{ name, head, want string }{
		{"curl", curl + "\r\n", plain},
		{"lines may end with LF", strings.ReplaceAll(curl, "\r", "") + "\n", plain},
		{"a head that ends too early", curl, plain},
		{"the body is not looked at", curl + "\r\nCookie: a=b\r\n", plain},
		{"lines that are no field", curl + "junk\r\n goes: on\r\n: nameless\r\n\r\n", plain},
		{"cookies are sorted", curl + "Cookie: sierra=echo;alpha=bravo;zulu=tango\r\n\r\n", "ge11cn030000_fe444ad14866_7efd8825dc5a_f0c5f5a36bc1"},
		{"cookies of several fields", curl + "cookie: sierra=echo\r\nCOOKIE:zulu=tango; ;alpha=bravo;\r\n\r\n", "ge11cn030000_fe444ad14866_7efd8825dc5a_f0c5f5a36bc1"},
		{"a cookie field without cookies", curl + "Cookie: \r\n\r\n", "ge11cn030000_fe444ad14866" + none + none},
		{"cookies are sorted by their name", "GET / HTTP/1.1\r\nAccept: 1\r\nAccept-Language: en-US,en;q=0.5\r\nReferer: 2\r\nUser-Agent: 3\r\n" +
			"Accept-Encoding: 4\r\nHost: 5\r\nConnection: 6\r\nCookie: visitor_id413862-hash=1f00bdb076b5fb707c70254849819ec1797d3e27cef91a61a9488cb7ca0ebf77f226caa4075591b2591bf9a1ccdf29432c67379b;" +
			" visitor_id413862=286585660; pardot=tee2foreb3fefpgvk8u1056vt3\r\n\r\n", "ge11cr06enus_8c2f9ef95269_d23bf79698dc_69e42fa741fe"},
		{"nothing", "", "0000nn000000" + none + none + none},
		{"no fields", "GET / HTTP/1.0\r\n\r\n", "ge10nn000000" + none + none + none},
	}
	for _, tt := range tests {
		if got := foxio.JA4H([]byte(tt.head)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestFirstPartOfJA4H(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("X: y\r\n", 120)
	tests := []struct{ name, head, want string }{
		{"HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\n", "po10nn010000"},
		{"letters of the method alone", "M-SEARCH * HTTP/1.1\r\n", "ms11nn000000"},
		{"a short method", "x / HTTP/1.1\r\n", "x011nn000000"},
		{"no version", "GET /\r\n", "ge00nn000000"},
		{"spaces in the target", "GET /a b HTTP/1.1\r\n", "ge11nn000000"},
		{"referer", "GET / HTTP/1.1\r\nreFerer:\r\n", "ge11nr000000"},
		{"more than 99 fields", "GET / HTTP/1.1\r\n" + many, "ge11nn990000"},
		{"a short language", "GET / HTTP/1.1\r\nAccept-Language: da, en-gb;q=0.8\r\n", "ge11nn01da00"},
		{"a language with a weight", "GET / HTTP/1.1\r\naccept-language:fr;q=0.9\r\n", "ge11nn01fr00"},
		{"a long language", "GET / HTTP/1.1\r\nAccept-Language: zh-Hant-TW\r\n", "ge11nn01zhha"},
		{"digits in a language", "GET / HTTP/1.1\r\nAccept-Language: es-419\r\n", "ge11nn01es41"},
		{"any language", "GET / HTTP/1.1\r\nAccept-Language: *\r\n", "ge11nn01*000"},
		{"the first of two languages", "GET / HTTP/1.1\r\nAccept-Language: de-DE\r\nAccept-Language: en\r\n", "ge11nn02dede"},
		{"bytes that are no text", "GET / HTTP/1.1\r\nAccept-Language: \xff\x00e\r\n", "ge11nn01e000"},
	}
	for _, tt := range tests {
		got, _, _ := strings.Cut(foxio.JA4H([]byte(tt.head)), "_")
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// browserHead is a large request: 40 cookies in 4 kB.
func browserHead() []byte {
	b := []byte(curl + "Accept-Language: en-US,en;q=0.5\r\nReferer: https://example.org/\r\nCookie: ")
	for i := range 40 {
		b = fmt.Appendf(b, "cookie%d=%s; ", (i*17)%40, strings.Repeat("v", 90))
	}
	return append(b, "\r\n\r\n"...)
}

func TestFingerprintsAllocateTheStringAlone(t *testing.T) { // not parallel: AllocsPerRun must be alone
	head, options := browserHead(), unhex("020405b4 01 030306 0101 080a0000000100000000 0402 0000")
	hello := &tlswire.ServerHello{SelectedVersion: 0x0304, CipherSuite: 0x1301, Extensions: []uint16{51, 43}}
	name := [][]byte{unhex("550403"), unhex("550406"), unhex("550408"), unhex("55040a")}
	alpn := []byte("h2")
	var sink string
	for what, f := range map[string]func(){
		"JA4S": func() { sink = foxio.JA4S(hello, 't', alpn) },
		"JA4X": func() { sink = foxio.JA4X(name, name, name) },
		"JA4H": func() { sink = foxio.JA4H(head) },
		"JA4T": func() { sink = foxio.JA4T(64240, options) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 1 {
			t.Errorf("%s: %v allocations for %s", what, n, sink)
		}
	}
}

var ja4h = regexp.MustCompile(`^[a-z0]{2}\d\d[cn][rn]\d\d[!-~]{4}(_[0-9a-f]{12}){3}$`)

func FuzzJA4H(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(curl + "\r\n"))
	f.Add([]byte("M-SEARCH * HTTP/1.1\nCookie: b=1; a; =; a=b=c\nAccept-Language: da;q=1\n\n"))
	f.Add(browserHead())
	f.Fuzz(func(t *testing.T, head []byte) {
		before := bytes.Clone(head)
		got := foxio.JA4H(head)
		if !ja4h.MatchString(got) {
			t.Errorf("%q is no JA4H", got)
		}
		if !bytes.Equal(head, before) {
			t.Error("the head was changed")
		}
		ended := append(before, "\r\n\r\n"...)
		if a, b := foxio.JA4H(ended), foxio.JA4H(append(ended, "Cookie: a=b\r\nReferer: c\r\n\r\n"...)); a != b {
			t.Errorf("what follows the head makes %s of %s", b, a)
		}
	})
}

var ja4t = regexp.MustCompile(`^\d{1,5}_(00|\d{1,3}(-\d{1,3})*)_(00|[1-9]\d{0,4})_(00|[1-9]\d{0,2})$`)

func FuzzJA4T(f *testing.F) {
	f.Add(uint16(0), []byte{})
	f.Add(uint16(64240), unhex("020405b4 01 030308 01 01 0402"))
	f.Add(uint16(65535), unhex("020405b4 01 030306 0101 080a0000000100000000 0402 0000"))
	f.Add(uint16(1), unhex("0204"))
	f.Fuzz(func(t *testing.T, window uint16, options []byte) {
		got := foxio.JA4T(window, options)
		if !ja4t.MatchString(got) {
			t.Errorf("%q is no JA4T", got)
		}
		kinds := strings.Split(strings.Split(got, "_")[1], "-")
		if len(kinds) > 40 || len(options) == 0 != (kinds[0] == "00") {
			t.Errorf("%s of %d bytes of options", got, len(options))
		}
	})
}

func BenchmarkJA4H(b *testing.B) {
	for name, head := range map[string][]byte{"curl": []byte(curl + "\r\n"), "browser": browserHead()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			for b.Loop() {
				foxio.JA4H(head)
			}
		})
	}
}

func BenchmarkJA4T(b *testing.B) {
	options := unhex("020405b4 01 030306 0101 080a0000000100000000 0402 0000")
	b.ReportAllocs()
	for b.Loop() {
		foxio.JA4T(65535, options)
	}
}
