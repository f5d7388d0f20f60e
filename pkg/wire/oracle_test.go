package wire_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/wire"
	"trench/pkg/wire/trenchv1"
)

// The oracle: the same conversions by way of the code that protoc-gen-go makes of
// the schema. It shares nothing with the package but the limits.

var deterministic = proto.MarshalOptions{Deterministic: true}

func marshal(dst []byte, name string, m proto.Message) ([]byte, error) {
	if n := proto.Size(m); n > wire.MaxMessage {
		return dst, fmt.Errorf("%s: %w: %d bytes, the limit is %d", name, wire.ErrTooLarge, n, wire.MaxMessage)
	}
	out, err := deterministic.MarshalAppend(dst, m)
	if err != nil {
		return dst, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

func unmarshal(b []byte, name string, m proto.Message) error {
	if len(b) > wire.MaxMessage {
		return fmt.Errorf("%s: %w: %d bytes, the limit is %d", name, wire.ErrMalformed, len(b), wire.MaxMessage)
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%s: %w: %w", name, wire.ErrMalformed, err)
	}
	return nil
}

// check collects the first violation, so that conversions read as plain lists.
type check struct{ err error }

func (c *check) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s: %s", wire.ErrMalformed, field, fmt.Sprintf(format, args...))
	}
}

func (c *check) wrap(name string) error {
	if c.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, c.err)
}

func (c *check) id(b []byte) (id flow.ID) {
	if len(b) != len(id) {
		c.fail("flow_id", "%d bytes, want %d", len(b), len(id))
		return id
	}
	return flow.ID(b)
}

func (c *check) addr(field string, b []byte) netip.Addr {
	if len(b) == 0 {
		return netip.Addr{}
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		c.fail(field, "%d bytes, want 4 or 16", len(b))
	}
	return a
}

func (c *check) list(field string, n, limit int) int {
	if n > limit {
		c.fail(field, "%d entries, the limit is %d", n, limit)
		return 0
	}
	return n
}

func (c *check) u8(field string, v uint32) uint8 {
	if v > 0xff {
		c.fail(field, "%d does not fit 8 bits", v)
	}
	return uint8(v)
}

func (c *check) u16(field string, v uint32) uint16 {
	if v > 0xffff {
		c.fail(field, "%d does not fit 16 bits", v)
	}
	return uint16(v)
}

func (c *check) u16s(field string, v []uint32) []uint16 {
	if c.list(field, len(v), wire.MaxList) == 0 {
		return nil
	}
	out := make([]uint16, len(v))
	for i, n := range v {
		out[i] = c.u16(field, n)
	}
	return out
}

func widen(v []uint16) []uint32 {
	if len(v) == 0 {
		return nil
	}
	out := make([]uint32, len(v))
	for i, n := range v {
		out[i] = uint32(n)
	}
	return out
}

func addrBytes(a netip.Addr) []byte {
	if !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}

// oracleMarshalFlow appends f's message to dst. On error dst is returned as it was.
func oracleMarshalFlow(dst []byte, f *flow.Flow) ([]byte, error) {
	m := &trenchv1.Flow{
		FlowId: f.ID[:], Source: f.Source, Part: f.Part, Final: f.Final,
		FirstNs: f.First, DurationNs: f.Last - f.First,
		Protocol: uint32(f.Protocol), App: trenchv1.App(f.App),
		ClientIp: addrBytes(f.Client.Addr()), ClientPort: uint32(f.Client.Port()),
		ServerIp: addrBytes(f.Server.Addr()), ServerPort: uint32(f.Server.Port()),
		Vlan: widen(f.VLAN), Tunnel: f.Tunnel,
		Client: halfOut(&f.Half[flow.ClientToServer]), Server: halfOut(&f.Half[flow.ServerToClient]),
		RttNs: f.RTT, HandshakeSeen: f.HandshakeSeen, Truncated: f.Truncated, EndReason: trenchv1.EndReason(f.End),
		Resolution: f.Resolution, ResolutionAgeNs: f.ResolutionAge,
		Before: trenchv1.App(f.Before), DnsResponses: f.DNS.Responses, DnsNegative: f.DNS.Negative,
	}
	if h := f.HTTP; h != nil {
		m.Http = &trenchv1.HttpContext{
			Requests: h.Requests, Fields: h.Fields, UserAgents: h.UserAgents, UserAgentBytes: h.UserAgentBytes, Posts: h.Posts, Referers: h.Referers,
			Responses: h.Responses, Errors: h.Errors, ContentTypes: h.ContentTypes, Programs: h.Programs, Server: h.Server,
		}
	}
	if n := len(f.Packets); n > 0 {
		m.PacketLengths, m.PacketStepsNs = make([]int32, n), make([]int64, n)
		var last int64
		for i, p := range f.Packets {
			m.PacketLengths[i], m.PacketStepsNs[i] = p.Length, p.Offset-last
			last = p.Offset
		}
	}
	if n := len(f.Records); n > 0 {
		m.RecordHeads, m.RecordLengths, m.RecordStepsNs = make([]uint32, n), make([]uint32, n), make([]int64, n)
		var last int64
		for i, r := range f.Records {
			m.RecordHeads[i] = uint32(r.Type)<<1 | uint32(r.Direction)&1
			m.RecordLengths[i], m.RecordStepsNs[i] = uint32(r.Length), r.Offset-last
			last = r.Offset
		}
	}
	return marshal(dst, "flow", m)
}

