package wire_test

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/wire"
	"trench/pkg/wire/trenchv1"
)

func flowRoundTrip(t interface {
	Helper()
	Fatalf(string, ...any)
}, in *flow.Flow) (*flow.Flow, []byte) {
	t.Helper()
	b, err := wire.MarshalFlow([]byte("kept"), in)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	if !bytes.HasPrefix(b, []byte("kept")) {
		t.Fatalf("dst was not appended to")
	}
	out := &flow.Flow{Source: "left over", VLAN: []uint16{9}}
	if err := wire.UnmarshalFlow(b[4:], out); err != nil {
		t.Fatalf("unmarshal: %v", err)
	}
	return out, b[4:]
}

func TestFlowSurvivesTheBusBitForBit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := &flow.Flow{}
		filler{t: t}.fill(reflect.ValueOf(in).Elem(), "")
		out, _ := flowRoundTrip(t, in)
		if d := cmp.Diff(in, out, same); d != "" {
			t.Fatalf("changed on the bus (-sent +read):\n%s", d)
		}
	})
}

func TestEveryFieldOfFlowIsOnTheBus(t *testing.T) {
	t.Parallel()
	n := 0
	eachField(t, func(t *testing.T, path string, in *flow.Flow) {
		n++
		out, _ := flowRoundTrip(t, in)
		if d := cmp.Diff(in, out, same); d != "" {
			t.Errorf("%s is lost (-sent +read):\n%s", path, d)
		}
	})
	if n < 60 {
		t.Errorf("only %d fields visited", n)
	}
}

func TestRecordSurvivesTheBusBitForBit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := &record.Record{}
		filler{t: t}.fill(reflect.ValueOf(in).Elem(), "")
		b, err := wire.MarshalVerdict(nil, in)
		if err != nil {
			t.Fatalf("marshal verdict: %v", err)
		}
		out := &record.Record{Source: "left over"}
		if err := wire.UnmarshalVerdict(b, out); err != nil {
			t.Fatalf("unmarshal verdict: %v", err)
		}
		if d := cmp.Diff(in, out, same); d != "" {
			t.Fatalf("verdict changed on the bus (-sent +read):\n%s", d)
		}
		if b, err = wire.MarshalFeatures(nil, in); err != nil {
			t.Fatalf("marshal features: %v", err)
		}
		if err := wire.UnmarshalFeatures(b, out); err != nil {
			t.Fatalf("unmarshal features: %v", err)
		}
		if d := cmp.Diff(unscored(in), out, same); d != "" {
			t.Fatalf("features changed on the bus (-sent +read):\n%s", d)
		}
	})
}

// unscored is what is left of a record that was not scored yet.
func unscored(r *record.Record) *record.Record {
	u := *r
	u.Score, u.Margin, u.Verdict, u.ModelID, u.Reasons, u.Shadow = math.NaN(), math.NaN(), record.Unscored, "", nil, nil
	return &u
}

func TestEveryFieldOfRecordIsOnTheBus(t *testing.T) {
	t.Parallel()
	n := 0
	eachField(t, func(t *testing.T, path string, in *record.Record) {
		n++
		b, err := wire.MarshalVerdict(nil, in)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var out record.Record
		if err := wire.UnmarshalVerdict(b, &out); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if d := cmp.Diff(in, &out, same); d != "" {
			t.Errorf("%s is lost in Verdict (-sent +read):\n%s", path, d)
		}
		if b, err = wire.MarshalFeatures(nil, in); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if err := wire.UnmarshalFeatures(b, &out); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if d := cmp.Diff(unscored(in), &out, same); d != "" {
			t.Errorf("%s is lost in Features (-sent +read):\n%s", path, d)
		}
	})
	if n < 90 {
		t.Errorf("only %d fields visited", n)
	}
}

