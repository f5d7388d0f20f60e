package wire

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"trench/pkg/record"
)

// Fields of Row that scoring has the last word on.
const (
	rowVerdictNote = 54
	rowSchemaHash  = 55
)

// rowRoom guesses how long the message of a record with its row will be.
func rowRoom(r *record.Record) int {
	return 512 + len(r.Source) + len(r.VectorSchema) + len(r.Vector)*4/3 + 7*len(r.SPLT) + 640*len(r.CertChain) + 160*len(r.Reasons) + 96*len(r.Shadow)
}

// row writes field 1 of both Features and Verdict.
func (w *writer) row(r *record.Record) {
	at := w.open(1)
	w.bytes(1, r.FlowID[:])
	w.string(2, r.Source)
	w.uint(3, uint64(r.Part))
	w.bool(4, r.Final)
	w.fixed64(5, uint64(r.TS))
	w.sint(6, r.TSEnd-r.TS)
	w.string(7, r.Proto)
	w.string(8, r.AppProto)
	w.addr(9, r.ClientIP)
	w.uint(10, uint64(r.ClientPort))
	w.addr(11, r.ServerIP)
	w.uint(12, uint64(r.ServerPort))
	numbers(w, 13, "vlan", r.VLAN)
	w.string(14, r.Tunnel)
	w.double(15, r.RTT)
	w.uint(16, r.RetransC2S)
	w.uint(17, r.RetransS2C)
	w.uint(18, r.Gaps)
	w.bool(19, r.Truncated)
	w.uint(20, r.PacketsC2S)
	w.uint(21, r.PacketsS2C)
	w.uint(22, r.BytesC2S)
	w.uint(23, r.BytesS2C)
	w.uint(24, r.PayloadC2S)
	w.uint(25, r.PayloadS2C)
	w.string(26, r.EndReason)
	whole := w.spltLengths(r.SPLT)
	if !whole {
		w.spltDeltas(r.SPLT)
	}
	w.double(29, r.EntropyC2S)
	w.double(30, r.EntropyS2C)
	if w.fits("byte_dist", len(r.ByteDist), 256) {
		numbers(w, 31, "byte_dist", r.ByteDist)
	}
	w.string(32, r.TLSVersion)
	w.string(33, r.TLSCipher)
	w.string(34, r.TLSSNI)
	w.string(35, r.TLSALPN)
	w.bool(36, r.TLSResumed)
	w.bool(37, r.TLSEstablished)
	w.bool(38, r.TLSIncomplete)
	w.bool(39, r.TLSECH)
	w.string(40, r.StartTLS)
	w.string(41, r.QUICVersion)
	numbers(w, 42, "tls_client_ciphers", r.TLSClientCiphers)
	numbers(w, 43, "tls_client_extensions", r.TLSClientExtensions)
	numbers(w, 44, "tls_server_extensions", r.TLSServerExtensions)
	w.uint(45, uint64(r.TLSKeyBits))
	w.string(46, r.JA3)
	w.string(47, r.JA3S)
	w.string(48, r.JA4)
	w.certificates(r.CertChain)
	w.dns(r.DNS)
	w.http(r.HTTP)
	w.string(52, r.HASSH)
	w.string(53, r.CommunityID)
	w.string(rowVerdictNote, r.VerdictNote)
	w.string(rowSchemaHash, r.SchemaHash)
	w.string(56, r.JA4S)
	w.string(57, r.JA4X)
	w.string(58, r.JA4H)
	w.string(59, r.JA4T)
	w.string(60, r.JA4TS)
	w.tls(r.TLS)
	w.quic(r.QUIC)
	w.ssh(r.SSH)
	w.dhcp(r.DHCP)
	if whole {
		w.spltNanos(r.SPLT)
	}
	w.close(at)
}