func halfOut(h *flow.Half) *trenchv1.Half {
	m := &trenchv1.Half{
		Packets: h.Packets, Bytes: h.Bytes, Payload: h.Payload, DataPackets: h.DataPackets,
		Retransmitted: h.Retransmitted, Gaps: h.Gaps,
		LengthSum: h.LengthSum, LengthSquares: h.LengthSquares, LengthMax: h.LengthMax,
		ByteCounts: foldCounts(&h.ByteCounts), AppByteCounts: foldCounts(&h.AppByteCounts),
		TlsRecords: h.TLSRecords, AppRecords: h.AppRecords, AppBytes: h.AppBytes,
		Alerts: h.Alerts, ChangeCipherSpecs: h.ChangeCipherSpecs,
		Handshake: h.Handshake, ShortHeaders: h.ShortHeaders, Ttl: uint32(h.TTL), Opening: h.Opening, Preamble: h.Preamble,
	}
	if h.Sizes != [8]uint64{} {
		m.Sizes = h.Sizes[:]
	}
	return m
}

// foldCounts leaves out the zeros at the end and writes any other run of zeros
// as a 0 and the number of further zeros. Over 38,531 flows of the benchmark's mix
// a Flow has 937 bytes so (432 under zstd), 1,028 (437) with plain lists and 1,113
// (458) with pairs of value and count.
func foldCounts(counts *[256]uint16) []uint32 {
	end := len(counts)
	for end > 0 && counts[end-1] == 0 {
		end--
	}
	if end == 0 {
		return nil
	}
	out := make([]uint32, 0, end+end/2)
	for i := 0; i < end; i++ {
		out = append(out, uint32(counts[i]))
		if counts[i] == 0 {
			more := 0
			for counts[i+1] == 0 {
				more++
				i++
			}
			out = append(out, uint32(more))
		}
	}
	return out
}

func (c *check) unfoldCounts(field string, counts *[256]uint16, folded []uint32) {
	*counts = [256]uint16{}
	n := 0
	for i := 0; i < len(folded); i++ {
		if n >= len(counts) {
			c.fail(field, "more than %d values", len(counts))
			return
		}
		if folded[i] != 0 {
			counts[n] = c.u16(field, folded[i])
			n++
			continue
		}
		i++
		if i == len(folded) || folded[i] >= uint32(len(counts)-n) {
			c.fail(field, "a run of zeros does not end")
			return
		}
		n += 1 + int(folded[i])
	}
}

