package record

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Column is one column of the row, as NDJSON and CSV write it.
type Column struct {
	Name string
	// append adds the JSON value, or nothing when it was not observed.
	append func(b []byte, r *Record) []byte
}

// Columns returns the columns in the order of the documentation.
func Columns() []Column { return columns }

// AppendJSON adds the row as one JSON object, without a line end.
func (r *Record) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	for i := range columns {
		b = columns[i].appendMember(b, r)
	}
	b[len(b)-1] = '}' // flow_id and others are always there, so this is a comma
	return b
}

func (c *Column) appendMember(b []byte, r *Record) []byte {
	start := len(b)
	b = append(b, '"')
	b = append(b, c.Name...)
	b = append(b, '"', ':')
	value := len(b)
	b = c.append(b, r)
	if len(b) == value {
		return b[:start]
	}
	return append(b, ',')
}

// AppendValue adds the column's JSON value, or nothing when not observed.
func (c *Column) AppendValue(b []byte, r *Record) []byte { return c.append(b, r) }

var columns = []Column{
	{"source", func(b []byte, r *Record) []byte { return optString(b, r.Source) }},
	{"flow_id", func(b []byte, r *Record) []byte { return appendID(b, r) }},
	{"part", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, uint64(r.Part), 10) }},
	{"final", func(b []byte, r *Record) []byte { return strconv.AppendBool(b, r.Final) }},
	{"ts", func(b []byte, r *Record) []byte { return appendTime(b, r.TS) }},
	{"ts_end", func(b []byte, r *Record) []byte { return appendTime(b, r.TSEnd) }},
	{"proto", func(b []byte, r *Record) []byte { return optString(b, r.Proto) }},
	{"app_proto", func(b []byte, r *Record) []byte { return optString(b, r.AppProto) }},
	{"client_ip", func(b []byte, r *Record) []byte { return append(r.ClientIP.AppendTo(append(b, '"')), '"') }},
	{"client_port", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, uint64(r.ClientPort), 10) }},
	{"server_ip", func(b []byte, r *Record) []byte { return append(r.ServerIP.AppendTo(append(b, '"')), '"') }},
	{"server_port", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, uint64(r.ServerPort), 10) }},
	{"vlan", func(b []byte, r *Record) []byte { return optInts(b, r.VLAN) }},
	{"tunnel", func(b []byte, r *Record) []byte { return optString(b, r.Tunnel) }},
	{"rtt", func(b []byte, r *Record) []byte { return optFloat(b, r.RTT) }},
	{"retrans_c2s", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.RetransC2S, 10) }},
	{"retrans_s2c", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.RetransS2C, 10) }},
	{"gaps", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.Gaps, 10) }},
	{"truncated", func(b []byte, r *Record) []byte { return strconv.AppendBool(b, r.Truncated) }},
	{"packets_c2s", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.PacketsC2S, 10) }},
	{"packets_s2c", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.PacketsS2C, 10) }},
	{"bytes_c2s", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.BytesC2S, 10) }},
	{"bytes_s2c", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.BytesS2C, 10) }},
	{"payload_c2s", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.PayloadC2S, 10) }},
	{"payload_s2c", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, r.PayloadS2C, 10) }},
	{"end_reason", func(b []byte, r *Record) []byte { return optString(b, r.EndReason) }},
	{"splt", func(b []byte, r *Record) []byte { return appendSPLT(b, r.SPLT) }},
	{"entropy_c2s", func(b []byte, r *Record) []byte { return optFloat(b, r.EntropyC2S) }},
	{"entropy_s2c", func(b []byte, r *Record) []byte { return optFloat(b, r.EntropyS2C) }},
	{"byte_dist", func(b []byte, r *Record) []byte { return optInts(b, r.ByteDist) }},
	{"tls_version", func(b []byte, r *Record) []byte { return optString(b, r.TLSVersion) }},
	{"tls_cipher", func(b []byte, r *Record) []byte { return optString(b, r.TLSCipher) }},
	{"tls_sni", func(b []byte, r *Record) []byte { return optString(b, r.TLSSNI) }},
	{"tls_alpn", func(b []byte, r *Record) []byte { return optString(b, r.TLSALPN) }},
	{"tls_resumed", func(b []byte, r *Record) []byte { return strconv.AppendBool(b, r.TLSResumed) }},
	{"tls_established", func(b []byte, r *Record) []byte { return strconv.AppendBool(b, r.TLSEstablished) }},
	{"tls_incomplete", func(b []byte, r *Record) []byte { return strconv.AppendBool(b, r.TLSIncomplete) }},
	{"tls_ech", func(b []byte, r *Record) []byte { return strconv.AppendBool(b, r.TLSECH) }},
	{"starttls", func(b []byte, r *Record) []byte { return optString(b, r.StartTLS) }},
	{"quic_version", func(b []byte, r *Record) []byte { return optString(b, r.QUICVersion) }},
	{"tls_client_ciphers", func(b []byte, r *Record) []byte { return optInts(b, r.TLSClientCiphers) }},
	{"tls_client_extensions", func(b []byte, r *Record) []byte { return optInts(b, r.TLSClientExtensions) }},
	{"tls_server_extensions", func(b []byte, r *Record) []byte { return optInts(b, r.TLSServerExtensions) }},
	{"tls_key_bits", func(b []byte, r *Record) []byte { return strconv.AppendUint(b, uint64(r.TLSKeyBits), 10) }},
	{"ja3", func(b []byte, r *Record) []byte { return optString(b, r.JA3) }},
	{"ja3s", func(b []byte, r *Record) []byte { return optString(b, r.JA3S) }},
	{"ja4", func(b []byte, r *Record) []byte { return optString(b, r.JA4) }},
	{"ja4s", func(b []byte, r *Record) []byte { return optString(b, r.JA4S) }},
	{"ja4x", func(b []byte, r *Record) []byte { return optString(b, r.JA4X) }},
	{"ja4h", func(b []byte, r *Record) []byte { return optString(b, r.JA4H) }},
	{"ja4t", func(b []byte, r *Record) []byte { return optString(b, r.JA4T) }},
	{"ja4ts", func(b []byte, r *Record) []byte { return optString(b, r.JA4TS) }},
	{"tls", func(b []byte, r *Record) []byte { return appendTLS(b, r.TLS) }},
	{"quic", func(b []byte, r *Record) []byte { return appendQUIC(b, r.QUIC) }},
	{"cert_chain", func(b []byte, r *Record) []byte { return list(b, r.CertChain, appendCertificate) }},
	{"dns", func(b []byte, r *Record) []byte { return appendDNS(b, r.DNS) }},
	{"http", func(b []byte, r *Record) []byte { return appendHTTP(b, r.HTTP) }},
	{"hassh", func(b []byte, r *Record) []byte { return optString(b, r.HASSH) }},
	{"ssh", func(b []byte, r *Record) []byte { return appendSSH(b, r.SSH) }},
	{"dhcp", func(b []byte, r *Record) []byte { return appendDHCP(b, r.DHCP) }},
	{"community_id", func(b []byte, r *Record) []byte { return optString(b, r.CommunityID) }},
	{"score", func(b []byte, r *Record) []byte { return nullFloat(b, r.Score) }},
	{"verdict", func(b []byte, r *Record) []byte { return appendString(b, r.Verdict.String()) }},
	{"verdict_note", func(b []byte, r *Record) []byte { return optString(b, r.VerdictNote) }},
	{"margin", func(b []byte, r *Record) []byte { return nullFloat(b, r.Margin) }},
	{"model_id", func(b []byte, r *Record) []byte { return optString(b, r.ModelID) }},
	{"schema_hash", func(b []byte, r *Record) []byte { return optString(b, r.SchemaHash) }},
	{"reasons", func(b []byte, r *Record) []byte { return list(b, r.Reasons, appendReason) }},
	{"shadow", func(b []byte, r *Record) []byte { return list(b, r.Shadow, appendShadow) }},
}