// spltLengths reports whether all deltas are whole nanoseconds, as they are unless
// somebody else than this version made them.
func (w *writer) spltLengths(splt []record.Packet) (whole bool) {
	if len(splt) == 0 || !w.fits("splt", len(splt), MaxList) {
		return false
	}
	whole = true
	at := w.open(27)
	for i := range splt {
		w.b = protowire.AppendVarint(w.b, zigzag32(splt[i].Length))
		_, ok := nanosOf(splt[i].Delta)
		whole = whole && ok
	}
	w.close(at)
	return whole
}

// nanosOf returns a time in ns, and whether secondsOf gives back the same bits.
func nanosOf(seconds float64) (uint64, bool) {
	if !(seconds >= 0 && seconds < 1<<23) { // more than nine digits before the point do not come back
		return 0, false
	}
	n := uint64(seconds*1e9 + 0.5)
	return n, math.Float64bits(secondsOf(n)) == math.Float64bits(seconds)
}

func secondsOf(nanos uint64) float64 { return float64(nanos) / 1e9 }

func (w *writer) spltDeltas(splt []record.Packet) {
	if len(splt) == 0 {
		return
	}
	at := w.open(28)
	for i := range splt {
		w.b = protowire.AppendFixed64(w.b, math.Float64bits(splt[i].Delta))
	}
	w.close(at)
}

func (w *writer) spltNanos(splt []record.Packet) {
	at := w.open(65)
	for i := range splt {
		n, _ := nanosOf(splt[i].Delta)
		w.b = protowire.AppendVarint(w.b, n)
	}
	w.close(at)
}

// rowReader holds what is put together when all of a row is read: the last of
// several values of a field counts, and a row may come in parts.
type rowReader struct {
	*check
	r                      *record.Record
	seen                   bool
	id, client, server     []byte
	duration               int64
	clientPort, serverPort uint32
	lengths, deltas, nanos int    // entries read of the packets
	vector                 []byte // field values
}

func newRowReader(b []byte, r *record.Record) rowReader {
	r.Reset()
	return rowReader{check: &check{size: cap(b)}, r: r}
}

// end checks what is read and joins what belongs together.
func (x *rowReader) end() {
	r := x.r
	if !x.seen {
		x.fail("row", "missing")
		return
	}
	r.FlowID, r.TSEnd = x.check.id(x.id), r.TS+x.duration
	r.ClientIP, r.ClientPort = x.addr("client_ip", x.client), x.u16("client_port", x.clientPort)
	r.ServerIP, r.ServerPort = x.addr("server_ip", x.server), x.u16("server_port", x.serverPort)
	if n := len(r.ByteDist); n != 0 && n != 256 {
		x.fail("byte_dist", "%d counts, want none or 256", n)
	}
	if x.deltas > 0 && x.nanos > 0 {
		x.fail("splt_deltas", "%d entries beside %d of splt_deltas_ns", x.deltas, x.nanos)
	} else if x.deltas+x.nanos != x.lengths {
		x.fail("splt_deltas", "%d entries beside %d lengths", x.deltas+x.nanos, x.lengths)
	}
	if len(x.vector) > 0 {
		r.Vector = x.values(x.vector, r.Vector)
	}
}