// oracleUnmarshalFlow replaces f by what b says. Nothing in f aliases b.
func oracleUnmarshalFlow(b []byte, f *flow.Flow) error {
	var m trenchv1.Flow
	if err := unmarshal(b, "flow", &m); err != nil {
		return err
	}
	var c check
	*f = flow.Flow{
		Source: m.Source, ID: c.id(m.FlowId), Part: m.Part, Final: m.Final,
		First: m.FirstNs, Last: m.FirstNs + m.DurationNs,
		Protocol: c.u8("protocol", m.Protocol),
		Client:   netip.AddrPortFrom(c.addr("client_ip", m.ClientIp), c.u16("client_port", m.ClientPort)),
		Server:   netip.AddrPortFrom(c.addr("server_ip", m.ServerIp), c.u16("server_port", m.ServerPort)),
		VLAN:     c.u16s("vlan", m.Vlan), Tunnel: m.Tunnel,
		RTT: m.RttNs, HandshakeSeen: m.HandshakeSeen, Truncated: m.Truncated,
		Resolution: m.Resolution, ResolutionAge: m.ResolutionAgeNs,
		DNS: flow.DNSContext{Responses: m.DnsResponses, Negative: m.DnsNegative},
	}
	if h := m.Http; h != nil {
		f.HTTP = &flow.HTTPContext{
			Requests: h.Requests, Fields: h.Fields, UserAgents: h.UserAgents, UserAgentBytes: h.UserAgentBytes, Posts: h.Posts, Referers: h.Referers,
			Responses: h.Responses, Errors: h.Errors, ContentTypes: h.ContentTypes, Programs: h.Programs, Server: h.Server,
		}
	}
	f.App, f.Before = flow.App(enum(int32(m.App))), flow.App(enum(int32(m.Before)))
	f.End = flow.EndReason(enum(int32(m.EndReason)))
	c.halfIn("client", &f.Half[flow.ClientToServer], m.Client)
	c.halfIn("server", &f.Half[flow.ServerToClient], m.Server)
	if n := c.list("packet_lengths", len(m.PacketLengths), 2*flow.SPLTPackets); len(m.PacketStepsNs) != len(m.PacketLengths) {
		c.fail("packet_steps_ns", "%d entries beside %d lengths", len(m.PacketStepsNs), len(m.PacketLengths))
	} else if n > 0 {
		f.Packets = make([]flow.Packet, n)
		var at int64
		for i := range f.Packets {
			at += m.PacketStepsNs[i]
			f.Packets[i] = flow.Packet{Length: m.PacketLengths[i], Offset: at}
		}
	}
	n := c.list("record_heads", len(m.RecordHeads), 2*flow.SPLTRecords)
	if len(m.RecordLengths) != len(m.RecordHeads) || len(m.RecordStepsNs) != len(m.RecordHeads) {
		c.fail("record_heads", "%d entries beside %d lengths and %d steps", len(m.RecordHeads), len(m.RecordLengths), len(m.RecordStepsNs))
	} else if n > 0 {
		f.Records = make([]flow.Record, n)
		var at int64
		for i := range f.Records {
			at += m.RecordStepsNs[i]
			f.Records[i] = flow.Record{
				Direction: flow.Direction(m.RecordHeads[i] & 1), Type: c.u8("record_heads", m.RecordHeads[i]>>1),
				Length: c.u16("record_lengths", m.RecordLengths[i]), Offset: at,
			}
		}
	}
	return c.wrap("flow")
}

func enum(v int32) uint8 {
	if v < 0 || v > 0xff {
		return 0
	}
	return uint8(v)
}

func (c *check) halfIn(name string, h *flow.Half, m *trenchv1.Half) {
	if m == nil {
		c.fail(name, "missing")
		return
	}
	*h = flow.Half{
		Packets: m.Packets, Bytes: m.Bytes, Payload: m.Payload, DataPackets: m.DataPackets,
		Retransmitted: m.Retransmitted, Gaps: m.Gaps,
		LengthSum: m.LengthSum, LengthSquares: m.LengthSquares, LengthMax: m.LengthMax,
		TLSRecords: m.TlsRecords, AppRecords: m.AppRecords, AppBytes: m.AppBytes,
		Alerts: m.Alerts, ChangeCipherSpecs: m.ChangeCipherSpecs,
		Handshake: m.Handshake, ShortHeaders: m.ShortHeaders, TTL: c.u8("ttl", m.Ttl), Opening: m.Opening, Preamble: m.Preamble,
	}
	if c.list(name+".sizes", len(m.Sizes), len(h.Sizes)) > 0 {
		copy(h.Sizes[:], m.Sizes)
	}
	c.unfoldCounts(name+".byte_counts", &h.ByteCounts, m.ByteCounts)
	c.unfoldCounts(name+".app_byte_counts", &h.AppByteCounts, m.AppByteCounts)
}

// oracleMarshalFeatures appends r's Features message to dst: everything but what
// scoring finds out (score, margin, verdict, model_id, reasons and shadow). On error dst
// is returned as it was.
func oracleMarshalFeatures(dst []byte, r *record.Record) ([]byte, error) {
	return marshal(dst, "features", &trenchv1.Features{Row: rowOut(r), Values: valuesOut(r.Vector), VectorSchema: r.VectorSchema})
}

// oracleUnmarshalFeatures replaces r by what b says. What scoring finds out is set to
// unscored. Nothing in r aliases b.
func oracleUnmarshalFeatures(b []byte, r *record.Record) error {
	var m trenchv1.Features
	if err := unmarshal(b, "features", &m); err != nil {
		return err
	}
	var c check
	c.rowIn(r, m.Row)
	c.list("vector", len(m.Vector), wire.MaxVector)
	r.Vector, r.VectorSchema = c.valuesIn(m.Vector, m.Values), m.VectorSchema
	r.Score, r.Margin = math.NaN(), math.NaN()
	return c.wrap("features")
}

