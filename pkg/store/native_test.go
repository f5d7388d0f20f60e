package store

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	client "github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"trench/pkg/record"
	"trench/pkg/wire"
)

// FuzzColumnsAreWhatTheClientWrites fills every column of random rows in two ways: as
// Trench writes it, and by the client, by reflection from values that were read back.
// Both must be the same bytes, but for dictionaries, whose order is free: of these
// the values are compared.
func FuzzColumnsAreWhatTheClientWrites(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint8(seed*3))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var rows []*row
		var letters []*wire.DeadLetter
		for range n {
			r := &row{Record: &record.Record{}, version: version{rnd.Uint64(), rnd.Uint64()}}
			fill(rnd, reflect.ValueOf(r.Record).Elem())
			rows = append(rows, r)
			d := &wire.DeadLetter{}
			fill(rnd, reflect.ValueOf(d).Elem())
			letters = append(letters, d)
		}
		bothWays(t, flows(), rows)
		bothWays(t, featureVectors(), rows)
		bothWays(t, deadLetters(), letters)
	})
}

func bothWays[R any](t *testing.T, tab table[R], rows []*R) {
	t.Helper()
	filler := newFiller()
	for _, c := range tab.columns {
		column := func() client.Interface {
			col, err := client.Type(c.typ).Column(c.name, &client.ServerContext{})
			if err != nil {
				t.Fatal(err)
			}
			return col
		}
		ours, theirs := column(), column()
		if _, err := filler.fill(ours, func(dst []byte) []byte { return c.append(dst, rows) }, len(rows)); err != nil {
			t.Fatalf("%s.%s: %v", tab.name, c.name, err)
		}
		if ours.Rows() != len(rows) {
			t.Fatalf("%s.%s: %d rows, want %d", tab.name, c.name, ours.Rows(), len(rows))
		}
		for i := range ours.Rows() {
			if err := theirs.AppendRow(ours.Row(i, false)); err != nil {
				t.Fatalf("%s.%s: %v", tab.name, c.name, err)
			}
		}
		var a, b proto.Buffer
		ours.Encode(&a)
		theirs.Encode(&b)
		written := c.append(nil, rows)
		if !bytes.Equal(a.Buf, written) {
			t.Errorf("%s.%s: the client reads something else than is written", tab.name, c.name)
		}
		if dictionary := c.name == "trace" || c.typ == "LowCardinality(String)"; !dictionary && !bytes.Equal(b.Buf, written) {
			t.Errorf("%s.%s: the client writes something else", tab.name, c.name)
		}
	}
}

// fill gives every field of v a value, odd ones often.
func fill(rnd *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[netip.Addr]() {
			addrs := []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::ffff"), netip.MustParseAddr("fe80::1%eth0")}
			v.Set(reflect.ValueOf(addrs[rnd.IntN(len(addrs))]))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(rnd, v.Field(i))
			}
		}
	case reflect.Pointer:
		if rnd.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rnd, v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rnd.IntN(4), 4))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(rnd, v.Index(i))
		}
	case reflect.String:
		long := make([]byte, rnd.IntN(300))
		for i := range long {
			long[i] = byte(rnd.Uint32())
		}
		texts := []string{"", "a", "b", "ü", "bad\xff", "nul\x00", string(long)}
		v.SetString(texts[rnd.IntN(len(texts))])
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Float32, reflect.Float64:
		numbers := []float64{0, math.Copysign(0, -1), 1.5, math.NaN(), math.Inf(1), math.SmallestNonzeroFloat64, rnd.NormFloat64()}
		v.SetFloat(numbers[rnd.IntN(len(numbers))])
	case reflect.Uint8:
		v.SetUint(rnd.Uint64N(4)) // verdicts
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint([]uint64{0, math.MaxUint64, rnd.Uint64()}[rnd.IntN(3)] & (1<<v.Type().Bits() - 1))
	case reflect.Int, reflect.Int32, reflect.Int64:
		// Times are in ns and, in years, far from what time.Time can not say.
		v.SetInt(rnd.Int64N(1<<31) - 1<<30)
	}
}

func TestDictionariesGrowTheirKeys(t *testing.T) {
	t.Parallel()
	for _, different := range []int{1, 254, 255, 256, 257, 65534, 65535, 65536, 65537} {
		var rows []*string
		for i := range different + 2 {
			s := string(rune('a'+i%different)) + string(rune(i%different))
			rows = append(rows, &s, &s)
		}
		c := short(func(s *string) string { return *s })
		col, err := client.Type(c.typ).Column("c", &client.ServerContext{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newFiller().fill(col, func(dst []byte) []byte { return c.append(dst, rows) }, len(rows)); err != nil {
			t.Fatalf("%d: %v", different, err)
		}
		for i, s := range rows {
			if got := col.Row(i, false); got != valid(*s) {
				t.Fatalf("%d different: row %d is %q, want %q", different, i, got, *s)
			}
		}
	}
}

func TestNoInsertIsOfTooManyMonths(t *testing.T) {
	t.Parallel()
	var rows []*int
	for i := range 1000 {
		month := i * 7 % 250
		rows = append(rows, &month)
	}
	seen := 0
	for _, p := range byMonths(rows, func(m *int) int { return *m }) {
		months := map[int]bool{}
		for _, m := range p.rows {
			months[*m] = true
		}
		if len(months) != p.months || p.months > maxMonths {
			t.Errorf("%d months, %d said, at most %d wanted", len(months), p.months, maxMonths)
		}
		seen += len(p.rows)
	}
	if seen != len(rows) {
		t.Errorf("%d rows, want %d", seen, len(rows))
	}
}

func TestVersionsPreferTheLaterPartThenTheLaterScoring(t *testing.T) {
	t.Parallel()
	scored := func(part uint32, micros int64, score float64, sink int64) *row {
		r := &record.Record{Part: part, Score: score, Trace: []record.Hop{{Stage: "scoring", Micros: micros}}}
		if sink != 0 {
			r.Trace = append(r.Trace, record.Hop{Stage: StageSink, Micros: sink})
		}
		return &row{Record: r}
	}
	rising := []*row{
		{Record: &record.Record{}}, scored(0, 5, 0.1, 0), scored(0, 1<<50, 0.1, 0), scored(1, 4, 0.1, 0), scored(1<<31, 0, 0.1, 0),
	}
	s := newSummer()
	s.setVersions(rising)
	for i := 1; i < len(rising); i++ {
		a, b := rising[i-1].version, rising[i].version
		if a.high > b.high || a.high == b.high && a.low >= b.low {
			t.Errorf("row %d: version %x is not above %x", i, b, a)
		}
	}
	same := []*row{scored(1, 4, 0.1, 77), scored(1, 4, 0.1, 99), scored(1, 4, 0.2, 77)}
	s.setVersions(same)
	if same[0].version != same[1].version {
		t.Error("what the sink adds changes the version")
	}
	if same[0].version == same[2].version {
		t.Error("the content does not change the version")
	}
}
