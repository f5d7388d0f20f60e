package reference

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// versionName turns the spellings of protocol versions into Trench's:
// TLSv12, TLSv1.2, TLS 1.3 draft-28, TLSv13-draft14, DTLSv1.2, SSLv3.
func versionName(s string) string {
	name, rest := "", ""
	for _, p := range []string{"DTLS", "TLS", "SSL"} {
		if r, ok := strings.CutPrefix(s, p); ok {
			name, rest = p, r
			break
		}
	}
	if name == "" {
		return s
	}
	rest = strings.TrimPrefix(strings.TrimSpace(rest), "v")
	rest, _, _ = strings.Cut(rest, "-draft")
	rest, _, _ = strings.Cut(rest, " draft")
	if !strings.Contains(rest, ".") {
		if len(rest) == 1 {
			rest += "0"
		}
		if len(rest) == 2 {
			rest = rest[:1] + "." + rest[1:]
		}
	}
	return name + " " + rest
}

// canonicalName makes names of X.501 comparable that differ in order, separators,
// escapes and the spelling of attributes: its parts, sorted.
func canonicalName(s string) string {
	var parts []string
	var part strings.Builder
	flush := func() {
		p := strings.TrimLeft(part.String(), " ")
		part.Reset()
		key, val, ok := strings.Cut(p, "=")
		if !ok || strings.ContainsAny(key, " ") || key == "" {
			if n := len(parts); n > 0 { // a comma within a value
				parts[n-1] += ", " + p
				return
			}
			if p == "" {
				return
			}
		}
		if ok {
			p = attribute(key) + "=" + val
		}
		parts = append(parts, p)
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			if i+2 < len(s) {
				if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
					part.Write(b)
					i += 2
					continue
				}
			}
			i++
			part.WriteByte(s[i])
		case s[i] == ',' || s[i] == '+':
			if s[i] == '+' && !strings.Contains(s[i:], "=") {
				part.WriteByte('+')
				continue
			}
			flush()
		default:
			part.WriteByte(s[i])
		}
	}
	flush()
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// attribute returns the one spelling of an attribute's name.
func attribute(key string) string {
	switch k := strings.ToUpper(key); k {
	case "EMAIL", "E", "EMAILADDRESS", "1.2.840.113549.1.9.1":
		return "EMAIL"
	case "S":
		return "ST"
	case "POSTALCODE", "2.5.4.17":
		return "POSTALCODE"
	case "STREET", "STREETADDRESS", "2.5.4.9":
		return "STREET"
	case "SERIALNUMBER", "2.5.4.5":
		return "SERIALNUMBER"
	case "BUSINESSCATEGORY", "2.5.4.15":
		return "BUSINESSCATEGORY"
	case "JURISDICTIONC", "JURISDICTIONCOUNTRYNAME", "1.3.6.1.4.1.311.60.2.1.3":
		return "JURISDICTIONC"
	case "JURISDICTIONST", "JURISDICTIONSTATEORPROVINCENAME", "1.3.6.1.4.1.311.60.2.1.2":
		return "JURISDICTIONST"
	case "JURISDICTIONL", "JURISDICTIONLOCALITYNAME", "1.3.6.1.4.1.311.60.2.1.1":
		return "JURISDICTIONL"
	default:
		return k
	}
}

// canonicalSerial drops separators and leading zeros from a serial number in hex.
func canonicalSerial(s string) string {
	s = strings.TrimLeft(strings.ToLower(strings.ReplaceAll(s, ":", "")), "0")
	if s == "" {
		return "0"
	}
	return s
}

// plainHex drops the colons of a digest.
func plainHex(s string) string { return strings.ToLower(strings.ReplaceAll(s, ":", "")) }

func date(sec int64) string { return time.Unix(sec, 0).UTC().Format("2006-01-02T15:04:05") }

// numbers writes a list as tshark, Zeek and JA3 do.
func numbers(list []uint16) string {
	var out []string
	for _, v := range list {
		out = append(out, strconv.Itoa(int(v)))
	}
	return strings.Join(out, ",")
}

// decimal turns a list of numbers, 0x… or not, into plain ones.
func decimal(list string) string {
	parts := strings.Split(list, ",")
	for i, p := range parts {
		if n, err := strconv.ParseUint(strings.TrimSpace(p), 0, 32); err == nil {
			parts[i] = strconv.FormatUint(n, 10)
		}
	}
	return strings.Join(parts, ",")
}

// digest is the MD5 of a JA3 string.
func digest(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// quicVersion turns the number of a QUIC version into Trench's spelling.
func quicVersion(n uint32) string {
	switch {
	case n == 1:
		return "1"
	case n == 0x6b3343cf:
		return "2"
	case n>>8 == 0xff0000:
		return fmt.Sprintf("draft-%d", n&0xff)
	case n>>24 == 'Q' || n>>24 == 'T':
		return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	case n&0x0f0f0f0f == 0x0a0a0a0a:
		return "grease"
	}
	return fmt.Sprintf("0x%08x", n)
}

// parseEnds reads the addresses and ports of a flow.
func parseEnds(srcIP, srcPort, dstIP, dstPort string) (Ends, bool) {
	src, ok1 := addrPort(srcIP, srcPort)
	dst, ok2 := addrPort(dstIP, dstPort)
	return Ends{src, dst}, ok1 && ok2
}

func addrPort(ip, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.AddrPort{}, false
	}
	port, _, _ = strings.Cut(port, "/")
	n, err := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), err == nil
}

// first returns the first of comma-separated values.
func first(list string) string {
	v, _, _ := strings.Cut(list, ",")
	return v
}