// oracleMarshalVerdict appends r's Verdict message, all of r, to dst. On error dst is
// returned as it was.
func oracleMarshalVerdict(dst []byte, r *record.Record) ([]byte, error) {
	m := &trenchv1.Verdict{
		Row: rowOut(r), Values: valuesOut(r.Vector), VectorSchema: r.VectorSchema,
		Score: r.Score, Margin: r.Margin, Level: trenchv1.Level(r.Verdict), ModelId: r.ModelID,
	}
	for i := range r.Reasons {
		s := &r.Reasons[i]
		m.Reasons = append(m.Reasons, &trenchv1.Reason{
			Code: s.Code, Text: s.Text, Value: s.Value, Contribution: s.Contribution, Attack: s.Attack, Feature: s.Feature, Usual: s.Usual.Ends(),
		})
	}
	for i := range r.Shadow {
		s := &r.Shadow[i]
		m.Shadow = append(m.Shadow, &trenchv1.Shadow{ModelId: s.ModelID, Margin: s.Margin, Score: s.Score, Level: trenchv1.Level(s.Verdict)})
	}
	return marshal(dst, "verdict", m)
}

// oracleUnmarshalVerdict replaces r by what b says. Nothing in r aliases b.
func oracleUnmarshalVerdict(b []byte, r *record.Record) error {
	var m trenchv1.Verdict
	if err := unmarshal(b, "verdict", &m); err != nil {
		return err
	}
	var c check
	c.rowIn(r, m.Row)
	c.list("vector", len(m.Vector), wire.MaxVector)
	r.Vector, r.VectorSchema = c.valuesIn(m.Vector, m.Values), m.VectorSchema
	r.Verdict = levelIn(m.Level)
	if m.Level != trenchv1.Level(r.Verdict) {
		if r.VerdictNote != "" {
			r.VerdictNote += "; "
		}
		r.VerdictNote += fmt.Sprintf("the verdict is level %d of a later version", m.Level)
	}
	r.Score, r.Margin, r.ModelID = m.Score, m.Margin, m.ModelId
	if n := c.list("reasons", len(m.Reasons), wire.MaxList); n > 0 {
		r.Reasons = make([]record.Reason, n)
		for i, s := range m.Reasons {
			r.Reasons[i] = record.Reason{
				Code: s.Code, Text: s.Text, Value: s.Value, Contribution: s.Contribution, Attack: s.Attack, Feature: s.Feature,
			}
			switch len(s.Usual) {
			case 0:
			case 2:
				r.Reasons[i].Usual = &record.Range{Low: s.Usual[0], High: s.Usual[1]}
			default:
				c.fail("reasons.usual", "has %d values, want none or 2", len(s.Usual))
			}
		}
	}
	if n := c.list("shadow", len(m.Shadow), wire.MaxList); n > 0 {
		r.Shadow = make([]record.Shadow, n)
		for i, s := range m.Shadow {
			r.Shadow[i] = record.Shadow{ModelID: s.ModelId, Margin: s.Margin, Score: s.Score, Verdict: levelIn(s.Level)}
		}
	}
	return c.wrap("verdict")
}

func levelIn(l trenchv1.Level) record.Verdict {
	if l < 0 || l > trenchv1.Level(record.Malicious) {
		return record.Unscored
	}
	return record.Verdict(l)
}

func valuesOut(v []float32) []byte {
	if len(v) == 0 {
		return nil
	}
	size := (len(v) + 7) / 8
	maps := make([]byte, 2*size)
	var whole, rest []byte
	for i, f := range v {
		x := math.Float32bits(f)
		some, kind := false, false
		switch {
		case x == 0:
		case x == 0x7fc00000:
			kind = true
		case f >= 1 && f < 1<<21 && f == float32(math.Trunc(float64(f))):
			some, whole = true, binary.AppendUvarint(whole, uint64(f))
		default:
			some, kind, rest = true, true, binary.LittleEndian.AppendUint32(rest, x)
		}
		if some {
			maps[i/8] |= 1 << (i % 8)
		}
		if kind {
			maps[size+i/8] |= 1 << (i % 8)
		}
	}
	b := binary.AppendUvarint(nil, uint64(len(v)))
	return append(append(append(b, maps...), whole...), rest...)
}

