//go:build e2e

package store_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/fault"
	"trench/pkg/flow"
	"trench/pkg/internal/e2e"
	"trench/pkg/internal/local"
	"trench/pkg/record"
	"trench/pkg/store"
	"trench/pkg/wire"
	"trench/schemas"
)

// server is a running ClickHouse.
type server struct{ native, http string }

func (s server) config(t testing.TB, protocol string) store.Config {
	cfg := store.DefaultConfig()
	cfg.Protocol, cfg.Addr = protocol, []string{s.native}
	if protocol == store.HTTP {
		cfg.Addr = []string{s.http}
	}
	cfg.Database = fmt.Sprintf("test_%s_%d", protocol, time.Now().UnixNano())
	t.Cleanup(func() {
		if _, err := e2e.Query(s.http, "default", "DROP DATABASE IF EXISTS "+cfg.Database); err != nil {
			t.Errorf("drop: %v", err)
		}
	})
	return cfg
}

func migrations(t testing.TB) []store.Migration {
	t.Helper()
	ms, err := store.Migrations(schemas.ClickHouse, "clickhouse")
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func (s server) migrated(t *testing.T, protocol string) (store.Config, *store.Writer) {
	t.Helper()
	cfg := s.config(t, protocol)
	if done, err := store.Migrate(t.Context(), cfg, migrations(t)); err != nil || len(done) == 0 {
		t.Fatalf("applied %v, err = %v", done, err)
	}
	w, err := store.NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := w.Check(t.Context()); err != nil {
		t.Fatalf("check after migrate: %v", err)
	}
	return cfg, w
}

func (s server) query(t *testing.T, cfg store.Config, q string) []e2e.Row {
	t.Helper()
	rows, err := e2e.Query(s.http, cfg.Database, q)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return rows
}

func (s server) same(t *testing.T, cfg store.Config, rows []*record.Record) {
	t.Helper()
	var lines []byte
	for _, r := range rows {
		lines = append(r.AppendJSON(lines), '\n')
	}
	ndjson, err := e2e.ReadNDJSON(strings.NewReader(string(lines)))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []e2e.Row
	for _, r := range ndjson {
		want = append(want, e2e.FromNDJSON(r))
	}
	for _, r := range s.query(t, cfg, "SELECT * FROM flows_latest") {
		got = append(got, e2e.FromClickHouse(r))
	}
	for _, d := range e2e.Differences(want, got) {
		t.Error(d)
	}
}

func TestStore(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	for _, protocol := range []string{store.Native, store.HTTP} {
		t.Run("rows come back as their NDJSON says over "+protocol, func(t *testing.T) {
			t.Parallel()
			cfg, w := s.migrated(t, protocol)
			rows := []*record.Record{full(1), bare(2), full(3)}
			if err := w.Write(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			s.same(t, cfg, rows)
			vectors := s.query(t, cfg, "SELECT flow_id, vector[1] AS first, isNaN(vector[2]) AS second, length(vector) AS n FROM feature_vectors ORDER BY flow_id")
			if len(vectors) != 2 || fmt.Sprint(vectors[0]) != "map[first:1.5 flow_id:01000900000000000000000000000000 n:3 second:1]" {
				t.Errorf("vectors: %v", vectors)
			}
		})
		t.Run("replays and later reports collapse over "+protocol, func(t *testing.T) {
			t.Parallel()
			cfg, w := s.migrated(t, protocol)
			early, late := full(1), full(1)
			early.Final, early.PacketsC2S, early.EndReason = false, 7, "active"
			early.ClientIP, early.ServerIP = early.ServerIP, early.ClientIP // it was not yet known who is who
			late.Part = 1
			for _, batch := range [][]*record.Record{{late, bare(2)}, {early}, {bare(2)}, {early, late}} {
				if err := w.Write(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			s.same(t, cfg, []*record.Record{late, bare(2)})
			if n := s.query(t, cfg, "SELECT flow_id FROM feature_vectors FINAL"); len(n) != 1 {
				t.Errorf("%d vectors, want 1", len(n))
			}
		})
		t.Run("dead letters are kept once over "+protocol, func(t *testing.T) {
			t.Parallel()
			cfg, w := s.migrated(t, protocol)
			d := &wire.DeadLetter{
				Stage: "features", Error: "flow: malformed", Topic: wire.TopicFlows, Partition: 2, Offset: 77, Time: time.Unix(1700000000, 5).UTC(),
				Failed: time.Now(), Key: []byte{0xff, 0}, Value: []byte("\x00\xfe"), ValueBytes: 900, Headers: []wire.DeadLetterHeader{{Key: "k", Value: []byte("v")}},
			}
			for range 2 {
				if err := w.WriteDeadLetters(t.Context(), []*wire.DeadLetter{d}); err != nil {
					t.Fatal(err)
				}
				d.Failed = d.Failed.Add(time.Second)
			}
			got := s.query(t, cfg, "SELECT stage, error, topic, partition, offset, time, hex(key) AS key, hex(value) AS value, value_bytes, headers FROM dead_letters_latest")
			want := "[map[error:flow: malformed headers:[map[key:k value:v]] key:FF00 offset:77 partition:2 stage:features time:2023-11-14T22:13:20.000000005Z topic:trench.flows.v1 value:00FE value_bytes:900]]"
			if fmt.Sprint(got) != want {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
		t.Run("migrate again changes nothing over "+protocol, func(t *testing.T) {
			t.Parallel()
			cfg, w := s.migrated(t, protocol)
			if err := w.Write(t.Context(), []*record.Record{full(1)}); err != nil {
				t.Fatal(err)
			}
			if done, err := store.Migrate(t.Context(), cfg, migrations(t)); err != nil || len(done) != 0 {
				t.Errorf("applied %v, err = %v", done, err)
			}
			// Interrupted before it was noted: everything is run again.
			s.query(t, cfg, "TRUNCATE TABLE schema_migrations")
			if done, err := store.Migrate(t.Context(), cfg, migrations(t)); err != nil || len(done) != len(migrations(t)) {
				t.Errorf("applied %v, err = %v", done, err)
			}
			s.same(t, cfg, []*record.Record{full(1)})
		})
	}
	t.Run("reasons of before they had a feature and a usual range stay", func(t *testing.T) {
		t.Parallel()
		cfg := s.config(t, store.Native)
		if _, err := store.Migrate(t.Context(), cfg, migrations(t)[:2]); err != nil {
			t.Fatal(err)
		}
		s.query(t, cfg, `INSERT INTO flows (flow_id, ts, verdict_note, reasons)
			VALUES ('01000900000000000000000000000000', '2026-01-02 03:04:05', 'n', [('c', 't', NULL, 1.5, 'T1573'), ('d', 'u', 2, 1, '')])`)
		if _, err := store.Migrate(t.Context(), cfg, migrations(t)); err != nil {
			t.Fatal(err)
		}
		got := s.query(t, cfg, `SELECT verdict_note AS note, toString(reasons[1]) AS first, reasons[2].value AS value, reasons[2].feature AS feature, length(reasons[2].usual) AS ends FROM flows_latest`)
		if len(got) != 1 || fmt.Sprint(got[0]) != "map[ends:0 feature: first:('c','t',NULL,1.5,'T1573','',[]) note:n value:2]" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a schema that does not fit is described", func(t *testing.T) {
		t.Parallel()
		cfg, w := s.migrated(t, store.Native)
		s.query(t, cfg, "ALTER TABLE flows DROP COLUMN hassh")
		s.query(t, cfg, "ALTER TABLE feature_vectors MODIFY COLUMN part UInt64 SETTINGS alter_sync = 2")
		s.query(t, cfg, "DROP TABLE dead_letters")
		err := w.Check(t.Context())
		for _, want := range []string{"table flows: column hassh: missing", "table feature_vectors: column part: is UInt64, not UInt32", "table dead_letters: missing", "trench migrate"} {
			if !errors.Is(err, fault.ErrConfiguration) || !strings.Contains(err.Error(), want) {
				t.Errorf("err = %v, want it to say %q", err, want)
			}
		}
		if err := w.Write(t.Context(), []*record.Record{bare(1)}); !errors.Is(err, fault.ErrConfiguration) {
			t.Errorf("write: err = %v, want ErrConfiguration", err)
		}
	})
	t.Run("a changed or unknown migration is refused", func(t *testing.T) {
		t.Parallel()
		cfg := s.config(t, store.Native)
		make := func(sql ...string) []store.Migration {
			files := fstest.MapFS{}
			for i, q := range sql {
				files[fmt.Sprintf("d/%04d_x.sql", i+1)] = &fstest.MapFile{Data: []byte(q)}
			}
			ms, err := store.Migrations(files, "d")
			if err != nil {
				t.Fatal(err)
			}
			return ms
		}
		if _, err := store.Migrate(t.Context(), cfg, make("CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x", "SELECT 1")); err != nil {
			t.Fatal(err)
		}
		for want, ms := range map[string][]store.Migration{
			"0002_x was changed":                  make("CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x", "SELECT 2"),
			"0002_x, which this version":          make("CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x"),
			"0003_x: statement 2 of 2 (SELEKT 3)": make("CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x", "SELECT 1", "SELECT 1; SELEKT 3"),
		} {
			if _, err := store.Migrate(t.Context(), cfg, ms); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("err = %v, want it to say %q", err, want)
			}
		}
	})
	t.Run("what is missing is permanent", func(t *testing.T) {
		t.Parallel()
		for _, protocol := range []string{store.Native, store.HTTP} {
			w, err := store.NewWriter(s.config(t, protocol))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := w.Write(t.Context(), []*record.Record{bare(1)}); !errors.Is(err, fault.ErrConfiguration) {
				t.Errorf("%s: no database: err = %v, want ErrConfiguration", protocol, err)
			}
		}
	})
	t.Run("a row that can not be stored is named", func(t *testing.T) {
		t.Parallel()
		_, w := s.migrated(t, store.Native)
		bad := bare(2)
		bad.TS = math.MinInt64
		var refused *store.RefusedError
		if err := w.Write(t.Context(), []*record.Record{bare(1), bad}); !errors.As(err, &refused) || len(refused.Rows) != 1 || refused.Rows[0].Index != 1 {
			t.Errorf("err = %v, want row 1 refused", err)
		}
	})
	t.Run("one insert takes flows of many months", func(t *testing.T) {
		t.Parallel()
		_, w := s.migrated(t, store.HTTP)
		var rows []*record.Record
		for i := range 150 {
			r := bare(i)
			r.TS += int64(i) * int64(31*24*time.Hour)
			rows = append(rows, r)
		}
		if err := w.Write(t.Context(), rows); err != nil {
			t.Error(err)
		}
	})
}

func TestThroughputOfTheRealServer(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	for _, protocol := range []string{store.Native, store.HTTP} {
		cfg, w := s.migrated(t, protocol)
		var rows []*record.Record
		for i := range 20_000 {
			r := full(i)
			r.Vector = make([]float32, 372)
			for j := range r.Vector {
				r.Vector[j] = float32(i*j%1000) / 7
			}
			for j := range 50 {
				r.SPLT = append(r.SPLT, record.Packet{Length: int32(i * j % 1400), Delta: float64(j) / 1000})
			}
			rows = append(rows, r)
		}
		start := time.Now()
		const batch = 5000
		for i := 0; i < len(rows); i += batch {
			if err := w.Write(t.Context(), rows[i:i+batch]); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: %d rows with certificate, 52 packets and vectors of 372: %.0f/s", protocol, len(rows), float64(len(rows))/time.Since(start).Seconds())
		if d := cmp.Diff("20000", fmt.Sprint(s.query(t, cfg, "SELECT count() AS n FROM flows_latest")[0]["n"])); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

func bare(n int) *record.Record {
	return &record.Record{
		FlowID: flow.ID{byte(n), byte(n >> 8), 9}, TS: 1700000000000000000, TSEnd: 1700000000000000000, Proto: "udp", Final: true, Source: "x.pcap",
		ClientIP: netip.MustParseAddr("192.0.2.1"), ServerIP: netip.MustParseAddr("2001:db8::1"), EndReason: "eof",
		RTT: math.NaN(), EntropyC2S: math.NaN(), EntropyS2C: math.NaN(), Score: math.NaN(), Margin: math.NaN(),
	}
}

func full(n int) *record.Record {
	r := bare(n)
	r.Source, r.TS, r.TSEnd, r.AppProto, r.Proto = "sensor:eth0", 1700000000123456789, 1700000001000000001, "tls", "tcp"
	r.ClientPort, r.ServerPort, r.VLAN, r.Tunnel, r.RTT = 50123, 443, []uint16{10, 4095}, "gre", 0.012345678
	r.RetransC2S, r.RetransS2C, r.Gaps, r.Truncated = 1, 2, 1<<40, true
	r.PacketsC2S, r.PacketsS2C, r.BytesC2S, r.BytesS2C, r.PayloadC2S, r.PayloadS2C = 10, 20, 1<<33, 4000, 900, 3000
	r.EndReason, r.SPLT = "fin", []record.Packet{{Length: 517, Delta: 0}, {Length: -1400, Delta: 0.000123456}}
	r.EntropyC2S, r.EntropyS2C, r.ByteDist = 7.123456789012345, 0, make([]uint32, 256)
	r.ByteDist[255] = 4000
	r.TLSVersion, r.TLSCipher, r.TLSSNI, r.TLSALPN = "TLS 1.2", "TLS_RSA_WITH_AES_128_CBC_SHA", "bad\xff\xfe\"name\\", "h2"
	r.TLSResumed, r.TLSEstablished, r.TLSIncomplete, r.TLSECH = true, true, true, true
	r.StartTLS, r.QUICVersion, r.TLSKeyBits = "smtp", "1", 2048
	r.TLSClientCiphers, r.TLSClientExtensions, r.TLSServerExtensions = []uint16{0x0a0a, 0x1301}, []uint16{0, 65281}, []uint16{43}
	r.JA3, r.JA3S, r.JA4 = "a", "b", "t13d"
	r.CertChain = []record.Certificate{{
		SHA1: "ab", SHA256: "cd", Subject: "CN=ü\n", Issuer: "CN=i", Serial: "01", NotBefore: -62135596800, NotAfter: 253402300799,
		SANs: []string{"a", "b"}, KeyType: "rsa", KeyBits: 2048, Signature: "sha256", SelfSigned: true,
	}, {}}
	r.DNS = &record.DNS{Queries: []record.Query{{Name: "a.", Type: "A"}}, Answers: []record.Answer{{Name: "a.", Type: "A", TTL: 60, Data: "192.0.2.1"}}, RCode: "NOERROR", Age: 1.25}
	r.HTTP = &record.HTTP{
		Requests:  []record.Request{{Method: "GET", Target: "/", Host: "h", UserAgent: "u", Version: "1.1", Headers: []record.Header{{Name: "A", Value: "b\x80"}}}},
		Responses: []record.Response{{Status: 200, Version: "1.1", Server: "s"}},
	}
	r.HASSH, r.CommunityID = "h", "1:xyz="
	r.Score, r.Margin, r.Verdict, r.VerdictNote, r.ModelID, r.SchemaHash = 0.987654321, 4.380000001, record.Malicious, "note", "m", "s"
	r.Reasons = []record.Reason{{Code: "c", Text: "t", Value: math.NaN(), Contribution: -0.5, Attack: "T1573", Feature: "f", Usual: &record.Range{Low: -1, High: 2.5}}, {Code: "d", Text: "u", Value: 1e-9, Contribution: 2}}
	r.Shadow = []record.Shadow{{ModelID: "n", Margin: -1.5, Score: 0.25, Verdict: record.Suspicious}, {ModelID: "o", Margin: math.NaN(), Score: math.NaN()}}
	r.Vector, r.VectorSchema = []float32{1.5, float32(math.NaN()), -3}, "v"
	return r
}