func (x *rowReader) row(outer *fields) {
	x.seen = true
	r := x.r
	for in := outer.message(); in.next(); {
		switch in.tag {
		case 1<<3 | length:
			x.id = in.bytes()
		case 2<<3 | length:
			r.Source = in.string()
		case 3<<3 | varint:
			r.Part = in.uint32()
		case 4<<3 | varint:
			r.Final = in.bool()
		case 5<<3 | fixed64:
			r.TS = int64(in.fixed64())
		case 6<<3 | varint:
			x.duration = in.sint64()
		case 7<<3 | length:
			r.Proto = in.string()
		case 8<<3 | length:
			r.AppProto = in.string()
		case 9<<3 | length:
			x.client = in.bytes()
		case 10<<3 | varint:
			x.clientPort = in.uint32()
		case 11<<3 | length:
			x.server = in.bytes()
		case 12<<3 | varint:
			x.serverPort = in.uint32()
		case 13<<3 | length, 13<<3 | varint:
			r.VLAN = list(&in, "vlan", r.VLAN, MaxList)
		case 14<<3 | length:
			r.Tunnel = in.string()
		case 15<<3 | fixed64:
			r.RTT = in.double()
		case 16<<3 | varint:
			r.RetransC2S = in.varint()
		case 17<<3 | varint:
			r.RetransS2C = in.varint()
		case 18<<3 | varint:
			r.Gaps = in.varint()
		case 19<<3 | varint:
			r.Truncated = in.bool()
		case 20<<3 | varint:
			r.PacketsC2S = in.varint()
		case 21<<3 | varint:
			r.PacketsS2C = in.varint()
		case 22<<3 | varint:
			r.BytesC2S = in.varint()
		case 23<<3 | varint:
			r.BytesS2C = in.varint()
		case 24<<3 | varint:
			r.PayloadC2S = in.varint()
		case 25<<3 | varint:
			r.PayloadS2C = in.varint()
		case 26<<3 | length:
			r.EndReason = in.string()
		case 27<<3 | length, 27<<3 | varint:
			b, n := in.varints()
			r.SPLT = reach(&in, "splt_lengths", r.SPLT, x.lengths+n, MaxList)
			for len(b) > 0 && x.err == nil {
				var v uint64
				v, b = in.pop(b)
				r.SPLT[x.lengths].Length = int32(protowire.DecodeZigZag(v & math.MaxUint32))
				x.lengths++
			}
		case 28<<3 | length, 28<<3 | fixed64:
			b := in.fixed(8)
			r.SPLT = reach(&in, "splt_deltas", r.SPLT, x.deltas+len(b)/8, MaxList)
			for ; len(b) > 0 && x.err == nil; b = b[8:] {
				r.SPLT[x.deltas].Delta = math.Float64frombits(binary.LittleEndian.Uint64(b))
				x.deltas++
			}
		case 29<<3 | fixed64:
			r.EntropyC2S = in.double()
		case 30<<3 | fixed64:
			r.EntropyS2C = in.double()
		case 31<<3 | length, 31<<3 | varint:
			r.ByteDist = list(&in, "byte_dist", r.ByteDist, 256)
		case 32<<3 | length:
			r.TLSVersion = in.string()
		case 33<<3 | length:
			r.TLSCipher = in.string()
		case 34<<3 | length:
			r.TLSSNI = in.string()
		case 35<<3 | length:
			r.TLSALPN = in.string()
		case 36<<3 | varint:
			r.TLSResumed = in.bool()
		case 37<<3 | varint:
			r.TLSEstablished = in.bool()
		case 38<<3 | varint:
			r.TLSIncomplete = in.bool()
		case 39<<3 | varint:
			r.TLSECH = in.bool()
		case 40<<3 | length:
			r.StartTLS = in.string()
		case 41<<3 | length:
			r.QUICVersion = in.string()
		case 42<<3 | length, 42<<3 | varint:
			r.TLSClientCiphers = list(&in, "tls_client_ciphers", r.TLSClientCiphers, MaxList)
		case 43<<3 | length, 43<<3 | varint:
			r.TLSClientExtensions = list(&in, "tls_client_extensions", r.TLSClientExtensions, MaxList)
		case 44<<3 | length, 44<<3 | varint:
			r.TLSServerExtensions = list(&in, "tls_server_extensions", r.TLSServerExtensions, MaxList)
		case 45<<3 | varint:
			r.TLSKeyBits = in.uint32()
		case 46<<3 | length:
			r.JA3 = in.string()
		case 47<<3 | length:
			r.JA3S = in.string()
		case 48<<3 | length:
			r.JA4 = in.string()
		case 49<<3 | length:
			r.CertChain = certificate(&in, r.CertChain)
		case 50<<3 | length:
			dns(in.message(), made(&r.DNS))
		case 51<<3 | length:
			http(in.message(), made(&r.HTTP))
		case 52<<3 | length:
			r.HASSH = in.string()
		case 53<<3 | length:
			r.CommunityID = in.string()
		case rowVerdictNote<<3 | length:
			r.VerdictNote = in.string()
		case rowSchemaHash<<3 | length:
			r.SchemaHash = in.string()
		case 56<<3 | length:
			r.JA4S = in.string()
		case 57<<3 | length:
			r.JA4X = in.string()
		case 58<<3 | length:
			r.JA4H = in.string()
		case 59<<3 | length:
			r.JA4T = in.string()
		case 60<<3 | length:
			r.JA4TS = in.string()
		case 61<<3 | length:
			tls(in.message(), made(&r.TLS))
		case 62<<3 | length:
			quic(in.message(), made(&r.QUIC))
		case 63<<3 | length:
			ssh(in.message(), made(&r.SSH))
		case 64<<3 | length:
			dhcp(in.message(), made(&r.DHCP))
		case 65<<3 | length, 65<<3 | varint:
			b, n := in.varints()
			r.SPLT = reach(&in, "splt_deltas_ns", r.SPLT, x.nanos+n, MaxList)
			for len(b) > 0 && x.err == nil {
				var v uint64
				v, b = in.pop(b)
				r.SPLT[x.nanos].Delta = secondsOf(v)
				x.nanos++
			}
		default:
			in.skip()
		}
	}
}