func (c *check) valuesIn(vector []float32, b []byte) []float32 {
	if len(b) == 0 {
		return vector
	}
	n, k := protowire.ConsumeVarint(b)
	size := (int(n) + 7) / 8
	if k < 0 || n > wire.MaxVector || len(b)-k < 2*size {
		c.fail("values", "cut")
		return nil
	}
	some, kind, b := b[k:k+size], b[k+size:k+2*size], b[k+2*size:]
	out := make([]float32, 8*size)
	for i := range out {
		if some[i/8]>>(i%8)&1 == 1 && kind[i/8]>>(i%8)&1 == 0 {
			w, k := protowire.ConsumeVarint(b)
			if k < 0 || w > 1<<24 || i >= int(n) {
				c.fail("values", "a whole number")
				return nil
			}
			out[i], b = float32(w), b[k:]
		}
	}
	for i := range out {
		switch s, k := some[i/8]>>(i%8)&1, kind[i/8]>>(i%8)&1; {
		case k == 0:
		case i >= int(n) || s == 1 && len(b) < 4:
			c.fail("values", "a number")
			return nil
		case s == 1:
			out[i], b = math.Float32frombits(binary.LittleEndian.Uint32(b)), b[4:]
		default:
			out[i] = math.Float32frombits(0x7fc00000)
		}
	}
	if len(b) > 0 {
		c.fail("values", "more")
	}
	return out[:n]
}

func rowOut(r *record.Record) *trenchv1.Row {
	m := &trenchv1.Row{
		FlowId: r.FlowID[:], Source: r.Source, Part: r.Part, Final: r.Final,
		TsNs: r.TS, DurationNs: r.TSEnd - r.TS, Proto: r.Proto, AppProto: r.AppProto,
		ClientIp: addrBytes(r.ClientIP), ClientPort: uint32(r.ClientPort),
		ServerIp: addrBytes(r.ServerIP), ServerPort: uint32(r.ServerPort),
		Vlan: widen(r.VLAN), Tunnel: r.Tunnel, Rtt: r.RTT,
		RetransC2S: r.RetransC2S, RetransS2C: r.RetransS2C, Gaps: r.Gaps, Truncated: r.Truncated,
		PacketsC2S: r.PacketsC2S, PacketsS2C: r.PacketsS2C, BytesC2S: r.BytesC2S, BytesS2C: r.BytesS2C,
		PayloadC2S: r.PayloadC2S, PayloadS2C: r.PayloadS2C, EndReason: r.EndReason,
		EntropyC2S: r.EntropyC2S, EntropyS2C: r.EntropyS2C, ByteDist: r.ByteDist,
		TlsVersion: r.TLSVersion, TlsCipher: r.TLSCipher, TlsSni: r.TLSSNI, TlsAlpn: r.TLSALPN,
		TlsResumed: r.TLSResumed, TlsEstablished: r.TLSEstablished, TlsIncomplete: r.TLSIncomplete, TlsEch: r.TLSECH,
		Starttls: r.StartTLS, QuicVersion: r.QUICVersion,
		TlsClientCiphers: widen(r.TLSClientCiphers), TlsClientExtensions: widen(r.TLSClientExtensions),
		TlsServerExtensions: widen(r.TLSServerExtensions), TlsKeyBits: r.TLSKeyBits,
		Ja3: r.JA3, Ja3S: r.JA3S, Ja4: r.JA4, Hassh: r.HASSH, CommunityId: r.CommunityID,
		VerdictNote: r.VerdictNote, SchemaHash: r.SchemaHash,
		Ja4S: r.JA4S, Ja4X: r.JA4X, Ja4H: r.JA4H, Ja4T: r.JA4T, Ja4Ts: r.JA4TS,
		Tls: tlsOut(r.TLS), Quic: quicOut(r.QUIC), Ssh: sshOut(r.SSH), Dhcp: dhcpOut(r.DHCP),
	}
	if n := len(r.SPLT); n > 0 {
		whole := true
		for _, p := range r.SPLT {
			ns := math.Round(p.Delta * 1e9)
			whole = whole && p.Delta >= 0 && p.Delta < 1<<23 && math.Float64bits(ns/1e9) == math.Float64bits(p.Delta)
			m.SpltLengths, m.SpltDeltas, m.SpltDeltasNs = append(m.SpltLengths, p.Length), append(m.SpltDeltas, p.Delta), append(m.SpltDeltasNs, uint64(ns))
		}
		if whole {
			m.SpltDeltas = nil
		} else {
			m.SpltDeltasNs = nil
		}
	}
	for i := range r.CertChain {
		c := &r.CertChain[i]
		m.CertChain = append(m.CertChain, &trenchv1.Certificate{
			Sha1: c.SHA1, Sha256: c.SHA256, Subject: c.Subject, Issuer: c.Issuer, Serial: c.Serial,
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, Sans: c.SANs, KeyType: c.KeyType, KeyBits: c.KeyBits,
			Signature: c.Signature, SelfSigned: c.SelfSigned, Ca: c.CA, Scts: c.SCTs, Policies: c.Policies, Validation: c.Validation,
		})
	}
	if d := r.DNS; d != nil {
		m.Dns = &trenchv1.Dns{Rcode: d.RCode, Age: d.Age}
		for i := range d.Queries {
			m.Dns.Queries = append(m.Dns.Queries, &trenchv1.DnsQuery{Name: d.Queries[i].Name, Type: d.Queries[i].Type})
		}
		for i := range d.Answers {
			a := &d.Answers[i]
			m.Dns.Answers = append(m.Dns.Answers, &trenchv1.DnsAnswer{Name: a.Name, Type: a.Type, Ttl: a.TTL, Data: a.Data})
		}
	}
	if h := r.HTTP; h != nil {
		m.Http = &trenchv1.Http{}
		for i := range h.Requests {
			q := &h.Requests[i]
			m.Http.Requests = append(m.Http.Requests, &trenchv1.HttpRequest{
				Method: q.Method, Target: q.Target, Host: q.Host, UserAgent: q.UserAgent, Version: q.Version, Headers: headersOut(q.Headers),
			})
		}
		for i := range h.Responses {
			p := &h.Responses[i]
			m.Http.Responses = append(m.Http.Responses, &trenchv1.HttpResponse{
				Status: uint32(p.Status), Version: p.Version, Server: p.Server, Headers: headersOut(p.Headers),
			})
		}
	}
	return m
}