func appendID(b []byte, r *Record) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for _, v := range r.FlowID {
		b = append(b, digits[v>>4], digits[v&15])
	}
	return append(b, '"')
}

// appendTime writes RFC 3339 in UTC with six decimals, or nine where they say more.
func appendTime(b []byte, ns int64) []byte {
	t := time.Unix(0, ns).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(b, '"')
	b = digits(b, uint(year), 4)
	b = digits(append(b, '-'), uint(month), 2)
	b = digits(append(b, '-'), uint(day), 2)
	b = digits(append(b, 'T'), uint(hour), 2)
	b = digits(append(b, ':'), uint(minute), 2)
	b = digits(append(b, ':'), uint(second), 2)
	if frac := uint(t.Nanosecond()); frac%1000 != 0 {
		b = digits(append(b, '.'), frac, 9)
	} else {
		b = digits(append(b, '.'), frac/1000, 6)
	}
	return append(b, 'Z', '"')
}

// digits writes a number with so many digits.
func digits(b []byte, v uint, n int) []byte {
	at := len(b)
	b = append(b, "000000000"[:n]...)
	for i := at + n - 1; v > 0 && i >= at; i-- {
		b[i] = '0' + byte(v%10)
		v /= 10
	}
	return b
}

func optString(b []byte, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(b, s)
}

func optFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

func nullFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

func optInts[T uint16 | uint32 | uint64](b []byte, list []T) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return append(b, ']')
}

// list writes a JSON list, nothing when it is empty.
func list[T any](b []byte, items []T, add func([]byte, *T) []byte) []byte {
	if len(items) == 0 {
		return b
	}
	b = append(b, '[')
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = add(b, &items[i])
	}
	return append(b, ']')
}

func appendSPLT(b []byte, packets []Packet) []byte {
	return list(b, packets, func(b []byte, p *Packet) []byte {
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(p.Length), 10)
		b = append(b, ',')
		b = appendSeconds(b, p.Delta)
		return append(b, ']')
	})
}

// appendSeconds writes a duration with up to nine decimals, which is exact for
// times counted in ns and several times faster than the general conversion.
func appendSeconds(b []byte, s float64) []byte {
	if s == 0 {
		return append(b, '0')
	}
	if !(s > 0 && s < 1e6) {
		return strconv.AppendFloat(b, s, 'g', -1, 64)
	}
	ns := uint64(math.Round(s * 1e9))
	b = strconv.AppendUint(b, ns/1e9, 10)
	frac := ns % 1e9
	if frac == 0 {
		return b
	}
	var digits [10]byte
	digits[0] = '.'
	for i := 9; i > 0; i-- {
		digits[i] = byte('0' + frac%10)
		frac /= 10
	}
	n := 10
	for digits[n-1] == '0' {
		n--
	}
	return append(b, digits[:n]...)
}

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendString writes a JSON string. Bytes that are not valid UTF-8 become
// U+FFFD, so the line is valid whatever the network sent.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			b = append(b, s[start:i]...)
			b = append(b, `\ufffd`...)
			i++
			start = i
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