func TestDeadLetterSurvivesTheBus(t *testing.T) {
	t.Parallel()
	in := &wire.DeadLetter{
		Stage: "features", Error: "flow: malformed message", Topic: wire.TopicFlows, Partition: 3, Offset: 1 << 40,
		Time: time.Unix(0, 1700000000123456789).UTC(), Failed: time.Unix(0, 1700000001000000001).UTC(),
		Key: []byte{0xff, 0}, Value: []byte("not protobuf"), ValueBytes: 12,
		Headers: []wire.DeadLetterHeader{{Key: wire.HeaderMessage, Value: []byte(wire.MessageFlow)}},
	}
	b, err := wire.MarshalDeadLetter(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	var out wire.DeadLetter
	if err := wire.UnmarshalDeadLetter(b, &out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, &out); d != "" {
		t.Errorf("changed on the bus (-sent +read):\n%s", d)
	}
}

func TestDeadLetterAlwaysFitsOnTheBus(t *testing.T) {
	t.Parallel()
	huge := bytes.Repeat([]byte{0xee}, 5<<20)
	in := &wire.DeadLetter{Stage: "scoring", Error: string(huge), Topic: "t", Key: huge, Value: huge}
	for range 1000 {
		in.Headers = append(in.Headers, wire.DeadLetterHeader{Key: "h", Value: huge[:8<<10]})
	}
	b, err := wire.MarshalDeadLetter(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > wire.MaxMessage {
		t.Errorf("%d bytes, the limit is %d", len(b), wire.MaxMessage)
	}
	var out wire.DeadLetter
	if err := wire.UnmarshalDeadLetter(b, &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Value) != wire.MaxOriginal || out.ValueBytes != uint64(len(huge)) {
		t.Errorf("kept %d of %d bytes, want %d of %d", len(out.Value), out.ValueBytes, wire.MaxOriginal, len(huge))
	}
}

func TestNamesOnTheBusAreThoseOfTheRecords(t *testing.T) {
	t.Parallel()
	names := func(d protoreflect.EnumDescriptor, prefix string) (out []string) {
		for i := range d.Values().Len() {
			v := d.Values().Get(i)
			if int(v.Number()) != i {
				t.Errorf("%s: number %d, want %d", v.Name(), v.Number(), i)
			}
			out = append(out, strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(string(v.Name()), prefix)), "_", "-"))
		}
		out[0] = ""
		return out
	}
	list := func(name func(int) string) (out []string) {
		for i := range 256 {
			if n := name(i); i == 0 || n != "" {
				out = append(out, n)
			}
		}
		return out
	}
	for _, c := range []struct{ bus, record []string }{
		{names(trenchv1.App(0).Descriptor(), "APP_"), list(func(i int) string { return flow.App(i).String() })},
		{names(trenchv1.EndReason(0).Descriptor(), "END_REASON_"), list(func(i int) string { return flow.EndReason(i).String() })},
		{names(trenchv1.Level(0).Descriptor(), "LEVEL_"), []string{"", "benign", "suspicious", "malicious"}},
	} {
		if d := cmp.Diff(c.record, c.bus); d != "" {
			t.Errorf("(-record +bus):\n%s", d)
		}
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	valid := func(change func(*trenchv1.Flow)) []byte {
		m := &trenchv1.Flow{FlowId: make([]byte, 16), Client: &trenchv1.Half{}, Server: &trenchv1.Half{}}
		change(m)
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cases := map[string][]byte{
		"empty":                     {},
		"a cut entry":               []byte("\x68\x80"),
		"an entry too long":         []byte("\x68\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
		"packed entries too long":   []byte("\x6a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
		"random":                    []byte("\x9c\x00 certainly no protobuf"),
		"cut":                       protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.BytesType), 400),
		"flow_id: 15 bytes":         valid(func(m *trenchv1.Flow) { m.FlowId = m.FlowId[:15] }),
		"client: missing":           valid(func(m *trenchv1.Flow) { m.Client = nil }),
		"client_ip: 5 bytes":        valid(func(m *trenchv1.Flow) { m.ClientIp = make([]byte, 5) }),
		"client_port: 65536":        valid(func(m *trenchv1.Flow) { m.ClientPort = 65536 }),
		"protocol: 256":             valid(func(m *trenchv1.Flow) { m.Protocol = 256 }),
		"vlan: 70000":               valid(func(m *trenchv1.Flow) { m.Vlan = []uint32{70000} }),
		"packet_lengths: 101":       valid(func(m *trenchv1.Flow) { m.PacketLengths, m.PacketStepsNs = make([]int32, 101), make([]int64, 101) }),
		"packet_steps_ns: 0":        valid(func(m *trenchv1.Flow) { m.PacketLengths = make([]int32, 1) }),
		"record_heads: 1":           valid(func(m *trenchv1.Flow) { m.RecordHeads = make([]uint32, 1) }),
		"client.sizes: 9":           valid(func(m *trenchv1.Flow) { m.Client.Sizes = make([]uint64, 9) }),
		"byte_counts: more":         valid(func(m *trenchv1.Flow) { m.Server.ByteCounts = []uint32{0, 255, 1} }),
		"byte_counts: a run":        valid(func(m *trenchv1.Flow) { m.Server.ByteCounts = []uint32{0, 256} }),
		"byte_counts: a run of":     valid(func(m *trenchv1.Flow) { m.Server.ByteCounts = []uint32{0} }),
		"byte_counts: 65536":        valid(func(m *trenchv1.Flow) { m.Server.ByteCounts = []uint32{65536} }),
		"the limit is":              valid(func(m *trenchv1.Flow) { m.Resolution = make([]byte, wire.MaxMessage+1) }),
		"app_byte_counts: a run of": valid(func(m *trenchv1.Flow) { m.Client.AppByteCounts = []uint32{1, 0} }),
	}
	for want, b := range cases {
		var f flow.Flow
		err := wire.UnmarshalFlow(b, &f)
		if !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: err = %v, want ErrMalformed", want, err)
		} else if strings.Contains(want, ":") && !strings.Contains(err.Error(), want) {
			t.Errorf("err = %q, want it to name %q", err, want)
		}
	}
	var r record.Record
	for _, b := range [][]byte{{}, []byte("\x01"), {0x0a, 0x00}, []byte("\x15\x00"), []byte("\x12\x03abc"), []byte("\x0a\x02\x68\x80"), []byte("\x0a\x04\x6a\x02\x01\x80")} {
		if err := wire.UnmarshalVerdict(b, &r); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("verdict %x: err = %v, want ErrMalformed", b, err)
		}
		if err := wire.UnmarshalFeatures(b, &r); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("features %x: err = %v, want ErrMalformed", b, err)
		}
		if err := wire.UnmarshalDeadLetter(b, &wire.DeadLetter{}); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("dead letter %x: err = %v, want ErrMalformed", b, err)
		}
	}
}