func headersOut(hs []record.Header) (out []*trenchv1.HttpHeader) {
	for i := range hs {
		out = append(out, &trenchv1.HttpHeader{Name: hs[i].Name, Value: hs[i].Value})
	}
	return out
}

func (c *check) rowIn(r *record.Record, m *trenchv1.Row) {
	if m == nil {
		c.fail("row", "missing")
		*r = record.Record{}
		return
	}
	*r = record.Record{
		FlowID: c.id(m.FlowId), Source: m.Source, Part: m.Part, Final: m.Final,
		TS: m.TsNs, TSEnd: m.TsNs + m.DurationNs, Proto: m.Proto, AppProto: m.AppProto,
		ClientIP: c.addr("client_ip", m.ClientIp), ClientPort: c.u16("client_port", m.ClientPort),
		ServerIP: c.addr("server_ip", m.ServerIp), ServerPort: c.u16("server_port", m.ServerPort),
		VLAN: c.u16s("vlan", m.Vlan), Tunnel: m.Tunnel, RTT: m.Rtt,
		RetransC2S: m.RetransC2S, RetransS2C: m.RetransS2C, Gaps: m.Gaps, Truncated: m.Truncated,
		PacketsC2S: m.PacketsC2S, PacketsS2C: m.PacketsS2C, BytesC2S: m.BytesC2S, BytesS2C: m.BytesS2C,
		PayloadC2S: m.PayloadC2S, PayloadS2C: m.PayloadS2C, EndReason: m.EndReason,
		EntropyC2S: m.EntropyC2S, EntropyS2C: m.EntropyS2C, ByteDist: m.ByteDist,
		TLSVersion: m.TlsVersion, TLSCipher: m.TlsCipher, TLSSNI: m.TlsSni, TLSALPN: m.TlsAlpn,
		TLSResumed: m.TlsResumed, TLSEstablished: m.TlsEstablished, TLSIncomplete: m.TlsIncomplete, TLSECH: m.TlsEch,
		StartTLS: m.Starttls, QUICVersion: m.QuicVersion,
		TLSClientCiphers:    c.u16s("tls_client_ciphers", m.TlsClientCiphers),
		TLSClientExtensions: c.u16s("tls_client_extensions", m.TlsClientExtensions),
		TLSServerExtensions: c.u16s("tls_server_extensions", m.TlsServerExtensions), TLSKeyBits: m.TlsKeyBits,
		JA3: m.Ja3, JA3S: m.Ja3S, JA4: m.Ja4, HASSH: m.Hassh, CommunityID: m.CommunityId,
		VerdictNote: m.VerdictNote, SchemaHash: m.SchemaHash,
		JA4S: m.Ja4S, JA4X: m.Ja4X, JA4H: m.Ja4H, JA4T: m.Ja4T, JA4TS: m.Ja4Ts,
		TLS: c.tlsIn(m.Tls), QUIC: c.quicIn(m.Quic), SSH: sshIn(m.Ssh), DHCP: c.dhcpIn(m.Dhcp),
	}
	if n := len(m.ByteDist); n != 0 && n != 256 {
		c.fail("byte_dist", "%d counts, want none or 256", n)
	}
	deltas := m.SpltDeltas
	for _, ns := range m.SpltDeltasNs {
		deltas = append(deltas, float64(ns)/1e9)
	}
	if len(m.SpltDeltas) > 0 && len(m.SpltDeltasNs) > 0 {
		c.fail("splt_deltas", "beside splt_deltas_ns")
	}
	if n := c.list("splt_lengths", len(m.SpltLengths), wire.MaxList); len(deltas) != len(m.SpltLengths) {
		c.fail("splt_deltas", "%d entries beside %d lengths", len(m.SpltDeltas), len(m.SpltLengths))
	} else if n > 0 {
		r.SPLT = make([]record.Packet, n)
		for i := range r.SPLT {
			r.SPLT[i] = record.Packet{Length: m.SpltLengths[i], Delta: deltas[i]}
		}
	}
	if n := c.list("cert_chain", len(m.CertChain), wire.MaxList); n > 0 {
		r.CertChain = make([]record.Certificate, n)
		for i, x := range m.CertChain {
			r.CertChain[i] = record.Certificate{
				SHA1: x.Sha1, SHA256: x.Sha256, Subject: x.Subject, Issuer: x.Issuer, Serial: x.Serial,
				NotBefore: x.NotBefore, NotAfter: x.NotAfter, SANs: x.Sans, KeyType: x.KeyType, KeyBits: x.KeyBits,
				Signature: x.Signature, SelfSigned: x.SelfSigned, CA: x.Ca, SCTs: x.Scts, Policies: x.Policies, Validation: x.Validation,
			}
		}
	}
	if d := m.Dns; d != nil {
		r.DNS = &record.DNS{RCode: d.Rcode, Age: d.Age}
		if n := c.list("dns.queries", len(d.Queries), wire.MaxList); n > 0 {
			r.DNS.Queries = make([]record.Query, n)
			for i, q := range d.Queries {
				r.DNS.Queries[i] = record.Query{Name: q.Name, Type: q.Type}
			}
		}
		if n := c.list("dns.answers", len(d.Answers), wire.MaxList); n > 0 {
			r.DNS.Answers = make([]record.Answer, n)
			for i, a := range d.Answers {
				r.DNS.Answers[i] = record.Answer{Name: a.Name, Type: a.Type, TTL: a.Ttl, Data: a.Data}
			}
		}
	}
	if h := m.Http; h != nil {
		r.HTTP = &record.HTTP{}
		if n := c.list("http.requests", len(h.Requests), wire.MaxList); n > 0 {
			r.HTTP.Requests = make([]record.Request, n)
			for i, q := range h.Requests {
				r.HTTP.Requests[i] = record.Request{
					Method: q.Method, Target: q.Target, Host: q.Host, UserAgent: q.UserAgent, Version: q.Version, Headers: headersIn(q.Headers),
				}
			}
		}
		if n := c.list("http.responses", len(h.Responses), wire.MaxList); n > 0 {
			r.HTTP.Responses = make([]record.Response, n)
			for i, p := range h.Responses {
				r.HTTP.Responses[i] = record.Response{
					Status: c.u16("http.responses.status", p.Status), Version: p.Version, Server: p.Server, Headers: headersIn(p.Headers),
				}
			}
		}
	}
}

