package recordbatch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"

	"trench/pkg/bus"
	"trench/pkg/bus/kafka/recordbatch"
)

var codecs = map[string]recordbatch.Codec{
	"none": recordbatch.None, "gzip": recordbatch.Gzip, "snappy": recordbatch.Snappy, "lz4": recordbatch.LZ4, "zstd": recordbatch.Zstd,
}

// mixed returns records of every shape: null, empty, small and large keys and
// values, no headers and many.
func mixed(n int) []bus.Record {
	random := rand.New(rand.NewPCG(7, 7))
	bytesOf := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.IntN(20))
		}
		return b
	}
	out := make([]bus.Record, n)
	for i := range out {
		r := &out[i]
		if i%5 != 0 {
			r.Key = bytesOf(random.IntN(40))
		}
		if i%7 != 0 {
			r.Value = bytesOf(random.IntN(3000))
		}
		for j := range i % 4 {
			r.Headers = append(r.Headers, bus.Header{Key: fmt.Sprint("header-", j), Value: bytesOf(random.IntN(100))})
		}
		if i%9 == 0 {
			r.Headers = append(r.Headers, bus.Header{Key: "null"})
		}
	}
	return out
}

func all(records []bus.Record) []int {
	index := make([]int, len(records))
	for i := range index {
		index[i] = i
	}
	return index
}

var now = time.UnixMilli(1_732_455_123_456)

func encode(t testing.TB, codec recordbatch.Codec, records []bus.Record) []byte {
	t.Helper()
	e, err := recordbatch.NewEncoder(codec)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Append(nil, records, all(records), now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t testing.TB, raw []byte, from int64) ([]bus.Record, error) {
	t.Helper()
	h, err := recordbatch.ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	d, err := recordbatch.NewDecoder("topic", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return d.Decode(raw, h, from)
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	records := mixed(60)
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := encode(t, codec, records)
			binary.BigEndian.PutUint64(raw, 1000) // as the broker does, outside the checksum
			got, err := decode(t, raw, 0)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(records)
			for i := range want {
				want[i].Topic, want[i].Partition, want[i].Offset, want[i].Time = "topic", 3, 1000+int64(i), now
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			late, err := decode(t, raw, 1050)
			if err != nil || len(late) != 10 || late[0].Offset != 1050 {
				t.Errorf("from offset 1050: %d records, err = %v", len(late), err)
			}
		})
	}
}

// kafka-go's own code is the reference, in both directions.
func TestKafkaGoReadsWhatIsEncoded(t *testing.T) {
	t.Parallel()
	records := mixed(200)
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := encode(t, codec, records)
			sized := append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...)
			var set protocol.RecordSet
			if _, err := set.ReadFrom(bytes.NewBuffer(sized)); err != nil {
				t.Fatal(err)
			}
			for i := range records {
				r, err := set.Records.ReadRecord()
				if err != nil {
					t.Fatalf("record %d: %v", i, err)
				}
				same(t, i, r, &records[i])
			}
			if _, err := set.Records.ReadRecord(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last record: %v", err)
			}
		})
	}
}

func same(t *testing.T, i int, got *protocol.Record, want *bus.Record) {
	t.Helper()
	key, value := contents(t, got.Key), contents(t, got.Value)
	if got.Offset != int64(i) || !got.Time.Equal(now) || !bytes.Equal(key, want.Key) || !bytes.Equal(value, want.Value) ||
		(got.Key == nil) != (want.Key == nil) || (got.Value == nil) != (want.Value == nil) || len(got.Headers) != len(want.Headers) {
		t.Fatalf("record %d came as %+v, want %+v", i, got, want)
	}
	for j, h := range got.Headers {
		if h.Key != want.Headers[j].Key || !bytes.Equal(h.Value, want.Headers[j].Value) {
			t.Errorf("record %d, header %d is %+v", i, j, h)
		}
	}
}