// Reasons of before they had a feature and a usual range are read as they are.
func TestUsualRangesHaveTwoEndsOrNone(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		var m trenchv1.Verdict
		b, err := wire.MarshalVerdict(nil, &record.Record{Reasons: []record.Reason{{Code: "c", Text: "t", Value: 3, Contribution: 1, Attack: "T1573"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		m.Reasons[0].Usual = []float64{1, 2, 3}[:n]
		if b, err = proto.Marshal(&m); err != nil {
			t.Fatal(err)
		}
		var r record.Record
		err = wire.UnmarshalVerdict(b, &r)
		switch {
		case n == 0 && (err != nil || r.Reasons[0] != record.Reason{Code: "c", Text: "t", Value: 3, Contribution: 1, Attack: "T1573"}):
			t.Errorf("an old reason: %+v, err = %v", r.Reasons, err)
		case n == 2 && (err != nil || *r.Reasons[0].Usual != record.Range{Low: 1, High: 2}):
			t.Errorf("both ends: %+v, err = %v", r.Reasons, err)
		case n%2 == 1 && (!errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), "reasons.usual: has")):
			t.Errorf("%d ends: err = %v, want ErrMalformed", n, err)
		}
	}
}

func TestWhatDoesNotFitIsRefusedWhereItIsWritten(t *testing.T) {
	t.Parallel()
	if b, err := wire.MarshalFlow(nil, &flow.Flow{Resolution: make([]byte, wire.MaxMessage)}); !errors.Is(err, wire.ErrTooLarge) || b != nil {
		t.Errorf("flow: %d bytes, err = %v, want ErrTooLarge", len(b), err)
	}
	if _, err := wire.MarshalVerdict(nil, &record.Record{Reasons: make([]record.Reason, wire.MaxList+1)}); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("verdict: err = %v, want ErrTooLarge", err)
	}
	if _, err := wire.MarshalFeatures(nil, &record.Record{Vector: make([]float32, wire.MaxVector+1)}); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("features: err = %v, want ErrTooLarge", err)
	}
}

func TestNewerFieldsAreIgnored(t *testing.T) {
	t.Parallel()
	b, err := wire.MarshalFlow(nil, &flow.Flow{Source: "s"})
	if err != nil {
		t.Fatal(err)
	}
	b = protowire.AppendString(protowire.AppendTag(b, 1000, protowire.BytesType), "from a later version")
	var f flow.Flow
	if err := wire.UnmarshalFlow(b, &f); err != nil || f.Source != "s" {
		t.Errorf("source = %q, err = %v", f.Source, err)
	}
}

func TestHeaderNamesTheMessage(t *testing.T) {
	t.Parallel()
	if err := wire.CheckMessage([]byte(wire.MessageVerdict), wire.MessageFlow); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("err = %v, want ErrMalformed", err)
	}
	for _, h := range []string{"", wire.MessageFlow} {
		if err := wire.CheckMessage([]byte(h), wire.MessageFlow); err != nil {
			t.Errorf("%q: %v", h, err)
		}
	}
	for name, m := range map[string]proto.Message{
		wire.MessageFlow: &trenchv1.Flow{}, wire.MessageFeatures: &trenchv1.Features{},
		wire.MessageVerdict: &trenchv1.Verdict{}, wire.MessageDeadLetter: &trenchv1.DeadLetter{},
	} {
		if got := string(m.ProtoReflect().Descriptor().FullName()); got != name {
			t.Errorf("message %s is called %s", got, name)
		}
	}
}

func FuzzDeadLetter(f *testing.F) {
	f.Add([]byte("\x0a\x01s\x12\x01e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d wire.DeadLetter
		if wire.UnmarshalDeadLetter(b, &d) != nil {
			return
		}
		if _, err := wire.MarshalDeadLetter(nil, &d); err != nil {
			t.Fatal(err)
		}
	})
}