func (w *writer) certificates(chain []record.Certificate) {
	if !w.fits("cert_chain", len(chain), MaxList) {
		return
	}
	for i := range chain {
		c := &chain[i]
		at := w.open(49)
		w.string(1, c.SHA1)
		w.string(2, c.SHA256)
		w.string(3, c.Subject)
		w.string(4, c.Issuer)
		w.string(5, c.Serial)
		w.sint(6, c.NotBefore)
		w.sint(7, c.NotAfter)
		w.strings(8, "cert_chain.sans", c.SANs)
		w.string(9, c.KeyType)
		w.uint(10, uint64(c.KeyBits))
		w.string(11, c.Signature)
		w.bool(12, c.SelfSigned)
		w.bool(13, c.CA)
		w.uint(14, uint64(c.SCTs))
		w.strings(15, "cert_chain.policies", c.Policies)
		w.string(16, c.Validation)
		w.close(at)
	}
}

// certificate reads one more of a chain.
func certificate(outer *fields, chain []record.Certificate) []record.Certificate {
	c := one(outer, "cert_chain", &chain)
	if c == nil {
		return chain
	}
	for in := outer.message(); in.next(); {
		switch in.tag {
		case 1<<3 | length:
			c.SHA1 = in.string()
		case 2<<3 | length:
			c.SHA256 = in.string()
		case 3<<3 | length:
			c.Subject = in.string()
		case 4<<3 | length:
			c.Issuer = in.string()
		case 5<<3 | length:
			c.Serial = in.string()
		case 6<<3 | varint:
			c.NotBefore = in.sint64()
		case 7<<3 | varint:
			c.NotAfter = in.sint64()
		case 8<<3 | length:
			c.SANs = in.strings("cert_chain.sans", c.SANs)
		case 9<<3 | length:
			c.KeyType = in.string()
		case 10<<3 | varint:
			c.KeyBits = in.uint32()
		case 11<<3 | length:
			c.Signature = in.string()
		case 12<<3 | varint:
			c.SelfSigned = in.bool()
		case 13<<3 | varint:
			c.CA = in.bool()
		case 14<<3 | varint:
			c.SCTs = in.uint32()
		case 15<<3 | length:
			c.Policies = in.strings("cert_chain.policies", c.Policies)
		case 16<<3 | length:
			c.Validation = in.string()
		default:
			in.skip()
		}
	}
	return chain
}