func contents(t *testing.T, b protocol.Bytes) []byte {
	t.Helper()
	if b == nil {
		return nil
	}
	out, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatKafkaGoEncodesIsRead(t *testing.T) {
	t.Parallel()
	records := mixed(200)
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := decode(t, reference(t, codec, records), 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(records) {
				t.Fatalf("%d records, want %d", len(got), len(records))
			}
			for i := range got {
				w := &records[i]
				if got[i].Offset != int64(i) || !got[i].Time.Equal(now.Add(time.Duration(i)*time.Second)) ||
					!bytes.Equal(got[i].Key, w.Key) || !bytes.Equal(got[i].Value, w.Value) || len(got[i].Headers) != len(w.Headers) {
					t.Fatalf("record %d came as %+v", i, got[i])
				}
			}
		})
	}
}

// reference encodes by kafka-go; each record is a second later than the one before.
func reference(t testing.TB, codec recordbatch.Codec, records []bus.Record) []byte {
	t.Helper()
	var in []protocol.Record
	for i, r := range records {
		p := protocol.Record{Time: now.Add(time.Duration(i) * time.Second), Key: protocol.NewBytes(r.Key), Value: protocol.NewBytes(r.Value)}
		for _, h := range r.Headers {
			p.Headers = append(p.Headers, protocol.Header{Key: h.Key, Value: h.Value})
		}
		in = append(in, p)
	}
	set := protocol.RecordSet{Version: 2, Attributes: protocol.Attributes(codec), Records: protocol.NewRecordReader(in...)}
	var buf bytes.Buffer
	if _, err := set.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()[4:]
}

func TestBrokenBatchesAreErrors(t *testing.T) {
	t.Parallel()
	records := mixed(20)
	good := encode(t, recordbatch.None, records)
	for _, n := range []int{0, 11, 60, len(good) - 1} {
		if _, err := recordbatch.ParseHeader(good[:n]); !errors.Is(err, recordbatch.ErrTruncated) {
			t.Errorf("%d bytes: err = %v, want ErrTruncated", n, err)
		}
	}
	for name, c := range map[string]struct {
		change func(b []byte)
		seal   bool // the checksum is made right again
		want   string
	}{
		"a flipped bit":           {func(b []byte) { b[200] ^= 1 }, false, "batch at offset 0: checksum is"},
		"an older format":         {func(b []byte) { b[16] = 1 }, false, "message format older than 2"},
		"a newer format":          {func(b []byte) { b[16] = 3 }, false, "unknown message format 3"},
		"too short for itself":    {func(b []byte) { binary.BigEndian.PutUint32(b[8:], 3) }, false, "fewer than its header"},
		"a negative last offset":  {func(b []byte) { binary.BigEndian.PutUint32(b[23:], 1<<31) }, true, "make no sense"},
		"more records than bytes": {func(b []byte) { binary.BigEndian.PutUint32(b[57:], 1<<30) }, true, "do not fit"},
		"one record too few":      {func(b []byte) { binary.BigEndian.PutUint32(b[57:], 19) }, true, "follow the last record"},
		"one record too many":     {func(b []byte) { binary.BigEndian.PutUint32(b[57:], 21) }, true, "cut off"},
		"an unknown codec":        {func(b []byte) { b[22] = 6 }, true, "codec 6 is unknown"},
		"not what the codec says": {func(b []byte) { b[22] = 4 }, true, "zstd:"},
		"offsets beyond the last": {func(b []byte) { binary.BigEndian.PutUint32(b[23:], 3) }, true, "record 4 of 20 is broken"},
		"a record of no length":   {func(b []byte) { b[61], b[62] = 0, 0 }, true, "record 0 of 20 is broken"},
	} {
		raw := bytes.Clone(good)
		c.change(raw)
		if c.seal {
			seal(raw)
		}
		if _, err := decode(t, raw, 0); err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.want)) {
			t.Errorf("%s: err = %v, want %q", name, err, c.want)
		}
	}
}

func seal(raw []byte) {
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
}

func TestControlBatchesHoldNoRecords(t *testing.T) {
	t.Parallel()
	raw := encode(t, recordbatch.None, mixed(1))
	raw[22] |= 1<<5 | 1<<4
	seal(raw)
	h, err := recordbatch.ParseHeader(raw)
	if err != nil || !h.Control {
		t.Fatalf("header %+v, err = %v", h, err)
	}
	if got, err := decode(t, raw, 0); err != nil || len(got) != 0 {
		t.Errorf("%d records, err = %v", len(got), err)
	}
}