// typicalFlow is a TLS flow as a browser makes it: 60 data packets, 5 KB of
// handshake, counts of encrypted bytes.
func typicalFlow() *flow.Flow {
	f := &flow.Flow{
		Source: "sensor-1:eth0", ID: flow.ID{1, 2, 3}, Final: true, First: 1700000000123456789, Last: 1700000009123456789,
		Protocol: 6, App: flow.AppTLS, RTT: 12345678, HandshakeSeen: true, End: flow.EndFIN,
		Client: netip.MustParseAddrPort("192.0.2.17:51234"), Server: netip.MustParseAddrPort("198.51.100.4:443"),
	}
	x := uint64(88172645463325252)
	next := func(n uint64) uint64 { x ^= x << 13; x ^= x >> 7; x ^= x << 17; return x % n }
	at := int64(0)
	for range 60 {
		at += int64(next(40_000_000))
		f.Packets = append(f.Packets, flow.Packet{Length: int32(next(2800)) - 1400, Offset: at})
		f.Records = append(f.Records, flow.Record{Direction: flow.Direction(next(2)), Type: 23, Length: uint16(next(4000)), Offset: at})
	}
	for i := range f.Half {
		h := &f.Half[i]
		h.Packets, h.Bytes, h.Payload, h.DataPackets, h.LengthSum, h.LengthSquares, h.LengthMax = 80, 81234, 77001, 40, 77001, 99887766, 1400
		h.Sizes = [8]uint64{0, 1, 2, 3, 4, 5, 6, 19}
		for range flow.CountedBytes {
			h.ByteCounts[next(256)]++
			h.AppByteCounts[next(256)]++
		}
		h.TLSRecords, h.AppRecords, h.AppBytes = 44, 40, 70000
		h.Handshake = make([]byte, 600+i*4000)
		for j := range h.Handshake {
			h.Handshake[j] = byte(next(256))
		}
	}
	return f
}

func typicalRecord() *record.Record {
	r := &record.Record{
		Source: "sensor-1:eth0", FlowID: flow.ID{1, 2, 3}, Final: true, TS: 1700000000123456789, TSEnd: 1700000009123456789,
		Proto: "tcp", AppProto: "tls", ClientIP: netip.MustParseAddr("192.0.2.17"), ClientPort: 51234,
		ServerIP: netip.MustParseAddr("2001:db8::4"), ServerPort: 443, RTT: 0.0123, PacketsC2S: 80, BytesC2S: 81234,
		EntropyC2S: 7.9, EntropyS2C: math.NaN(), TLSVersion: "TLS 1.2", TLSSNI: "example.org", TLSClientCiphers: []uint16{0x0a0a, 0x1301, 0xc02f},
		CertChain: []record.Certificate{{SHA256: strings.Repeat("ab", 32), Subject: "CN=example.org", SANs: []string{"example.org"}, NotBefore: -5}},
		DNS:       &record.DNS{Answers: []record.Answer{{Name: "example.org", Type: "A", TTL: 300, Data: "198.51.100.4"}}, Age: 0.2},
		HTTP:      &record.HTTP{Responses: []record.Response{{Status: 200, Headers: []record.Header{{Name: "Server", Value: "x"}}}}},
		Score:     0.97, Margin: 3.2, Verdict: record.Malicious, Reasons: []record.Reason{{Code: "r", Text: "t", Value: math.NaN(), Contribution: 1}},
	}
	for i := range 60 {
		r.SPLT = append(r.SPLT, record.Packet{Length: int32(i*17%1400) - 700, Delta: float64(i) * 0.0123})
	}
	for i := range 372 {
		r.Vector = append(r.Vector, float32(i)*1.37)
	}
	r.Vector[5] = float32(math.NaN())
	return r
}

func BenchmarkFlow(b *testing.B) {
	f := typicalFlow()
	buf, err := wire.MarshalFlow(nil, f)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("marshal", func(b *testing.B) {
		b.ReportMetric(float64(len(buf)), "B/message")
		for b.Loop() {
			buf, _ = wire.MarshalFlow(buf[:0], f)
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		var out flow.Flow
		for b.Loop() {
			if err := wire.UnmarshalFlow(buf, &out); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerdict(b *testing.B) {
	r := typicalRecord()
	buf, err := wire.MarshalVerdict(nil, r)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("marshal", func(b *testing.B) {
		b.ReportMetric(float64(len(buf)), "B/message")
		for b.Loop() {
			buf, _ = wire.MarshalVerdict(buf[:0], r)
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		var out record.Record
		for b.Loop() {
			if err := wire.UnmarshalVerdict(buf, &out); err != nil {
				b.Fatal(err)
			}
		}
	})
}