func headersIn(hs []*trenchv1.HttpHeader) []record.Header {
	if len(hs) == 0 {
		return nil
	}
	out := make([]record.Header, len(hs))
	for i, h := range hs {
		out[i] = record.Header{Name: h.Name, Value: h.Value}
	}
	return out
}

// The objects of a row that one protocol fills: nil stands for nil.

func tlsOut(t *record.TLS) *trenchv1.Tls {
	if t == nil {
		return nil
	}
	m := &trenchv1.Tls{
		Group: t.Group, ClientVersions: widen(t.ClientVersions), ClientGroups: widen(t.ClientGroups), ClientKeyShares: widen(t.ClientKeyShares),
		ClientSignatures: widen(t.ClientSignatures), ClientAlpn: t.ClientALPN, HelloRetry: t.HelloRetry, SessionOffered: t.SessionOffered,
		EarlyData: t.EarlyData, Ticket: t.Ticket, OcspStaple: t.OCSPStaple, Compressed: t.Compressed, CertificateRequest: t.CertificateRequest,
		ClientCertificate: t.ClientCertificate, Renegotiation: t.Renegotiation, EchConfig: t.ECHConfig, EchPayload: t.ECHPayload,
		RecordSizeLimit: t.RecordSizeLimit, Heartbeats: t.Heartbeats, HeartbeatOverread: t.HeartbeatOverread,
	}
	for i := range t.Alerts {
		a := &t.Alerts[i]
		m.Alerts = append(m.Alerts, &trenchv1.TlsAlert{Sender: a.Sender, Level: a.Level, Code: a.Code, Description: a.Description})
	}
	return m
}