func TestTheBrokersTimeWinsWhereTheTopicSaysSo(t *testing.T) {
	t.Parallel()
	raw := reference(t, recordbatch.Zstd, mixed(3))
	raw[22] |= 1 << 3
	appended := now.Add(time.Hour)
	binary.BigEndian.PutUint64(raw[35:], uint64(appended.UnixMilli()))
	seal(raw)
	got, err := decode(t, raw, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got {
		if !r.Time.Equal(appended) {
			t.Errorf("time %v, want %v", r.Time, appended)
		}
	}
}

func TestABombIsRefused(t *testing.T) {
	t.Parallel()
	for name, codec := range codecs {
		if codec == recordbatch.None {
			continue
		}
		records := []bus.Record{{Value: make([]byte, recordbatch.MaxPlain+1)}}
		if _, err := decode(t, encode(t, codec, records), 0); err == nil {
			t.Errorf("%s: %d bytes were decompressed", name, recordbatch.MaxPlain+1)
		}
	}
}

func TestSizeIsNeverTooSmall(t *testing.T) {
	t.Parallel()
	for i, r := range mixed(500) {
		got := len(encode(t, recordbatch.None, []bus.Record{r}))
		if most := recordbatch.HeaderSize + recordbatch.Size(&r); got > most {
			t.Errorf("record %d takes %d bytes, Size says %d", i, got, most)
		}
	}
}

func TestRecordsDoNotShareMemoryWithTheAnswer(t *testing.T) {
	t.Parallel()
	for name, codec := range codecs {
		raw := encode(t, codec, []bus.Record{{Key: []byte("key"), Value: []byte("value"), Headers: []bus.Header{{Key: "h", Value: []byte("header")}}}})
		got, err := decode(t, raw, 0)
		if err != nil {
			t.Fatal(err)
		}
		clear(raw)
		if r := got[0]; string(r.Key) != "key" || string(r.Value) != "value" || string(r.Header("h")) != "header" {
			t.Errorf("%s: the record changed with the memory it was read from: %+v", name, r)
		}
	}
}

func TestEncodingDoesNotAllocateForARecord(t *testing.T) {
	records := mixed(100)
	index := all(records)
	for _, codec := range []recordbatch.Codec{recordbatch.None, recordbatch.Snappy, recordbatch.Zstd} {
		e, err := recordbatch.NewEncoder(codec)
		if err != nil {
			t.Fatal(err)
		}
		dst, err := e.Append(nil, records, index, now)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() { dst, _ = e.Append(dst[:0], records, index, now) }); n > 20 { // the pools may have been emptied
			t.Errorf("codec %d: %v allocations for %d records", codec, n, len(records))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, codec := range codecs {
		f.Add(encode(f, codec, mixed(5)))
	}
	f.Add(encode(f, recordbatch.None, mixed(1))[:70])
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := recordbatch.ParseHeader(raw)
		if err != nil {
			return
		}
		seal(raw[:h.Size]) // or nothing gets past the checksum
		got, err := decode(t, raw, h.BaseOffset)
		if err != nil {
			return
		}
		for i := range got {
			if got[i].Offset < h.BaseOffset || got[i].Offset > h.LastOffset {
				t.Errorf("record %d has the offset %d, the batch %d to %d", i, got[i].Offset, h.BaseOffset, h.LastOffset)
			}
		}
		if len(got) == 0 {
			return
		}
		again, err := decode(t, encode(t, recordbatch.None, got), 0)
		if err != nil || len(again) != len(got) {
			t.Fatalf("encoded again: %d records, want %d, err = %v", len(again), len(got), err)
		}
		for i := range got {
			if !bytes.Equal(again[i].Key, got[i].Key) || !bytes.Equal(again[i].Value, got[i].Value) || cmp.Diff(again[i].Headers, got[i].Headers) != "" {
				t.Errorf("record %d changed from %+v to %+v", i, got[i], again[i])
			}
		}
	})
}
