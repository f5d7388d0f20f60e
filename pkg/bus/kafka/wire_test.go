package kafka

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
)

func TestKeysStayInThePartitionsOfEarlierReleases(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	p, reference := &Producer{}, &kafkago.Hash{}
	for range 20_000 {
		n := 1 + random.IntN(100)
		ids := make([]int, n)
		for i := range ids {
			ids[i] = i
		}
		key := make([]byte, random.IntN(40))
		for i := range key {
			key[i] = byte(random.Uint32())
		}
		if got, want := p.partition(key, n), reference.Balance(kafkago.Message{Key: key}, ids...); got != want {
			t.Fatalf("key %x of %d partitions is in %d, kafka-go has it in %d", key, n, got, want)
		}
	}
	seen := map[int]int{}
	for range 40 {
		seen[p.partition(nil, 4)]++
	}
	for i := range 4 {
		if seen[i] != 10 {
			t.Errorf("records without a key: %v, want them spread evenly", seen)
		}
	}
}

func TestReadingAheadIsSharedByThePartitions(t *testing.T) {
	t.Parallel()
	c := Config{PrefetchBytes: 8 << 20, FetchBytes: 2 << 20}
	for partitions, want := range map[int]int{0: 2 << 20, 1: 2 << 20, 4: 2 << 20, 8: 1 << 20, 1000: minFetchBytes} {
		if got := c.fetchBytes(partitions); got != want {
			t.Errorf("%d partitions: %d bytes each, want %d", partitions, got, want)
		}
	}
}

// fetchAnswer is what a broker says of one partition.
func fetchAnswer(topic string, partition int32, code int16, end int64, batches []byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, 0)
	b = be.AppendUint16(b, 0)
	b = be.AppendUint32(b, 0)
	b = be.AppendUint32(b, 1)
	b = appendString(b, topic)
	b = be.AppendUint32(b, 1)
	b = be.AppendUint32(b, uint32(partition))
	b = be.AppendUint16(b, uint16(code))
	b = be.AppendUint64(b, uint64(end))
	b = append(b, make([]byte, 16)...)
	b = be.AppendUint32(b, 1) // an aborted transaction
	b = append(b, make([]byte, 16)...)
	b = be.AppendUint32(b, uint32(len(batches)))
	return append(b, batches...)
}

func produceAnswer(topic string, codes ...int16) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, 1)
	b = appendString(b, topic)
	b = be.AppendUint32(b, uint32(len(codes)))
	for i, code := range codes {
		b = be.AppendUint32(b, uint32(i))
		b = be.AppendUint16(b, uint16(code))
		b = append(b, make([]byte, 24)...)
	}
	return be.AppendUint32(b, 0)
}

func TestAnswersAreReadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	whole := fetchAnswer("t", 3, 0, 77, []byte("batches"))
	if f, err := parseFetched(whole, "t", 3); err != nil || f.end != 77 || string(f.batches) != "batches" {
		t.Errorf("fetched %+v, err = %v", f, err)
	}
	for n := range whole {
		if _, err := parseFetched(whole[:n], "t", 3); !errors.Is(err, errAnswer) {
			t.Errorf("%d of %d bytes: err = %v", n, len(whole), err)
		}
	}
	if _, err := parseFetched(whole, "t", 4); !errors.Is(err, errAnswer) {
		t.Errorf("another partition's answer: err = %v", err)
	}
	if _, err := parseFetched(fetchAnswer("t", 3, 1, 0, nil), "t", 3); !errors.Is(err, kafkago.OffsetOutOfRange) {
		t.Errorf("code 1: err = %v", err)
	}
	acks := map[int32]error{}
	whole = produceAnswer("t", 0, 6)
	if err := parseProduced(whole, "t", func(p int32, err error) { acks[p] = err }); err != nil || acks[0] != nil || !errors.Is(acks[1], kafkago.NotLeaderForPartition) {
		t.Errorf("acknowledged: %v, err = %v", acks, err)
	}
	for n := range whole {
		if err := parseProduced(whole[:n], "t", func(int32, error) {}); !errors.Is(err, errAnswer) {
			t.Errorf("%d of %d bytes: err = %v", n, len(whole), err)
		}
	}
}

func FuzzFetched(f *testing.F) {
	f.Add(fetchAnswer("t", 3, 0, 77, []byte("batches")))
	f.Add(fetchAnswer("t", 3, 1, 0, nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := parseFetched(raw, "t", 3); err == nil && len(got.batches) > len(raw) {
			t.Errorf("%d bytes of batches out of %d", len(got.batches), len(raw))
		}
	})
}

func FuzzProduced(f *testing.F) {
	f.Add(produceAnswer("t", 0, 6))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := 0
		if err := parseProduced(raw, "t", func(int32, error) { n++ }); err == nil && n*30 > len(raw) {
			t.Errorf("%d partitions in %d bytes", n, len(raw))
		}
	})
}