func (c *check) tlsIn(m *trenchv1.Tls) *record.TLS {
	if m == nil {
		return nil
	}
	t := &record.TLS{
		Group: m.Group, ClientVersions: c.u16s("tls.client_versions", m.ClientVersions), ClientGroups: c.u16s("tls.client_groups", m.ClientGroups),
		ClientKeyShares: c.u16s("tls.client_key_shares", m.ClientKeyShares), ClientSignatures: c.u16s("tls.client_signatures", m.ClientSignatures),
		ClientALPN: m.ClientAlpn, HelloRetry: m.HelloRetry, SessionOffered: m.SessionOffered,
		EarlyData: m.EarlyData, Ticket: m.Ticket, OCSPStaple: m.OcspStaple, Compressed: m.Compressed, CertificateRequest: m.CertificateRequest,
		ClientCertificate: m.ClientCertificate, Renegotiation: m.Renegotiation, ECHConfig: m.EchConfig, ECHPayload: m.EchPayload,
		RecordSizeLimit: m.RecordSizeLimit, Heartbeats: m.Heartbeats, HeartbeatOverread: m.HeartbeatOverread,
	}
	c.list("tls.client_alpn", len(m.ClientAlpn), wire.MaxList)
	if n := c.list("tls.alerts", len(m.Alerts), wire.MaxList); n > 0 {
		t.Alerts = make([]record.Alert, n)
		for i, a := range m.Alerts {
			t.Alerts[i] = record.Alert{Sender: a.Sender, Level: a.Level, Code: a.Code, Description: a.Description}
		}
	}
	return t
}

func quicOut(q *record.QUIC) *trenchv1.Quic {
	if q == nil {
		return nil
	}
	return &trenchv1.Quic{
		DcidLength: q.DCIDLength, ScidLength: q.SCIDLength, TokenLength: q.TokenLength, Retry: q.Retry, ZeroRtt: q.ZeroRTT,
		Versions: q.Versions, Parameters: q.Parameters, UserAgent: q.UserAgent,
	}
}

func (c *check) quicIn(m *trenchv1.Quic) *record.QUIC {
	if m == nil {
		return nil
	}
	c.list("quic.versions", len(m.Versions), wire.MaxList)
	c.list("quic.parameters", len(m.Parameters), wire.MaxList)
	return &record.QUIC{
		DCIDLength: m.DcidLength, SCIDLength: m.ScidLength, TokenLength: m.TokenLength, Retry: m.Retry, ZeroRTT: m.ZeroRtt,
		Versions: m.Versions, Parameters: m.Parameters, UserAgent: m.UserAgent,
	}
}

func sshOut(s *record.SSH) *trenchv1.Ssh {
	if s == nil {
		return nil
	}
	return &trenchv1.Ssh{Client: s.Client, Server: s.Server, HasshServer: s.HASSHServer}
}

func sshIn(m *trenchv1.Ssh) *record.SSH {
	if m == nil {
		return nil
	}
	return &record.SSH{Client: m.Client, Server: m.Server, HASSHServer: m.HasshServer}
}

func dhcpOut(d *record.DHCP) *trenchv1.Dhcp {
	if d == nil {
		return nil
	}
	return &trenchv1.Dhcp{
		Message: d.Message, Host: d.Host, Fqdn: d.FQDN, Vendor: d.Vendor, ClientId: d.ClientID, Parameters: d.Parameters, Address: d.Address,
	}
}

func (c *check) dhcpIn(m *trenchv1.Dhcp) *record.DHCP {
	if m == nil {
		return nil
	}
	c.list("dhcp.parameters", len(m.Parameters), wire.MaxList)
	return &record.DHCP{
		Message: m.Message, Host: m.Host, FQDN: m.Fqdn, Vendor: m.Vendor, ClientID: m.ClientId, Parameters: m.Parameters, Address: m.Address,
	}
}
